//! `deut testnet --keep`: the network stays, for commands from a second terminal.

use std::{
    env,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{network::Network, report::Report};
use crate::{
    exit::{Exit, Failure},
    output::Out,
    process::Signals,
};

/// A `bootstrap.toml` in a directory of its own, removed when dropped.
struct TemporaryFile {
    directory: PathBuf,
    path: PathBuf,
}

impl TemporaryFile {
    fn write(first_port: u16, text: &str) -> io::Result<Self> {
        // A new directory that only its owner may enter, so that nobody else can have put anything there.
        let directory =
            env::temp_dir().join(format!("deut-testnet-{first_port}-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&directory)?;
        let path = directory.join("bootstrap.toml");
        let file = Self { directory, path };
        fs::write(&file.path, text)?;
        Ok(file)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_dir(&self.directory);
    }
}

/// Prints how to join, and waits for a signal.
pub(super) async fn keep(
    network: &Network,
    report: &Report,
    out: &Out,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let text = network.bootstrap().render();
    let file = TemporaryFile::write(network.ports().0, &text).map_err(|why| {
        Failure::new(
            Exit::DataDir,
            format!(
                "bootstrap.toml cannot be written to {} ({why})",
                env::temp_dir().display()
            ),
        )
    })?;
    let command = format!(
        "{} get --bootstrap {} '{}'",
        program(),
        quoted(&file.path),
        report.magnet
    );
    out.story(&format!(
        "\nThe network stays up until Ctrl-C. Its bootstrap.toml, also in {}:\n\n{}",
        file.path.display(),
        text.trim_end()
    ))?;
    out.story(&format!("\nFrom a second terminal:\n\n  {command}\n"))?;
    out.object_with_json(&serde_json::json!({ "event": "kept", "bootstrap": file.path, "magnet": report.magnet, "command": command }))?;
    signals.next().await;
    Ok(())
}

/// The command that calls this program again: as it was called, if that works in any directory.
fn program() -> String {
    let called = env::args().next().unwrap_or_default();
    if !called.contains('/') && !called.is_empty() {
        return called;
    }
    env::current_exe().map_or(called, |path| quoted(&path))
}

/// A path quoted for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "/._-+@:".contains(character);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted(Path::new("/tmp/a-b_1.toml")), "/tmp/a-b_1.toml");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }

    #[test]
    fn the_file_is_gone_afterwards() {
        let file = TemporaryFile::write(1, "text").expect("writes");
        let (path, directory) = (file.path.clone(), file.directory.clone());
        assert_eq!(fs::read_to_string(&path).expect("reads"), "text");
        drop(file);
        assert!(!path.exists() && !directory.exists());
    }
}
