//! Progress on standard error: on a terminal one line that changes; in a pipe plain lines for the important steps; with `--verbose`
//! a line for each step. Peers that are found go to standard output at once, as the first lines of the result.

use std::collections::BTreeSet;

use super::{Written, line, text};
use crate::{
    pump::STDERR,
    report::Peer,
    step::Step,
    words::{reach, readiness},
};

/// Shows steps as they happen.
#[derive(Debug)]
pub(crate) struct Steps {
    live: bool,
    verbose: bool,
    count: Count,
    shown: bool,
    /// True if peers are printed when they are found.
    with_peers: bool,
    /// The names of the peers that were printed.
    printed: BTreeSet<String>,
}

/// The counted events of the current lookup.
#[derive(Debug, Default)]
struct Count {
    lookup: u32,
    asked: u32,
    answered: u32,
    failed: u32,
    found: u32,
    stored: u32,
}

impl Steps {
    /// Output for a terminal or for a pipe.
    pub(crate) fn new(terminal: bool, verbose: bool) -> Self {
        Self {
            live: terminal && !verbose,
            verbose,
            count: Count::default(),
            shown: false,
            with_peers: false,
            printed: BTreeSet::new(),
        }
    }

    /// Prints useful peers as soon as they are found, each once.
    pub(crate) fn with_peers(self) -> Self {
        Self {
            with_peers: true,
            ..self
        }
    }

    /// The names of the peers that were printed.
    pub(crate) const fn printed(&self) -> &BTreeSet<String> {
        &self.printed
    }

    /// Shows one step.
    ///
    /// # Errors
    /// If the step has a peer that cannot be printed.
    pub(crate) fn show(&mut self, step: &Step) -> Written {
        self.count.add(step);
        if self.live {
            self.shown = true;
            let text: String = self.live_line(step).chars().take(100).collect();
            rewrite_line(&text);
        } else if self.verbose || matters(step) {
            STDERR.say(format!("{}\n", describe(step)).into_bytes());
        }
        let Some(peer) = self.first_of_use(step) else {
            return Ok(());
        };
        self.end();
        line(text::peer(peer))
    }

    /// A new peer whose line will not change: it gave an address or answers.
    fn first_of_use<'a>(&mut self, step: &'a Step) -> Option<&'a Peer> {
        let Step::Found { peer, .. } = step else {
            return None;
        };
        let good = |peer: &&Peer| self.with_peers && peer.leads_somewhere();
        let peer = peer.as_ref().filter(good)?;
        self.printed.insert(peer.name()).then_some(peer)
    }

    /// Clears the line for the output that follows.
    pub(crate) fn end(&mut self) {
        if self.shown {
            rewrite_line("");
            self.shown = false;
        }
    }

    fn live_line(&self, step: &Step) -> String {
        match step {
            Step::NotReady(_)
            | Step::Persona(_)
            | Step::Ready(_)
            | Step::Trouble { .. }
            | Step::WaitingForContacts => describe(step),
            _ => self.count.line(),
        }
    }
}

impl Count {
    fn add(&mut self, step: &Step) {
        match step {
            Step::Lookup { number } => {
                *self = Self {
                    lookup: *number,
                    ..Self::default()
                }
            }
            Step::Asked { .. } => self.asked += 1,
            Step::Answered { .. } => self.answered += 1,
            Step::Failed { .. } => self.failed += 1,
            Step::Found { peer, .. } => self.found += u32::from(is_first(peer.as_ref())),
            Step::FoundVersion { .. } => self.found += 1,
            Step::Stored { .. } => self.stored += 1,
            Step::GivenUp { .. }
            | Step::NotReady(_)
            | Step::Persona(_)
            | Step::Ready(_)
            | Step::Refused { .. }
            | Step::Slow { .. }
            | Step::Trouble { .. }
            | Step::WaitingForContacts => {}
        }
    }

    fn line(&self) -> String {
        let mut text = format!(
            "lookup {}: {} asked, {} answered",
            self.lookup, self.asked, self.answered
        );
        for (number, what) in [
            (self.failed, "failed"),
            (self.found, "found"),
            (self.stored, "stored"),
        ] {
            if number > 0 {
                text.push_str(&format!(", {number} {what}"));
            }
        }
        text
    }
}

/// Returns true if this is the first report of the peer. A second report of a persona has its addresses.
fn is_first(peer: Option<&Peer>) -> bool {
    !matches!(peer, Some(Peer::Persona { addresses, .. }) if !addresses.is_empty())
}

/// Returns true if the step is shown in a pipe.
const fn matters(step: &Step) -> bool {
    matches!(
        step,
        Step::NotReady(_)
            | Step::Persona(_)
            | Step::Ready(_)
            | Step::Trouble { .. }
            | Step::WaitingForContacts
            | Step::Lookup { .. }
    )
}

fn describe(step: &Step) -> String {
    match step {
        Step::Answered { node, contacts } => format!("{node} answered with {contacts} contacts"),
        Step::Asked { node, shared_bits } => {
            format!("{node} asked, {shared_bits} bits in common with the target")
        }
        Step::Failed { node } => format!("{node} failed"),
        Step::Found {
            peer:
                Some(Peer::Persona {
                    addresses,
                    reachable,
                    ..
                }),
            ..
        } if !addresses.is_empty() => match reachable {
            Some(true) => "a persona that announced answers".into(),
            _ => "found where a persona is that announced".into(),
        },
        Step::Found { given_by, .. } => format!("found an announcement (given by {given_by})"),
        Step::FoundVersion { node, seq } => format!("{node} keeps sequence number {seq}"),
        Step::GivenUp { node } => format!("{node} is not waited for any longer"),
        Step::Lookup { number } => format!("lookup {number}"),
        Step::NotReady(now) => format!("joining: {}", readiness(now)),
        Step::Persona(now) => format!("the persona: {}", reach(now)),
        Step::Ready(now) => format!("ready: {}", readiness(now)),
        Step::Refused { node } => format!("{node} does not take the record"),
        Step::Slow { node } => format!("{node} takes its time"),
        Step::Stored { node } => format!("{node} took the record"),
        Step::Trouble { peer, trouble } => {
            format!("bootstrap peer {peer}: {trouble}; trying again")
        }
        Step::WaitingForContacts => {
            "no contacts are known yet: asking the tunnels' endpoints for some".into()
        }
    }
}

/// Returns to the beginning of the line, erases it, and writes it anew.
pub(super) fn rewrite_line(text: &str) {
    STDERR.say(format!("\r\x1b[2K{text}").into_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> String {
        "0123abcd".into()
    }

    #[test]
    fn a_pipe_hears_what_matters_and_verbose_hears_all() {
        assert!(matters(&Step::Lookup { number: 1 }) && matters(&Step::WaitingForContacts));
        assert!(!matters(&Step::Asked {
            node: node(),
            shared_bits: 1
        }));
        assert_eq!(
            describe(&Step::Asked {
                node: node(),
                shared_bits: 3
            }),
            "0123abcd asked, 3 bits in common with the target"
        );
    }

    #[test]
    fn the_count_begins_anew_with_each_lookup() {
        let mut count = Count::default();
        for step in [
            Step::Lookup { number: 1 },
            Step::Asked {
                node: node(),
                shared_bits: 0,
            },
            Step::Failed { node: node() },
        ] {
            count.add(&step);
        }
        assert_eq!(count.line(), "lookup 1: 1 asked, 0 answered, 1 failed");
        count.add(&Step::Lookup { number: 2 });
        assert_eq!(count.line(), "lookup 2: 0 asked, 0 answered");
    }
}
