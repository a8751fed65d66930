//! Where a daemon listens, and what it says when no answer can come to it there. Loopback only.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value;

use crate::ports;

/// A daemon with one peer in its file; killed and removed when dropped.
struct Daemon {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    directory: PathBuf,
}

impl Daemon {
    fn start(name: &str, peer: &str, listen: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("deut-listen-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        let file = format!("network = \"n\"\nprofile = \"test\"\n[[peer]]\naddress = \"{peer}\"\n");
        fs::write(directory.join("bootstrap.toml"), file).expect("writes");
        let mut child = command(&directory, &["run", "--json", "--listen", listen])
            .spawn()
            .expect("runs");
        let stdout = child.stdout.take().expect("piped");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
            directory,
        }
    }

    /// The next event of this kind.
    fn event(&mut self, kind: &str) -> Value {
        for line in self.lines.by_ref() {
            let event: Value =
                serde_json::from_str(&line.expect("reads")).expect("an object per line");
            if event["event"] == kind {
                return event;
            }
        }
        panic!("it ended without {kind}");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        command(&self.directory, arguments).output().expect("runs")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn command(directory: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deut"));
    command
        .args(arguments)
        .args(["--data-dir", "data"])
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

#[test]
fn auto_listens_where_the_peers_are_and_does_not_ask_itself() {
    let port = ports::block();
    let mut daemon = Daemon::start(
        "auto",
        &format!("127.0.0.1:{port}"),
        &format!("auto:{port}"),
    );
    assert_eq!(
        daemon.event("started")["address"],
        format!("127.0.0.1:{port}")
    );
    // It was its only peer: then it is the first of its network.
    let reasons = daemon.event("readiness")["reasons"].to_string();
    assert!(reasons.contains("first of its network"), "{reasons}");

    for wait in ["0", "1"] {
        let alone = daemon.run(&["status", "--ready", "--wait", wait]);
        assert_eq!(alone.status.code(), Some(7));
    }
    let short = daemon.run(&["status", "--ready", "--json"]);
    assert_eq!(short.status.code(), Some(7));
    let said: Value = serde_json::from_slice(&short.stdout).expect("one object");
    assert_eq!(said["error"]["kind"], "not-joined");
    assert!(
        said["error"]["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("not ready: ")),
        "{said}"
    );
}

#[test]
fn a_bound_address_from_which_nothing_reaches_a_peer_is_said() {
    // From a loopback address the system sends to no other machine, so nothing leaves.
    let port = ports::block();
    let mut daemon = Daemon::start("away", "192.0.2.1:4000", &format!("127.0.0.1:{port}"));
    let trouble = daemon.event("trouble");
    let text = trouble["trouble"].as_str().expect("a text");
    assert!(
        text.starts_with("no answer: a send from 127.0.0.1 cannot reach it (")
            && text.contains("--listen auto"),
        "{text}"
    );
}
