//! The persona's own contact: its proof of work, its choice of addresses, its renewal.
use deut_common::{
    address::EndpointAddress,
    time::{Now, Unix},
};

use crate::{
    contact::{Contact, ContactRules},
    id::NodeId,
    identity::{PersonaSecret, WorkSearch},
};

/// An address with less time left than this, in seconds, is not advertised.
const MIN_LIFE: u64 = 60;

#[derive(Debug)]
enum Work {
    Found(u32),
    Searching(WorkSearch),
}

#[derive(Debug)]
pub(super) struct OwnContact {
    secret: PersonaSecret,
    id: NodeId,
    work: Work,
    addresses: Vec<(EndpointAddress, Unix)>,
    contact: Option<Contact>,
    /// The end of the newest signed contact, in minutes. Others may still hold that contact when its addresses are gone.
    last_minutes: u64,
}

impl OwnContact {
    pub(super) fn new(secret: PersonaSecret, rules: &ContactRules) -> Self {
        let search = WorkSearch::new(secret.public(), rules.work_bits);
        Self {
            id: secret.id(),
            secret,
            work: Work::Searching(search),
            addresses: Vec::new(),
            contact: None,
            last_minutes: 0,
        }
    }

    pub(super) fn id(&self) -> NodeId {
        self.id
    }

    pub(super) fn key(&self) -> [u8; 32] {
        self.secret.public()
    }

    /// The contact, if there is one with life left.
    pub(super) fn current(&self, now: &Now) -> Option<&Contact> {
        self.contact
            .as_ref()
            .filter(|contact| !contact.is_expired(now.unix))
    }

    /// The addresses in the newest contact.
    pub(super) fn contact_addresses(&self) -> Vec<EndpointAddress> {
        let contact = self.contact.iter().flat_map(Contact::addresses);
        contact.copied().collect()
    }

    /// Returns true if a tunnel ends at this address at present.
    pub(super) fn has(&self, address: &EndpointAddress) -> bool {
        self.addresses.iter().any(|(known, _)| known == address)
    }

    /// Sets the present addresses. At most `max` are kept, those that live longest.
    pub(super) fn set_addresses(
        &mut self,
        mut addresses: Vec<(EndpointAddress, Unix)>,
        rules: &ContactRules,
    ) {
        addresses.retain(|(address, _)| rules.allows(address));
        addresses.sort_unstable_by_key(|(address, until)| (u64::MAX - until.0, *address));
        addresses.dedup_by_key(|(address, _)| *address);
        addresses.truncate(16);
        self.addresses = addresses;
    }

    /// Returns true if the proof of work needs another slice.
    pub(super) fn is_searching(&self) -> bool {
        matches!(self.work, Work::Searching(_))
    }

    /// Does a slice of the proof of work, or signs a new contact if the addresses call for one. True if the contact is new.
    pub(super) fn renew(&mut self, rules: &ContactRules, now: &Now) -> bool {
        let nonce = match &mut self.work {
            Work::Found(nonce) => *nonce,
            Work::Searching(search) => {
                let Some(nonce) = search.step() else {
                    return false;
                };
                self.work = Work::Found(nonce);
                nonce
            }
        };
        let (addresses, until) = self.chosen(rules, now);
        // Whole minutes, rounded down: seconds would give away our clock, and an endpoint must not be asked after its end.
        let minutes = until.0 / 60;
        let same = self.contact.as_ref().map(Contact::addresses) == Some(&addresses[..]);
        if same && self.last_minutes >= minutes {
            return false;
        }
        let before = self.last_minutes;
        let minutes = if !same && before.saturating_mul(60) > now.unix.0 {
            // A node that holds both contacts must see which is newer. The tunnels are replaced long before.
            minutes.max(before + 1)
        } else {
            minutes
        };
        let latest = now.unix.0.saturating_add(rules.max_life_seconds) / 60;
        let minutes = u32::try_from(minutes.min(latest)).unwrap_or(u32::MAX);
        self.contact = Contact::sign(&self.secret, nonce, minutes, &addresses).ok();
        if self.contact.is_some() {
            self.last_minutes = minutes.into();
        }
        self.contact.is_some()
    }

