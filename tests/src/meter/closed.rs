//! The closed forms. `c` is the attacker's share of all relays, `forward` the probability that a walk goes on.
//!
//! Those of [`Size`] are exact for a network of some size; the others hold for a large one.

/// A network of this many relays, of which the attacker has some.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// All relays, the master among them.
    pub relays: usize,
    /// The attacker's.
    pub colluders: usize,
}

/// P(a walk meets the attacker): its endpoint is the attacker's.
#[must_use]
pub fn captured(forward: f64, c: f64) -> f64 {
    1.0 - (1.0 - c) * (1.0 - forward) / (1.0 - forward * (1.0 - c))
}

/// P(the relay before the attacker is the master), given a captured walk.
#[must_use]
pub fn master_before(forward: f64, c: f64) -> f64 {
    1.0 - forward * (1.0 - c)
}

/// P(at least one of `tunnels` comes to pass), each with probability `p`.
#[must_use]
pub fn ever(p: f64, tunnels: usize) -> f64 {
    -f64::exp_m1(tunnels as f64 * f64::ln_1p(-p))
}

/// Tunnels until one of them comes to pass, with even odds.
#[must_use]
pub fn half_life(p: f64) -> f64 {
    0.5_f64.ln() / f64::ln_1p(-p)
}

/// P(`k` of `n`), each with probability `p`.
#[must_use]
pub fn binomial(n: usize, k: usize, p: f64) -> f64 {
    if k > n || !(0.0..=1.0).contains(&p) {
        return 0.0;
    }
    if p == 0.0 || p == 1.0 {
        return f64::from(u8::from(k == if p == 0.0 { 0 } else { n }));
    }
    let ways: f64 = (1..=k).map(|i| ((n - k + i) as f64 / i as f64).ln()).sum();
    (ways + k as f64 * p.ln() + (n - k) as f64 * f64::ln_1p(-p)).exp()
}

/// P(the relay that the attacker noted most often over `linked` tunnels is the master), ties drawn.
/// In a large network no other relay is noted twice.
#[must_use]
pub fn guessed(forward: f64, c: f64, linked: usize) -> f64 {
    let (p, q) = (captured(forward, c), master_before(forward, c));
    let right = |caught: usize| {
        let none = binomial(caught, 0, q);
        let once = binomial(caught, 1, q);
        1.0 - none - once + once / caught as f64
    };
    (1..=linked)
        .map(|caught| binomial(linked, caught, p) * right(caught))
        .sum()
}

/// P(exactly `seen` of `all` equally likely things appear in `draws`).
#[must_use]
pub fn distinct(all: usize, draws: usize, seen: usize) -> f64 {
    let mut odds = vec![0.0; all + 1];
    odds[0] = 1.0;
    for _ in 0..draws {
        for have in (1..=all).rev() {
            let (stays, grows) = (have as f64, (all - have + 1) as f64);
            odds[have] = (odds[have] * stays + odds[have - 1] * grows) / all as f64;
        }
        odds[0] = 0.0;
    }
    odds.get(seen).copied().unwrap_or(0.0)
}

/// P(one of PRISM's Crowds runs shows the real sender to the adversary): `honest` members, each choice bad with
/// probability `bad`.
#[must_use]
pub fn crowds_seen(forward: f64, bad: f64, honest: usize) -> f64 {
    let x = (1.0 - bad) * forward;
    bad + bad / honest as f64 * x / (1.0 - x)
}

/// P(the real sender is seen more than once in so many runs).
#[must_use]
pub fn crowds_seen_twice(p: f64, runs: usize) -> f64 {
    1.0 - binomial(runs, 0, p) - binomial(runs, 1, p)
}

/// Shannon entropy in bits of "the first with probability `p`, else evenly one of `others`".
#[must_use]
pub fn entropy(p: f64, others: f64) -> f64 {
    let part = |p: f64, of: f64| if p > 0.0 { -p * (p / of).log2() } else { 0.0 };
    part(p, 1.0) + part(1.0 - p, others.max(1.0))
}

impl Size {
    /// The size with the attacker's share rounded to whole relays, one at least.
    #[must_use]
    pub fn of(relays: usize, c: f64) -> Self {
        let least = usize::from(c > 0.0);
        let colluders = ((c * relays as f64).round() as usize).max(least);
        Self {
            relays,
            colluders: colluders.min(relays.saturating_sub(4)),
        }
    }

    /// P(the first hop is the attacker's): not the master itself.
    #[must_use]
    pub fn first_bad(self) -> f64 {
        self.colluders as f64 / (self.relays as f64 - 1.0)
    }

    /// P(a later hop is the attacker's): neither the relay that chooses nor the one before it.
    fn next_bad(self) -> f64 {
        self.colluders as f64 / (self.relays as f64 - 2.0)
    }

    /// [`captured`], exactly.
    #[must_use]
    pub fn captured(self, forward: f64) -> f64 {
        let (first, next) = (self.first_bad(), self.next_bad());
        first + (1.0 - first) * forward * next / (1.0 - forward * (1.0 - next))
    }

