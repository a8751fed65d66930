//! This node as others see it: the keys of a relay, its signed descriptor, and the answer to "who are you?".

use std::{net::SocketAddr, sync::Arc};

use deut_common::{
    buckets::{Bucket, Buckets},
    time::Unix,
};

use crate::{
    config::Role,
    context::Context,
    drop_reason::DropReason,
    ids::Port,
    keys::RelayKeys,
    packet::Packet,
    policy::Profile,
    timers::Timer,
    wire::{
        datagram::{self, Datagram},
        descriptor::Descriptor,
    },
};

/// A descriptor is valid for a day and is issued anew after half of that.
const DESCRIPTOR_MINUTES: u32 = 1_440;
/// Number of sources of questions that are told apart.
pub(crate) const SOURCES: usize = 4_096;

pub(crate) struct Own {
    keys: Arc<RelayKeys>,
    /// `None` for a client.
    descriptor: Option<Descriptor>,
    questions: Bucket,
    questions_per_source: Buckets<SocketAddr>,
}

impl Own {
    pub(crate) fn new(keys: Arc<RelayKeys>, cx: &mut Context) -> Self {
        let limits = &cx.config.limits;
        let mut own = Self {
            keys,
            descriptor: None,
            questions: Bucket::new(limits.who_are_you, cx.mono()),
            questions_per_source: Buckets::new(limits.who_are_you_per_source, SOURCES),
        };
        own.issue(cx);
        own
    }

    pub(crate) fn keys(&self) -> &RelayKeys {
        &self.keys
    }

    pub(crate) const fn descriptor(&self) -> Option<&Descriptor> {
        self.descriptor.as_ref()
    }

    /// Number of sources of questions that are told apart at present.
    pub(crate) fn sources(&self) -> usize {
        self.questions_per_source.len()
    }

    /// Signs the descriptor for the next day.
    pub(crate) fn issue(&mut self, cx: &mut Context) {
        let Role::Relay {
            address,
            endpoint_ports,
        } = cx.config.role
        else {
            return;
        };
        let epoch = u32::try_from(cx.now.unix.0 / 60).unwrap_or(u32::MAX);
        self.descriptor = Some(Descriptor::sign(
            &self.keys,
            cx.config.policy.network,
            address,
            endpoint_ports,
            epoch,
            epoch.saturating_add(DESCRIPTOR_MINUTES),
        ));
        let again = cx.mono().plus_ms(u64::from(DESCRIPTOR_MINUTES) * 30_000);
        cx.timers.set(Timer::Descriptor, again);
    }

    /// The wall clock was set: issues the descriptor anew if it does not hold now.
    pub(crate) fn clock_jumped(&mut self, cx: &mut Context) {
        let Unix(now) = cx.now.unix;
        let holds =
            |own: &Descriptor| (u64::from(own.epoch)..u64::from(own.expiry)).contains(&(now / 60));
        if !self.descriptor().is_none_or(holds) {
            self.issue(cx);
        }
    }

    /// Answers a question without keeping state. The answer is as long as the question and costs two signatures.
    pub(crate) fn on_question(
        &mut self,
        cx: &mut Context,
        from: SocketAddr,
        question: &Datagram,
    ) -> Result<(), DropReason> {
        let own = self.descriptor.as_ref().ok_or(DropReason::NotARelay)?;
        let source = match cx.config.policy.profile {
            Profile::Production => SocketAddr::new(from.ip(), 0),
            Profile::Test => from,
        };
        let now = cx.mono();
        if !self.questions_per_source.take(source, now) || !self.questions.take(now) {
            return Err(DropReason::RateLimited);
        }
        let nonce = datagram::parse_who_are_you(question).nonce;
        let mut answer =
            datagram::who_are_you_answer(&self.keys, own, &nonce, from, &mut cx.secrets);
        datagram::put_time(&mut answer, &self.keys, cx.now.unix);
        cx.transmit(Port::Relay, from, Packet::copy_of(&answer));
        Ok(())
    }
}
