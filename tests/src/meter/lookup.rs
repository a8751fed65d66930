//! Whole lookups: relays, endpoints and the nodes that answer or store, all working together.
//!
//! A lookup sends each request through a tunnel of its own and has all answers come back over a few reply tunnels. Each
//! request names one reply address. A recipient of the attacker's reads key and reply address; the endpoint of its own
//! tunnel, also the attacker's, sees from which endpoint the request came.

use std::collections::BTreeMap;

use rand::{RngExt, rngs::StdRng};

use super::{
    closed::{Size, binomial, distinct, ever, guessed},
    estimate::{Estimate, Ratio},
    path::{Colluders, Path, Relay},
    sampler::{Crowd, Rules, Sampler},
    source::{FEWEST, Network, Trial, generator},
    tunnel::{note, top_guess},
};

/// Reply tunnels that the tables compare; deut draws two.
pub const REPLIES: [usize; 4] = [1, 2, 4, 8];
/// Requests of one lookup, rounded from measured ones.
pub const REQUESTS: usize = 12;
/// Nodes around a key that a lookup asks.
pub const CLOSEST: usize = 8;
/// Attackers drawn for each recorded lookup.
const ATTACKERS: u64 = 16;

/// What a lookup looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Reply tunnels.
    pub replies: usize,
    /// Requests, each through another send tunnel.
    pub requests: usize,
    /// Requests that reach the attacker for certain, because it sits on the key; the others with its share.
    pub on_key: usize,
}

/// Which tunnels of a lookup the attacker knows to belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// All reply tunnels and nothing else.
    Replies,
    /// What its recipients saw: the send tunnels of their requests, and the reply tunnels that these name. Without such
    /// a recipient it knows neither the key nor that there was a lookup.
    Told,
    /// All reply tunnels, and the send tunnels that its recipients saw: a bound that docs/threat-model.md prints.
    RepliesAndTold,
    /// Everything, by timing say: no attacker of this kind does better.
    All,
}

impl Linked {
    /// All of them.
    pub const EACH: [Self; 4] = [Self::Replies, Self::Told, Self::RepliesAndTold, Self::All];
}

/// A request of a lookup.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The tunnel that carried it.
    pub send: Path,
    /// Which reply tunnel it names.
    pub reply: usize,
    /// The relay whose persona was asked.
    pub recipient: Option<Relay>,
}

/// A lookup as it really ran.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Who asked.
    pub master: Relay,
    /// Its reply tunnels.
    pub replies: Vec<Path>,
    /// Its requests, second copies included.
    pub requests: Vec<Asked>,
    /// Requests that left by one of the reply tunnels: none, while the node has three tunnels.
    pub returning: usize,
}

/// The tunnels that belong together for the attacker; `told` says which requests it read.
fn linked<'a>(
    what: Linked,
    replies: &'a [Path],
    requests: &'a [(&'a Path, usize, bool)],
) -> Vec<&'a Path> {
    let named = |reply: usize| requests.iter().any(|(_, of, told)| *told && *of == reply);
    let replies = replies.iter().enumerate().filter(|(reply, _)| match what {
        Linked::Told => named(*reply),
        _ => true,
    });
    let sends = requests.iter().filter(|(_, _, told)| match what {
        Linked::Replies => false,
        Linked::Told | Linked::RepliesAndTold => *told,
        Linked::All => true,
    });
    let sends = sends.map(|(send, _, _)| *send);
    replies.map(|(_, path)| path).chain(sends).collect()
}

fn names(paths: &[&Path], attacker: &Colluders, ties: &mut StdRng) -> Option<Relay> {
    let mut notes = BTreeMap::new();
    note(&mut notes, paths.iter().copied(), attacker);
    top_guess(&notes, ties)
}

/// P(the attacker names the asker), closed form for a large network.
#[must_use]
pub fn named(forward: f64, c: f64, shape: Shape, what: Linked) -> f64 {
    let Shape {
        replies,
        requests,
        on_key,
    } = shape;
    let guess = |linked| guessed(forward, c, linked);
    let by_told = |of: &dyn Fn(usize) -> f64| -> f64 {
        (0..=requests - on_key)
            .map(|more| binomial(requests - on_key, more, c) * of(on_key + more))
            .sum()
    };
    match what {
        Linked::Replies => guess(replies),
        Linked::All => guess(replies + requests),
        Linked::RepliesAndTold => by_told(&|told| guess(replies + told)),
        Linked::Told => by_told(&|told| {
            (0..=replies)
                .map(|seen| distinct(replies, told, seen) * guess(seen + told))
                .sum()
        }),
    }
}

/// P(the attacker learns the key): one of its personas is asked.
#[must_use]
pub fn key_known(c: f64, shape: Shape) -> f64 {
    if shape.on_key > 0 {
        1.0
    } else {
        ever(c, shape.requests)
    }
}

