//! The two machines that the lock-step world can drive: a transport, and a whole core.

use std::net::SocketAddr;

use deut::core::{Core, CoreAudit, CoreCommand, CoreEvent, CoreInput, CoreOutput};
use deut_common::time::{Mono, Now};
use deut_kademlia::Config;
use deut_transport::{
    DropCounts, Handled, Transport,
    ids::{JobTicket, Port, PortToken},
    io::{Action, Command, Event, Input, Output, PortError},
    packet::Packet,
    rsa::{Job, JobResult},
    status::{Audit, Counters},
};

use super::caps::check_caps;

/// The DHT's settings of every core in a lock-step world: small enough for a fuzzer to reach.
#[must_use]
pub fn dht_config() -> Config {
    Config {
        max_queries: 4,
        max_user_contacts: 16,
        max_stored_keys: 6,
        max_stored_bytes: 4_096,
        max_entries_per_key: 3,
        max_published: 4,
        ..Config::test()
    }
}

/// What happens to a machine, but for datagrams.
#[derive(Debug)]
pub enum News {
    /// A job is done.
    Job(JobTicket, JobResult),
    /// A port is open or not.
    Port(PortToken, Result<(), PortError>),
    /// Time has passed.
    Timeout,
}

/// What a machine wants done.
#[derive(Debug)]
pub enum Todo<E> {
    /// Send a datagram.
    Transmit(Port, SocketAddr, Packet),
    /// Open a port.
    Open(PortToken, u16),
    /// Close it.
    Close(PortToken),
    /// Do public-key work.
    Job(JobTicket, Job),
    /// Tell the application.
    Event(E),
    /// Save something.
    Persist,
    /// Wait.
    Wait(Option<Mono>),
}

impl<E> Todo<E> {
    fn of(action: Action) -> Self {
        match action {
            Action::Transmit { from, to, packet } => Self::Transmit(from, to, packet),
            Action::OpenPort { token, port } => Self::Open(token, port),
            Action::ClosePort(token) => Self::Close(token),
            Action::Job { ticket, work, .. } => Self::Job(ticket, work),
            Action::Persist(_) => Self::Persist,
        }
    }
}

/// A pure machine with ports.
pub trait Machine {
    /// What it tells its application.
    type Event;
    /// What its application tells it.
    type Command;
    /// A datagram arrived.
    fn datagram(&mut self, now: Now, at: Port, from: SocketAddr, packet: Packet) -> Handled;
    /// Its application wants something.
    fn command(&mut self, now: Now, command: Self::Command);
    /// Anything else happened.
    fn news(&mut self, now: Now, news: News);
    /// What to do next.
    fn poll(&mut self, now: Now) -> Todo<Self::Event>;
    /// Of its transport.
    fn counters(&self) -> Counters;
    /// Of its transport.
    fn drops(&self) -> &DropCounts;
    /// Panics if a collection is beyond its cap.
    fn check_caps(&self);
}

/// Both speak the same language, each with types of its own.
macro_rules! machine {
    ($machine:ty, $input:ident, $output:ident, $event:ty, $command:ty, $check:expr) => {
        impl Machine for $machine {
            type Event = $event;
            type Command = $command;

            fn datagram(
                &mut self,
                now: Now,
                at: Port,
                from: SocketAddr,
                packet: Packet,
            ) -> Handled {
                self.handle_datagram(now, at, from, packet)
            }

            fn command(&mut self, now: Now, command: $command) {
                self.handle_input(now, $input::Command(command));
            }

            fn news(&mut self, now: Now, news: News) {
                let input = match news {
                    News::Job(ticket, result) => $input::JobDone { ticket, result },
                    News::Port(token, result) => $input::PortOpened { token, result },
                    News::Timeout => $input::Timeout,
                };
                self.handle_input(now, input);
            }

            fn poll(&mut self, now: Now) -> Todo<$event> {
                match self.poll_output(now) {
                    $output::Do(action) => Todo::of(action),
                    $output::Event(event) => Todo::Event(event),
                    $output::Wait { until, .. } => Todo::Wait(until),
                }
            }

            fn counters(&self) -> Counters {
                self.counters()
            }

            fn drops(&self) -> &DropCounts {
                self.drops()
            }

            fn check_caps(&self) {
                $check(&self.audit());
            }
        }
    };
}

machine!(Transport, Input, Output, Event, Command, within_caps);
machine!(
    Core,
    CoreInput,
    CoreOutput,
    CoreEvent,
    CoreCommand,
    core_within_caps
);

fn within_caps(audit: &Audit) {
    assert!(audit.within_caps(), "{audit:?}");
}

fn core_within_caps(audit: &CoreAudit) {
    within_caps(&audit.transport);
    check_caps(&audit.kademlia, &dht_config());
}
