use deut_common::codec::Malformed;
use proptest::prelude::*;

use super::{hex, padding_is_checked, rule};
use crate::{
    ids::TunnelId,
    wire::frame::{
        Control, Frame, FrameBytes, WalkAnswer, WalkRequest, cell_body, cell_body_mut, cell_nonce,
        decode, encode_ack, encode_control, encode_goodbye, encode_gossip, encode_gossip_request,
        encode_keep_alive, set_cell_header,
    },
};

const BACK: TunnelId = TunnelId(0x0102_0304);
const FORWARD: TunnelId = TunnelId(0x0506_0708);

fn request() -> Control {
    Control::WalkRequest(WalkRequest {
        id_back: BACK,
        element: rule(1, 0x20),
    })
}

fn answer() -> Control {
    Control::WalkAnswer(Box::new(WalkAnswer {
        id_back: BACK,
        id_fwd: FORWARD,
        block: rule(11, 5),
        sealed: rule(13, 7),
    }))
}

fn starts_with(frame: &FrameBytes, content: &[u8]) {
    assert_eq!(&frame[..content.len()], content);
    padding_is_checked(frame, content.len(), |bytes| decode(bytes).is_ok());
}

#[test]
fn golden_frames_without_content() {
    starts_with(&encode_keep_alive(), &hex("00"));
    starts_with(&encode_gossip_request(), &hex("05"));
    starts_with(&encode_goodbye(), &hex("06"));
    assert_eq!(decode(&encode_goodbye()), Ok(Frame::Goodbye));
    assert_eq!(decode(&encode_keep_alive()), Ok(Frame::KeepAlive));
    assert_eq!(decode(&encode_gossip_request()), Ok(Frame::GossipRequest));
}

#[test]
fn golden_acknowledgement() {
    let frame = encode_ack(0xa1a2_a3a4);
    // type, tag
    starts_with(&frame, &hex("03 a1a2a3a4"));
    assert_eq!(decode(&frame), Ok(Frame::Ack { tag: 0xa1a2_a3a4 }));
}

