//! Write tokens: a writer must have asked the node before, no matter from which address or tunnel.
use deut_common::time::Mono;
use hmac::{Hmac, KeyInit, Mac};
use rand::{Rng, rngs::StdRng};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{id::NodeId, labels};

/// Length of a write token.
pub(crate) const TOKEN_LEN: usize = 8;

/// A write token: the right to store under one key, for a few minutes.
pub(crate) type Token = [u8; TOKEN_LEN];

type Secret = Zeroizing<[u8; 32]>;

/// Token = HMAC-SHA256(secret, label ‖ target)[..8]. Secrets rotate; the last two are accepted.
pub(crate) struct Tokens {
    current: Secret,
    previous: Secret,
    rotated: Mono,
    rotation: u64,
}

impl Tokens {
    /// `rotation` is in microseconds.
    pub(crate) fn new(rotation: u64, now: Mono, random: &mut StdRng) -> Self {
        Self {
            current: fresh(random),
            previous: fresh(random),
            rotated: now,
            rotation,
        }
    }

    /// Replaces secrets whose time is over. Call it before any use.
    pub(crate) fn rotate(&mut self, now: Mono, random: &mut StdRng) {
        let age = now.since(self.rotated);
        if age < self.rotation {
            return;
        }
        // After a long silence the current secret is as outdated as the previous one.
        let keep_current = age < self.rotation.saturating_mul(2);
        let old = std::mem::replace(&mut self.current, fresh(random));
        self.previous = if keep_current { old } else { fresh(random) };
        self.rotated = now;
    }

    pub(crate) fn issue(&self, target: &NodeId) -> Token {
        let [a, b, c, d, e, f, g, h, ..] = mac(&self.current, target).finalize().into_bytes().0;
        [a, b, c, d, e, f, g, h]
    }

    pub(crate) fn accepts(&self, target: &NodeId, token: &Token) -> bool {
        let by = |secret: &Secret| mac(secret, target).verify_truncated_left(token).is_ok();
        by(&self.current) || by(&self.previous)
    }
}

fn fresh(random: &mut StdRng) -> Secret {
    let mut secret = Secret::new([0; 32]);
    random.fill_bytes(&mut *secret);
    secret
}

fn mac(secret: &Secret, target: &NodeId) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(&**secret)
        .expect("HMAC takes keys of any length")
        .chain_update(labels::WRITE_TOKEN)
        .chain_update(target.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const ROTATION: u64 = 300_000_000;

    #[test]
    fn a_token_is_accepted_for_its_target_until_the_second_rotation() {
        let mut random = StdRng::from_seed([1; 32]);
        let mut tokens = Tokens::new(ROTATION, Mono(0), &mut random);
        let (target, other) = (NodeId([1; 20]), NodeId([2; 20]));
        let token = tokens.issue(&target);
        assert!(tokens.accepts(&target, &token));
        assert!(!tokens.accepts(&other, &token));
        tokens.rotate(Mono(ROTATION - 1), &mut random);
        assert_eq!(tokens.issue(&target), token);
        tokens.rotate(Mono(ROTATION), &mut random);
        assert_ne!(tokens.issue(&target), token);
        assert!(tokens.accepts(&target, &token));
        tokens.rotate(Mono(2 * ROTATION), &mut random);
        assert!(!tokens.accepts(&target, &token));
    }

    #[test]
    fn after_a_long_silence_no_old_token_is_accepted() {
        let mut random = StdRng::from_seed([1; 32]);
        let mut tokens = Tokens::new(ROTATION, Mono(0), &mut random);
        let token = tokens.issue(&NodeId([1; 20]));
        tokens.rotate(Mono(2 * ROTATION), &mut random);
        assert!(!tokens.accepts(&NodeId([1; 20]), &token));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let mut random = StdRng::from_seed([1; 32]);
        let tokens = Tokens::new(ROTATION, Mono(0), &mut random);
        let target = NodeId([1; 20]);
        for bit in 0..64 {
            let mut token = tokens.issue(&target);
            token[bit / 8] ^= 1 << (bit % 8);
            assert!(!tokens.accepts(&target, &token));
        }
    }
}
