//! The one task of a node: it owns the core, the sockets and one timer.
//!
//! In each turn it first takes requests of handles, finished jobs and other local work, then one bounded round over the sockets
//! that have something, then the timer. After every input the core is drained. Then the runtime has its turn. Clocks are read once
//! per turn and once per round.

mod error;
mod handle_link;
mod owed;
mod queries;
mod report;
mod room;
mod saver;
mod start;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use deut_common::time::{Mono, Now};
use deut_transport::{
    Handled,
    io::{Action, BootstrapPeer, Persist},
    rsa::JobResult,
    status::Readiness,
};
use tokio::{
    sync::{mpsc, watch},
    time::Sleep,
};

use self::{owed::Open, saver::Saver};
use crate::{
    bootstrap::troubles::Troubles,
    clock::Clock,
    core::{Core, CoreCommand, CoreInput, CoreOutput},
    jobs::Jobs,
    request::HandleRequest,
    udp::{Received, Sockets},
};
pub use error::StartError;
pub(crate) use handle_link::Link;
pub(crate) use start::start;

/// Number of requests of handles taken in one turn.
const REQUESTS_PER_TURN: usize = 16;
/// Number of datagrams taken in one turn.
const DATAGRAMS_PER_TURN: usize = 256;
/// The core is not called for its timer more often than this, in microseconds.
const SHORTEST_WAIT_US: u64 = 500;

struct Driver {
    core: Core,
    clock: Clock,
    sockets: Sockets,
    jobs: Jobs,
    requests: mpsc::Receiver<HandleRequest>,
    /// A handle no longer waits for an answer.
    abandoned: mpsc::Receiver<()>,
    /// Goes with requests that come to the persona, whose answers come back this way.
    to_self: mpsc::WeakSender<HandleRequest>,
    peers: mpsc::Receiver<Vec<BootstrapPeer>>,
    peers_done: bool,
    troubles: Troubles,
    readiness: watch::Sender<Readiness>,
    ready_after_ms: Option<u64>,
    open: Open,
    saver: Option<Saver>,
    timer: Pin<Box<Sleep>>,
    /// The time that the timer is set to.
    until: Option<Mono>,
    about: report::NodeFacts,
}

/// The outcome of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It did some work, and there may be more.
    Worked,
    /// The node is to stop.
    Stop,
}

impl Driver {
    async fn run(mut self, peers: Vec<BootstrapPeer>) {
        let now = self.clock.now();
        self.feed(now, CoreInput::Command(CoreCommand::Bootstrap(peers)));
        while poll_fn(|cx| self.poll_turn(cx)).await == Turn::Worked {
            // Other tasks of this runtime have their turn, its reactor among them.
            tokio::task::yield_now().await;
        }
        let now = self.clock.now();
        // Handles that still wait are told that the node has stopped, not why the core gave up.
        self.open = Open::default();
        self.feed(now, CoreInput::Command(CoreCommand::Shutdown));
        if let Some(saver) = self.saver.take() {
            saver.finish().await;
        }
        tracing::info!("stopped");
    }

