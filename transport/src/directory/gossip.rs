//! Telling neighbours about relays: uniform samples and news, never "closest" (DESIGN §7).

use std::{collections::VecDeque, sync::Arc};

use deut_common::{buckets::Bucket, ids::RelayId, time::Mono};

use super::Directory;
use crate::{
    context::Context,
    drop_reason::DropReason,
    ids::LinkHandle,
    links::Links,
    timers::Timer,
    wire::{descriptor::Descriptor, frame},
};

/// Descriptors in one frame.
const PER_FRAME: usize = 6;
/// A node that knows fewer relays asks for more.
const ENOUGH: usize = 64;
/// And stops after so many questions on one link, or so many frames in a row that brought nothing new.
const ASK_IN_ALL: u8 = 64;
const FRUITLESS: u8 = 3;
const ASK_EVERY_MS: u64 = 100;
/// News leave at most this often per neighbour.
const NEWS_EVERY_MS: u64 = 1_000;
/// News that wait for one neighbour (the oldest is forgotten: samples carry it later).
const NEWS: usize = 64;
/// A relay that was verified for the first time is told to so many neighbours. Each of them verifies it and tells as many:
/// all but one in 400 hear of it that way, the others from samples. Telling every neighbour would cost a network of n relays
/// n² × neighbours frames.
const TELL: usize = 6;

/// What was said on one link.
pub(crate) struct GossipState {
    news: VecDeque<RelayId>,
    next_frame: Mono,
    last_frame: Option<Mono>,
    next_question: Option<Mono>,
    questions: u8,
    fruitless: u8,
    answers: Bucket,
    /// Questions that this neighbour's descriptors may cause.
    considered: Bucket,
}

impl GossipState {
    fn due(&self) -> Mono {
        let news = self
            .last_frame
            .filter(|_| !self.news.is_empty())
            .map(|at| at.plus_ms(NEWS_EVERY_MS));
        news.into_iter()
            .chain(self.next_question)
            .fold(self.next_frame, Mono::min)
    }
}

impl Directory {
    /// A link stands: each side sends one frame at once.
    pub(crate) fn link_up(&mut self, cx: &mut Context, links: &mut Links, link: LinkHandle) {
        let state = GossipState {
            news: VecDeque::new(),
            next_frame: cx.mono(),
            last_frame: None,
            next_question: None,
            questions: 0,
            fruitless: 0,
            answers: Bucket::new((10, 64), cx.mono()),
            considered: Bucket::new((1, 64), cx.mono()),
        };
        self.gossip.insert(link, state);
        self.on_gossip_timer(cx, links, link);
    }

    /// A link is gone.
    pub(crate) fn link_down(&mut self, link: LinkHandle) {
        self.gossip.remove(&link);
    }

    /// A relay was verified for the first time: tell some neighbours, but not itself.
    pub(crate) fn spread(&mut self, cx: &mut Context, links: &Links, relay: RelayId) {
        let neighbours: Vec<LinkHandle> = self.gossip.keys().copied().collect();
        for link in cx.sample(neighbours, TELL) {
            let Some(state) = self.gossip.get_mut(&link) else {
                continue;
            };
            if links.get(link).is_none_or(|link| link.relay == Some(relay)) {
                continue;
            }
            state.news.push_back(relay);
            if state.news.len() > NEWS {
                state.news.pop_front();
            }
            cx.timers.set_earlier(Timer::Gossip(link), state.due());
        }
    }

    /// Six descriptors at most: news first, then a uniform sample; never the neighbour's own.
    fn frame_for(
        &mut self,
        cx: &mut Context,
        link: LinkHandle,
        neighbour: Option<RelayId>,
    ) -> Vec<[u8; 196]> {
        let mut news = Vec::new();
        if let Some(state) = self.gossip.get_mut(&link) {
            let count = state.news.len().min(PER_FRAME);
            news.extend(state.news.drain(..count));
        }
        let news = news
            .into_iter()
            .filter_map(|relay| self.get(relay).cloned())
            .collect::<Vec<_>>();
        let sample = self.sample(cx, PER_FRAME + 1);
        let mut chosen: Vec<Arc<Descriptor>> = Vec::with_capacity(PER_FRAME);
        for descriptor in news.into_iter().chain(sample) {
            let id = descriptor.id();
            if chosen.len() < PER_FRAME
                && Some(id) != neighbour
                && !chosen.iter().any(|other| other.id() == id)
            {
                chosen.push(descriptor);
            }
        }
        chosen
            .iter()
            .map(|descriptor| *descriptor.bytes())
            .collect()
    }

