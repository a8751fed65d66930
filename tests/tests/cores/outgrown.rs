//! Tunnels that were built among a handful of relays are replaced when many are known: a network's first
//! tunnels all end at the same few. A real transport among relays that the tests play.

use deut_tests::kit::{laboratory::Laboratory, peer::Peer};

const SECOND: u64 = 1_000_000;
const TUNNELS: usize = 4;
const RELAYS: u8 = 80;

/// Somebody with tunnels who knows some of the relays.
struct Rig {
    laboratory: Laboratory,
    known: usize,
}

impl Rig {
    fn who_knows(known: usize) -> Self {
        let peers = (1..=RELAYS).map(Peer::honest).collect();
        let laboratory = Laboratory::with(0, peers, (TUNNELS, 0));
        let mut rig = Self {
            laboratory,
            known: 1,
        };
        rig.hears_of(known);
        rig
    }

    /// It comes to know so many, and has time. How many tunnels it has built in all.
    fn hears_of(&mut self, known: usize) -> usize {
        self.laboratory.introduce(self.known..known);
        self.known = known;
        self.laboratory.run(100 * SECOND);
        assert_eq!(self.laboratory.client().relays().len(), known);
        self.laboratory.tunnels_up()
    }
}

#[test]
fn tunnels_that_the_directory_has_outgrown_are_replaced_once() {
    let mut rig = Rig::who_knows(4);
    assert_eq!(rig.laboratory.tunnels_up(), TUNNELS);
    assert_eq!(rig.hears_of(11), TUNNELS, "control: not yet");
    assert_eq!(rig.hears_of(16), 2 * TUNNELS);
    // The new ones were built among enough.
    assert_eq!(rig.hears_of(usize::from(RELAYS)), 2 * TUNNELS);
}
