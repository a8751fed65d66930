//! The nodes of one process, each with its own UDP sockets on loopback.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use deut::{BootstrapFile, Node, NodeConfig, NodeId, NodeStatus, Profile, RelayId, StartError};

use tokio::{
    sync::Semaphore,
    time::{Duration, Instant, interval},
};

use crate::{
    exit::{Exit, Failure},
    report::hex,
    seed::seed_of,
    work::failed::not_ready,
};

/// Name of the network. Its id keeps it apart from every other network.
const NAME: &str = "testnet";
/// A node of the test profile that listens on port P has its endpoint ports at P + 1 to P + 128.
const BLOCK: u16 = 129;
/// Number of the first nodes through which the others join.
const ENTRANCES: usize = 2;
/// Time between two reports of the number of ready nodes.
const TELL: Duration = Duration::from_millis(200);
/// Number of tunnels of each node, for lookups and for the persona.
const TUNNELS: (usize, usize) = (4, 2);

/// The nodes of a test network; node 1 is the first.
pub(crate) struct Network {
    nodes: Vec<Node>,
    next_port: Option<u16>,
    seed: Option<u64>,
    file: BootstrapFile,
    names: Names,
    /// As many keys are made at once as there are processors: tens of threads would starve the sockets.
    key_permits: Arc<Semaphore>,
}

/// The nodes behind ids of the relay plane, ids of the persona plane, and endpoint addresses. Nobody in a real network has this
/// table.
#[derive(Debug, Default)]
pub(crate) struct Names {
    relays: BTreeMap<String, usize>,
    personas: BTreeMap<String, usize>,
    blocks: BTreeMap<u16, usize>,
}

impl Network {
    /// A network without nodes. Blocks of ports are taken from `first_port` on.
    pub(crate) fn new(first_port: u16, seed: Option<u64>) -> Self {
        let file = BootstrapFile::new(NAME, Profile::Test);
        Self {
            nodes: Vec::new(),
            next_port: Some(first_port),
            seed,
            file,
            names: Names::default(),
            key_permits: Arc::new(Semaphore::new(
                std::thread::available_parallelism().map_or(1, usize::from),
            )),
        }
    }

    /// Starts one more node, on the next block whose relay port is free.
    ///
    /// # Errors
    /// If the node does not start or no block is left.
    pub(crate) async fn add(&mut self) -> Result<Node, Failure> {
        let node = self.start().await?;
        let number = self.nodes.len() + 1;
        self.names.add_relay(number, &node);
        if number <= ENTRANCES {
            let file = std::mem::replace(&mut self.file, BootstrapFile::new(NAME, Profile::Test));
            self.file = file.with_peer(node.local_address().to_string(), node.identity());
        }
        self.nodes.push(node.clone());
        Ok(node)
    }

    async fn start(&mut self) -> Result<Node, Failure> {
        while let Some(port) = self.next_port {
            self.next_port = port
                .checked_add(BLOCK)
                .filter(|next| next.checked_add(BLOCK - 1).is_some());
            match Node::start(self.config(port)).await {
                Err(StartError::PortInUse { .. }) => {}
                started => return Ok(started?),
            }
        }
        Err(Failure::new(
            Exit::CannotListen,
            "no block of 129 free UDP ports is left on 127.0.0.1",
        )
        .hint("begin lower with --port, or start fewer nodes with --nodes"))
    }

    fn config(&self, port: u16) -> NodeConfig {
        let mut config = NodeConfig::new(
            self.file.clone(),
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
        );
        config.reachable = true;
        (config.lookup_tunnels, config.persona_tunnels) = TUNNELS;
        // All nodes share one machine, and making keys is most of the work of a start, so none are made in advance.
        config.limits.keys_in_store = 0;
        config.key_permits = Some(Arc::clone(&self.key_permits));
        // The number of the node and not its port, so that the same seed gives the same keys wherever the blocks are free.
        config.seed = self
            .seed
            .map(|seed| seed_of(&format!("testnet node {}", self.nodes.len() + 1), seed));
        config
    }

