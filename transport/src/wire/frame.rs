//! Frames: the 1,200 bytes inside a session datagram (protocol §5).

use deut_common::codec::Malformed;

use super::{
    bytes::{Reader, Writer, part, part_mut},
    descriptor::Descriptor,
};
use crate::ids::TunnelId;

/// The plaintext of a session datagram.
pub type FrameBytes = [u8; 1_200];
/// Length of a cell's body, as the layers see it.
pub const CELL_BODY: usize = 1_179;
/// Largest number of descriptors in one gossip frame.
pub const MAX_GOSSIP: usize = 6;
/// Length of the slots in the answer to a walk: 12 of 32 bytes.
pub const WALK_BLOCK: usize = 384;
/// Length of the sealed part in the answer to a walk.
pub const WALK_SEALED: usize = 800;

const _: () = assert!(1 + 4 + 16 + CELL_BODY == 1_200);
const _: () = assert!(1 + 1 + MAX_GOSSIP * Descriptor::LEN <= 1_200);
const _: () = assert!(1 + 4 + 1 + 2 + 4 + 4 + WALK_BLOCK + WALK_SEALED == 1_200);

const KEEP_ALIVE: u8 = 0;
const CELL: u8 = 1;
const CONTROL: u8 = 2;
const ACK: u8 = 3;
const GOSSIP: u8 = 4;
const GOSSIP_REQUEST: u8 = 5;
const GOODBYE: u8 = 6;

/// A decoded frame. Of a cell only the tunnel id is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Keep-alive; it has no content.
    KeepAlive,
    /// A cell: see [`cell_nonce`] and [`cell_body_mut`].
    Cell {
        /// The tunnel on this link.
        id: TunnelId,
    },
    /// News about tunnels or a probe, to be acknowledged.
    Control {
        /// Tag that the acknowledgement repeats.
        tag: u32,
        /// The content.
        control: Control,
    },
    /// Acknowledges a control frame.
    Ack {
        /// Tag of that control frame.
        tag: u32,
    },
    /// One to six descriptors of relays.
    Gossip(&'a [[u8; Descriptor::LEN]]),
    /// Asks for a gossip frame.
    GossipRequest,
    /// The sender has closed this link.
    Goodbye,
}

/// The content of a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// `TunnelControlRequest`: a walk goes on to the receiver.
    WalkRequest(WalkRequest),
    /// `TunnelControlResponse`: the answer on its way back to the master.
    WalkAnswer(Box<WalkAnswer>),
    /// A tunnel is closed or a walk refused.
    TunnelClosed {
        /// The id of cells from the sender of this frame to its receiver.
        id: TunnelId,
    },
    /// Asks only for the acknowledgement, to see if the neighbour is there.
    Probe,
}

/// Asks the receiver to be the next hop of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkRequest {
    /// The id of cells back to the sender of this request.
    pub id_back: TunnelId,
    /// E, the group element for this hop.
    pub element: [u8; 32],
}

/// The answer to a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkAnswer {
    /// The `id_back` of the request.
    pub id_back: TunnelId,
    /// The id of cells forward to the sender of this answer.
    pub id_fwd: TunnelId,
    /// Twelve slots of 32 bytes.
    pub block: [u8; WALK_BLOCK],
    /// The endpoint's answer under one layer for each hop.
    pub sealed: [u8; WALK_SEALED],
}

/// Reads a frame.
///
/// # Errors
/// If the type or the kind of control is unknown, the length is wrong, a tunnel id is zero, or padding is not zero.
pub fn decode(frame: &FrameBytes) -> Result<Frame<'_>, Malformed> {
    let mut reader = Reader::new(frame);
    match reader.u8()? {
        KEEP_ALIVE => reader.zero_rest().map(|()| Frame::KeepAlive),
        CELL => Ok(Frame::Cell {
            id: take_id(&mut reader)?,
        }),
        CONTROL => {
            let tag = reader.u32()?;
            let (kind, length) = (reader.u8()?, reader.u16()?);
            let body = reader.slice(usize::from(length))?;
            reader.zero_rest()?;
            Ok(Frame::Control {
                tag,
                control: decode_control(kind, body)?,
            })
        }
        ACK => {
            let tag = reader.u32()?;
            reader.zero_rest().map(|()| Frame::Ack { tag })
        }
        GOSSIP => {
            let count = usize::from(reader.u8()?);
            if !(1..=MAX_GOSSIP).contains(&count) {
                return Err(Malformed);
            }
            let (descriptors, _) = reader.slice(count * Descriptor::LEN)?.as_chunks();
            reader.zero_rest().map(|()| Frame::Gossip(descriptors))
        }
        GOSSIP_REQUEST => reader.zero_rest().map(|()| Frame::GossipRequest),
        GOODBYE => reader.zero_rest().map(|()| Frame::Goodbye),
        _ => Err(Malformed),
    }
}

