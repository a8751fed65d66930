//! The endpoint's half of the RSA exchange (protocol §7.3). RSA runs in the worker, never here.

use super::Endpoint;
use crate::{
    context::Context,
    crypto::exchange::{Transcript, session_keys},
    drop_reason::DropReason,
    ids::{JobTicket, ServedId},
    io::Priority,
    links::Links,
    rsa::{JOB_AGAIN_MS, Job, JobResult, OAEP_LEN, SPKI_LEN},
    timers::Timer,
    wire::cell::Cell,
};

/// An exchange whose ciphertext is in the worker.
pub(super) struct Exchange {
    tunnel: ServedId,
    number: u32,
    spki: Box<[u8; SPKI_LEN]>,
    sealed: Box<[u8; OAEP_LEN]>,
}

impl Endpoint {
    /// A master asks for the exchange: the private operation goes to the worker.
    pub(super) fn start_exchange(
        &mut self,
        cx: &mut Context,
        tunnel: ServedId,
        number: u32,
        (spki, sealed): (Box<[u8; SPKI_LEN]>, Box<[u8; OAEP_LEN]>),
    ) -> Result<(), DropReason> {
        let Some(rsa) = &self.rsa else {
            return Err(DropReason::UnexpectedCell);
        };
        if self.exchanges.len() >= cx.config.limits.jobs {
            return Err(DropReason::TableFull);
        }
        if !self.exchange_bucket.take(cx.mono()) {
            return Err(DropReason::RateLimited);
        }
        let key = rsa.private.clone();
        let blinding = cx.secret();
        let ticket = cx.job(
            Priority::Exchange,
            Job::Open {
                key,
                ciphertext: sealed.clone(),
                blinding,
            },
        );
        self.exchanges.insert(
            ticket,
            Exchange {
                tunnel,
                number,
                spki,
                sealed,
            },
        );
        if let Some(tunnel) = self.tunnels.get_mut(&tunnel) {
            tunnel.answered = Some((number, None));
        }
        Ok(())
    }

    /// The worker is done; `false` if the ticket is not ours.
    pub(crate) fn on_job(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        ticket: JobTicket,
        result: &JobResult,
    ) -> bool {
        if self.rsa_job == Some(ticket) {
            self.on_own_key(cx, result);
            return true;
        }
        let Some(exchange) = self.exchanges.remove(&ticket) else {
            return false;
        };
        match result {
            JobResult::Opened(seed) => {
                if let Err(reason) = self.finish_exchange(cx, links, exchange, seed) {
                    cx.drops.count(reason);
                }
            }
            JobResult::Refused | JobResult::Key(_) => {
                // The master's copy gets another chance.
                if let Some(tunnel) = self.tunnels.get_mut(&exchange.tunnel) {
                    tunnel.answered = None;
                }
            }
        }
        true
    }

    fn on_own_key(&mut self, cx: &mut Context, result: &JobResult) {
        self.rsa_job = None;
        if let JobResult::Key(pair) = result {
            cx.counters.rsa_keys += 1;
            self.rsa = Some(pair.clone());
        } else {
            // The worker's queue is full: asked again at once it would refuse again, for ever.
            cx.timers
                .set_earlier(Timer::Ports, cx.mono().plus_ms(JOB_AGAIN_MS));
        }
    }

    /// Orders the RSA key of this start, unless it is there or under way.
    pub(super) fn order_key(&mut self, cx: &mut Context) {
        if self.ports.is_some() && self.rsa.is_none() && self.rsa_job.is_none() {
            let seed = cx.secret();
            self.rsa_job = Some(cx.job(Priority::FirstTunnels, Job::Generate { seed }));
        }
    }

    fn finish_exchange(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        exchange: Exchange,
        seed_m: &[u8; 32],
    ) -> Result<(), DropReason> {
        let Exchange {
            tunnel: id,
            number,
            spki,
            sealed,
        } = exchange;
        let own = self
            .rsa
            .as_ref()
            .ok_or(DropReason::StaleJob)?
            .public
            .clone();
        let seed_e: [u8; 32] = cx.secret();
        let oaep_seed = cx.secret();
        let sealed_e = self
            .suite
            .seal(&spki, &seed_e, oaep_seed)
            .map_err(|_| DropReason::BadRsaKey)?;
        let tunnel = self.tunnels.get_mut(&id).ok_or(DropReason::StaleJob)?;
        let transcript = Transcript {
            element: tunnel.hop.element(),
            reply: tunnel.hop.reply(),
            endpoint_spki: &own,
            master_spki: &spki,
            oaep_m: &sealed,
            oaep_e: &sealed_e,
        };
        let (session, confirmation) =
            session_keys(tunnel.hop.shared(), &transcript, seed_m, &seed_e);
        tunnel.cipher.set_session(session);
        let answer = Cell::Exchanged {
            number,
            sealed: Box::new(sealed_e),
            confirmation,
        };
        tunnel.answered = Some((number, Some(Box::new(answer.clone()))));
        self.send_back(cx, links, id, &answer);
        Ok(())
    }
}
