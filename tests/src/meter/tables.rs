//! Which tables there are.

use super::{
    FORWARD, SHARES,
    closed::{self, Size},
    crowds,
    even::Even,
    lookup::{self, CLOSEST, Linked, Lookup, REPLIES, REQUESTS, Shape},
    path::Paths,
    report::{GUARDS, Report, WAITS, onion, plateau},
    table::{Cell, Table, percent},
    tunnel::{LINKED, Tunnels},
};

fn share(c: f64) -> Cell {
    Cell::Text(percent(c))
}

/// The share, and what it is in whole relays where that is another one.
fn rounded(c: f64, size: Size) -> Cell {
    let Size { relays, colluders } = size;
    if (colluders as f64 / relays as f64 - c).abs() < 1e-9 {
        share(c)
    } else {
        Cell::Text(format!("{} ({colluders} of {relays})", percent(c)))
    }
}

/// Single tunnels, entropies, suspicion; waits and the predecessor curve. `of` says whose tunnels.
#[must_use]
pub fn tunnels(reports: &[Report], name: &str, of: &str) -> Vec<Table> {
    let single = |pick: &dyn Fn(&Tunnels) -> Vec<Cell>, columns: usize| -> Vec<Vec<Cell>> {
        let row = |report: &Report| {
            let cells = report.tunnels.as_ref().map(pick);
            let mut row = vec![rounded(report.c, report.size)];
            row.extend(cells.unwrap_or_else(|| vec![Cell::Nothing; columns]));
            row
        };
        reports.iter().map(row).collect()
    };
    let mut tunnel = Table::new(
        &format!("{name}-tunnel"),
        &format!("One tunnel, {of}"),
        &[
            "c",
            "endpoint is the attacker's",
            "then the relay before it is the master",
            "both by the first hop: exposed",
            "tunnels until one is exposed, even odds",
        ],
    );
    tunnel.rows = single(
        &|t| {
            vec![
                Cell::Share(t.endpoint_bad),
                Cell::Share(t.master_before),
                Cell::Share(t.exposed),
                Cell::Number(t.half_life),
            ]
        },
        4,
    );
    let mut entropy = Table::new(
        &format!("{name}-entropy"),
        &format!("Who the master may be, in bits, {of}"),
        &[
            "c",
            "most possible",
            "all tunnels: Shannon",
            "captured: Shannon",
            "captured: min-entropy",
            "captured: effective set",
        ],
    );
    entropy.rows = single(
        &|t| {
            let e = &t.entropies;
            let measured = [e.average, e.captured, e.least, e.effective];
            let mut cells = vec![Cell::Plain(e.most)];
            cells.extend(measured.map(Cell::Number));
            cells
        },
        5,
    );
    vec![
        tunnel,
        entropy,
        curve(
            reports,
            &format!("{name}-ever"),
            (
                &format!("A tunnel with a bad first hop among k, {of}"),
                &WAITS,
            ),
        ),
        curve(
            reports,
            &format!("{name}-predecessor"),
            (
                &format!("k linked tunnels: the attacker's best guess is the master, {of}"),
                &LINKED,
            ),
        ),
    ]
}

fn curve(reports: &[Report], name: &str, (title, at): (&str, &[usize])) -> Table {
    let head: Vec<String> = at.iter().map(|linked| format!("k = {linked}")).collect();
    let mut columns = vec!["c"];
    columns.extend(head.iter().map(String::as_str));
    let mut table = Table::new(name, title, &columns);
    for report in reports {
        let points = if at == WAITS {
            &report.ever
        } else {
            &report.guessed
        };
        let mut row = vec![rounded(report.c, report.size)];
        row.extend(points.iter().map(|(_, estimate)| Cell::share(*estimate)));
        table.rows.push(row);
    }
    table
}

/// The onion path, planned: with and without guards.
#[must_use]
pub fn onions(relays: usize, samples: u64, seed: u64) -> Table {
    let head: Vec<String> = LINKED.iter().map(|k| format!("k = {k}")).collect();
    let mut columns = vec!["c", "guards"];
    columns.extend(head.iter().map(String::as_str));
    columns.push("whatever k");
    let mut table = Table::new(
        "onion",
        "Planned, not built: an onion path of three relays, both ends the attacker's in one of k linked tunnels",
        &columns,
    );
    for c in SHARES {
        for guards in GUARDS {
            let points = onion(relays, samples, guards, c, seed);
            let text = guards.map_or("none".to_owned(), |guards| guards.to_string());
            let mut row = vec![share(c), Cell::Text(text)];
            row.extend(points.into_iter().map(|(_, point)| Cell::share(point)));
            row.push(Cell::Odds(guards.map_or(1.0, |guards| plateau(guards, c))));
            table.rows.push(row);
        }
    }
    table
}

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
        let mut row = vec![share(c)];
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

/// PRISM's Crowds.
#[must_use]
pub fn prism(trials: u64, seed: u64) -> Table {
    let mut table = Table::new(
        "crowds",
        "PRISM's Crowds (forwarding 0.8, bad choice 0.091): the real sender is seen more than once",
        &[
            "path re-formations",
            "honest members",
            "published",
            "measured [closed form]",
        ],
    );
    for cell in crowds::table(trials, seed) {
        table.rows.push(vec![
            Cell::Text(cell.runs.to_string()),
            Cell::Text(cell.members.to_string()),
            Cell::Text(format!("{:.10}", cell.published)),
            Cell::Share(cell.drawn),
        ]);
    }
    table
}

/// How evenly the recorded walks were drawn.
#[must_use]
pub fn even(paths: &Paths, even: &Even) -> Table {
    let title = format!(
        "{} walks of {} real cores against the rules: p of the differences being chance",
        paths.paths.len(),
        paths.relays
    );
    let mut table = Table::new("recorded-even", &title, &["what", "p"]);
    for (what, p) in [
        ("lengths are geometric", even.lengths),
        ("every relay is drawn equally often", even.visits),
        (
            "every distance from the chooser is equally likely",
            even.distances,
        ),
        ("the endpoint says nothing of the master", even.endpoints),
    ] {
        table.rows.push(vec![
            Cell::Text(what.to_owned()),
            Cell::Text(format!("{p:.3}")),
        ]);
    }
    let back = "hops that repeat or go straight back (a count)".to_owned();
    table
        .rows
        .push(vec![Cell::Text(back), Cell::Text(even.back.to_string())]);
    table
}
