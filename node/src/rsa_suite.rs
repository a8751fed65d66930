//! The RSA of the protocol (§7.3): 2,048 bits, e = 65537, OAEP with SHA-256 and an empty label, SPKI of 294 bytes. This is the only
//! file that names the crate `rsa`.
//!
//! Private operations are always blinded. `RsaPrivateKey::decrypt` is not (this build has no `getrandom` feature), so it is banned
//! in `clippy.toml`.

use std::{fmt, sync::Arc};

use deut_transport::rsa::{BadRsaKey, OAEP_LEN, PrivateKey, RsaKeyPair, RsaSuite, SPKI_LEN};
use hmac::{Hmac, KeyInit, Mac};
use rand::{SeedableRng, rngs::StdRng};
use rsa::{
    BoxedUint, Oaep, RsaPrivateKey, RsaPublicKey, rand_core::CryptoRng, traits::PublicKeyParts,
};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const MODULUS_BITS: usize = 2_048;
const MODULUS_LEN: usize = 256;
const EXPONENT: u64 = 65_537;
/// The label of OAEP.
const LABEL: &[u8] = b"";
/// Label that separates the secret behind pseudorandom answers from the seed of the key itself. It is never on the wire.
pub const REFUSAL: &[u8] = b"deut rsa refusal v1";

/// The DER of every RSA-2048 SubjectPublicKeyInfo before the modulus.
const SPKI_HEAD: [u8; 33] = [
    0x30, 0x82, 0x01, 0x22, // SEQUENCE of 290 bytes
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
    0x00, // rsaEncryption, NULL
    0x03, 0x82, 0x01, 0x0f, 0x00, // BIT STRING of 271 bytes
    0x30, 0x82, 0x01, 0x0a, // SEQUENCE of 266 bytes
    0x02, 0x82, 0x01, 0x01, 0x00, // INTEGER of 257 bytes: the modulus has its top bit set
];
/// The DER after the modulus: INTEGER 65537.
const SPKI_TAIL: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];
const _: () = assert!(SPKI_HEAD.len() + MODULUS_LEN + SPKI_TAIL.len() == SPKI_LEN);

/// The RSA suite of every real node.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealRsa;

impl RsaSuite for RealRsa {
    fn generate(&self, seed: [u8; 32]) -> RsaKeyPair {
        let seed = Zeroizing::new(seed);
        let mut rng = StdRng::from_seed(*seed);
        // Two primes with their two top bits set always give 2,048 bits; the loop is only there for the type.
        loop {
            let Ok(key) = RsaPrivateKey::new(&mut rng, MODULUS_BITS) else {
                continue;
            };
            if let Some(public) = encode_spki(key.n().as_ref()) {
                let private = Arc::new(RealKey::new(key, &seed));
                return RsaKeyPair {
                    public: Box::new(public),
                    private,
                };
            }
        }
    }

    fn seal(
        &self,
        public: &[u8; SPKI_LEN],
        message: &[u8; 32],
        seed: [u8; 32],
    ) -> Result<[u8; OAEP_LEN], BadRsaKey> {
        let key = decode_spki(public)?;
        let seed = Zeroizing::new(seed);
        let mut rng = StdRng::from_seed(*seed);
        let sealed = key
            .encrypt(&mut rng, Oaep::<Sha256>::new(), message)
            .map_err(|_| BadRsaKey)?;
        sealed.try_into().map_err(|_| BadRsaKey)
    }
}

/// A private key that opens ciphertexts and does nothing else.
struct RealKey {
    key: RsaPrivateKey,
    refusal: Refusal,
}

/// The secret from which the answers to ciphertexts that do not open are derived.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Refusal([u8; 32]);

impl RealKey {
    fn new(key: RsaPrivateKey, seed: &[u8; 32]) -> Self {
        Self {
            key,
            refusal: Refusal(mac(seed, &[REFUSAL])),
        }
    }

