//! Phrases that failures, steps and results share.

use deut::status::{ReachStatus, ReadinessStatus};

/// Tunnels, relays and reasons in one line.
pub(crate) fn readiness(now: &ReadinessStatus) -> String {
    let ReadinessStatus {
        tunnels_up,
        tunnels_wanted,
        ready_at,
        relays,
        reasons,
        ..
    } = now;
    let wanted = match tunnels_wanted {
        // While no relay is known, no tunnel can be wanted.
        0 => String::new(),
        wanted => format!(" of {wanted}"),
    };
    // An old tunnel stays up beside its replacement until its own end.
    let (standing, older) = match tunnels_wanted {
        0 => (*tunnels_up, 0),
        most => (*tunnels_up.min(most), tunnels_up.saturating_sub(*most)),
    };
    let older = match older {
        0 => String::new(),
        older => format!(" and {older} older ones that are being replaced"),
    };
    let mut text =
        format!("{standing}{wanted} tunnels{older} (ready at {ready_at}), {relays} relays known");
    for reason in reasons {
        text.push_str("; ");
        text.push_str(reason);
    }
    text
}

/// The state of the search for the persona, in one line.
pub(crate) fn reach(now: &ReachStatus) -> String {
    let ReachStatus {
        addresses,
        held_by,
        of,
    } = now;
    match (addresses.len(), of) {
        (0, _) => "its tunnels do not stand yet, so it has no addresses".into(),
        (_, 0) => "it has addresses, but knows no other persona yet".into(),
        (count, of) => format!(
            "it has {count} address{}, known to {held_by} of the {of} nodes closest to it",
            if count == 1 { "" } else { "es" }
        ),
    }
}

/// The plural ending of a noun after this number.
pub(crate) const fn plural(number: u64) -> &'static str {
    if number == 1 { "" } else { "s" }
}

/// All items, separated by `between`.
pub(crate) fn joined<T: ToString>(items: impl IntoIterator<Item = T>, between: &str) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_one_line_with_its_reasons() {
        let now = ReadinessStatus {
            tunnels_up: 1,
            tunnels_wanted: 28,
            ready_at: 4,
            relays: 3,
            reasons: vec!["a".into(), "b".into()],
            codes: Vec::new(),
            ready: false,
        };
        assert_eq!(
            readiness(&now),
            "1 of 28 tunnels (ready at 4), 3 relays known; a; b"
        );
    }

    #[test]
    fn tunnels_beyond_those_wanted_are_explained() {
        let now = ReadinessStatus {
            tunnels_up: 42,
            tunnels_wanted: 28,
            ready_at: 4,
            relays: 30,
            reasons: vec![],
            codes: vec![],
            ready: true,
        };
        assert_eq!(
            readiness(&now),
            "28 of 28 tunnels and 14 older ones that are being replaced (ready at 4), 30 relays known"
        );
    }
}
