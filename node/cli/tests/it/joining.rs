//! How daemons and commands find their network: peers by name, with a name server of the test's own in a network namespace of
//! its own; machines without IPv4; networks that go and come back.

use std::{
    fs,
    net::IpAddr,
    path::PathBuf,
    process::{Child, Output},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    fleet::{PATIENCE, command},
    namespace::{NameServer, Namespace},
};

/// Every relay of these tests has this port, at an address of its own.
const PORT: u16 = 15_000;
const NAME: &str = "seed.deut.test";

/// Daemons in one namespace, each at an address of its own; killed and removed when dropped, before their namespace.
struct Town {
    directory: PathBuf,
    children: Vec<(String, Child)>,
    space: Namespace,
}

impl Town {
    fn new(test: &str) -> Option<Self> {
        let space = Namespace::new(test)?;
        let directory = std::env::temp_dir().join(&space.name);
        fs::create_dir_all(&directory).expect("a directory");
        Some(Self {
            directory,
            children: Vec::new(),
            space,
        })
    }

    /// A `bootstrap.toml` with these peers.
    fn list(&self, file: &str, peers: &[&str]) {
        let peers = peers.iter();
        let blocks: String = peers
            .map(|peer| format!("\n[[peer]]\naddress = \"{peer}\"\n"))
            .collect();
        let text = format!("network = \"town\"\nprofile = \"test\"\n{blocks}");
        fs::write(self.directory.join(file), text).expect("written");
    }

    /// Starts a daemon with this name that joins through the peers of this file.
    fn start(&mut self, name: &str, listen: &str, file: &str) {
        let child = self.spawn(&self.space, name, listen, file);
        self.children.push((name.to_owned(), child));
    }

    /// The same in another namespace.
    fn start_in(&mut self, space: &Namespace, name: &str, listen: &str, file: &str) {
        let child = self.spawn(space, name, listen, file);
        self.children.push((name.to_owned(), child));
    }

    fn spawn(&self, space: &Namespace, name: &str, listen: &str, file: &str) -> Child {
        let output = |what: &str| {
            let path = self.directory.join(format!("{name}.{what}"));
            fs::File::create(path).expect("a file")
        };
        let arguments = [
            "run",
            "--json",
            "--tunnels",
            "4",
            "--listen",
            listen,
            "--bootstrap",
            file,
            "--data-dir",
            name,
        ];
        let mut inside = space.inside(&command(&self.directory, &arguments));
        inside
            .stdout(output("out"))
            .stderr(output("log"))
            .spawn()
            .expect("runs")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut inside = self.space.inside(&command(&self.directory, arguments));
        inside.output().expect("runs")
    }

    fn status(&self, name: &str) -> Option<Value> {
        let output = self.run(&["status", "--json", "--data-dir", name]);
        serde_json::from_slice(&output.stdout)
            .ok()
            .filter(|_| output.status.success())
    }

