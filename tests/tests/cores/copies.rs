//! Requests at their recipient, in a whole network: executed once, each copy answered where it asks to be (protocol §8).

use std::{cell::Cell, rc::Rc, sync::Arc};

use deut::core::{CoreCommand, CoreEvent};
use deut_common::ids::PersonaKey;
use deut_tests::{
    net::{Net, Sighting},
    observe::capture::{self, SealedCopy, Told, Transcript, is_relay, message_id},
    stand_in::StandIn,
};
use deut_transport::{
    DropReason,
    ids::{PoolId, Service},
    io::Destination,
};

const CALLER: usize = 5;
const CALLED: usize = 3;
const SERVICE: Service = Service(300);
const SECOND: u64 = 1_000_000;
/// Requests and answers between tunnels that end at one node are on no wire: then the next call shows them.
const TRIES: u64 = 12;

struct Rig {
    net: Net,
    told: Told,
    wire: Transcript,
    /// Answers that the wire still loses.
    lose: Rc<Cell<u32>>,
    seen: usize,
    calls: u64,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let mut net = Net::of_relays(seed, Arc::new(StandIn), 8, |_| {});
        net.run_ready();
        net.run(20 * SECOND);
        let told = capture::probe(&mut net, CALLER);
        let (wire, lose) = (Transcript::default(), Rc::new(Cell::new(0)));
        let (written, left, sealed) = (Rc::clone(&wire), Rc::clone(&lose), Arc::clone(&told));
        net.tap = Some(Box::new(move |seen| {
            if is_relay(seen) {
                return;
            }
            written.borrow_mut().push(seen.clone());
            if left.get() > 0 && copies(&sealed).iter().any(|copy| answers(copy, seen)) {
                left.set(left.get() - 1);
                seen.bytes.clear();
            }
        }));
        let seen = net.nodes[CALLED].events.len();
        Self {
            net,
            told,
            wire,
            lose,
            seen,
            calls: 0,
        }
    }

    /// Calls, and runs for so long; the called one answers at once.
    fn call(&mut self, us: u64) -> u64 {
        self.calls += 1;
        self.told.lock().expect("one thread").clear();
        self.wire.borrow_mut().clear();
        let core = &self.net.nodes[CALLED].core;
        let views = core.tunnels(self.net.now());
        let open = views
            .iter()
            .filter(|view| view.up && view.pool == PoolId::Persona && view.left_s > 40);
        let call = CoreCommand::Call {
            ticket: self.calls,
            service: SERVICE,
            to: Destination {
                key: PersonaKey(core.persona_key().expect("a persona")),
                at: open.map(|view| view.address).take(3).collect(),
            },
            body: self.calls.to_be_bytes().to_vec(),
        };
        self.net.command(CALLER, call);
        self.run(us);
        self.calls
    }

    fn run(&mut self, us: u64) {
        for _ in 0..us / 10_000 {
            self.net.run(10_000);
            let new: Vec<CoreCommand> = self.net.nodes[CALLED].events[self.seen..]
                .iter()
                .filter_map(|(_, event)| match event {
                    CoreEvent::Request { reply, body, .. } => Some(CoreCommand::Reply {
                        to: *reply,
                        body: body.clone(),
                    }),
                    _ => None,
                })
                .collect();
            self.seen = self.net.nodes[CALLED].events.len();
            new.into_iter()
                .for_each(|reply| self.net.command(CALLED, reply));
        }
    }

    /// How often the called one was asked to do it.
    fn executed(&self, call: u64) -> usize {
        let is = |event: &&(u64, CoreEvent)| matches!(&event.1, CoreEvent::Request { body, .. } if *body == call.to_be_bytes());
        self.net.nodes[CALLED].events.iter().filter(is).count()
    }

    fn responses(&self, call: u64) -> usize {
        let is = |event: &&(u64, CoreEvent)| matches!(&event.1, CoreEvent::Response { ticket, .. } if *ticket == call);
        self.net.nodes[CALLER].events.iter().filter(is).count()
    }

    /// Where the answers to a copy went.
    fn answered_at(&self, copy: &SealedCopy) -> Vec<std::net::SocketAddr> {
        let wire = self.wire.borrow();
        wire.iter()
            .filter(|seen| answers(copy, seen))
            .map(|seen| seen.to)
            .collect()
    }

    /// The request of a copy as it was on the wire.
    fn request(&self, copy: &SealedCopy) -> Option<Sighting> {
        let wire = self.wire.borrow();
        wire.iter()
            .find(|seen| capture::enc(&seen.bytes) == copy.enc)
            .cloned()
    }

    fn drops(&self, reason: DropReason) -> u64 {
        self.net.nodes[CALLED].core.drops().of(reason)
    }
}

