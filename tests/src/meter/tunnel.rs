//! What an attacker learns from single tunnels, and from tunnels that it knows to belong together.

use std::collections::BTreeMap;

use rand::{RngExt, rngs::StdRng};

use super::{
    closed::{self, Size},
    estimate::{Estimate, Ratio},
    path::{Path, Relay},
    source::{Network, Trial, generator},
};

/// Linked tunnels in the predecessor curve.
pub const LINKED: [usize; 6] = [1, 3, 10, 30, 100, 300];

/// Entropies in bits of who the master may be.
#[derive(Clone, Copy, Debug)]
pub struct Entropies {
    /// Shannon's, of a captured tunnel.
    pub captured: Estimate,
    /// Least: the attacker's best guess. Of a captured tunnel.
    pub least: Estimate,
    /// 1 / the probability of that guess: so many suspects, if all were alike.
    pub effective: Estimate,
    /// Shannon's, averaged over all tunnels.
    pub average: Estimate,
    /// Of a tunnel that nobody captured: log2 of all honest relays.
    pub most: f64,
}

/// Single walk tunnels under an attacker.
#[derive(Clone, Copy, Debug)]
pub struct Tunnels {
    /// P(endpoint is the attacker's): captured anywhere on the way.
    pub endpoint_bad: Estimate,
    /// P(the predecessor is the master | captured).
    pub master_before: Estimate,
    /// P(the first hop is the attacker's): the tunnel exposes its master.
    pub exposed: Estimate,
    /// Tunnels until one of them is exposed, even odds.
    pub half_life: Estimate,
    /// P(the hop before is the master), to any one relay that colludes with nobody.
    pub suspicion: Estimate,
    /// Who it may be.
    pub entropies: Entropies,
}

fn entropies(size: Size, forward: f64, captured: &Estimate, before: &Estimate) -> Entropies {
    let honest = (size.relays - size.colluders) as f64;
    let others = honest - 1.0;
    let most = honest.log2();
    let (q, p) = (before.value, captured.value);
    let (exact_q, exact_p) = (size.master_before(forward), size.captured(forward));
    let shannon = closed::entropy(q, others);
    let slope = ((1.0 - q) / (q * others)).log2();
    let exact = closed::entropy(exact_q, others);
    // Both inputs are measured on the same tunnels; their errors are added up as if they pulled the same way.
    let average = Estimate::derived(before, p * shannon + (1.0 - p) * most, p * slope);
    let from_p = (captured.error * (shannon - most)).abs();
    Entropies {
        captured: Estimate::derived(before, shannon, slope).against(exact),
        least: Estimate::derived(before, -q.log2(), 1.0 / (q * 2.0_f64.ln()))
            .against(-exact_q.log2()),
        effective: Estimate::derived(before, 1.0 / q, 1.0 / (q * q)).against(1.0 / exact_q),
        average: average
            .with_error(average.error + from_p)
            .against(exact_p * exact + (1.0 - exact_p) * most),
        most,
    }
}

/// Measures single tunnels; `forward` is what the closed forms take for the walk's coin.
#[must_use]
pub fn measure(network: &dyn Network, forward: f64, c: f64, seed: u64) -> Option<Tunnels> {
    let mut source = network.source(c, 1, seed)?;
    let size = Size::of(network.relays(), c);
    let mut trial = Trial::new();
    let [mut bad, mut before, mut exposed, mut suspicion] =
        std::array::from_fn(|_| Ratio::default());
    while source.next(&mut trial) {
        for path in &trial.paths {
            let sample = trial.sample;
            let capture = path.capture(&trial.attacker);
            bad.count(sample, capture.is_some());
            let master = capture.is_some_and(|capture| capture.predecessor == path.master);
            let caught = f64::from(u8::from(capture.is_some()));
            before.add(sample, f64::from(u8::from(master)), caught);
            exposed.count(sample, capture.is_some_and(|capture| capture.at == 0));
            let own = path.steps().filter(|(before, _)| *before == path.master);
            suspicion.add(sample, own.count() as f64, path.hops.len() as f64);
        }
    }
    let endpoint_bad = bad.estimate().against(size.captured(forward));
    let master_before = before.estimate().against(size.master_before(forward));
    let exposed = exposed.estimate().against(size.first_bad());
    let p = exposed.value;
    let slope = 0.5_f64.ln() / ((1.0 - p) * f64::ln_1p(-p).powi(2));
    Some(Tunnels {
        endpoint_bad,
        master_before,
        exposed,
        half_life: Estimate::derived(&exposed, closed::half_life(p), slope)
            .against(closed::half_life(size.first_bad())),
        suspicion: suspicion.estimate().against(size.suspicion(forward)),
        entropies: entropies(size, forward, &endpoint_bad, &master_before),
    })
}

