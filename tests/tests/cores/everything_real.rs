//! Sixty-four nodes with all their cryptography real, under loss, with every frame, every control cell and every message
//! read: the scenario that keeps the simulator's stand-ins honest.

use std::{
    collections::BTreeMap,
    mem::discriminant,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use deut_tests::{
    net::{Net, RELAY_PORT},
    observe::machine::Machine,
    sim::{Crypto, Settings, Simulation},
};
use deut_transport::{
    observe::Seen,
    wire::{descriptor::put_address, message::MAX_REQUEST_BODY},
};

const CONTROL: u8 = 2;
const GOSSIP: u8 = 4;
/// Cells between a master and its endpoint that may carry a persona's contact: `Advertise`, the answer to `Seeds`.
const ADVERTISE: u8 = 3;
const SEEDS_ANSWER: u8 = 132;

/// Keys to look for, by their first eight bytes.
#[derive(Default)]
struct Keys(BTreeMap<[u8; 8], [u8; 32]>);

impl Keys {
    fn add(&mut self, key: [u8; 32]) {
        self.0.insert(*key.first_chunk().expect("32 bytes"), key);
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(32).any(|window| {
            window
                .first_chunk::<8>()
                .and_then(|head| self.0.get(head))
                .is_some_and(|key| key == window)
        })
    }
}

/// Where the keys of personas were seen, in frames, in cells of other kinds, and in those that may carry them; and what
/// messages told of the machine that they come from.
#[derive(Default)]
struct Sightings {
    personas: Keys,
    /// Identity keys, for control: gossip may hold them.
    relays: Keys,
    machines: Vec<Machine>,
    by_ip: BTreeMap<IpAddr, usize>,
    frames: u64,
    cells: u64,
    requests: u64,
    answers: u64,
    in_frames: Vec<u8>,
    relays_in_gossip: u64,
    in_cells: BTreeMap<u8, u64>,
    betrayed: Vec<String>,
    /// For control: requests whose header names the endpoint where the answer is awaited, answers in which a contact does.
    reply_named: u64,
    endpoint_named: u64,
    last: Vec<(usize, Seen)>,
}

impl Sightings {
    fn of(net: &Net) -> Self {
        let mut sightings = Self::default();
        for (index, node) in net.nodes.iter().enumerate() {
            let machine = Machine::of(node);
            sightings
                .personas
                .add(machine.persona.expect("at once in the test profile"));
            sightings.relays.add(machine.relay_keys[0]);
            sightings.by_ip.insert(machine.ip, index);
            sightings.machines.push(machine);
        }
        sightings
    }

    fn look(&mut self, node: usize, seen: &Seen) {
        match seen {
            Seen::Frame(frame) if matches!(frame[0], CONTROL | GOSSIP) => {
                self.frames += 1;
                if self.personas.is_in(frame.as_slice()) {
                    self.in_frames.push(frame[0]);
                }
                if frame[0] == GOSSIP && self.relays.is_in(frame.as_slice()) {
                    self.relays_in_gossip += 1;
                }
            }
            Seen::Cell(_, cell) => {
                self.cells += 1;
                if self.personas.is_in(cell) {
                    *self.in_cells.entry(cell[0]).or_default() += 1;
                }
            }
            Seen::RequestSealed { header, body, .. } => {
                self.requests += 1;
                let plaintext = header.encode(body).expect("it was sealed");
                let head = &plaintext[..plaintext.len() - MAX_REQUEST_BODY];
                let asker = &self.machines[node];
                let named = [asker.named_in(head), asker.betrayed_by(body)].concat();
                self.complain(node, "request", &named);
                let there = &self.machines[self.by_ip[&header.reply.ip()]];
                self.reply_named += u64::from(there.named_in(head).contains(&"ip"));
                self.keep(node, seen, body);
            }
            Seen::ResponseSealed { to, body } => {
                self.answers += 1;
                let named = self.machines[node].betrayed_by(body);
                self.complain(node, "answer", &named);
                let there = &self.machines[self.by_ip[&to.ip()]];
                self.endpoint_named += u64::from(there.named_in(body) == ["ip and port"]);
                self.keep(node, seen, body);
            }
            _ => {}
        }
    }

    fn complain(&mut self, node: usize, what: &str, named: &[&str]) {
        let new = named
            .iter()
            .map(|name| format!("{name} in a {what} of node {node}"));
        self.betrayed.extend(new);
    }

    /// The last message of each kind that has room for more, for the twins.
    fn keep(&mut self, node: usize, seen: &Seen, body: &[u8]) {
        if body.len() <= 900 {
            self.last
                .retain(|(_, kept)| discriminant(kept) != discriminant(seen));
            self.last.push((node, seen.clone()));
        }
    }

    /// Nothing was found that must not be, and everything that may be.
    fn check(&self) {
        assert!(self.frames > 1_000 && self.cells > 1_000);
        assert!(self.requests > 1_000 && self.answers > 1_000);
        assert_eq!(self.in_frames, Vec::<u8>::new());
        assert_eq!(self.betrayed, [""; 0]);
        // Positive controls: the scanners find what is allowed where it is allowed.
        assert!(self.relays_in_gossip > 0);
        assert_eq!(self.reply_named, self.requests);
        assert!(self.endpoint_named > 0);
        let mut allowed = self.in_cells.clone();
        assert!(allowed.remove(&ADVERTISE) > Some(0), "{:?}", self.in_cells);
        allowed.remove(&SEEDS_ANSWER);
        assert!(allowed.is_empty(), "{allowed:?}");
    }

    /// Broken twins of what was seen: each must be found.
    fn twins(&mut self) {
        let persona = self.machines[9].persona.expect("all have one");
        for kind in [CONTROL, GOSSIP] {
            let mut frame = Box::new([0; 1_200]);
            frame[0] = kind;
            frame[700..732].copy_from_slice(&persona);
            self.look(3, &Seen::Frame(frame));
        }
        assert_eq!(std::mem::take(&mut self.in_frames), [CONTROL, GOSSIP]);
        let last = std::mem::take(&mut self.last);
        assert_eq!(last.len(), 2, "a request and an answer");
        for (node, seen) in last {
            let machine = self.machines[node].clone();
            let at = SocketAddr::new(machine.ip, RELAY_PORT);
            let address = put_address(at);
            let mut leaks = vec![
                ("ip", address.to_vec()),
                ("ip and port", address[12..].to_vec()),
            ];
            let keys = machine.relay_keys.map(|key| key.to_vec());
            leaks.extend(
                ["identity key", "link key", "onion key"]
                    .into_iter()
                    .zip(keys),
            );
            for (name, leak) in leaks {
                let mut seen = seen.clone();
                if let Seen::RequestSealed { body, .. } | Seen::ResponseSealed { body, .. } =
                    &mut seen
                {
                    body.extend_from_slice(&leak);
                }
                self.look(node, &seen);
                let found = std::mem::take(&mut self.betrayed);
                assert!(
                    found.iter().any(|text| text.starts_with(name)),
                    "{name}: {found:?}"
                );
            }
            // A node that awaits the answer at its own port.
            if let Seen::RequestSealed { mut header, .. } = seen {
                header.reply = at;
                let plaintext = header.encode(&[]).expect("it fits");
                assert!(machine.named_in(&plaintext).contains(&"ip"));
            }
        }
    }
}

#[test]
fn sixty_four_real_nodes_find_values_and_show_no_persona_where_none_belongs() {
    let mut simulation = Simulation::new(Settings {
        nodes: 64,
        seed: 64,
        duration_s: 290,
        loss_per_mille: 10,
        duplicate_per_mille: 5,
        reorder_per_mille: 10,
        values: 40,
        lookups_per_s: 3.0,
        join_s: 20,
        settle_s: 90,
        crypto: Crypto::Real,
        ..Settings::default()
    });
    simulation.run(40);
    let sightings = Arc::new(Mutex::new(Sightings::of(&simulation.net)));
    for (index, node) in simulation.net.nodes.iter_mut().enumerate() {
        let sightings = Arc::clone(&sightings);
        node.core.add_observer(Box::new(move |seen| {
            sightings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .look(index, &seen);
        }));
    }
    simulation.run(250);
    simulation.finish();

    let report = simulation.report();
    assert!(report.lookups.tried > 200, "{report}");
    assert!(report.lookups.success_rate() > 0.99, "{report}");
    assert!(report.lookups.recall() > 0.97, "{report}");
    let mut sightings = sightings.lock().unwrap_or_else(PoisonError::into_inner);
    sightings.check();
    sightings.twins();
}