    fn send_frame(&mut self, cx: &mut Context, links: &mut Links, link: LinkHandle) {
        let neighbour = links.get(link).and_then(|link| link.relay);
        let descriptors = self.frame_for(cx, link, neighbour);
        let next = cx.around(cx.config.times.gossip_ms, 20);
        if let Some(state) = self.gossip.get_mut(&link) {
            state.last_frame = Some(cx.mono());
            state.next_frame = cx.mono().plus_ms(next);
        }
        if descriptors.is_empty() {
            // Nothing to tell, but the other side must hear the session's first datagram.
            links.send(cx, link, &frame::encode_keep_alive());
        } else {
            links.send(cx, link, &frame::encode_gossip(&descriptors));
        }
    }

    /// A neighbour sent descriptors.
    pub(crate) fn on_gossip(
        &mut self,
        cx: &mut Context,
        link: LinkHandle,
        descriptors: &[[u8; 196]],
    ) {
        let before = self.questions.len();
        for bytes in descriptors {
            if self.is_known(bytes) {
                continue;
            }
            if Descriptor::decode(bytes).is_ok_and(|unknown| self.has_no_room(cx, unknown.id())) {
                // Does not count against what this neighbour may tell of known ones.
                cx.drops.count(DropReason::TableFull);
                continue;
            }
            let allowed = self
                .gossip
                .get_mut(&link)
                .is_some_and(|state| state.considered.take(cx.mono()));
            let considered = if allowed {
                self.consider(cx, bytes)
            } else {
                Err(DropReason::RateLimited)
            };
            if let Err(reason) = considered {
                cx.drops.count(reason);
            }
        }
        let fruitful = self.questions.len() > before;
        let wants_more = self.len() < ENOUGH && !self.is_full(cx);
        let Some(state) = self.gossip.get_mut(&link) else {
            return;
        };
        state.fruitless = if fruitful {
            0
        } else {
            state.fruitless.saturating_add(1)
        };
        if wants_more && state.questions < ASK_IN_ALL && state.fruitless < FRUITLESS {
            state
                .next_question
                .get_or_insert(cx.mono().plus_ms(ASK_EVERY_MS));
            cx.timers.set_earlier(Timer::Gossip(link), state.due());
        }
    }

    /// A neighbour knows few relays.
    pub(crate) fn on_gossip_request(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        link: LinkHandle,
    ) {
        if self
            .gossip
            .get_mut(&link)
            .is_some_and(|state| state.answers.take(cx.mono()))
        {
            self.send_frame(cx, links, link);
        }
    }

    /// Something is due on this link.
    pub(crate) fn on_gossip_timer(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        link: LinkHandle,
    ) {
        let now = cx.mono();
        let Some(state) = self.gossip.get_mut(&link) else {
            return;
        };
        if state.next_question.is_some_and(|at| at <= now) {
            state.next_question = None;
            state.questions += 1;
            links.send(cx, link, &frame::encode_gossip_request());
        }
        let Some(state) = self.gossip.get(&link) else {
            return;
        };
        let news = !state.news.is_empty()
            && state
                .last_frame
                .is_none_or(|at| at.plus_ms(NEWS_EVERY_MS) <= now);
        if news || state.next_frame <= now {
            self.send_frame(cx, links, link);
        }
        if let Some(state) = self.gossip.get(&link) {
            cx.timers
                .set(Timer::Gossip(link), state.due().max(now.plus_ms(1)));
        }
    }
}
