//! Questions under way, at most one to each address: who lives there (`WhoAreYou`, protocol §4.1)?

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use deut_common::{ids::RelayId, time::Mono};

use crate::{context::Context, ids::Port, packet::Packet, timers::Timer, wire::datagram};

/// Time to wait for an answer before the next send, ms.
const ANSWER_MS: u64 = 1_000;
/// Number of sends before an address counts as silent.
const SENDS: u8 = 3;

type Nonce = [u8; 16];

#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) address: SocketAddr,
    /// The relay that is expected to answer; `None` for a bootstrap peer.
    pub(super) expected: Option<RelayId>,
    /// The identity key that the list gave for this address. It holds even if the list has been replaced since.
    pub(super) key: Option<[u8; 32]>,
    sends: u8,
    next_at: Mono,
}

impl Question {
    fn send(&mut self, cx: &mut Context, nonce: &Nonce) {
        self.sends += 1;
        self.next_at = cx.mono().plus_ms(ANSWER_MS);
        let datagram = datagram::who_are_you(cx.config.policy.network, nonce, &mut cx.secrets);
        cx.transmit(Port::Relay, self.address, Packet::copy_of(&datagram));
        cx.timers.set_earlier(Timer::Directory, self.next_at);
    }
}

#[derive(Default)]
pub(super) struct Questions {
    by_nonce: BTreeMap<Nonce, Question>,
    asked: BTreeSet<SocketAddr>,
}

impl Questions {
    pub(super) fn len(&self) -> usize {
        self.by_nonce.len()
    }

    /// Asks an address who it is, unless a question to it is under way.
    pub(super) fn ask(
        &mut self,
        cx: &mut Context,
        address: SocketAddr,
        expected: Option<RelayId>,
        key: Option<[u8; 32]>,
    ) {
        if self.len() >= cx.config.limits.unverified || !self.asked.insert(address) {
            return;
        }
        let nonce = cx.secret();
        let mut question = Question {
            address,
            expected,
            key,
            sends: 0,
            next_at: cx.mono(),
        };
        question.send(cx, &nonce);
        self.by_nonce.insert(nonce, question);
    }

    /// The question with this nonce, if it went to this address.
    pub(super) fn get(&self, from: SocketAddr, nonce: &Nonce) -> Option<Question> {
        let question = self.by_nonce.get(nonce).copied();
        question.filter(|question| question.address == from)
    }

    pub(super) fn end(&mut self, nonce: &Nonce) {
        if let Some(question) = self.by_nonce.remove(nonce) {
            self.asked.remove(&question.address);
        }
    }

    /// Repeats questions whose answer is overdue. Returns those that were sent for the last time without an answer; they end now.
    pub(super) fn on_timer(&mut self, cx: &mut Context) -> Vec<Question> {
        let mut in_vain = Vec::new();
        self.by_nonce.retain(|nonce, question| {
            let overdue = question.next_at <= cx.mono();
            if overdue && question.sends >= SENDS {
                self.asked.remove(&question.address);
                in_vain.push(*question);
                return false;
            }
            if overdue {
                question.send(cx, nonce);
            }
            true
        });
        in_vain
    }

    /// The time at which the next answer is overdue.
    pub(super) fn next_due(&self) -> Option<Mono> {
        let questions = self.by_nonce.values();
        questions.map(|question| question.next_at).min()
    }
}
