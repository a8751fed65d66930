//! The built binary: `deut testnet` brings up a network on real sockets and resolves a magnet link in it through tunnels.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

fn testnet(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deut"));
    command
        .args(["testnet", "--nodes", "8", "--json"])
        .args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs")
}

fn last_object(output: &Output) -> serde_json::Value {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    serde_json::from_str(text.lines().last().expect("a line")).expect("an object")
}

#[test]
fn two_networks_at_the_same_time_both_resolve() {
    let networks = [testnet(&["--seed", "1"]), testnet(&["--seed", "2"])];
    for network in networks {
        let output = network.wait_with_output().expect("ends");
        let report = last_object(&output);
        assert!(
            output.status.success(),
            "{report}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(
            (&report["nodes"], &report["resolved"]),
            (&8.into(), &true.into()),
            "{report}"
        );
        assert_eq!(
            report["tunnels_ready"]
                .as_u64()
                .map(|tunnels| tunnels >= 8 * 4),
            Some(true),
            "{report}"
        );
        for number in ["lookup_ms", "ready_ms", "rpcs", "datagrams"] {
            assert!(
                report[number].as_f64().is_some_and(|value| value > 0.0),
                "{number} in {report}"
            );
        }
    }
}

/// A network that stays up, called by its name as a user does; stopped when dropped.
struct Kept {
    network: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it told: where `bootstrap.toml` is, the magnet link, and the command for a second terminal.
    told: serde_json::Value,
}

impl Kept {
    fn start() -> Self {
        let mut network = deut()
            .arg0("deut")
            .args(["testnet", "--nodes", "8", "--json", "--keep"])
            .args(["--port", "20000"])
            .spawn()
            .expect("runs");
        let mut lines = BufReader::new(network.stdout.take().expect("piped")).lines();
        let told = lines.next().expect("a line").expect("reads");
        let told = serde_json::from_str(&told).expect("an object");
        Self {
            network,
            lines,
            told,
        }
    }

    fn text(&self, name: &str) -> &str {
        self.told[name].as_str().expect("a text")
    }

    /// A command as a short-lived node.
    fn run(&self, arguments: &[&str]) -> Output {
        let all = [arguments, &["--bootstrap", self.text("bootstrap")]].concat();
        deut().args(all).output().expect("runs")
    }

    /// Ends it; its report.
    fn stop(mut self) -> serde_json::Value {
        kill_process(Pid::from_child(&self.network), Signal::TERM).expect("signalled");
        let report = self.lines.next().expect("a line").expect("reads");
        assert!(self.network.wait().expect("ends").success());
        serde_json::from_str(&report).expect("an object")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.network.kill();
        let _ = self.network.wait();
    }
}

/// The binary, found by its name too, and without a daemon of the user's.
fn deut() -> Command {
    with_path(Command::new(env!("CARGO_BIN_EXE_deut")))
}

fn with_path(mut command: Command) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_deut"));
    let directory = binary.parent().expect("a directory");
    command
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .env("XDG_DATA_HOME", "/nowhere")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The line for a second terminal, typed as it is printed.
fn the_printed_command_works(kept: &Kept) {
    let line = kept.text("command");
    assert!(line.starts_with("deut get --bootstrap "), "{line}");
    let output = with_path(Command::new("sh"))
        .args(["-c", line])
        .current_dir("/")
        .output()
        .expect("a shell");
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && found.starts_with("persona "),
        "{line}: {output:?}"
    );
}

