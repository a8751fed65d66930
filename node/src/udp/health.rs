//! The health of the machine's network: is everything sent that should be?

use std::{
    io,
    net::{IpAddr, UdpSocket},
};

use deut_common::time::Mono;
use deut_transport::status::{LocalNetwork, SendRefusal};

/// Refusals are compared with what was sent over this time, µs.
const WINDOW_US: u64 = 1_000_000;
/// While nothing is refused, it is enough to check the address this often, µs.
const IDLE_US: u64 = 5_000_000;
/// Fewer refusals in a row of windows are not reported: one destination may be forbidden.
const SAID_FROM: u64 = 4;
/// A growing count is reported this often, µs.
const AGAIN_US: u64 = 5_000_000;

#[derive(Debug, Default)]
pub(super) struct Health {
    state: LocalNetwork,
    /// Numbers sent and refused at the end of the last window.
    before: (u64, u64),
    /// Number of refusals since more was refused than sent.
    run: u64,
    why: Option<SendRefusal>,
    /// The next look is the late one.
    calm: bool,
    next: Mono,
    told: Mono,
}

impl Health {
    /// The system refused to send a datagram.
    pub(super) fn refused(&mut self, error: &io::Error) {
        use io::ErrorKind as Kind;
        self.why = Some(match error.kind() {
            Kind::PermissionDenied => SendRefusal::Forbidden,
            Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::NetworkDown => {
                SendRefusal::NoRoute
            }
            _ => SendRefusal::Other,
        });
        // The first refusal is looked at soon.
        if std::mem::take(&mut self.calm) {
            self.next = Mono(self.next.0.saturating_sub(IDLE_US - WINDOW_US));
        }
    }

    /// The time to look again.
    pub(super) const fn due(&self) -> Mono {
        self.next
    }

    /// Judges the datagrams since the last look. Returns the state if that is news.
    pub(super) fn look(
        &mut self,
        now: Mono,
        (sent, refused): (u64, u64),
        is_here: impl FnOnce() -> bool,
    ) -> Option<LocalNetwork> {
        if now < self.next {
            return None;
        }
        let went = sent - self.before.0;
        let failed = refused - self.before.1;
        self.before = (sent, refused);
        if failed > went {
            self.run += failed;
        } else if went > 0 {
            self.run = 0;
        }
        let state = if !is_here() {
            LocalNetwork::AddressGone
        } else if self.run >= SAID_FROM {
            LocalNetwork::Refuses {
                times: self.run,
                why: self.why.unwrap_or(SendRefusal::Other),
            }
        } else {
            LocalNetwork::Works
        };
        self.calm = state == LocalNetwork::Works && failed == 0 && self.run == 0;
        self.next = now.plus_us(if self.calm { IDLE_US } else { WINDOW_US });
        let same = std::mem::discriminant(&state) == std::mem::discriminant(&self.state);
        if state == self.state || (same && now < self.told.plus_us(AGAIN_US)) {
            return None;
        }
        self.state = state;
        self.told = now;
        Some(state)
    }
}

/// Returns true if an address belongs to this machine: others cannot be bound.
pub(crate) fn is_here(ip: IpAddr) -> bool {
    let bound = UdpSocket::bind((ip, 0));
    // A lack of descriptors says nothing about the address.
    !bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(s: u64) -> Mono {
        Mono(s * 1_000_000)
    }

    fn forbidden() -> io::Error {
        io::ErrorKind::PermissionDenied.into()
    }

    #[test]
    fn what_is_mostly_refused_is_said_with_a_count_until_something_is_sent() {
        let mut health = Health::default();
        assert_eq!(health.look(second(1), (100, 0), || true), None);
        health.refused(&forbidden());
        let said = health.look(second(6), (100, 30), || true);
        let refuses = |times| LocalNetwork::Refuses {
            times,
            why: SendRefusal::Forbidden,
        };
        assert_eq!(said, Some(refuses(30)));
        assert_eq!(health.look(second(7), (100, 60), || true), None, "no flood");
        assert_eq!(
            health.look(second(8), (100, 60), || true),
            None,
            "nothing tried"
        );
        assert_eq!(
            health.look(second(12), (100, 70), || true),
            Some(refuses(70))
        );
        assert_eq!(
            health.look(second(13), (105, 70), || true),
            Some(LocalNetwork::Works)
        );
    }

    #[test]
    fn a_forbidden_destination_among_others_is_no_news() {
        let mut health = Health::default();
        for s in 1..20 {
            health.refused(&forbidden());
            assert_eq!(health.look(second(5 * s), (s * 100, s * 40), || true), None);
        }
        // Neither are a few refusals if nothing else is sent.
        let mut health = Health::default();
        assert_eq!(health.look(second(5), (0, SAID_FROM - 1), || true), None);
    }

    #[test]
    fn an_address_that_goes_and_comes_back_is_noticed_without_any_traffic() {
        let mut health = Health::default();
        assert_eq!(health.look(second(1), (0, 0), || true), None);
        assert!(health.due() <= second(6));
        assert_eq!(
            health.look(second(6), (0, 0), || false),
            Some(LocalNetwork::AddressGone)
        );
        assert!(health.due() <= second(7), "looks more often now");
        assert_eq!(
            health.look(second(7), (0, 0), || true),
            Some(LocalNetwork::Works)
        );
    }

    #[test]
    fn loopback_is_of_this_machine_and_a_documentation_address_is_not() {
        assert!(is_here([127, 0, 0, 1].into()));
        assert!(!is_here([192, 0, 2, 1].into()));
    }
}
