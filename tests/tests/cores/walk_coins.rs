//! The random walk: its coins are fair, and nobody can tell an own request from a forwarded one (protocol §6.1).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use deut::core::CoreConfig;
use deut_tests::{
    kit::relay::endpoint_ports,
    net::Net,
    observe::{capture, stats},
    stand_in::StandIn,
};
use deut_transport::{observe::Seen, wire::frame::FrameBytes};

const NODES: usize = 64;
/// A p below this one speaks against chance.
const LEAST: f64 = 0.001;
const FORWARD: f64 = 2.0 / 3.0;
const MOST_HOPS: usize = 12;

/// Counted coins: endpoint, relayer.
type Coins = (u64, u64);

fn coins(net: &Net) -> Vec<Coins> {
    let of = |node: &deut_tests::net::Node| {
        (
            node.core.counters().coins_endpoint,
            node.core.counters().coins_relayer,
        )
    };
    net.nodes.iter().map(of).collect()
}

/// All coins together, and each node's by itself.
fn fair(coins: &[Coins]) -> [f64; 2] {
    let cells = |&(endpoint, relayer): &Coins| {
        let all = (endpoint + relayer) as f64;
        ([endpoint, relayer], [all * (1.0 - FORWARD), all * FORWARD])
    };
    let sum = coins.iter().fold((0, 0), |sum: Coins, coins| {
        (sum.0 + coins.0, sum.1 + coins.1)
    });
    let (observed, expected) = cells(&sum);
    let value = |coins: &Coins| {
        let (observed, expected) = cells(coins);
        observed
            .iter()
            .zip(expected)
            .map(|(&o, e)| (o as f64 - e).powi(2) / e)
            .sum::<f64>()
    };
    [
        stats::fit(&observed, &expected),
        stats::chi_square_p(coins.iter().map(value).sum(), coins.len()),
    ]
}

fn lengths(net: &Net) -> Vec<u64> {
    let mut lengths = vec![0; MOST_HOPS];
    for node in &net.nodes {
        for tunnel in node.core.tunnels(net.now()) {
            lengths[tunnel.hops - 1] += 1;
        }
    }
    lengths
}

/// How well these lengths fit tunnels that go on with probability `forward`; the rare long ones in one cell.
fn geometric(lengths: &[u64], forward: f64) -> f64 {
    let cells = 9;
    let mut observed = lengths[..cells].to_vec();
    observed[cells - 1] += lengths[cells..].iter().sum::<u64>();
    stats::fit(
        &observed,
        &stats::geometric(forward, MOST_HOPS, cells, lengths.iter().sum()),
    )
}

#[test]
fn coins_are_fair_and_lengths_geometric() {
    for seed in [41, 42, 43] {
        let mut net = Net::of_relays(seed, Arc::new(StandIn), NODES, |config| {
            config.transport.lookup_tunnels = 28
        });
        net.run(30_000_000);
        let (coins, lengths) = (coins(&net), lengths(&net));
        let (all, geometric_p) = (fair(&coins), geometric(&lengths, FORWARD));
        let sums = coins
            .iter()
            .fold((0, 0), |sum, coins| (sum.0 + coins.0, sum.1 + coins.1));
        println!(
            "seed {seed}: coins {sums:?}, p = {all:?}; lengths {lengths:?}, p = {geometric_p}"
        );
        assert!(sums.0 + sums.1 > 4_000 && lengths.iter().sum::<u64>() > 1_700);
        assert!(all.into_iter().all(|p| p > LEAST) && geometric_p > LEAST);
        // Twins: a node that always plays the endpoint, all of them a bit too eager, a walk with p_f = 0.6.
        let mut broken = coins.clone();
        broken[9] = (broken[9].0 + broken[9].1, 0);
        assert!(fair(&broken)[1] < LEAST);
        let eager: Vec<Coins> = coins
            .iter()
            .map(|&(e, r)| (e + r / 10, r - r / 10))
            .collect();
        assert!(fair(&eager)[0] < LEAST);
        let short: Vec<u64> = stats::geometric(0.6, MOST_HOPS, MOST_HOPS, lengths.iter().sum())
            .iter()
            .map(|e| *e as u64)
            .collect();
        assert!(geometric(&short, FORWARD) < LEAST);
    }
}

