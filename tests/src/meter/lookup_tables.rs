//! Tables about whole lookups, and about those who collude with nobody.

use super::{
    FORWARD, SHARES,
    closed::{self, Size},
    lookup::{self, CLOSEST, Linked, Lookup, REPLIES, REQUESTS, Shape},
    report::Report,
    table::{Cell, Table},
    tables::rounded,
};

fn found(report: &Report, shape: Shape, what: Linked) -> Cell {
    let mut cells = report.lookups.iter();
    let cell = cells.find(|(of, linked, _)| *of == shape && *linked == what);
    Cell::share(cell.and_then(|(_, _, estimate)| *estimate))
}

const fn shape(replies: usize, on_key: usize) -> Shape {
    Shape {
        replies,
        requests: REQUESTS,
        on_key,
    }
}

/// One lookup: what the colluders link, and how many reply tunnels there are.
#[must_use]
pub fn lookups(reports: &[Report]) -> Vec<Table> {
    let mut linked = Table::new(
        "lookup",
        &format!(
            "One lookup of {REQUESTS} requests over 2 reply tunnels: all colluders together name the asker"
        ),
        &[
            "c",
            "the key is known",
            "the reply tunnels are linked, nothing else",
            "what colluding recipients saw is linked",
            "both reply tunnels and what recipients saw (bound)",
            &format!("the attacker holds the {CLOSEST} nodes at the key"),
            "all tunnels of the lookup are linked, by timing say",
            "no link, no key: a tunnel of the lookup at least is seen to begin at the asker",
        ],
    );
    let mut replies = Table::new(
        "lookup-replies",
        "One lookup: k reply tunnels",
        &[
            "c",
            "the attacker links",
            "k = 1",
            "k = 2",
            "k = 4",
            "k = 8",
        ],
    );
    for report in reports {
        let own = shape(2, 0);
        linked.rows.push(vec![
            rounded(report.c, report.size),
            Cell::Odds(lookup::key_known(report.c, own)),
            found(report, own, Linked::Replies),
            found(report, own, Linked::Told),
            found(report, own, Linked::RepliesAndTold),
            found(report, shape(2, CLOSEST), Linked::Told),
            found(report, own, Linked::All),
            Cell::Odds(closed::ever(report.c, own.replies + own.requests)),
        ]);
        for (what, text) in [
            (Linked::Replies, "the reply tunnels, no colluding recipient"),
            (Linked::Told, "what colluding recipients saw"),
        ] {
            let mut row = vec![rounded(report.c, report.size), Cell::Text(text.to_owned())];
            row.extend(REPLIES.map(|k| found(report, shape(k, 0), what)));
            replies.rows.push(row);
        }
    }
    vec![linked, replies]
}

/// Lookups that real cores made.
#[must_use]
pub fn recorded_lookups(lookups: &[Lookup], relays: usize, seed: u64) -> Table {
    let mean = |of: &dyn Fn(&Lookup) -> usize| {
        lookups.iter().map(of).sum::<usize>() as f64 / lookups.len().max(1) as f64
    };
    let title = format!(
        "{} lookups of {relays} real cores: on average {:.1} requests over {:.2} reply tunnels",
        lookups.len(),
        mean(&|lookup| lookup.requests.len()),
        mean(&|lookup| lookup.replies.len()),
    );
    let mut table = Table::new(
        "lookup-recorded",
        &title,
        &[
            "c",
            "the reply tunnels are linked, nothing else",
            "what colluding recipients saw is linked",
            "both reply tunnels and what recipients saw (bound)",
            "all tunnels of the lookup are linked, by timing say",
        ],
    );
    for c in SHARES {
        let mut row = vec![rounded(c, Size::of(relays, c))];
        row.extend(
            Linked::EACH.map(|what| {
                Cell::share(lookup::recorded(lookups, relays, (FORWARD, c), what, seed))
            }),
        );
        table.rows.push(row);
    }
    table
}

/// What each role learns that colludes with nobody.
#[must_use]
pub fn alone(report: &Report) -> Table {
    let text = |text: &str| Cell::Text(text.to_owned());
    let suspicion = || Cell::share(report.tunnels.map(|t| t.suspicion));
    let relays = report.size.relays;
    let chance = |known: usize| Cell::Odds(1.0 / (relays - known) as f64);
    let mut table = Table::new(
        "alone",
        &format!("What each learns alone, in a network of {relays} relays"),
        &["who", "names the master with", "and learns"],
    );
    let same = Size::of(relays, 0.0).suspicion(FORWARD);
    debug_assert!((same - report.size.suspicion(FORWARD)).abs() < 1e-12);
    table.rows = vec![
        vec![
            text("a relay on a tunnel, by naming its previous hop"),
            suspicion(),
            text("that a tunnel passes; not what for, nor where it ends"),
        ],
        vec![
            text("the endpoint, by naming its previous hop"),
            suspicion(),
            text("endpoint addresses that are written to; no key, no question, no answer"),
        ],
        vec![
            text("the first hop of a node that forwards nothing for others"),
            Cell::Odds(1.0),
            text("that this node has a tunnel; not what for"),
        ],
        vec![
            text("a node that answers or stores"),
            chance(1),
            text(
                "the key, the question, a reply address; nothing about the master but that it is not that endpoint",
            ),
        ],
        vec![
            text("the same with the endpoint of its own tunnel"),
            chance(2),
            text(
                "also the endpoint that the request came from; nothing about the master but that it is neither",
            ),
        ],
        vec![
            text("the endpoint of the answerer's tunnel"),
            chance(1),
            text(
                "the endpoint that a request came from; no key; nothing about the master but that it is not that one",
            ),
        ],
    ];
    table
}
