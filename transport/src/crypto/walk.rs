//! The random walk's keys: blinded Diffie-Hellman in ristretto255 and the onion of answers (protocol §6).

use std::fmt;

use curve25519_dalek::{
    RistrettoPoint, Scalar, ristretto::CompressedRistretto, traits::IsIdentity,
};
use rand::{Rng, rngs::StdRng};
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

use super::{
    aead::AeadKey,
    layer::{LayerKeys, Stream},
};
use crate::{
    drop_reason::DropReason,
    kdf::Prk,
    labels,
    wire::{
        bytes::{part, part_mut},
        frame::{WALK_BLOCK, WALK_SEALED},
    },
};

/// Largest number of hops, the endpoint included.
pub const MAX_HOPS: usize = 12;
/// Length of the plaintext of the endpoint's answer.
pub const ANSWER: usize = 784;
/// Length of block and sealed part together.
const ONION: usize = WALK_BLOCK + WALK_SEALED;

const _: () = assert!(MAX_HOPS * 32 == WALK_BLOCK && ANSWER + 16 == WALK_SEALED);

/// A group element that is not canonical, or the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a usable group element")]
pub struct BadElement;

impl From<BadElement> for DropReason {
    fn from(_: BadElement) -> Self {
        Self::BadElement
    }
}

fn element(bytes: &[u8; 32]) -> Result<RistrettoPoint, BadElement> {
    let point = CompressedRistretto(*bytes).decompress().ok_or(BadElement)?;
    if point.is_identity() {
        Err(BadElement)
    } else {
        Ok(point)
    }
}

fn scalar(rng: &mut StdRng) -> Zeroizing<Scalar> {
    let mut wide = Zeroizing::new([0; 64]);
    rng.fill_bytes(wide.as_mut_slice());
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
}

fn blind(element: &[u8; 32], shared: &[u8; 32]) -> Zeroizing<Scalar> {
    let hash = Sha512::new()
        .chain_update(labels::WALK_BLIND)
        .chain_update(element)
        .chain_update(shared);
    let wide = Zeroizing::new(<[u8; 64]>::from(hash.finalize()));
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
}

/// E, Y and s, which master and one hop share, and the keys that follow from them (protocol §6.2). Wiped on drop.
struct HopSecrets {
    element: [u8; 32],
    reply: [u8; 32],
    shared: Zeroizing<[u8; 32]>,
}

impl HopSecrets {
    fn new(element: [u8; 32], reply: [u8; 32], shared: &RistrettoPoint) -> Self {
        Self {
            element,
            reply,
            shared: Zeroizing::new(shared.compress().to_bytes()),
        }
    }

    fn prk(&self) -> Prk {
        Prk::extract(labels::WALK, self.shared.as_slice())
    }

    fn hop_keys(&self) -> Zeroizing<[u8; 80]> {
        self.prk()
            .expand(&[labels::WALK_HOP, &self.element, &self.reply])
    }

    fn endpoint_keys(&self) -> Zeroizing<[u8; 96]> {
        self.prk()
            .expand(&[labels::WALK_ENDPOINT, &self.element, &self.reply])
    }
}

/// The master's secret of one walk under way. Wiped on drop.
pub struct MasterWalk {
    first: Zeroizing<Scalar>,
}

impl MasterWalk {
    /// Starts a walk: returns the secret, and E₁ for the request.
    #[must_use]
    pub fn start(rng: &mut StdRng) -> (Self, [u8; 32]) {
        let walk = Self { first: scalar(rng) };
        let element = walk.element();
        (walk, element)
    }

    /// Starts a walk with a chosen x₁ (reduced mod ℓ). For test vectors.
    #[must_use]
    pub fn from_scalar(x: [u8; 32]) -> (Self, [u8; 32]) {
        let walk = Self {
            first: Zeroizing::new(Scalar::from_bytes_mod_order(x)),
        };
        let element = walk.element();
        (walk, element)
    }

    fn element(&self) -> [u8; 32] {
        RistrettoPoint::mul_base(&self.first).compress().to_bytes()
    }

