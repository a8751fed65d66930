//! Counts of refused descriptors, by reason.

use std::collections::BTreeMap;

use crate::{drop_reason::DropReason, wire::descriptor::DescriptorError};

#[derive(Default)]
pub(super) struct Refusals(BTreeMap<&'static str, u64>);

impl Refusals {
    pub(super) const fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.0
    }

    pub(super) fn count(&mut self, reason: &'static str) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// Counts a broken rule and returns the reason to drop the descriptor.
    pub(super) fn refuse(&mut self, error: DescriptorError) -> DropReason {
        self.count(error.name());
        error.into()
    }
}
