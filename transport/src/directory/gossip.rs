//! Telling neighbours about relays: uniform samples and news (ADR 0014), never a choice by closeness.

use std::collections::{BTreeMap, VecDeque};

use deut_common::{buckets::Bucket, ids::RelayId, time::Mono};

use super::relays::Relays;
use crate::{
    context::Context,
    ids::LinkHandle,
    links::{Link, Links},
    timers::Timer,
    wire::frame,
};

/// Number of descriptors in one frame.
const PER_FRAME: usize = 6;
/// A node that knows fewer relays than this asks for more.
const ENOUGH: usize = 64;
/// It stops after `ASK_IN_ALL` questions on one link, or after `FRUITLESS` frames in a row that brought nothing new.
const ASK_IN_ALL: u8 = 64;
const FRUITLESS: u8 = 3;
const ASK_EVERY_MS: u64 = 100;
/// News go to one neighbour at most this often.
const NEWS_EVERY_MS: u64 = 1_000;
/// News that wait for one neighbour. The oldest is dropped; a later sample carries it.
const NEWS: usize = 64;
/// A relay that was verified for the first time is told to this many neighbours. Each of them verifies it and tells as many: all
/// but one node in 400 hear of it that way, the others from samples. Telling every neighbour would cost a network of n relays n² ×
/// neighbours frames.
const TELL: usize = 6;

/// The state of gossip on one link.
pub(super) struct Neighbour {
    link: LinkHandle,
    news: VecDeque<RelayId>,
    next_frame: Mono,
    last_frame: Option<Mono>,
    next_question: Option<Mono>,
    questions: u8,
    fruitless: u8,
    answers: Bucket,
    /// Budget for the questions that this neighbour's descriptors may cause.
    considered: Bucket,
}

impl Neighbour {
    const fn new(link: LinkHandle, now: Mono) -> Self {
        Self {
            link,
            news: VecDeque::new(),
            next_frame: now,
            last_frame: None,
            next_question: None,
            questions: 0,
            fruitless: 0,
            answers: Bucket::new((10, 64), now),
            considered: Bucket::new((1, 64), now),
        }
    }

    fn due(&self) -> Mono {
        let news = self
            .last_frame
            .filter(|_| !self.news.is_empty())
            .map(|at| at.plus_ms(NEWS_EVERY_MS));
        news.into_iter()
            .chain(self.next_question)
            .fold(self.next_frame, Mono::min)
    }

    fn tell(&mut self, cx: &mut Context, news: RelayId) {
        self.news.push_back(news);
        if self.news.len() > NEWS {
            self.news.pop_front();
        }
        cx.timers.set_earlier(Timer::Gossip(self.link), self.due());
    }

    /// Returns true if one more of its descriptors may be looked at; takes it from the budget.
    pub(super) fn may_tell(&mut self, now: Mono) -> bool {
        self.considered.take(now)
    }

    /// The neighbour's descriptors were looked at. It is asked for more if few relays are known, unless that is of no use.
    pub(super) fn heard(&mut self, cx: &mut Context, relays: &Relays, fruitful: bool) {
        self.fruitless = if fruitful {
            0
        } else {
            self.fruitless.saturating_add(1)
        };
        let wants_more = relays.len() < ENOUGH && !relays.is_full(cx);
        if wants_more && self.questions < ASK_IN_ALL && self.fruitless < FRUITLESS {
            let at = cx.mono().plus_ms(ASK_EVERY_MS);
            self.next_question.get_or_insert(at);
            cx.timers.set_earlier(Timer::Gossip(self.link), self.due());
        }
    }

    /// Picks at most six descriptors: news first, then a uniform sample, but never the neighbour's own.
    fn choose(
        &mut self,
        cx: &mut Context,
        relays: &Relays,
        neighbour: Option<RelayId>,
    ) -> Vec<[u8; 196]> {
        let count = self.news.len().min(PER_FRAME);
        let news = self.news.drain(..count);
        let mut offered: Vec<_> = news.filter_map(|id| relays.get(id).cloned()).collect();
        offered.extend(relays.sample(cx, PER_FRAME + 1));
        let mut chosen = Vec::with_capacity(PER_FRAME);
        for relay in offered {
            if chosen.len() < PER_FRAME
                && Some(relay.id()) != neighbour
                && !chosen.contains(relay.bytes())
            {
                chosen.push(*relay.bytes());
            }
        }
        chosen
    }

    fn send_frame(&mut self, cx: &mut Context, links: &mut Links, relays: &Relays) {
        let neighbour = links.get(self.link).and_then(|link| link.relay);
        let descriptors = self.choose(cx, relays, neighbour);
        let next = cx.around(cx.config.times.gossip_ms, 20);
        self.last_frame = Some(cx.mono());
        self.next_frame = cx.mono().plus_ms(next);
        let frame = if descriptors.is_empty() {
            // There is nothing to tell, but the other side must receive the session's first datagram.
            frame::encode_keep_alive()
        } else {
            frame::encode_gossip(&descriptors)
        };
        links.send(cx, self.link, &frame);
    }

    /// The neighbour knows few relays and asks for more.
    pub(super) fn on_request(&mut self, cx: &mut Context, links: &mut Links, relays: &Relays) {
        if self.answers.take(cx.mono()) {
            self.send_frame(cx, links, relays);
        }
    }

    pub(super) fn on_timer(&mut self, cx: &mut Context, links: &mut Links, relays: &Relays) {
        let now = cx.mono();
        if self.next_question.take_if(|at| *at <= now).is_some() {
            self.questions += 1;
            links.send(cx, self.link, &frame::encode_gossip_request());
        }
        let long_ago = |at: Mono| at.plus_ms(NEWS_EVERY_MS) <= now;
        let news = !self.news.is_empty() && self.last_frame.is_none_or(long_ago);
        if news || self.next_frame <= now {
            self.send_frame(cx, links, relays);
        }
        cx.timers
            .set(Timer::Gossip(self.link), self.due().max(now.plus_ms(1)));
    }
}

/// The state of gossip on all links.
#[derive(Default)]
pub(super) struct Gossip {
    by_link: BTreeMap<LinkHandle, Neighbour>,
}

impl Gossip {
    pub(super) fn len(&self) -> usize {
        self.by_link.len()
    }

    pub(super) fn link_up(&mut self, link: LinkHandle, now: Mono) {
        self.by_link.insert(link, Neighbour::new(link, now));
    }

    pub(super) fn link_down(&mut self, link: LinkHandle) {
        self.by_link.remove(&link);
    }

    pub(super) fn get_mut(&mut self, link: LinkHandle) -> Option<&mut Neighbour> {
        self.by_link.get_mut(&link)
    }

    /// A relay was verified for the first time: some neighbours hear of it, but not the relay itself.
    pub(super) fn spread(&mut self, cx: &mut Context, links: &Links, relay: RelayId) {
        let neighbours: Vec<LinkHandle> = self.by_link.keys().copied().collect();
        for link in cx.sample(neighbours, TELL) {
            let is_another = |link: &Link| link.relay != Some(relay);
            if links.get(link).is_some_and(is_another)
                && let Some(neighbour) = self.by_link.get_mut(&link)
            {
                neighbour.tell(cx, relay);
            }
        }
    }
}
