//! Troubles with the peers of the file, for people who wait for a node to become ready.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A peer of `bootstrap.toml` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapTrouble {
    /// `host:port` as written in the file.
    pub written: String,
    /// The address it resolves to, if it does.
    pub address: Option<SocketAddr>,
    /// The trouble, in words.
    pub trouble: String,
}

/// Shared by resolver, driver and handles. Holds no more entries than the file has peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Troubles(Arc<Mutex<TroubleList>>);

#[derive(Debug, Default)]
struct TroubleList {
    /// By the text in the file.
    troubles: BTreeMap<String, BootstrapTrouble>,
    written: BTreeMap<SocketAddr, String>,
}

impl Troubles {
    /// All of them, by the text in the file.
    pub(crate) fn list(&self) -> Vec<BootstrapTrouble> {
        self.state().troubles.values().cloned().collect()
    }

    /// A name is not known.
    pub(crate) fn unresolved(&self, written: &str, why: &str) {
        self.state().set(
            written,
            None,
            format!("the name cannot be resolved ({why})"),
        );
    }

    /// None of its addresses may be used.
    pub(crate) fn unusable(&self, written: &str, address: SocketAddr, why: &str) {
        self.state().set(written, Some(address), why.to_owned());
    }

    /// These are the addresses of a name that are tried now. A trouble with one that still is stays.
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

    /// A relay answers there.
    pub(crate) fn answers(&self, written: &str) {
        self.state().troubles.remove(written);
    }

    /// The transport cannot use it.
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