    /// Like `open`, but for ciphertexts of any length.
    fn open_or_pseudorandom(&self, ciphertext: &[u8], blinding: [u8; 32]) -> [u8; 32] {
        let blinding = Zeroizing::new(blinding);
        let mut rng = StdRng::from_seed(*blinding);
        // Computed in every case, so that a refusal takes as long as a success.
        let refusal = mac(&self.refusal.0, &[ciphertext]);
        match oaep_open(&self.key, &mut rng, LABEL, ciphertext).map(Zeroizing::new) {
            Ok(message) => message.as_slice().try_into().unwrap_or(refusal),
            Err(_) => refusal,
        }
    }
}

impl PrivateKey for RealKey {
    fn open(&self, ciphertext: &[u8; OAEP_LEN], blinding: [u8; 32]) -> [u8; 32] {
        self.open_or_pseudorandom(ciphertext, blinding)
    }
}

/// The one private operation: blinded, OAEP with SHA-256 and MGF1-SHA-256.
fn oaep_open<R: CryptoRng>(
    key: &RsaPrivateKey,
    rng: &mut R,
    label: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, rsa::Error> {
    key.decrypt_blinded(rng, Oaep::<Sha256>::new_with_label(label), ciphertext)
}

fn encode_spki(modulus: &BoxedUint) -> Option<[u8; SPKI_LEN]> {
    let bytes = modulus.to_be_bytes();
    if modulus.bits() as usize != MODULUS_BITS || bytes.len() != MODULUS_LEN {
        return None;
    }
    let whole = [&SPKI_HEAD[..], &bytes, &SPKI_TAIL].concat();
    whole.try_into().ok()
}

/// Accepts exactly what `encode_spki` writes; every other encoding of a key is refused.
fn decode_spki(spki: &[u8; SPKI_LEN]) -> Result<RsaPublicKey, BadRsaKey> {
    let rest = spki.strip_prefix(&SPKI_HEAD).ok_or(BadRsaKey)?;
    let modulus = rest.strip_suffix(&SPKI_TAIL).ok_or(BadRsaKey)?;
    let modulus = BoxedUint::from_be_slice(modulus, MODULUS_BITS as u32).map_err(|_| BadRsaKey)?;
    // The crate refuses an even modulus. The top bit makes it 2,048 bits long and its encoding canonical.
    if modulus.bits() as usize != MODULUS_BITS {
        return Err(BadRsaKey);
    }
    let key = RsaPublicKey::new(modulus, BoxedUint::from(EXPONENT)).map_err(|_| BadRsaKey)?;
    match encode_spki(key.n().as_ref()) {
        Some(again) if again == *spki => Ok(key),
        _ => Err(BadRsaKey),
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC pads a short key with zeros to a block anyway.
    let mut block = Zeroizing::new([0; 64]);
    if let Some(head) = block.first_chunk_mut() {
        *head = *key;
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Compiles only if the key can be neither printed, copied nor serialised, and is wiped when dropped: for a type with one of these
/// traits two implementations of `Lacks` apply, and the `_` below is ambiguous.
const _: fn() = || {
    trait Lacks<Which> {
        fn it() {}
    }
    struct Cloning;
    struct Debugging;
    struct Displaying;
    struct Serialising;
    impl<T: ?Sized> Lacks<()> for T {}
    impl<T: Clone> Lacks<Cloning> for T {}
    impl<T: ?Sized + fmt::Debug> Lacks<Debugging> for T {}
    impl<T: ?Sized + fmt::Display> Lacks<Displaying> for T {}
    impl<T: ?Sized + serde::Serialize> Lacks<Serialising> for T {}
    let _ = <RealKey as Lacks<_>>::it;
    let _ = <dyn PrivateKey as Lacks<_>>::it;

    fn wiped_when_dropped<T: ZeroizeOnDrop>() {}
    wiped_when_dropped::<RsaPrivateKey>();
    wiped_when_dropped::<Refusal>();
};

#[cfg(test)]
mod tests;
