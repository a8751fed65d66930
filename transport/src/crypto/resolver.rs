//! The primitives with which `snow` runs `Noise_IK_25519_AESGCM_SHA256` (protocol §2). Nothing comes from the system.

use rand::{Rng, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};
use snow::{
    Error,
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::CryptoResolver,
    types::{Cipher, Dh, Hash, Random},
};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::aead::{AeadKey, TAG, counter_nonce};

/// Hands `snow` the primitives; its random generator starts from a seed.
pub(super) struct Resolver {
    seed: Zeroizing<[u8; 32]>,
}

impl Resolver {
    pub(super) fn new(rng: &mut StdRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self { seed }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Seeded(StdRng::from_seed(*self.seed))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::default()) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(Sha(Sha256::new())) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::AESGCM).then(|| Box::new(AesGcm(None)) as Box<dyn Cipher>)
    }
}

struct Seeded(StdRng);

impl Random for Seeded {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

/// X25519 that refuses points of small order. The secret is wiped on drop.
#[derive(Default)]
pub(super) struct X25519 {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, privkey: &[u8]) {
        if let Some(key) = privkey.first_chunk() {
            *self.secret = *key;
            self.public = PublicKey::from(&StaticSecret::from(*key)).to_bytes();
        }
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut key = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(key.as_mut_slice())?;
        self.set(key.as_slice());
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_slice()
    }

    /// `pubkey` may be longer than 32 bytes: snow hands over its whole buffer.
    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let theirs = pubkey.first_chunk::<32>().ok_or(Error::Dh)?;
        let shared = StaticSecret::from(*self.secret).diffie_hellman(&PublicKey::from(*theirs));
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        *out.first_chunk_mut().ok_or(Error::Dh)? = *shared.as_bytes();
        Ok(())
    }
}

struct Sha(Sha256);

impl Hash for Sha {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let digest = self.0.finalize_reset();
        for (to, from) in out.iter_mut().zip(digest) {
            *to = from;
        }
    }
}

/// AES-256-GCM; Noise writes its counter big-endian for this cipher.
struct AesGcm(Option<AeadKey>);

impl Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(AeadKey::new(*key));
    }

    /// snow has checked that there is a key and room in `out`.
    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let length = plaintext.len() + TAG;
        if let (Some(key), Some((out, _))) = (&self.0, out.split_at_mut_checked(length)) {
            let (text, _) = out.split_at_mut(plaintext.len());
            text.copy_from_slice(plaintext);
            key.seal_in_place(counter_nonce(nonce), authtext, out);
        }
        length
    }

    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let length = ciphertext.len().checked_sub(TAG).ok_or(Error::Decrypt)?;
        let (Some(key), Some((out, _))) = (&self.0, out.split_at_mut_checked(length)) else {
            return Err(Error::Decrypt);
        };
        key.open_into(counter_nonce(nonce), authtext, ciphertext, out)
            .map_err(|_| Error::Decrypt)?;
        Ok(length)
    }
}
