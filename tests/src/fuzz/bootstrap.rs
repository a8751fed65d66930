//! `bootstrap.toml`: what is read reads the same when written again; what is not gets one line with a line number that
//! exists.

use std::path::Path;

use deut::bootstrap::{BootstrapError, BootstrapFile, MAX_PEERS, PeerEntry};

use super::{Depth, text};

/// Any bytes as text.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let text = text(data);
    let file = Path::new("b.toml");
    let read = match BootstrapFile::parse(&text, file) {
        Ok(read) => read,
        Err(error) => {
            let told = error.to_string();
            assert!(
                told.starts_with("b.toml:") && !told.contains(['\n', '\r']),
                "{told:?}"
            );
            let BootstrapError::Wrong { line, .. } = error else {
                panic!("nothing is read from a disk");
            };
            assert!((1..=1 + text.matches('\n').count()).contains(&line));
            return Depth::Refused;
        }
    };
    assert!((1..=64).contains(&read.network.len()) && read.peers.len() <= MAX_PEERS);
    let lines = 1 + text.matches('\n').count();
    assert!(
        read.peers
            .iter()
            .all(|peer| (1..=lines).contains(&peer.line))
    );
    assert!(read.warnings().iter().all(|warning| !warning.is_empty()));
    let again = BootstrapFile::parse(&read.render(), file).expect("what we write we read");
    assert_eq!(without_lines(again), without_lines(read));
    Depth::Deep
}

fn without_lines(mut file: BootstrapFile) -> BootstrapFile {
    for PeerEntry { line, .. } in &mut file.peers {
        *line = 0;
    }
    file
}

/// Good files and one with each mistake.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let head = "network = \"example\"\nprofile = \"test\"\n";
    let key = "0123456789abcdef".repeat(4);
    let peer = |address: &str| format!("{head}\n[[peer]]\naddress = \"{address}\"\n");
    [
        include_str!("../../../bootstrap.toml").to_owned(),
        head.to_owned(),
        format!("{}key = \"{key}\" # known\n", peer("127.0.0.1:15000")),
        format!(
            "{}{}",
            peer("[2001:db8::5]:4000"),
            "[[peer]]\naddress = 'a-b.example:4000'\n"
        ),
        format!("{}[[peer]]\naddress = \"h:4000\"\n", peer("h:4000")),
        peer("h:80"),
        format!("{}key = \"0\"\n", peer("h:4000")),
        format!("{}more = 1\n", peer("h:4000")),
        "network = \"\"\nprofile = \"production\"\n".to_owned(),
        "network = \"\\u0041\\n\"\nprofile = \"production\"\n".to_owned(),
        "network = \"x\"\nprofile = \"other\"\n".to_owned(),
        "profile".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