    /// Pending if there is nothing to do. Everything that could bring work then wakes this task.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let now = self.clock.now();
        self.core.look(now);
        let mut worked = false;
        if let Some(network) = self.sockets.look(now.mono) {
            worked = true;
            self.feed(now, CoreInput::Local(network));
        }
        for _ in 0..REQUESTS_PER_TURN {
            match self.requests.poll_recv(cx) {
                Poll::Ready(Some(HandleRequest::Shutdown) | None) => {
                    return Poll::Ready(Turn::Stop);
                }
                Poll::Ready(Some(request)) => {
                    worked = true;
                    // Requests that were given up before this one make room for it.
                    if self.abandoned.try_recv().is_ok() {
                        self.cancel_abandoned(now);
                    }
                    self.request(now, request);
                }
                Poll::Pending => break,
            }
        }
        while let Poll::Ready(Some(())) = self.abandoned.poll_recv(cx) {
            worked = true;
            self.cancel_abandoned(now);
        }
        while let Poll::Ready((ticket, result)) = self.jobs.poll_done(cx) {
            worked = true;
            self.feed(now, CoreInput::JobDone { ticket, result });
        }
        worked |= self.poll_peers(cx, now);
        if let Some(saver) = &mut self.saver {
            saver.poll(cx);
        }
        // Datagrams that have arrived come before timers: a process that was held up for a second must not conclude that its
        // neighbours were silent.
        if self.sockets.poll_ready(cx).is_ready() {
            worked = true;
            self.receive();
        }
        worked |= self.poll_timer(cx, now);
        if worked {
            Poll::Ready(Turn::Worked)
        } else {
            Poll::Pending
        }
    }

    fn poll_peers(&mut self, cx: &mut Context<'_>, now: Now) -> bool {
        if self.peers_done {
            return false;
        }
        match self.peers.poll_recv(cx) {
            Poll::Ready(Some(peers)) => {
                self.feed(now, CoreInput::Command(CoreCommand::Bootstrap(peers)));
                true
            }
            Poll::Ready(None) => {
                self.peers_done = true;
                false
            }
            Poll::Pending => false,
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Now) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        if until > now.mono && self.timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.until = None;
        self.feed(now, CoreInput::Timeout);
        true
    }

    /// Takes one round of datagrams from the sockets.
    fn receive(&mut self) {
        // Local work may have taken some time.
        let now = self.clock.now();
        self.sockets.begin_round();
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some(Received { at, from, packet }) = self.sockets.receive() else {
                break;
            };
            match self.core.handle_datagram(now, at, from, packet) {
                Handled::Consumed => self.drain(now),
                // The path of a relayed datagram: it waits for nothing. The drain below is for whatever else is waiting.
                Handled::Forward { from, to, packet } => self.sockets.send(from, to, packet),
                Handled::Dropped(reason, packet) => {
                    tracing::trace!(reason = reason.name(), "a datagram is dropped");
                    self.sockets.recycle(packet);
                }
            }
        }
        self.drain(now);
    }

    fn feed(&mut self, now: Now, input: CoreInput) {
        self.core.handle_input(now, input);
        self.drain(now);
    }

    /// Does the work that the core wants done, until it wants to wait.
    fn drain(&mut self, now: Now) {
        loop {
            match self.core.poll_output(now) {
                CoreOutput::Do(action) => self.act(now, action),
                CoreOutput::Event(event) => self.event(event),
                CoreOutput::Wait { until, why: _ } => return self.set_timer(now, until),
            }
        }
    }

    fn act(&mut self, now: Now, action: Action) {
        match action {
            Action::Transmit { from, to, packet } => self.sockets.send(from, to, packet),
            Action::OpenPort { token, port } => {
                let result = self.sockets.open(token, port);
                let opened = CoreInput::PortOpened { token, result };
                self.core.handle_input(now, opened);
            }
            Action::ClosePort(token) => self.sockets.close(token),
            Action::Job {
                ticket,
                priority,
                work,
            } => {
                if let Some(ticket) = self.jobs.submit(ticket, priority, work) {
                    let result = JobResult::Refused;
                    let refused = CoreInput::JobDone { ticket, result };
                    self.core.handle_input(now, refused);
                }
            }
            Action::Persist(Persist::Relays(relays)) => {
                if let Some(saver) = &mut self.saver {
                    saver.save(relays);
                }
            }
        }
    }

    fn set_timer(&mut self, now: Now, until: Option<Mono>) {
        // A core that asked for a time in the past would keep this task busy for nothing.
        let until = until.map(|until| until.max(now.mono.plus_us(SHORTEST_WAIT_US)));
        // A node that sends nothing must also notice that its machine cannot send.
        let look = self.sockets.look_at();
        let until = Some(until.map_or(look, |until| until.min(look)));
        let earlier = match (self.until, until) {
            (Some(set), Some(until)) => set.0.abs_diff(until.0) >= SHORTEST_WAIT_US,
            (None, None) => false,
            _ => true,
        };
        if earlier {
            self.until = until;
            if let Some(until) = until {
                self.timer.as_mut().reset(self.clock.instant(until));
            }
        }
    }
}
