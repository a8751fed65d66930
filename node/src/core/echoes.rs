//! Collects the echoes of all own tunnels into one answer.

use std::collections::BTreeMap;

use deut_common::time::Mono;
use deut_transport::{ids::TunnelHandle, status::TunnelView};

/// Time to wait for all echoes. The transport reports a lost echo within 3 s, but nothing about a tunnel that closes meanwhile.
const PATIENCE_MS: u64 = 4_000;
/// Number of commands that share one collection; further ones get an empty answer at once.
const MAX_TICKETS: usize = 64;

/// At most one collection runs. A command that arrives meanwhile gets its result too.
#[derive(Debug, Default)]
pub(super) struct EchoRound {
    tickets: Vec<u64>,
    waiting: BTreeMap<TunnelHandle, TunnelView>,
    back: Vec<(TunnelView, Option<u64>)>,
    until: Option<Mono>,
}

/// The next step for a command. The transport is asked once per collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Started {
    Now,
    Already,
    Refused,
}

/// A finished collection: the tickets of its commands, and the echoes.
type Finished = (Vec<u64>, Vec<(TunnelView, Option<u64>)>);

impl EchoRound {
    pub(super) fn start(&mut self, ticket: u64, tunnels: Vec<TunnelView>, now: Mono) -> Started {
        if self.tickets.len() >= MAX_TICKETS {
            return Started::Refused;
        }
        self.tickets.push(ticket);
        if self.until.is_some() {
            return Started::Already;
        }
        let up = tunnels.into_iter().filter(|tunnel| tunnel.up);
        self.waiting = up.map(|tunnel| (tunnel.handle, tunnel)).collect();
        self.until = Some(now.plus_ms(PATIENCE_MS));
        Started::Now
    }

    pub(super) fn back(&mut self, handle: TunnelHandle, round_trip: Option<u64>) {
        if let Some(view) = self.waiting.remove(&handle) {
            self.back.push((view, round_trip));
        }
    }

    pub(super) fn due(&self) -> Option<Mono> {
        self.until
    }

    /// The result, once all echoes are back or the time is over.
    pub(super) fn finish(&mut self, now: Mono) -> Option<Finished> {
        let until = self.until?;
        if !self.waiting.is_empty() && now < until {
            return None;
        }
        self.until = None;
        let lost = std::mem::take(&mut self.waiting)
            .into_values()
            .map(|view| (view, None));
        let mut echoes = std::mem::take(&mut self.back);
        echoes.extend(lost);
        echoes.sort_by_key(|(view, _)| view.handle);
        Some((std::mem::take(&mut self.tickets), echoes))
    }
}

#[cfg(test)]
mod tests {
    use deut_common::ids::RelayId;
    use deut_transport::{ids::PoolId, status::PathKind};

    use super::*;

    #[test]
    fn the_result_comes_when_all_are_back() {
        let mut echoes = EchoRound::default();
        assert_eq!(
            echoes.start(
                1,
                vec![tunnel(1, true), tunnel(2, false), tunnel(3, true)],
                Mono(0)
            ),
            Started::Now
        );
        assert_eq!(
            echoes.start(2, vec![tunnel(9, true)], Mono(0)),
            Started::Already
        );
        echoes.back(TunnelHandle(3), Some(30));
        echoes.back(TunnelHandle(3), Some(31));
        echoes.back(TunnelHandle(9), Some(90));
        assert!(echoes.finish(Mono(1)).is_none());
        echoes.back(TunnelHandle(1), None);
        let (tickets, back) = echoes.finish(Mono(1)).unwrap();
        let back: Vec<_> = back
            .iter()
            .map(|(view, round_trip)| (view.handle.0, *round_trip))
            .collect();
        assert_eq!(
            (tickets, back),
            (vec![1, 2], vec![(1, None), (3, Some(30))])
        );
        assert!(echoes.finish(Mono(1)).is_none() && echoes.due().is_none());
    }

    #[test]
    fn a_tunnel_that_says_nothing_counts_as_lost() {
        let mut echoes = EchoRound::default();
        echoes.start(1, vec![tunnel(1, true)], Mono(5));
        let due = echoes.due().unwrap();
        assert!(echoes.finish(Mono(due.0 - 1)).is_none());
        let (_, back) = echoes.finish(due).unwrap();
        assert!(matches!(back.as_slice(), [(_, None)]));
    }

    #[test]
    fn without_tunnels_the_result_is_empty_at_once() {
        let mut echoes = EchoRound::default();
        echoes.start(1, Vec::new(), Mono(0));
        assert_eq!(echoes.finish(Mono(0)), Some((vec![1], Vec::new())));
    }

    fn tunnel(number: u64, up: bool) -> TunnelView {
        TunnelView {
            handle: TunnelHandle(number),
            pool: PoolId::Lookup,
            path: PathKind::Walk,
            hops: 1,
            first_hop: RelayId([0; 20]),
            endpoint: RelayId([0; 20]),
            address: ([127, 0, 0, 1], 1).into(),
            confirmed: true,
            up,
            age_s: 0,
            left_s: 0,
            sent: 0,
            received: 0,
            build_us: 0,
        }
    }
}
