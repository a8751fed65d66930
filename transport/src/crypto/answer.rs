//! The endpoint's answer to its master at the end of a walk (protocol §6.3).

use std::net::SocketAddr;

use deut_common::suite::SuiteRef;

use super::walk::{ANSWER, Hop, WalkOpened};
use crate::{
    drop_reason::DropReason,
    keys::{self, RelayKeys},
    labels,
    rsa::SPKI_LEN,
    wire::{
        bytes::{Writer, is_zero, part, part_mut},
        descriptor::{Descriptor, put_address, take_address},
        frame::WALK_SEALED,
    },
};

/// Length of the signed bytes without the label, E and Y.
const ANSWER_SIGNED: usize = Descriptor::LEN + SPKI_LEN + 18 + 1 + 4;

const _: () = assert!(ANSWER_SIGNED == 513 && ANSWER_SIGNED + 64 + 207 == ANSWER);

/// The endpoint's answer to its master (protocol §6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointAnswer {
    /// The endpoint's relay descriptor.
    pub descriptor: Descriptor,
    /// Its RSA public key.
    pub spki: Box<[u8; SPKI_LEN]>,
    /// The external address that messages for this tunnel go to.
    pub address: SocketAddr,
    /// Bit 0: it can send to IPv4 addresses, bit 1: to IPv6.
    pub families: u8,
    /// Unix seconds at which the tunnel ends.
    pub expiry: u32,
}

impl EndpointAnswer {
    /// Signs and seals the answer: the innermost `sealed`. `keys` are those of the descriptor.
    #[must_use]
    pub fn seal(&self, keys: &RelayKeys, hop: &Hop) -> [u8; WALK_SEALED] {
        let mut sealed = [0; WALK_SEALED];
        let mut writer = Writer::new(&mut sealed);
        writer.put(self.descriptor.bytes());
        writer.put(self.spki.as_slice());
        writer.put(&put_address(self.address));
        writer.put(&[self.families]);
        writer.put(&self.expiry.to_be_bytes());
        let signed = part::<0, ANSWER_SIGNED, _>(&sealed);
        let signature = keys.sign(&[labels::WALK_ANSWER, signed, hop.element(), hop.reply()]);
        *part_mut::<ANSWER_SIGNED, 64, _>(&mut sealed) = signature;
        hop.endpoint_keys()
            .seal
            .seal_in_place([0; 12], &[], &mut sealed);
        sealed
    }

    /// Reads an opened answer and verifies its signature, its padding, and that the address is one of the descriptor's.
    /// The descriptor's own rules are left to the directory.
    ///
    /// # Errors
    /// [`DropReason::BadEndpointAnswer`].
    pub fn open_and_verify(suite: &SuiteRef, opened: &WalkOpened) -> Result<Self, DropReason> {
        let bytes = &opened.answer;
        let descriptor = Descriptor::decode(part::<0, { Descriptor::LEN }, _>(bytes))
            .map_err(|_| DropReason::BadEndpointAnswer)?;
        let [families] = *part::<508, 1, _>(bytes);
        let answer = Self {
            spki: Box::new(*part::<196, SPKI_LEN, _>(bytes)),
            address: take_address(part::<490, 18, _>(bytes)),
            families,
            expiry: u32::from_be_bytes(*part::<509, 4, _>(bytes)),
            descriptor,
        };
        let signed: &[u8] = part::<0, ANSWER_SIGNED, _>(bytes);
        let genuine = is_zero(part::<577, 207, _>(bytes))
            && families <= 3
            && answer.descriptor.covers(answer.address)
            && keys::verify(
                suite,
                &answer.descriptor.identity,
                &[labels::WALK_ANSWER, signed, &opened.element, &opened.reply],
                part::<ANSWER_SIGNED, 64, _>(bytes),
            );
        if genuine {
            Ok(answer)
        } else {
            Err(DropReason::BadEndpointAnswer)
        }
    }
}