/// The relay that preceded the attacker most often, a draw among equals. `None` if nothing was captured.
#[must_use]
pub fn top_guess(notes: &BTreeMap<Relay, u32>, rng: &mut StdRng) -> Option<Relay> {
    let most = *notes.values().max()?;
    let best: Vec<Relay> = notes
        .iter()
        .filter(|(_, times)| **times == most)
        .map(|(relay, _)| *relay)
        .collect();
    Some(best[rng.random_range(0..best.len())])
}

/// Writes down who preceded the attacker on these tunnels.
pub fn note<'a>(
    notes: &mut BTreeMap<Relay, u32>,
    paths: impl IntoIterator<Item = &'a Path>,
    attacker: &super::path::Colluders,
) {
    for path in paths {
        if let Some(capture) = path.capture(attacker) {
            *notes.entry(capture.predecessor).or_default() += 1;
        }
    }
}

/// P(the attacker's best guess over `linked` walks is the master).
///
/// The closed form holds for a large network, where no other relay precedes the attacker twice.
#[must_use]
pub fn guessed(
    network: &dyn Network,
    forward: f64,
    c: f64,
    linked: usize,
    seed: u64,
) -> Option<Estimate> {
    let mut source = network.source(c, linked, seed)?;
    let share = Size::of(network.relays(), c).first_bad();
    let mut ties = generator(seed, "ties", c, linked);
    let (mut trial, mut right, mut notes) = (Trial::new(), Ratio::default(), BTreeMap::new());
    while source.next(&mut trial) {
        notes.clear();
        note(&mut notes, &trial.paths, &trial.attacker);
        let master = trial.paths.first().map(|path| path.master);
        let guess = top_guess(&notes, &mut ties);
        right.count(trial.sample, guess.is_some() && guess == master);
    }
    Some(
        right
            .estimate()
            .against(closed::guessed(forward, share, linked)),
    )
}

/// P(one of `linked` walks at least has a bad first hop).
#[must_use]
pub fn ever(network: &dyn Network, c: f64, linked: usize, seed: u64) -> Option<Estimate> {
    let first = Size::of(network.relays(), c).first_bad();
    share_of_trials(network, c, linked, seed, |path, attacker| {
        path.hops.first().is_some_and(|hop| attacker.owns(*hop))
    })
    .map(|estimate| estimate.against(closed::ever(first, linked)))
}

/// P(one of `linked` onion paths at least has both ends in the attacker's hands).
#[must_use]
pub fn onion_exposed(
    network: &super::source::OnPaper,
    c: f64,
    linked: usize,
    seed: u64,
) -> Option<Estimate> {
    let size = Size::of(network.relays, c);
    let exact = match network.rules.first {
        super::sampler::First::Fresh => closed::ever(size.onion(), linked),
        super::sampler::First::Guards(guards) => size.onion_guarded(guards, linked),
    };
    share_of_trials(network, c, linked, seed, |path, attacker| {
        let ends = [path.hops.first(), path.hops.last()];
        ends.iter()
            .all(|end| end.is_some_and(|hop| attacker.owns(*hop)))
    })
    .map(|estimate| estimate.against(exact))
}

fn share_of_trials(
    network: &dyn Network,
    c: f64,
    linked: usize,
    seed: u64,
    exposes: impl Fn(&Path, &super::path::Colluders) -> bool,
) -> Option<Estimate> {
    let mut source = network.source(c, linked, seed)?;
    let (mut trial, mut ratio) = (Trial::new(), Ratio::default());
    while source.next(&mut trial) {
        let any = trial
            .paths
            .iter()
            .any(|path| exposes(path, &trial.attacker));
        ratio.count(trial.sample, any);
    }
    Some(ratio.estimate())
}
