//! Separate processes of the built binary on loopback: a network, a magnet, deaths without warning, and a flood of rubbish.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::UdpSocket,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use deut_transport::{
    crypto::noise::{Responder, initiate},
    keys::RelayKeys,
    policy::{Policy, Profile},
    wire::{datagram, descriptor::Descriptor},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::Value;

/// Nodes of a network.
const NODES: usize = 12;
/// Ports of one node in the test profile.
const BLOCK: u16 = 129;
/// Guard against hanging; an idle machine needs a tenth.
const PATIENCE: Duration = Duration::from_secs(240);
const MAGNET: &str = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a&dn=a+needle";

/// Networks run one after another: each is measured against its timeouts.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Fleet {
    directory: PathBuf,
    ports: Vec<u16>,
    children: Vec<Option<Child>>,
    _alone: MutexGuard<'static, ()>,
}

impl Fleet {
    /// Starts `count` daemons that know the first two.
    fn start(name: &str, count: usize, seed: u64) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = std::env::temp_dir().join(format!("deut-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        let ports = free_blocks(count);
        let peers: String = ports
            .iter()
            .take(2)
            .map(|port| format!("[[peer]]\naddress = \"127.0.0.1:{port}\"\n"))
            .collect();
        let file = format!("network = \"fleet-{name}\"\nprofile = \"test\"\n{peers}");
        fs::write(directory.join("bootstrap.toml"), file).expect("writes");
        let mut fleet = Self {
            directory,
            ports,
            children: Vec::new(),
            _alone: alone,
        };
        for node in 0..count {
            let child = fleet.spawn(node, seed);
            fleet.children.push(Some(child));
        }
        fleet
    }

    fn spawn(&self, node: usize, seed: u64) -> Child {
        let log = fs::File::create(self.directory.join(format!("log{node}"))).expect("a log");
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
        let mut command = command(&self.directory, &arguments);
        command
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("runs")
    }

    fn run(&self, node: usize, arguments: &[&str]) -> Output {
        let data = format!("data{node}");
        let all = [arguments, &["--data-dir", &data]].concat();
        command(&self.directory, &all).output().expect("runs")
    }

    fn json(&self, node: usize, arguments: &[&str]) -> Option<Value> {
        let output = self.run(node, &[arguments, &["--json"]].concat());
        let said = serde_json::from_slice(&output.stdout)
            .ok()
            .filter(|_| output.status.success());
        if said.is_none() && arguments != ["status"] {
            println!("{arguments:?}: {output:?}");
        }
        said
    }

    fn status(&self, node: usize) -> Value {
        self.json(node, &["status"])
            .unwrap_or_else(|| panic!("node {node} does not answer: {}", self.log(node)))
    }

    /// As `status`, straight over the control socket: thousands of times.
    fn ask_status(&self, node: usize) -> Value {
        let path = self.directory.join(format!("data{node}/control.sock"));
        let mut socket = UnixStream::connect(path).expect("the daemon listens");
        socket.write_all(b"{\"do\":\"status\"}\n").expect("asked");
        let lines = BufReader::new(socket).lines().map_while(Result::ok);
        let mut answers = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        answers
            .find_map(|answer| answer.get("done").cloned())
            .expect("a status")
    }

    fn log(&self, node: usize) -> String {
        fs::read_to_string(self.directory.join(format!("log{node}"))).unwrap_or_default()
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.children.len())
            .filter(|&node| self.children[node].is_some())
            .collect()
    }

