//! Daemons in a network namespace of their own: two addresses on one machine, a firewall, an address that goes, few open files.
//! Root only; elsewhere each test says that it is skipped, and why.
#![allow(
    clippy::print_stdout,
    reason = "whoever runs it must see what was skipped"
)]

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::fleet::{PATIENCE, command};

/// A namespace with the addresses 10.77.0.1 to .9 on its loopback device, its daemons and their directory.
struct Machine {
    name: String,
    directory: PathBuf,
    children: Vec<Child>,
}

impl Machine {
    /// None, with the reason, where no namespace can be made.
    fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("deut-{}-{number}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.as_ref().is_ok_and(|made| made.status.success()) {
            println!("SKIPPED: no network namespace can be made: {made:?}");
            return None;
        }
        let directory = std::env::temp_dir().join(&name);
        fs::create_dir_all(&directory).expect("a directory");
        let machine = Self {
            name,
            directory,
            children: Vec::new(),
        };
        machine.ip("link set lo up");
        for last in 1..10 {
            machine.ip(&format!("addr add 10.77.0.{last}/32 dev lo"));
        }
        let file =
            "network = \"machine\"\nprofile = \"test\"\n[[peer]]\naddress = \"10.77.0.1:15000\"\n";
        fs::write(machine.directory.join("bootstrap.toml"), file).expect("writes");
        Some(machine)
    }

    fn ip(&self, arguments: &str) {
        let words = arguments.split_whitespace();
        let done = Command::new("ip")
            .args(["-n", &self.name])
            .args(words)
            .output();
        let done = done.expect("ip runs");
        assert!(done.status.success(), "ip {arguments}: {done:?}");
    }

    /// Runs a program in the namespace.
    fn inside(&self, program: &str, arguments: &[&str]) -> std::io::Result<std::process::Output> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command.args(arguments).output()
    }

    /// One more daemon; `wrap` stands before it on the command line.
    fn run(&mut self, wrap: &[&str], arguments: &[&str]) -> usize {
        let node = self.children.len();
        let file = |name: &str| {
            fs::File::create(self.directory.join(format!("{name}{node}"))).expect("a file")
        };
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .args(wrap)
            .arg(env!("CARGO_BIN_EXE_deut"))
            .args([
                "run",
                "--tunnels",
                "6",
                "--data-dir",
                &format!("data{node}"),
            ])
            .args(arguments)
            .current_dir(&self.directory)
            .env("HOME", &self.directory)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("log"));
        self.children.push(command.spawn().expect("runs"));
        node
    }

    fn run_at(&mut self, last: u8) -> usize {
        let port = 14_800 + u32::from(last) * 200;
        self.run(&[], &["--listen", &format!("10.77.0.{last}:{port}")])
    }

    fn log(&self, node: usize) -> String {
        fs::read_to_string(self.directory.join(format!("log{node}"))).unwrap_or_default()
    }

    fn status(&self, node: usize) -> Option<Value> {
        let data = format!("data{node}");
        let status = ["status", "--json", "--data-dir", &data];
        let output = command(&self.directory, &status).output().expect("runs");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Looks at the status until it pleases.
    fn wait(&self, node: usize, what: &str, pleases: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status(node);
            if status.as_ref().is_some_and(&pleases) {
                return status.expect("just seen");
            }
            assert!(
                Instant::now() < end,
                "{what} never came: {status:?}\n{}",
                self.log(node)
            );
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn says(status: &Value, code: &str) -> bool {
    let codes = status["readiness"]["codes"].as_array();
    codes.is_some_and(|codes| codes.iter().any(|one| one == code))
}

fn is_ready(status: &Value) -> bool {
    status["readiness"]["ready"] == true
}

/// Ready, and nothing wrong with the machine.
fn is_well(status: &Value) -> bool {
    let troubles = ["sending-refused", "address-gone", "stood-still"];
    is_ready(status) && !troubles.iter().any(|code| says(status, code))
}

fn lists(status: &Value, address: &str) -> bool {
    let relays = status["relays"].as_array();
    relays.is_some_and(|relays| relays.iter().any(|relay| relay["address"] == address))
}

#[test]
fn a_relay_on_all_addresses_answers_from_the_one_that_others_know() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    let first = machine.run_at(1);
    machine.run_at(2);
    let listen = ["--listen", "0.0.0.0:16000", "--external", "10.77.0.7:16000"];
    let both = machine.run(&[], &listen);
    machine.wait(first, "the relay in others' lists", |status| {
        lists(status, "10.77.0.7:16000")
    });
    let status = machine.wait(both, "ready", is_ready);
    assert_eq!(status["local_address"], "10.77.0.7:16000");
}

#[test]
fn a_firewall_that_refuses_to_send_is_named_and_the_node_is_not_ready() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    let table = "table inet wall { chain out { type filter hook output priority 0; meta l4proto udp drop; }; }";
    let rules = machine.directory.join("wall.nft");
    fs::write(&rules, table).expect("writes");
    let nodes: Vec<usize> = (1..5).map(|last| machine.run_at(last)).collect();
    for node in &nodes {
        machine.wait(*node, "control: ready", is_well);
    }
    let rules = rules.to_str().expect("a plain path").to_owned();
    let made = machine.inside("nft", &["-f", &rules]);
    if !made.as_ref().is_ok_and(|made| made.status.success()) {
        println!("SKIPPED: no firewall can be made with nft: {made:?}");
        return;
    }
    for node in &nodes {
        let refused = machine.wait(*node, "refusal", |status| says(status, "sending-refused"));
        assert!(!is_ready(&refused), "{refused}");
        let first = refused["readiness"]["reasons"][0].as_str().unwrap_or("");
        assert!(first.starts_with("sending is refused ("), "{refused}");
        assert!(first.contains("firewall"), "{refused}");
    }
    let data = format!("data{}", nodes[2]);
    let get = [
        "get",
        "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a",
    ];
    let get = [&get[..], &["--timeout", "2", "--data-dir", &data]].concat();
    let told = command(&machine.directory, &get).output().expect("runs");
    let error = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        told.status.code() == Some(7) && error.contains("sending is refused"),
        "{told:?}"
    );
    // As long as it takes for all to give each other up.
    sleep(Duration::from_secs(30));
    let after = machine.status(nodes[1]).expect("it answers");
    assert!(
        says(&after, "sending-refused") && !is_ready(&after),
        "{after}"
    );
    let gone = machine.inside("nft", &["delete", "table", "inet", "wall"]);
    assert!(gone.is_ok_and(|gone| gone.status.success()));
    for node in &nodes {
        machine.wait(*node, "ready again", is_well);
    }
}

