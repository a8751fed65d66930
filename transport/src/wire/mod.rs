//! Everything that has a layout, without keys: protocol §3.1, §4, §5, §7.2, §7.5, §8.

pub mod bytes;
pub mod cell;
pub mod datagram;
pub mod descriptor;
pub mod frame;
pub mod hello;
pub mod message;

#[cfg(test)]
pub(crate) mod tests;

use crate::drop_reason::DropReason;

/// A reserved byte is set, a length points outside, padding is not zero, or a tag is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed")]
pub struct Malformed;

impl From<Malformed> for DropReason {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
