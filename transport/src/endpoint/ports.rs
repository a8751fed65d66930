//! The UDP ports of the endpoint range, one per tunnel: open, resting or free (protocol §7.4).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use deut_common::time::Mono;

use crate::{context::Context, timers::Timer, wire::descriptor::PortRange};

/// A closed port rests this long, so that late datagrams of its old tunnel reach no other.
const REST_MS: u64 = 120_000;
/// A port that another program holds is left alone this long.
const IN_USE_MS: u64 = 600_000;

/// The ports of the endpoint range.
pub(super) struct Ports {
    range: PortRange,
    /// `None`: open; `Some`: rests until that time.
    taken: BTreeMap<u16, Option<Mono>>,
}

impl Ports {
    pub(super) const fn new(range: PortRange) -> Self {
        Self {
            range,
            taken: BTreeMap::new(),
        }
    }

    /// A free port, uniformly chosen, but none that others may not send to.
    pub(super) fn take(&mut self, cx: &mut Context, ip: IpAddr) -> Option<u16> {
        let policy = cx.config.policy;
        let may = |port: &u16| {
            !self.taken.contains_key(port) && policy.may_send_to(SocketAddr::new(ip, *port))
        };
        let free: Vec<u16> = (self.range.first..=self.range.last).filter(may).collect();
        let port = *free.get(cx.index(free.len()))?;
        self.taken.insert(port, None);
        Some(port)
    }

    /// The tunnel of this port is over.
    pub(super) fn release(&mut self, cx: &mut Context, port: u16) {
        self.rest(cx, port, REST_MS);
    }

    /// Another program holds this port.
    pub(super) fn in_use(&mut self, cx: &mut Context, port: u16) {
        self.rest(cx, port, IN_USE_MS);
    }

    fn rest(&mut self, cx: &mut Context, port: u16, ms: u64) {
        let until = cx.mono().plus_ms(ms);
        self.taken.insert(port, Some(until));
        cx.timers.set_earlier(Timer::Ports, until);
    }

    pub(super) fn on_timer(&mut self, cx: &mut Context) {
        let now = cx.mono();
        self.taken
            .retain(|_, until| until.is_none_or(|until| until > now));
        if let Some(next) = self.taken.values().flatten().min() {
            cx.timers.set(Timer::Ports, *next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Role},
        policy::{Policy, Profile},
    };
    use deut_common::time::Now;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn shared() -> Context {
        let policy = Policy::new("bottle", Profile::Test).expect("a short name");
        Context::new(Config::new(policy, Role::Client), [1; 32], Now::default())
    }

    fn ports(first: u16, last: u16) -> Ports {
        Ports::new(PortRange { first, last })
    }

    /// All free ports, in ascending order.
    fn all(ports: &mut Ports, cx: &mut Context) -> Vec<u16> {
        let mut taken: Vec<u16> = std::iter::from_fn(|| ports.take(cx, HERE)).collect();
        taken.sort_unstable();
        taken
    }

    /// Moves the clock to `ms`, and runs the timer if it is due by then.
    fn at(ports: &mut Ports, cx: &mut Context, ms: u64) {
        cx.now.mono = Mono(0).plus_ms(ms);
        if let Some((_, timer)) = cx.timers.next().filter(|(due, _)| *due <= cx.mono()) {
            assert_eq!(timer, Timer::Ports);
            cx.timers.clear(timer);
            ports.on_timer(cx);
        }
    }

    #[test]
    fn no_port_is_given_twice_while_it_is_open() {
        let (mut ports, mut cx) = (ports(5_001, 5_040), shared());
        assert_eq!(
            all(&mut ports, &mut cx),
            (5_001..=5_040).collect::<Vec<u16>>()
        );
        at(&mut ports, &mut cx, 3_600_000);
        assert!(all(&mut ports, &mut cx).is_empty());
    }

    #[test]
    fn a_closed_port_rests_for_two_minutes_and_one_in_use_for_ten() {
        let (mut ports, mut cx) = (ports(5_001, 5_003), shared());
        all(&mut ports, &mut cx);
        ports.release(&mut cx, 5_002);
        ports.in_use(&mut cx, 5_003);
        at(&mut ports, &mut cx, 119_999);
        assert!(all(&mut ports, &mut cx).is_empty());
        at(&mut ports, &mut cx, 120_000);
        assert_eq!(all(&mut ports, &mut cx), [5_002]);
        at(&mut ports, &mut cx, 599_999);
        assert!(all(&mut ports, &mut cx).is_empty());
        at(&mut ports, &mut cx, 600_000);
        assert_eq!(all(&mut ports, &mut cx), [5_003]);
    }

    #[test]
    fn a_port_that_nobody_may_send_to_is_not_given() {
        let (mut ports, mut cx) = (ports(5_352, 5_354), shared());
        assert_eq!(all(&mut ports, &mut cx), [5_352, 5_354]);
    }
}
