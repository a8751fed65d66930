//! Key files: the 32-byte secret that signs the versions of a mutable record, readable by its owner only.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    data_dir::{
        DataDirError,
        owned::{self, Closed},
    },
    entropy,
};

/// Length of a key file: the seed of an Ed25519 key pair (the private key of RFC 8032).
const LENGTH: usize = 32;

/// The key in a file.
pub struct KeyFile {
    /// The seed of the key pair, wiped on drop.
    pub seed: Zeroizing<[u8; LENGTH]>,
}

/// The reason why a key file cannot be used, in one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}; {remedy}", path.display())]
pub struct KeyFileError {
    /// The path of the file.
    pub path: PathBuf,
    /// The fault, in one line.
    pub what: String,
    /// The remedy, in one line.
    pub remedy: String,
}

impl From<DataDirError> for KeyFileError {
    fn from(error: DataDirError) -> Self {
        let DataDirError {
            path, what, remedy, ..
        } = error;
        Self { path, what, remedy }
    }
}

impl KeyFile {
    /// Draws a new key and saves it with mode 0600. Never overwrites a file.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let wrong = |what, remedy: &str| KeyFileError {
            path: path.to_owned(),
            what,
            remedy: remedy.to_owned(),
        };
        let mut file = owned::create(path).map_err(|why| match why.kind() {
            ErrorKind::AlreadyExists => wrong(
                "is there already".into(),
                "leave out --new-key to use it, or name another file",
            ),
            _ => wrong(
                format!("cannot be made ({why})"),
                "name a file in a directory of yours",
            ),
        })?;
        let filled = entropy::seed().and_then(|seed| {
            let seed = Zeroizing::new(seed);
            let written = file.write_all(&*seed).and_then(|()| file.sync_all());
            written.map(|()| seed).map_err(|why| why.to_string())
        });
        match filled {
            Ok(seed) => Ok(Self { seed }),
            Err(why) => {
                // The file is ours, and does not hold a whole key.
                let _ = fs::remove_file(path);
                let what = format!("cannot be written ({why})");
                Err(wrong(what, "make room and try again"))
            }
        }
    }

    /// Reads a key. The file must belong to the user that runs this process, and be closed to all others.
    ///
    /// # Errors
    /// If it cannot be read, is open to others, or does not have 32 bytes.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let wrong = |what, remedy: &str| KeyFileError {
            path: path.to_owned(),
            what,
            remedy: remedy.to_owned(),
        };
        let unreadable = |why: std::io::Error| {
            let remedy = "correct its permissions, or name another file";
            wrong(format!("cannot be read ({why})"), remedy)
        };
        let missing = || {
            wrong(
                "cannot be read (there is no such file)".into(),
                "add --new-key to make it",
            )
        };
        let file = owned::open(path, Closed::ToAll)?.ok_or_else(missing)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
        let limit = u64::try_from(LENGTH + 1).unwrap_or(u64::MAX);
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let seed = bytes.as_slice().try_into().map_err(|_| {
            let length = match bytes.len() {
                length if length > LENGTH => "more than 32".to_owned(),
                length => length.to_string(),
            };
            wrong(
                format!("has {length} bytes, but a key file has 32"),
                "name the file that --new-key made",
            )
        })?;
        Ok(Self {
            seed: Zeroizing::new(seed),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("deut-key-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).expect("a directory");
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("key")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn error(result: Result<KeyFile, KeyFileError>) -> String {
        result.err().expect("refused").to_string()
    }

    #[test]
    fn a_new_key_is_for_its_owner_only_and_read_back() {
        let scratch = Scratch::new("new");
        let made = KeyFile::create(&scratch.file()).expect("made");
        let mode = fs::metadata(scratch.file())
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = KeyFile::read(&scratch.file()).expect("read");
        assert!(*made.seed == *read.seed && *read.seed != [0; 32]);
        assert!(
            error(KeyFile::create(&scratch.file()))
                .contains("is there already; leave out --new-key")
        );
        let again = KeyFile::read(&scratch.file()).expect("read");
        assert!(*again.seed == *read.seed, "nothing was overwritten");
    }

    #[test]
    fn what_is_no_key_file_is_refused_with_a_remedy() {
        let scratch = Scratch::new("bad");
        assert!(error(KeyFile::read(&scratch.file())).contains("add --new-key"));
        for (length, says) in [
            (0, "has 0 bytes"),
            (31, "has 31 bytes"),
            (64, "has more than 32 bytes"),
        ] {
            write(&scratch.file(), &vec![1; length], 0o600);
            assert!(error(KeyFile::read(&scratch.file())).contains(says));
        }
        assert!(error(KeyFile::read(&scratch.0)).contains("cannot be read"));
        assert!(error(KeyFile::create(&scratch.0.join("no/where"))).contains("cannot be made"));
    }

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).expect("writes");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn a_file_that_others_can_open_and_a_link_are_refused() {
        let scratch = Scratch::new("mode");
        for (mode, says) in [
            (0o640, "others can read it (mode 0640); run chmod 600"),
            (0o602, "others can change it (mode 0602); run chmod 600"),
        ] {
            write(&scratch.file(), &[1; 32], mode);
            let told = error(KeyFile::read(&scratch.file()));
            assert!(told.contains(says), "{told}");
        }
        write(&scratch.file(), &[1; 32], 0o600);
        KeyFile::read(&scratch.file()).expect("its owner's only");
        let link = scratch.0.join("link");
        symlink(scratch.file(), &link).expect("a link");
        let told = error(KeyFile::read(&link));
        assert!(told.contains("is a symbolic link"), "{told}");
    }
}
