//! Tunnels that were built when we knew hardly anybody: they go, and often end, where everybody's first tunnels do.

use super::OwnTunnels;
use crate::{
    context::Context,
    ids::{PoolId, TunnelHandle},
};

/// Whoever knows so many relays or more chooses well enough.
const FEW: usize = 8;
/// The directory has outgrown a tunnel when it has so many times as many relays as it had then.
const GROWTH: usize = 4;
/// Replacements are spread over so long, ms.
const SPREAD_MS: u64 = 20_000;

impl OwnTunnels {
    /// Plans an early replacement, once, of each tunnel that the directory has outgrown. It keeps receiving until its
    /// planned end. The next one was built among more, so whoever floods the directory brings about no further one.
    pub(super) fn replace_outgrown(&mut self, cx: &mut Context, pool: PoolId, relays: usize) {
        let outgrown: Vec<TunnelHandle> = self
            .iter()
            .filter(|(_, tunnel)| {
                tunnel.pool == pool
                    && tunnel.is_up()
                    && !tunnel.retiring
                    && tunnel.among < FEW
                    && relays >= GROWTH * tunnel.among.max(1)
            })
            .map(|(handle, _)| handle)
            .collect();
        for handle in outgrown {
            let at = cx.mono().plus_ms(cx.below(SPREAD_MS));
            if let Some(tunnel) = self.get_mut(handle) {
                tunnel.among = relays;
                tunnel.replace_at = tunnel.replace_at.min(at);
            }
            self.plan(cx, handle);
        }
    }
}
