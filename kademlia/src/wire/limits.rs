//! Maximum lengths of requests and answers.

/// The bytes of one RPC: a request of at most [`MAX_REQUEST_BODY`], an answer of at most [`MAX_ANSWER_BODY`].
pub type Body = Vec<u8>;

/// Longest request body in bytes: the room that the transport leaves in a message.
pub const MAX_REQUEST_BODY: usize = 1_016;

/// Longest answer body in bytes.
pub const MAX_ANSWER_BODY: usize = 1_046;
