//! The plaintexts of requests and responses, which the seal of a message hides (protocol §8).

use std::net::SocketAddr;

use deut_common::codec::Malformed;

use super::{
    bytes::{Reader, Writer},
    descriptor::{put_address, take_address},
};
use crate::{
    ids::{Gate, Service},
    packet::MESSAGE_DATAGRAM,
};

/// Length of the plaintext of a request.
pub const REQUEST_PLAINTEXT: usize = 1_064;
/// Length of the longest body of a request.
pub const MAX_REQUEST_BODY: usize = 1_016;
/// Length of the plaintext of a response.
pub const RESPONSE_PLAINTEXT: usize = 1_048;
/// Length of the longest body of a response.
pub const MAX_ANSWER_BODY: usize = 1_046;

const _: () = assert!(8 + 32 + REQUEST_PLAINTEXT + 16 == MESSAGE_DATAGRAM);
const _: () = assert!(16 + 16 + 2 + 8 + 2 + 2 + 2 + MAX_REQUEST_BODY == REQUEST_PLAINTEXT);
const _: () = assert!(8 + 16 + 32 + RESPONSE_PLAINTEXT + 16 == MESSAGE_DATAGRAM);
const _: () = assert!(2 + MAX_ANSWER_BODY == RESPONSE_PLAINTEXT);

/// The body is longer than a message can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body does not fit into a message")]
pub struct TooLong;

/// Everything in a request except its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Random id, the same in every copy.
    pub request_id: [u8; 16],
    /// The address to which the answer is to be sent.
    pub reply: SocketAddr,
    /// The gate at that address, with which the answer begins.
    pub reply_gate: Gate,
    /// The protocol of the body.
    pub service: Service,
}

impl RequestHeader {
    /// Encodes as `header 48 ‖ body ‖ zero`.
    ///
    /// # Errors
    /// If the body is longer than 1,016 bytes.
    pub fn encode(&self, body: &[u8]) -> Result<[u8; REQUEST_PLAINTEXT], TooLong> {
        let length = length_of(body, MAX_REQUEST_BODY)?;
        let mut plaintext = [0; REQUEST_PLAINTEXT];
        let mut writer = Writer::new(&mut plaintext);
        writer.put(&self.request_id);
        writer.put(&put_address(self.reply));
        writer.put(&self.reply_gate.0);
        writer.put(&self.service.0.to_be_bytes());
        writer.put(&[0, 0]);
        writer.put(&length);
        writer.put(body);
        Ok(plaintext)
    }

    /// Decodes header and body.
    ///
    /// # Errors
    /// If a reserved byte is set, the length points outside, or padding is not zero.
    pub fn decode(plaintext: &[u8; REQUEST_PLAINTEXT]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(plaintext);
        let header = Self {
            request_id: *reader.take()?,
            reply: take_address(reader.take()?),
            reply_gate: Gate(*reader.take()?),
            service: Service(reader.u16()?),
        };
        if reader.u16()? != 0 {
            return Err(Malformed);
        }
        let length = usize::from(reader.u16()?);
        let body = reader.slice(length)?;
        reader.zero_rest()?;
        Ok((header, body))
    }
}

/// Encodes as `length 2 ‖ body ‖ zero`.
///
/// # Errors
/// If the body is longer than 1,046 bytes.
pub fn encode_response(body: &[u8]) -> Result<[u8; RESPONSE_PLAINTEXT], TooLong> {
    let length = length_of(body, MAX_ANSWER_BODY)?;
    let mut plaintext = [0; RESPONSE_PLAINTEXT];
    let mut writer = Writer::new(&mut plaintext);
    writer.put(&length);
    writer.put(body);
    Ok(plaintext)
}

/// Decodes the body of a response.
///
/// # Errors
/// If the length points outside or padding is not zero.
pub fn decode_response(plaintext: &[u8; RESPONSE_PLAINTEXT]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(plaintext);
    let length = usize::from(reader.u16()?);
    let body = reader.slice(length)?;
    reader.zero_rest().map(|()| body)
}

fn length_of(body: &[u8], most: usize) -> Result<[u8; 2], TooLong> {
    if body.len() > most {
        return Err(TooLong);
    }
    u16::try_from(body.len())
        .map(u16::to_be_bytes)
        .map_err(|_| TooLong)
}
