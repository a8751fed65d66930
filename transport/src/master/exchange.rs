//! The RSA exchange of a tunnel that is being built, as its master has it in hand.

use zeroize::Zeroizing;

use crate::rsa::{OAEP_LEN, RsaKeyPair, SPKI_LEN};

/// An endpoint that our directory does not know, checked with another endpoint.
pub(crate) struct Checking {
    pub(super) exchange: Exchanging,
}

/// What the exchange needs.
pub(crate) struct Exchanging {
    pub(super) rsa: RsaKeyPair,
    pub(super) shared: Zeroizing<[u8; 32]>,
    pub(super) element: [u8; 32],
    pub(super) reply: [u8; 32],
    pub(super) seed_m: Zeroizing<[u8; 32]>,
    pub(super) oaep_m: Box<[u8; OAEP_LEN]>,
    /// What the endpoint answered, while the worker opens it.
    pub(super) answered: Option<(Box<[u8; OAEP_LEN]>, [u8; 32])>,
}

impl Exchanging {
    pub(super) fn spki(&self) -> Box<[u8; SPKI_LEN]> {
        self.rsa.public.clone()
    }
}
