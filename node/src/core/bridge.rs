//! Translates between the two cores. They know of each other only what crosses here.

use std::net::SocketAddr;

use deut_common::{address::EndpointAddress, ids::PersonaKey, time::Now};
use deut_kademlia::{
    Contact, DhtInput, DhtOutput, Failure, IncomingTicket, OnBehalf, PersonaSecret, TunnelTag,
};
use deut_transport::{
    ids::{CallTicket, PoolId, ReplyToken, Service, TunnelHandle},
    io::{CallError, Command, Destination, Event, Input, NewCall},
    keys,
};

use super::{
    Core, CoreCommand, CoreEvent, Passage,
    api::APPLICATION_POOL,
    calls::{Caller, application_group, application_ticket, caller, dht_group, dht_ticket},
    echoes::Started,
};

impl Core {
    /// Carries out a command of the application.
    pub(super) fn command(&mut self, now: Now, command: CoreCommand) {
        match command {
            CoreCommand::Bootstrap(peers) => self.tell(now, Command::Bootstrap(peers)),
            CoreCommand::Call {
                ticket,
                service,
                to,
                body,
            } => self.call(now, ticket, service, to, body),
            CoreCommand::Cancel(ticket) => self.dht_input(now, DhtInput::Cancel(ticket)),
            CoreCommand::CancelCall(ticket) => {
                self.tell(now, Command::EndGroup(application_group(ticket)));
            }
            CoreCommand::EchoAll(ticket) => self.echo_all(now, ticket),
            CoreCommand::Query(ticket, query) => {
                self.dht_input(now, DhtInput::Start(ticket, query))
            }
            CoreCommand::Reply { to, body } => self.tell(now, Command::Reply { to, body }),
            CoreCommand::Shutdown => self.tell(now, Command::Shutdown),
        }
    }

    /// Passes on an event of the transport.
    pub(super) fn transport_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Bootstrap { address, trouble } => {
                self.events
                    .push_back(CoreEvent::Bootstrap { address, trouble });
            }
            Event::Echo { handle, round_trip } => self.echoes.back(handle, round_trip),
            Event::Failed {
                ticket,
                why,
                sent_by,
            } => self.failed(now, ticket, why, &sent_by),
            Event::OwnAddresses(addresses) => {
                let addresses = addresses.into_iter().map(|(at, end)| (endpoint(at), end));
                self.dht_input(now, DhtInput::OwnAddresses(addresses.collect()));
            }
            Event::Ready(readiness) => self.events.push_back(CoreEvent::Ready(readiness)),
            Event::Request {
                reply,
                service,
                body,
            } => self.request(now, reply, service, body),
            Event::Response {
                ticket,
                body,
                late: _,
            } => self.response(now, ticket, body),
            Event::Seeds { pool, contacts } => {
                self.dht_input(now, DhtInput::Seeds(on_behalf(pool), contacts));
            }
            Event::Slow { ticket } => {
                if let Caller::Dht(ticket) = caller(ticket) {
                    self.dht_input(now, DhtInput::Slow(ticket));
                }
            }
            Event::Tunnel { handle, change } => {
                self.events.push_back(CoreEvent::Tunnel { handle, change });
            }
        }
    }

    /// Passes on an output of the DHT.
    pub(super) fn dht_output(&mut self, now: Now, output: DhtOutput) {
        match output {
            DhtOutput::Advertise(contact) => self.tell(now, Command::Advertise(contact)),
            DhtOutput::Answer { to, body } => {
                self.tell(
                    now,
                    Command::Reply {
                        to: ReplyToken(to.0),
                        body,
                    },
                );
            }
            DhtOutput::Done(ticket, outcome) => {
                self.events
                    .push_back(CoreEvent::Done(ticket, Box::new(outcome)));
            }
            DhtOutput::GroupEnded(group) => self.tell(now, Command::EndGroup(dht_group(group))),
            DhtOutput::Progress(ticket, progress) => {
                self.events.push_back(CoreEvent::Progress(ticket, progress));
            }
            DhtOutput::Send {
                ticket,
                group,
                query: _,
                to,
                body,
                on_behalf,
            } => {
                let call = Command::Call(NewCall {
                    ticket: dht_ticket(ticket),
                    group: dht_group(group),
                    pool: pool(on_behalf),
                    service: Service::KADEMLIA,
                    to: destination(&to),
                    body,
                });
                self.tell(now, call);
            }
            DhtOutput::Superseded {
                key: _,
                published,
                seen,
            } => {
                self.events
                    .push_back(CoreEvent::Superseded { published, seen });
            }
            DhtOutput::WantOtherEndpoints(on_behalf) => {
                self.tell(now, Command::MoveOn(pool(on_behalf)));
            }
            DhtOutput::WantSeeds(on_behalf) => self.tell(now, Command::WantSeeds(pool(on_behalf))),
            DhtOutput::Wait { .. } => {}
        }
    }

    /// Starts or replaces the persona if it is time. True if it did.
    pub(super) fn change_persona(&mut self, now: Now) -> bool {
        let Some(seed) = self.persona.poll(now.mono) else {
            return false;
        };
        let secret = PersonaSecret::from_seed(&seed);
        let key = secret.public();
        // The addresses of the old persona must not get into a contact of the new one.
        self.dht_input(now, DhtInput::OwnAddresses(Vec::new()));
        self.dht_input(now, DhtInput::Persona(Some(secret)));
        let secret = keys::OpeningKey::from_seed(&seed);
        self.tell(now, Command::Persona(Some(secret)));
        self.persona_key = Some(key);
        self.events.push_back(CoreEvent::Persona { key });
        true
    }

    /// Answers those who asked for echoes, once these are back. True if it did.
    pub(super) fn finish_echoes(&mut self, now: Now) -> bool {
        let Some((tickets, echoes)) = self.echoes.finish(now.mono) else {
            return false;
        };
        for ticket in tickets {
            self.events.push_back(CoreEvent::Echoes {
                ticket,
                echoes: echoes.clone(),
            });
        }
        true
    }

    fn echo_all(&mut self, now: Now, ticket: u64) {
        let tunnels = self.transport.tunnels(now);
        match self.echoes.start(ticket, tunnels, now.mono) {
            Started::Now => self.tell(now, Command::EchoAll),
            Started::Already => {}
            Started::Refused => {
                self.events.push_back(CoreEvent::Echoes {
                    ticket,
                    echoes: Vec::new(),
                });
            }
        }
    }

    fn call(&mut self, now: Now, ticket: u64, service: Service, to: Destination, body: Vec<u8>) {
        let why = if service < Service::FIRST_APPLICATION {
            CallError::Unusable
        } else if self.calls.open(ticket) {
            let call = Command::Call(NewCall {
                ticket: application_ticket(ticket),
                group: application_group(ticket),
                pool: APPLICATION_POOL,
                service,
                to,
                body,
            });
            return self.tell(now, call);
        } else {
            CallError::Busy
        };
        self.events.push_back(CoreEvent::CallFailed { ticket, why });
    }

    fn failed(&mut self, now: Now, ticket: CallTicket, why: CallError, sent_by: &[TunnelHandle]) {
        match caller(ticket) {
            Caller::Dht(ticket) => self.dht_input(now, DhtInput::Failed(ticket, failure(sent_by))),
            Caller::Application(ticket) => {
                if self.calls.close(ticket) {
                    self.tell(now, Command::EndGroup(application_group(ticket)));
                    self.events.push_back(CoreEvent::CallFailed { ticket, why });
                }
            }
        }
    }

    fn response(&mut self, now: Now, ticket: CallTicket, body: Vec<u8>) {
        match caller(ticket) {
            Caller::Dht(ticket) => self.dht_input(now, DhtInput::Response(ticket, body)),
            Caller::Application(ticket) => {
                if self.calls.close(ticket) {
                    self.tell(now, Command::EndGroup(application_group(ticket)));
                    self.events.push_back(CoreEvent::Response { ticket, body });
                }
            }
        }
    }

    fn request(&mut self, now: Now, reply: ReplyToken, service: Service, body: Vec<u8>) {
        let passage = self.gatekeeper.as_mut().map(|keeper| keeper(&body));
        match passage.unwrap_or(Passage::Through) {
            Passage::Through => {}
            Passage::Answer(body) => return self.tell(now, Command::Reply { to: reply, body }),
            Passage::Silence => return,
        }
        if service == Service::KADEMLIA {
            self.dht_input(now, DhtInput::Request(IncomingTicket(reply.0), body));
        } else if service >= Service::FIRST_APPLICATION {
            self.events.push_back(CoreEvent::Request {
                reply,
                service,
                body,
            });
        }
        // Numbers below 256 belong to the protocol itself. Those that this version does not know get no answer.
    }

    fn tell(&mut self, now: Now, command: Command) {
        self.transport.handle_input(now, Input::Command(command));
    }
}

