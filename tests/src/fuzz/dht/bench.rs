//! A Kademlia on a bench: time, a transport that fails calls after their time, and all that must hold.

use std::collections::{BTreeMap, BTreeSet};

use deut_common::{
    address::EndpointAddress,
    suite::SuiteRef,
    time::{Mono, Now, Unix},
};
use deut_kademlia::*;

use super::{CALL_FAILS, LONGEST_QUERY, STEPS, config};
use crate::{
    fuzz::contact::secret,
    kit::{caps::check_caps, net::clock, watch::watched},
};

pub(super) struct Sent {
    pub(super) ticket: RpcTicket,
    pub(super) to: Contact,
    pub(super) body: Body,
    pub(super) fails_at: u64,
}

pub(super) struct Bench {
    pub(super) dht: Kademlia,
    pub(super) now: u64,
    pub(super) steps: u32,
    pub(super) wake: Option<u64>,
    pub(super) sent: Vec<Sent>,
    pub(super) last_ticket: [u64; 2],
    pub(super) groups: BTreeSet<Group>,
    pub(super) ended: BTreeSet<Group>,
    pub(super) open: BTreeMap<QueryTicket, u64>,
    pub(super) queries: u64,
    pub(super) asked: u64,
    pub(super) answer: Option<Body>,
    pub(super) tokens: BTreeMap<[u8; 20], [u8; 8]>,
    pub(super) answered: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut bench = Self {
            dht: Kademlia::new(config(), [5; 32], &Now::default()),
            now: 0,
            steps: STEPS,
            wake: None,
            sent: Vec::new(),
            last_ticket: [0; 2],
            groups: BTreeSet::new(),
            ended: BTreeSet::new(),
            open: BTreeMap::new(),
            queries: 0,
            asked: 0,
            answer: None,
            tokens: BTreeMap::new(),
            answered: 0,
        };
        bench.input(DhtInput::Persona(Some(secret(200))));
        bench.addresses(2, 3_600);
        bench
    }

    fn now(&self) -> Now {
        clock(self.now)
    }

    pub(super) fn input(&mut self, input: DhtInput) {
        let now = self.now();
        let dht = &mut self.dht;
        watched(|| dht.handle_input(&now, input));
        for _ in 0..2_000 {
            let dht = &mut self.dht;
            match watched(|| dht.poll_output(&now)) {
                DhtOutput::Wait { until, why } => {
                    assert!(!why.is_empty());
                    self.wake = until.map(|Mono(at)| at);
                    return check_caps(&self.dht.audit(), &config());
                }
                output => self.output(output),
            }
        }
        panic!("more than 2,000 outputs for one input");
    }

    fn output(&mut self, output: DhtOutput) {
        match output {
            DhtOutput::Advertise(contact) => {
                let rules = config().contact;
                assert!(
                    Contact::verify(&SuiteRef::default(), &contact, &rules, self.now().unix)
                        .is_ok()
                );
            }
            DhtOutput::Answer { to, body } => {
                assert_eq!(to, IncomingTicket(self.asked), "only what was just asked");
                assert!(body.len() <= MAX_ANSWER_BODY);
                assert_eq!(layouts::answer(&body).as_ref(), Some(&body));
                assert!(self.answer.replace(body).is_none(), "once");
                self.answered += 1;
            }
            DhtOutput::Done(ticket, outcome) => {
                assert!(
                    self.open.remove(&ticket).is_some(),
                    "one outcome, {outcome:?}"
                );
            }
            DhtOutput::GroupEnded(group) => {
                assert!(self.ended.insert(group), "a group ends once");
            }
            DhtOutput::Send {
                ticket,
                group,
                to,
                body,
                on_behalf,
                ..
            } => self.send(ticket, group, to, body, on_behalf),
            DhtOutput::Superseded {
                published, seen, ..
            } => assert!(seen >= published),
            DhtOutput::Progress(..)
            | DhtOutput::WantOtherEndpoints(_)
            | DhtOutput::WantSeeds(_)
            | DhtOutput::Wait { .. } => {}
        }
    }

    fn send(
        &mut self,
        ticket: RpcTicket,
        group: Group,
        to: Contact,
        body: Body,
        on_behalf: OnBehalf,
    ) {
        assert!(body.len() <= MAX_REQUEST_BODY);
        assert_eq!(layouts::request(&body).as_ref(), Some(&body));
        assert!(!self.ended.contains(&group), "an ended group sends nothing");
        self.groups.insert(group);
        let names_somebody = matches!(body.as_slice(), [1, 1, ..])
            || body.first() == Some(&2) && body.get(21) == Some(&1);
        // The upkeep names the persona while it has a contact; users' requests name nobody.
        let may_name = self.dht.persona_contact(&self.now()).is_some();
        assert_eq!(names_somebody, on_behalf == OnBehalf::Persona && may_name);
        let last = &mut self.last_ticket[usize::from(on_behalf == OnBehalf::User)];
        assert!(ticket.0 > *last, "no ticket twice");
        *last = ticket.0;
        self.sent.push(Sent {
            ticket,
            to,
            body,
            fails_at: self.now + CALL_FAILS,
        });
    }

    /// Lets time pass; what the transport must say meanwhile it says.
    pub(super) fn pass(&mut self, us: u64) {
        let end = self.now + us;
        let mut spins = 0;
        while self.steps > 0 {
            let fails = self.sent.iter().map(|sent| sent.fails_at).min();
            let Some(next) = self.wake.into_iter().chain(fails).min() else {
                break;
            };
            if next > end {
                break;
            }
            self.steps -= 1;
            spins = if next <= self.now { spins + 1 } else { 0 };
            assert!(spins <= 300, "it spins");
            self.now = self.now.max(next);
            match self.sent.iter().position(|sent| sent.fails_at <= self.now) {
                Some(at) => {
                    let ticket = self.sent.remove(at).ticket;
                    self.input(DhtInput::Failed(ticket, Failure::OverSeveral));
                }
                None => self.input(DhtInput::Timeout),
            }
            self.check_queries();
        }
        if self.steps > 0 {
            self.now = self.now.max(end);
        }
    }

    pub(super) fn check_queries(&self) {
        for (ticket, &since) in &self.open {
            assert!(self.now - since <= LONGEST_QUERY, "{ticket:?} hangs");
        }
    }

    pub(super) fn addresses(&mut self, count: u8, life: u64) {
        let until = Unix(self.now().unix.0 + life);
        let addresses = (0..count).map(|number| {
            let ip = [10, 7, 1, number].into();
            (EndpointAddress { ip, port: 4_001 }, until)
        });
        self.input(DhtInput::OwnAddresses(addresses.collect()));
    }

    pub(super) fn start(&mut self, query: Query) {
        self.queries += 1;
        let ticket = QueryTicket(self.queries);
        self.open.insert(ticket, self.now);
        self.input(DhtInput::Start(ticket, query));
    }

    /// A request of somebody: answered once, or counted.
    pub(super) fn request(&mut self, body: Body, key: [u8; 20]) {
        self.asked += 1;
        self.answer = None;
        let before = self.discards();
        self.input(DhtInput::Request(IncomingTicket(self.asked), body));
        match &self.answer {
            None => assert!(self.discards() > before, "neither answered nor counted"),
            Some(answer) => {
                if let ([0x82..=0x84 | 0x86, ..], Some(token)) = (
                    answer.as_slice(),
                    answer.get(1..9).and_then(<[u8]>::first_chunk),
                ) {
                    self.tokens.insert(key, *token);
                }
            }
        }
    }

    fn discards(&self) -> u64 {
        let audit = self.dht.audit();
        audit.persona.drops.total() + audit.without_persona.total()
    }
}
