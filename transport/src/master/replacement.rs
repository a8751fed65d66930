//! Tunnels that are replaced before their time.

use super::{barren, table::Tunnels};
use crate::{
    context::Context,
    ids::{PoolId, TunnelHandle},
};

/// Early replacements are spread over so long, ms.
const SPREAD_MS: u64 = 20_000;
/// Tunnels of one pool that give way at the same time, at most.
const MOVING: usize = 2;

/// Plans an early replacement, once, of each tunnel that the directory has outgrown. It keeps receiving until its planned end.
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

/// The tunnels of a pool that are left as suspects although two others stand.
pub(super) fn surplus_suspects(tunnels: &Tunnels, pool: PoolId) -> Vec<TunnelHandle> {
    let (suspects, good): (Vec<_>, Vec<_>) =
        tunnels.of(pool).partition(|up| up.liveness().is_suspect());
    if good.len() < 2 {
        return Vec::new();
    }
    suspects.iter().map(|up| up.handle()).collect()
}

/// The tunnel of a pool that gives way to another, which may end elsewhere, and for how long it stays, ms: one whose endpoint
/// another one has too, or the oldest.
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
    // One stays where it is: others reach us there meanwhile.
    if giving_way >= MOVING || staying.len() < 2 {
        return None;
    }
    let handle = tunnels.sharing(&staying).or(staying.first().copied())?;
    // A node that knows few is known to few, and the other tunnels stay: another move must not wait for long. Where all end
    // at one relay that brought nobody, the next one must not wait at all: the walk may end there again.
    let stays_ms = match tunnels.endpoints(pool).len() {
        0 | 1 => barren::STAYS_MS,
        _ => cx.config.times.overlap_ms / 3,
    };
    Some((handle, stays_ms))
}
