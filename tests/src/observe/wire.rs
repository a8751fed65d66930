//! Checks of a transcript of the wire. Each gives what it has to complain about; nothing means that it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use deut_common::{suite::SuiteRef, time::Unix};
use deut_transport::{
    crypto::noise::{check_mac1, mac1_key},
    packet::HELLO_DATAGRAM,
    policy::Policy,
    wire::{
        datagram::{
            Datagram, Kind, SessionHeader, answer_receiver, parse_who_are_you,
            parse_who_are_you_answer,
        },
        descriptor::Descriptor,
        hello::{Hello, HelloNonce},
    },
};

use super::{
    capture::{SealedCopy, is_relay, message_id},
    needles::Needles,
    stats,
};
use crate::net::{START_UNIX, Sighting};

/// Complaints beyond so many are not written down.
const MOST: usize = 20;

/// Complaints.
#[derive(Debug, Default)]
pub struct Complaints(pub Vec<String>);

impl Complaints {
    fn add(&mut self, text: impl FnOnce() -> String) {
        if self.0.len() < MOST {
            self.0.push(text());
        }
    }

    fn unless(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.add(text);
        }
    }

    /// There are none.
    #[must_use]
    pub const fn none(&self) -> bool {
        self.0.is_empty()
    }
}

/// Relay ports: 1,232 bytes; between endpoint ports: 1,120, or 64 for HELLOs and echoes. Nothing crosses between the two.
#[must_use]
pub fn sizes(transcript: &[Sighting]) -> Complaints {
    let mut complaints = Complaints::default();
    for seen in transcript {
        let relays = [seen.from.port(), seen.to.port()].map(|port| port == crate::net::RELAY_PORT);
        let right = match relays {
            [true, true] => seen.bytes.len() == 1_232,
            [false, false] => seen.bytes.len() == 1_120 || is_hello(seen),
            _ => false,
        };
        complaints.unless(right, || {
            format!(
                "{} bytes from {} to {}",
                seen.bytes.len(),
                seen.from,
                seen.to
            )
        });
    }
    complaints
}

/// Whether a datagram is as long as a HELLO and its echo.
#[must_use]
pub fn is_hello(seen: &Sighting) -> bool {
    !is_relay(seen) && seen.bytes.len() == HELLO_DATAGRAM
}

/// None of the needles anywhere.
#[must_use]
pub fn secrets(transcript: &[Sighting], needles: &Needles) -> Complaints {
    let mut complaints = Complaints::default();
    for seen in transcript {
        for name in needles.find(&seen.bytes) {
            complaints.add(|| format!("{name} from {} to {}", seen.from, seen.to));
        }
    }
    complaints
}

/// The part of a datagram that an eavesdropper could follow through a relayer: everything but the header of a session
/// datagram. Handshakes, WhoAreYou and HELLOs are told by their kind or size and checked by `fields`.
#[must_use]
pub fn payload(seen: &Sighting) -> Option<&[u8]> {
    if is_hello(seen) {
        return None;
    }
    if !is_relay(seen) {
        return Some(&seen.bytes);
    }
    (seen.bytes.first() == Some(&Kind::Session.byte())).then(|| &seen.bytes[SessionHeader::LEN..])
}

/// A Bloom filter with one hash: runs of eight bytes are many.
struct Filter(Vec<u64>);

impl Filter {
    const BITS: u32 = 28;

    fn new() -> Self {
        Self(vec![0; 1 << (Self::BITS - 6)])
    }

