//! Which tables there are.

use super::{
    SHARES,
    closed::Size,
    crowds,
    even::Even,
    path::Paths,
    report::{GUARDS, Report, WAITS, onion, plateau},
    table::{Cell, Table, percent},
    tunnel::{LINKED, Tunnels},
};

pub(super) fn share(c: f64) -> Cell {
    Cell::Text(percent(c))
}

/// The share, and what it is in whole relays where that is another one.
pub(super) fn rounded(c: f64, size: Size) -> Cell {
    let Size { relays, colluders } = size;
    if (colluders as f64 / relays as f64 - c).abs() < 1e-9 {
        share(c)
    } else {
        Cell::Text(format!("{} ({colluders} of {relays})", percent(c)))
    }
}

/// One row per attacker; `pick` says which figures, `columns` how many.
fn single(reports: &[Report], columns: usize, pick: fn(&Tunnels) -> Vec<Cell>) -> Vec<Vec<Cell>> {
    let row = |report: &Report| {
        let cells = report.tunnels.as_ref().map(pick);
        let mut row = vec![rounded(report.c, report.size)];
        row.extend(cells.unwrap_or_else(|| vec![Cell::Nothing; columns]));
        row
    };
    reports.iter().map(row).collect()
}

fn tunnel(reports: &[Report], name: &str, of: &str) -> Table {
    let mut table = Table::new(
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
    table.rows = single(reports, 4, |t| {
        let shares = [t.endpoint_bad, t.master_before, t.exposed].map(Cell::Share);
        shares
            .into_iter()
            .chain([Cell::Number(t.half_life)])
            .collect()
    });
    table
}

fn entropy(reports: &[Report], name: &str, of: &str) -> Table {
    let mut table = Table::new(
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
    table.rows = single(reports, 5, |t| {
        let e = &t.entropies;
        let measured = [e.average, e.captured, e.least, e.effective].map(Cell::Number);
        [Cell::Plain(e.most)].into_iter().chain(measured).collect()
    });
    table
}

/// Single tunnels, entropies, waits and the predecessor curve. `of` says whose tunnels.
#[must_use]
pub fn tunnels(reports: &[Report], name: &str, of: &str) -> Vec<Table> {
    let ever = format!("A tunnel with a bad first hop among k, {of}");
    let guess = format!("k linked tunnels: the attacker's best guess is the master, {of}");
    vec![
        tunnel(reports, name, of),
        entropy(reports, name, of),
        curve(reports, &format!("{name}-ever"), (&ever, &WAITS)),
        curve(reports, &format!("{name}-predecessor"), (&guess, &LINKED)),
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