    /// Waits until every node is ready, and reports from time to time how many are.
    ///
    /// # Errors
    /// If one is not ready in time.
    pub(crate) async fn ready(
        &self,
        within: Duration,
        mut tell: impl FnMut(usize),
    ) -> Result<(), Failure> {
        let mut all = std::pin::pin!(self.all_ready(within));
        let mut ticks = interval(TELL);
        loop {
            tokio::select! {
                end = &mut all => return end,
                _ = ticks.tick() => {
                    let ready = |node: &&Node| node.watch_readiness().borrow().ready;
                    tell(self.nodes.iter().filter(ready).count());
                }
            }
        }
    }

    async fn all_ready(&self, within: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + within;
        for (index, node) in self.nodes.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Err(why) = node.ready(left).await {
                let failure = not_ready(&why, &node.bootstrap_troubles(), within);
                let message = format!("node {}: {}", index + 1, failure.message);
                return Err(Failure { message, ..failure });
            }
        }
        Ok(())
    }

    /// Learns the ids of the personas, which appear a moment after the start.
    ///
    /// # Errors
    /// If a node has stopped.
    pub(crate) async fn learn_personas(&mut self) -> Result<(), Failure> {
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(key) = node.persona_key().await? {
                self.names
                    .personas
                    .insert(short(&NodeId::hash_of(&key)), index + 1);
            }
        }
        Ok(())
    }

    /// The status of every node.
    ///
    /// # Errors
    /// If a node has stopped.
    pub(crate) async fn statuses(&self) -> Result<Vec<NodeStatus>, Failure> {
        let mut all = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            all.push(node.status().await?);
        }
        Ok(all)
    }

    /// Number of nodes.
    pub(crate) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A node by its number.
    pub(crate) fn node(&self, number: usize) -> Option<&Node> {
        self.nodes.get(number.checked_sub(1)?)
    }

    /// The file with which others join.
    pub(crate) const fn bootstrap(&self) -> &BootstrapFile {
        &self.file
    }

    /// The names of the nodes on both planes.
    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    /// The lowest and the highest port in use.
    pub(crate) fn ports(&self) -> (u16, u16) {
        let blocks = &self.names.blocks;
        let first = blocks.first_key_value().map_or(0, |(port, _)| *port);
        let last = blocks
            .last_key_value()
            .map_or(0, |(port, _)| port.saturating_add(BLOCK - 1));
        (first, last)
    }

    /// Stops all nodes.
    pub(crate) async fn shutdown(self) {
        let mut stopping = tokio::task::JoinSet::new();
        for node in self.nodes {
            stopping.spawn(node.shutdown());
        }
        stopping.join_all().await;
    }
}

impl Names {
    fn add_relay(&mut self, number: usize, node: &Node) {
        if let Some(identity) = node.identity() {
            self.relays.insert(hex(&RelayId::of(&identity).0), number);
        }
        self.blocks.insert(node.local_address().port(), number);
    }

    /// The number of the node behind a relay's id.
    pub(crate) fn relay(&self, id: &str) -> Option<usize> {
        self.relays.get(id).copied()
    }

    /// The number of the node behind the beginning of a persona's node id.
    pub(crate) fn persona(&self, id: &str) -> Option<usize> {
        self.personas.get(id).copied()
    }

    /// The number of the node that runs the endpoint at an address.
    pub(crate) fn endpoint(&self, address: SocketAddr) -> Option<usize> {
        let (first, number) = self.blocks.range(..=address.port()).next_back()?;
        (address.port() - first < BLOCK).then_some(*number)
    }
}

/// The beginning of an id, as in the steps of a lookup.
fn short(id: &NodeId) -> String {
    id.to_string().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_address_belongs_to_the_block_around_it() {
        let names = Names {
            blocks: BTreeMap::from([(15_000, 1), (15_258, 2)]),
            ..Names::default()
        };
        let node_at = |port: u16| names.endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        assert_eq!(
            [
                node_at(15_001),
                node_at(15_128),
                node_at(15_129),
                node_at(15_259),
                node_at(14_999)
            ],
            [Some(1), Some(1), None, Some(2), None]
        );
    }

    #[test]
    fn the_blocks_end_before_the_last_port() {
        let mut network = Network::new(65_400, None);
        let next = network
            .next_port
            .take()
            .and_then(|port| port.checked_add(BLOCK));
        assert_eq!(next.and_then(|next| next.checked_add(BLOCK - 1)), None);
    }
}
