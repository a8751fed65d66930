//! Prints what colluding relays learn: docs/anonymity.md explains the tables.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use deut_tests::meter::{
    FORWARD, Network, OnPaper, Report, Rules, SHARES, even, lookup_tables, report, scenes,
    table::Table, tables,
};
use serde_json::json;

/// The anonymity meter: odds of an attacker who owns a share c of all relays, measured and computed.
#[derive(Parser)]
#[command(name = "meter")]
struct Options {
    /// One JSON document instead of tables.
    #[arg(long)]
    json: bool,
    /// Only the table of this name (the names are in the JSON document).
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Same seed, same figures.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// Relays in the network on paper.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(50..=10_000_000))]
    relays: u32,
    /// Tunnels drawn on paper for each figure.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=1_000_000_000))]
    samples: u64,
    /// Real cores in the recorded networks; 0: on paper only.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    nodes: u32,
    /// Walks recorded at least.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    walks: u32,
    /// Lookups recorded.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(30..=100_000))]
    lookups: u32,
}

impl Options {
    /// Whether a table of real cores (or of paper) is wanted.
    fn wants(&self, recorded: bool) -> bool {
        let is_recorded = |name: &String| name.contains("recorded");
        self.table
            .as_ref()
            .is_none_or(|name| is_recorded(name) == recorded)
    }
}

fn reports(network: &dyn Network, seed: u64) -> Vec<Report> {
    SHARES.map(|c| report(network, c, seed)).into()
}

fn on_paper(options: &Options) -> Vec<Table> {
    if !options.wants(false) {
        return Vec::new();
    }
    let network = OnPaper {
        rules: Rules::walk(FORWARD),
        relays: options.relays as usize,
        samples: options.samples,
    };
    let reports = reports(&network, options.seed);
    let mut all = tables::tunnels(&reports, "walk", "walks on paper");
    all.extend(lookup_tables::lookups(&reports));
    all.push(lookup_tables::alone(&reports[0]));
    all.push(tables::onions(
        network.relays,
        options.samples,
        options.seed,
    ));
    all.push(tables::prism(options.samples, options.seed));
    all
}

fn recorded(options: &Options) -> Result<Vec<Table>, String> {
    let nodes = options.nodes as usize;
    if nodes == 0 || !options.wants(true) {
        return Ok(Vec::new());
    }
    if nodes < 20 {
        return Err("a recorded network needs 20 cores at least, or none".to_owned());
    }
    let paths = scenes::walks(nodes, options.walks as usize, options.seed)
        .ok_or("the network of real cores did not build enough walks in ten virtual minutes")?;
    let mut all = vec![tables::even(&paths, &even::check(&paths, FORWARD))];
    let of = format!("{} walks of {nodes} real cores", paths.paths.len());
    all.extend(tables::tunnels(
        &reports(&paths, options.seed),
        "recorded",
        &of,
    ));
    let lookups = scenes::lookups(nodes, options.lookups as usize, options.seed);
    all.push(lookup_tables::recorded_lookups(
        &lookups,
        nodes,
        options.seed,
    ));
    Ok(all)
}

fn print(options: &Options, tables: &[Table]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        let tables: Vec<_> = tables.iter().map(Table::json).collect();
        return writeln!(out, "{}", json!({ "seed": options.seed, "tables": tables }));
    }
    writeln!(
        out,
        "Measured ± one standard error [closed form]; c: the attacker's share of all relays; seed {}.",
        options.seed
    )?;
    for table in tables {
        writeln!(out, "\n{}", table.markdown().trim_end())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut all = on_paper(&options);
    match recorded(&options) {
        Ok(tables) => all.extend(tables),
        Err(why) => {
            _ = writeln!(io::stderr(), "{why}");
            return ExitCode::FAILURE;
        }
    }
    if let Some(name) = &options.table {
        all.retain(|table| table.name == *name);
    }
    if all.is_empty() {
        _ = writeln!(io::stderr(), "there is no such table");
        return ExitCode::FAILURE;
    }
    if print(&options, &all).is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
