//! Networks of real nodes in one process, over UDP on loopback.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use deut::{BootstrapFile, Node, NodeConfig, NodeStatus, Profile, StartError};
use tokio::sync::{Mutex, MutexGuard};

use crate::ports;

/// Longest time a node on an idle machine takes to become ready, many times over.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Starts a node on the first block that is free.
pub async fn start(bootstrap: &BootstrapFile, change: impl Fn(&mut NodeConfig)) -> Node {
    for _ in 0..80 {
        let mut config = NodeConfig::new(bootstrap.clone(), loopback(ports::block()));
        config.lookup_tunnels = 4;
        config.persona_tunnels = 4;
        config.ready_at = 3;
        change(&mut config);
        match Node::start(config).await {
            Ok(node) => return node,
            Err(StartError::PortInUse { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no block of ports is free");
}

/// A short-lived node without relay and persona.
pub async fn client(bootstrap: &BootstrapFile) -> Node {
    let mut config = NodeConfig::client(bootstrap.clone(), loopback(0));
    config.lookup_tunnels = 4;
    config.ready_at = 3;
    Node::start(config).await.expect("a client starts")
}

/// Relays that know each other through the first two.
pub struct Network {
    pub nodes: Vec<Node>,
    pub bootstrap: BootstrapFile,
    /// Networks of one process run one after another: each is measured against timeouts.
    _alone: MutexGuard<'static, ()>,
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

impl Network {
    /// Starts this many relays and waits until all are ready.
    pub async fn start(name: &str, size: usize) -> Self {
        let mut network = Self {
            nodes: Vec::new(),
            bootstrap: BootstrapFile::new(name, Profile::Test),
            _alone: ONE_AT_A_TIME.lock().await,
        };
        for _ in 0..size {
            let node = start(&network.bootstrap, |_| {}).await;
            if network.bootstrap.peers.len() < 2 {
                let address = node.local_address().to_string();
                network.bootstrap = network.bootstrap.with_peer(address, node.identity());
            }
            network.nodes.push(node);
        }
        for node in &network.nodes {
            ready(node).await;
        }
        network
    }

    /// Waits until every persona knows at least this many others.
    pub async fn tables(&self, at_least: usize) {
        for node in &self.nodes {
            eventually(node, "a filled table", |status| {
                status.dht.table_live >= at_least
            })
            .await;
        }
    }

    pub async fn shutdown(self) {
        for node in self.nodes {
            node.shutdown().await;
        }
    }
}

pub async fn ready(node: &Node) {
    if let Err(error) = node.ready(PATIENCE).await {
        let status = node.status().await;
        panic!("{error:?}\n{status:#?}");
    }
}

/// Looks at the status until it pleases.
pub async fn eventually(
    node: &Node,
    what: &str,
    pleases: impl Fn(&NodeStatus) -> bool,
) -> NodeStatus {
    let started = tokio::time::Instant::now();
    loop {
        let status = node.status().await.expect("the node runs");
        if pleases(&status) {
            return status;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{what} never came: {status:#?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A directory that goes away with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("deut-node-{}-{number}", std::process::id()));
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("it exists");
        let names = entries.map(|entry| entry.expect("readable").file_name());
        names
            .map(|name| name.into_string().expect("plain names"))
            .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
