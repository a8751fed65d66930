//! An optional override of where walks of others go on: without one they follow the coin and the directory.

use deut_common::ids::RelayId;

/// Asked by a relayer before it follows its coin and its directory (protocol §6). A node without one follows both.
pub trait PathChoice: Send {
    /// Whether a walk ends here; `coin` is what the coin says.
    fn ends_here(&mut self, coin: bool) -> bool {
        coin
    }

    /// Whether a walk of somebody else may go on to this relay.
    fn may_follow(&self, next: RelayId) -> bool;
}
