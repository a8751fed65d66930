//! WhoAreYou: the only way into the directory (protocol §4.1).

use std::{net::SocketAddr, sync::Arc};

use deut_common::ids::RelayId;

use super::{Directory, DirectoryEvent, PERSIST_MS, questions::Question, rules};
use crate::{
    context::Context,
    drop_reason::DropReason,
    ids::LinkHandle,
    io::BootstrapTrouble,
    timers::Timer,
    wire::{
        datagram::{self, Answer, Datagram},
        descriptor::{Descriptor, DescriptorError},
    },
};

impl Directory {
    /// A neighbour sent descriptors.
    pub(crate) fn on_gossip(
        &mut self,
        cx: &mut Context,
        link: LinkHandle,
        descriptors: &[[u8; 196]],
    ) {
        let before = self.questions.len();
        for bytes in descriptors {
            if let Err(reason) = self.on_told(cx, link, bytes) {
                cx.drops.count(reason);
            }
        }
        let fruitful = self.questions.len() > before;
        if let Some(neighbour) = self.gossip.get_mut(link) {
            neighbour.heard(cx, &self.relays, fruitful);
        }
    }

    fn on_told(
        &mut self,
        cx: &mut Context,
        link: LinkHandle,
        bytes: &[u8; 196],
    ) -> Result<(), DropReason> {
        let decoded = Descriptor::decode(bytes);
        if let Ok(descriptor) = &decoded {
            // Neither counts against this neighbour's budget.
            if self.is_known(descriptor) {
                return Ok(());
            }
            if !self.relays.has_room_for(cx, descriptor.id()) {
                return Err(DropReason::TableFull);
            }
        }
        let neighbour = self.gossip.get_mut(link);
        if !neighbour.is_some_and(|neighbour| neighbour.may_tell(cx.mono())) {
            return Err(DropReason::RateLimited);
        }
        let descriptor = decoded.map_err(|error| self.refusals.refuse(error))?;
        self.consider(cx, &descriptor)
    }

    /// Returns true if exactly this descriptor is verified, or it is our own: then there is nothing to do.
    fn is_known(&self, descriptor: &Descriptor) -> bool {
        let id = descriptor.id();
        let known = self.get(id);
        self.own == Some(id) || known.is_some_and(|known| known.bytes() == descriptor.bytes())
    }

    /// A descriptor was shown: checks what can be checked without its owner, then asks its address.
    pub(crate) fn consider(
        &mut self,
        cx: &mut Context,
        descriptor: &Descriptor,
    ) -> Result<(), DropReason> {
        let id = descriptor.id();
        if self.is_known(descriptor) || self.shunned.contains(cx, descriptor.address) {
            return Ok(());
        }
        if !self.relays.has_room_for(cx, id) {
            return Err(DropReason::TableFull);
        }
        rules::check(cx, &self.relays, descriptor).map_err(|error| self.refusals.refuse(error))?;
        if !self.relays.take_room_for(cx, id) {
            return Err(DropReason::TableFull);
        }
        self.ask(cx, descriptor.address, Some(id));
        Ok(())
    }

    /// Asks an address who it is, unless a question to it is under way.
    pub(super) fn ask(&mut self, cx: &mut Context, address: SocketAddr, expected: Option<RelayId>) {
        let key = self.bootstrap.key_of(address);
        self.questions.ask(cx, address, expected, key);
    }

    /// Asks verified relays whether they are still there.
    pub(super) fn ask_again(&mut self, cx: &mut Context, relays: &[Arc<Descriptor>]) {
        for relay in relays {
            self.ask(cx, relay.address, Some(relay.id()));
        }
    }

    pub(crate) fn on_answer(
        &mut self,
        cx: &mut Context,
        from: SocketAddr,
        datagram: &Datagram,
    ) -> Result<Vec<DirectoryEvent>, DropReason> {
        let answer = datagram::parse_who_are_you_answer(datagram);
        let question = self
            .questions
            .get(from, &answer.nonce)
            .ok_or(DropReason::UnexpectedAnswer)?;
        if answer.network != cx.config.policy.network {
            // Only somebody who sees our traffic could forge this, and he could as well swallow it. The user wants to know.
            self.questions.end(&answer.nonce);
            self.refusals.count(DescriptorError::Network.name());
            return Ok(self.trouble(from, BootstrapTrouble::OtherNetwork));
        }
        let descriptor = match rules::accept(cx, &self.relays, from, &answer) {
            Ok(descriptor) => descriptor,
            Err(error) => return self.refused(cx, from, &answer, error),
        };
        self.questions.end(&answer.nonce);
        if self.own == Some(descriptor.id()) {
            return Ok(self.trouble(from, BootstrapTrouble::Ourselves));
        }
        let identity = &descriptor.identity;
        if question.key.is_some_and(|key| key != *identity)
            || self.bootstrap.wants_other_key(from, identity)
        {
            return Ok(self.trouble(from, BootstrapTrouble::OtherKey));
        }
        if let Some(time) = answer.time(&cx.config.suite, &descriptor) {
            self.clocks.hear(cx, from, time);
        }
        Ok(self.verified(cx, &question, descriptor))
    }

