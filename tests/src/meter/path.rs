//! Ground truth of tunnels, and what an attacker who owns some of the relays sees of them.

/// Names a relay: its number in the network, from 0.
pub type Relay = u32;

/// One tunnel as it really runs. Nobody in the network knows all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Whose tunnel it is. Always a relay of the network itself.
    pub master: Relay,
    /// The relays in order; the last one is the endpoint. Never empty in a path that was recorded.
    pub hops: Vec<Relay>,
}

impl Path {
    /// Who ends it.
    #[must_use]
    pub fn endpoint(&self) -> Option<Relay> {
        self.hops.last().copied()
    }

    /// Gives two relays each other's place.
    pub fn swap(&mut self, one: Relay, other: Relay) {
        for relay in self.hops.iter_mut().chain([&mut self.master]) {
            if *relay == one {
                *relay = other;
            } else if *relay == other {
                *relay = one;
            }
        }
    }

    /// Every hop with the relay before it, the master before the first.
    pub fn steps(&self) -> impl Iterator<Item = (Relay, Relay)> + '_ {
        let before = std::iter::once(self.master).chain(self.hops.iter().copied());
        before.zip(self.hops.iter().copied())
    }

    /// The first relay of the attacker's on the way: it can play the endpoint, or lead the walk on among its own.
    #[must_use]
    pub fn capture(&self, attacker: &Colluders) -> Option<Capture> {
        let steps = self.steps().enumerate();
        let mut captures = steps.filter(|(_, (_, hop))| attacker.owns(*hop));
        captures.next().map(|(at, (before, _))| Capture {
            at,
            predecessor: before,
        })
    }
}

/// A walk in the attacker's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Hops before the attacker's first one.
    pub at: usize,
    /// The relay that this one got the walk from: the master, or somebody who passed it on.
    pub predecessor: Relay,
}

/// The relays of one attacker.
#[derive(Clone, Debug)]
pub enum Colluders {
    /// All from this number on. In a network that is the same for everybody it does not matter which.
    From(Relay),
    /// Those marked.
    Marked(Vec<bool>),
}

impl Colluders {
    /// Exactly these of `relays`.
    #[must_use]
    pub fn these(relays: usize, which: &[Relay]) -> Self {
        let mut marked = vec![false; relays];
        for &relay in which {
            if let Some(mark) = marked.get_mut(relay as usize) {
                *mark = true;
            }
        }
        Self::Marked(marked)
    }

    /// Whether this relay is the attacker's.
    #[must_use]
    pub fn owns(&self, relay: Relay) -> bool {
        match self {
            Self::From(first) => relay >= *first,
            Self::Marked(marked) => marked.get(relay as usize).copied().unwrap_or(false),
        }
    }
}

/// Recorded tunnels of one network.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Relays in the network; masters are among them.
    pub relays: usize,
    /// Sorted by master, in the order in which each was built.
    pub paths: Vec<Path>,
}

impl Paths {
    /// Sorts what was recorded in a network of `relays`.
    #[must_use]
    pub fn new(relays: usize, mut paths: Vec<Path>) -> Self {
        paths.sort_by_key(|path| path.master);
        Self { relays, paths }
    }

    /// Tunnels that belong together: `linked` of one master, each in one group at most.
    pub fn groups(&self, linked: usize) -> impl Iterator<Item = &[Path]> {
        let masters = self.paths.chunk_by(|one, other| one.master == other.master);
        masters.flat_map(move |paths| paths.chunks_exact(linked.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(master: Relay, hops: &[Relay]) -> Path {
        Path {
            master,
            hops: hops.to_vec(),
        }
    }

    #[test]
    fn the_first_colluder_captures() {
        let attacker = Colluders::these(6, &[3, 4]);
        let capture = path(0, &[1, 2, 3, 4]).capture(&attacker);
        assert_eq!(
            capture,
            Some(Capture {
                at: 2,
                predecessor: 2
            })
        );
        let first = path(0, &[3]).capture(&attacker).expect("captured");
        assert_eq!((first.at, first.predecessor), (0, 0));
        assert_eq!(path(0, &[1, 2, 5]).capture(&attacker), None);
        assert_eq!(
            path(0, &[1, 2, 5])
                .capture(&Colluders::From(5))
                .map(|c| c.at),
            Some(2)
        );
    }

    #[test]
    fn groups_hold_one_master() {
        let paths = Paths::new(4, [1, 0, 1, 1, 0].map(|master| path(master, &[2])).to_vec());
        let masters: Vec<Vec<Relay>> = paths
            .groups(2)
            .map(|group| group.iter().map(|path| path.master).collect())
            .collect();
        assert_eq!(masters, [[0, 0], [1, 1]]);
    }
}
