//! The commands' side of the control socket.

use std::{
    io::{Error, ErrorKind},
    path::Path,
};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::{Duration, timeout},
};

use super::protocol::{Answer, MAX_REQUEST, Request};
use crate::exit::{Exit, Failure};
use crate::step::Step;

/// The daemon writes something every second, so a silence of this length means that it hangs.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest answer that is read, in bytes. The status with 4,096 relays is about 600 KiB.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

/// A connection to the daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    stream: UnixStream,
}

impl Daemon {
    /// Connects to the control socket at this path.
    ///
    /// # Errors
    /// If no daemon answers there.
    pub(crate) async fn connect(path: &Path) -> Result<Self, Failure> {
        match timeout(PATIENCE, UnixStream::connect(path)).await {
            Ok(Ok(stream)) => Ok(Self { stream }),
            Ok(Err(why)) => Err(no_daemon(path, &why)),
            Err(_elapsed) => Err(no_daemon(path, &ErrorKind::TimedOut.into())),
        }
    }

    /// Sends a request and returns its result. Steps go to `on_step`; if that fails, the request ends.
    ///
    /// # Errors
    /// The failure that the daemon reports, or that of a daemon that does not answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        self,
        request: &Request,
        on_step: impl FnMut(Step) -> Result<(), Failure>,
    ) -> Result<T, Failure> {
        let mut line = serde_json::to_vec(request)
            .map_err(|why| Failure::new(Exit::Internal, why.to_string()))?;
        line.push(b'\n');
        if line.len() > MAX_REQUEST {
            return Err(Failure::bad_input(format!(
                "the request has {} bytes, more than the daemon takes",
                line.len()
            )));
        }
        let value = exchange(self.stream, &line, on_step).await?;
        serde_json::from_value(value).map_err(|why| other_version(&why))
    }
}

async fn exchange(
    mut stream: UnixStream,
    request: &[u8],
    mut on_step: impl FnMut(Step) -> Result<(), Failure>,
) -> Result<serde_json::Value, Failure> {
    // A busy daemon answers and closes before it has read the request. Its answer can still be read.
    let sent = timeout(PATIENCE, stream.write_all(request)).await;
    let mut reader = BufReader::new(stream.take(MAX_ANSWER));
    let mut line = String::new();
    loop {
        line.clear();
        let read = timeout(PATIENCE, reader.read_line(&mut line))
            .await
            .map_err(|_elapsed| silent())?;
        if read.map_err(|why| lost(&why))? == 0 {
            return Err(match sent {
                Ok(Err(why)) => lost(&why),
                _ => lost(&ErrorKind::UnexpectedEof.into()),
            });
        }
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(&line).map_err(|why| other_version(&why))? {
            Answer::Step(step) => on_step(step)?,
            Answer::Done(value) => return Ok(value),
            Answer::Error(failure) => return Err(failure),
        }
    }
}

fn no_daemon(path: &Path, why: &Error) -> Failure {
    let text = match why.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            format!("no daemon answers at {}", path.display())
        }
        _ => format!("no daemon can be reached at {} ({why})", path.display()),
    };
    Failure::new(Exit::NoDaemon, text)
        .hint("start one with `deut run`, or say where it is with --data-dir or --control")
}

fn silent() -> Failure {
    Failure::new(
        Exit::Internal,
        format!("the daemon has been silent for {} s", PATIENCE.as_secs()),
    )
    .hint("look at its log")
}

fn lost(why: &Error) -> Failure {
    Failure::new(
        Exit::Internal,
        format!("the daemon closed the connection without an answer ({why})"),
    )
    .hint("it may have been stopped; look at its log")
}

fn other_version(why: &serde_json::Error) -> Failure {
    Failure::new(
        Exit::Internal,
        format!("the daemon's answer cannot be read ({why})"),
    )
    .hint("daemon and command must be of the same version of deut")
}
