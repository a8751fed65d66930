//! Whether a tunnel is alive: echoes, and what happens to one that is silent.

use super::{OwnEvent, OwnTunnels, tunnel::Purpose};
use crate::{
    context::Context, ids::TunnelHandle, io::DownReason, links::Links, relayer::routes::Routes,
    timers::Timer,
};

impl OwnTunnels {
    /// A tunnel does not answer. The last two of a pool stay, as suspects, until others stand.
    pub(super) fn silent(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        let pool = tunnel.pool;
        if tunnel.was_up {
            tunnel.suspect = true;
            tunnel.doubt = None;
            cx.timers.set_earlier(Timer::Pool(pool), cx.mono());
            if self.up(pool) <= 2 {
                return Vec::new();
            }
        }
        self.down(cx, links, routes, handle, DownReason::Silent)
    }

    /// An echo through every own tunnel.
    pub(crate) fn echo_all(&mut self, cx: &mut Context, links: &mut Links) {
        let all: Vec<TunnelHandle> = self
            .iter()
            .filter(|(_, tunnel)| tunnel.is_up())
            .map(|(handle, _)| handle)
            .collect();
        for handle in all {
            self.request(cx, links, handle, Purpose::Echo(true));
        }
    }

    /// A message over this tunnel stayed unanswered: is it alive?
    pub(crate) fn doubt(&mut self, cx: &mut Context, links: &mut Links, handle: TunnelHandle) {
        let Some(tunnel) = self.tunnels.get(&handle) else {
            return;
        };
        let fresh = cx.mono() < tunnel.last_heard.plus_ms(500);
        if tunnel.is_up() && tunnel.active.is_none() && !fresh {
            self.request(cx, links, handle, Purpose::Echo(false));
        }
    }
}
