//! The anonymity meter against closed forms, published figures, and real cores.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::sync::LazyLock;

use deut_tests::meter::{
    Estimate, FORWARD, Network, OnPaper, Path, Paths, Rules, SHARES,
    closed::{self, Size},
    crowds, even,
    lookup::{self, Linked, Lookup, Shape},
    lookup_tables, report,
    report::{plateau, shapes},
    sampler::{Crowd, First, Following, Length, Sampler},
    scenes,
    source::{Source, generator},
    tables, tunnel,
};

const SEED: u64 = 2026;
const SAMPLES: u64 = if cfg!(debug_assertions) {
    100_000
} else {
    1_000_000
};
/// So many that a relay is hardly met twice: the forms of a large network hold.
const LARGE: usize = 1_000_000;
/// Most standard errors between a figure and what it should be.
const MOST: f64 = 3.0;
/// Most for one of a hundred figures.
const FAR: f64 = 4.5;
/// A p below this one speaks against chance.
const LEAST: f64 = 0.001;

const fn walks(relays: usize) -> OnPaper {
    OnPaper {
        rules: Rules::walk(FORWARD),
        relays,
        samples: SAMPLES,
    }
}

#[track_caller]
fn near(estimate: Estimate, expected: f64) {
    let off = estimate.off(expected);
    assert!(
        off <= MOST,
        "{off:.2} standard errors from {expected}: {estimate:?}"
    );
}

#[track_caller]
fn near_closed(estimate: Option<Estimate>) {
    let estimate = estimate.expect("enough samples");
    near(estimate, estimate.closed.expect("a closed form"));
}

/// A large grid of figures: one in a hundred may be three standard errors off by chance, none may be far off.
#[derive(Default)]
struct Grid(Vec<f64>);

impl Grid {
    fn add(&mut self, estimate: Option<Estimate>) {
        let estimate = estimate.expect("enough samples");
        let off = estimate.deviation().expect("a closed form");
        println!("{estimate:?}");
        self.add_off(off);
    }

    fn add_off(&mut self, off: f64) {
        assert!(off <= FAR, "{off:.2} standard errors");
        self.0.push(off);
    }

    fn is_near(&self) -> bool {
        let outside = self.0.iter().filter(|off| **off > MOST).count();
        println!("{outside} of {} beyond three standard errors", self.0.len());
        outside <= self.0.len().div_ceil(100)
    }
}

fn rounds_to(value: f64, printed: f64, digits: i32) -> bool {
    (value - printed).abs() <= 0.500_001 * 10.0_f64.powi(-digits)
}

/// How far the figures of single tunnels are from what they should be, in standard errors.
fn offs(network: &dyn Network, c: f64) -> [f64; 4] {
    let t = tunnel::measure(network, FORWARD, c, SEED).expect("enough samples");
    let all = [t.endpoint_bad, t.master_before, t.exposed, t.suspicion];
    all.map(|estimate| estimate.deviation().expect("a closed form"))
}

#[test]
fn single_tunnels_have_the_closed_forms() {
    for c in SHARES {
        let t = tunnel::measure(&walks(LARGE), FORWARD, c, SEED).expect("enough samples");
        near(t.endpoint_bad, closed::captured(FORWARD, c));
        near(t.master_before, closed::master_before(FORWARD, c));
        near(t.exposed, c);
        near(t.suspicion, 1.0 - FORWARD);
        near(t.half_life, closed::half_life(c));
        let e = t.entropies;
        for figure in [e.captured, e.least, e.effective, e.average] {
            near_closed(Some(figure));
        }
        near_closed(tunnel::ever(&walks(LARGE), c, 10, SEED));
        near_closed(tunnel::ever(&walks(LARGE), c, 100, SEED));
        // In a small network only the exact forms hold.
        let small = offs(&walks(30), c);
        println!("c = {c}: {t:?}\n30 relays: {small:?} standard errors");
        assert!(small.into_iter().all(|off| off <= MOST), "{small:?}");
    }
    let small = tunnel::measure(&walks(30), FORWARD, 0.1, SEED).expect("enough samples");
    assert!(small.endpoint_bad.off(closed::captured(FORWARD, 0.1)) > MOST);
}

