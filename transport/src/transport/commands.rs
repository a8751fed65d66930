//! What the application wants.

use super::Transport;
use crate::{
    calls::{Carrier, NewCall},
    ids::PoolId,
    io::{CallError, Command, Event},
    master::MasterEvent,
};

impl Transport {
    pub(super) fn on_command(&mut self, command: Command) {
        if self.master.is_shutting_down() {
            return self.refuse(&command);
        }
        let (cx, master, links) = (&mut self.cx, &mut self.master, &mut self.links);
        match command {
            Command::Bootstrap(peers) => self.directory.set_bootstrap(cx, peers),
            Command::Call {
                ticket,
                group,
                pool,
                service,
                to,
                body,
            } => {
                let call = NewCall {
                    ticket,
                    group,
                    pool,
                    service,
                    to,
                    body,
                };
                self.calls.start(&mut Carrier { cx, master, links }, call);
            }
            Command::EndGroup(group) => {
                self.calls
                    .end_group(&mut Carrier { cx, master, links }, group);
            }
            Command::Persona(secret) => {
                self.requests.clear();
                self.step_master(|master, net| master.set_persona(net, secret));
            }
            Command::Advertise(contact) => master.advertise(cx, links, contact),
            Command::MoveOn(pool) => {
                self.step_master(|master, net| master.move_on(net.cx, pool));
            }
            Command::WantSeeds(pool) => {
                master.want_seeds(cx, links, pool);
                self.seed_ourselves(pool);
            }
            Command::Reply { to, body } => {
                self.requests
                    .reply(&mut Carrier { cx, master, links }, to, body);
            }
            Command::EchoAll => master.echo_all(cx, links),
            Command::Shutdown => self.shut_down(),
        }
    }

    /// After the end only a call has an answer: that it failed.
    fn refuse(&mut self, command: &Command) {
        if let Command::Call { ticket, .. } = *command {
            let why = CallError::Cancelled;
            let sent_by = Vec::new();
            self.cx.event(Event::Failed {
                ticket,
                why,
                sent_by,
            });
        }
    }

    /// Where there is one other relay, our tunnels end at it and its at us: it hosts our contact and we host its, and
    /// neither endpoint could ever tell us of the other. Then, and only then, our planes get what we host. Nothing
    /// is sent, and with one other relay there is no crowd that the two roles of this machine could be told apart from.
    fn seed_ourselves(&mut self, pool: PoolId) {
        if self.directory.len() != 1 {
            return;
        }
        let contacts = self.endpoint.contacts_for_ourselves(&mut self.cx);
        if !contacts.is_empty() {
            self.cx.event(Event::Seeds { pool, contacts });
        }
    }

    /// Ends all calls, and all tunnels politely, and plans nothing more.
    fn shut_down(&mut self) {
        self.calls.end_all(&mut self.cx);
        self.step_master(|master, net| {
            master.shut_down(net);
            None::<MasterEvent>
        });
        let (cx, links, routes) = (&mut self.cx, &mut self.links, &mut self.routes);
        for id in self.endpoint.ids() {
            self.endpoint.close(cx, links, routes, id, None);
        }
        for id in self.relays.ids() {
            self.relays.close(cx, links, routes, id, None);
        }
        self.directory.persist(cx);
        for link in links.handles() {
            links.goodbye(cx, link);
        }
        self.links.forget_all(&mut self.cx);
        self.cx.timers.clear_all();
    }
}
