//! The endpoint's half of the RSA exchange (protocol §7.3). RSA runs in the worker, never here.

use std::{collections::BTreeMap, sync::Arc};

use deut_common::buckets::Bucket;

use super::served::Served;
use crate::{
    context::Context,
    drop_reason::DropReason,
    ids::{JobTicket, ServedId},
    io::Priority,
    net::Net,
    rsa::{JOB_AGAIN_MS, Job, JobResult, OAEP_LEN, RsaKeyPair, RsaSuite, SPKI_LEN},
    timers::Timer,
    wire::cell::Cell,
};

/// An exchange whose ciphertext is in the worker.
pub(super) struct Exchange {
    pub(super) tunnel: ServedId,
    pub(super) number: u32,
    /// The master's RSA public key.
    pub(super) spki: Box<[u8; SPKI_LEN]>,
    pub(super) sealed: Box<[u8; OAEP_LEN]>,
}

pub(super) struct Exchanges {
    suite: Arc<dyn RsaSuite>,
    /// The key pair of this run, once it is generated.
    key: Option<RsaKeyPair>,
    making: Option<JobTicket>,
    under_way: BTreeMap<JobTicket, Exchange>,
    bucket: Bucket,
}

impl Exchanges {
    pub(super) fn new(cx: &Context, suite: Arc<dyn RsaSuite>) -> Self {
        Self {
            suite,
            key: None,
            making: None,
            under_way: BTreeMap::new(),
            bucket: Bucket::new(cx.config.limits.exchanges, cx.mono()),
        }
    }

    /// Our RSA public key, once it is generated.
    pub(super) fn public(&self) -> Option<&[u8; SPKI_LEN]> {
        self.key.as_ref().map(|key| &*key.public)
    }

    /// Orders the key pair of this run, unless it is there or under way.
    pub(super) fn order_key(&mut self, cx: &mut Context) {
        if self.key.is_none() && self.making.is_none() {
            let seed = cx.secret();
            self.making = Some(cx.job(Priority::FirstTunnels, Job::Generate { seed }));
        }
    }

    /// A job for our key ended; `false` if the ticket is another one.
    pub(super) fn on_key(&mut self, cx: &mut Context, ticket: JobTicket, made: &JobResult) -> bool {
        if self.making != Some(ticket) {
            return false;
        }
        self.making = None;
        if let JobResult::Key(pair) = made {
            cx.counters.rsa_keys += 1;
            self.key = Some(pair.clone());
        } else {
            // The worker's queue is full. Asked again at once, it would refuse again and again.
            let again = cx.mono().plus_ms(JOB_AGAIN_MS);
            cx.timers.set_earlier(Timer::Ports, again);
        }
        true
    }

    /// A master asks for the exchange: the RSA private operation goes to the worker.
    pub(super) fn start(&mut self, cx: &mut Context, exchange: Exchange) -> Result<(), DropReason> {
        let key = self.key.as_ref().ok_or(DropReason::UnexpectedCell)?;
        if self.under_way.len() >= cx.config.limits.jobs {
            return Err(DropReason::TableFull);
        }
        if !self.bucket.take(cx.mono()) {
            return Err(DropReason::RateLimited);
        }
        let open = Job::Open {
            key: key.private.clone(),
            ciphertext: exchange.sealed.clone(),
            blinding: cx.secret(),
        };
        let ticket = cx.job(Priority::Exchange, open);
        self.under_way.insert(ticket, exchange);
        Ok(())
    }

    pub(super) fn take(&mut self, ticket: JobTicket) -> Option<Exchange> {
        self.under_way.remove(&ticket)
    }

    /// The worker opened the master's half: ours goes back, and both ends have the session keys.
    pub(super) fn finish(
        &self,
        net: &mut Net,
        tunnel: Option<&mut Served>,
        exchange: &Exchange,
        seed_m: &[u8; 32],
    ) -> Result<(), DropReason> {
        let own = self.public().ok_or(DropReason::StaleJob)?;
        let (seed_e, oaep_seed) = (net.cx.secret(), net.cx.secret());
        let sealed_e = self
            .suite
            .seal(&exchange.spki, &seed_e, oaep_seed)
            .map_err(|_| DropReason::BadRsaKey)?;
        let tunnel = tunnel.ok_or(DropReason::StaleJob)?;
        let confirmation = tunnel.agree(
            (own, &exchange.spki),
            (&exchange.sealed, &sealed_e),
            (seed_m, &seed_e),
        );
        let number = exchange.number;
        let answer = Cell::Exchanged {
            number,
            sealed: Box::new(sealed_e),
            confirmation,
        };
        tunnel.answer(net, number, answer);
        Ok(())
    }
}