    /// Waits until every node is ready and knows most of the others' personas.
    fn settle(&self) {
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

    /// No warning: SIGKILL.
    fn kill(&mut self, node: usize) {
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
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deut"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .stdin(Stdio::null());
    command
}

/// Blocks of ports whose relay port nobody has.
fn free_blocks(count: usize) -> Vec<u16> {
    let first = u16::try_from(std::process::id() % 60).expect("small");
    let blocks = (0..130).map(|n| 15_000 + (first + n) % 130 * BLOCK);
    let free: Vec<u16> = blocks
        .filter(|&port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
        .take(count)
        .collect();
    assert_eq!(free.len(), count, "blocks of ports are free");
    free
}

/// The name that others call this node by.
fn relay_id(status: &Value) -> String {
    let identity = status["identity"].as_str().expect("a relay").as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hex") as u8;
    let bytes: [u8; 32] =
        std::array::from_fn(|i| digit(identity[2 * i]) << 4 | digit(identity[2 * i + 1]));
    deut::RelayId::of(&bytes).to_string()
}

/// Personas that a `get --json` found.
fn personas(found: &Value) -> Vec<String> {
    let peers = found["peers"].as_array().cloned().unwrap_or_default();
    peers
        .iter()
        .filter_map(|peer| peer["key"].as_str().map(str::to_owned))
        .collect()
}

/// `deut ping` on each: an echo through each own tunnel to its endpoint and back. One lost is tried again.
fn every_tunnel_echoes(fleet: &Fleet) {
    for node in fleet.alive() {
        let echoed = (0..5).any(|_| {
            let said = fleet.json(node, &["ping"]).expect("pings");
            let tunnels = said["tunnels"].as_array().map_or(0, Vec::len);
            let all = tunnels >= 6 && said["lost"] == 0 && said["answered"] == tunnels;
            if !all {
                println!("node {node}: {said}");
            }
            all
        });
        assert!(echoed, "node {node} has tunnels that do not echo");
    }
}

/// Nothing but the files of the known list, and in those no room for an RSA key.
fn nothing_secret_is_kept(fleet: &Fleet) {
    for node in 0..fleet.ports.len() {
        let files =
            fs::read_dir(fleet.directory.join(format!("data{node}"))).expect("a data directory");
        for file in files.map(|file| file.expect("a file")) {
            let name = file.file_name().into_string().expect("a plain name");
            let len = fs::metadata(file.path()).expect("a size").len();
            assert!(deut::data_dir::FILES.contains(&name.as_str()), "{name}");
            match name.as_str() {
                "relay.key" => assert_eq!(len, 32),
                "relays.bin" => every_byte_is_a_descriptor(&file.path()),
                _ => assert_eq!(len, 0, "{name}"),
            }
        }
    }
}

/// Behind a head of 40 bytes (8 of name, 32 of digest) stand whole relay descriptors, each signed by its owner.
fn every_byte_is_a_descriptor(path: &Path) {
    let bytes = fs::read(path).expect("reads");
    let (descriptors, rest) = bytes[40..].as_chunks::<196>();
    assert!(rest.is_empty());
    for descriptor in descriptors {
        Descriptor::decode(descriptor).expect("a descriptor");
    }
}

fn announce_resolve_kill_resolve(seed: u64) {
    let mut fleet = Fleet::start(&format!("deaths{seed}"), NODES, seed);
    fleet.settle();
    let mut order: Vec<usize> = (2..NODES).collect();
    order.shuffle(&mut StdRng::seed_from_u64(seed));
    every_tunnel_echoes(&fleet);
    let (announcer, resolver, publisher, reader) = (order[0], order[1], order[2], order[3]);

    let value: Vec<u8> = (0..777_u32).map(|n| (n * n % 251) as u8).collect();
    fs::write(fleet.directory.join("value"), &value).expect("writes");
    let stored = fleet
        .json(publisher, &["put", "--file", "value"])
        .expect("stored");
    let key = stored["key"].as_str().expect("a key").to_owned();
    assert_eq!(
        fleet.run(reader, &["get", &key]).stdout,
        value,
        "byte for byte"
    );

    let announced = fleet
        .json(announcer, &["announce", MAGNET])
        .expect("announced");
    assert!(announced["stored_at"].as_u64() > Some(0), "{announced}");
    let found = fleet.json(resolver, &["get", MAGNET]).expect("resolved");
    let expected = personas(&found);
    assert!(!expected.is_empty(), "{found}");

    let keeper = fleet.alive().into_iter().find(|&node| {
        ![announcer, resolver].contains(&node)
            && fleet.status(node)["dht"]["records"].as_u64() > Some(0)
    });
    let ids: BTreeMap<String, usize> = fleet
        .alive()
        .into_iter()
        .map(|node| (relay_id(&fleet.status(node)), node))
        .collect();
    let tunnels = fleet.json(resolver, &["tunnels"]).expect("tunnels");
    let first_hop = tunnels["tunnels"]
        .as_array()
        .expect("a list")
        .iter()
        .find_map(|tunnel| {
            let node = *ids.get(tunnel["first_hop"].as_str()?)?;
            (tunnel["up"] == true && node != announcer && Some(node) != keeper).then_some(node)
        });
    let victims = [
        announcer,
        keeper.expect("somebody stores the record"),
        first_hop.expect("a first hop"),
    ];
    for victim in victims {
        fleet.kill(victim);
    }
    let began = Instant::now();
    let again = fleet.run(resolver, &["get", MAGNET, "--json", "--timeout", "30"]);
    let found: Value =
        serde_json::from_slice(&again.stdout).unwrap_or_else(|_| panic!("seed {seed}: {again:?}"));
    assert!(
        expected.iter().all(|key| personas(&found).contains(key)),
        "seed {seed}: {found}"
    );
    nothing_secret_is_kept(&fleet);
    println!(
        "seed {seed}: killed {victims:?}, resolved again in {} ms",
        began.elapsed().as_millis()
    );
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_1() {
    announce_resolve_kill_resolve(1);
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_2() {
    announce_resolve_kill_resolve(2);
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_3() {
    announce_resolve_kill_resolve(3);
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_4() {
    announce_resolve_kill_resolve(4);
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_5() {
    announce_resolve_kill_resolve(5);
}

/// Random bytes, or a genuine-looking start with random bytes behind it.
fn rubbish(rng: &mut StdRng) -> Vec<u8> {
    let len = match rng.random_range(0..6) {
        0 => 1_232,
        1 => 1_120,
        2 if rng.random_range(0..10) == 0 => rng.random_range(0..=65_507),
        3 => rng.random_range(0..8),
        4 => rng.random_range(1_225..1_240),
        _ => rng.random_range(0..2_000),
    };
    let mut bytes = vec![0; len];
    rng.fill(bytes.as_mut_slice());
    if rng.random_range(0..2) == 0 {
        if let Some(kind) = bytes.first_mut() {
            *kind = rng.random_range(0..8);
        }
        for reserved in bytes.iter_mut().skip(1).take(3) {
            *reserved = 0;
        }
    }
    bytes
}

/// Genuine datagrams of a stranger to one daemon, to be altered.
struct Stranger {
    datagrams: Vec<Vec<u8>>,
}

impl Stranger {
    /// Asks the daemon who it is, and prepares handshakes with it.
    fn meet(socket: &UdpSocket, port: u16, network: &str, rng: &mut StdRng) -> Self {
        let policy = Policy::new(network, Profile::Test).expect("a short name");
        let question = datagram::who_are_you(policy.network, &rng.random(), rng);
        socket
            .send_to(&question, ("127.0.0.1", port))
            .expect("asked");
        socket.set_read_timeout(Some(PATIENCE)).expect("a guard");
        let mut answer = [0; 1_232];
        socket.recv_from(&mut answer).expect("answered");
        let shown = datagram::parse_who_are_you_answer(&answer).descriptor;
        let daemon = Descriptor::decode(&shown).expect("a descriptor");
        let responder = Responder {
            network: policy.network,
            identity: daemon.identity,
            link: daemon.link,
        };
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_micros() as u64;
        let keys = RelayKeys::from_seed(&rng.random());
        let initiations = (0..20).map(|n| {
            initiate(&keys, &responder, n + 1, None, time + u64::from(n), rng)
                .expect("a key")
                .1
                .to_vec()
        });
        let mut datagrams: Vec<Vec<u8>> = initiations.collect();
        datagrams.extend([question.to_vec(), answer.to_vec()]);
        Self { datagrams }
    }

    /// One of them with some bytes changed, or cut, or with more behind it.
    fn mutated(&self, rng: &mut StdRng) -> Vec<u8> {
        let mut bytes = self.datagrams[rng.random_range(0..self.datagrams.len())].clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= rng.random_range(1..=255_u8);
        }
        match rng.random_range(0..10) {
            0 => bytes.truncate(rng.random_range(0..1_232)),
            1 => bytes.resize(rng.random_range(1_233..2_500), 0),
            _ => {}
        }
        bytes
    }
}

/// The first daemon's counters, and how many sockets of its own it has.
fn counted(fleet: &Fleet) -> (u64, u64, u64) {
    let status = fleet.ask_status(0);
    let of = |name: &str| status["counters"][name].as_u64().expect("a number");
    let by_reason = status["drops"]
        .as_object()
        .expect("reasons")
        .values()
        .filter_map(Value::as_u64)
        .sum();
    (of("accepted"), of("dropped"), by_reason)
}

#[test]
fn a_hundred_thousand_datagrams_of_rubbish_stop_nothing_and_are_all_counted() {
    const SENT: u64 = 100_000;
    let mut fleet = Fleet::start("rubbish", 4, 9);
    fleet.settle();
    let port = fleet.ports[0];
    // The others die, so that nothing but the rubbish arrives; the tunnels that end at the first still stand.
    for node in 1..4 {
        fleet.kill(node);
    }
    let mut open: Vec<u16> = (port + 1..port + BLOCK)
        .filter(|&port| is_open(port))
        .collect();
    assert!(!open.is_empty(), "some endpoint ports are open");
    std::thread::sleep(Duration::from_millis(500));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut rng = StdRng::seed_from_u64(4);
    let stranger = Stranger::meet(&socket, port, "fleet-rubbish", &mut rng);
    let (accepted, dropped, _) = counted(&fleet);
    let (mut sent, mut unseen, mut batch) = (0, 0, BTreeMap::<u16, u64>::new());
    while sent < SENT {
        let to = if open.is_empty() || rng.random_range(0..2) == 0 {
            port
        } else {
            open[rng.random_range(0..open.len())]
        };
        let bytes = if rng.random_range(0..3) == 0 {
            stranger.mutated(&mut rng)
        } else {
            rubbish(&mut rng)
        };
        socket.send_to(&bytes, ("127.0.0.1", to)).expect("sent");
        sent += 1;
        *batch.entry(to).or_default() += 1;
        // The kernel must not drop any: less is under way than one socket's buffer holds.
        unseen += bytes.len() + 1_000;
        if unseen > 40_000 || sent == SENT {
            // Only a tunnel that ended meanwhile, and its port with it, may have swallowed some: those are sent again.
            let missing = uncounted(&fleet, accepted + dropped + sent);
            let closed: u64 = batch
                .iter()
                .filter(|&(&port, _)| !is_open(port))
                .map(|(_, count)| count)
                .sum();
            assert!(
                missing <= closed,
                "{missing} datagrams are missing, {closed} went to ports that closed"
            );
            sent -= missing;
            open.retain(|port| missing == 0 || is_open(*port));
            (unseen, batch) = (0, BTreeMap::new());
        }
    }
    let (accepted_now, dropped_now, by_reason) = counted(&fleet);
    assert_eq!(accepted_now + dropped_now, accepted + dropped + SENT);
    assert!(
        dropped_now - dropped >= SENT * 9 / 10,
        "a few questions and handshakes may be accepted"
    );
    assert!(by_reason >= dropped_now, "every drop has a reason");
    // It still works: others join through it and resolve what it announces.
    for node in 1..4 {
        let child = fleet.spawn(node, 10);
        fleet.children[node] = Some(child);
    }
    fleet.settle();
    let stored = fleet.json(0, &["put", "still here"]).expect("stored");
    let key = stored["key"].as_str().expect("a key").to_owned();
    assert_eq!(fleet.run(2, &["get", &key]).stdout, b"still here");
}

fn is_open(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_err()
}

/// How many datagrams the daemon has not counted after a while without progress.
fn uncounted(fleet: &Fleet, all: u64) -> u64 {
    let (mut missing, mut since) = (u64::MAX, Instant::now());
    while since.elapsed() < Duration::from_secs(5) {
        let (accepted, dropped, _) = counted(fleet);
        let now = all.saturating_sub(accepted + dropped);
        if now == 0 {
            return 0;
        }
        if now < missing {
            (missing, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    missing
}

/// The public key that `put --mutable` printed, and the sequence number.
fn signed(stored: &Value) -> (String, i64) {
    let public = stored["mutable"]["public_key"].as_str().expect("a key");
    (
        public.to_owned(),
        stored["mutable"]["seq"].as_i64().expect("a number"),
    )
}

#[test]
fn a_mutable_record_is_put_updated_and_contested_and_its_link_leads_to_a_torrent() {
    let fleet = Fleet::start("mutable", 6, 20);
    fleet.settle();
    let put = |node: usize, more: &[&str]| {
        let all = [&["put", "--mutable", "--key-file", "key"], more].concat();
        fleet.json(node, &all).expect("stored")
    };
    let first = put(0, &["--new-key", "--salt", "blog", "first"]);
    let (public, seq) = signed(&first);
    assert_eq!(seq, 1, "{first}");
    let get = |node: usize| {
        let arguments = ["get", "--mutable", &public, "--salt", "blog"];
        String::from_utf8(fleet.run(node, &arguments).stdout).expect("text")
    };
    assert_eq!((get(1), get(5)), ("first".into(), "first".into()));
    // Whoever has the key file may write at any node; the next number is taken.
    let second = put(3, &["--salt", "blog", "second"]);
    assert_eq!(signed(&second), (public.clone(), 2), "{second}");
    assert_eq!((get(1), get(5)), ("second".into(), "second".into()));

    let older = [
        "put",
        "--mutable",
        "--key-file",
        "key",
        "--salt",
        "blog",
        "--seq",
        "1",
        "late",
    ];
    let refused = fleet.run(4, &older);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(15), "{text}");
    assert!(text.contains("keeps sequence number 2"), "{text}");
    let unexpected = [&older[..6], &["--seq", "9", "--cas", "1", "late"]].concat();
    assert_eq!(fleet.run(4, &unexpected).status.code(), Some(15));
    assert_eq!(get(5), "second");
    let wanted = [
        "get",
        "--mutable",
        &public,
        "--salt",
        "blog",
        "--min-seq",
        "3",
        "--timeout",
        "8",
    ];
    let missing = fleet.run(1, &wanted);
    assert_eq!(missing.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("only sequence number 2"));

    // BEP 46: the link stays, the torrent behind it is announced and found.
    let announced = fleet.json(2, &["announce", MAGNET]).expect("announced");
    let persona = announced["announced"]
        .as_str()
        .expect("a persona")
        .to_owned();
    put(0, &["--salt", "feed", "--torrent", MAGNET]);
    let salt: String = "feed".bytes().map(|byte| format!("{byte:02x}")).collect();
    let link = format!("magnet:?xs=urn:btpk:{public}&s={salt}");
    let found = fleet.json(5, &["get", &link]).expect("resolved");
    assert_eq!(
        found["infohash"],
        "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
    );
    assert_eq!(found["through"]["public_key"], public.as_str());
    assert!(
        personas(&found).iter().any(|key| persona.ends_with(key)),
        "{found}"
    );
    // A record without a torrent says so.
    let salt: String = "blog".bytes().map(|byte| format!("{byte:02x}")).collect();
    let none = fleet.run(
        5,
        &["get", &format!("magnet:?xs=urn:btpk:{public}&s={salt}")],
    );
    assert_eq!(none.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&none.stderr).contains("names no torrent"));
}

#[test]
fn alone_a_daemon_keeps_what_is_put_and_publishes_it_when_another_comes() {
    let mut fleet = Fleet::start("alone", 2, 30);
    fleet.kill(1);
    let end = Instant::now() + PATIENCE;
    while !fleet.run(0, &["status"]).status.success() {
        assert!(Instant::now() < end, "{}", fleet.log(0));
        std::thread::sleep(Duration::from_millis(50));
    }
    let refused = fleet.run(0, &["put", "early", "--timeout", "2"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(12), "{text}");
    assert!(text.contains("stored at 0 nodes yet"), "{text}");
    let child = fleet.spawn(1, 30);
    fleet.children[1] = Some(child);
    let key = key_of(&text);
    loop {
        let got = fleet.run(1, &["get", &key, "--timeout", "20"]);
        if got.stdout == b"early" {
            break;
        }
        let text = String::from_utf8_lossy(&got.stderr).into_owned();
        assert!(Instant::now() < end, "{text}\n{}", fleet.log(0));
    }
    // Both put and get, and what nobody has is told before the time is over.
    let stored = fleet.json(1, &["put", "late"]).expect("stored");
    let key = stored["key"].as_str().expect("a key").to_owned();
    let got = fleet.run(0, &["get", &key, "-v"]);
    assert_eq!(
        got.stdout,
        b"late",
        "{stored}\n{}\n{}\n{}",
        String::from_utf8_lossy(&got.stderr),
        fleet.status(0),
        fleet.status(1)
    );
    let began = Instant::now();
    let unknown = fleet.run(0, &["get", &"00".repeat(20), "--timeout", "60"]);
    assert_eq!(unknown.status.code(), Some(8));
    println!("a miss in a network of two took {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(50));
}

/// The key in `error: KEY is stored at 0 nodes yet`.
fn key_of(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("error: "));
    let key = line.and_then(|line| line.split(' ').next());
    key.expect("a key").to_owned()
}