    /// One address of each family, or up to three of IPv4, in order; and the first end among them.
    fn chosen(&self, rules: &ContactRules, now: &Now) -> (Vec<EndpointAddress>, Unix) {
        let most = now.unix.0.saturating_add(rules.max_life_seconds);
        let fresh = || {
            self.addresses
                .iter()
                .filter(|(_, until)| until.0 > now.unix.0 + MIN_LIFE)
        };
        let v4 = fresh().filter(|(address, _)| address.ip.is_ipv4());
        let v6: Vec<_> = fresh()
            .filter(|(address, _)| address.ip.is_ipv6())
            .take(1)
            .collect();
        let chosen: Vec<_> = v4
            .take(if v6.is_empty() { 3 } else { 1 })
            .chain(v6)
            .collect();
        let until = chosen
            .iter()
            .map(|(_, until)| until.0)
            .min()
            .unwrap_or(0)
            .min(most);
        let mut addresses: Vec<_> = chosen.into_iter().map(|(address, _)| *address).collect();
        addresses.sort_unstable();
        (addresses, Unix(until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        testing::{NOW, address, secret},
    };

    fn own(addresses: &[(&str, u64)]) -> (OwnContact, bool) {
        let rules = Config::test().contact;
        let mut own = OwnContact::new(secret(1), &rules);
        let until = |life: &u64| Unix(NOW.unix.0 + life);
        own.set_addresses(
            addresses
                .iter()
                .map(|(text, life)| (address(text), until(life)))
                .collect(),
            &rules,
        );
        let new = own.renew(&rules, &NOW);
        (own, new)
    }

    fn contact(addresses: &[(&str, u64)]) -> Contact {
        own(addresses).0.current(&NOW).cloned().expect("a contact")
    }

    #[test]
    fn the_three_longest_lived_are_chosen_and_the_first_end_counts_in_whole_minutes() {
        let made = contact(&[
            ("10.0.0.1:2000", 90),
            ("10.0.0.4:2000", 600),
            ("10.0.0.3:2000", 500),
            ("10.0.0.2:2000", 400),
        ]);
        assert_eq!(
            made.addresses(),
            ["10.0.0.2:2000", "10.0.0.3:2000", "10.0.0.4:2000"].map(address)
        );
        let end = NOW.unix.0 + 400;
        assert_eq!(made.expiry(), Unix(end - end % 60));
    }

    #[test]
    fn both_families_are_served_where_both_exist() {
        let made = contact(&[
            ("10.0.0.1:2000", 600),
            ("10.0.0.2:2000", 500),
            ("[2001:db8::1]:2000", 400),
        ]);
        assert_eq!(
            made.addresses(),
            ["10.0.0.1:2000", "[2001:db8::1]:2000"].map(address)
        );
        assert_eq!(contact(&[("[2001:db8::1]:2000", 400)]).addresses().len(), 1);
    }

    #[test]
    fn nothing_is_signed_without_an_address_that_lives() {
        for addresses in [&[][..], &[("10.0.0.1:2000", 60)], &[("0.0.0.0:2000", 600)]] {
            let (own, new) = own(addresses);
            assert!(!new && own.current(&NOW).is_none());
        }
    }

    #[test]
    fn the_same_addresses_are_not_signed_again_others_are() {
        let (mut own, new) = own(&[("10.0.0.1:2000", 600), ("10.0.0.2:2000", 600)]);
        let rules = Config::test().contact;
        assert!(new && !own.renew(&rules, &NOW));
        own.set_addresses(
            vec![(address("10.0.0.1:2000"), Unix(NOW.unix.0 + 600))],
            &rules,
        );
        assert!(own.renew(&rules, &NOW));
        own.set_addresses(Vec::new(), &rules);
        assert!(!own.renew(&rules, &NOW) && own.current(&NOW).is_none());
    }

    #[test]
    fn whoever_holds_an_older_contact_sees_which_one_is_newer_even_if_there_was_none_between() {
        for between in [false, true] {
            let (mut own, _) = own(&[("10.0.0.1:2000", 600)]);
            let rules = Config::test().contact;
            let older = own.current(&NOW).cloned().expect("a contact");
            if between {
                own.set_addresses(Vec::new(), &rules);
                assert!(!own.renew(&rules, &NOW) && own.current(&NOW).is_none());
            }
            // The tunnels of this address end before those of the older one.
            let until = Unix(NOW.unix.0 + 300);
            own.set_addresses(vec![(address("10.0.0.2:2000"), until)], &rules);
            assert!(own.renew(&rules, &NOW));
            let newer = own.current(&NOW).expect("a contact");
            assert!(newer.replaces(&older), "none between: {between}");
            assert!(!older.replaces(newer), "none between: {between}");
        }
    }

    #[test]
    fn what_is_signed_passes_verification_with_its_work() {
        let rules = Config::production().contact;
        let mut own = OwnContact::new(secret(1), &rules);
        own.set_addresses(
            vec![(address("8.8.8.8:2000"), Unix(NOW.unix.0 + 1_000_000))],
            &rules,
        );
        let slices = (0..10_000).take_while(|_| !own.renew(&rules, &NOW)).count();
        assert!(slices > 0, "control: the work takes more than a slice");
        let bytes = own.current(&NOW).expect("signed").as_bytes().to_vec();
        assert!(
            Contact::verify(
                &deut_common::suite::SuiteRef::default(),
                &bytes,
                &rules,
                NOW.unix
            )
            .is_ok()
        );
    }
}