fn failure(sent_by: &[TunnelHandle]) -> Failure {
    match sent_by {
        [] => Failure::NotSent,
        [first, others @ ..] if others.iter().all(|other| other == first) => {
            Failure::Over(TunnelTag(first.0))
        }
        _ => Failure::OverSeveral,
    }
}

fn endpoint(address: SocketAddr) -> EndpointAddress {
    EndpointAddress {
        ip: address.ip(),
        port: address.port(),
    }
}

fn destination(contact: &Contact) -> Destination {
    let at = contact
        .addresses()
        .iter()
        .map(|address| SocketAddr::new(address.ip, address.port));
    Destination {
        key: PersonaKey(contact.persona_key()),
        at: at.collect(),
    }
}

fn pool(on_behalf: OnBehalf) -> PoolId {
    match on_behalf {
        OnBehalf::Persona => PoolId::Persona,
        OnBehalf::User => PoolId::Lookup,
    }
}

fn on_behalf(pool: PoolId) -> OnBehalf {
    match pool {
        PoolId::Persona => OnBehalf::Persona,
        PoolId::Lookup => OnBehalf::User,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_over_which_tunnel_it_came_if_it_was_one() {
        let of = |tunnels: &[u64]| {
            let sent_by: Vec<TunnelHandle> = tunnels.iter().copied().map(TunnelHandle).collect();
            failure(&sent_by)
        };
        assert_eq!(of(&[]), Failure::NotSent);
        assert_eq!(of(&[7]), Failure::Over(TunnelTag(7)));
        assert_eq!(of(&[7, 7, 7]), Failure::Over(TunnelTag(7)));
        assert_eq!(of(&[7, 8]), Failure::OverSeveral);
        assert_eq!(of(&[7, 7, 8]), Failure::OverSeveral);
        assert_eq!(of(&[8, 7, 8]), Failure::OverSeveral);
    }
}
