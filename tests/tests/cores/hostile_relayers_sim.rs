//! Networks in which a fifth of the relayers is hostile, each kind of them: what they do really happens, nothing of the sort
//! happens among honest ones, values are found all the same, and who takes tunnels for itself gets the share that the
//! anonymity meter computes.

#![expect(clippy::print_stdout, reason = "figures for whoever reads along")]

use std::sync::OnceLock;

use deut::core::CoreConfig;
use deut_tests::{
    hostile::{Conspiracy, Deeds, Kind},
    meter::{FORWARD, Path, Recorder, Relay, closed, closed::Size},
    net::{Net, Suites},
    sim::{Report, Settings, Simulation},
};
use deut_transport::DropReason;
use rand::{SeedableRng, rngs::StdRng};

const NODES: usize = 40;
const SECOND: u64 = 1_000_000;

/// What came of lookups in one network.
struct Lookups {
    report: Report,
    deeds: Deeds,
    /// Cells that did not open at the end of their tunnel, and cells that it had seen before: at endpoints, at masters.
    forged: (u64, u64),
    repeated: (u64, u64),
}

impl Lookups {
    fn among(kind: Kind) -> Self {
        let mut simulation = Simulation::new(Settings {
            nodes: NODES,
            seed: 29,
            duration_s: 200,
            hostile_percent: 20,
            hostile: kind,
            values: 40,
            lookups_per_s: 6.0,
            join_s: 10,
            settle_s: 60,
            anonymity: true,
            ..Settings::default()
        });
        simulation.run_all(|_| {});
        let recorder = simulation.recorder().expect("walks are recorded");
        let these = Self {
            report: simulation.report(),
            deeds: simulation.deeds(),
            forged: recorder.refused(DropReason::CellForged),
            repeated: recorder.refused(DropReason::Replayed),
        };
        let lookups = &these.report.lookups;
        println!(
            "{kind:?}: {} hostile; {} of {} lookups, {:.0} ms half of them, {:.0} ms 99 %; {} walks; {:?}; at endpoints and \
             masters not opened {:?}, seen before {:?}",
            simulation.hostile().len(),
            lookups.found,
            lookups.tried,
            lookups.latency_ms(0.5),
            lookups.latency_ms(0.99),
            these.walks(),
            these.deeds,
            these.forged,
            these.repeated,
        );
        these
    }

    fn walks(&self) -> u64 {
        self.report.walks.0
    }

    fn found(&self) -> f64 {
        assert!(self.report.lookups.tried > 200, "{}", self.report);
        self.report.lookups.success_rate()
    }
}

/// The same network, in which those relays do nothing wrong.
fn lookups_among_honest() -> &'static Lookups {
    static TWIN: OnceLock<Lookups> = OnceLock::new();
    TWIN.get_or_init(|| Lookups::among(Kind::None))
}

#[test]
fn among_honest_relayers_no_cell_is_refused() {
    let twin = lookups_among_honest();
    assert_eq!(twin.deeds, Deeds::default());
    assert_eq!((twin.forged, twin.repeated), ((0, 0), (0, 0)));
    assert!(twin.found() > 0.99);
}

#[test]
fn masters_leave_relayers_that_swallow_cells_and_find_values() {
    let (run, twin) = (Lookups::among(Kind::Drop), lookups_among_honest());
    assert!(run.deeds.swallowed > 300);
    assert!(run.walks() > twin.walks() + 30);
    assert!(run.found() > 0.98);
}

#[test]
fn masters_leave_relayers_that_hold_cells_back_and_find_values() {
    let (run, twin) = (Lookups::among(Kind::Delay), lookups_among_honest());
    assert!(run.deeds.held_back > 300);
    // So lookups are hardly slower than among honest ones.
    assert!(run.walks() > twin.walks() + 30);
    assert!(run.found() > 0.98);
}

#[test]
fn cells_that_a_relayer_alters_do_not_open_at_either_end() {
    let (run, twin) = (Lookups::among(Kind::Corrupt), lookups_among_honest());
    assert!(run.deeds.altered > 300);
    assert!(run.forged.0 > 100 && run.forged.1 > 100);
    // The links are genuine: nothing of it shows on them.
    assert_eq!(run.report.drops.get("LinkForged"), None);
    assert!(run.walks() > twin.walks() + 30);
    assert!(run.found() > 0.98);
}

#[test]
fn cells_that_a_relayer_repeats_are_known_at_either_end() {
    let run = Lookups::among(Kind::Replay);
    assert!(run.deeds.repeated > 1_000);
    assert!(run.repeated.0 > 300 && run.repeated.1 > 300);
    assert_eq!(run.forged, (0, 0));
    assert!(run.found() > 0.99);
}