    #[inline(always)]
    fn place(run: u64) -> (usize, u64) {
        let hash = run.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::BITS);
        ((hash >> 6) as usize, 1 << (hash & 63))
    }

    fn put(&mut self, run: u64) {
        let (word, bit) = Self::place(run);
        self.0[word] |= bit;
    }

    fn put_runs(&mut self, bytes: &[u8]) {
        let mut run = first(bytes);
        for &byte in bytes.get(7..).unwrap_or_default() {
            run = run << 8 | u64::from(byte);
            let (word, bit) = Self::place(run);
            self.0[word] |= bit;
        }
    }

    /// Adds those runs to `found` that may have been put in.
    fn collect(&self, bytes: &[u8], found: &mut Vec<u64>) {
        let mut run = first(bytes);
        for &byte in bytes.get(7..).unwrap_or_default() {
            run = run << 8 | u64::from(byte);
            let (word, bit) = Self::place(run);
            if self.0[word] & bit != 0 {
                found.push(run);
            }
        }
    }
}

/// The first seven bytes.
fn first(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(7)
        .fold(0, |run, &byte| run << 8 | u64::from(byte))
}

/// No run of eight bytes that enters this node leaves it.
#[must_use]
pub fn runs(transcript: &[Sighting], node: IpAddr) -> Complaints {
    let entering = || {
        transcript
            .iter()
            .filter(|seen| seen.to.ip() == node)
            .filter_map(payload)
    };
    let leaving = || {
        transcript
            .iter()
            .filter(|seen| seen.from.ip() == node)
            .filter_map(payload)
    };
    let mut entered = Filter::new();
    entering().for_each(|bytes| entered.put_runs(bytes));
    let mut suspects = Vec::new();
    leaving().for_each(|bytes| entered.collect(bytes, &mut suspects));
    suspects.sort_unstable();
    let mut left = entered;
    left.0.fill(0);
    suspects.iter().for_each(|&run| left.put(run));
    let mut both = Vec::new();
    entering().for_each(|bytes| left.collect(bytes, &mut both));
    let mut complaints = Complaints::default();
    for run in both
        .into_iter()
        .filter(|run| suspects.binary_search(run).is_ok())
    {
        complaints.add(|| format!("{run:016x} enters and leaves {node}"));
    }
    complaints
}

/// Two parties of a handshake: who, and what it calls the session.
type Announced = BTreeSet<(IpAddr, IpAddr, u32)>;

/// The datagrams of the relay ports and HELLOs field by field (protocol §4, §7.5), but for what is encrypted.
pub struct Fields<'a> {
    policy: Policy,
    /// Descriptors of all relays, by ip.
    relays: &'a BTreeMap<IpAddr, Descriptor>,
    questions: BTreeMap<(SocketAddr, SocketAddr), BTreeSet<[u8; 16]>>,
    hellos: BTreeSet<(SocketAddr, SocketAddr, HelloNonce)>,
    /// `(announcer, other, index)`: the announcer expects session datagrams of the other under this index.
    announced: Announced,
    counters: BTreeMap<(IpAddr, IpAddr, u32), u64>,
    /// Random or encrypted bytes by kind, counted.
    histograms: BTreeMap<&'static str, Vec<u64>>,
    /// What may never repeat.
    unique: Vec<u64>,
    complaints: Complaints,
    /// How many of each kind.
    pub kinds: BTreeMap<&'static str, u64>,
}

impl<'a> Fields<'a> {
    /// Checks all.
    #[must_use]
    pub fn check(
        transcript: &[Sighting],
        policy: Policy,
        relays: &'a BTreeMap<IpAddr, Descriptor>,
    ) -> (Complaints, BTreeMap<&'static str, u64>) {
        let mut this = Self {
            policy,
            relays,
            questions: BTreeMap::new(),
            hellos: BTreeSet::new(),
            announced: BTreeSet::new(),
            counters: BTreeMap::new(),
            histograms: BTreeMap::new(),
            unique: Vec::new(),
            complaints: Complaints::default(),
            kinds: BTreeMap::new(),
        };
        for seen in transcript {
            if let Ok(datagram) = seen.bytes.as_slice().try_into() {
                this.one(seen, datagram);
            } else if let Ok(datagram) = seen.bytes.as_slice().try_into() {
                this.hello(seen, datagram);
            } else {
                this.histogram("message", &seen.bytes[8..]);
            }
        }
        this.finish();
        (this.complaints, this.kinds)
    }