#[test]
fn an_address_that_goes_is_named_and_the_node_goes_on_when_it_is_back() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    let nodes: Vec<usize> = (1..5).map(|last| machine.run_at(last)).collect();
    for node in &nodes {
        machine.wait(*node, "control: ready", is_well);
    }
    let (node, other) = (nodes[3], nodes[1]);
    machine.ip("addr del 10.77.0.4/32 dev lo");
    let gone = machine.wait(node, "address-gone", |status| says(status, "address-gone"));
    assert!(!is_ready(&gone), "{gone}");
    machine.wait(other, "the others go on without it", |status| {
        is_well(status) && !lists(status, "10.77.0.4:15600")
    });
    machine.ip("addr add 10.77.0.4/32 dev lo");
    machine.wait(node, "ready again", is_well);
    machine.wait(other, "listed again", |status| {
        lists(status, "10.77.0.4:15600")
    });
}

#[test]
fn with_few_open_files_fewer_ports_are_offered_and_it_is_said() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    let whole = machine.run_at(1);
    let few = ["prlimit", "--nofile=64:64"];
    let node = machine.run(&few, &["--listen", "10.77.0.2:15200"]);
    machine.wait(node, "ready", is_ready);
    let log = machine.log(node);
    assert!(
        log.contains("64 open files are allowed: that is room for 16 of 128 endpoint ports"),
        "{log}"
    );
    assert!(!machine.log(whole).contains("open files"), "control");
}

#[test]
fn refused_connections_are_said_once() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    let node = machine.run(
        &["prlimit", "--nofile=16:16"],
        &["--listen", "10.77.0.1:15000"],
    );
    let socket = machine.directory.join("data0/control.sock");
    let end = Instant::now() + PATIENCE;
    while !socket.exists() {
        assert!(Instant::now() < end, "{}", machine.log(node));
        sleep(Duration::from_millis(50));
    }
    // More clients than it has files, for fifty times as long as it pauses between two tries.
    let connect = || std::os::unix::net::UnixStream::connect(&socket).expect("it listens");
    let clients: Vec<_> = (0..16).map(|_| connect()).collect();
    sleep(Duration::from_secs(5));
    drop(clients);
    let log = machine.log(node);
    assert_eq!(log.matches("accept failed").count(), 1, "{log}");
    machine.wait(node, "it answers again", |status| status["role"] == "relay");
}