    /// Peels an answer hop by hop until one layer opens as the endpoint's (protocol §6.3). `None` after twelve hops, or at an
    /// element that is refused. It changes nothing: after a forged answer the genuine one still opens.
    #[must_use]
    pub fn peel(&self, block: &[u8; WALK_BLOCK], sealed: &[u8; WALK_SEALED]) -> Option<WalkOpened> {
        let mut onion = [0; ONION];
        *part_mut::<0, WALK_BLOCK, _>(&mut onion) = *block;
        *part_mut::<WALK_BLOCK, WALK_SEALED, _>(&mut onion) = *sealed;
        let mut x = self.first.clone();
        let mut layers = Vec::with_capacity(MAX_HOPS);
        for _ in 0..MAX_HOPS {
            let reply = *part::<0, 32, _>(&onion);
            let shared = *x * element(&reply).ok()?;
            let hop = HopSecrets::new(
                RistrettoPoint::mul_base(&x).compress().to_bytes(),
                reply,
                &shared,
            );
            let keys = hop.hop_keys();
            encrypt_behind_first_slot(&keys, &mut onion);
            layers.push(LayerKeys::from_bytes(part::<0, 64, _>(&keys)));
            if let Some((endpoint, answer)) =
                open_as_endpoint(&hop, part::<WALK_BLOCK, WALK_SEALED, _>(&onion))
            {
                let HopSecrets {
                    element,
                    reply,
                    shared,
                } = hop;
                // A layer takes 3 KiB, and most walks are short.
                layers.shrink_to_fit();
                return Some(WalkOpened {
                    layers,
                    endpoint,
                    answer,
                    element,
                    reply,
                    shared,
                });
            }
            onion.copy_within(32..WALK_BLOCK, 0);
            *part_mut::<{ WALK_BLOCK - 32 }, 32, _>(&mut onion) = [0; 32];
            *x *= *blind(&hop.element, &hop.shared);
        }
        None
    }
}

impl fmt::Debug for MasterWalk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterWalk(..)")
    }
}

fn encrypt_behind_first_slot(keys: &[u8; 80], onion: &mut [u8; ONION]) {
    Stream::new(part::<64, 16, _>(keys)).xor(&[0; 16], part_mut::<32, { ONION - 32 }, _>(onion));
}

fn open_as_endpoint(
    hop: &HopSecrets,
    sealed: &[u8; WALK_SEALED],
) -> Option<(EndpointKeys, [u8; ANSWER])> {
    let keys = EndpointKeys::from_bytes(&hop.endpoint_keys());
    let mut answer = [0; ANSWER];
    keys.seal
        .open_into([0; 12], &[], sealed, &mut answer)
        .ok()?;
    Some((keys, answer))
}

/// A walk that arrived: its keys, and the endpoint's answer, still to be verified.
pub struct WalkOpened {
    /// The layer keys of hops 1 to n, the endpoint last.
    pub layers: Vec<LayerKeys>,
    /// Keys shared with the endpoint alone.
    pub endpoint: EndpointKeys,
    /// Plaintext of `sealed`, for [`EndpointAnswer::open_and_verify`](super::answer::EndpointAnswer::open_and_verify).
    pub answer: [u8; ANSWER],
    /// E of the endpoint.
    pub element: [u8; 32],
    /// Y of the endpoint.
    pub reply: [u8; 32],
    /// s of the endpoint; wiped on drop.
    pub shared: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for WalkOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WalkOpened({} hops)", self.layers.len())
    }
}

/// One hop's share in a walk. Wiped on drop.
pub struct Hop {
    secrets: HopSecrets,
    point: RistrettoPoint,
}

impl Hop {
    /// Takes E of a request and draws y.
    ///
    /// # Errors
    /// If E is not canonical or the identity.
    pub fn take(element: &[u8; 32], rng: &mut StdRng) -> Result<Self, BadElement> {
        Self::with(element, &scalar(rng))
    }