    /// A relay answered from its address under its key.
    fn verified(
        &mut self,
        cx: &mut Context,
        question: &Question,
        descriptor: Descriptor,
    ) -> Vec<DirectoryEvent> {
        let id = descriptor.id();
        self.bootstrap.answered(question.address, id);
        self.shunned.forgive(cx, question.address);
        let mut events = Vec::new();
        // Another relay lives at this address now.
        if let Some(expected) = question.expected.filter(|&expected| expected != id) {
            self.refusals.count("NotEchoed");
            self.relays.remove(expected);
        }
        let descriptor = Arc::new(descriptor);
        let Ok(new) = self.relays.insert(cx, Arc::clone(&descriptor)) else {
            self.refusals.count("Crowded");
            return events;
        };
        self.memory.forget(id, question.address);
        self.met = true;
        cx.timers
            .set_earlier(Timer::Persist, cx.mono().plus_ms(PERSIST_MS));
        events.push(DirectoryEvent::Verified { descriptor, new });
        events
    }

    /// The descriptor of an answer does not hold. If that is so only by our clock, then the clocks differ: the relay is not silent,
    /// and a user who looks for the fault must hear of it.
    fn refused(
        &mut self,
        cx: &Context,
        from: SocketAddr,
        answer: &Answer,
        error: DescriptorError,
    ) -> Result<Vec<DirectoryEvent>, DropReason> {
        let reason = self.refusals.refuse(error);
        let by_theirs = rules::by_its_own_clock(cx, from, answer, error);
        let wanted = |descriptor: &Descriptor| {
            self.own != Some(descriptor.id())
                && !self.bootstrap.wants_other_key(from, &descriptor.identity)
        };
        if let Some((descriptor, time)) = by_theirs.filter(|(descriptor, _)| wanted(descriptor)) {
            self.questions.end(&answer.nonce);
            self.clocks.hear(cx, from, time);
            self.relays.answered(descriptor.id(), cx.mono());
            return Ok(self.trouble(from, BootstrapTrouble::OtherClock));
        }
        if self.bootstrap.knows(from) {
            Ok(self.trouble(from, BootstrapTrouble::BadDescriptor))
        } else {
            Err(reason)
        }
    }

    fn trouble(&mut self, from: SocketAddr, trouble: BootstrapTrouble) -> Vec<DirectoryEvent> {
        let news = self.bootstrap.trouble(from, trouble);
        let event = DirectoryEvent::Trouble(from, trouble);
        news.then_some(event).into_iter().collect()
    }

    /// Questions are overdue, or verified relays are due again.
    pub(crate) fn on_timer(&mut self, cx: &mut Context) -> Vec<DirectoryEvent> {
        let mut events = Vec::new();
        for question in self.questions.on_timer(cx) {
            events.extend(self.give_up(cx, &question));
        }
        let due = self.relays.take_due(cx.mono());
        self.ask_again(cx, &due);
        let next = [self.questions.next_due(), self.relays.next_due()];
        if let Some(at) = next.into_iter().flatten().min() {
            cx.timers
                .set(Timer::Directory, at.max(cx.mono().plus_ms(100)));
        }
        events
    }

    fn give_up(&mut self, cx: &mut Context, question: &Question) -> Vec<DirectoryEvent> {
        self.refusals.count("NotEchoed");
        let events = self.trouble(question.address, BootstrapTrouble::Silent);
        if let Some(relay) = question.expected {
            self.shunned.add(cx, question.address);
            if let Some(descriptor) = self.relays.remove(relay) {
                self.memory.add(cx, descriptor);
                self.after_leaving(cx);
            }
        }
        events
    }
}