fn decode_control(kind: u8, body: &[u8]) -> Result<Control, Malformed> {
    let mut reader = Reader::new(body);
    let control = match kind {
        1 => Control::WalkRequest(WalkRequest {
            id_back: take_id(&mut reader)?,
            element: *reader.take()?,
        }),
        2 => Control::WalkAnswer(Box::new(WalkAnswer {
            id_back: take_id(&mut reader)?,
            id_fwd: take_id(&mut reader)?,
            block: *reader.take()?,
            sealed: *reader.take()?,
        })),
        3 => Control::TunnelClosed {
            id: take_id(&mut reader)?,
        },
        4 => Control::Probe,
        _ => return Err(Malformed),
    };
    reader.nothing_left().map(|()| control)
}

fn take_id(reader: &mut Reader<'_>) -> Result<TunnelId, Malformed> {
    match reader.u32()? {
        0 => Err(Malformed),
        id => Ok(TunnelId(id)),
    }
}

/// Encodes a keep-alive.
#[must_use]
pub fn encode_keep_alive() -> FrameBytes {
    start(KEEP_ALIVE)
}

/// Encodes a control frame.
#[must_use]
pub fn encode_control(tag: u32, control: &Control) -> FrameBytes {
    let mut frame = start(CONTROL);
    let mut writer = Writer::new(&mut frame[1..]);
    writer.put(&tag.to_be_bytes());
    match control {
        Control::WalkRequest(request) => {
            writer.put(&[1, 0, 36]);
            writer.put(&request.id_back.0.to_be_bytes());
            writer.put(&request.element);
        }
        Control::WalkAnswer(answer) => {
            writer.put(&[2]);
            writer.put(&1_192_u16.to_be_bytes());
            writer.put(&answer.id_back.0.to_be_bytes());
            writer.put(&answer.id_fwd.0.to_be_bytes());
            writer.put(&answer.block);
            writer.put(&answer.sealed);
        }
        Control::TunnelClosed { id } => {
            writer.put(&[3, 0, 4]);
            writer.put(&id.0.to_be_bytes());
        }
        Control::Probe => writer.put(&[4, 0, 0]),
    }
    frame
}

/// Encodes an acknowledgement.
#[must_use]
pub fn encode_ack(tag: u32) -> FrameBytes {
    let mut frame = start(ACK);
    *part_mut::<1, 4, _>(&mut frame) = tag.to_be_bytes();
    frame
}

/// Encodes a gossip frame with the first six of `descriptors`, of which there must be at least one.
#[must_use]
pub fn encode_gossip(descriptors: &[[u8; Descriptor::LEN]]) -> FrameBytes {
    debug_assert!(!descriptors.is_empty());
    let mut frame = start(GOSSIP);
    let mut writer = Writer::new(&mut frame[1..]);
    let descriptors = descriptors.get(..MAX_GOSSIP).unwrap_or(descriptors);
    writer.put(&[u8::try_from(descriptors.len()).unwrap_or(0)]);
    for descriptor in descriptors {
        writer.put(descriptor);
    }
    frame
}

/// Encodes a goodbye.
#[must_use]
pub fn encode_goodbye() -> FrameBytes {
    start(GOODBYE)
}

/// Encodes a gossip request.
#[must_use]
pub fn encode_gossip_request() -> FrameBytes {
    start(GOSSIP_REQUEST)
}

fn start(kind: u8) -> FrameBytes {
    let mut frame = [0; 1_200];
    *part_mut::<0, 1, _>(&mut frame) = [kind];
    frame
}

/// The nonce of a cell.
#[must_use]
pub fn cell_nonce(frame: &FrameBytes) -> [u8; 16] {
    *part::<5, 16, _>(frame)
}

/// The body of a cell.
#[must_use]
pub fn cell_body(frame: &FrameBytes) -> &[u8; CELL_BODY] {
    part::<21, CELL_BODY, _>(frame)
}

/// The body of a cell, to be changed in place.
#[must_use]
pub fn cell_body_mut(frame: &mut FrameBytes) -> &mut [u8; CELL_BODY] {
    part_mut::<21, CELL_BODY, _>(frame)
}

/// Makes this frame a cell of the tunnel `id` with this nonce. The body stays as it is.
pub fn set_cell_header(frame: &mut FrameBytes, id: TunnelId, nonce: [u8; 16]) {
    *part_mut::<0, 1, _>(frame) = [CELL];
    *part_mut::<1, 4, _>(frame) = id.0.to_be_bytes();
    *part_mut::<5, 16, _>(frame) = nonce;
}
