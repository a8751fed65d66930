//! Why a node does not start.

use std::{net::SocketAddr, path::PathBuf};

use crate::{config::ConfigError, data_dir::DataDirError};

/// Why a node does not start. Each text is one line and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program holds the port.
    #[error("port {} on {} is in use; stop the other program or listen on another port", address.port(), address.ip())]
    PortInUse {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The address cannot be bound for another reason.
    #[error("cannot listen on {address} ({why}); listen on an address of this machine")]
    CannotListen {
        /// Where it was to listen.
        address: SocketAddr,
        /// The reason that the system gives.
        why: String,
    },
    /// The settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The process, or the system, has no file descriptor left.
    #[error(
        "no file descriptor is left for {what} ({why}); raise the limit of open files (ulimit -n) or close others"
    )]
    NoDescriptors {
        /// The purpose of the descriptor.
        what: &'static str,
        /// The reason that the system gives.
        why: String,
    },
    /// It was not started within a tokio runtime, or in one that lacks a part.
    #[error(
        "a node runs on a tokio runtime with {0}; start it within one that has I/O and time enabled (Builder::enable_all)"
    )]
    NoRuntime(&'static str),
    /// The data directory cannot be used.
    #[error("{}: {what}; {remedy}", path.display())]
    BadDataDir {
        /// Which file or directory.
        path: PathBuf,
        /// The fault, in one line.
        what: String,
        /// The remedy, in one line.
        remedy: String,
    },
    /// The system has no randomness to give.
    #[error(
        "the operating system gives no random numbers ({0}); deut cannot make keys without them"
    )]
    NoEntropy(String),
}

impl From<DataDirError> for StartError {
    fn from(error: DataDirError) -> Self {
        let DataDirError {
            path,
            what,
            remedy,
            in_use: _,
        } = error;
        Self::BadDataDir { path, what, remedy }
    }
}