    /// [`master_before`], exactly: the walk may come back to the master, which cannot tell and passes it on.
    #[must_use]
    pub fn master_before(self, forward: f64) -> f64 {
        let honest = 1.0 - self.next_bad();
        // The walk stands at the master again and meets the attacker next, or later after another round.
        let returns = self.returns(forward, self.next_bad());
        (self.first_bad() + (1.0 - self.first_bad()) * returns.to_master * returns.hit(honest))
            / self.captured(forward)
    }

    /// P(the relay before is the master), for a relay that gets a walk's request and colludes with nobody; the same for
    /// an endpoint.
    #[must_use]
    pub fn suspicion(self, forward: f64) -> f64 {
        let returns = self.returns(forward, 0.0);
        let visits = returns.to_master * forward / (1.0 - forward * returns.to_master);
        (1.0 + visits) * (1.0 - forward)
    }

    /// P(both ends of an onion path are the attacker's): three different relays.
    #[must_use]
    pub fn onion(self) -> f64 {
        self.first_bad() * self.last_bad()
    }

    /// P(the endpoint of an onion path is the attacker's), given that its first relay is.
    fn last_bad(self) -> f64 {
        (self.colluders as f64 - 1.0).max(0.0) / (self.relays as f64 - 2.0)
    }

    /// P(one of `linked` onion paths has both ends bad), each beginning at one of `guards` fixed relays.
    #[must_use]
    pub fn onion_guarded(self, guards: usize, linked: usize) -> f64 {
        let bad = |g: usize| self.bad_guards(guards, g);
        let exposed = |g: usize| ever(g as f64 / guards as f64 * self.last_bad(), linked);
        (1..=guards).map(|g| bad(g) * exposed(g)).sum()
    }

    /// P(exactly `bad` of `guards` are the attacker's).
    fn bad_guards(self, guards: usize, bad: usize) -> f64 {
        if bad > self.colluders {
            return 0.0;
        }
        let mut odds = 1.0;
        let (mut left, mut colluders) = (self.relays as f64 - 1.0, self.colluders as f64);
        let mut honest = left - colluders;
        for i in 0..guards {
            if i < bad {
                odds *= colluders / left;
                colluders -= 1.0;
            } else {
                odds *= honest / left;
                honest -= 1.0;
            }
            left -= 1.0;
        }
        let ways: f64 = (1..=bad)
            .map(|i| (guards - bad + i) as f64 / i as f64)
            .product();
        odds * ways
    }

    fn returns(self, forward: f64, bad: f64) -> Returns {
        let rest = self.relays as f64 - 2.0;
        // From a relay behind the master to one that is not: at once, for nobody sends back. From there each step goes to
        // the master with one choice out of all but two.
        let (home, away) = (1.0 / rest, 1.0 - bad - 1.0 / rest);
        let leaves = forward * (1.0 - bad);
        Returns {
            to_master: leaves * forward * home / (1.0 - forward * away),
            forward,
            bad,
        }
    }
}

/// Odds of a walk that stands at an honest relay which got it from the master.
struct Returns {
    /// It stands at the master again before it ends or meets the attacker.
    to_master: f64,
    forward: f64,
    bad: f64,
}

impl Returns {
    /// Back at the master: P(the attacker is met with the master before it, now or after further rounds).
    fn hit(&self, honest: f64) -> f64 {
        self.forward * self.bad / (1.0 - self.forward * honest * self.to_master)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORWARD: f64 = 2.0 / 3.0;

    #[test]
    fn large_networks_have_the_simple_forms() {
        for c in [0.01, 0.05, 0.1, 0.2, 0.3] {
            let size = Size::of(100_000_000, c);
            assert!((size.captured(FORWARD) - captured(FORWARD, c)).abs() < 1e-6);
            assert!((size.master_before(FORWARD) - master_before(FORWARD, c)).abs() < 1e-6);
            assert!((size.suspicion(FORWARD) - 1.0 / 3.0).abs() < 1e-6);
            assert!((size.onion() - c * c).abs() < 1e-6);
            assert!((captured(FORWARD, c) * master_before(FORWARD, c) - c).abs() < 1e-12);
            assert!((guessed(FORWARD, c, 1) - c).abs() < 1e-12);
            let all = size.onion_guarded(3, 1_000_000);
            assert!((all - ever(c, 3)).abs() < 1e-6, "{all}");
        }
    }

    #[test]
    fn odds_sum_to_one() {
        let sum: f64 = (0..=12).map(|k| binomial(12, k, 0.3)).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let sum: f64 = (0..=4).map(|seen| distinct(4, 7, seen)).sum();
        assert!((sum - 1.0).abs() < 1e-12 && (distinct(2, 3, 1) - 0.25).abs() < 1e-12);
        let size = Size::of(50, 0.1);
        let sum: f64 = (0..=3).map(|bad| size.bad_guards(3, bad)).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }
}
