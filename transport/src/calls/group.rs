//! One lookup or one application call: which tunnels it sends and is answered through (protocol §8).

use std::collections::{BTreeMap, BTreeSet};

use deut_common::time::Mono;

use crate::{
    context::Context,
    ids::{CallGroup, CallTicket, PoolId, TunnelHandle},
    master::{Master, Up},
};

/// Reply tunnels of one group. More would let an attacker link more of them.
const REPLIES: usize = 2;

/// The tunnel that a copy of a request leaves by, and the one that its answer comes through.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) send: TunnelHandle,
    pub(super) reply: TunnelHandle,
}

pub(super) struct Group {
    name: CallGroup,
    pool: PoolId,
    /// Those that are not over.
    pub(super) calls: BTreeSet<CallTicket>,
    /// Reply tunnels, with the time since which an answer is awaited over each.
    replies: Vec<(TunnelHandle, Option<Mono>)>,
    /// How often each tunnel carried a request of this group.
    sends: BTreeMap<TunnelHandle, u32>,
}

impl Group {
    pub(super) const fn new(name: CallGroup, pool: PoolId) -> Self {
        Self {
            name,
            pool,
            calls: BTreeSet::new(),
            replies: Vec::new(),
            sends: BTreeMap::new(),
        }
    }

    /// A send tunnel and a reply tunnel for a copy of a call whose earlier copies went over the pairs of `earlier`: another
    /// send tunnel than all of those, and another reply tunnel than the last one, where there are others.
    pub(super) fn choose(
        &mut self,
        cx: &mut Context,
        master: &mut Master,
        earlier: &[Pair],
    ) -> Option<Pair> {
        let last = earlier.last().map(|pair| pair.reply);
        let usable = master.usable(self.pool);
        self.fill_replies(cx, master, &usable);
        let margin = cx.config.times.reply_margin_ms;
        let now = cx.mono();
        let ready: Vec<TunnelHandle> = self
            .replies
            .iter()
            .map(|(handle, _)| *handle)
            .filter(|&handle| {
                master
                    .up(handle)
                    .is_some_and(|tunnel| tunnel.may_reply(now, margin))
            })
            .collect();
        let others: Vec<TunnelHandle> = ready
            .iter()
            .copied()
            .filter(|&handle| Some(handle) != last)
            .collect();
        let from = if others.is_empty() { ready } else { others };
        let reply = *from.get(cx.index(from.len()))?;
        let send = self.choose_send(cx, &usable, earlier)?;
        Some(Pair { send, reply })
    }

    /// The least used tunnel that is not a reply tunnel of this group and did not carry an earlier copy; with too few
    /// tunnels any, but rather the same one again than a reply tunnel.
    fn choose_send(
        &self,
        cx: &mut Context,
        usable: &[TunnelHandle],
        earlier: &[Pair],
    ) -> Option<TunnelHandle> {
        let is_reply =
            |handle: &TunnelHandle| self.replies.iter().any(|(reply, _)| reply == handle);
        let senders: Vec<TunnelHandle> = usable
            .iter()
            .copied()
            .filter(|handle| !is_reply(handle))
            .collect();
        let senders = if senders.is_empty() { usable } else { &senders };
        let carried = |handle: &TunnelHandle| earlier.iter().any(|pair| pair.send == *handle);
        let others: Vec<TunnelHandle> = senders
            .iter()
            .copied()
            .filter(|handle| !carried(handle))
            .collect();
        let from = if others.is_empty() { senders } else { &others };
        let used = |handle: &TunnelHandle| self.sends.get(handle).copied().unwrap_or(0);
        let least = from.iter().map(used).min()?;
        let best: Vec<TunnelHandle> = from
            .iter()
            .copied()
            .filter(|handle| used(handle) == least)
            .collect();
        best.get(cx.index(best.len())).copied()
    }

    /// Draws reply tunnels with different endpoints: unused ones first, then free ones, then such as serve others too.
    fn fill_replies(&mut self, cx: &mut Context, master: &mut Master, usable: &[TunnelHandle]) {
        let wanted = if usable.len() >= 3 { REPLIES } else { 1 };
        let margin = cx.config.times.reply_margin_ms + cx.config.times.call_full_ms;
        let now = cx.mono();
        let classes: [fn(&Up) -> bool; 3] = [
            |up| up.reply().group().is_none() && !up.reply().is_used(),
            |up| up.reply().group().is_none() && up.reply().is_used(),
            |up| up.reply().group().is_some(),
        ];
        // Two that end at one endpoint would hand it the link between them: only where there is no other choice.
        let elsewhere = [true, false];
        let order = elsewhere
            .iter()
            .flat_map(|&elsewhere| classes.map(|class| (elsewhere, class)));
        for (elsewhere, class) in order {
            while self.replies.len() < wanted {
                let ends: Vec<_> = self
                    .replies
                    .iter()
                    .filter_map(|(reply, _)| master.up(*reply))
                    .map(Up::endpoint)
                    .collect();
                let fits = |handle: &TunnelHandle| {
                    let fresh = !self.replies.iter().any(|(reply, _)| reply == handle);
                    let far = |tunnel: &Up| !elsewhere || !ends.contains(&tunnel.endpoint());
                    fresh
                        && master
                            .up(*handle)
                            .is_some_and(|t| t.may_reply(now, margin) && class(t) && far(t))
                };
                let fitting: Vec<TunnelHandle> = usable.iter().copied().filter(fits).collect();
                let Some(&drawn) = fitting.get(cx.index(fitting.len())) else {
                    break;
                };
                self.replies.push((drawn, None));
                master.serve(drawn, self.name);
            }
        }
    }

    /// A copy went out.
    pub(super) fn sent(&mut self, cx: &Context, tunnels: Pair) {
        *self.sends.entry(tunnels.send).or_default() += 1;
        if let Some((_, since)) = self
            .replies
            .iter_mut()
            .find(|(handle, _)| *handle == tunnels.reply)
        {
            since.get_or_insert(cx.mono());
        }
    }

    /// A reply tunnel brought an answer.
    pub(super) fn heard(&mut self, via: TunnelHandle) {
        if let Some((_, since)) = self.replies.iter_mut().find(|(handle, _)| *handle == via) {
            *since = None;
        }
    }

    /// Takes out the reply tunnels that brought nothing for too long.
    pub(super) fn drop_silent(&mut self, cx: &Context) -> Vec<TunnelHandle> {
        let limit = cx.config.times.reply_silence_ms;
        let silent =
            |since: &Option<Mono>| since.is_some_and(|since| cx.mono() >= since.plus_ms(limit));
        let gone = self
            .replies
            .iter()
            .filter(|(_, since)| silent(since))
            .map(|(handle, _)| *handle)
            .collect();
        self.replies.retain(|(_, since)| !silent(since));
        gone
    }

    /// When the next reply tunnel has been silent for too long.
    pub(super) fn next_silence(&self, cx: &Context) -> Option<Mono> {
        let earliest = self.replies.iter().filter_map(|(_, since)| *since).min()?;
        Some(earliest.plus_ms(cx.config.times.reply_silence_ms))
    }

    pub(super) fn forget(&mut self, handle: TunnelHandle) {
        self.replies.retain(|(reply, _)| *reply != handle);
        self.sends.remove(&handle);
    }
}
