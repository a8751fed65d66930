//! Requests of a master to its endpoint, one at a time, each with a number (protocol §7.2).

use deut_common::time::Mono;

use super::{
    OwnEvent, OwnTunnels, Stage,
    tunnel::{Active, Purpose, Request},
};
use crate::{
    context::Context,
    crypto::message::gate,
    drop_reason::DropReason,
    ids::{Gate, TunnelHandle},
    io::{DownReason, Event},
    links::Links,
    relayer::routes::Routes,
    timers::Timer,
    wire::cell::Cell,
};

/// Sends of one request.
const SENDS: u8 = 3;
/// Requests that wait in one tunnel; further ones are refused.
const QUEUE: usize = 8;
impl OwnTunnels {
    /// Queues a request and sends it when its turn comes.
    pub(super) fn request(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        handle: TunnelHandle,
        purpose: Purpose,
    ) {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return;
        };
        if tunnel.queue.len() < QUEUE {
            tunnel.queue.push_back(Request { purpose });
        }
        self.next_request(cx, links, handle);
    }

    fn next_request(&mut self, cx: &mut Context, links: &mut Links, handle: TunnelHandle) {
        let Some(tunnel) = self
            .tunnels
            .get_mut(&handle)
            .filter(|tunnel| tunnel.active.is_none())
        else {
            return;
        };
        let Some(request) = tunnel.queue.pop_front() else {
            return;
        };
        let number = tunnel.next_number;
        tunnel.next_number = tunnel.next_number.wrapping_add(1);
        let now = cx.mono();
        tunnel.active = Some(Active {
            number,
            request,
            sends: 0,
            next_at: now,
            since: now,
        });
        self.send_request(cx, links, handle);
    }

    /// Sends the active request (again).
    fn send_request(&mut self, cx: &mut Context, links: &mut Links, handle: TunnelHandle) {
        let (least, most) = cx.config.times.request_repeat_ms;
        let pause = least + cx.below(most.saturating_sub(least) + 1);
        let now = cx.mono();
        let Some(active) = self
            .tunnels
            .get_mut(&handle)
            .and_then(|tunnel| tunnel.active.as_mut())
        else {
            return;
        };
        active.sends += 1;
        active.next_at = now.plus_ms(pause);
        let again = active.sends > 1;
        let (number, purpose) = (active.number, active.request.purpose);
        if let Some(cell) = self.cell_for(handle, number, purpose)
            && let Err(reason) = self.send(cx, links, handle, &cell)
        {
            cx.drops.count(reason);
        }
        if let Some(tunnel) = self.get(handle).filter(|t| again && t.doubt.is_some()) {
            // What does not answer at once is replaced at once.
            cx.timers.set_earlier(Timer::Pool(tunnel.pool), now);
        }
        self.plan(cx, handle);
    }

    fn cell_for(&self, handle: TunnelHandle, number: u32, purpose: Purpose) -> Option<Cell> {
        let tunnel = self.tunnels.get(&handle)?;
        Some(match purpose {
            Purpose::Exchange => {
                let Stage::Exchanging(exchange) = &tunnel.stage else {
                    return None;
                };
                Cell::Exchange {
                    number,
                    spki: exchange.spki(),
                    sealed: exchange.oaep_m.clone(),
                }
            }
            Purpose::ReplyGate(gate) => Cell::SetGate {
                number,
                slot: 1,
                gate,
            },
            Purpose::PersonaGate => {
                let key = self.persona_key()?;
                Cell::SetGate {
                    number,
                    slot: 0,
                    gate: gate(&key.0, tunnel.answer.address),
                }
            }
            Purpose::Advertise => Cell::Advertise {
                number,
                contact: self.contact.clone(),
            },
            Purpose::Seeds => Cell::Seeds { number },
            Purpose::Describe(_, relay) => Cell::Describe { number, relay },
            Purpose::Echo(_) => Cell::Echo {
                number,
                data: u64::from(number).to_be_bytes(),
            },
            Purpose::Close => Cell::Close { number },
        })
    }

    /// The endpoint answered: the active request is done, the next one goes out.
    pub(super) fn on_answer(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
        cell: Cell,
    ) -> Result<Vec<OwnEvent>, DropReason> {
        let tunnel = self
            .tunnels
            .get_mut(&handle)
            .ok_or(DropReason::UnknownTunnel)?;
        let number = cell.number().ok_or(DropReason::UnexpectedCell)?;
        let Some(active) = tunnel.active.take_if(|active| active.number == number) else {
            // Repeated requests are answered as often.
            return Err(match number < tunnel.next_number {
                true => DropReason::LateAnswer,
                false => DropReason::UnexpectedCell,
            });
        };
        tunnel.suspect = false;
        tunnel.doubt = None;
        let events = self.finish(cx, links, routes, handle, &active, cell);
        self.next_request(cx, links, handle);
        self.plan(cx, handle);
        events
    }

    fn finish(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
        active: &Active,
        cell: Cell,
    ) -> Result<Vec<OwnEvent>, DropReason> {
        match (active.request.purpose, cell) {
            (
                Purpose::Exchange,
                Cell::Exchanged {
                    sealed,
                    confirmation,
                    ..
                },
            ) => {
                self.on_exchanged(cx, handle, sealed, confirmation)?;
            }
            (Purpose::ReplyGate(gate), Cell::GateSet { .. }) => {
                return Ok(self.on_reply_gate(cx, links, handle, gate));
            }
            (Purpose::PersonaGate, Cell::GateSet { .. }) => {
                if let Some(tunnel) = self.tunnels.get_mut(&handle) {
                    tunnel.persona_gate = true;
                }
                return Ok(vec![OwnEvent::Addresses]);
            }
            (Purpose::Seeds, Cell::SeedsAnswer { contacts, .. }) => {
                return Ok(self.on_seeds(cx, handle, contacts));
            }
            (Purpose::Describe(checked, _), Cell::Described { descriptor, .. }) => {
                return Ok(self.on_described(cx, links, routes, checked, descriptor.as_deref()));
            }
            (Purpose::Echo(asked), Cell::Echoed { .. }) => {
                if asked {
                    cx.event(Event::Echo {
                        handle,
                        round_trip: Some(cx.mono().since(active.since)),
                    });
                }
            }
            (Purpose::Advertise, Cell::Advertised { .. }) => {}
            (Purpose::Close, Cell::Closed { .. }) => {
                return Ok(self.down(cx, links, routes, handle, DownReason::Expired));
            }
            _ => return Err(DropReason::UnexpectedCell),
        }
        Ok(Vec::new())
    }

    fn on_reply_gate(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        handle: TunnelHandle,
        gate: Gate,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        tunnel.reply.gate = Some(gate);
        tunnel.reply.setting = None;
        if matches!(tunnel.stage, Stage::Confirmed(_)) {
            return self.up_now(cx, links, handle);
        }
        vec![OwnEvent::ReplyGate]
    }

    /// The active request is overdue: once more, or the tunnel counts as dead.
    pub(super) fn repeat_request(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        let Some(active) = tunnel.active.as_ref() else {
            return Vec::new();
        };
        if active.sends < SENDS {
            self.send_request(cx, links, handle);
            return Vec::new();
        }
        let patience = tunnel.since.plus_ms(cx.config.times.build_timeout_ms);
        if active.request.purpose == Purpose::Exchange && cx.mono() < patience {
            // RSA at a busy endpoint may take its time: only the build's own timeout ends it.
            if let Some(active) = tunnel.active.as_mut() {
                active.next_at = patience;
            }
            return Vec::new();
        }
        let purpose = active.request.purpose;
        tunnel.active = None;
        if purpose == Purpose::Echo(true) {
            cx.event(Event::Echo {
                handle,
                round_trip: None,
            });
        }
        let mut events = Vec::new();
        if let Purpose::Describe(checked, _) = purpose {
            events.extend(self.on_described(cx, links, routes, checked, None));
        }
        events.extend(self.silent(cx, links, routes, handle));
        self.next_request(cx, links, handle);
        events
    }

    /// A new random reply gate, before the tunnel serves (another) lookup.
    pub(crate) fn renew_reply(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        handle: TunnelHandle,
    ) {
        let x: [u8; 32] = cx.secret();
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return;
        };
        let fresh = gate(&x, tunnel.answer.address);
        tunnel.reply.setting = Some(fresh);
        tunnel.reply.group = None;
        self.request(cx, links, handle, Purpose::ReplyGate(fresh));
    }

    pub(super) fn set_persona_gate(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        handle: TunnelHandle,
    ) {
        if self.persona_secret.is_some() {
            self.request(cx, links, handle, Purpose::PersonaGate);
        }
    }

    pub(super) fn request_advertise(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        handle: TunnelHandle,
    ) {
        let waits = self
            .tunnels
            .get(&handle)
            .is_some_and(|t| t.queue.iter().any(|r| r.purpose == Purpose::Advertise));
        if !self.contact.is_empty() && !waits {
            self.request(cx, links, handle, Purpose::Advertise);
        }
    }

    /// Asks the endpoint to close; the answer is not waited for.
    pub(super) fn ask_close(&mut self, cx: &mut Context, links: &mut Links, handle: TunnelHandle) {
        if self
            .tunnels
            .get(&handle)
            .is_some_and(|tunnel| tunnel.cipher.has_session())
        {
            let number = u32::MAX;
            if self
                .send(cx, links, handle, &Cell::Close { number })
                .is_err()
            {
                cx.drops.count(DropReason::UnknownTunnel);
            }
        }
    }

    /// The deadline of this tunnel that comes first.
    pub(super) fn plan(&self, cx: &mut Context, handle: TunnelHandle) {
        let Some(tunnel) = self.tunnels.get(&handle) else {
            return;
        };
        let request = tunnel.active.as_ref().map(|active| active.next_at);
        let at: Option<Mono> = match &tunnel.stage {
            Stage::Checking(_) => Some(tunnel.since.plus_ms(cx.config.times.build_timeout_ms)),
            Stage::Waiting(_, until) => Some(*until),
            Stage::Exchanging(_) => Some(tunnel.since.plus_ms(cx.config.times.build_timeout_ms)),
            Stage::Confirmed(until) => Some(if tunnel.reply.setting.is_none() {
                *until
            } else {
                tunnel.planned_end
            }),
            Stage::Up => {
                let echo = tunnel.last_heard.plus_ms(cx.config.times.echo_after_ms);
                let life = if tunnel.retiring {
                    tunnel.planned_end
                } else {
                    tunnel.replace_at
                };
                if tunnel.active.is_some() {
                    // What is due after its life is asked for once, and its answer awaited like any other.
                    Some(life).filter(|_| !tunnel.retiring)
                } else {
                    Some(life.min(echo).min(tunnel.doubt.unwrap_or(echo)))
                }
            }
        };
        if let Some(at) = at.into_iter().chain(request).min() {
            cx.timers
                .set(Timer::Own(handle), at.max(cx.mono().plus_us(1)));
        }
    }
}