/// Tunnels live for some seconds only, so that many are built.
fn many_walks(config: &mut CoreConfig) {
    config.transport.lookup_tunnels = 24;
    config.transport.limits.builds_at_once = 2;
    config.transport.times.tunnel_life_ms = 8_000;
    config.transport.times.overlap_ms = 1_000;
    config.persona = false;
}

/// The walks of honest masters in a network where every fifth relay is hostile.
struct Walks {
    paths: Vec<Path>,
    hostile: Vec<Relay>,
}

impl Walks {
    fn among(kind: Kind) -> Self {
        let mut net = Net::of_relays(31, Suites::stand_in(), NODES, many_walks);
        net.run(10 * SECOND);
        let known = |node: &deut_tests::net::Node| node.core.relays().len() == NODES - 1;
        assert!(net.nodes.iter().all(known));
        let recorder = Recorder::attach(&mut net);
        let conspiracy = Conspiracy::default();
        let mut rng = StdRng::seed_from_u64(31);
        let members: Vec<usize> = (4..NODES).step_by(5).collect();
        for &node in &members {
            conspiracy.corrupt(&mut net, node, kind, &mut rng);
        }
        net.run(25 * SECOND);
        let hostile: Vec<Relay> = members.iter().map(|node| *node as Relay).collect();
        let mut paths = recorder.paths().paths;
        paths.retain(|path| !hostile.contains(&path.master));
        let these = Self { paths, hostile };
        these.tell(kind);
        these
    }

    fn tell(&self, kind: Kind) {
        let (size, (share, error)) = (self.size(), self.ended_at_hostile());
        println!(
            "{kind:?}: {} hostile; {share:.3} ± {error:.3} of {} tunnels of honest masters end at one; closed forms: {:.3} if \
             they play by the rules, {:.3} if they take what they meet ({:.3} in a large network); they passed on {:?}",
            size.colluders,
            self.paths.len(),
            size.first_bad(),
            size.captured(FORWARD),
            closed::captured(FORWARD, size.colluders as f64 / size.relays as f64),
            self.passed_on(),
        );
    }

    fn size(&self) -> Size {
        Size {
            relays: NODES,
            colluders: self.hostile.len(),
        }
    }

    /// The share of tunnels that end at a hostile relay, and its standard error.
    fn ended_at_hostile(&self) -> (f64, f64) {
        let ended = |path: &&Path| {
            path.endpoint()
                .is_some_and(|end| self.hostile.contains(&end))
        };
        let all = self.paths.len() as f64;
        let share = self.paths.iter().filter(ended).count() as f64 / all;
        (share, (share * (1.0 - share) / all).sqrt())
    }

    /// Whether that share is what it should be, within four standard errors.
    fn ends_as(&self, expected: f64) -> bool {
        let (share, error) = self.ended_at_hostile();
        self.paths.len() > 1_000 && (share - expected).abs() < 4.0 * error
    }

    /// Walks that hostile relays passed on: to each other, to honest ones.
    fn passed_on(&self) -> (usize, usize) {
        let hostile = |relay: &Relay| self.hostile.contains(relay);
        let steps = self.paths.iter().flat_map(Path::steps);
        let (inside, outside): (Vec<_>, Vec<_>) = steps
            .filter(|(from, _)| hostile(from))
            .partition(|(_, to)| hostile(to));
        (inside.len(), outside.len())
    }
}

/// The same network, in which those relays do nothing wrong.
fn walks_among_honest() -> &'static Walks {
    static TWIN: OnceLock<Walks> = OnceLock::new();
    TWIN.get_or_init(|| Walks::among(Kind::None))
}

#[test]
fn relays_that_play_by_the_rules_end_no_more_tunnels_than_others() {
    let twin = walks_among_honest();
    assert!(twin.ends_as(twin.size().first_bad()));
    assert!(!twin.ends_as(twin.size().captured(FORWARD)));
    let (inside, outside) = twin.passed_on();
    assert!(inside > 50 && outside > 200);
}

#[test]
fn relayers_that_end_every_walk_get_the_share_that_the_closed_form_says() {
    let walks = Walks::among(Kind::AlwaysEndpoint);
    let size = walks.size();
    assert_eq!(walks.passed_on(), (0, 0));
    assert!(walks.ends_as(size.captured(FORWARD)) && !walks.ends_as(size.first_bad()));
    assert!(Lookups::among(Kind::AlwaysEndpoint).found() > 0.99);
}

#[test]
fn relayers_that_pass_walks_on_to_each_other_get_the_same_share() {
    let walks = Walks::among(Kind::OnlyToColluders);
    let size = walks.size();
    let (inside, outside) = walks.passed_on();
    assert!(inside > 500 && outside == 0);
    assert!(walks.ends_as(size.captured(FORWARD)) && !walks.ends_as(size.first_bad()));
    assert!(Lookups::among(Kind::OnlyToColluders).found() > 0.99);
}
