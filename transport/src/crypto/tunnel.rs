//! Cells end to end: one AEAD between master and endpoint (protocol §7.2).

use std::fmt;

use super::{
    Forged,
    aead::{AeadKey, counter_nonce},
    replay::TunnelWindow,
    walk::DirectionKeys,
};
use crate::{
    drop_reason::DropReason,
    wire::{
        bytes::{is_zero, part, part_mut},
        cell::{CELL_PLAINTEXT, Cell},
        frame::CELL_BODY,
    },
};

/// Our end of the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelRole {
    /// The tunnel is ours.
    Master,
    /// The tunnel ends here.
    Endpoint,
}

/// Seals and opens the cells of one tunnel.
pub struct TunnelCipher {
    role: TunnelRole,
    k0: DirectionKeys,
    k0_refused: bool,
    k1: Option<DirectionKeys>,
    counter: u64,
    window: TunnelWindow,
}

impl TunnelCipher {
    /// A cipher before the exchange, with K0 only.
    #[must_use]
    pub fn new(role: TunnelRole, k0: DirectionKeys) -> Self {
        Self {
            role,
            k0,
            k0_refused: false,
            k1: None,
            counter: 0,
            window: TunnelWindow::new(),
        }
    }

    /// Our own tunnel, before the exchange.
    #[must_use]
    pub fn master(k0: DirectionKeys) -> Self {
        Self::new(TunnelRole::Master, k0)
    }

    /// A tunnel that ends here, before the exchange.
    #[must_use]
    pub fn endpoint(k0: DirectionKeys) -> Self {
        Self::new(TunnelRole::Endpoint, k0)
    }

    /// Sets the keys of the exchange. K0 stays in use until the first cell under K1 is opened (protocol §7.2).
    pub fn set_session(&mut self, k1: DirectionKeys) {
        self.k1 = Some(k1);
    }

    /// Returns true once the keys of the exchange are set.
    #[must_use]
    pub fn has_session(&self) -> bool {
        self.k1.is_some()
    }

    /// Returns true once the peer has shown that it has the keys of the exchange too: a cell under K1 was opened.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.k0_refused
    }

    /// Seals a cell into `body` and returns the nonce `counter 8 ‖ zero 8` with which the layers start. K1 is used once it is set;
    /// the endpoint first waits for the master's first cell under K1, so that it can repeat its confirmation.
    pub fn seal(&mut self, cell: &Cell, body: &mut [u8; CELL_BODY]) -> [u8; 16] {
        let counter = self.counter;
        self.counter = self.counter.saturating_add(1);
        *part_mut::<0, CELL_PLAINTEXT, _>(body) = cell.encode();
        let may_use_k1 = self.role == TunnelRole::Master || self.k0_refused;
        let keys = self.k1.as_ref().filter(|_| may_use_k1).unwrap_or(&self.k0);
        self.sending(keys)
            .seal_in_place(counter_nonce(counter), &[], body);
        let mut nonce = [0; 16];
        *part_mut::<0, 8, _>(&mut nonce) = counter.to_be_bytes();
        nonce
    }

    /// Opens a cell whose layers are removed; `nonce` must read `counter 8 ‖ zero 8`. `body` is not changed.
    ///
    /// # Errors
    /// - [`DropReason::CellForged`]: no key fits or the nonce is not of that form.
    /// - [`DropReason::Replayed`]: the counter was seen or is too old.
    /// - [`DropReason::Malformed`]: genuine, but not a cell.
    /// - [`DropReason::UnexpectedCell`]: this end never receives this type, or not under this key.
    pub fn open(
        &mut self,
        nonce: [u8; 16],
        body: &mut [u8; CELL_BODY],
    ) -> Result<Cell, DropReason> {
        if !is_zero(part::<8, 8, _>(&nonce)) {
            return Err(DropReason::CellForged);
        }
        let counter = u64::from_be_bytes(*part::<0, 8, _>(&nonce));
        if !self.window.check(counter) {
            return Err(DropReason::Replayed);
        }
        let mut plaintext = [0; CELL_PLAINTEXT];
        let under_k1 = self
            .open_with_any(counter, body, &mut plaintext)
            .map_err(|_| DropReason::CellForged)?;
        self.window.mark(counter);
        self.k0_refused |= under_k1;
        let cell = Cell::decode(&plaintext)?;
        let for_us = cell.is_from_master() == (self.role == TunnelRole::Endpoint);
        if for_us && cell.is_exchange() != under_k1 {
            Ok(cell)
        } else {
            Err(DropReason::UnexpectedCell)
        }
    }

    /// Tries K1, then K0; true if it was K1.
    fn open_with_any(&self, counter: u64, body: &[u8], out: &mut [u8]) -> Result<bool, Forged> {
        let nonce = counter_nonce(counter);
        if let Some(k1) = &self.k1
            && self.receiving(k1).open_into(nonce, &[], body, out).is_ok()
        {
            return Ok(true);
        }
        if self.k0_refused {
            return Err(Forged);
        }
        self.receiving(&self.k0)
            .open_into(nonce, &[], body, out)
            .map(|()| false)
    }

    fn sending<'a>(&self, keys: &'a DirectionKeys) -> &'a AeadKey {
        match self.role {
            TunnelRole::Master => &keys.forward,
            TunnelRole::Endpoint => &keys.back,
        }
    }

    fn receiving<'a>(&self, keys: &'a DirectionKeys) -> &'a AeadKey {
        match self.role {
            TunnelRole::Master => &keys.back,
            TunnelRole::Endpoint => &keys.forward,
        }
    }
}

impl fmt::Debug for TunnelCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TunnelCipher({:?}, {} sealed)", self.role, self.counter)
    }
}
