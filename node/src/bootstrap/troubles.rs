//! Troubles with the peers of the file, for users who wait for a node to become ready.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A peer of `bootstrap.toml` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapTrouble {
    /// The peer's `host:port` as written in the file.
    pub written: String,
    /// The address it resolves to, if it does.
    pub address: Option<SocketAddr>,
    /// The trouble, in words.
    pub trouble: String,
}

/// Shared by resolver, driver and handles. It has no more entries than the file has peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Troubles(Arc<Mutex<TroubleList>>);

#[derive(Debug, Default)]
struct TroubleList {
    /// By the address as written in the file.
    troubles: BTreeMap<String, BootstrapTrouble>,
    written: BTreeMap<SocketAddr, String>,
}

impl Troubles {
    /// All troubles, by the address as written in the file.
    pub(crate) fn list(&self) -> Vec<BootstrapTrouble> {
        self.state().troubles.values().cloned().collect()
    }

    /// A name cannot be resolved.
    pub(crate) fn unresolved(&self, written: &str, why: &str) {
        self.state().set(
            written,
            None,
            format!("the name cannot be resolved ({why})"),
        );
    }

    /// None of the addresses of a peer may be used.
    pub(crate) fn unusable(&self, written: &str, address: SocketAddr, why: &str) {
        self.state().set(written, Some(address), why.to_owned());
    }

    /// These addresses of a name are tried now. A trouble with one of them stays if it is still among them.
    pub(crate) fn resolved(&self, written: &str, addresses: &[SocketAddr]) {
        let mut state = self.state();
        state.written.retain(|_, of| of != written);
        for &address in addresses {
            state.written.insert(address, written.to_owned());
        }
        let tried = |trouble: &BootstrapTrouble| {
            trouble
                .address
                .is_some_and(|address| addresses.contains(&address))
        };
        if !state.troubles.get(written).is_some_and(tried) {
            state.troubles.remove(written);
        }
    }

    /// A relay answers at this peer.
    pub(crate) fn answers(&self, written: &str) {
        self.state().troubles.remove(written);
    }

    /// The transport cannot use the peer at this address.
    pub(crate) fn refused(&self, address: SocketAddr, why: &str) {
        let mut state = self.state();
        if let Some(written) = state.written.get(&address).cloned() {
            state.set(&written, Some(address), why.to_owned());
        }
    }

    fn state(&self) -> MutexGuard<'_, TroubleList> {
        // Nothing in here panics, and the state is whole after every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TroubleList {
    fn set(&mut self, written: &str, address: Option<SocketAddr>, trouble: String) {
        let written = written.to_owned();
        self.troubles.insert(
            written.clone(),
            BootstrapTrouble {
                written,
                address,
                trouble,
            },
        );
    }
}
