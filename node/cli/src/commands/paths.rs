//! Finds the data directory, the control socket and `bootstrap.toml`.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use deut::BootstrapFile;

use crate::{
    cli::Reach,
    exit::{Exit, Failure},
};

const FILE: &str = "bootstrap.toml";

impl Reach {
    /// The data directory.
    ///
    /// # Errors
    /// If it was not given and the environment names none.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Failure> {
        let given = self.data_dir.clone();
        given
            .or_else(|| base("XDG_DATA_HOME", ".local/share", |name| env::var_os(name)))
            .ok_or_else(|| {
                Failure::new(
                    Exit::DataDir,
                    "no data directory: neither XDG_DATA_HOME nor HOME is set",
                )
                .hint("name one with --data-dir")
            })
    }

    /// The control socket.
    ///
    /// # Errors
    /// As [`Self::data_dir`].
    pub(crate) fn control(&self) -> Result<PathBuf, Failure> {
        match &self.control {
            Some(path) => Ok(path.clone()),
            None => Ok(self.data_dir()?.join("control.sock")),
        }
    }
}

/// The directory `deut` in one of the user's base directories.
fn base(
    variable: &str,
    below_home: &str,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let xdg = environment(variable).and_then(absolute);
    let base = xdg.or_else(|| Some(environment("HOME").and_then(absolute)?.join(below_home)))?;
    Some(base.join("deut"))
}

/// Reads the given `bootstrap.toml`, else `./bootstrap.toml`, else the one in the user's configuration directory.
///
/// # Errors
/// If there is none, it cannot be read, or something in it is wrong.
pub(crate) fn read_bootstrap(given: Option<&Path>) -> Result<BootstrapFile, Failure> {
    if let Some(path) = given {
        return Ok(BootstrapFile::read(path)?);
    }
    let of_user =
        base("XDG_CONFIG_HOME", ".config", |name| env::var_os(name)).map(|dir| dir.join(FILE));
    let candidates: Vec<PathBuf> = [Some(PathBuf::from(FILE)), of_user]
        .into_iter()
        .flatten()
        .collect();
    match candidates.iter().find(|path| path.exists()) {
        Some(path) => Ok(BootstrapFile::read(path)?),
        None => {
            let list: Vec<String> = candidates
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Err(Failure::new(Exit::BadConfig, format!("no {FILE}: looked for {}", list.join(" and ")))
                .hint("name one with --bootstrap; `deut testnet --keep` makes one for a network on this machine"))
        }
    }
}

/// The same, for a node that cannot be the first of its network.
///
/// # Errors
/// If [`read_bootstrap`] fails or the file lists no peers.
pub(crate) fn read_bootstrap_with_peers(given: Option<&Path>) -> Result<BootstrapFile, Failure> {
    let file = read_bootstrap(given)?;
    if file.peers.is_empty() {
        let text = format!("there is no public network yet: {}", no_peers(&file));
        return Err(Failure::new(Exit::NoNetwork, text)
            .hint("try `deut testnet --keep`, or add a [[peer]] block (`deut bootstrap-line` on a running node prints it)"));
    }
    Ok(file)
}

/// A message that this file is of no use for a client.
pub(crate) fn no_peers(file: &BootstrapFile) -> String {
    let path = file
        .source
        .as_deref()
        .map_or_else(|| FILE.into(), |path| path.display().to_string());
    format!("{path} lists no peers to join through")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base_of(xdg: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
        base("XDG_DATA_HOME", ".local/share", |name| {
            if name == "HOME" { home } else { xdg }.map(OsString::from)
        })
    }

    #[test]
    fn the_data_directory_follows_the_xdg_rules() {
        assert_eq!(base_of(Some("/x"), Some("/h")), Some("/x/deut".into()));
        assert_eq!(
            base_of(None, Some("/h")),
            Some("/h/.local/share/deut".into())
        );
        assert_eq!(
            base_of(Some("relative"), Some("/h")),
            Some("/h/.local/share/deut".into())
        );
        assert_eq!(base_of(None, Some("")), None);
        assert_eq!(base_of(None, None), None);
    }

    #[test]
    fn the_control_socket_lies_in_the_data_directory_unless_named() {
        let mut reach = Reach {
            data_dir: Some("/d".into()),
            control: None,
        };
        assert_eq!(
            reach.control().expect("a path"),
            PathBuf::from("/d/control.sock")
        );
        reach.control = Some("/c".into());
        assert_eq!(reach.control().expect("a path"), PathBuf::from("/c"));
    }
}
