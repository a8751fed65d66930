//! All cryptography: links (protocol §4), walks (§6), layers and cells (§7), messages (§8).

pub mod aead;
pub mod answer;
pub mod exchange;
pub mod layer;
pub mod message;
pub mod noise;
pub mod replay;
mod resolver;
pub mod session;
pub mod tunnel;
pub mod walk;

#[cfg(test)]
mod tests;

/// An AEAD tag or a MAC does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("forged")]
pub struct Forged;
