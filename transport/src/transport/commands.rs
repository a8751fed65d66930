//! What the application wants.

use super::Transport;
use crate::{
    api::{CallError, Command, DownReason, Event, TunnelHandle},
    calls::NewCall,
};

impl Transport {
    pub(super) fn on_command(&mut self, command: Command) {
        if self.own.shutting_down {
            return self.refuse(&command);
        }
        let (sh, own, links) = (&mut self.sh, &mut self.own, &mut self.links);
        match command {
            Command::Bootstrap(peers) => self.directory.set_bootstrap(sh, peers),
            Command::Call {
                ticket,
                group,
                pool,
                service,
                to,
                body,
            } => {
                self.calls.start(
                    sh,
                    own,
                    links,
                    NewCall {
                        ticket,
                        group,
                        pool,
                        service,
                        to,
                        body,
                    },
                );
            }
            Command::EndGroup(group) => self.calls.end_group(sh, own, links, group),
            Command::Persona(secret) => {
                self.requests.clear();
                let events = own.set_persona(sh, links, &mut self.routes, secret);
                self.count(|this| this.on_own_events(events));
            }
            Command::Advertise(contact) => own.advertise(sh, links, contact),
            Command::WantSeeds(pool) => own.want_seeds(sh, links, pool),
            Command::Reply { to, body } => self.requests.reply(sh, own, links, to, body),
            Command::EchoAll => own.echo_all(sh, links),
            Command::Shutdown => self.shut_down(),
        }
    }

    /// After the end only a call has an answer: that it failed.
    fn refuse(&mut self, command: &Command) {
        if let Command::Call { ticket, .. } = *command {
            let why = CallError::Cancelled;
            self.sh.event(Event::Failed { ticket, why });
        }
    }

    /// Ends all calls, and all tunnels politely, and plans nothing more.
    fn shut_down(&mut self) {
        self.calls.end_all(&mut self.sh);
        self.own.shutting_down = true;
        let (sh, links, routes) = (&mut self.sh, &mut self.links, &mut self.routes);
        let own: Vec<TunnelHandle> = self.own.iter().map(|(handle, _)| handle).collect();
        for handle in own {
            self.own
                .close(sh, links, routes, handle, DownReason::Closed);
        }
        for id in self.endpoint.ids() {
            self.endpoint.close(sh, links, routes, id, None);
        }
        for id in self.relays.ids() {
            self.relays.close(sh, links, routes, id, None);
        }
        self.directory.persist(sh);
        for link in links.handles() {
            links.goodbye(sh, link);
        }
        self.links.forget_all(&mut self.sh);
        self.sh.timers.clear_all();
    }
}