/// A walk of fixed length, and one whose choices lean towards the attacker, in a network on paper.
struct Twin {
    rules: Rules,
    lean: f64,
}

impl Network for Twin {
    fn relays(&self) -> usize {
        1_000
    }

    fn source(&self, c: f64, linked: usize, seed: u64) -> Option<Box<dyn Source + '_>> {
        let mut crowd = Crowd::even(Size::of(1_000, c));
        crowd.share *= self.lean;
        let rng = generator(seed, "twin", c, linked);
        Some(Box::new(Sampler::new(
            self.rules,
            crowd,
            linked,
            100_000 / linked as u64,
            rng,
        )))
    }
}

#[test]
fn broken_walks_are_noticed() {
    let mut rules = Rules::walk(FORWARD);
    let honest = offs(&Twin { rules, lean: 1.0 }, 0.1);
    assert!(honest.into_iter().all(|off| off <= MOST), "{honest:?}");
    let [captured, _, exposed, _] = offs(&Twin { rules, lean: 1.1 }, 0.1);
    assert!(captured > MOST && exposed > MOST);
    rules.length = Length::Fixed(3);
    let [captured, before, exposed, suspicion] = offs(&Twin { rules, lean: 1.0 }, 0.1);
    // The first hop does not care how long the walk is; all else does, but for the mean.
    assert!(captured > MOST && before > MOST && exposed <= MOST && suspicion <= 2.0 * MOST);
    rules.length = Length::Coins(0.7);
    let [captured, before, _, suspicion] = offs(&Twin { rules, lean: 1.0 }, 0.1);
    assert!(captured > MOST && before > MOST && suspicion > MOST);
}

#[test]
fn figures_computed_elsewhere_come_out() {
    // For p_f = 0.75 and 2/3: endpoint bad, predecessor the master.
    let printed = [
        (0.01, [0.029, 0.340], [0.039, 0.258]),
        (0.05, [0.136, 0.367], [0.174, 0.288]),
        (0.10, [0.250, 0.400], [0.308, 0.325]),
        (0.20, [0.429, 0.467], [0.500, 0.400]),
        (0.30, [0.563, 0.533], [0.632, 0.475]),
    ];
    for (c, two_thirds, three_quarters) in printed {
        for (forward, [captured, before]) in [(FORWARD, two_thirds), (0.75, three_quarters)] {
            assert!(rounds_to(closed::captured(forward, c), captured, 3));
            assert!(rounds_to(closed::master_before(forward, c), before, 3));
        }
    }
    for (c, walk, onion) in [(0.01, 69.0, 6_931.0), (0.1, 6.6, 69.0), (0.2, 3.1, 17.0)] {
        assert!(rounds_to(
            closed::half_life(c),
            walk,
            i32::from(walk < 10.0)
        ));
        assert!(rounds_to(closed::half_life(c * c), onion, 0));
    }
    // Bits of a captured tunnel and of all, among 1,000, p_f = 0.75; captured ones with 2/3.
    for (c, captured, all, two_thirds) in [
        (0.05, 7.91, 9.55, 7.21),
        (0.1, 7.53, 9.11, 6.85),
        (0.2, 6.75, 8.20, 6.13),
        (0.3, 5.95, 7.24, 5.40),
    ] {
        let honest = 1_000.0 * (1.0 - c);
        let bits = |forward| closed::entropy(closed::master_before(forward, c), honest - 1.0);
        let p = closed::captured(0.75, c);
        assert!((bits(0.75) - captured).abs() < 0.01 && (bits(FORWARD) - two_thirds).abs() < 0.01);
        assert!((p * bits(0.75) + (1.0 - p) * honest.log2() - all).abs() < 0.01);
    }
}

