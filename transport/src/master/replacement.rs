//! Tunnels that are replaced before their time.

use super::{barren, table::Tunnels};
use crate::{
    context::Context,
    ids::{PoolId, TunnelHandle},
};

/// Early replacements are spread over this time, ms.
const SPREAD_MS: u64 = 20_000;
/// At most this many tunnels of one pool are replaced in this way at the same time.
const MOVING: usize = 2;

/// Plans an early replacement, once, for each tunnel that the directory has outgrown. The tunnel keeps receiving until its planned
/// end.
pub(super) fn replace_outgrown(
    cx: &mut Context,
    tunnels: &mut Tunnels,
    pool: PoolId,
    relays: usize,
) {
    let outgrown = tunnels
        .ups_mut()
        .filter(|up| up.pool() == pool && up.life().is_outgrown(relays));
    for up in outgrown {
        let at = cx.mono().plus_ms(cx.below(SPREAD_MS));
        up.replace_early(cx, at, relays);
    }
}

/// The suspects that a pool kept although two good tunnels are up by now.
pub(super) fn surplus_suspects(tunnels: &Tunnels, pool: PoolId) -> Vec<TunnelHandle> {
    let (suspects, good): (Vec<_>, Vec<_>) =
        tunnels.of(pool).partition(|up| up.liveness().is_suspect());
    if good.len() < 2 {
        return Vec::new();
    }
    suspects.iter().map(|up| up.handle()).collect()
}

/// The tunnel of a pool to replace by one that may end elsewhere, and the time for which it stays, ms. It is one whose endpoint
/// another tunnel shares, or else the oldest.
pub(super) fn to_move(
    cx: &Context,
    tunnels: &Tunnels,
    pool: PoolId,
) -> Option<(TunnelHandle, u64)> {
    let retires =
        |handle: TunnelHandle| tunnels.up(handle).is_none_or(|up| up.life().is_retiring());
    let giving_way = tunnels
        .of(pool)
        .filter(|up| up.life().is_retiring())
        .count();
    let mut staying = tunnels.usable(pool);
    staying.retain(|&handle| !retires(handle));
    // One tunnel stays where it is, so that others can reach us there meanwhile.
    if giving_way >= MOVING || staying.len() < 2 {
        return None;
    }
    let handle = tunnels.sharing(&staying).or(staying.first().copied())?;
    // A node that knows few nodes is known to few, and the other tunnels stay: the next move must not have to wait for long. If all
    // tunnels end at one relay that brought nobody, it must not wait at all, since the next walk may end there again.
    let stays_ms = match tunnels.endpoints(pool).len() {
        0 | 1 => barren::STAYS_MS,
        _ => cx.config.times.overlap_ms / 3,
    };
    Some((handle, stays_ms))
}
