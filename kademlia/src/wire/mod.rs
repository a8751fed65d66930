//! Requests and answers as bytes.

pub(crate) mod limits;
pub(crate) mod rpc;