    /// Waits until the status of this daemon pleases.
    fn eventually(&self, name: &str, what: &str, pleases: impl Fn(&Value) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status(name);
            if status.as_ref().is_some_and(&pleases) {
                return;
            }
            assert!(
                Instant::now() < end,
                "{name}: {what} never came: {status:?}\n{}",
                self.told(name)
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What it wrote.
    fn told(&self, name: &str) -> String {
        let read = |what: &str| {
            fs::read_to_string(self.directory.join(format!("{name}.{what}"))).unwrap_or_default()
        };
        read("out") + &read("log")
    }

    fn eventually_tells(&self, name: &str, words: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.told(name).contains(words) {
            let told = self.told(name);
            assert!(Instant::now() < end, "{name} never tells {words:?}: {told}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// SIGTERM, and the exit code.
    fn stop(&mut self, name: &str) -> Option<i32> {
        let at = self.children.iter().position(|child| child.0 == name);
        let (_, mut child) = self.children.remove(at.expect("it runs"));
        kill_process(Pid::from_child(&child), Signal::TERM).expect("signalled");
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("waits") {
                return status.code();
            }
            if Instant::now() > end {
                child.kill().expect("killed");
                panic!("{name} does not stop: {}", self.told(name));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn kill(&mut self, name: &str) {
        let at = self.children.iter().position(|child| child.0 == name);
        let (_, mut child) = self.children.remove(at.expect("it runs"));
        child.kill().expect("killed");
        child.wait().expect("gone");
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn at(ip: &str) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{PORT}")
    } else {
        format!("{ip}:{PORT}")
    }
}

fn knows_relays(at_least: u64) -> impl Fn(&Value) -> bool {
    move |status| status["readiness"]["relays"].as_u64() >= Some(at_least)
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect()
}

#[test]
fn a_name_is_looked_up_again_as_long_as_its_peer_does_not_answer() {
    let Some(mut town) = Town::new("a name whose answer changes") else {
        return;
    };
    let mut names = NameServer::start(&town.space);
    names.set(NAME, &ips(&["127.0.0.9"]));
    town.list("nobody.toml", &[]);
    town.list("name.toml", &[&format!("{NAME}:{PORT}")]);
    town.start("first", &at("127.0.0.1"), "nobody.toml");
    town.start("second", &at("127.0.0.2"), "name.toml");
    town.eventually_tells("second", "no answer");
    let joined = |town: &Town| {
        town.status("second")
            .is_some_and(|status| knows_relays(1)(&status))
    };
    assert!(!joined(&town), "control: nobody lives at the old address");
    names.set(NAME, &ips(&["127.0.0.1"]));
    town.eventually("second", "a relay", knows_relays(1));

    // The peer moves; nobody else knows the new place.
    town.kill("first");
    town.eventually("second", "that it is alone", |status| {
        status["readiness"]["relays"] == 0
    });
    town.start("third", &at("127.0.0.3"), "nobody.toml");
    names.set(NAME, &ips(&["127.0.0.3"]));
    town.eventually("second", "the peer at its new place", |status| {
        let relays = status["relays"].as_array();
        relays.is_some_and(|relays| {
            relays
                .iter()
                .any(|relay| relay["address"] == at("127.0.0.3"))
        })
    });
    assert_eq!(town.stop("second"), Some(0));
}

#[test]
fn the_last_of_many_addresses_of_a_name_has_its_turn() {
    let Some(mut town) = Town::new("a name with many addresses") else {
        return;
    };
    let mut names = NameServer::start(&town.space);
    let many: Vec<String> = (1..=27).map(|n| format!("127.0.1.{n}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.push("127.0.2.1");
    names.set(NAME, &ips(&many));
    town.list("nobody.toml", &[]);
    town.list("name.toml", &[&format!("{NAME}:{PORT}")]);
    town.start("alive", &at("127.0.2.1"), "nobody.toml");
    town.start("joins", &at("127.0.0.1"), "name.toml");
    town.eventually("joins", "a relay", knows_relays(1));
}

#[test]
fn a_name_server_that_hangs_holds_up_neither_others_nor_the_end() {
    let Some(mut town) = Town::new("a name server that does not answer") else {
        return;
    };
    let mut names = NameServer::start(&town.space);
    names.set("hangs.deut.test", &[]);
    names.set(NAME, &ips(&["127.0.0.1"]));
    let (hangs, good) = (format!("hangs.deut.test:{PORT}"), format!("{NAME}:{PORT}"));
    town.list("nobody.toml", &[]);
    town.list("hangs.toml", &[&hangs]);
    town.list("mixed.toml", &[&hangs, &good]);
    town.start("first", &at("127.0.0.1"), "nobody.toml");
    town.start("hangs", &at("127.0.0.2"), "hangs.toml");
    town.start("mixed", &at("127.0.0.3"), "mixed.toml");
    town.eventually("mixed", "a relay", knows_relays(1));
    town.eventually_tells("hangs", "the name server has not answered yet");
    // The lookup goes on for 150 s, longer than anybody waits here.
    let start = Instant::now();
    assert_eq!(town.stop("hangs"), Some(0));
    let get = [
        "get",
        "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
        "--bootstrap",
        "hangs.toml",
        "--timeout",
        "8",
    ];
    let output = town.run(&get);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(
        said.contains("the name server has not answered yet"),
        "{said}"
    );
    assert!(start.elapsed() < Duration::from_secs(140), "it was held up");
}

#[test]
fn a_short_lived_command_takes_the_address_family_that_works() {
    let Some(mut town) = Town::new("a machine without IPv4") else {
        return;
    };
    assert!(town.space.ip(&["addr", "add", "fd00::53/128", "dev", "lo"]));
    for n in 1..=4 {
        let address = format!("fd00::{n}/128");
        assert!(
            town.space
                .ip(&["addr", "add", &address, "dev", "lo", "nodad"])
        );
    }
    let mut names = NameServer::start(&town.space);
    names.set(NAME, &ips(&["127.0.0.1", "fd00::1"]));
    town.list("first.toml", &[&at("fd00::1")]);
    for n in 1..=4 {
        let ip = format!("fd00::{n}");
        town.start(&format!("node{n}"), &at(&ip), "first.toml");
    }
    for n in 1..=4 {
        town.eventually(&format!("node{n}"), "others", |status| {
            status["readiness"]["ready"] == true && status["dht"]["table_live"].as_u64() >= Some(2)
        });
    }
    let put = [
        "put",
        "of IPv6",
        "--data-dir",
        "node1",
        "--json",
        "--timeout",
        "120",
    ];
    let stored: Value = serde_json::from_slice(&town.run(&put).stdout).expect("stored");
    let key = stored["key"].as_str().expect("a key").to_owned();
    // By name (with an IPv4 address too), in a mixed list, and with all of IPv4 gone.
    town.list("name.toml", &[&format!("{NAME}:{PORT}")]);
    town.list(
        "mixed.toml",
        &[&at("127.0.0.77"), &at("fd00::1"), &at("fd00::2")],
    );
    town.list("only.toml", &[&at("fd00::2")]);
    let get = |file: &str| {
        let output = town.run(&["get", &key, "--bootstrap", file, "--timeout", "120"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{file}: {said}");
    };
    get("name.toml");
    get("mixed.toml");
    assert!(town.space.ip(&["addr", "del", "127.0.0.1/8", "dev", "lo"]));
    get("mixed.toml");
    get("only.toml");
    // And one whose list says IPv4 in the notation of IPv6 is asked by IPv4, if there is any.
    assert!(town.space.ip(&["addr", "add", "127.0.0.1/8", "dev", "lo"]));
    town.list("none.toml", &[]);
    town.list("mapped.toml", &[&at("::ffff:127.0.0.5")]);
    town.start("ipv4", &at("::ffff:127.0.0.5"), "none.toml");
    town.start("joins", &at("::ffff:127.0.0.6"), "mapped.toml");
    town.eventually("joins", "a relay", knows_relays(1));
    let status = town.status("joins").expect("it runs");
    assert_eq!(status["local_address"], at("127.0.0.6"));
}

/// Six relays in a town, with a name for the first two; the last one's network goes for so long, and the first two for good.
fn offline(seconds: u64) {
    let Some(mut town) = Town::new("a network that goes and comes back") else {
        return;
    };
    // The seventh lives in a namespace of its own, behind a cable that can be pulled.
    let mut names = NameServer::start(&town.space);
    names.set(NAME, &ips(&["10.9.0.1", "10.9.0.2"]));
    let Some(far) = Namespace::new("the same") else {
        return;
    };
    let veth = [
        "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &far.name,
    ];
    assert!(town.space.ip(&veth), "a cable");
    for n in 1..=9 {
        let address = format!("10.9.0.{n}/24");
        assert!(town.space.ip(&["addr", "add", &address, "dev", "near"]));
    }
    assert!(town.space.ip(&["link", "set", "near", "up"]));
    assert!(far.ip(&["addr", "add", "10.9.0.77/24", "dev", "far"]));
    assert!(far.ip(&["link", "set", "far", "up"]));
    town.list("none.toml", &[]);
    town.list("peers.toml", &[&at("10.9.0.1"), &at("10.9.0.2")]);
    for n in 1..=9 {
        let file = if n == 1 { "none.toml" } else { "peers.toml" };
        town.start(&format!("node{n}"), &at(&format!("10.9.0.{n}")), file);
    }
    let listen = at("10.9.0.77");
    town.start_in(&far, "far", &listen, "peers.toml");
    let ready = |status: &Value| status["readiness"]["ready"] == true && knows_relays(7)(status);
    let alone = |status: &Value| status["readiness"]["relays"] == 0;
    town.eventually("far", "all others", ready);
    assert!(town.space.ip(&["link", "set", "near", "down"]));
    town.kill("node1");
    town.kill("node2");
    std::thread::sleep(Duration::from_secs(seconds));
    town.eventually("far", "that it is alone", alone);
    assert!(town.space.ip(&["link", "set", "near", "up"]));
    let back = Instant::now();
    town.eventually("far", "the seven others", ready);
    println!("back after {:.1} s", back.elapsed().as_secs_f64());

    // Once more, and it starts again without a network.
    assert!(town.space.ip(&["link", "set", "near", "down"]));
    assert_eq!(town.stop("far"), Some(0));
    town.start_in(&far, "far", &listen, "peers.toml");
    town.eventually("far", "that it is alone", alone);
    std::thread::sleep(Duration::from_secs(seconds / 4));
    assert!(town.space.ip(&["link", "set", "near", "up"]));
    let back = Instant::now();
    town.eventually("far", "the seven others, after a restart", ready);
    println!(
        "back after {:.1} s, restarted",
        back.elapsed().as_secs_f64()
    );
}

#[test]
#[ignore = "two minutes"]
fn a_daemon_whose_network_was_gone_for_100_seconds_comes_back() {
    offline(100);
}

#[test]
#[ignore = "a quarter of an hour"]
fn a_daemon_whose_network_was_gone_for_ten_minutes_comes_back() {
    offline(600);
}
