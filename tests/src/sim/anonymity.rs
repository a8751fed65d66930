//! What colluding relays would learn in the network that was simulated: the walks that its nodes really made, with the
//! attacker drawn on top (see [`crate::meter`]).

use std::fmt;

use serde_json::{Value, json};

use crate::meter::{self, Estimate, Paths};

/// Fewer walks say little.
const ENOUGH: usize = 200;

/// Figures for one share of colluding relays.
#[derive(Clone, Debug)]
pub struct Anonymity {
    /// The share.
    pub c: f64,
    /// Walks behind the figures.
    pub walks: usize,
    /// P(the endpoint is theirs), measured and by the closed form.
    pub endpoint_bad: Figure,
    /// P(the relay before the first of theirs is the master | they are on the way).
    pub master_before: Figure,
    /// P(the first hop is theirs): the tunnel exposes its master.
    pub exposed: Figure,
    /// P(the best guess over the two reply tunnels of a lookup is the master).
    pub lookup_named: Option<Figure>,
}

/// A measured probability.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// As measured.
    pub value: f64,
    /// One standard error.
    pub error: f64,
    /// The closed form.
    pub closed: Option<f64>,
}

impl From<&Estimate> for Figure {
    fn from(estimate: &Estimate) -> Self {
        Self {
            value: estimate.value,
            error: estimate.error,
            closed: estimate.closed,
        }
    }
}

impl Figure {
    fn to_json(self) -> Value {
        json!({"value": self.value, "error": self.error, "closed_form": self.closed})
    }
}

/// The figures for all shares that the tables show; none if too few walks were recorded.
pub(super) fn of(paths: &Paths, walks: usize, seed: u64) -> Vec<Anonymity> {
    if walks < ENOUGH {
        return Vec::new();
    }
    let one = |c: f64| {
        let report = meter::report(paths, c, seed);
        let tunnels = report.tunnels?;
        let (_, _, named) = report.lookups.into_iter().next()?;
        Some(Anonymity {
            c,
            walks,
            endpoint_bad: (&tunnels.endpoint_bad).into(),
            master_before: (&tunnels.master_before).into(),
            exposed: (&tunnels.exposed).into(),
            lookup_named: named.as_ref().map(Figure::from),
        })
    };
    meter::SHARES.into_iter().filter_map(one).collect()
}

impl Anonymity {
    /// As a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "c": self.c,
            "walks": self.walks,
            "endpoint_bad": self.endpoint_bad.to_json(),
            "master_before_given_captured": self.master_before.to_json(),
            "tunnel_exposed": self.exposed.to_json(),
            "lookup_named": self.lookup_named.map(Figure::to_json),
        })
    }
}

impl fmt::Display for Anonymity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "anonymity            {:>2.0} % collude ({} walks): on a tunnel {:.1} %, then right about its master {:.1} %; \
             first hop {:.1} %; a lookup named {:.1} %",
            self.c * 100.0,
            self.walks,
            self.endpoint_bad.value * 100.0,
            self.master_before.value * 100.0,
            self.exposed.value * 100.0,
            self.lookup_named.map_or(0.0, |named| named.value * 100.0),
        )
    }
}
