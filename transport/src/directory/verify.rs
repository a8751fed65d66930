//! WhoAreYou: the only way into the directory (protocol §4.1).

use std::net::SocketAddr;

use deut_common::{
    ids::RelayId,
    time::{Mono, Unix},
};

use super::{AGAIN_AT_ONCE, AGAIN_PAUSE_MS, Directory, DirectoryEvent, Question, VERIFY_AGAIN_MS};
use crate::{
    context::Context,
    drop_reason::DropReason,
    ids::Port,
    io::BootstrapTrouble,
    packet::Packet,
    timers::Timer,
    wire::{
        datagram::{self, Answer, Datagram},
        descriptor::{Descriptor, DescriptorError},
    },
};

/// An answer is awaited for so long.
const ANSWER_MS: u64 = 1_000;
/// Questions before a relay counts as silent.
const SENDS: u8 = 3;

impl Directory {
    /// Somebody showed a descriptor: check what can be checked without its owner, then ask its address.
    pub(crate) fn consider(
        &mut self,
        cx: &mut Context,
        bytes: &[u8; 196],
    ) -> Result<(), DropReason> {
        let descriptor = Descriptor::decode(bytes).map_err(|error| self.refuse(error))?;
        self.consider_decoded(cx, &descriptor)
    }

    /// As [`Directory::consider`], decoded.
    pub(crate) fn consider_decoded(
        &mut self,
        cx: &mut Context,
        descriptor: &Descriptor,
    ) -> Result<(), DropReason> {
        let id = descriptor.id();
        let known = self.get(id).cloned();
        let same = known
            .as_ref()
            .is_some_and(|known| known.bytes() == descriptor.bytes());
        if self.own == Some(id) || same || self.shunned.contains(cx, descriptor.address) {
            return Ok(());
        }
        if self.has_no_room(cx, id) {
            return Err(DropReason::TableFull);
        }
        self.check(cx, descriptor, known.as_deref())?;
        if known.is_none() && self.is_full(cx) && !self.newcomers.take(cx.mono()) {
            return Err(DropReason::TableFull);
        }
        self.ask(cx, descriptor.address, Some(id));
        Ok(())
    }

    /// In a network larger than the directory everybody tells of unknown relays all the time: taking up each would verify
    /// and forget for ever. Now and then one is taken up.
    pub(super) fn has_no_room(&mut self, cx: &Context, relay: RelayId) -> bool {
        self.get(relay).is_none() && self.is_full(cx) && !self.newcomers.has(cx.mono())
    }

    /// Every rule that needs no answer of the relay.
    fn check(
        &mut self,
        cx: &Context,
        descriptor: &Descriptor,
        known: Option<&Descriptor>,
    ) -> Result<(), DropReason> {
        descriptor
            .check(
                &cx.config.suite,
                &cx.config.policy,
                cx.now.unix,
                known.map(|known| known.epoch),
            )
            .map_err(|error| self.refuse(error))?;
        if known.is_some_and(|known| !descriptor.may_follow(known)) {
            return Err(self.refuse(DescriptorError::EpochOld).into());
        }
        Ok(())
    }

    /// Asks an address who it is, unless a question to it is under way.
    pub(super) fn ask(&mut self, cx: &mut Context, address: SocketAddr, expected: Option<RelayId>) {
        if self.asked.contains_key(&address) || self.questions.len() >= cx.config.limits.unverified
        {
            return;
        }
        let nonce = cx.secret();
        let key = self.bootstrap.key_of(address);
        self.asked.insert(address, nonce);
        self.questions.insert(
            nonce,
            Question {
                address,
                expected,
                key,
                sends: 0,
                next_at: cx.mono(),
            },
        );
        self.send_question(cx, nonce);
    }

    fn send_question(&mut self, cx: &mut Context, nonce: [u8; 16]) {
        let Some(question) = self.questions.get_mut(&nonce) else {
            return;
        };
        question.sends += 1;
        question.next_at = cx.mono().plus_ms(ANSWER_MS);
        let (to, next_at) = (question.address, question.next_at);
        let datagram = datagram::who_are_you(cx.config.policy.network, &nonce, &mut cx.secrets);
        cx.transmit(Port::Relay, to, Packet::copy_of(&datagram));
        cx.timers.set_earlier(Timer::Directory, next_at);
    }

