//! All figures of one attacker in one network, for tables and for other tools.

use super::{
    FORWARD,
    closed::{self, Size},
    estimate::Estimate,
    lookup::{self, Linked, REPLIES, REQUESTS, Shape},
    sampler::{First, Rules},
    source::{Network, OnPaper},
    tunnel::{self, LINKED, Tunnels},
};

/// Tunnels over which an attacker may wait for a first exposed one.
pub const WAITS: [usize; 3] = [10, 100, 300];
/// Guards that the onion path may keep; none: drawn anew each time.
pub const GUARDS: [Option<usize>; 3] = [None, Some(3), Some(1)];

/// A figure of so many tunnels. `None`: the network has too few of one master.
pub type Curve = Vec<(usize, Option<Estimate>)>;

/// One attacker against one network of walks.
#[derive(Clone, Debug)]
pub struct Report {
    /// The attacker's share as asked for.
    pub c: f64,
    /// In whole relays.
    pub size: Size,
    /// Single tunnels; `None`: too few.
    pub tunnels: Option<Tunnels>,
    /// P(a tunnel with a bad first hop among so many).
    pub ever: Curve,
    /// P(the best guess over so many linked tunnels is the master).
    pub guessed: Curve,
    /// P(all colluders together name the asker of a lookup), by shape and by what they link.
    pub lookups: Vec<(Shape, Linked, Option<Estimate>)>,
}

/// Shapes of lookups that tables show, first deut's own.
#[must_use]
pub fn shapes() -> Vec<Shape> {
    let of = |replies, on_key| Shape {
        replies,
        requests: REQUESTS,
        on_key,
    };
    let others = REPLIES.into_iter().filter(|replies| *replies != 2);
    let mut shapes = vec![of(2, 0), of(2, lookup::CLOSEST)];
    shapes.extend(others.map(|replies| of(replies, 0)));
    shapes
}

/// What an attacker with the share `c` learns in this network of walks. Same paths, `c` and seed: same report.
///
/// `network` are recorded [`super::Paths`] or tunnels [`OnPaper`].
#[must_use]
pub fn report(network: &dyn Network, c: f64, seed: u64) -> Report {
    let curve = |of: &dyn Fn(usize) -> Option<Estimate>, at: &[usize]| {
        at.iter().map(|&linked| (linked, of(linked))).collect()
    };
    let lookups = shapes().into_iter().flat_map(|shape| {
        Linked::EACH.into_iter().map(move |what| {
            let drawn = lookup::drawn(network, FORWARD, c, (shape, what), seed);
            (shape, what, drawn)
        })
    });
    Report {
        c,
        size: Size::of(network.relays(), c),
        tunnels: tunnel::measure(network, FORWARD, c, seed),
        ever: curve(&|linked| tunnel::ever(network, c, linked, seed), &WAITS),
        guessed: curve(
            &|linked| tunnel::guessed(network, FORWARD, c, linked, seed),
            &LINKED,
        ),
        lookups: lookups.collect(),
    }
}

/// Onion paths (planned, not built): P(one of so many linked tunnels has both ends bad).
#[must_use]
pub fn onion(relays: usize, samples: u64, guards: Option<usize>, c: f64, seed: u64) -> Curve {
    let network = OnPaper {
        rules: Rules::onion(guards.map_or(First::Fresh, First::Guards)),
        relays,
        samples,
    };
    let of = |&linked: &usize| (linked, tunnel::onion_exposed(&network, c, linked, seed));
    LINKED.iter().map(of).collect()
}

/// What guards cap the onion path at, however many tunnels: one of them is the attacker's.
#[must_use]
pub fn plateau(guards: usize, c: f64) -> f64 {
    closed::ever(c, guards)
}
