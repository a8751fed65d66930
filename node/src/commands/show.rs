//! `status`, `ping`, `tunnels`, `peers`, `bootstrap-line`: what the daemon tells.

use deut::NodeStatus;
use serde::de::DeserializeOwned;

use crate::{
    cli::Reach,
    control::{
        client::Daemon,
        protocol::Request,
        report::{BootstrapLine, Echoes},
    },
    exit::{Exit, Failure},
    output::{Out, status, text},
};

async fn ask<T: DeserializeOwned>(reach: &Reach, request: &Request) -> Result<T, Failure> {
    Daemon::connect(&reach.control()?)
        .await?
        .ask(request, |_step| {})
        .await
}

/// `deut status`.
pub(crate) async fn status(reach: &Reach, out: &Out) -> Result<(), Failure> {
    let status: NodeStatus = ask(reach, &Request::Status).await?;
    out.result(&status, || status::status(&status))
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