#[test]
fn linked_tunnels_follow_the_predecessor_curve() {
    let mut grid = Grid::default();
    for c in SHARES {
        for linked in tunnel::LINKED {
            grid.add(tunnel::guessed(&walks(LARGE), FORWARD, c, linked, SEED));
        }
    }
    assert!(grid.is_near());
    // Somebody else's Monte Carlo of some 1,000 runs each: 1,000 relays, p_f = 0.75, printed with two digits.
    let network = OnPaper {
        rules: Rules::walk(0.75),
        ..walks(1_000)
    };
    for (c, printed) in [
        (0.01, [0.00, 0.03, 0.10, 0.19, 0.40, 0.83]),
        (0.05, [0.06, 0.12, 0.27, 0.53, 0.95, 1.0]),
        (0.10, [0.10, 0.20, 0.41, 0.83, 1.0, 1.0]),
    ] {
        for (linked, printed) in tunnel::LINKED.into_iter().zip(printed) {
            let ours = tunnel::guessed(&network, 0.75, c, linked, SEED).expect("enough");
            let error = (ours.value * (1.0 - ours.value) / 1_000.0).sqrt();
            let gap = (ours.value - printed).abs();
            assert!(gap < 3.0 * error + 0.005, "c = {c}, k = {linked}: {ours:?}");
        }
    }
}

#[test]
fn onion_paths_and_guards_have_the_closed_forms() {
    let mut grid = Grid::default();
    for c in SHARES {
        for (first, guards) in [
            (First::Fresh, None),
            (First::Guards(3), Some(3)),
            (First::Guards(1), Some(1)),
        ] {
            let network = OnPaper {
                rules: Rules::onion(first),
                ..walks(1_000)
            };
            for linked in [1, 10, 100] {
                let exposed = tunnel::onion_exposed(&network, c, linked, SEED).expect("enough");
                grid.add(Some(exposed));
                if linked == 1 {
                    near(exposed, c * c);
                }
                // Guards cap it; without them it goes on.
                let most = guards.map_or(1.0, |guards| plateau(guards, c));
                assert!(exposed.value <= most + MOST * exposed.error.max(0.001));
            }
        }
    }
    assert!(grid.is_near());
}

#[test]
fn prisms_sixteen_crowds_come_out() {
    for cell in crowds::table(SAMPLES, SEED) {
        let exact = cell.drawn.closed.expect("a closed form");
        assert!((exact - cell.published).abs() < 2e-9, "{cell:?}");
        near(cell.drawn, cell.published);
    }
    // Twins: a crowd that never goes back, and one that goes on too rarely.
    let mut back = Rules::crowds(crowds::FORWARD);
    back.following = Following::NotBack;
    let few = Rules::crowds(0.75);
    for rules in [back, few] {
        let drawn = crowds::seen_twice(rules, 5, 6, SAMPLES, SEED);
        assert!(drawn.off(crowds::PUBLISHED[3].1[0]) > MOST, "{drawn:?}");
    }
}

fn shape(replies: usize, on_key: usize) -> Shape {
    Shape {
        replies,
        requests: lookup::REQUESTS,
        on_key,
    }
}

#[test]
fn lookups_have_the_closed_forms() {
    let network = OnPaper {
        samples: SAMPLES / 4,
        ..walks(LARGE)
    };
    let mut grid = Grid::default();
    for c in SHARES {
        for shape in shapes() {
            for what in Linked::EACH {
                grid.add(lookup::drawn(&network, FORWARD, c, (shape, what), SEED));
            }
        }
    }
    assert!(grid.is_near());
    // Twin: a tunnel more than counted.
    let mut twin = lookup::drawn(&network, FORWARD, 0.1, (shape(2, 0), Linked::Replies), SEED);
    twin = twin.map(|drawn| drawn.against(closed::guessed(FORWARD, 0.1, 3)));
    assert!(
        twin.and_then(|twin| twin.deviation())
            .is_some_and(|off| off > FAR)
    );
    // What docs/threat-model.md prints for c = 10 %.
    let named = |shape, what| lookup::named(FORWARD, 0.1, shape, what);
    assert!(rounds_to(named(shape(2, 0), Linked::Replies), 0.17, 2));
    assert!(rounds_to(
        named(shape(2, 0), Linked::RepliesAndTold),
        0.24,
        2
    ));
    assert!(rounds_to(
        closed::guessed(FORWARD, 0.1, 2 + lookup::CLOSEST),
        0.46,
        2
    ));
    assert!(rounds_to(closed::guessed(FORWARD, 0.1, 8), 0.41, 2));
    // Recipients see less than that bound, and the more reply tunnels, the more.
    assert!(rounds_to(named(shape(2, 0), Linked::Told), 0.16, 2));
    for what in [Linked::Replies, Linked::Told, Linked::All] {
        let of = |replies| named(shape(replies, 0), what);
        assert!(of(1) < of(2) && of(2) < of(4) && of(4) < of(8));
    }
}

