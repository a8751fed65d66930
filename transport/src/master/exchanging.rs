//! A tunnel between the walk's answer and the exchange of session keys (protocol §6.3, §7.3).

use deut_common::time::Mono;

use super::{
    confirmed::Confirmed,
    line::Line,
    offer::{Counter, Offer},
};
use crate::{
    context::Context,
    crypto::{answer::EndpointAnswer, walk::DirectionKeys},
    drop_reason::DropReason,
    ids::JobTicket,
    net::Net,
    timers::Timer,
    wire::{cell::Cell, descriptor::Descriptor},
};

enum Step {
    /// Another endpoint is asked for the descriptor of this one.
    Checking,
    /// A random wait before the first cell.
    Waiting(Mono),
    /// Our half was sent.
    Asking,
    /// The worker is opening the endpoint's half.
    Opening(JobTicket, Counter),
}

pub(super) struct Exchanging {
    pub(super) line: Line,
    endpoint: EndpointAnswer,
    offer: Offer,
    step: Step,
}

impl Exchanging {
    /// A tunnel whose endpoint is still to be checked.
    pub(super) const fn new(line: Line, endpoint: EndpointAnswer, offer: Offer) -> Self {
        Self {
            line,
            endpoint,
            offer,
            step: Step::Checking,
        }
    }

    /// Another endpoint is asked, and its answer must come in time.
    pub(super) fn await_check(&self, cx: &mut Context) {
        let deadline = cx.mono().plus_ms(cx.config.times.build_timeout_ms);
        cx.timers.set(Timer::Tunnel(self.line.handle()), deadline);
    }

    /// Another endpoint answered with the descriptor it knows of this one.
    pub(super) fn described(
        &mut self,
        cx: &mut Context,
        descriptor: Option<&[u8; Descriptor::LEN]>,
    ) -> Result<(), DropReason> {
        if !matches!(self.step, Step::Checking) {
            return Ok(());
        }
        let told = descriptor.and_then(|bytes| Descriptor::decode(bytes).ok());
        if !told.is_some_and(|told| same_relay(&told, &self.endpoint.descriptor)) {
            return Err(DropReason::BadEndpointAnswer);
        }
        self.line.set_known();
        self.wait(cx);
        Ok(())
    }

    /// The endpoint passed the check. Our first cell goes out after a random wait.
    pub(super) fn wait(&mut self, cx: &mut Context) {
        let until = reaction(cx);
        self.step = Step::Waiting(until);
        cx.timers.set(Timer::Tunnel(self.line.handle()), until);
    }

    /// Sends our half once the wait is over.
    pub(super) fn on_timer(&mut self, net: &mut Net) {
        if matches!(self.step, Step::Waiting(until) if until <= net.cx.mono()) {
            self.step = Step::Asking;
            self.line.request(net, self.offer.request());
        }
    }

    /// The endpoint's half came: its sealed secret goes to the worker.
    pub(super) fn exchanged(&mut self, cx: &mut Context, half: Cell) -> Result<(), DropReason> {
        let (
            Step::Asking,
            Cell::Exchanged {
                sealed,
                confirmation,
                ..
            },
        ) = (&self.step, half)
        else {
            return Err(DropReason::UnexpectedCell);
        };
        let counter = Counter {
            sealed,
            confirmation,
        };
        let ticket = self.offer.open(cx, &counter);
        self.step = Step::Opening(ticket, counter);
        Ok(())
    }

    pub(super) fn awaits(&self, job: JobTicket) -> bool {
        matches!(self.step, Step::Opening(ticket, _) if ticket == job)
    }

    /// Both secrets are known: derives the session keys and checks that the endpoint has the same.
    pub(super) fn session(&self, seed_e: &[u8; 32]) -> Result<DirectionKeys, DropReason> {
        let Step::Opening(_, counter) = &self.step else {
            return Err(DropReason::StaleJob);
        };
        self.offer.session(&self.endpoint, counter, seed_e)
    }

    /// The exchange is over, and the RSA key is dropped. The first gate is set after `until`.
    pub(super) fn confirm(mut self, session: DirectionKeys, until: Mono) -> Confirmed {
        self.line.set_session(session);
        Confirmed::new(self.line, until)
    }

    pub(super) fn deadline(&self, cx: &Context) -> Mono {
        match self.step {
            Step::Waiting(until) => until,
            Step::Checking | Step::Asking | Step::Opening(..) => self.line.life.build_timeout(cx),
        }
    }
}

/// The end of a random wait before a master acts, so that nobody learns from the delay how far away it is.
pub(super) fn reaction(cx: &mut Context) -> Mono {
    let wait = cx.below(cx.config.times.reaction_ms * 1_000 + 1);
    cx.mono().plus_us(wait)
}

/// Returns true if both descriptors are of the same relay at the same place, whenever they were issued.
pub(super) fn same_relay(one: &Descriptor, other: &Descriptor) -> bool {
    one.identity == other.identity
        && one.address == other.address
        && one.endpoint_ports == other.endpoint_ports
}
