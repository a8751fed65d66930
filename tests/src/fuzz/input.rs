//! Reads decisions out of the fuzzer's bytes. At the end it reads zeros.

/// What is left of the input.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of it.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// A number below `below` (0 if that is 0), from one byte, or two where one is too few.
    pub fn below(&mut self, below: usize) -> usize {
        match below {
            0 | 1 => 0,
            2..=256 => usize::from(self.u8()) % below,
            _ => usize::from(self.u16()) % below,
        }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// The next `most` bytes, or as many as there are.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    /// Changes some bytes of `target` (position and mask from the input); whether it differs now.
    pub fn mutate(&mut self, target: &mut [u8]) -> bool {
        let before = target.to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(target.len());
            let mask = self.u8();
            if let Some(byte) = target.get_mut(at) {
                *byte ^= mask;
            }
        }
        target != before
    }
}

/// `data` cut or filled with zeros to exactly `N` bytes.
#[must_use]
pub fn sized<const N: usize>(data: &[u8]) -> [u8; N] {
    Input::new(data).array()
}
