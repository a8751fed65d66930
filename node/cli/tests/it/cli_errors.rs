//! The built binary: whatever is wrong is told in one line, with the documented exit code. Nothing here needs a network.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use deut_transport::policy::{Policy, Profile};
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};

const PUBLIC: &str = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";
const HASH: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";

/// A directory that is data directory, configuration and current directory at once, so that nothing of the user's is touched.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("deut-cli-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("writes");
        path.display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deut"));
        command
            .args(arguments)
            .current_dir(&self.0)
            .env_clear()
            .env("HOME", &self.0)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Fails with this code, and says this.
    fn fails(&self, arguments: &[&str], code: i32, says: &[&str]) {
        check(&self.run(arguments), arguments, code, says);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One line `error: ...`, at most one line `hint: ...` (after warnings), nothing on standard output.
fn check(output: &Output, arguments: &[&str], code: i32, says: &[&str]) {
    let text = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let errors = text
        .lines()
        .filter(|line| line.starts_with("error: "))
        .count();
    let hints = text
        .lines()
        .filter(|line| line.starts_with("hint: "))
        .count();
    assert!(errors == 1 && hints <= 1, "{arguments:?}\n{text}");
    let (first, _) = text.split_once("error: ").expect("an error");
    assert!(
        first
            .lines()
            .all(|line| line.starts_with("warning: ") || !line.contains("panick")),
        "{arguments:?}\n{text}"
    );
    for part in says {
        assert!(
            text.contains(part),
            "{arguments:?}: {part:?} is missing in\n{text}"
        );
    }
}

#[test]
fn malformed_magnets_and_keys_are_named() {
    let place = Place::new("magnets");
    let magnet = |hash: &str| format!("magnet:?xt=urn:btih:{hash}");
    for (target, says) in [
        ("magnet:?dn=nothing", "names no torrent"),
        ("http://example.org/x", "must begin with magnet:?"),
        (magnet("abc").as_str(), "has 3 characters"),
        (
            magnet(&HASH.replace('a', "g")).as_str(),
            "digits 0-9 and a-f",
        ),
        ("magnet:?xs=urn:btpk:00", "2 characters, expected 64"),
    ] {
        place.fails(&["get", target], 3, &[says]);
        if !target.contains("btpk") {
            place.fails(&["announce", target], 3, &[says]);
        }
    }
    let record = format!("magnet:?xs=urn:btpk:{PUBLIC}");
    place.fails(
        &["announce", &record],
        3,
        &["names a mutable record", "announce on the torrent itself"],
    );
    place.fails(&["get", &HASH[1..]], 3, &["39 characters, expected 40"]);
    place.fails(
        &["get", &HASH.replace('f', "x")],
        3,
        &["digits 0-9 and a-f"],
    );
    place.fails(&["get", ""], 3, &["0 characters"]);
    place.fails(&["get", PUBLIC], 3, &["urn:btmh:1220", "--mutable"]);
    // What has nothing to do with the torrent is passed over; then the network is missing.
    let wild = format!(
        "\u{feff}magnet://?dn=100%&#38;{}&xs=%zz",
        &magnet(HASH)[8..]
    );
    for target in [wild.as_str(), HASH] {
        place.fails(&["get", target], 4, &["no bootstrap.toml"]);
        place.fails(&["announce", target], 6, &["needs a daemon"]);
    }
}

#[test]
fn values_of_a_wrong_size_are_refused_before_anybody_is_asked() {
    let place = Place::new("values");
    place.fails(&["put", &"x".repeat(801)], 3, &["801 bytes"]);
    place.fails(&["put", ""], 3, &["empty"]);
    let file = place.file("large", &"x".repeat(5_000));
    place.fails(&["put", "--file", &file], 3, &["5000 bytes"]);
    // As sparse as it is: nobody reads it.
    let huge = fs::File::create(place.0.join("huge")).expect("made");
    huge.set_len(100_000_000).expect("set");
    place.fails(&["put", "--file", "huge"], 3, &["has 100000000 bytes"]);
    let endless = ["put", "--file", "/dev/zero"];
    place.fails(&endless, 3, &["has more than 1048576 bytes"]);
    place.fails(
        &["put", "--file", "missing"],
        3,
        &["missing", "cannot be read"],
    );
    let mut child = place
        .command(&["put", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(&[b'x'; 900])
        .expect("written");
    check(
        &child.wait_with_output().expect("ends"),
        &["put", "-"],
        3,
        &["900 bytes"],
    );
}

#[test]
fn what_cannot_be_a_mutable_record_is_refused_before_anybody_is_asked() {
    let place = Place::new("mutable");
    fn put<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["put", "--mutable", "--key-file", "key"], more].concat()
    }
    fn get(public: &str) -> [&str; 3] {
        ["get", "--mutable", public]
    }
    place.fails(&put(&["x"]), 3, &["key: cannot be read", "add --new-key"]);
    place.fails(&put(&["x", "--new-key"]), 6, &["`put` needs a daemon"]);
    let mode = fs::metadata(place.0.join("key")).expect("made").mode();
    assert_eq!(mode & 0o777, 0o600);
    place.fails(&put(&["x", "--new-key"]), 3, &["is there already"]);
    place.fails(&put(&[""]), 3, &["the value is empty"]);
    let long = "x".repeat(797);
    let says = ["801 bytes", "796 bytes"];
    place.fails(&put(&[&long, "--seq", "1"]), 3, &says);
    place.fails(&put(&[&long]), 3, &says);
    let salt = "s".repeat(65);
    place.fails(&put(&["x", "--salt", &salt]), 3, &["the salt has 65 bytes"]);
    place.fails(
        &put(&["--torrent", "magnet:?dn=x"]),
        3,
        &["names no torrent"],
    );
    place.file("key", "too short");
    place.fails(&put(&["x"]), 3, &["has 9 bytes, but a key file has 32"]);
    place.fails(&get(HASH), 3, &["64 hex digits"]);
    place.fails(&get(&"00".repeat(32)), 3, &["no public key"]);
    place.fails(&get(PUBLIC), 4, &["no bootstrap.toml"]);
}

#[test]
fn sequence_numbers_that_cannot_be_or_lock_the_record_are_refused_at_once() {
    let place = Place::new("sequence");
    let put = |more: &[&str], code, says: &[&str]| {
        let new_key = ["put", "--mutable", "--key-file", "key", "x"];
        place.fails(&[&new_key, more].concat(), code, says);
    };
    let largest = i64::MAX.to_string();
    let too_large = (i128::from(i64::MAX) + 1).to_string();
    for number in ["-1", &too_large, "-9223372036854775809"] {
        let says = [number, "no sequence number", &largest];
        put(&["--seq", number], 3, &says);
        put(&["--cas", number], 3, &says);
        let get = ["get", "--mutable", PUBLIC, "--min-seq", number];
        place.fails(&get, 3, &says);
    }
    put(&["--seq", "7", "--cas", "7"], 3, &["7 cannot follow 7"]);
    let near = (i64::MAX - 5).to_string();
    put(&["--seq", &largest], 3, &["no newer version", "--force"]);
    put(&["--seq", &near], 3, &["only 5 newer", "--force"]);
    // With --force, and where there is room, the next thing that is missing is the key.
    let forced = ["--seq", &largest, "--force"];
    put(&forced, 3, &["warning: sequence", "key: cannot be read"]);
    let nanoseconds = "1700000000000000000";
    put(&["--seq", nanoseconds], 3, &["key: cannot be read"]);
}

#[test]
fn an_address_to_which_nobody_could_connect_is_refused_at_once() {
    let place = Place::new("address");
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    let announce = |address| ["announce", &magnet, "--address", address];
    // An IPv4 address that is written as an IPv6 one is told as what it is.
    let mapped = ("[::ffff:0.0.0.0]:6881", "0.0.0.0:6881");
    let plain = [
        "203.0.113.7:0",
        "0.0.0.0:6881",
        "[::]:6881",
        "239.1.2.3:6881",
        "[ff02::1]:6881",
        "255.255.255.255:6881",
    ];
    for (address, told) in plain
        .map(|address| (address, address))
        .into_iter()
        .chain([mapped])
    {
        // No bootstrap.toml is there: whoever looked for a network first would end with 4.
        let says = [told, "nobody could connect"];
        place.fails(&announce(address), 3, &says);
    }
    place.fails(&announce("203.0.113.7:6881"), 4, &["no bootstrap.toml"]);
}

#[test]
fn a_missing_daemon_is_told_by_those_that_need_one() {
    let place = Place::new("daemon");
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    for command in ["status", "ping", "tunnels", "peers", "bootstrap-line"] {
        place.fails(
            &[command],
            6,
            &["no daemon answers at", "control.sock", "deut run"],
        );
    }
    place.fails(&["put", "value"], 6, &["`put` needs a daemon"]);
    place.fails(
        &["announce", &magnet],
        6,
        &["needs a daemon with a persona", "--address"],
    );
    // Who names a socket means it: no short-lived node takes over.
    place.fails(
        &["get", &magnet, "--control", "/nowhere/control.sock"],
        6,
        &["/nowhere/control.sock"],
    );
}

#[test]
fn bootstrap_files_are_refused_with_their_line() {
    let place = Place::new("bootstrap");
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    place.fails(&["get", &magnet], 4, &["no bootstrap.toml", "--bootstrap"]);
    place.fails(&["run"], 4, &["no bootstrap.toml"]);
    place.fails(
        &["get", &magnet, "--bootstrap", "missing.toml"],
        4,
        &["missing.toml", "cannot be read"],
    );
    place.fails(&["run", "--bootstrap", "."], 4, &["cannot be read"]);
    for (text, line) in [
        (
            "network = \"x\"\nprofile = \"test\"\n[[peer]]\naddress = 7\n",
            "bad.toml:4",
        ),
        ("network = \"x\"\nprofile = \"tset\"\n", "bad.toml:2"),
        (
            "network = \"x\"\nprofile = \"test\"\n\n[[peer]]\naddress = \"127.0.0.1:15000\"\nkey = \"abc\"\n",
            "bad.toml:6",
        ),
        ("network = \"x", "bad.toml:1"),
    ] {
        let file = place.file("bad.toml", text);
        place.fails(&["get", &magnet, "--bootstrap", &file], 4, &[line]);
        place.fails(&["run", "--bootstrap", &file], 4, &[line]);
    }
}

#[test]
fn an_empty_list_of_peers_means_that_there_is_no_network_yet() {
    let place = Place::new("empty");
    place.file("bootstrap.toml", "network = \"x\"\nprofile = \"test\"\n");
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    place.fails(
        &["get", &magnet],
        10,
        &["there is no public network yet", "bootstrap.toml"],
    );
    place.fails(
        &["announce", &magnet, "--address", "203.0.113.7:6881"],
        10,
        &["203.0.113.7:6881 becomes public", "no public network yet"],
    );
}

#[test]
fn a_client_that_can_join_through_nobody_is_refused_and_told_how_to_be_the_first() {
    let place = Place::new("first");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bootstrap.toml");
    fs::copy(shipped, place.0.join("bootstrap.toml")).expect("copied");
    let run = ["run", "--listen", "127.0.0.1:0", "--data-dir", "data"];
    let says = [
        "lists no peers to join through",
        "a client cannot be the first of its network",
        "--reachable",
        "--external",
        "[[peer]]",
    ];
    place.fails(&run, 10, &says);
    assert!(!place.0.join("data").exists(), "nothing is left behind");
    // What the hint says is taken: the address is not ours here, so that it ends at once.
    let first = ["--reachable", "--external", "8.8.8.8:14400"];
    let elsewhere = ["run", "--listen", "192.0.2.1:14400", "--data-dir", "data"];
    place.fails(&[&elsewhere[..], &first].concat(), 5, &["192.0.2.1:14400"]);
    // Nor is one refused that saved relays when there were peers.
    fs::create_dir_all(place.0.join("data")).expect("made");
    fs::write(place.0.join("data/relays.bin"), "relays").expect("written");
    place.fails(&elsewhere, 5, &["192.0.2.1:14400"]);
}

#[test]
fn silent_bootstrap_peers_are_listed_with_the_time_that_they_were_tried() {
    let place = Place::new("silent");
    // Bound and never read: nobody else can answer there.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let key = "11".repeat(32);
    place.file("bootstrap.toml", &format!("network = \"x\"\nprofile = \"test\"\n[[peer]]\naddress = \"{address}\"\nkey = \"{key}\"\n"));
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    place.fails(
        &["get", &magnet, "--timeout", "5"],
        7,
        &[&address, "no answer", "5 s"],
    );
}

/// A peer that answers every question with this version and network, and with random bytes behind them. Ends with the test.
fn stranger(version: u8, network: [u8; 4]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut datagram = [0; 1_232];
        while let Ok((_, from)) = socket.recv_from(&mut datagram) {
            // Behind kind, version and network stands the nonce of the question (protocol §4.1).
            (datagram[0], datagram[1]) = (6, version);
            datagram[2..6].copy_from_slice(&network);
            datagram[22..].fill(0xa5);
            let _ = socket.send_to(&datagram, from);
        }
    });
    address
}

