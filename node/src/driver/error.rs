//! The reasons why a node does not start.

use std::{net::SocketAddr, path::PathBuf};

use crate::{config::ConfigError, data_dir::DataDirError};

/// The reason why a node does not start. Each text is one line and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program holds the port.
    #[error("port {} on {} is in use; stop the other program or listen on another port", address.port(), address.ip())]
    PortInUse {
        /// The address that it was to listen on.
        address: SocketAddr,
    },
    /// The address cannot be bound for another reason.
    #[error("cannot listen on {address} ({why}); listen on an address of this machine")]
    CannotListen {
        /// The address that it was to listen on.
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
        /// The use that the descriptor was for.
        what: &'static str,
        /// The reason that the system gives.
        why: String,
    },
    /// It was started outside a tokio runtime, or in one that lacks I/O or time.
    #[error(
        "a node runs on a tokio runtime with {0}; start it within one that has I/O and time enabled (Builder::enable_all)"
    )]
    NoRuntime(&'static str),
    /// The data directory cannot be used.
    #[error("{}: {what}; {remedy}", path.display())]
    BadDataDir {
        /// The file or directory with the fault.
        path: PathBuf,
        /// The fault, in one line.
        what: String,
        /// The remedy, in one line.
        remedy: String,
    },
    /// The system has no random numbers to give.
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