/// Ports rest for two minutes; where none is left, an endpoint's coin sends the walk on.
fn many_ports(config: &mut CoreConfig) {
    endpoint_ports(&mut config.transport, 1_000);
}

fn many_tunnels(config: &mut CoreConfig) {
    config.transport.lookup_tunnels = 170;
    config.transport.limits.builds_at_once = 8;
    config.persona = false;
    many_ports(config);
}

/// Walk requests as the relays that they reach decrypt them: own ones of the sender, forwarded ones.
#[derive(Default)]
struct Requests {
    own: BTreeSet<[u8; 32]>,
    forwarded: BTreeSet<[u8; 32]>,
    frames: Vec<FrameBytes>,
}

impl Requests {
    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::WalkSent { own: true, element } => _ = self.own.insert(element),
            Seen::WalkSent {
                own: false,
                element,
            } => _ = self.forwarded.insert(element),
            // A control frame of kind 1.
            Seen::Frame(frame) if frame[0] == 2 && frame[5] == 1 => self.frames.push(*frame),
            _ => {}
        }
    }

    fn of(&self, senders: &BTreeSet<[u8; 32]>, count: usize) -> Vec<FrameBytes> {
        let element = |frame: &FrameBytes| std::array::from_fn(|i| frame[12 + i]);
        let frames = self
            .frames
            .iter()
            .filter(|frame| senders.contains(&element(frame)));
        frames.copied().take(count).collect()
    }
}

/// The positions where these requests can be told apart.
fn telling(own: &[FrameBytes], forwarded: &[FrameBytes]) -> Vec<usize> {
    let counts = |frames: &[FrameBytes], at: usize| {
        let mut counts = vec![0_u64; 256];
        frames
            .iter()
            .for_each(|frame| counts[usize::from(frame[at])] += 1);
        counts
    };
    let differs = |at: &usize| {
        stats::same(&counts(own, *at), &counts(forwarded, *at)) < LEAST / own[0].len() as f64
    };
    (0..own[0].len()).filter(differs).collect()
}

#[test]
fn own_and_forwarded_requests_are_alike_in_every_byte() {
    const COUNT: usize = 10_000;
    let mut net = Net::of_relays(51, Arc::new(StandIn), NODES, many_tunnels);
    let requests = Arc::new(Mutex::new(Requests::default()));
    for node in &mut net.nodes {
        let requests = Arc::clone(&requests);
        node.core.add_observer(Box::new(move |seen| {
            requests.lock().expect("one thread").take(seen)
        }));
    }
    let enough = |net: &Net| {
        let requests = requests.lock().expect("one thread");
        net.now_us() % 1_000_000 < 1_000
            && requests.own.len() > COUNT
            && requests.forwarded.len() > COUNT
    };
    assert!(
        net.run_until(120_000_000, enough)
            || requests.lock().expect("one thread").own.len() > COUNT
    );
    net.run(100_000);
    let requests = requests.lock().expect("one thread");
    let (own, mut forwarded) = (
        requests.of(&requests.own, COUNT),
        requests.of(&requests.forwarded, COUNT),
    );
    println!(
        "{} own, {} forwarded, of {}",
        own.len(),
        forwarded.len(),
        requests.frames.len()
    );
    assert_eq!((own.len(), forwarded.len()), (COUNT, COUNT));
    assert_eq!(telling(&own, &forwarded), [0; 0]);
    // Twin: a hop counter in the first byte of what should be zero.
    for (frame, hop) in forwarded.iter_mut().zip((1..=3).cycle()) {
        frame[44] = hop;
    }
    assert_eq!(telling(&own, &forwarded), [44]);
    // Twin: tunnel ids that tell, ever so little, whose they are.
    for frame in &mut forwarded {
        frame[44] = 0;
        frame[8] |= u8::from(frame[9] < 64);
    }
    assert_eq!(telling(&own, &forwarded), [8]);
}