const NODES: usize = 60;

static RECORDED: LazyLock<Paths> = LazyLock::new(|| {
    let wanted = if cfg!(debug_assertions) { 2_000 } else { 3_000 };
    scenes::walks(NODES, wanted, SEED).expect("enough walks in ten virtual minutes")
});

static LOOKUPS: LazyLock<Vec<Lookup>> = LazyLock::new(|| scenes::lookups(40, 120, SEED));

#[test]
fn real_cores_walk_as_the_rules_say() {
    let even = even::check(&RECORDED, FORWARD);
    println!("{} walks: {even:?}", RECORDED.paths.len());
    assert!(RECORDED.paths.len() >= 1_900 && even.least() > LEAST);
    assert_eq!(even.back, 0);
    let mut grid = Grid::default();
    for c in SHARES {
        let [captured, before, exposed, suspicion] = offs(&*RECORDED, c);
        println!("c = {c}: {captured:.2} {before:.2} {exposed:.2} {suspicion:.2} errors");
        for off in [captured, before, exposed, suspicion] {
            grid.add_off(off);
        }
        // Linked tunnels, against the sampler with as many relays.
        for linked in [3, 10] {
            let real = tunnel::guessed(&*RECORDED, FORWARD, c, linked, SEED).expect("enough");
            let paper = tunnel::guessed(&walks(NODES), FORWARD, c, linked, SEED).expect("enough");
            let apart = (real.value - paper.value).abs() / real.error.hypot(paper.error);
            println!("c = {c}, k = {linked}: {real:?} {paper:?}");
            grid.add_off(apart);
        }
    }
    assert!(grid.is_near());
}

fn changed(paths: &Paths, change: impl FnMut(&mut Path)) -> Paths {
    let mut paths = paths.clone();
    paths.paths.iter_mut().for_each(change);
    paths
}

#[test]
fn recorded_walks_that_lean_or_stop_are_noticed() {
    let last = NODES as u32 - 1;
    // Every twentieth walk begins at one relay.
    let mut count = 0;
    let leaning = changed(&RECORDED, |path| {
        count += 1;
        if count % 20 == 0 && path.master != last && path.hops.get(1) != Some(&last) {
            path.hops[0] = last;
        }
    });
    assert!(even::check(&leaning, FORWARD).visits < LEAST);
    // Every twentieth walk begins at the neighbour by number.
    let near = changed(&RECORDED, |path| {
        count += 1;
        let next = (path.master + 1) % NODES as u32;
        if count % 20 == 0 && path.hops.get(1) != Some(&next) {
            path.hops[0] = next;
        }
    });
    assert!(even::check(&near, FORWARD).distances < LEAST);
    // Nobody walks further than three.
    let short = changed(&RECORDED, |path| path.hops.truncate(3));
    assert!(even::check(&short, FORWARD).lengths < LEAST);
    assert!(offs(&short, 0.1)[0] > MOST);
    // The endpoint tells.
    let telling = changed(&RECORDED, |path| {
        count += 1;
        if count % 10 == 0 {
            *path.hops.last_mut().expect("a hop") = (path.master + 7) % NODES as u32;
        }
    });
    assert!(even::check(&telling, FORWARD).endpoints < LEAST);
    let mut back = RECORDED.clone();
    let long = back.paths.iter_mut().find(|path| path.hops.len() > 1);
    let long = long.expect("one of many");
    long.hops[1] = long.master;
    assert_eq!(even::check(&back, FORWARD).back, 1);
}

