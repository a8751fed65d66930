//! Checks of owner and permissions: files and directories that others could have put there or could change are not used.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, io::Errno, process::geteuid};

use super::{DataDirError, is_out_of_descriptors, wrong};

/// Write permission of group and others.
const WRITABLE: u32 = 0o022;
/// Any permission of group and others.
const OPEN: u32 = 0o077;
/// In such a directory only the owner of a file may remove it.
const STICKY: u32 = 0o1000;

/// The degree to which a file must be closed to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Others may read it.
    ToWriters,
    /// Nobody else may read it, since it holds a secret.
    ToAll,
}

/// Creates a directory that only its owner may use, whatever the umask, and missing ones above it. An existing one must belong to
/// the user that runs this process, and nobody else may write to it. Others may read it, since its files are closed to them.
pub(crate) fn directory(path: &Path) -> Result<(), DataDirError> {
    make(path)?;
    let metadata = look(path)?;
    if !metadata.is_dir() {
        return Err(wrong(
            path,
            "cannot be made (a file is in the way)",
            "choose a directory that you own with --data-dir",
        ));
    }
    if metadata.uid() != euid() {
        return Err(not_ours(path, &metadata, "chown -R"));
    }
    if metadata.mode() & WRITABLE != 0 {
        return Err(open_to_others(path, &metadata, "chmod 700"));
    }
    Ok(())
}

/// Checks that a socket may be put in this directory: nobody else may put another one in its place.
///
/// # Errors
/// If it is missing, is no directory, belongs to another user, or others may remove files in it.
pub fn check_socket_directory(path: &Path) -> Result<(), DataDirError> {
    let metadata = look(path)?;
    if !metadata.is_dir() {
        let remedy = "name a socket in a directory of yours with --control";
        return Err(wrong(path, "is no directory", remedy));
    }
    if metadata.uid() != euid() && metadata.uid() != 0 {
        return Err(not_ours(path, &metadata, "chown"));
    }
    if metadata.mode() & WRITABLE != 0 && metadata.mode() & STICKY == 0 {
        return Err(open_to_others(path, &metadata, "chmod 700"));
    }
    Ok(())
}

/// Opens a file for reading; `None` if it is missing.
pub(crate) fn open(path: &Path, closed: Closed) -> Result<Option<File>, DataDirError> {
    let mut options = OpenOptions::new();
    let file = match plain(options.read(true)).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unopened(path, &error, "read")),
    };
    let metadata = checked(path, &file)?;
    let others = match closed {
        Closed::ToWriters => WRITABLE,
        Closed::ToAll => OPEN,
    };
    if metadata.mode() & others != 0 {
        return Err(open_to_others(path, &metadata, "chmod 600"));
    }
    Ok(Some(file))
}

/// Opens the lock file, and creates it if it is missing.
pub(crate) fn open_lock(path: &Path) -> Result<File, DataDirError> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false);
    let file = plain(options.mode(0o600)).open(path);
    let file = file.map_err(|error| unopened(path, &error, "opened"))?;
    checked(path, &file)?;
    // The file is empty, but whoever could lock it could keep us out.
    let closed = file.set_permissions(fs::Permissions::from_mode(0o600));
    closed.map_err(|error| unopened(path, &error, "closed to others"))?;
    Ok(file)
}

/// Creates a file that nobody else may read, whatever the umask. It must not exist.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Options that neither follow a symbolic link nor wait for the other end of a pipe.
fn plain(options: &mut OpenOptions) -> &mut OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(i32::from_ne_bytes(flags.bits().to_ne_bytes()))
}

fn checked(path: &Path, file: &File) -> Result<Metadata, DataDirError> {
    let metadata = file.metadata();
    let metadata = metadata.map_err(|error| unopened(path, &error, "looked at"))?;
    if !metadata.is_file() {
        let remedy = "move it away, or name another";
        return Err(wrong(path, "cannot be read (it is no file)", remedy));
    }
    if metadata.uid() != euid() {
        return Err(not_ours(path, &metadata, "chown"));
    }
    Ok(metadata)
}

fn make(path: &Path) -> Result<(), DataDirError> {
    let mut made = DirBuilder::new().mode(0o700).create(path);
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if let (Err(error), Some(above)) = (&made, above)
        && error.kind() == io::ErrorKind::NotFound
    {
        make(above)?;
        made = DirBuilder::new().mode(0o700).create(path);
    }
    match made {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(|error| unopened(path, &error, "closed to others")),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let text = format!("cannot be made ({error}){}", whose(above));
            let remedy = "choose a directory that you own with --data-dir";
            Err(wrong(path, text, remedy))
        }
    }
}

/// Metadata of the target of a path. A symbolic link that another user made is refused.
fn look(path: &Path) -> Result<Metadata, DataDirError> {
    let unseen = |error: io::Error| {
        let text = format!("cannot be used ({error}){}", whose(path.parent()));
        let remedy = "choose a directory that you own, or run deut as the user that owns it";
        wrong(path, text, remedy)
    };
    let link = fs::symlink_metadata(path).map_err(unseen)?;
    if link.is_symlink() && link.uid() != euid() && link.uid() != 0 {
        return Err(not_ours(path, &link, "chown -h"));
    }
    fs::metadata(path).map_err(unseen)
}

/// `: DIRECTORY belongs to user 7, and this deut runs as user 8`, if that may be the reason; else empty.
fn whose(directory: Option<&Path>) -> String {
    let Some(metadata) = directory.and_then(|directory| fs::metadata(directory).ok()) else {
        return format!(", and this deut runs as user {}", euid());
    };
    let path = directory.map_or_else(PathBuf::new, Path::to_owned);
    let (path, owner) = (path.display(), metadata.uid());
    if owner == euid() {
        String::new()
    } else {
        format!(
            ": {path} belongs to user {owner}, and this deut runs as user {}",
            euid()
        )
    }
}

fn not_ours(path: &Path, metadata: &Metadata, chown: &str) -> DataDirError {
    let (owner, me) = (metadata.uid(), euid());
    let text = format!("belongs to user {owner}, and this deut runs as user {me}");
    let remedy = format!(
        "run it as user {owner}, or run {chown} {me} {}",
        path.display()
    );
    wrong(path, text, &remedy)
}

fn open_to_others(path: &Path, metadata: &Metadata, chmod: &str) -> DataDirError {
    let mode = metadata.mode() & 0o7777;
    let can = if mode & WRITABLE != 0 {
        "change"
    } else {
        "read"
    };
    let text = format!("others can {can} it (mode {mode:04o})");
    wrong(path, text, &format!("run {chmod} {}", path.display()))
}

fn unopened(path: &Path, error: &io::Error, done: &str) -> DataDirError {
    if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        let remedy = "move the file itself to this place";
        return wrong(path, "is a symbolic link, which is not followed", remedy);
    }
    if is_out_of_descriptors(error) {
        let remedy = "raise the limit of open files (ulimit -n) or close others";
        return wrong(path, format!("cannot be {done} ({error})"), remedy);
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.uid() != euid() => not_ours(path, &metadata, "chown"),
        _ => {
            let text = format!("cannot be {done} ({error}){}", whose(path.parent()));
            wrong(
                path,
                text,
                "correct its permissions and those of its directory",
            )
        }
    }
}

fn euid() -> u32 {
    geteuid().as_raw()
}
