//! Frames of a neighbour: whatever is read is written again byte for byte.

use deut_transport::{
    ids::TunnelId,
    wire::frame::{self, Control, Frame, FrameBytes, WALK_SEALED, WalkAnswer, WalkRequest},
};

use super::{Depth, input::sized};
use crate::kit::relay::sample;

/// Any bytes, cut or filled to the length of a frame.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let bytes: FrameBytes = sized(data);
    let Ok(decoded) = frame::decode(&bytes) else {
        return Depth::Refused;
    };
    let again = match &decoded {
        Frame::KeepAlive => frame::encode_keep_alive(),
        Frame::Cell { id } => {
            assert_ne!(*id, TunnelId(0));
            let mut again = bytes;
            frame::set_cell_header(&mut again, *id, frame::cell_nonce(&bytes));
            *frame::cell_body_mut(&mut again) = *frame::cell_body(&bytes);
            again
        }
        Frame::Control { tag, control } => {
            check(control);
            frame::encode_control(*tag, control)
        }
        Frame::Ack { tag } => frame::encode_ack(*tag),
        Frame::Gossip(descriptors) => {
            assert!((1..=frame::MAX_GOSSIP).contains(&descriptors.len()));
            frame::encode_gossip(descriptors)
        }
        Frame::GossipRequest => frame::encode_gossip_request(),
        Frame::Goodbye => frame::encode_goodbye(),
    };
    assert!(again == bytes, "{decoded:?}");
    Depth::Deep
}

fn check(control: &Control) {
    let ids = match control {
        Control::WalkRequest(request) => vec![request.id_back],
        Control::WalkAnswer(answer) => vec![answer.id_back, answer.id_fwd],
        Control::TunnelClosed { id } => vec![*id],
        Control::Probe => Vec::new(),
    };
    assert!(!ids.contains(&TunnelId(0)));
}

/// One of each type and kind; trailing zeros are left out.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let id = TunnelId(0x0102_0304);
    let answer = WalkAnswer {
        id_back: id,
        id_fwd: TunnelId(9),
        block: [7; 384],
        sealed: [8; WALK_SEALED],
    };
    let controls = [
        Control::WalkRequest(WalkRequest {
            id_back: id,
            element: [5; 32],
        }),
        Control::WalkAnswer(Box::new(answer)),
        Control::TunnelClosed { id },
        Control::Probe,
    ];
    let mut cell = [3; 1_200];
    frame::set_cell_header(&mut cell, id, [1; 16]);
    let told: Vec<[u8; 196]> = (1..=2).map(|number| *sample(number).1.bytes()).collect();
    let mut frames = vec![
        frame::encode_keep_alive(),
        cell,
        frame::encode_ack(77),
        frame::encode_gossip(&told),
        frame::encode_gossip_request(),
        frame::encode_goodbye(),
    ];
    frames.extend(
        controls
            .iter()
            .map(|control| frame::encode_control(11, control)),
    );
    frames.iter().map(|frame| trimmed(frame)).collect()
}

/// Without the zeros at its end, which reading fills in again.
#[must_use]
pub fn trimmed(bytes: &[u8]) -> Vec<u8> {
    let end = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1);
    bytes[..end.max(1)].to_vec()
}