fn churning(config: &mut CoreConfig) {
    config.transport.lookup_tunnels = 24;
    config.transport.limits.builds_at_once = 1;
    config.transport.times.tunnel_life_ms = 8_000;
    config.transport.times.overlap_ms = 1_000;
    config.persona = false;
    many_ports(config);
}

/// Decisions of one node, and when what followed from them was sent.
#[derive(Default)]
struct Delays {
    decided: Vec<u64>,
    sent: Vec<u64>,
    elements: BTreeSet<[u8; 32]>,
}

impl Delays {
    fn sent(&mut self, element: [u8; 32], at: u64) {
        if self.elements.insert(element) {
            self.sent.push(at);
        }
    }

    /// The delays of decisions with no other one near, so that each is matched by its own.
    fn lonely(&self, most: u64) -> Vec<u64> {
        let far = |a: Option<&u64>, b: u64| a.is_none_or(|a| a.abs_diff(b) > most);
        let delay = |(i, &at): (usize, &u64)| {
            let before = i.checked_sub(1).and_then(|i| self.decided.get(i));
            if !far(before, at) || !far(self.decided.get(i + 1), at) {
                return None;
            }
            let first = self.sent.partition_point(|sent| *sent < at);
            self.sent
                .get(first)
                .map(|sent| sent - at)
                .filter(|delay| *delay <= most)
        };
        self.decided.iter().enumerate().filter_map(delay).collect()
    }
}

#[test]
fn own_and_forwarded_requests_wait_alike() {
    const NODES: usize = 8;
    let mut net = Net::of_relays(61, Arc::new(StandIn), NODES, churning);
    net.run(5_000_000);
    let told = capture::probe_all(&mut net);
    let most = 20_000;
    let (mut own, mut forwarded): (Vec<Delays>, Vec<Delays>) =
        (0..NODES).map(|_| Default::default()).unzip();
    let counts = |net: &Net, node: usize| {
        let counters = net.nodes[node].core.counters();
        (counters.walks_started, counters.coins_relayer)
    };
    let mut last: Vec<(u64, u64)> = (0..NODES).map(|node| counts(&net, node)).collect();
    let until = net.now_us() + 60_000_000;
    while net.now_us() < until && net.step() {
        let now = net.now_us();
        for node in 0..NODES {
            let current = counts(&net, node);
            own[node]
                .decided
                .extend((last[node].0..current.0).map(|_| now));
            forwarded[node]
                .decided
                .extend((last[node].1..current.1).map(|_| now));
            last[node] = current;
            for seen in told[node].lock().expect("one thread").drain(..) {
                if let Seen::WalkSent {
                    own: is_own,
                    element,
                } = seen
                {
                    if is_own {
                        &mut own[node]
                    } else {
                        &mut forwarded[node]
                    }
                    .sent(element, now);
                }
            }
        }
    }
    let lonely = |delays: &[Delays]| {
        delays
            .iter()
            .flat_map(|delays| delays.lonely(most))
            .collect::<Vec<u64>>()
    };
    let (own, mut forwarded) = (lonely(&own), lonely(&forwarded));
    let p = [
        stats::same_shape(&own, &forwarded),
        stats::uniform_up_to(&own, most),
        stats::uniform_up_to(&forwarded, most),
    ];
    println!(
        "{} own and {} forwarded, p = {p:?}",
        own.len(),
        forwarded.len()
    );
    assert!(own.len() > 1_000 && forwarded.len() > 1_000 && p.into_iter().all(|p| p > LEAST));
    // Twin: forwarded requests that leave a fifth sooner.
    forwarded.iter_mut().for_each(|delay| *delay -= *delay / 5);
    assert!(stats::same_shape(&own, &forwarded) < LEAST);
}