/// The id of the network "x" with the test profile in this version of the protocol (§3).
fn network_id(version: u16) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(b"deut network v1")
        .chain_update([1, b'x', 2, 3, 1])
        .chain_update(version.to_be_bytes())
        .finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

#[test]
fn a_peer_of_another_protocol_version_is_told_from_one_that_is_broken() {
    let place = Place::new("version");
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    let policy = Policy::new("x", Profile::Test).expect("a name");
    assert_eq!(network_id(1), policy.network.0);
    for (version, code, says) in [(2, 9, "another network"), (1, 7, "descriptor")] {
        let address = stranger(version, network_id(version.into())).to_string();
        let text =
            format!("network = \"x\"\nprofile = \"test\"\n[[peer]]\naddress = \"{address}\"\n");
        place.file("bootstrap.toml", &text);
        let get = ["get", magnet.as_str(), "--timeout", "2"];
        place.fails(&get, code, &[&address, says]);
    }
}

#[test]
fn an_interrupted_lookup_ends_with_130() {
    let place = Place::new("interrupted");
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let text = format!("network = \"x\"\nprofile = \"test\"\n[[peer]]\naddress = \"{address}\"\n");
    place.file("bootstrap.toml", &text);
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    let get = ["get", magnet.as_str(), "--timeout", "60"];
    let child = place
        .command(&get)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    // Once it asks, it watches for signals.
    silent.recv_from(&mut [0; 2_000]).expect("asked");
    kill_process(Pid::from_child(&child), Signal::INT).expect("signalled");
    let output = child.wait_with_output().expect("ends");
    check(&output, &get, 130, &["interrupted by SIGINT"]);
}