    /// The same with a chosen y (reduced mod ℓ). For test vectors.
    ///
    /// # Errors
    /// As [`Hop::take`].
    pub fn from_scalar(element: &[u8; 32], y: [u8; 32]) -> Result<Self, BadElement> {
        Self::with(element, &Zeroizing::new(Scalar::from_bytes_mod_order(y)))
    }

    fn with(bytes: &[u8; 32], y: &Scalar) -> Result<Self, BadElement> {
        let point = element(bytes)?;
        let reply = RistrettoPoint::mul_base(y).compress().to_bytes();
        Ok(Self {
            secrets: HopSecrets::new(*bytes, reply, &(y * point)),
            point,
        })
    }

    /// E of the request to the next hop (for relayers).
    #[must_use]
    pub fn next_element(&self) -> [u8; 32] {
        (*blind(&self.secrets.element, &self.secrets.shared) * self.point)
            .compress()
            .to_bytes()
    }

    /// The keys for the cells that pass through this hop.
    #[must_use]
    pub fn layers(&self) -> LayerKeys {
        LayerKeys::from_bytes(part::<0, 64, _>(&self.secrets.hop_keys()))
    }

    /// The keys shared with the master (for the endpoint).
    #[must_use]
    pub fn endpoint_keys(&self) -> EndpointKeys {
        EndpointKeys::from_bytes(&self.secrets.endpoint_keys())
    }

    /// E of the request.
    #[must_use]
    pub fn element(&self) -> &[u8; 32] {
        &self.secrets.element
    }

    /// Y, this hop's reply to E.
    #[must_use]
    pub fn reply(&self) -> &[u8; 32] {
        &self.secrets.reply
    }

    /// s, the secret shared with the master.
    #[must_use]
    pub fn shared(&self) -> &[u8; 32] {
        &self.secrets.shared
    }

    /// The 80 bytes of §6.2. For test vectors.
    #[must_use]
    pub fn hop_key_bytes(&self) -> Zeroizing<[u8; 80]> {
        self.secrets.hop_keys()
    }

    /// The 96 bytes of §6.2. For test vectors.
    #[must_use]
    pub fn endpoint_key_bytes(&self) -> Zeroizing<[u8; 96]> {
        self.secrets.endpoint_keys()
    }

    /// Adds this hop's layer to an answer (protocol §6.3): drops the last slot, puts Y before the others, encrypts all behind it.
    pub fn wrap(&self, block: &mut [u8; WALK_BLOCK], sealed: &mut [u8; WALK_SEALED]) {
        let mut onion = [0; ONION];
        *part_mut::<0, 32, _>(&mut onion) = self.secrets.reply;
        *part_mut::<32, { WALK_BLOCK - 32 }, _>(&mut onion) =
            *part::<0, { WALK_BLOCK - 32 }, _>(block);
        *part_mut::<WALK_BLOCK, WALK_SEALED, _>(&mut onion) = *sealed;
        encrypt_behind_first_slot(&self.secrets.hop_keys(), &mut onion);
        *block = *part::<0, WALK_BLOCK, _>(&onion);
        *sealed = *part::<WALK_BLOCK, WALK_SEALED, _>(&onion);
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.point.zeroize();
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hop(..)")
    }
}

/// Both directions of a tunnel, end to end.
pub struct DirectionKeys {
    /// Master to endpoint.
    pub forward: AeadKey,
    /// Endpoint to master.
    pub back: AeadKey,
}

/// Keys that master and endpoint share before the RSA exchange.
pub struct EndpointKeys {
    /// Seals the endpoint's answer; used once.
    pub seal: AeadKey,
    /// K0, the keys of cells before the exchange.
    pub k0: DirectionKeys,
}

impl EndpointKeys {
    fn from_bytes(bytes: &[u8; 96]) -> Self {
        Self {
            seal: AeadKey::new(*part::<0, 32, _>(bytes)),
            k0: DirectionKeys {
                forward: AeadKey::new(*part::<32, 32, _>(bytes)),
                back: AeadKey::new(*part::<64, 32, _>(bytes)),
            },
        }
    }
}

impl fmt::Debug for DirectionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectionKeys(..)")
    }
}

impl fmt::Debug for EndpointKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointKeys(..)")
    }
}
