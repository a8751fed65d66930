//! A network of the very cores that the daemon runs, in virtual time.
//!
//! `cargo run --release -p deut-tests --bin sim -- --help`

use std::{io::Write, process::ExitCode};

use clap::Parser;
use deut_tests::{
    hostile::Kind,
    sim::{Change, Crypto, Report, Settings, Simulation, Window},
};

/// Simulates a network of deut nodes: the very cores that the daemon runs, in virtual time. Same options, same history.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Options {
    /// Relays with a persona.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    nodes: u32,
    /// Datagrams lost, percent (0.1 is possible).
    #[arg(long, default_value_t = 0.0, value_parser = percent)]
    loss: f64,
    /// Datagrams delivered twice, percent.
    #[arg(long, default_value_t = 0.0, value_parser = percent)]
    duplicate: f64,
    /// Datagrams overtaken by later ones, percent.
    #[arg(long, default_value_t = 0.0, value_parser = percent)]
    reorder: f64,
    /// Mean one-way delay between two nodes, ms.
    #[arg(long, default_value_t = 25)]
    latency: u64,
    /// And up to so much more for each datagram, ms.
    #[arg(long, default_value_t = 5)]
    jitter: u64,
    /// Bytes per second that one node can send (0: any number).
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Median session of a node (such as 60m; 0: nobody leaves). Whoever leaves is replaced by a newcomer of its sort.
    #[arg(long, default_value = "0", value_parser = duration)]
    churn: u64,
    /// Part of the contacts that is dead, percent, roughly: nodes crash and are replaced at the rate that gives it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50))]
    dead: u32,
    /// Of those that leave by --churn or --dead, so many percent are not replaced but come back after 20 s to five minutes,
    /// with what they had on disk.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    restart: u32,
    /// Nodes that stand still at any time, percent: their operating system stops them, each time for 5 to 30 s.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50))]
    pause: u32,
    /// Wall clocks are off by up to so many seconds, each node's by another number.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    skew: u32,
    /// Clients behind address translators, percent of the nodes; half of the translators are symmetric.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=500))]
    nat: u32,
    /// Hostile nodes, percent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=90))]
    hostile: u32,
    /// What they do.
    #[arg(long, value_enum, default_value_t = Kind::Drop)]
    behaviour: Kind,
    /// So many Sybils gather around the key of the first value; then only that value is looked up.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=200))]
    sybils: u32,
    /// Another value for a default, such as parallel=3 (also per-endpoint, region, reask, relays, self-lookup, grace; retries=0: a
    /// search that found nothing is not tried again over other nodes). May be given several times.
    #[arg(long)]
    set: Vec<Change>,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many runs, with the seeds that follow. The report adds them up, and says which figures are of the first one only.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    runs: u64,
    /// Virtual time (such as 600s, 30m, 6h).
    #[arg(long, default_value = "10m", value_parser = duration)]
    duration: u64,
    /// Things published: of five three values, an announcement of a peer and a mutable record.
    #[arg(long, default_value_t = 100)]
    values: usize,
    /// Lookups per second in the whole network.
    #[arg(long, default_value_t = 2.0)]
    lookups: f64,
    /// Tunnels for lookups of a node.
    #[arg(long, default_value_t = 6)]
    lookup_tunnels: usize,
    /// Tunnels of a persona.
    #[arg(long, default_value_t = 4)]
    persona_tunnels: usize,
    /// Seconds in which all nodes join.
    #[arg(long)]
    join: Option<u64>,
    /// At this time so many percent of the nodes crash at one instant (such as 10m:33). Counting starts anew then, and each
    /// minute that follows is told on the standard error.
    #[arg(long, value_parser = instant)]
    crash: Option<(u64, u64)>,
    /// From this time on half of the nodes do not hear the others, for so many seconds (such as 10m:300). Counting starts
    /// anew at the beginning and at the end.
    #[arg(long, value_parser = instant)]
    cut: Option<(u64, u64)>,
    /// Counting starts anew at this time (such as 20m): what came before is in no figure for lookups.
    #[arg(long, value_parser = duration)]
    count_from: Option<u64>,
    /// All cryptography real (RSA keys from a pool made before).
    #[arg(long)]
    real: bool,
    /// Records walks and prints what colluding relays would learn from them (not with --churn or --dead).
    #[arg(long, conflicts_with_all = ["churn", "dead"])]
    anonymity: bool,
    /// Ends with one JSON object.
    #[arg(long)]
    json: bool,
    /// Fails (exit code 1) unless this part of the lookups succeeded, by the lower end of the 95 % Wilson interval.
    #[arg(long)]
    require_success: Option<f64>,
    /// Fails (exit code 1) unless this part of the true 8 closest nodes was found.
    #[arg(long)]
    require_recall: Option<f64>,
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=90.0).contains(&percent) {
        Ok(percent)
    } else {
        Err("must be 0 to 90".into())
    }
}

/// Seconds.
fn duration(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        _ => (text, 1),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write it as 90s, 30m or 6h".to_owned())?;
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds <= 7 * 86_400)
        .ok_or_else(|| "at most a week".to_owned())
}

fn instant(text: &str) -> Result<(u64, u64), String> {
    let (at, number) = text
        .split_once(':')
        .ok_or_else(|| "write it as TIME:NUMBER".to_owned())?;
    Ok((
        duration(at)?,
        number.parse().map_err(|_| "not a number".to_owned())?,
    ))
}

/// Figures up to now are told so often, and those of the last stretch, seconds.
const STEP_S: u64 = 30;
const WINDOW_S: u64 = 60;

