//! HKDF-SHA256 (RFC 5869). The lengths of outputs are known at compile time.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The result of HKDF-Extract.
pub struct Prk(Hkdf<Sha256>);

impl Prk {
    /// HKDF-Extract; an empty salt is the same as none.
    #[must_use]
    pub fn extract(salt: &[u8], ikm: &[u8]) -> Self {
        Self(Hkdf::new(Some(salt), ikm))
    }

    /// HKDF-Expand; the parts of `info` are concatenated.
    #[must_use]
    pub fn expand<const N: usize>(&self, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        const { assert!(N <= 255 * 32) };
        let mut out = Zeroizing::new([0; N]);
        let fits = self.expand_into(info, out.as_mut_slice());
        debug_assert!(fits);
        out
    }

    /// The same for a length that is known only at run time; false if `out` is longer than 8,160 bytes.
    pub(crate) fn expand_into(&self, info: &[&[u8]], out: &mut [u8]) -> bool {
        self.0.expand_multi_info(info, out).is_ok()
    }
}

/// HKDF-Extract and HKDF-Expand in one step.
#[must_use]
pub fn derive<const N: usize>(salt: &[u8], ikm: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    Prk::extract(salt, ikm).expand(info)
}
