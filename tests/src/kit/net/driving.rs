//! One thing that happens after the other, and what the cores want done.

use std::cmp::Reverse;

use deut::core::{CoreEvent, CoreInput, CoreOutput};
use deut_common::time::Mono;
use deut_transport::{
    io::{Action, Persist},
    rsa::JobResult,
};

use super::{
    Keep, Net,
    event::{Entry, What},
};
use crate::kit::ports::takes;

impl Net {
    /// The next thing that happens; `false` if nothing ever will.
    pub fn step(&mut self) -> bool {
        let Some(Reverse(Entry { at, what, .. })) = self.heap.pop() else {
            return false;
        };
        self.now = self.now.max(at);
        self.steps += 1;
        let moved = match what {
            What::Datagram { from, to, packet } => self.deliver(from, to, packet),
            What::Timeout(node) => self.wake(node, at),
            What::Job {
                node,
                life,
                ticket,
                work,
            } => {
                if self.nodes[node].paused {
                    let later = self.now + 100_000;
                    self.push(
                        later,
                        What::Job {
                            node,
                            life,
                            ticket,
                            work,
                        },
                    );
                    return true;
                }
                let result: JobResult = work.run(self.suites.rsa.as_ref());
                let here = self.nodes[node].alive && self.nodes[node].life == life;
                if here {
                    self.input(node, CoreInput::JobDone { ticket, result });
                }
                here.then_some(node)
            }
        };
        if let Some(node) = moved {
            self.trace.add(self.now);
            self.trace.add(node as u64);
            self.check(node);
        }
        true
    }

    fn wake(&mut self, node: usize, at: u64) -> Option<usize> {
        if !self.nodes[node].alive || self.nodes[node].due != Some(at) {
            return None;
        }
        self.nodes[node].due = None;
        self.check_wakes(node);
        if self.nodes[node].paused {
            return None;
        }
        self.input(node, CoreInput::Timeout);
        Some(node)
    }

    pub(super) fn push(&mut self, at: u64, what: What) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry {
            at,
            sequence: self.sequence,
            what,
        }));
    }

    pub(super) fn drain(&mut self, index: usize) {
        loop {
            let now = self.now_at(index);
            match self.nodes[index].core.poll_output(now) {
                CoreOutput::Do(Action::Transmit { from, to, packet }) => {
                    self.transmit(index, from, to, packet);
                }
                CoreOutput::Do(Action::OpenPort { token, port }) => {
                    let node = &mut self.nodes[index];
                    node.ports.open(token, port);
                    node.core.handle_input(
                        now,
                        CoreInput::PortOpened {
                            token,
                            result: Ok(()),
                        },
                    );
                }
                CoreOutput::Do(Action::ClosePort(token)) => self.nodes[index].ports.close(token),
                CoreOutput::Do(Action::Job { ticket, work, .. }) => {
                    let life = self.nodes[index].life;
                    self.push(
                        self.now + takes(&work),
                        What::Job {
                            node: index,
                            life,
                            ticket,
                            work,
                        },
                    );
                }
                CoreOutput::Do(Action::Persist(Persist::Relays(relays))) => {
                    self.nodes[index].saved = relays;
                }
                CoreOutput::Event(event) => self.keep_event(index, event),
                CoreOutput::Wait { until, .. } => {
                    self.plan(index, until);
                    return;
                }
            }
        }
    }

    fn keep_event(&mut self, index: usize, event: CoreEvent) {
        let node = &mut self.nodes[index];
        node.count(&event);
        let outcome = match &event {
            CoreEvent::Done(ticket, _) => Some(*ticket),
            _ => None,
        };
        if self.keep == Keep::Outcomes
            && let Some(ticket) = outcome
        {
            self.done.push((index, ticket));
        }
        if self.keep == Keep::All || outcome.is_some() {
            node.events.push((self.now, event));
        }
    }

    fn plan(&mut self, index: usize, until: Option<Mono>) {
        let due = until.map(|Mono(at)| at.max(self.now));
        if due.is_some() && due != self.nodes[index].due {
            self.nodes[index].due = due;
            self.push(due.unwrap_or(self.now), What::Timeout(index));
        } else if due.is_none() {
            self.nodes[index].due = None;
        }
    }
}
