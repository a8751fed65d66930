//! Where the persona can be reached.

use super::OwnTunnels;
use crate::{context::Context, ids::PoolId};

impl OwnTunnels {
    /// A pool's tunnels with different endpoints, for tests of readiness.
    pub(crate) fn addresses(
        &self,
        cx: &Context,
    ) -> Vec<(std::net::SocketAddr, deut_common::time::Unix)> {
        let ready = |retiring: bool| {
            self.tunnels
                .values()
                .filter(move |t| {
                    t.pool == PoolId::Persona
                        && t.is_up()
                        && t.persona_gate
                        && !t.suspect
                        && t.retiring == retiring
                })
                .map(|t| {
                    let left_s = t.planned_end.since(cx.mono()) / 1_000_000;
                    (
                        t.answer.address,
                        deut_common::time::Unix(cx.now.unix.0.saturating_add(left_s)),
                    )
                })
                .collect::<Vec<_>>()
        };
        let mut addresses = ready(false);
        if addresses.len() < 2 {
            addresses.extend(ready(true));
        }
        if addresses.len() < 2 {
            Vec::new()
        } else {
            addresses
        }
    }
}