/// P(the attacker names the asker), for lookups put together from the network's tunnels.
#[must_use]
pub fn drawn(
    network: &dyn Network,
    forward: f64,
    c: f64,
    (shape, what): (Shape, Linked),
    seed: u64,
) -> Option<Estimate> {
    let tunnels = shape.replies + shape.requests;
    let mut source = network.source(c, tunnels, seed)?;
    let share = Size::of(network.relays(), c).first_bad();
    let mut rng = generator(seed, &format!("lookup {shape:?} {what:?}"), c, tunnels);
    let (mut trial, mut right) = (Trial::new(), Ratio::default());
    while source.next(&mut trial) {
        let (replies, sends) = trial.paths.split_at(shape.replies);
        let requests: Vec<(&Path, usize, bool)> = sends
            .iter()
            .enumerate()
            .map(|(i, send)| {
                let reply = rng.random_range(0..shape.replies);
                (send, reply, i < shape.on_key || rng.random::<f64>() < share)
            })
            .collect();
        let paths = linked(what, replies, &requests);
        let guess = names(&paths, &trial.attacker, &mut rng);
        let master = trial.paths.first().map(|path| path.master);
        right.count(trial.sample, guess.is_some() && guess == master);
    }
    Some(right.estimate().against(named(forward, share, shape, what)))
}

/// The same for lookups that nodes really made; personas on the attacker's relays are its own.
///
/// The closed form is that of a large network, averaged over the recorded numbers of requests and reply tunnels.
#[must_use]
pub fn recorded(
    lookups: &[Lookup],
    relays: usize,
    (forward, c): (f64, f64),
    what: Linked,
    seed: u64,
) -> Option<Estimate> {
    let size = Size::of(relays, c);
    let mut rng = generator(seed, &format!("recorded lookups {what:?}"), c, 0);
    let (mut right, mut exact) = (Ratio::default(), 0.0);
    let mut sorted: Vec<&Lookup> = lookups.iter().collect();
    // Lookups of one node share its tunnels: one sample.
    sorted.sort_by_key(|lookup| lookup.master);
    for lookup in sorted {
        let shape = Shape {
            replies: lookup.replies.len(),
            requests: lookup.requests.len(),
            on_key: 0,
        };
        exact += named(forward, size.first_bad(), shape, what) / lookups.len() as f64;
        for _ in 0..ATTACKERS {
            let others: Vec<Relay> = (0..relays as Relay)
                .filter(|relay| *relay != lookup.master)
                .collect();
            let attacker = Colluders::these(relays, &sample_of(others, size.colluders, &mut rng));
            let told = |asked: &Asked| asked.recipient.is_some_and(|relay| attacker.owns(relay));
            let requests: Vec<(&Path, usize, bool)> = lookup
                .requests
                .iter()
                .map(|asked| (&asked.send, asked.reply, told(asked)))
                .collect();
            let paths = linked(what, &lookup.replies, &requests);
            let guess = names(&paths, &attacker, &mut rng);
            right.count(u64::from(lookup.master), guess == Some(lookup.master));
        }
    }
    (lookups.len() as u64 >= FEWEST).then(|| right.estimate().against(exact))
}

/// The same lookups, `times` over, with tunnels drawn by the rules among as many relays.
#[must_use]
pub fn redrawn(
    lookups: &[Lookup],
    relays: usize,
    forward: f64,
    (times, seed): (usize, u64),
) -> Vec<Lookup> {
    let crowd = Crowd::even(Size::of(relays, 0.0));
    let rng = generator(seed, "redrawn", 0.0, relays);
    let mut sampler = Sampler::new(Rules::walk(forward), crowd, 1, 0, rng);
    let mut all: Vec<Lookup> = (0..times).flat_map(|_| lookups.to_vec()).collect();
    for lookup in &mut all {
        let sends = lookup.requests.iter_mut().map(|asked| &mut asked.send);
        for path in lookup.replies.iter_mut().chain(sends) {
            sampler.draw(path);
            path.swap(0, lookup.master);
        }
    }
    all
}

fn sample_of(mut from: Vec<Relay>, count: usize, rng: &mut StdRng) -> Vec<Relay> {
    for i in 0..count.min(from.len()) {
        let j = rng.random_range(i..from.len());
        from.swap(i, j);
    }
    from.truncate(count);
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked() {
        let path = |endpoint| Path {
            master: 0,
            hops: vec![endpoint],
        };
        let (replies, sends) = ([path(1), path(2)], [path(3), path(4), path(5)]);
        let requests = [
            (&sends[0], 0, true),
            (&sends[1], 1, false),
            (&sends[2], 0, true),
        ];
        let ends = |what| -> Vec<Relay> {
            let paths = linked(what, &replies, &requests);
            paths.iter().filter_map(|path| path.endpoint()).collect()
        };
        assert_eq!(ends(Linked::Replies), [1, 2]);
        assert_eq!(ends(Linked::Told), [1, 3, 5]);
        assert_eq!(ends(Linked::RepliesAndTold), [1, 2, 3, 5]);
        assert_eq!(ends(Linked::All), [1, 2, 3, 4, 5]);
    }
}