    fn one(&mut self, seen: &Sighting, datagram: &Datagram) {
        let Some(kind) = Kind::of(datagram) else {
            return self
                .complaints
                .add(|| format!("unknown kind {}", datagram[0]));
        };
        let name = match kind {
            Kind::HandshakeInit => self.initiation(seen, datagram),
            Kind::HandshakeAnswer => self.answer(seen, datagram),
            Kind::Session => self.session(seen, datagram),
            Kind::WhoAreYou => self.question(seen, datagram),
            Kind::WhoAreYouAnswer => self.description(seen, datagram),
        };
        *self.kinds.entry(name).or_default() += 1;
    }

    /// Random but for gate, kind and nonce; an echo answers a question.
    fn hello(&mut self, seen: &Sighting, datagram: &[u8; HELLO_DATAGRAM]) {
        let name = match Hello::decode(datagram) {
            Some(Hello::Question { nonce, .. }) => {
                self.hellos.insert((seen.from, seen.to, nonce));
                "hello"
            }
            Some(Hello::Echo { nonce }) => {
                let asked = self.hellos.contains(&(seen.to, seen.from, nonce));
                self.complaints
                    .unless(asked, || format!("echo of nothing, to {}", seen.to));
                self.unique(&datagram[..8]);
                self.histogram("echo", &datagram[..8]);
                "echo"
            }
            None => {
                return self
                    .complaints
                    .add(|| format!("unknown kind of HELLO {}", datagram[8]));
            }
        };
        self.histogram(name, &datagram[9..]);
        self.unique(&datagram[25..]);
        *self.kinds.entry(name).or_default() += 1;
    }

    fn zero_head(&mut self, datagram: &Datagram) {
        self.complaints
            .unless(datagram[1..4] == [0; 3], || "reserved bytes are set".into());
    }

    fn index(datagram: &Datagram, at: usize) -> u32 {
        u32::from_be_bytes(std::array::from_fn(|i| datagram[at + i]))
    }

    /// MAC1 is the receiver's, MAC2 random.
    fn macs(&mut self, seen: &Sighting, datagram: &Datagram, kind: Kind) {
        if let Some(receiver) = self.relays.get(&seen.to.ip()) {
            let right = check_mac1(&mac1_key(&receiver.link), datagram, kind);
            self.complaints
                .unless(right, || format!("MAC1 of {kind:?} to {}", seen.to));
        }
        self.unique(&datagram[1_200..]);
    }

