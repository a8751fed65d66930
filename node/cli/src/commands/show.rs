//! `status`, `ping`, `tunnels`, `peers`, `bootstrap-line`: reports of the daemon.

use deut::{NodeStatus, status::ReadinessStatus};
use serde::de::DeserializeOwned;
use tokio::time::{Duration, Instant, sleep};

use crate::{
    cli::{self, Reach},
    control::{client::Daemon, protocol::Request},
    exit::{Exit, Failure},
    output::{Out, status, text},
    report::{BootstrapLine, Echoes},
    words::readiness,
};

/// Time between two tries to reach a daemon that does not answer yet.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

async fn ask<T: DeserializeOwned>(reach: &Reach, request: &Request) -> Result<T, Failure> {
    Daemon::connect(&reach.control()?)
        .await?
        .ask(request, |_step| Ok(()))
        .await
}

/// `deut status`.
pub(crate) async fn status(arguments: &cli::Status, out: &Out) -> Result<(), Failure> {
    if arguments.ready {
        return ready(arguments, out).await;
    }
    let status: NodeStatus = ask(&arguments.reach, &Request::Status).await?;
    out.result(&status, || status::status(&status))
}

/// `deut status --ready`.
async fn ready(arguments: &cli::Status, out: &Out) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(arguments.wait.into());
    let path = arguments.reach.control()?;
    let daemon = loop {
        match Daemon::connect(&path).await {
            // The daemon may be starting.
            Err(_none) if Instant::now() < end => sleep(LOOK_AGAIN).await,
            end => break end?,
        }
    };
    let left = end.saturating_duration_since(Instant::now());
    let wait_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let request = Request::Ready { wait_ms };
    let now: ReadinessStatus = daemon.ask(&request, |_step| Ok(())).await?;
    if now.ready {
        return out.result(&now, || format!("ready: {}", readiness(&now)));
    }
    let text = format!("not ready: {}", readiness(&now));
    Err(Failure::new(Exit::NotJoined, text).hint("--wait SECONDS waits for it"))
}

/// `deut tunnels`.
pub(crate) async fn tunnels(reach: &Reach, out: &Out) -> Result<(), Failure> {
    let status: NodeStatus = ask(reach, &Request::Status).await?;
    out.result(&serde_json::json!({ "tunnels": status.tunnels }), || {
        text::tunnels(&status.tunnels)
    })
}

/// `deut peers`.
pub(crate) async fn peers(reach: &Reach, out: &Out) -> Result<(), Failure> {
    let status: NodeStatus = ask(reach, &Request::Status).await?;
    out.result(&serde_json::json!({ "peers": status.relays }), || {
        text::relays(&status.relays)
    })
}

/// `deut ping`.
pub(crate) async fn ping(reach: &Reach, out: &Out) -> Result<(), Failure> {
    let echoes: Echoes = ask(reach, &Request::Ping).await?;
    out.result(&echoes, || text::echoes(&echoes))?;
    if echoes.answered > 0 {
        return Ok(());
    }
    let text = if echoes.tunnels.is_empty() {
        "the daemon has no tunnels yet"
    } else {
        "no tunnel answered within 3 s"
    };
    Err(Failure::new(Exit::NotJoined, text).hint("`deut status` says what is missing"))
}

/// `deut bootstrap-line`.
pub(crate) async fn bootstrap_line(reach: &Reach, out: &Out) -> Result<(), Failure> {
    let line: BootstrapLine = ask(reach, &Request::BootstrapLine).await?;
    out.result(&line, || line.block.trim_end().to_owned())
}