#[test]
fn real_lookups_leak_what_the_model_says() {
    assert!(LOOKUPS.len() >= 110, "{} lookups", LOOKUPS.len());
    for lookup in LOOKUPS.iter() {
        let replies: Vec<_> = lookup.replies.iter().map(Path::endpoint).collect();
        assert!((1..=2).contains(&replies.len()) && replies.first() != replies.get(1));
        // No request leaves by a tunnel that answers come back through.
        assert_eq!(lookup.returning, 0);
        assert!(
            lookup
                .requests
                .iter()
                .all(|asked| asked.recipient.is_some())
        );
    }
    // The closed forms are those of a large network; this one is small. So: the same lookups over tunnels on paper.
    let paper = lookup::redrawn(&LOOKUPS, 40, FORWARD, (20, SEED));
    let apart = |lookups: &[Lookup], c: f64, what: Linked| {
        let of = |lookups| lookup::recorded(lookups, 40, (FORWARD, c), what, SEED);
        let (real, paper) = (of(lookups).expect("enough"), of(&paper).expect("enough"));
        println!(
            "c = {c}, {what:?}: {:.4} ± {:.4}, on paper {:.4} ± {:.4}",
            real.value, real.error, paper.value, paper.error
        );
        (real.value - paper.value).abs() / real.error.hypot(paper.error)
    };
    let mut grid = Grid::default();
    for c in SHARES {
        for what in Linked::EACH {
            grid.add_off(apart(&LOOKUPS, c, what));
        }
    }
    assert!(grid.is_near());
    // Twin: eight reply tunnels instead of two.
    let twin = |lookup: &Lookup| {
        let sends = lookup.requests.iter().map(|asked| asked.send.clone());
        let replies = lookup.replies.iter().cloned().chain(sends).take(8);
        Lookup {
            replies: replies.collect(),
            ..lookup.clone()
        }
    };
    let twins: Vec<Lookup> = LOOKUPS.iter().map(twin).collect();
    assert!(apart(&twins, 0.1, Linked::Replies) > FAR);
}

#[test]
fn a_storing_node_learns_nothing_of_the_master() {
    // It sees where answers go and where requests come from: two endpoints. Guessing by them is right as often as chance.
    let endpoint = |path: &Path| path.endpoint().expect("a hop");
    let mut counts = vec![0_u64; NODES];
    for path in &RECORDED.paths {
        counts[(endpoint(path) as usize + NODES - path.master as usize) % NODES] += 1;
    }
    let best = *counts.iter().max().expect("some") as f64;
    let (all, p) = (RECORDED.paths.len() as f64, 1.0 / (NODES as f64 - 1.0));
    let most = all * p + 4.5 * (all * p).sqrt();
    println!("best fixed guess: {best} of {all}, chance {:.1}", all * p);
    assert!(best < most);
    // Positive control: its previous hop tells the endpoint a third.
    let before = |path: &Path| path.steps().last().map(|(before, _)| before);
    let own = RECORDED
        .paths
        .iter()
        .filter(|path| before(path) == Some(path.master));
    assert!(own.count() as f64 > most);
}

#[test]
fn same_seed_same_report() {
    let network = OnPaper {
        samples: 10_000,
        ..walks(1_000)
    };
    let print = |seed| format!("{:?}", report(&network, 0.1, seed));
    assert_eq!(print(1), print(1));
    assert_ne!(print(1), print(2));
}

/// Cells without what was measured: closed forms and words.
fn computed(line: &str) -> String {
    let cell = |cell: &str| match cell
        .split_once(" ± ")
        .and_then(|(_, rest)| rest.split_once('['))
    {
        Some((_, closed)) => format!("[{closed}"),
        None => cell.to_owned(),
    };
    line.split(" | ").map(cell).collect::<Vec<_>>().join(" | ")
}

#[test]
fn the_document_has_the_tables() {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/anonymity.md");
    let text = std::fs::read_to_string(place).expect("a document");
    let lines: Vec<String> = text.lines().map(computed).collect();
    let network = OnPaper {
        samples: 10_000,
        ..walks(1_000)
    };
    let reports: Vec<_> = SHARES.map(|c| report(&network, c, SEED)).into();
    let mut all = tables::tunnels(&reports, "walk", "walks on paper");
    all.extend(lookup_tables::lookups(&reports));
    all.push(lookup_tables::alone(&reports[0]));
    all.push(tables::onions(1_000, 10_000, SEED));
    all.push(tables::prism(10_000, SEED));
    let rows: Vec<String> = all
        .iter()
        .flat_map(|table| table.markdown().lines().map(computed).collect::<Vec<_>>())
        .filter(|line| line.starts_with("| ") && !line.contains("---"))
        .collect();
    assert!(rows.len() > 80);
    for row in &rows {
        assert!(lines.contains(row), "docs/anonymity.md lacks: {row}");
    }
    assert!(!lines.contains(&rows[1].replacen("[", "[9", 1)));
}
