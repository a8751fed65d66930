//! Sixty-four nodes with all their cryptography real, under loss, with every frame and every control cell read: the
//! scenario that keeps the simulator's stand-ins honest.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use deut_tests::sim::{Crypto, Settings, Simulation};
use deut_transport::probe::Seen;

const CONTROL: u8 = 2;
const GOSSIP: u8 = 4;
/// Cells between a master and its endpoint that may carry a persona's contact: `Advertise`, the answer to `Seeds`.
const ADVERTISE: u8 = 3;
const SEEDS_ANSWER: u8 = 132;

/// Where the keys of personas were seen: in frames, in cells of other kinds, and in those that may carry them.
#[derive(Default)]
struct Sightings {
    keys: BTreeMap<[u8; 8], [u8; 32]>,
    frames: u64,
    cells: u64,
    in_frames: Vec<u8>,
    in_cells: BTreeMap<u8, u64>,
}

impl Sightings {
    fn holds_key(&self, bytes: &[u8]) -> bool {
        bytes.windows(32).any(|window| {
            window
                .first_chunk::<8>()
                .and_then(|head| self.keys.get(head))
                .is_some_and(|key| key == window)
        })
    }

    fn look(&mut self, seen: &Seen) {
        match seen {
            Seen::Frame(frame) if matches!(frame[0], CONTROL | GOSSIP) => {
                self.frames += 1;
                if self.holds_key(frame.as_slice()) {
                    self.in_frames.push(frame[0]);
                }
            }
            Seen::Cell(_, cell) => {
                self.cells += 1;
                if self.holds_key(cell) {
                    *self.in_cells.entry(cell[0]).or_default() += 1;
                }
            }
            _ => {}
        }
    }
}

#[test]
fn sixty_four_real_nodes_find_values_and_show_no_persona_where_none_belongs() {
    let mut simulation = Simulation::new(Settings {
        nodes: 64,
        seed: 64,
        duration_s: 260,
        loss_per_mille: 10,
        duplicate_per_mille: 5,
        reorder_per_mille: 10,
        values: 40,
        lookups_per_s: 3.0,
        join_s: 20,
        settle_s: 60,
        crypto: Crypto::Real,
        check_every: 1,
        ..Settings::default()
    });
    simulation.run(40);
    let sightings = Arc::new(Mutex::new(Sightings::default()));
    {
        let mut sightings = sightings.lock().unwrap_or_else(PoisonError::into_inner);
        for node in &simulation.net.nodes {
            let key = node
                .core
                .persona_key()
                .expect("at once in the test profile");
            sightings
                .keys
                .insert(*key.first_chunk().expect("32 bytes"), key);
        }
    }
    for node in &mut simulation.net.nodes {
        let sightings = Arc::clone(&sightings);
        node.core.set_probe(Box::new(move |seen| {
            sightings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .look(&seen);
        }));
    }
    simulation.run(220);
    simulation.finish();

    let report = simulation.report();
    assert!(report.lookups.tried > 200, "{report}");
    assert!(report.lookups.success_rate() > 0.99, "{report}");
    assert!(report.lookups.recall() > 0.97, "{report}");
    let sightings = sightings.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(sightings.frames > 1_000 && sightings.cells > 1_000);
    assert_eq!(sightings.in_frames, Vec::<u8>::new());
    let mut allowed = sightings.in_cells.clone();
    // Positive control: the scanner finds them where they belong.
    assert!(
        allowed.remove(&ADVERTISE) > Some(0),
        "{:?}",
        sightings.in_cells
    );
    allowed.remove(&SEEDS_ANSWER);
    assert!(allowed.is_empty(), "{allowed:?}");
}
