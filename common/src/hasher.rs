//! A hasher for maps, keyed from a seed of ours and not by the operating system.
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};

/// SipHash with a secret prefix, so that nobody outside can prepare keys that collide.
#[derive(Clone)]
pub struct KeyedState(pub [u8; 16]);

impl BuildHasher for KeyedState {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        // `DefaultHasher::new` has fixed keys, unlike `RandomState`.
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.write_u8(0);
        hasher
    }
}
