//! A name server of a few lines: A and AAAA records of the names that it was told, "no such name" for others, and silence for
//! names without addresses.

use std::{
    collections::BTreeMap,
    io::{BufRead, stdin},
    net::{IpAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Where it is to listen, in the environment.
pub const ADDRESS: &str = "DEUT_TEST_DNS";

type Names = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;

/// `name address address ...`.
fn learn(names: &Names, line: &str) {
    let mut words = line.split_whitespace();
    if let Some(name) = words.next() {
        let addresses = words.filter_map(|word| word.parse().ok()).collect();
        names
            .lock()
            .expect("whole")
            .insert(name.to_owned(), addresses);
    }
}

/// The name and type of a question (RFC 1035), and where it ends.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    Some((labels.join(".").to_lowercase(), kind, at + 4))
}

fn answer(names: &Names, query: &[u8]) -> Option<Vec<u8>> {
    let (name, kind, end) = question(query)?;
    let names = names.lock().expect("whole");
    let known = names.get(&name);
    if known.is_some_and(Vec::is_empty) {
        return None;
    }
    let records: Vec<Vec<u8>> = known
        .into_iter()
        .flatten()
        .filter_map(|address| match (kind, address) {
            (1, IpAddr::V4(ip)) => Some(ip.octets().to_vec()),
            (28, IpAddr::V6(ip)) => Some(ip.octets().to_vec()),
            _ => None,
        })
        .collect();
    let code = if known.is_some() { 0 } else { 3 };
    let count = u8::try_from(records.len()).expect("fewer");
    let mut out = query.get(..2)?.to_vec();
    out.extend([0x85, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    out.extend(query.get(12..end)?);
    for record in records {
        // The name of the question, class IN, one second.
        out.extend([
            0xc0,
            12,
            0,
            kind as u8,
            0,
            1,
            0,
            0,
            0,
            1,
            0,
            record.len() as u8,
        ]);
        out.extend(record);
    }
    Some(out)
}

fn serve(socket: &UdpSocket, names: &Names) {
    let mut query = [0; 1_500];
    while let Ok((length, from)) = socket.recv_from(&mut query) {
        if let Some(answer) = answer(names, &query[..length]) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// Serves while its standard input is open, where it was told an address; else it is asked itself.
#[test]
#[ignore = "the name server of other tests, as a process in their namespace"]
fn a_name_server_answers_what_it_was_told() {
    let names = Names::default();
    let told = std::env::var(ADDRESS);
    let at = told.as_deref().unwrap_or("127.0.0.1:0");
    let socket = UdpSocket::bind(at).expect("the address is free");
    let address = socket.local_addr().expect("bound");
    let of_server = Arc::clone(&names);
    thread::spawn(move || serve(&socket, &of_server));
    if told.is_ok() {
        for line in stdin().lock().lines().map_while(Result::ok) {
            learn(&names, &line);
        }
        return;
    }
    learn(&names, "a.test 127.0.0.9 ::1");
    learn(&names, "hangs.test");
    let asker = super::asker(address);
    let patience = Duration::from_secs(1);
    asker.set_read_timeout(Some(patience)).expect("set");
    let ask = |name: &[u8], kind: u8| {
        let head = [7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        asker
            .send(&[&head, name, &[0, 0, kind, 0, 1]].concat())
            .expect("sent");
        let mut answer = [0; 512];
        asker
            .recv(&mut answer)
            .ok()
            .map(|length| answer[..length].to_vec())
    };
    let a = ask(b"\x01a\x04test", 1).expect("an answer");
    assert_eq!((&a[..2], a[3] & 15, a[7]), (&[7, 8][..], 0, 1));
    assert!(a.ends_with(&[0, 4, 127, 0, 0, 9]));
    assert!(
        ask(b"\x01a\x04test", 28)
            .expect("an answer")
            .ends_with(&[0, 1])
    );
    assert_eq!(ask(b"\x01b\x04test", 1).expect("an answer")[3] & 15, 3);
    assert_eq!(ask(b"\x05hangs\x04test", 1), None);
}
