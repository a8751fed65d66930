//! Everything that has a layout but needs no keys: protocol §3.1, §4, §5, §7.2, §7.5, §8.

pub mod bytes;
pub mod cell;
pub mod datagram;
pub mod descriptor;
pub mod frame;
pub mod hello;
pub mod message;

#[cfg(test)]
pub(crate) mod tests;