#[test]
fn golden_walk_request() {
    let frame = encode_control(0xa1a2_a3a4, &request());
    // type, tag, kind, length; id_back; E
    let content = hex("02 a1a2a3a4 01 0024 01020304
         202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f");
    starts_with(&frame, &content);
    assert_eq!(
        decode(&frame),
        Ok(Frame::Control {
            tag: 0xa1a2_a3a4,
            control: request()
        })
    );
}

#[test]
fn golden_walk_answer() {
    let frame = encode_control(0xa1a2_a3a4, &answer());
    // type, tag, kind, length; id_back, id_fwd; block, sealed
    let mut content = hex("02 a1a2a3a4 02 04a8 01020304 05060708");
    content.extend(rule::<384>(11, 5));
    content.extend(rule::<800>(13, 7));
    assert_eq!(content.len(), 1_200);
    starts_with(&frame, &content);
    assert_eq!(
        decode(&frame),
        Ok(Frame::Control {
            tag: 0xa1a2_a3a4,
            control: answer()
        })
    );
}

#[test]
fn golden_tunnel_closed() {
    let control = Control::TunnelClosed { id: FORWARD };
    let frame = encode_control(7, &control);
    // type, tag, kind, length; id
    starts_with(&frame, &hex("02 00000007 03 0004 05060708"));
    assert_eq!(decode(&frame), Ok(Frame::Control { tag: 7, control }));
}

#[test]
fn golden_probe() {
    let frame = encode_control(7, &Control::Probe);
    // type, tag, kind, length
    starts_with(&frame, &hex("02 00000007 04 0000"));
    assert_eq!(
        decode(&frame),
        Ok(Frame::Control {
            tag: 7,
            control: Control::Probe
        })
    );
}

#[test]
fn golden_gossip() {
    for count in 1..=6 {
        let descriptors: Vec<[u8; 196]> = (0..count).map(|i| rule(3, i)).collect();
        let frame = encode_gossip(&descriptors);
        // type, count; descriptors
        let mut content = vec![4, u8::try_from(count).expect("six at most")];
        content.extend(descriptors.as_flattened());
        starts_with(&frame, &content);
        assert_eq!(decode(&frame), Ok(Frame::Gossip(&descriptors)));
    }
    // a seventh is left out; none and seven are refused
    let seven = vec![[9; 196]; 7];
    assert_eq!(
        decode(&encode_gossip(&seven)),
        Ok(Frame::Gossip(&seven[..6]))
    );
    for bad in [0, 7, 255] {
        let mut frame = encode_gossip(&seven[..1]);
        frame[1] = bad;
        assert_eq!(decode(&frame), Err(Malformed), "count {bad}");
    }
}

#[test]
fn golden_cell() {
    let mut frame: FrameBytes = [0xee; 1_200];
    set_cell_header(&mut frame, BACK, rule(1, 0x10));
    *cell_body_mut(&mut frame) = rule(7, 3);
    // type, tunnel id, nonce; body
    assert_eq!(
        frame[..24],
        hex("01 01020304 101112131415161718191a1b1c1d1e1f 030a11")
    );
    assert_eq!(decode(&frame), Ok(Frame::Cell { id: BACK }));
    assert_eq!(cell_nonce(&frame), rule(1, 0x10));
    assert_eq!(cell_body(&frame), &rule(7, 3));
}

#[test]
fn every_other_length_of_a_control_frame_is_refused() {
    for control in [
        request(),
        answer(),
        Control::TunnelClosed { id: BACK },
        Control::Probe,
    ] {
        let good = encode_control(7, &control);
        let right = u16::from_be_bytes([good[6], good[7]]);
        for length in (0..=1_200).chain([u16::MAX]) {
            let mut frame = good;
            frame[6..8].copy_from_slice(&length.to_be_bytes());
            assert_eq!(
                decode(&frame).is_ok(),
                length == right,
                "{control:?} {length}"
            );
        }
    }
}

#[test]
fn unknown_types_kinds_and_zero_ids_are_refused() {
    let cell = {
        let mut frame = [0; 1_200];
        set_cell_header(&mut frame, BACK, [1; 16]);
        frame
    };
    assert!(decode(&cell).is_ok());
    for kind in 7..=255 {
        let mut frame = cell;
        frame[0] = kind;
        assert_eq!(decode(&frame), Err(Malformed), "type {kind}");
    }
    for kind in (0..=255).filter(|kind| !(1..=4).contains(kind)) {
        let mut frame = encode_control(7, &request());
        frame[5] = kind;
        assert_eq!(decode(&frame), Err(Malformed), "control {kind}");
    }
    for (frame, at) in [
        (cell, 1),
        (encode_control(7, &request()), 8),
        (encode_control(7, &answer()), 12),
    ] {
        let mut frame = frame;
        frame[at..at + 4].fill(0);
        assert_eq!(decode(&frame), Err(Malformed), "zero id");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 1_200), head in any::<[u8; 2]>()) {
        let mut frame: FrameBytes = bytes.try_into().expect("that many");
        let _ = decode(&frame).is_ok();
        frame[0] = head[0] % 7;
        frame[5] = head[1] % 5;
        let _ = decode(&frame).is_ok();
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(tag: u32, kind in 1_u8..5, body in prop::collection::vec(any::<u8>(), 1_192)) {
        let length: u16 = [36, 1_192, 4, 0][usize::from(kind) - 1];
        let mut frame: FrameBytes = [0; 1_200];
        frame[0] = 2;
        frame[1..5].copy_from_slice(&tag.to_be_bytes());
        frame[5] = kind;
        frame[6..8].copy_from_slice(&length.to_be_bytes());
        frame[8..8 + usize::from(length)].copy_from_slice(&body[..usize::from(length)]);
        if let Ok(Frame::Control { tag, control }) = decode(&frame) {
            prop_assert_eq!(encode_control(tag, &control), frame);
        }
    }
}
