//! The commands of the application.

use super::Transport;
use crate::{calls::refuse, io::Command};

impl Transport {
    pub(super) fn on_command(&mut self, command: Command) {
        let (net, master) = (&mut self.net, &mut self.master);
        if master.is_shutting_down() {
            // After that, only a call gets an answer: it failed.
            if let Command::Call(call) = command {
                refuse(&mut net.cx, call.ticket);
            }
            return;
        }
        match command {
            Command::Bootstrap(peers) => net.directory.set_bootstrap(&mut net.cx, peers),
            Command::Call(call) => {
                let (calls, _, mut carrier) = self.messages();
                calls.start(&mut carrier, call);
            }
            Command::EndGroup(group) => {
                let (calls, _, mut carrier) = self.messages();
                calls.end_group(&mut carrier, group);
            }
            Command::Persona(secret) => {
                self.requests.clear();
                let events = master.set_persona(net, secret);
                self.carry_on(events);
            }
            Command::Advertise(contact) => master.advertise(net, contact),
            Command::MoveOn(pool) => {
                let event = master.move_on(&mut net.cx, pool);
                self.carry_on(event);
            }
            Command::WantSeeds(pool) => {
                master.want_seeds(net, pool);
                self.endpoint.seed_ourselves(net, pool);
            }
            Command::Reply { to, body } => {
                let (_, requests, mut carrier) = self.messages();
                requests.reply(&mut carrier, to, body);
            }
            Command::EchoAll => master.echo_all(net),
            Command::Shutdown => self.shut_down(),
        }
    }

    /// Ends all calls, closes all tunnels politely and clears all timers.
    fn shut_down(&mut self) {
        let net = &mut self.net;
        self.calls.end_all(&mut net.cx);
        self.master.shut_down(net);
        self.endpoint.shut_down(net);
        self.relayer.shut_down(net);
        net.shut_down();
    }
}
