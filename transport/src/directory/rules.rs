//! The rules for descriptors and for answers to `WhoAreYou` (protocol §3.1, §4.1).

use std::net::SocketAddr;

use deut_common::time::Unix;

use super::relays::Relays;
use crate::{
    context::Context,
    wire::{
        datagram::Answer,
        descriptor::{Descriptor, DescriptorError},
    },
};

/// Checks every rule that needs no answer from the relay.
pub(super) fn check(
    cx: &Context,
    relays: &Relays,
    descriptor: &Descriptor,
) -> Result<(), DescriptorError> {
    let known = relays.get(descriptor.id());
    let known_epoch = known.map(|known| known.epoch);
    let (suite, policy) = (&cx.config.suite, &cx.config.policy);
    descriptor.check(suite, policy, cx.now.unix, known_epoch)?;
    if known.is_some_and(|known| !descriptor.may_follow(known)) {
        return Err(DescriptorError::EpochOld);
    }
    Ok(())
}

/// The descriptor of an answer, if all rules hold.
pub(super) fn accept(
    cx: &Context,
    relays: &Relays,
    from: SocketAddr,
    answer: &Answer,
) -> Result<Descriptor, DescriptorError> {
    let descriptor = Descriptor::decode(&answer.descriptor)?;
    check(cx, relays, &descriptor)?;
    check_echo(cx, from, answer, &descriptor)?;
    Ok(descriptor)
}

/// Checks that the relay answered from its address under its key.
fn check_echo(
    cx: &Context,
    from: SocketAddr,
    answer: &Answer,
    descriptor: &Descriptor,
) -> Result<(), DescriptorError> {
    if descriptor.address != from {
        return Err(DescriptorError::Address);
    }
    if !answer.verify(&cx.config.suite, descriptor) {
        return Err(DescriptorError::Signature);
    }
    Ok(())
}

/// The relay and its clock, if the answer is refused only for its times but would hold by that clock.
pub(super) fn by_its_own_clock(
    cx: &Context,
    from: SocketAddr,
    answer: &Answer,
    error: DescriptorError,
) -> Option<(Descriptor, Unix)> {
    if !matches!(
        error,
        DescriptorError::Expired | DescriptorError::EpochAhead
    ) {
        return None;
    }
    let (suite, policy) = (&cx.config.suite, &cx.config.policy);
    let descriptor = Descriptor::decode(&answer.descriptor).ok()?;
    let theirs = answer.time(suite, &descriptor)?;
    descriptor.check(suite, policy, theirs, None).ok()?;
    check_echo(cx, from, answer, &descriptor).ok()?;
    Some((descriptor, theirs))
}
