//! The reply address of a tunnel: the gate that answers come through, and the lookup that it serves.

use crate::ids::{CallGroup, Gate};

pub(crate) struct Reply {
    /// The gate that the endpoint has confirmed.
    gate: Gate,
    /// The gate that the endpoint is asked to open in its place.
    setting: Option<Gate>,
    group: Option<CallGroup>,
    used: bool,
}

impl Reply {
    pub(super) const fn new(gate: Gate) -> Self {
        Self {
            gate,
            setting: None,
            group: None,
            used: false,
        }
    }

    /// The gate that answers may be sent to; `None` while it is being renewed.
    pub(crate) const fn gate(&self) -> Option<Gate> {
        match self.setting {
            None => Some(self.gate),
            Some(_) => None,
        }
    }

    /// Returns true for a gate that answers may come through: while it is being renewed, both the old and the new.
    pub(super) fn takes(&self, gate: Gate) -> bool {
        gate == self.gate || Some(gate) == self.setting
    }

    /// The lookup that it serves now.
    pub(crate) const fn group(&self) -> Option<CallGroup> {
        self.group
    }

    /// Returns true if it serves or has served a lookup.
    pub(crate) const fn is_used(&self) -> bool {
        self.used
    }

    pub(super) const fn serve(&mut self, group: CallGroup) {
        self.group = Some(group);
        self.used = true;
    }

    /// The lookup is over, and the next one gets another gate.
    pub(super) const fn renew(&mut self, fresh: Gate) {
        self.setting = Some(fresh);
        self.group = None;
    }

    pub(super) const fn confirmed(&mut self, gate: Gate) {
        self.gate = gate;
        self.setting = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Gate = Gate([1; 8]);
    const NEW: Gate = Gate([2; 8]);

    #[test]
    fn between_two_lookups_both_gates_take_answers_and_neither_is_told() {
        let mut reply = Reply::new(OLD);
        reply.serve(CallGroup(7));
        assert_eq!(
            (reply.gate(), reply.group()),
            (Some(OLD), Some(CallGroup(7)))
        );
        reply.renew(NEW);
        assert_eq!((reply.gate(), reply.group()), (None, None));
        assert!(reply.takes(OLD) && reply.takes(NEW) && reply.is_used());
        reply.confirmed(NEW);
        assert_eq!(reply.gate(), Some(NEW));
        assert!(!reply.takes(OLD));
    }
}