#[test]
fn a_port_in_use_is_named() {
    let place = Place::new("port");
    place.file("bootstrap.toml", "network = \"x\"\nprofile = \"test\"\n");
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let port = format!("port {}", address.port());
    place.fails(
        &["run", "--listen", &address.to_string()],
        5,
        &[&port, "in use"],
    );
}

#[test]
fn a_data_directory_that_is_a_file_is_refused() {
    let place = Place::new("data");
    place.file("bootstrap.toml", "network = \"x\"\nprofile = \"test\"\n");
    let file = place.file("precious", "keep me");
    place.fails(
        &["run", "--listen", "127.0.0.1:24811", "--data-dir", &file],
        13,
        &["precious"],
    );
    assert_eq!(
        fs::read_to_string(Path::new(&file)).expect("still there"),
        "keep me"
    );
}

#[test]
fn wrong_usage_and_wrong_settings_have_their_codes() {
    let place = Place::new("usage");
    place.file(
        "bootstrap.toml",
        "network = \"x\"\nprofile = \"production\"\n",
    );
    for arguments in [
        vec![],
        vec!["nonsense"],
        vec!["get"],
        vec!["run", "--listen", "here"],
        vec!["testnet", "--nodes", "1"],
    ] {
        assert_eq!(
            place.run(&arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    place.fails(&["run", "--seed", "1"], 4, &["--seed"]);
    place.fails(&["status", "--log", "a=b=c"], 3, &["--log"]);
    assert_eq!(place.run(&["--version"]).status.code(), Some(0));
    assert_eq!(place.run(&["--help"]).status.code(), Some(0));
}

#[test]
fn with_json_the_error_is_an_object_on_standard_output_too() {
    let place = Place::new("json");
    let output = place.run(&["--json", "get", "abc"]);
    assert_eq!(output.status.code(), Some(3));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(
        (&object["error"]["code"], &object["error"]["kind"]),
        (&3.into(), &"bad-input".into())
    );
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
}