    /// An answer arrived.
    pub(crate) fn on_answer(
        &mut self,
        cx: &mut Context,
        from: SocketAddr,
        datagram: &Datagram,
    ) -> Result<Vec<DirectoryEvent>, DropReason> {
        let answer = datagram::parse_who_are_you_answer(datagram);
        let question = self
            .questions
            .get(&answer.nonce)
            .ok_or(DropReason::UnexpectedAnswer)?;
        if question.address != from {
            return Err(DropReason::UnexpectedAnswer);
        }
        let (expected, key) = (question.expected, question.key);
        if answer.network != cx.config.policy.network {
            // Only who sees our traffic could forge this, and could as well swallow it; a user wants to know.
            self.end_question(&answer.nonce);
            *self
                .refusals
                .entry(DescriptorError::Network.name())
                .or_default() += 1;
            return Ok(self.trouble(from, BootstrapTrouble::OtherNetwork));
        }
        let descriptor = match self.accept(cx, from, &answer) {
            Ok(descriptor) => descriptor,
            Err(reason) => return self.refused(cx, from, &answer, reason),
        };
        let id = descriptor.id();
        if self.own == Some(id) {
            self.end_question(&answer.nonce);
            return Ok(self.trouble(from, BootstrapTrouble::Ourselves));
        }
        if key.is_some_and(|key| key != descriptor.identity)
            || self.bootstrap.wants_other_key(from, &descriptor.identity)
        {
            self.end_question(&answer.nonce);
            return Ok(self.trouble(from, BootstrapTrouble::OtherKey));
        }
        self.end_question(&answer.nonce);
        if let Some(time) = answer.time(&cx.config.suite, &descriptor) {
            self.clocks.hear(cx, from, time);
        }
        self.bootstrap.answered(from, id);
        self.shunned.forgive(cx, from);
        let mut events = Vec::new();
        // Another relay lives at this address now.
        if let Some(expected) = expected.filter(|&expected| expected != id) {
            *self.refusals.entry("NotEchoed").or_default() += 1;
            if self.remove(expected).is_some() {
                events.push(DirectoryEvent::Left);
            }
        }
        events.extend(self.insert(cx, descriptor));
        Ok(events)
    }

    /// The descriptor of an answer, if all of it holds.
    fn accept(
        &mut self,
        cx: &Context,
        from: SocketAddr,
        answer: &Answer,
    ) -> Result<Descriptor, DropReason> {
        let descriptor =
            Descriptor::decode(&answer.descriptor).map_err(|error| self.refuse(error))?;
        let known = self.get(descriptor.id()).cloned();
        self.check(cx, &descriptor, known.as_deref())?;
        if descriptor.address != from {
            return Err(self.refuse(DescriptorError::Address).into());
        }
        if !answer.verify(&cx.config.suite, &descriptor) {
            return Err(self.refuse(DescriptorError::Signature).into());
        }
        Ok(descriptor)
    }

    /// The descriptor of an answer does not hold. If that is so by our clock only, then the clocks differ: the relay is not
    /// silent, and whoever looks into why nothing works must hear of it.
    fn refused(
        &mut self,
        cx: &Context,
        from: SocketAddr,
        answer: &Answer,
        reason: DropReason,
    ) -> Result<Vec<DirectoryEvent>, DropReason> {
        if let Some((relay, time)) = self.by_its_own_clock(cx, from, answer) {
            self.end_question(&answer.nonce);
            self.clocks.hear(cx, from, time);
            if let Some(entry) = self.verified.get_mut(&relay) {
                entry.verified = cx.mono();
            }
            return Ok(self.trouble(from, BootstrapTrouble::OtherClock));
        }
        if self.bootstrap.knows(from) {
            Ok(self.trouble(from, BootstrapTrouble::BadDescriptor))
        } else {
            Err(reason)
        }
    }

