//! Session datagrams: one AEAD per direction, counters, replay window (protocol §4.4).

use std::{fmt, sync::Arc};

use super::{
    aead::{AeadKey, TAG, counter_nonce},
    replay::LinkWindow,
};
use crate::{
    drop_reason::DropReason,
    packet::RELAY_DATAGRAM,
    wire::{
        bytes::{part, part_mut},
        datagram::{Datagram, SessionHeader},
        frame::FrameBytes,
    },
};

/// Number of datagrams of one direction after which a session ends.
pub const SESSION_DATAGRAMS: u64 = 1 << 20;

const FRAME: usize = 1_200;
const _: () = assert!(SessionHeader::LEN + FRAME + TAG == RELAY_DATAGRAM);

/// The two keys that a handshake gives.
pub struct SessionKeys {
    pub(super) send: Arc<AeadKey>,
    pub(super) receive: AeadKey,
}

impl SessionKeys {
    pub(crate) fn sending(&self) -> Arc<AeadKey> {
        Arc::clone(&self.send)
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

/// All 2^20 datagrams of this direction are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session has sent its last datagram")]
pub struct Exhausted;

/// One session with a neighbour.
pub struct Session {
    keys: SessionKeys,
    remote_index: u32,
    counter: u64,
    window: LinkWindow,
}

impl Session {
    /// Starts at counter 0. `remote_index` is the other side's index of this session.
    #[must_use]
    pub fn new(keys: SessionKeys, remote_index: u32) -> Self {
        Self {
            keys,
            remote_index,
            counter: 0,
            window: LinkWindow::new(),
        }
    }

    /// Turns a buffer with its plaintext at [16..1216] into a session datagram.
    ///
    /// # Errors
    /// The counter is used up; the buffer is as before.
    pub fn seal(&mut self, datagram: &mut Datagram) -> Result<(), Exhausted> {
        if self.counter >= SESSION_DATAGRAMS {
            return Err(Exhausted);
        }
        let header = SessionHeader {
            index: self.remote_index,
            counter: self.counter,
        };
        self.counter += 1;
        header.write(datagram);
        let aad = *part::<0, { SessionHeader::LEN }, _>(datagram);
        let sealed = part_mut::<{ SessionHeader::LEN }, { FRAME + TAG }, _>(datagram);
        self.keys
            .send
            .seal_in_place(counter_nonce(header.counter), &aad, sealed);
        Ok(())
    }

    /// Opens a session datagram in place; the plaintext then lies at [16..1216].
    ///
    /// # Errors
    /// - [`DropReason::Malformed`]: the header is not that of a session datagram.
    /// - [`DropReason::SessionExpired`]: the counter is one that no honest peer uses.
    /// - [`DropReason::Replayed`]: the counter was seen or is too old.
    /// - [`DropReason::LinkForged`]: the tag does not verify.
    pub fn open(&mut self, packet: &mut Datagram) -> Result<(), DropReason> {
        let header = SessionHeader::parse(packet).ok_or(DropReason::Malformed)?;
        if header.counter >= SESSION_DATAGRAMS {
            return Err(DropReason::SessionExpired);
        }
        if !self.window.check(header.counter) {
            return Err(DropReason::Replayed);
        }
        let aad = *part::<0, { SessionHeader::LEN }, _>(packet);
        let sealed = part_mut::<{ SessionHeader::LEN }, { FRAME + TAG }, _>(packet);
        self.keys
            .receive
            .open_in_place(counter_nonce(header.counter), &aad, sealed)
            .map_err(|_| DropReason::LinkForged)?;
        self.window.mark(header.counter);
        Ok(())
    }

    /// Number of datagrams that were sealed.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.counter
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} sent)", self.counter)
    }
}

/// The plaintext inside a session datagram.
#[must_use]
pub fn plaintext(packet: &Datagram) -> &FrameBytes {
    part::<{ SessionHeader::LEN }, FRAME, _>(packet)
}

/// The plaintext inside a session datagram, to write to.
#[must_use]
pub fn plaintext_mut(packet: &mut Datagram) -> &mut FrameBytes {
    part_mut::<{ SessionHeader::LEN }, FRAME, _>(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let keys = SessionKeys {
            send: AeadKey::new([1; 32]).into(),
            receive: AeadKey::new([1; 32]),
        };
        Session::new(keys, 7)
    }

    #[test]
    fn the_last_counter_is_sent_and_received_and_no_further_one() {
        let (mut sender, mut receiver) = (session(), session());
        sender.counter = SESSION_DATAGRAMS - 1;
        let mut datagram = [0; RELAY_DATAGRAM];
        assert_eq!(sender.seal(&mut datagram), Ok(()));
        assert_eq!(receiver.open(&mut datagram), Ok(()));
        assert_eq!(plaintext(&datagram), &[0; FRAME]);

        let mut datagram = [0; RELAY_DATAGRAM];
        assert_eq!(sender.seal(&mut datagram), Err(Exhausted));
        assert_eq!(datagram, [0; RELAY_DATAGRAM]);
        assert_eq!(sender.sent(), SESSION_DATAGRAMS);
        let mut beyond = [0; RELAY_DATAGRAM];
        SessionHeader {
            index: 7,
            counter: SESSION_DATAGRAMS,
        }
        .write(&mut beyond);
        assert_eq!(receiver.open(&mut beyond), Err(DropReason::SessionExpired));
    }
}
