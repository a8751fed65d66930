//! Handles the requests that come over the control socket.

use std::time::Duration;

use deut::{MutableRecord, Node, NotReady, Stopped, status::ReadinessStatus};
use deut_kademlia::MAX_VALUE;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    protocol::{MAX_TIMEOUT_MS, Request},
    server::Handler,
};
use crate::{
    exit::{Exit, Failure},
    report::{BootstrapLine, Echoes, unhex},
    step::Step,
    work::{
        Work,
        target::{Target, announceable, magnet, mutable_key},
    },
};

/// Serves the node of this process to other processes.
#[derive(Clone)]
pub(crate) struct NodeHandler {
    node: Node,
}

impl NodeHandler {
    /// A handler for this node.
    pub(crate) const fn new(node: Node) -> Self {
        Self { node }
    }

    fn work(&self, timeout_ms: u64, steps: mpsc::Sender<Step>) -> Work {
        Work::new(
            self.node.clone(),
            Duration::from_millis(timeout_ms.min(MAX_TIMEOUT_MS)),
            steps,
        )
        .of_daemon()
    }

    /// The block with which others can join through this node.
    fn bootstrap_line(&self) -> Result<BootstrapLine, Failure> {
        let block = self.node.bootstrap_line().ok_or_else(|| {
            let text = "the daemon is a client: nobody can join through it";
            Failure::new(Exit::BadConfig, text)
                .hint("run it with --reachable, at an address that others reach")
        })?;
        Ok(BootstrapLine { block })
    }

    /// Waits for readiness, and returns its state after at most this time.
    async fn readiness(&self, wait_ms: u64) -> Result<ReadinessStatus, Failure> {
        let within = Duration::from_millis(wait_ms.min(MAX_TIMEOUT_MS));
        match self.node.ready(within).await {
            Ok(now) | Err(NotReady::TimedOut(now)) => Ok(ReadinessStatus::from(&now)),
            Err(NotReady::Stopped) => Err(Stopped.into()),
        }
    }

    /// Reads and stores mutable records.
    async fn mutable(
        &self,
        request: Request,
        steps: mpsc::Sender<Step>,
    ) -> Result<serde_json::Value, Failure> {
        match request {
            Request::GetMutable {
                public_key,
                salt_hex,
                min_seq,
                lookups,
                timeout_ms,
            } => {
                let of = mutable_key(&public_key, salt(&salt_hex)?)?;
                let target = Target::Mutable(of, min_seq);
                let work = self.work(timeout_ms, steps).at_most(lookups);
                json(&work.get(&target).await?)
            }
            Request::PutMutable {
                public_key,
                salt_hex,
                seq,
                value_hex,
                signature,
                cas,
                timeout_ms,
            } => {
                let of = mutable_key(&public_key, salt(&salt_hex)?)?;
                let signature = unhex(&signature)
                    .and_then(|signature| signature.try_into().ok())
                    .ok_or_else(|| Failure::bad_input("signature is not 128 hex digits"))?;
                let record = MutableRecord::new(
                    of.public_key(),
                    of.salt().to_vec(),
                    seq,
                    signature,
                    bytes("value_hex", &value_hex)?,
                )
                .map_err(Failure::bad_input)?;
                json(
                    &self
                        .work(timeout_ms, steps)
                        .put_mutable(record, cas)
                        .await?,
                )
            }
            _ => Err(Failure::new(
                Exit::Internal,
                "no request about mutable records",
            )),
        }
    }
}

impl Handler for NodeHandler {
    async fn handle(
        &self,
        request: Request,
        steps: mpsc::Sender<Step>,
    ) -> Result<serde_json::Value, Failure> {
        match request {
            Request::Announce {
                magnet: link,
                address,
                timeout_ms,
            } => {
                let magnet = magnet(&link)?;
                announceable(address)?;
                json(
                    &self
                        .work(timeout_ms, steps)
                        .announce(&magnet, address.map(deut::canonical))
                        .await?,
                )
            }
            Request::BootstrapLine => json(&self.bootstrap_line()?),
            Request::Get {
                target,
                all,
                timeout_ms,
            } => {
                let target = Target::parse(&target)?.asked_for(all)?;
                let work = self.work(timeout_ms, steps).for_all(all);
                json(&work.get(&target).await?)
            }
            request @ (Request::GetMutable { .. } | Request::PutMutable { .. }) => {
                self.mutable(request, steps).await
            }
            Request::Ping => json(&Echoes::new(&self.node.echo_all().await?)),
            Request::Put {
                value_hex,
                timeout_ms,
            } => {
                let value = bytes("value_hex", &value_hex)?;
                if value.len() > MAX_VALUE {
                    return Err(Failure::value_too_large(value.len()));
                }
                json(&self.work(timeout_ms, steps).put(value).await?)
            }
            Request::Ready { wait_ms } => json(&self.readiness(wait_ms).await?),
            Request::Status => json(&self.node.status().await?),
        }
    }
}

fn bytes(field: &str, text: &str) -> Result<Vec<u8>, Failure> {
    unhex(text).ok_or_else(|| Failure::bad_input(format!("{field} is not hexadecimal")))
}

fn salt(text: &str) -> Result<Vec<u8>, Failure> {
    bytes("salt_hex", text)
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|why| Failure::new(Exit::Internal, why.to_string()))
}
