//! How long requests and answers may be.

/// The bytes of one RPC: a request of at most [`MAX_REQUEST_BODY`], an answer of at most [`MAX_ANSWER_BODY`].
pub type Body = Vec<u8>;

/// Longest request body in bytes (what the transport's message layout leaves of 1,232).
pub const MAX_REQUEST_BODY: usize = 1_016;

/// Longest answer body in bytes.
pub const MAX_ANSWER_BODY: usize = 1_046;
