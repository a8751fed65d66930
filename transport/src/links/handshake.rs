//! Things that every handshake needs: our keys, the time in our initiations, and the budget for those of others (protocol §4.3).

use std::{net::SocketAddr, sync::Arc};

use deut_common::buckets::{Bucket, Buckets};

use super::link::Link;
use crate::{
    context::Context,
    crypto::noise::{
        InitiationOpened, Initiator, Responder, check_mac1, initiate, mac1_key, open_initiation,
    },
    drop_reason::DropReason,
    keys::RelayKeys,
    policy::Profile,
    wire::{
        datagram::{Datagram, Kind},
        descriptor::Descriptor,
    },
};

/// Number of sources of initiations that are told apart.
const SOURCES: usize = 4_096;

pub(super) struct Handshakes {
    keys: Arc<RelayKeys>,
    mac1: [u8; 32],
    answered: Bucket,
    answered_per_source: Buckets<SocketAddr>,
    /// The `time` of our last initiation, µs.
    last_time: u64,
}

impl Handshakes {
    pub(super) fn new(keys: Arc<RelayKeys>, cx: &Context) -> Self {
        let limits = &cx.config.limits;
        Self {
            mac1: mac1_key(&keys.link()),
            keys,
            answered: Bucket::new(limits.handshakes_answered, cx.mono()),
            answered_per_source: Buckets::new(limits.handshakes_per_source, SOURCES),
            last_time: 0,
        }
    }

    /// The wall clock was set: initiations carry the new time, even if it is earlier than that of the last one.
    pub(super) const fn clock_jumped(&mut self) {
        self.last_time = 0;
    }

    /// Makes an initiation for a neighbour whose identity is known, with a time above that of every earlier one.
    pub(super) fn initiate(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        to: &Link,
        index: u32,
    ) -> Option<(Initiator, Datagram)> {
        let now = cx.now.unix.0.saturating_mul(1_000_000);
        self.last_time = now.max(self.last_time + 1);
        let (keys, time) = (&self.keys, self.last_time);
        let responder = Responder {
            network: cx.config.policy.network,
            identity: to.identity?,
            link: to.key,
        };
        initiate(keys, &responder, index, own, time, &mut cx.secrets).ok()
    }

    /// Opens an initiation, unless there were too many.
    pub(super) fn open(
        &mut self,
        cx: &mut Context,
        from: SocketAddr,
        datagram: &Datagram,
    ) -> Result<InitiationOpened, DropReason> {
        self.check_mac1(datagram, Kind::HandshakeInit)?;
        let source = match cx.config.policy.profile {
            Profile::Production => SocketAddr::new(from.ip(), 0),
            Profile::Test => from,
        };
        if !self.answered_per_source.take(source, cx.mono()) || !self.answered.take(cx.mono()) {
            return Err(DropReason::RateLimited);
        }
        let network = cx.config.policy.network;
        open_initiation(&self.keys, network, datagram, &mut cx.secrets)
            .ok()
            .filter(|opened| opened.remote_link != self.keys.link())
            .ok_or(DropReason::BadHandshake)
    }

    /// Checks MAC1 of a handshake datagram, before any public-key work.
    pub(super) fn check_mac1(&self, datagram: &Datagram, kind: Kind) -> Result<(), DropReason> {
        if check_mac1(&self.mac1, datagram, kind) {
            Ok(())
        } else {
            Err(DropReason::BadMac)
        }
    }

    /// Both sides dialled at once: true if our initiation wins, which is that of the lower link key.
    pub(super) fn wins_over(&self, neighbour: &Link) -> bool {
        self.keys.link() < neighbour.key
    }
}
