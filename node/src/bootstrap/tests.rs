use std::path::Path;

use super::*;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

#[test]
fn a_good_file_is_read_and_rendering_gives_the_same_back() {
    let text = format!(
        "# a comment\nnetwork = \"a \\\"net\\\"\"\nprofile = \"test\"\n\n[[peer]]\naddress = \"127.0.0.1:15000\"\nkey = \"{KEY}\"\n\n\
         [[peer]]\naddress = \"[2001:db8::1]:4000\"\n\n[[peer]]\naddress = \"node-1.example.org:4000\"\n"
    );
    let file = parse(&text).unwrap();
    assert_eq!(
        (file.network.as_str(), file.profile),
        ("a \"net\"", Profile::Test)
    );
    let peers: Vec<_> = file
        .peers
        .iter()
        .map(|peer| (peer.address.as_str(), peer.key.is_some(), peer.line))
        .collect();
    let wanted = [
        ("127.0.0.1:15000", true, 6),
        ("[2001:db8::1]:4000", false, 10),
        ("node-1.example.org:4000", false, 13),
    ];
    assert_eq!(peers, wanted);
    assert_eq!(file.peers[0].key.unwrap()[..4], [0, 1, 2, 3]);

    let again = parse(&file.render()).unwrap();
    assert_eq!(
        (&again.network, again.profile),
        (&file.network, file.profile)
    );
    let without_lines = |file: &BootstrapFile| {
        file.peers
            .iter()
            .map(|peer| (peer.address.clone(), peer.key))
            .collect::<Vec<_>>()
    };
    assert_eq!(without_lines(&again), without_lines(&file));
}

/// The content, the line of its error, the fault in the message, and the remedy.
type Case = (String, usize, &'static str, &'static str);

/// The two settings that every good file begins with.
const HEAD: &str = "network = \"n\"\nprofile = \"test\"\n";

fn bad_settings() -> Vec<Case> {
    let long = "x".repeat(65);
    vec![
        (
            "profile = \"test\"\n".to_owned(),
            1,
            "`network` is missing",
            "add the line",
        ),
        (
            "\nnetwork = \"n\"\n".to_owned(),
            1,
            "`profile` is missing",
            "write profile",
        ),
        (
            "\n\nnetwork = \"\"\nprofile = \"test\"".to_owned(),
            3,
            "the network name has 0 bytes",
            "1 to 64",
        ),
        (
            format!("network = \"{long}\"\nprofile = \"test\""),
            1,
            "65 bytes",
            "1 to 64",
        ),
        (
            "network = \"n\"\nprofile = \"prod\"\n".to_owned(),
            2,
            "unknown profile \"prod\"",
            "\"production\" or",
        ),
        (
            format!("{HEAD}speed = 3\n"),
            3,
            "unknown field `speed`",
            "remove it",
        ),
        (
            format!("{HEAD}\n[[peer]]\naddress = \"a:4000\"\nname = \"x\"\n"),
            6,
            "unknown field `name`",
            "remove it",
        ),
        (
            format!("{HEAD}network = \"m\"\n"),
            3,
            "duplicate key",
            "correct",
        ),
        (
            "network = 5\nprofile = \"test\"\n".to_owned(),
            1,
            "invalid type",
            "correct",
        ),
        (format!("{HEAD}[[peer]\n"), 3, "", "correct"),
        (
            "network = \"n\"\nprofile = \"test\n".to_owned(),
            2,
            "",
            "correct",
        ),
    ]
}

fn bad_addresses() -> Vec<Case> {
    vec![
        (
            format!("{HEAD}[[peer]]\nkey = \"{KEY}\"\n"),
            3,
            "no address",
            "host:port",
        ),
        (
            format!("{HEAD}[[peer]]\naddress = \"10.0.0.1\"\n"),
            4,
            "\"10.0.0.1\" is not host:port",
            "203.0.113.5:4000",
        ),
        (
            format!("{HEAD}[[peer]]\naddress = \"10.0.0.1:80\"\n"),
            4,
            "is not host:port",
            "from 1024",
        ),
        (
            format!("{HEAD}[[peer]]\naddress = \"10.0.0.1:70000\"\n"),
            4,
            "is not host:port",
            "port",
        ),
        (
            format!("{HEAD}[[peer]]\naddress = \"2001:db8::1:4000\"\n"),
            4,
            "is not host:port",
            "[2001:db8::5]",
        ),
        (
            format!("{HEAD}[[peer]]\naddress = \"a b:4000\"\n"),
            4,
            "is not host:port",
            "name",
        ),
        (
            format!("{HEAD}[[peer]]\naddress = \":4000\"\n"),
            4,
            "is not host:port",
            "name",
        ),
    ]
}