    /// Who answered and what its clock shows, if the answer is refused for its times but would hold by that clock.
    fn by_its_own_clock(
        &self,
        cx: &Context,
        from: SocketAddr,
        answer: &Answer,
    ) -> Option<(RelayId, Unix)> {
        let policy = &cx.config.policy;
        let descriptor = Descriptor::decode(&answer.descriptor).ok()?;
        let by_ours = descriptor.check(&cx.config.suite, policy, cx.now.unix, None);
        let by_times = matches!(
            by_ours,
            Err(DescriptorError::Expired | DescriptorError::EpochAhead)
        );
        let theirs = answer
            .time(&cx.config.suite, &descriptor)
            .filter(|_| by_times)?;
        let holds = descriptor
            .check(&cx.config.suite, policy, theirs, None)
            .is_ok()
            && descriptor.address == from
            && answer.verify(&cx.config.suite, &descriptor)
            && !self.bootstrap.wants_other_key(from, &descriptor.identity);
        (holds && self.own != Some(descriptor.id())).then(|| (descriptor.id(), theirs))
    }

    fn end_question(&mut self, nonce: &[u8; 16]) -> Option<Question> {
        let question = self.questions.remove(nonce)?;
        self.asked.remove(&question.address);
        Some(question)
    }

    fn trouble(&mut self, from: SocketAddr, trouble: BootstrapTrouble) -> Vec<DirectoryEvent> {
        self.bootstrap
            .trouble(from, trouble)
            .then_some(DirectoryEvent::Trouble(from, trouble))
            .into_iter()
            .collect()
    }

    /// Questions are overdue, or verified relays are due again.
    pub(crate) fn on_timer(&mut self, cx: &mut Context) -> Vec<DirectoryEvent> {
        let now = cx.mono();
        let mut events = Vec::new();
        let due: Vec<[u8; 16]> = self
            .questions
            .iter()
            .filter(|(_, q)| q.next_at <= now)
            .map(|(nonce, _)| *nonce)
            .collect();
        for nonce in due {
            if self
                .questions
                .get(&nonce)
                .is_some_and(|question| question.sends < SENDS)
            {
                self.send_question(cx, nonce);
            } else {
                events.extend(self.give_up(cx, &nonce));
            }
        }
        self.verify_again(cx);
        self.plan(cx);
        events
    }

    fn give_up(&mut self, cx: &mut Context, nonce: &[u8; 16]) -> Vec<DirectoryEvent> {
        let Some(question) = self.end_question(nonce) else {
            return Vec::new();
        };
        *self.refusals.entry("NotEchoed").or_default() += 1;
        let mut events = self.trouble(question.address, BootstrapTrouble::Silent);
        if let Some(relay) = question.expected {
            self.shunned.add(cx, question.address);
            if let Some(entry) = self.remove(relay) {
                self.memory.add(cx, entry.descriptor);
                self.after_leaving(cx);
                events.push(DirectoryEvent::Left);
            }
        }
        events
    }

    /// The relay that was verified longest ago is asked again, a few at a time.
    fn verify_again(&mut self, cx: &mut Context) {
        let now = cx.mono();
        if now < self.again_at {
            return;
        }
        let old = self
            .verified
            .iter()
            .filter(|(_, entry)| now >= entry.verified.plus_ms(VERIFY_AGAIN_MS));
        let due: Vec<(RelayId, SocketAddr)> = old
            .map(|(id, entry)| (*id, entry.descriptor.address))
            .take(AGAIN_AT_ONCE)
            .collect();
        for (id, address) in due {
            self.ask(cx, address, Some(id));
        }
        let first = self.verified.values().map(|entry| entry.verified).min();
        self.again_at = first
            .unwrap_or(now)
            .plus_ms(VERIFY_AGAIN_MS)
            .max(now.plus_ms(AGAIN_PAUSE_MS));
    }

    fn plan(&self, cx: &mut Context) {
        let question = self
            .questions
            .values()
            .map(|question| question.next_at)
            .min();
        let again = (!self.verified.is_empty()).then_some(self.again_at);
        let next: Option<Mono> = question.into_iter().chain(again).min();
        if let Some(at) = next {
            cx.timers
                .set(Timer::Directory, at.max(cx.mono().plus_ms(100)));
        }
    }
}