/// The copies of our calls, in order.
fn copies(told: &Told) -> Vec<SealedCopy> {
    let all = capture::copies(std::slice::from_ref(told));
    let mut ours: Vec<_> = all
        .into_values()
        .filter(|copy| copy.header.service == SERVICE)
        .collect();
    ours.sort_by_key(|copy| copy.number);
    ours
}

fn answers(copy: &SealedCopy, seen: &Sighting) -> bool {
    seen.bytes.len() == 1_120 && message_id(&seen.bytes) == copy.message_id
}

#[test]
fn a_copy_that_comes_twice_is_executed_once_and_answered_from_memory() {
    let mut rig = Rig::new(92);
    let (call, copy, request) = (0..TRIES)
        .find_map(|_| {
            let call = rig.call(SECOND);
            let copy = copies(&rig.told).first().cloned()?;
            let visible = rig.answered_at(&copy).len() == 1;
            Some((call, copy.clone(), rig.request(&copy)?)).filter(|_| visible)
        })
        .expect("one is on the wire");
    assert_eq!((rig.executed(call), rig.responses(call)), (1, 1));
    let repeat = |rig: &mut Rig, times: usize| {
        let (before, refused) = (
            rig.answered_at(&copy).len(),
            rig.drops(DropReason::DuplicateRequest),
        );
        for _ in 0..times {
            rig.net.inject(request.from, request.to, &request.bytes);
        }
        rig.run(SECOND);
        let answered = rig.answered_at(&copy);
        assert!(answered.iter().all(|to| *to == copy.header.reply));
        let refused = rig.drops(DropReason::DuplicateRequest) - refused;
        (rig.executed(call), answered.len() - before, refused)
    };
    assert_eq!(repeat(&mut rig, 1), (1, 1, 0));
    // Four copies of a request are answered; a call makes three.
    assert_eq!(repeat(&mut rig, 4), (1, 2, 2));
    // Control: what the memory has lost, after ten seconds, is new.
    rig.run(11 * SECOND);
    assert_eq!(repeat(&mut rig, 1), (2, 1, 0));
    assert_eq!(rig.responses(call), 1);
}

#[test]
fn each_copy_is_answered_at_its_own_reply_address() {
    let mut rig = Rig::new(92);
    let mut shown = 0;
    for _ in 0..TRIES {
        rig.lose.set(1);
        let call = rig.call(4 * SECOND);
        let lost = rig.lose.replace(0) == 0;
        let copies = copies(&rig.told);
        // Executed once, whatever was lost.
        assert_eq!((rig.executed(call), rig.responses(call)), (1, 1));
        let [first, second] = copies.as_slice() else {
            assert!(!lost, "{} copies", copies.len());
            continue;
        };
        assert!(lost);
        let (one, two) = (rig.answered_at(first), rig.answered_at(second));
        assert_eq!(one, [first.header.reply]);
        assert_ne!(first.header.reply, second.header.reply);
        assert_ne!(first.tunnels.0, second.tunnels.0);
        if !two.is_empty() {
            assert_eq!(two, [second.header.reply]);
            shown += 1;
        }
    }
    assert!(shown > 2, "{shown}");
    // Control: where nothing is lost, one copy is enough.
    let call = rig.call(4 * SECOND);
    assert_eq!((copies(&rig.told).len(), rig.executed(call)), (1, 1));
}
