//! Finds the address that `deut run` listens on.

use std::{net::SocketAddr, time::Duration};

use deut::BootstrapFile;
use tokio::time::sleep;

use crate::{
    cli::Listen,
    exit::{Exit, Failure},
};

/// Number of pauses of a second that a network or name server gets which comes up together with this machine.
const PATIENCE: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// The address to bind. Waits for a route to a peer if the address depends on it.
///
/// # Errors
/// If no peer is listed, or there is no route to one for half a minute.
pub(crate) async fn address(listen: Listen, file: &BootstrapFile) -> Result<SocketAddr, Failure> {
    let port = match listen {
        Listen::At(address) => return Ok(address),
        Listen::TowardsPeers(port) => port,
    };
    if file.peers.is_empty() {
        let text = "--listen auto needs peers to find its address, and bootstrap.toml lists none";
        return Err(Failure::new(Exit::BadConfig, text)
            .hint("the first node of a network names its address: --listen IP:PORT"));
    }
    for _ in 0..PATIENCE {
        match file.address_towards_peers().await {
            Ok(address) => return Ok((address, port).into()),
            Err(why) => tracing::debug!(%why, "--listen auto"),
        }
        sleep(PAUSE).await;
    }
    let address = file.address_towards_peers().await.map_err(|why| {
        Failure::new(Exit::CannotListen, why.to_string())
            .hint("connect this machine to their network, or name an address with --listen IP:PORT")
    })?;
    Ok((address, port).into())
}

/// Removes this node itself from the list of peers, since nodes may share one file that lists some of them.
pub(crate) fn without_ourselves(file: &mut BootstrapFile, ours: SocketAddr) {
    file.peers
        .retain(|peer| peer.address.parse::<SocketAddr>() != Ok(ours));
}

#[cfg(test)]
mod tests {
    use deut::Profile;

    use super::*;

    fn file() -> BootstrapFile {
        BootstrapFile::new("n", Profile::Test)
    }

    #[tokio::test]
    async fn auto_is_the_address_towards_the_peers() {
        let towards = Listen::TowardsPeers(15_000);
        let here = address(towards, &file().with_peer("127.0.0.1:4000", None)).await;
        assert_eq!(here, Ok(([127, 0, 0, 1], 15_000).into()));
        let alone = address(towards, &file()).await.expect_err("no peers");
        assert_eq!(alone.kind, Exit::BadConfig);
        let given = ([192, 0, 2, 1], 7_000).into();
        assert_eq!(address(Listen::At(given), &file()).await, Ok(given));
    }

    #[test]
    fn a_shared_file_may_list_this_node() {
        let listed = ["127.0.0.1:15000", "127.0.0.1:15129", "localhost:15000"];
        let mut file = listed
            .iter()
            .fold(file(), |file, peer| file.with_peer(*peer, None));
        without_ourselves(&mut file, ([127, 0, 0, 1], 15_000).into());
        let left: Vec<&str> = file
            .peers
            .iter()
            .map(|peer| peer.address.as_str())
            .collect();
        assert_eq!(left, ["127.0.0.1:15129", "localhost:15000"]);
    }
}
