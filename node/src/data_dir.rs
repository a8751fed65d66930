//! The data directory: the relay's key seed, the verified relays, and nothing that could show what a user did.
//!
//! A file is overwritten only by its own next version, and atomically. A key that cannot be read stops the start with one line and
//! is left as it is. The relays are only a cache: if their file cannot be used, it is set aside.

pub(crate) mod owned;
pub mod relays;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use zeroize::Zeroizing;

use self::owned::Closed;
pub use self::owned::check_socket_directory;
pub(crate) use relays::save_relays;

/// File name of the 32-byte seed of a relay's keys, the only secret on disk.
pub const RELAY_KEY: &str = "relay.key";
/// File name of the descriptors of relays that were verified in the last run.
pub const RELAYS: &str = "relays.bin";
/// File name of the last version of [`RELAYS`] that could not be used.
pub const RELAYS_DAMAGED: &str = "relays.bin.damaged";
/// File name of the socket on which the daemon takes commands.
pub const CONTROL_SOCKET: &str = "control.sock";
/// File name of the lock, which the daemon holds while it runs.
pub const LOCK: &str = "lock";
/// Every file that a data directory may hold.
pub const FILES: [&str; 5] = [CONTROL_SOCKET, LOCK, RELAY_KEY, RELAYS, RELAYS_DAMAGED];

/// An opened and locked data directory.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// The reason why a data directory cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}; {remedy}", path.display())]
pub struct DataDirError {
    /// The file or directory with the fault.
    pub path: PathBuf,
    /// The fault, in one line.
    pub what: String,
    /// The remedy, in one line.
    pub remedy: String,
    /// It is in use: by another process, or by a node of this process that is still stopping.
    pub in_use: bool,
}

impl DataDir {
    /// Opens a data directory, and creates it if it is missing. Only one node at a time can have it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        prepare(path)?;
        let lock_path = path.join(LOCK);
        let lock = owned::open_lock(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError {
                in_use: true,
                ..wrong(
                    path,
                    "another deut uses this data directory",
                    "stop it, or choose another with --data-dir",
                )
            }),
            Err(TryLockError::Error(error)) => Err(wrong(
                &lock_path,
                format!("cannot be locked ({error})"),
                "put the data directory on a local disk",
            )),
        }
    }

    /// The seed of the relay's keys. If there is none yet, `fresh` is saved and returned.
    pub(crate) fn key_seed(&self, fresh: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DataDirError> {
        let path = self.path.join(RELAY_KEY);
        let mut bytes = Zeroizing::new(Vec::new());
        let Some(file) = owned::open(&path, Closed::ToAll)? else {
            let saved = write_atomically(&path, fresh);
            saved.map_err(|error| {
                wrong(
                    &path,
                    format!("cannot be written ({error})"),
                    "make room or correct the directory's permissions",
                )
            })?;
            return Ok(Zeroizing::new(*fresh));
        };
        let read = file.take(33).read_to_end(&mut bytes);
        read.map_err(|error| {
            wrong(
                &path,
                format!("cannot be read ({error})"),
                "correct its permissions",
            )
        })?;
        let seed = bytes.as_slice().try_into().map_err(|_| {
            let length = if bytes.len() > 32 {
                "more than 32".to_owned()
            } else {
                bytes.len().to_string()
            };
            wrong(
                &path,
                format!("has {length} bytes, but a relay key has 32"),
                "restore it from a copy, or move it away for a new identity",
            )
        })?;
        Ok(Zeroizing::new(seed))
    }

    /// Path of the file for the relays, which the driver writes outside its own task.
    pub(crate) fn relays_path(&self) -> PathBuf {
        self.path.join(RELAYS)
    }
}

/// Creates a data directory if it is missing, and checks its owner and permissions, without locking it.
///
/// # Errors
/// If it cannot be created, belongs to another user, or others may write to it.
pub fn prepare(path: &Path) -> Result<(), DataDirError> {
    owned::directory(path)
}

/// Returns true if the process or the system has no file descriptor left.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    let full = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    full.contains(&error.raw_os_error())
}

/// Writes a file that others cannot read, so that at every moment the whole old or the whole new version is there.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // A crash may have left this file; it is ours and was never used.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = owned::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&new, path));
    if renamed.is_err() {
        // The disk may be full: leave no half-written file behind.
        let _ = fs::remove_file(&new);
    }
    renamed?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn wrong(path: &Path, what: impl Into<String>, remedy: &str) -> DataDirError {
    DataDirError {
        path: path.to_owned(),
        what: what.into(),
        remedy: remedy.to_owned(),
        in_use: false,
    }
}

#[cfg(test)]
mod tests;
