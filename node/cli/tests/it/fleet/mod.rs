//! Daemons of the built binary on loopback, each a process with a directory of its own.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use deut_transport::policy::{Policy, Profile};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ports;

/// Guard against hanging; an idle machine needs a tenth.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// What is announced.
pub const MAGNET: &str = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a&dn=a+needle";

/// Networks run one after another: each is measured against its timeouts.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Daemons that know the first two of them; killed and removed when dropped.
pub struct Fleet {
    pub directory: PathBuf,
    pub ports: Vec<u16>,
    network: String,
    pub children: Vec<Option<Child>>,
    _alone: MutexGuard<'static, ()>,
}

impl Fleet {
    /// Starts `count` daemons that know the first two.
    pub fn start(name: &str, count: usize, seed: u64) -> Self {
        Self::start_with(name, count, seed, |_| vec![])
    }

    /// The same with more arguments for each.
    pub fn start_with(
        name: &str,
        count: usize,
        seed: u64,
        more: impl Fn(usize) -> Vec<&'static str>,
    ) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = std::env::temp_dir().join(format!("deut-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        let ports = ports::blocks(count);
        let peers: String = ports
            .iter()
            .take(2)
            .map(|port| format!("[[peer]]\naddress = \"127.0.0.1:{port}\"\n"))
            .collect();
        let network = format!("fleet-{name}");
        let file = format!("network = \"{network}\"\nprofile = \"test\"\n{peers}");
        fs::write(directory.join("bootstrap.toml"), file).expect("writes");
        let mut fleet = Self {
            directory,
            ports,
            network,
            children: Vec::new(),
            _alone: alone,
        };
        for node in 0..count {
            let child = fleet.spawn_with(node, seed, &more(node));
            fleet.children.push(Some(child));
        }
        fleet
    }

    pub fn spawn(&self, node: usize, seed: u64) -> Child {
        self.spawn_with(node, seed, &[])
    }

    fn spawn_with(&self, node: usize, seed: u64, more: &[&str]) -> Child {
        let file = |name: &str| {
            fs::File::create(self.directory.join(format!("{name}{node}"))).expect("a file")
        };
        let listen = format!("127.0.0.1:{}", self.ports[node]);
        let (data, seed) = (
            format!("data{node}"),
            (seed * 1_000 + node as u64).to_string(),
        );
        let arguments = [
            "run",
            "--listen",
            &listen,
            "--bootstrap",
            "bootstrap.toml",
            "--data-dir",
            &data,
            "--tunnels",
            "6",
            "--seed",
            &seed,
        ];
        let mut command = command(&self.directory, &[&arguments, more].concat());
        command
            .stdout(file("out"))
            .stderr(file("log"))
            .spawn()
            .expect("runs")
    }

    pub fn run(&self, node: usize, arguments: &[&str]) -> Output {
        let data = format!("data{node}");
        let all = [arguments, &["--data-dir", &data]].concat();
        command(&self.directory, &all).output().expect("runs")
    }

    pub fn json(&self, node: usize, arguments: &[&str]) -> Option<Value> {
        let output = self.run(node, &[arguments, &["--json"]].concat());
        let said = serde_json::from_slice(&output.stdout)
            .ok()
            .filter(|_| output.status.success());
        if said.is_none() && arguments != ["status"] {
            println!("{arguments:?}: {output:?}");
        }
        said
    }

    /// The same, from the moment on when the daemon listens for commands.
    pub fn soon(&self, node: usize, arguments: &[&str]) -> Value {
        let end = Instant::now() + PATIENCE;
        while self.json(node, &["status"]).is_none() {
            assert!(Instant::now() < end, "node {node}: {}", self.log(node));
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = self.json(node, arguments);
        said.unwrap_or_else(|| panic!("{arguments:?}: {}", self.log(node)))
    }

    pub fn status(&self, node: usize) -> Value {
        self.json(node, &["status"])
            .unwrap_or_else(|| panic!("node {node} does not answer: {}", self.log(node)))
    }

    /// As `status`, straight over the control socket: thousands of times.
    pub fn ask_status(&self, node: usize) -> Value {
        let path = self.directory.join(format!("data{node}/control.sock"));
        let mut socket = UnixStream::connect(path).expect("the daemon listens");
        socket.write_all(b"{\"do\":\"status\"}\n").expect("asked");
        let lines = BufReader::new(socket).lines().map_while(Result::ok);
        let mut answers = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        answers
            .find_map(|answer| answer.get("done").cloned())
            .expect("a status")
    }

    /// What it wrote to standard error.
    pub fn log(&self, node: usize) -> String {
        fs::read_to_string(self.directory.join(format!("log{node}"))).unwrap_or_default()
    }

    /// The policy of its network.
    pub fn policy(&self) -> Policy {
        Policy::new(&self.network, Profile::Test).expect("a short name")
    }

    pub fn alive(&self) -> Vec<usize> {
        (0..self.children.len())
            .filter(|&node| self.children[node].is_some())
            .collect()
    }

    /// Waits until every node is ready and knows most of the others' personas.
    pub fn settle(&self) {
        let end = Instant::now() + PATIENCE;
        for node in self.alive() {
            loop {
                let status = self.json(node, &["status"]);
                let enough = |status: &Value| {
                    let live = status["dht"]["table_live"].as_u64().unwrap_or(0) as usize;
                    status["readiness"]["ready"] == true
                        && live * 3 >= (self.children.len() - 1) * 2
                };
                if status.as_ref().is_some_and(enough) {
                    break;
                }
                assert!(
                    Instant::now() < end,
                    "node {node} is not ready: {status:?}\n{}",
                    self.log(node)
                );
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }

    /// SIGTERM to all that live; each must end with 0.
    pub fn stop_all(&mut self) {
        for child in self.children.iter().flatten() {
            kill_process(Pid::from_child(child), Signal::TERM).expect("signalled");
        }
        for node in self.alive() {
            let mut child = self.children[node].take().expect("it lives");
            let end = child.wait().expect("gone");
            assert_eq!(end.code(), Some(0), "node {node}: {}", self.log(node));
        }
    }

    /// No warning: SIGKILL.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.children[node].take() {
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for node in 0..self.children.len() {
            self.kill(node);
        }
        ports::give_back(&self.ports);
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deut"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .stdin(Stdio::null());
    command
}

/// 64 hex digits.
pub fn bytes(hex: &str) -> [u8; 32] {
    let hex = hex.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hex") as u8;
    std::array::from_fn(|i| digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]))
}

/// The name that others call this node by.
pub fn relay_id(status: &Value) -> String {
    let identity = status["identity"].as_str().expect("a relay");
    deut::RelayId::of(&bytes(identity)).to_string()
}

/// The persona's key that an `announce --json` told.
pub fn persona(announced: &Value) -> String {
    let told = announced["announced"].as_str();
    let key = told.and_then(|told| told.strip_prefix("persona "));
    key.unwrap_or_else(|| panic!("a persona: {announced}"))
        .to_owned()
}

/// Personas that a `get --json` found.
pub fn personas(found: &Value) -> Vec<String> {
    let peers = found["peers"].as_array().cloned().unwrap_or_default();
    peers
        .iter()
        .filter_map(|peer| peer["key"].as_str().map(str::to_owned))
        .collect()
}
