//! Counters that have been seen: the replay window of RFC 6479.

/// A sliding window over the counters of one direction. A ring of `WORDS` words of 64 bits:
///
/// ```text
///   counters   ... 128 ┊ 192 ┊ 256 ┊ 320 ...        WORDS = 4
///   ring       [ word 2 | word 3 | word 0 | word 1 ]
///                ▲ partly forgotten     ▲ highest seen is here
///                └────── accepted ──────┘ and everything beyond
/// ```
///
/// The word that the highest counter enters is shared with the oldest counters, so the window is one word shorter than the ring:
/// `(WORDS - 1) × 64` counters up to and including the highest are remembered, and older ones are refused.
#[derive(Clone, Debug)]
pub struct ReplayWindow<const WORDS: usize> {
    ring: [u64; WORDS],
    highest: u64,
}

/// The window of a link: 1,024 (protocol §4.4).
pub type LinkWindow = ReplayWindow<17>;
/// The window of a tunnel direction: 8,192 (protocol §7.2).
pub type TunnelWindow = ReplayWindow<129>;

const _: () = assert!(LinkWindow::SIZE == 1_024 && TunnelWindow::SIZE == 8_192);

impl<const WORDS: usize> ReplayWindow<WORDS> {
    /// Number of counters that are remembered.
    pub const SIZE: u64 = {
        assert!(WORDS >= 2);
        (WORDS as u64 - 1) * 64
    };

    /// A window that has seen no counter.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ring: [0; WORDS],
            highest: 0,
        }
    }

    /// Returns true for a counter that is neither seen nor too old. It changes nothing: ask before decrypting.
    #[must_use]
    pub fn check(&self, counter: u64) -> bool {
        if counter > self.highest {
            return true;
        }
        self.highest - counter < Self::SIZE
            && self
                .ring
                .get(Self::slot(counter))
                .is_some_and(|word| word & bit(counter) == 0)
    }

    /// Remembers a counter that was checked and whose datagram was genuine.
    pub fn mark(&mut self, counter: u64) {
        if counter > self.highest {
            let (old, new) = (self.highest / 64, counter / 64);
            for word in (old..new).take(WORDS) {
                if let Some(word) = self.ring.get_mut(Self::slot_of_word(word + 1)) {
                    *word = 0;
                }
            }
            self.highest = counter;
        } else if self.highest - counter >= Self::SIZE {
            return;
        }
        if let Some(word) = self.ring.get_mut(Self::slot(counter)) {
            *word |= bit(counter);
        }
    }

    fn slot(counter: u64) -> usize {
        Self::slot_of_word(counter / 64)
    }

    fn slot_of_word(word: u64) -> usize {
        (word % WORDS as u64) as usize
    }
}

impl<const WORDS: usize> Default for ReplayWindow<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}
