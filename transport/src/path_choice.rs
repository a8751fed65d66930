//! An optional override of where other nodes' walks go. Without it they follow the coin and the directory.

use deut_common::ids::RelayId;

/// Asked by a relayer before it follows its coin and its directory (protocol §6). A node without an override follows both.
pub trait PathChoice: Send {
    /// Returns true if the walk ends here; `coin` is the result of the coin.
    fn ends_here(&mut self, coin: bool) -> bool {
        coin
    }

    /// Returns true if a walk of another node may go on to this relay.
    fn may_follow(&self, next: RelayId) -> bool;
}
