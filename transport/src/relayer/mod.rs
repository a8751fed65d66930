//! What a node does for tunnels that pass through it: takes its place in a walk, and then passes cells on.

pub(crate) mod routes;
pub(crate) mod tunnels;
pub(crate) mod walks;
