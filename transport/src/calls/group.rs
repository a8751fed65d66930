//! One lookup or one application call, and the tunnels that it sends and is answered through (protocol §8).

use std::collections::{BTreeMap, BTreeSet};

use deut_common::time::Mono;

use crate::{
    context::Context,
    ids::{CallGroup, CallTicket, PoolId, TunnelHandle},
    master::{Master, Up},
};

/// Reply tunnels per group. More would let an attacker link more tunnels to each other.
const REPLIES: usize = 2;

/// The tunnel that a copy of a request leaves by, and the one that its answer comes through.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) send: TunnelHandle,
    pub(super) reply: TunnelHandle,
}

struct ReplyTunnel {
    tunnel: TunnelHandle,
    /// The time since which an answer has been awaited over it.
    awaited_since: Option<Mono>,
}

/// The calls that share reply tunnels.
pub(super) struct Group {
    name: CallGroup,
    pool: PoolId,
    pub(super) calls: BTreeSet<CallTicket>,
    replies: Vec<ReplyTunnel>,
    /// Number of requests of this group that each tunnel carried.
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
        let may_reply = |handle: &TunnelHandle| {
            let up = master.up(*handle);
            up.is_some_and(|up| up.may_reply(now, margin))
        };
        let ready = self.replies.iter().map(|reply| reply.tunnel);
        let ready = ready.filter(may_reply).collect();
        let from = prefer(ready, |handle| Some(*handle) != last);
        let reply = *from.get(cx.index(from.len()))?;
        let send = self.choose_send(cx, &usable, earlier)?;
        Some(Pair { send, reply })
    }

    /// The least used tunnel that is not a reply tunnel of this group and carried no earlier copy. If there are too few tunnels,
    /// one that carried an earlier copy, and a reply tunnel only as the last resort.
    fn choose_send(
        &self,
        cx: &mut Context,
        usable: &[TunnelHandle],
        earlier: &[Pair],
    ) -> Option<TunnelHandle> {
        let used = |handle: &TunnelHandle| self.sends.get(handle).copied().unwrap_or(0);
        let senders = prefer(usable.to_vec(), |handle| !self.replies_through(*handle));
        let from = prefer(senders, |handle| {
            earlier.iter().all(|pair| pair.send != *handle)
        });
        let least = from.iter().map(used).min()?;
        let best: Vec<TunnelHandle> = from
            .into_iter()
            .filter(|handle| used(handle) == least)
            .collect();
        best.get(cx.index(best.len())).copied()
    }

    /// Draws reply tunnels with different endpoints: unused ones first, then free ones, then those that serve other groups too.
    fn fill_replies(&mut self, cx: &mut Context, master: &mut Master, usable: &[TunnelHandle]) {
        let wanted = if usable.len() >= 3 { REPLIES } else { 1 };
        let margin = cx.config.times.reply_margin_ms + cx.config.times.call_full_ms;
        let now = cx.mono();
        let classes: [fn(&Up) -> bool; 3] = [
            |up| up.reply().group().is_none() && !up.reply().is_used(),
            |up| up.reply().group().is_none() && up.reply().is_used(),
            |up| up.reply().group().is_some(),
        ];
        // Two reply tunnels that end at one endpoint tell it that they belong together: only where there is no other choice.
        let elsewhere = [true, false];
        let order = elsewhere
            .iter()
            .flat_map(|&elsewhere| classes.map(|class| (elsewhere, class)));
        for (elsewhere, class) in order {
            while self.replies.len() < wanted {
                let replies = self.replies.iter();
                let ends: Vec<_> = replies
                    .filter_map(|reply| master.up(reply.tunnel).map(Up::endpoint))
                    .collect();
                let far = |up: &Up| !elsewhere || !ends.contains(&up.endpoint());
                let fits = |up: &Up| up.may_reply(now, margin) && class(up) && far(up);
                let fitting: Vec<TunnelHandle> = usable
                    .iter()
                    .copied()
                    .filter(|&handle| !self.replies_through(handle))
                    .filter(|&handle| master.up(handle).is_some_and(fits))
                    .collect();
                let Some(&drawn) = fitting.get(cx.index(fitting.len())) else {
                    break;
                };
                self.replies.push(ReplyTunnel {
                    tunnel: drawn,
                    awaited_since: None,
                });
                master.serve(drawn, self.name);
            }
        }
    }

    fn replies_through(&self, handle: TunnelHandle) -> bool {
        self.replies.iter().any(|reply| reply.tunnel == handle)
    }

    fn reply_mut(&mut self, handle: TunnelHandle) -> Option<&mut ReplyTunnel> {
        let mut replies = self.replies.iter_mut();
        replies.find(|reply| reply.tunnel == handle)
    }

    /// A copy went out.
    pub(super) fn sent(&mut self, cx: &Context, tunnels: Pair) {
        *self.sends.entry(tunnels.send).or_default() += 1;
        if let Some(reply) = self.reply_mut(tunnels.reply) {
            reply.awaited_since.get_or_insert(cx.mono());
        }
    }

    /// A reply tunnel brought an answer.
    pub(super) fn heard(&mut self, via: TunnelHandle) {
        if let Some(reply) = self.reply_mut(via) {
            reply.awaited_since = None;
        }
    }

    /// Takes out the reply tunnels that brought nothing for too long.
    pub(super) fn drop_silent(&mut self, cx: &Context) -> Vec<TunnelHandle> {
        let limit = cx.config.times.reply_silence_ms;
        let silent = |reply: &mut ReplyTunnel| {
            let since = reply.awaited_since;
            since.is_some_and(|since| cx.mono() >= since.plus_ms(limit))
        };
        let gone = self.replies.extract_if(.., silent);
        gone.map(|reply| reply.tunnel).collect()
    }

    /// The time at which the next reply tunnel will have been silent for too long.
    pub(super) fn next_silence(&self, cx: &Context) -> Option<Mono> {
        let waits = self.replies.iter().filter_map(|reply| reply.awaited_since);
        Some(waits.min()?.plus_ms(cx.config.times.reply_silence_ms))
    }

    pub(super) fn forget(&mut self, handle: TunnelHandle) {
        self.replies.retain(|reply| reply.tunnel != handle);
        self.sends.remove(&handle);
    }
}

/// The tunnels that meet the preference, or all of them if none does.
pub(super) fn prefer(
    from: Vec<TunnelHandle>,
    better: impl Fn(&TunnelHandle) -> bool,
) -> Vec<TunnelHandle> {
    let preferred: Vec<_> = from.iter().copied().filter(better).collect();
    if preferred.is_empty() {
        from
    } else {
        preferred
    }
}
