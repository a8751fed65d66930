use deut_common::codec::Malformed;
use proptest::prelude::*;

use super::{hex, padding_is_checked, rule};
use crate::{
    ids::{Gate, Service},
    wire::message::{RequestHeader, TooLong, decode_response, encode_response},
};

fn header() -> RequestHeader {
    RequestHeader {
        request_id: rule(1, 0x10),
        reply: "198.51.100.7:5003".parse().expect("an address"),
        reply_gate: Gate(rule(1, 0xa0)),
        service: Service(0x0102),
    }
}

#[test]
fn golden_request() {
    let plaintext = header().encode(&[7, 8, 9]).expect("three bytes fit");
    // request id; reply ip, port; reply gate; service, zero, length; body
    let content = hex("101112131415161718191a1b1c1d1e1f
         00000000000000000000ffffc6336407 138b
         a0a1a2a3a4a5a6a7
         0102 0000 0003 070809");
    assert_eq!(&plaintext[..content.len()], content);
    assert_eq!(
        RequestHeader::decode(&plaintext),
        Ok((header(), &[7, 8, 9][..]))
    );
    padding_is_checked(&plaintext, content.len(), |bytes| {
        RequestHeader::decode(bytes).is_ok()
    });
}

#[test]
fn golden_response() {
    let plaintext = encode_response(&[7, 8, 9]).expect("three bytes fit");
    // length; body
    assert_eq!(plaintext[..5], hex("0003 070809"));
    assert_eq!(decode_response(&plaintext), Ok(&[7, 8, 9][..]));
    padding_is_checked(&plaintext, 5, |bytes| decode_response(bytes).is_ok());
}

#[test]
fn the_longest_bodies_fit_and_one_byte_more_does_not() {
    let plaintext = header().encode(&[9; 1_016]).expect("1,016 bytes fit");
    assert_eq!(
        RequestHeader::decode(&plaintext),
        Ok((header(), &[9; 1_016][..]))
    );
    assert_eq!(header().encode(&[9; 1_017]), Err(TooLong));
    let plaintext = encode_response(&[9; 1_046]).expect("1,046 bytes fit");
    assert_eq!(decode_response(&plaintext), Ok(&[9; 1_046][..]));
    assert_eq!(encode_response(&[9; 1_047]), Err(TooLong));
    assert_eq!(encode_response(&[9; 100_000]), Err(TooLong));
}

#[test]
fn lengths_that_point_outside_and_reserved_bytes_are_refused() {
    let request = header().encode(&[9; 1_016]).expect("1,016 bytes fit");
    for (at, byte) in [(44, 1), (45, 1), (46, 0xff), (47, 0xf9)] {
        let mut altered = request;
        altered[at] = byte;
        assert_eq!(RequestHeader::decode(&altered), Err(Malformed), "byte {at}");
    }
    for length in [1_047_u16, u16::MAX] {
        let mut response = [0; 1_048];
        response[..2].copy_from_slice(&length.to_be_bytes());
        assert_eq!(decode_response(&response), Err(Malformed));
    }
    assert_eq!(decode_response(&[0; 1_048]), Ok(&[][..]));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 1_064), length in 0_u16..1_100) {
        let mut request: [u8; 1_064] = bytes.try_into().expect("that many");
        let _ = RequestHeader::decode(&request).is_ok();
        request[44..46].fill(0);
        request[46..48].copy_from_slice(&length.to_be_bytes());
        if let Ok((header, body)) = RequestHeader::decode(&request) {
            prop_assert_eq!(header.encode(body), Ok(request));
        }
        let response: &[u8; 1_048] = request.first_chunk().expect("longer");
        let _ = decode_response(response).is_ok();
    }
}
