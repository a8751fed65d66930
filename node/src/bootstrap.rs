//! The file `bootstrap.toml`: the network, its rules, and the peers to join through.
//!
//! ```toml
//! network = "example"
//! profile = "test"            # or "production"
//!
//! [[peer]]
//! address = "127.0.0.1:15000" # host:port
//! key = "64 hex digits"       # identity key; without one the first answer is trusted
//! ```

mod lookup;
mod parse;
pub(crate) mod resolve;
pub(crate) mod route;
pub(crate) mod troubles;

use std::{
    fs,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
pub use deut_transport::policy::Profile;
pub use route::NoRoute;
pub use troubles::BootstrapTrouble;

/// A file with more peers is refused, since the transport keeps no more.
pub const MAX_PEERS: usize = 64;

/// A parsed `bootstrap.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapFile {
    /// The path that it was read from, for messages.
    pub source: Option<PathBuf>,
    /// Name of the network, 1 to 64 bytes.
    pub network: String,
    /// The set of rules of the network.
    pub profile: Profile,
    /// Peers to join through; empty for the first node of a network.
    pub peers: Vec<PeerEntry>,
}

/// One `[[peer]]` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEntry {
    /// `host:port`, as written.
    pub address: String,
    /// Identity key; with `None`, the first answer is trusted.
    pub key: Option<[u8; 32]>,
    /// Line of the block's address in the file; 0 if it comes from no file.
    pub line: usize,
}

/// The reason why a `bootstrap.toml` cannot be used. Its text is one line and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// The file cannot be read.
    #[error("{}: cannot be read ({why}); give the right path with --bootstrap", file.display())]
    Unreadable {
        /// The path of the file.
        file: PathBuf,
        /// The reason that the system gives.
        why: String,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}: {what}; {remedy}", file.display())]
    Wrong {
        /// The path of the file.
        file: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The fault, in one line.
        what: String,
        /// The remedy, in one line.
        remedy: String,
    },
}

impl BootstrapFile {
    /// A file without peers, for the first node of a network. The name is checked when a node starts.
    #[must_use]
    pub fn new(network: impl Into<String>, profile: Profile) -> Self {
        Self {
            source: None,
            network: network.into(),
            profile,
            peers: Vec::new(),
        }
    }

    /// The same file with one more peer.
    #[must_use]
    pub fn with_peer(mut self, address: impl Into<String>, key: Option<[u8; 32]>) -> Self {
        self.peers.push(PeerEntry {
            address: address.into(),
            key,
            line: 0,
        });
        self
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// If the file cannot be read or something in it is wrong, with the line.
    pub fn read(file: &Path) -> Result<Self, BootstrapError> {
        let bytes = fs::read(file).map_err(|error| BootstrapError::Unreadable {
            file: file.to_owned(),
            why: error.to_string(),
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let newlines = error.as_bytes().iter().take(good);
            BootstrapError::Wrong {
                file: file.to_owned(),
                line: 1 + newlines.filter(|&&byte| byte == b'\n').count(),
                what: "this is not UTF-8 text".to_owned(),
                remedy: "write the file again as plain text".to_owned(),
            }
        })?;
        Self::parse(&text, file)
    }

    /// Checks the text of a file; `file` is only for messages.
    ///
    /// # Errors
    /// If something in it is wrong, with the line.
    pub fn parse(text: &str, file: &Path) -> Result<Self, BootstrapError> {
        parse::parse(text, file)
    }

    /// Remarks on things that are allowed: few peers, peers without a key.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let peers = self.peers.len();
        if peers == 0 {
            warnings.push(format!(
                "no peers are listed: a relay becomes the first node of the network {:?}",
                self.network
            ));
        } else if peers < 3 && self.profile == Profile::Production {
            warnings.push(format!(
                "only {peers} of at least 3 peers are listed: few peers can lead a new node into a network of their own"
            ));
        }
        let keyless = self.peers.iter().filter(|peer| peer.key.is_none()).count();
        if keyless > 0 {
            warnings.push(format!(
                "{keyless} of {peers} peers have no key: whoever answers first at their address is trusted"
            ));
        }
        warnings
    }

    /// The file as text, which [`Self::parse`] reads back to the same value.
    #[must_use]
    pub fn render(&self) -> String {
        let network = toml::Value::String(self.network.clone());
        let profile = match self.profile {
            Profile::Production => "production",
            Profile::Test => "test",
        };
        let mut text = format!("network = {network}\nprofile = \"{profile}\"\n");
        for peer in &self.peers {
            text.push('\n');
            text.push_str(&peer_block(&peer.address, peer.key.as_ref()));
        }
        text
    }
}

/// One `[[peer]]` block as text.
#[must_use]
pub fn peer_block(address: &str, key: Option<&[u8; 32]>) -> String {
    let address = toml::Value::String(address.to_owned());
    let mut block = format!("[[peer]]\naddress = {address}\n");
    if let Some(key) = key {
        block.push_str("key = \"");
        block.push_str(&HEXLOWER.encode(key));
        block.push_str("\"\n");
    }
    block
}

#[cfg(test)]
mod tests;