/// Nobody knows a magnet link; then a short-lived node announces an address on it, and it is found.
fn an_address_is_announced_where_nothing_was(kept: &Kept) {
    let magnet = "magnet:?xt=urn:btih:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    let none = kept.run(&["get", magnet]);
    let text = String::from_utf8_lossy(&none.stderr);
    assert_eq!(none.status.code(), Some(8), "{text}");
    for part in [
        "nothing found: asked the ",
        " closest, none knows it; ",
        "the network has about ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let address = "203.0.113.7:6881";
    let announced = kept.run(&["announce", magnet, "--address", address, "--json"]);
    let text = String::from_utf8_lossy(&announced.stderr);
    assert_eq!(announced.status.code(), Some(0), "{text}");
    let warning = format!("warning: {address} becomes public");
    assert!(text.contains(&warning), "{text}");
    let stored = last_object(&announced);
    assert_eq!(
        (&stored["kept"], &stored["announced"]),
        (&false.into(), &address.into()),
        "{stored}"
    );
    assert!(stored["stored_at"].as_u64() > Some(0), "{stored}");
    let found = kept.run(&["get", magnet]);
    assert_eq!(
        String::from_utf8_lossy(&found.stdout),
        format!("unverified {address}\n"),
        "{found:?}"
    );
}

/// Who announced by one hash of a hybrid torrent is found by the link that has both, and the other way round.
fn both_hashes_of_a_hybrid_torrent_are_asked_and_announced(kept: &Kept) {
    let first = "xt=urn:btih:b1f8a2c3d4e5f60718293a4b5c6d7e8f90a1b2c3";
    let second = "xt=urn:btmh:12200f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let (infohash, other) = (&first[12..], &second[16..56]);
    let one = |topic: &str| format!("magnet:?{topic}");
    let both = format!("magnet:?{second}&{first}");
    let announce = |link: &str, address| {
        let output = kept.run(&["announce", link, "--address", address, "--json"]);
        assert!(output.status.success(), "{link}: {output:?}");
        last_object(&output)
    };
    let found = |link: &str| {
        let output = kept.run(&["get", link, "--json"]);
        assert!(output.status.success(), "{link}: {output:?}");
        last_object(&output)
    };
    announce(&one(second), "203.0.113.2:6881");
    let got = found(&both);
    assert_eq!(got["infohash"], *infohash, "{got}");
    assert_eq!(got["peers"][0]["address"], "203.0.113.2:6881", "{got}");
    let swarms = serde_json::json!([
        { "infohash": infohash, "version": 1, "who": [] },
        { "infohash": other, "version": 2, "who": ["203.0.113.2:6881"] },
    ]);
    assert_eq!(got["swarms"], swarms, "{got}");
    let control = kept.run(&["get", &one(first)]);
    assert_eq!(control.status.code(), Some(8), "control: {control:?}");

    let stored = announce(&both, "203.0.113.3:6881");
    assert_eq!(
        (&stored["key"], &stored["other"]["key"]),
        (&infohash.into(), &other.into())
    );
    for at in [&stored["stored_at"], &stored["other"]["stored_at"]] {
        assert!(at.as_u64() > Some(0), "{stored}");
    }
    let got = found(&one(first));
    assert_eq!(got["peers"][0]["address"], "203.0.113.3:6881", "{got}");
    assert!(got["swarms"].is_null(), "one version, one swarm: {got}");
    let got = found(&one(second));
    assert_eq!(got["peers"].as_array().map(Vec::len), Some(2), "{got}");
}

/// Whoever takes the peers for those of another network is told so.
fn another_name_is_another_network(kept: &Kept) {
    let path = Path::new(kept.text("bootstrap"));
    let text = fs::read_to_string(path).expect("reads");
    let edited = text.replacen("network = \"", "network = \"not-", 1);
    assert_ne!(text, edited);
    let other = path.with_file_name("edited.toml");
    fs::write(&other, edited).expect("writes");
    let output = deut()
        .args(["get", kept.text("magnet"), "--timeout", "3"])
        .arg("--bootstrap")
        .arg(&other)
        .output()
        .expect("runs");
    fs::remove_file(&other).expect("removed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{text}");
    assert!(text.contains("another network"), "{text}");
}

#[test]
fn a_kept_network_can_be_asked_from_outside() {
    let kept = Kept::start();
    let get = kept.run(&["get", "--json", kept.text("magnet")]);
    let got = last_object(&get);
    assert_eq!(
        (&got["found"], &got["peers"][0]["kind"]),
        (&"peers".into(), &"persona".into()),
        "{got}"
    );
    the_printed_command_works(&kept);
    an_address_is_announced_where_nothing_was(&kept);
    both_hashes_of_a_hybrid_torrent_are_asked_and_announced(&kept);
    another_name_is_another_network(&kept);
    let bootstrap = kept.text("bootstrap").to_owned();
    assert_eq!(kept.stop()["resolved"], true);
    assert!(!Path::new(&bootstrap).exists());
}