    fn initiation(&mut self, seen: &Sighting, datagram: &Datagram) -> &'static str {
        self.zero_head(datagram);
        self.macs(seen, datagram, Kind::HandshakeInit);
        self.announced
            .insert((seen.from.ip(), seen.to.ip(), Self::index(datagram, 4)));
        self.unique(&datagram[8..40]);
        self.histogram("initiation", &datagram[40..]);
        "initiation"
    }

    fn answer(&mut self, seen: &Sighting, datagram: &Datagram) -> &'static str {
        self.zero_head(datagram);
        self.macs(seen, datagram, Kind::HandshakeAnswer);
        let to = (seen.to.ip(), seen.from.ip(), answer_receiver(datagram));
        let known = self.announced.contains(&to);
        self.complaints
            .unless(known, || format!("answer to no initiation, to {}", seen.to));
        self.announced
            .insert((seen.from.ip(), seen.to.ip(), Self::index(datagram, 4)));
        self.unique(&datagram[12..44]);
        self.histogram("answer", &datagram[44..]);
        "answer"
    }

    fn session(&mut self, seen: &Sighting, datagram: &Datagram) -> &'static str {
        let Some(SessionHeader { index, counter }) = SessionHeader::parse(datagram) else {
            self.complaints
                .add(|| "reserved bytes of a session datagram".into());
            return "session";
        };
        let key = (seen.to.ip(), seen.from.ip(), index);
        let known = self.announced.contains(&key);
        self.complaints
            .unless(known, || format!("session of no handshake, to {}", seen.to));
        let next = self.counters.entry(key).or_default();
        let right = counter == *next;
        *next += 1;
        self.complaints
            .unless(right, || format!("counter {counter} to {}", seen.to));
        self.histogram("session", &datagram[16..]);
        "session"
    }

    fn question(&mut self, seen: &Sighting, datagram: &Datagram) -> &'static str {
        let question = parse_who_are_you(datagram);
        let right = question.version == 1 && question.network == self.policy.network;
        self.complaints.unless(right, || format!("{question:?}"));
        self.questions
            .entry((seen.from, seen.to))
            .or_default()
            .insert(question.nonce);
        self.histogram("question", &datagram[6..]);
        self.unique(&datagram[22..]);
        "question"
    }

    fn description(&mut self, seen: &Sighting, datagram: &Datagram) -> &'static str {
        let answer = parse_who_are_you_answer(datagram);
        let asked = self
            .questions
            .get(&(seen.to, seen.from))
            .is_some_and(|nonces| nonces.contains(&answer.nonce));
        self.complaints.unless(asked, || {
            format!("WhoAreYou answer to no question, to {}", seen.to)
        });
        let right = answer.version == 1
            && answer.network == self.policy.network
            && answer.observed == seen.to;
        self.complaints.unless(right, || {
            format!("fields of a WhoAreYou answer to {}", seen.to)
        });
        let now = Unix(START_UNIX + seen.at / 1_000_000);
        let genuine = Descriptor::decode(&answer.descriptor).is_ok_and(|descriptor| {
            let listed = self.relays.get(&seen.from.ip());
            listed.is_some_and(|listed| {
                listed.identity == descriptor.identity && listed.address == seen.from
            }) && descriptor
                .check(&SuiteRef::default(), &self.policy, now, None)
                .is_ok()
                && answer.verify(&SuiteRef::default(), &descriptor)
                && answer.time(&SuiteRef::default(), &descriptor) == Some(now)
        });
        self.complaints.unless(genuine, || {
            format!("descriptor in a WhoAreYou answer of {}", seen.from)
        });
        self.histogram("description", &datagram[372..]);
        self.unique(&datagram[372..]);
        "description"
    }

    fn histogram(&mut self, name: &'static str, bytes: &[u8]) {
        let counts = self.histograms.entry(name).or_insert_with(|| vec![0; 256]);
        for &byte in bytes {
            counts[usize::from(byte)] += 1;
        }
    }

    fn unique(&mut self, bytes: &[u8]) {
        let (chunks, _) = bytes.as_chunks();
        self.unique
            .extend(chunks.iter().map(|chunk| u64::from_be_bytes(*chunk)));
    }

    /// Padding and ciphertext look random, and nothing random comes twice.
    fn finish(&mut self) {
        for (name, counts) in &self.histograms {
            let p = stats::even(counts);
            self.complaints.unless(p > 1e-5, || {
                format!("bytes of {name} are not random: p = {p:e}")
            });
        }
        self.unique.sort_unstable();
        let twice = self.unique.windows(2).any(|pair| pair[0] == pair[1]);
        self.complaints
            .unless(!twice, || "random bytes come twice".into());
    }
}

/// No answer comes from the address that was asked; each goes where it is awaited. Also: how many were seen.
#[must_use]
pub fn answers(
    transcript: &[Sighting],
    copies: &BTreeMap<[u8; 16], SealedCopy>,
) -> (Complaints, u64) {
    let (mut complaints, mut seen_in_all) = (Complaints::default(), 0);
    for seen in transcript.iter().filter(|seen| !is_relay(seen)) {
        let Some(copy) = copies.get(&message_id(&seen.bytes)) else {
            continue;
        };
        seen_in_all += 1;
        complaints.unless(seen.from != copy.to, || {
            format!("answered from {} which was asked", seen.from)
        });
        complaints.unless(seen.to == copy.header.reply, || {
            format!("answered to {}", seen.to)
        });
    }
    (complaints, seen_in_all)
}