/// What happens at one instant.
enum Moment {
    Crash(u32),
    Cut(bool),
    Count,
}

impl Moment {
    fn happens(self, simulation: &mut Simulation) {
        let now = simulation.seconds();
        match self {
            Self::Crash(percent) => {
                let count = simulation.crash(percent);
                eprintln!("{now} s: {count} nodes crashed");
            }
            Self::Cut(on) => {
                simulation.cut(on);
                eprintln!("{now} s: {}", if on { "cut in two" } else { "whole again" });
            }
            Self::Count => eprintln!("{now} s: counting starts anew"),
        }
        simulation.count_from_here();
    }
}

impl Options {
    fn settings(&self, seed: u64) -> Settings {
        let per_mille = |percent: f64| (percent * 10.0).round() as u32;
        let nodes = self.nodes as usize;
        Settings {
            nodes,
            nat_percent: self.nat as usize,
            seed,
            duration_s: self.duration,
            latency_ms: self.latency,
            jitter_ms: self.jitter,
            loss_per_mille: per_mille(self.loss),
            duplicate_per_mille: per_mille(self.duplicate),
            reorder_per_mille: per_mille(self.reorder),
            rate: self.rate,
            session_s: self.churn,
            dead_percent: self.dead,
            restart_percent: self.restart,
            pause_percent: self.pause,
            skew_s: self.skew,
            hostile_percent: self.hostile,
            hostile: self.behaviour,
            values: self.values,
            lookups_per_s: self.lookups,
            sybils: self.sybils as usize,
            changes: self.set.clone(),
            anonymity: self.anonymity,
            tunnels: (self.lookup_tunnels, self.persona_tunnels),
            join_s: self.join.unwrap_or(30 + u64::from(self.nodes) / 10),
            crypto: if self.real {
                Crypto::Real
            } else {
                Crypto::StandIn
            },
            ..Settings::default()
        }
    }

    /// What happens at which second, in order.
    fn moments(&self) -> Vec<(u64, Moment)> {
        let mut moments = Vec::new();
        if let Some((at, percent)) = self.crash {
            let percent = u32::try_from(percent).unwrap_or(100).min(100);
            moments.push((at, Moment::Crash(percent)));
        }
        if let Some((at, seconds)) = self.cut {
            moments.push((at, Moment::Cut(true)));
            moments.push((at.saturating_add(seconds), Moment::Cut(false)));
        }
        if let Some(at) = self.count_from {
            moments.push((at, Moment::Count));
        }
        moments.sort_by_key(|(at, _)| *at);
        moments
    }

    fn run(&self, seed: u64) -> Report {
        let mut simulation = Simulation::new(self.settings(seed));
        let mut moments = self.moments().into_iter().peekable();
        let mut window: Option<Window> = None;
        while simulation.seconds() < self.duration {
            let now = simulation.seconds();
            while let Some((_, moment)) = moments.next_if(|(at, _)| *at <= now) {
                moment.happens(&mut simulation);
                window = Some(Window::up_to_now(&simulation));
            }
            let next = moments.peek().map_or(u64::MAX, |(at, _)| *at);
            let stop = self.duration.min(next).min(now - now % STEP_S + STEP_S);
            simulation.run(stop - now);
            if let Some(before) = window.filter(|before| stop >= before.until_s + WINDOW_S) {
                let now = Window::up_to_now(&simulation);
                eprintln!("{}", now.since(before));
                window = Some(now);
            }
            if !self.json {
                self.tell(&simulation);
            }
        }
        simulation.finish();
        simulation.report()
    }

    fn tell(&self, simulation: &Simulation) {
        let lookups = simulation.lookups();
        eprintln!(
            "{:>6} s  {} nodes  {} things  {} of {} lookups  recall {:.4}",
            simulation.seconds(),
            simulation.alive().len(),
            lookups.published,
            lookups.found,
            lookups.tried,
            lookups.recall(),
        );
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some((at, _)) = options
        .moments()
        .iter()
        .find(|(at, moment)| *at >= options.duration && !matches!(moment, Moment::Cut(false)))
    {
        eprintln!(
            "nothing happens at {at} s: the simulation ends at {} s",
            options.duration
        );
        return ExitCode::FAILURE;
    }
    let mut all: Option<Report> = None;
    for run in 0..options.runs {
        let report = options.run(options.seed + run);
        if options.runs > 1 {
            eprintln!(
                "seed {}: {} of {} lookups, recall {:.4}, trace {:016x}",
                report.seed,
                report.lookups.found,
                report.lookups.tried,
                report.lookups.recall(),
                report.trace_hash
            );
        }
        match &mut all {
            None => all = Some(report),
            Some(all) => all.merge(&report),
        }
    }
    let Some(report) = all else {
        return ExitCode::FAILURE;
    };
    let text = if options.json {
        report.to_json().to_string()
    } else {
        report.to_string()
    };
    if writeln!(std::io::stdout(), "{text}").is_err() {
        return ExitCode::FAILURE;
    }
    let json = report.to_json();
    let low = json["success_rate_low"].as_f64().unwrap_or(0.0);
    let success = options.require_success.is_none_or(|least| low >= least);
    let recall = options
        .require_recall
        .is_none_or(|least| report.lookups.recall() >= least);
    if !success {
        eprintln!("too few lookups succeeded: {low:.5} at the lower end of the interval");
    }
    if !recall {
        eprintln!("recall is too low: {:.5}", report.lookups.recall());
    }
    if success && recall {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