fn bad_peers() -> Vec<Case> {
    let many: String = (0..65)
        .map(|n| format!("[[peer]]\naddress = \"n{n}:4000\"\n"))
        .collect();
    vec![
        (
            format!("{HEAD}[[peer]]\naddress = \"a:4000\"\nkey = \"abc\"\n"),
            5,
            "3 characters",
            "leave it out",
        ),
        (
            format!(
                "{HEAD}[[peer]]\naddress = \"a:4000\"\nkey = \"{}\"\n",
                "+f".repeat(32)
            ),
            5,
            "not 64 hex digits",
            "copy",
        ),
        (
            format!("{HEAD}[[peer]]\naddress = \"a:4000\"\n[[peer]]\naddress = \"a:4000\"\n"),
            6,
            "already in line 4",
            "remove one",
        ),
        (format!("{HEAD}{many}"), 131, "more than 64", "remove"),
    ]
}

#[test]
fn every_error_names_file_line_and_remedy() {
    let cases = [bad_settings(), bad_addresses(), bad_peers()].concat();
    assert_eq!(cases.len(), 22);
    for (text, line, what, remedy) in cases {
        let error = parse(&text).expect_err(&text).to_string();
        assert!(
            error.starts_with(&format!("net.toml:{line}: ")),
            "{error}\n{text}"
        );
        assert!(error.contains(what) && error.contains(remedy), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn unreadable_files_are_errors_of_one_line() {
    let missing = BootstrapFile::read(Path::new("/nonexistent/bootstrap.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("/nonexistent/bootstrap.toml: cannot be read (")
            && missing.contains("--bootstrap"),
        "{missing}"
    );

    let file = std::env::temp_dir().join(format!("deut-bootstrap-{}.toml", std::process::id()));
    fs::write(&file, b"network = \"n\"\n\xff\n").unwrap();
    let binary = BootstrapFile::read(&file).unwrap_err().to_string();
    fs::remove_file(&file).unwrap();
    assert!(binary.contains(".toml:2: this is not UTF-8"), "{binary}");
}

#[test]
fn warnings_name_few_peers_and_missing_keys() {
    let none = BootstrapFile::new("n", Profile::Production);
    assert!(none.warnings()[0].contains("first node"));
    let one = none.clone().with_peer("a:4000", Some([1; 32]));
    assert!(one.warnings()[0].contains("only 1 of at least 3"));
    let three = one
        .with_peer("b:4000", Some([1; 32]))
        .with_peer("c:4000", Some([1; 32]));
    assert_eq!(three.warnings(), [""; 0]);
    let keyless = three.with_peer("d:4000", None);
    assert!(keyless.warnings()[0].contains("1 of 4 peers have no key"));
    let test = BootstrapFile::new("n", Profile::Test).with_peer("a:4000", Some([1; 32]));
    assert_eq!(test.warnings(), [""; 0]);
}

#[test]
fn the_shipped_file_names_the_network_and_no_peers() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bootstrap.toml");
    let file = BootstrapFile::read(&shipped).unwrap();
    assert_eq!(
        (file.network.as_str(), file.profile),
        ("deut-main", Profile::Production)
    );
    assert!(file.peers.is_empty());
    // Its commented example must be right too.
    let text = fs::read_to_string(&shipped).unwrap();
    let (_, example) = text.split_once("# [[peer]]").unwrap();
    let example: String = example
        .lines()
        .map(|line| format!("{}\n", line.trim_start_matches("# ")))
        .collect();
    let file = parse(&format!(
        "network = \"n\"\nprofile = \"production\"\n[[peer]]\n{example}"
    ))
    .unwrap();
    assert_eq!(file.peers.len(), 1);
    assert!(file.peers[0].key.is_some());
}

fn parse(text: &str) -> Result<BootstrapFile, BootstrapError> {
    BootstrapFile::parse(text, Path::new("net.toml"))
}
