//! What the fuzzers run: one function per target, from any bytes to a verdict. Each asserts more than that nothing
//! panics; what it asserts stands in its file. `tests/fuzz` runs them under libFuzzer, `tests/cores/fuzz_corpora.rs` replays the
//! committed corpora in the ordinary tests, `tests/allocations.rs` counts what they allocate.

pub mod bootstrap;
pub mod cell;
pub mod contact;
pub mod control_line;
pub mod datagram;
pub mod descriptor;
pub mod dht;
pub mod entry;
pub mod frame;
pub mod gossip;
pub mod handshake;
pub mod hello;
pub mod input;
pub mod magnet;
pub mod message;
pub mod mutable;
pub mod neighbour;
pub mod network;
pub mod ops;
pub mod rpc;
pub mod saved_relays;
pub mod spki;
pub mod transport;
pub mod walk;

/// How far an input came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The first check refused it.
    Refused,
    /// A decoder took it, or a machine did what the target is about.
    Deep,
}

impl Depth {
    /// `Deep` if so.
    #[must_use]
    pub const fn deep_if(deep: bool) -> Self {
        if deep { Self::Deep } else { Self::Refused }
    }
}

/// One target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Also the name of its binary and of its corpus.
    pub name: &'static str,
    /// What is run.
    pub body: fn(&[u8]) -> Depth,
    /// Inputs to start from, made of real messages.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:literal: $module:path as $body:ident, $seeds:ident);* $(;)?) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[$({
            use $module as module;
            Target { name: $name, body: module::$body, seeds: module::$seeds }
        }),*];
    };
}

targets! {
    "datagram": datagram as body, seeds;
    "handshake": handshake as body, seeds;
    "hello": hello as body, seeds;
    "descriptor": descriptor as body, seeds;
    "frame": frame as body, seeds;
    "gossip": gossip as body, seeds;
    "cell": cell as body, seeds;
    "walk": walk as body, seeds;
    "message": message as body, seeds;
    "contact": contact as body, seeds;
    "rpc_request": rpc as request, request_seeds;
    "rpc_answer": rpc as answer, answer_seeds;
    "entry": entry as body, seeds;
    "mutable": mutable as body, seeds;
    "magnet": magnet as body, seeds;
    "bootstrap": bootstrap as body, seeds;
    "control_line": control_line as body, seeds;
    "saved_relays": saved_relays as body, seeds;
    "spki": spki as body, seeds;
    "transport": transport as body, seeds;
    "neighbour": neighbour as body, seeds;
    "dht": dht as body, seeds;
    "network": network as body, seeds;
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Text from any bytes: what is no UTF-8 is replaced.
pub(crate) fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}
