//! Requests to the daemon.

use crate::{
    cli,
    control::{client::Daemon, protocol::Request},
    exit::{Exit, Failure},
    output::steps::Steps,
    process::Signals,
};

pub(super) fn needs_daemon(failure: Failure, command: &str) -> Failure {
    if failure.kind != Exit::NoDaemon {
        return failure;
    }
    let (why, alternative) = match command {
        "put" => ("`put` needs a daemon, which keeps the value published", ""),
        _ => (
            "`announce` without --address needs a daemon with a persona, which stays reachable",
            ", or give --address ip:port, which becomes public",
        ),
    };
    Failure::new(Exit::NoDaemon, format!("{}; {why}", failure.message))
        .hint(format!("start one with `deut run`{alternative}"))
}

pub(super) async fn ask<T: serde::de::DeserializeOwned>(
    daemon: Daemon,
    request: &Request,
    steps: &mut Steps,
) -> Result<T, Failure> {
    let mut signals = Signals::new()?;
    let end = tokio::select! {
        end = daemon.ask(request, |step| steps.show(&step)) => end,
        name = signals.next() => Err(interrupted(name)),
    };
    steps.end();
    end
}

pub(super) fn interrupted(signal: &str) -> Failure {
    Failure::new(Exit::Interrupted, format!("interrupted by {signal}"))
}

pub(super) fn milliseconds(lookup: &cli::Lookup) -> u64 {
    u64::try_from(lookup.within().as_millis()).unwrap_or(u64::MAX)
}
