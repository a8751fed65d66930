//! Relay descriptors: 196 signed bytes with the address and the keys of a relay (protocol §3.1).

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use deut_common::{ids::RelayId, suite::SuiteRef, time::Unix};

use super::bytes::{Writer, part};
use crate::{
    drop_reason::DropReason,
    ids::NetworkId,
    keys::{self, RelayKeys},
    labels,
    policy::Policy,
};

/// Largest number of endpoint ports of one relay.
pub const MAX_ENDPOINT_PORTS: usize = 2_048;
/// Longest validity, in minutes after the epoch.
pub const MAX_VALIDITY_MINUTES: u32 = 1_500;
/// Tolerance for clocks that differ, in minutes.
pub const TOLERANCE_MINUTES: u32 = 2;
/// Number of bytes that the signature covers.
const SIGNED: usize = Descriptor::LEN - 64;

/// The ports on which a relay hosts endpoints, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// Returns true if the port is in the range.
    #[must_use]
    pub const fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Number of ports; 0 if the ends are reversed.
    #[must_use]
    pub fn len(&self) -> usize {
        (usize::from(self.last) + 1).saturating_sub(usize::from(self.first))
    }

    /// Returns true if the ends are reversed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks the rules of protocol §3.1 for a relay with this relay port.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, relay_port: u16) -> Result<(), DescriptorError> {
        if self.is_empty() {
            return Err(DescriptorError::RangeReversed);
        }
        if self.len() > MAX_ENDPOINT_PORTS {
            return Err(DescriptorError::RangeTooWide);
        }
        if self.first < 1_024 {
            return Err(DescriptorError::RangeTooLow);
        }
        if self.contains(relay_port) {
            return Err(DescriptorError::RangeHoldsRelayPort);
        }
        Ok(())
    }
}

/// The roles of a relay: two bits on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayFlags(u16);

impl RelayFlags {
    /// Bit 0: it relays. Set in every descriptor.
    const RELAYS: u16 = 1;
    /// Bit 1: it hosts endpoints.
    const HOSTS: u16 = 2;

    /// The flags of a relay with or without the endpoint role.
    #[must_use]
    pub const fn new(hosts_endpoints: bool) -> Self {
        Self(if hosts_endpoints {
            Self::RELAYS | Self::HOSTS
        } else {
            Self::RELAYS
        })
    }

    /// The flags as on the wire.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }
}

/// The reason why a descriptor is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// It belongs to another network.
    #[error("it belongs to another network")]
    Network,
    /// No relay may live at its address.
    #[error("its address cannot be used")]
    Address,
    /// The first port is above the last.
    #[error("its endpoint range is reversed")]
    RangeReversed,
    /// The range has more than 2,048 ports.
    #[error("its endpoint range is too wide")]
    RangeTooWide,
    /// The range has ports below 1,024.
    #[error("its endpoint range holds privileged ports")]
    RangeTooLow,
    /// The relay port is one of the endpoint ports.
    #[error("its endpoint range holds the relay port")]
    RangeHoldsRelayPort,
    /// The flags have unknown bits, say that it does not relay, or do not match the endpoint range.
    #[error("its flags are refused")]
    Flags,
    /// The expiry is past.
    #[error("it has expired")]
    Expired,
    /// It is valid for longer than 1,500 minutes.
    #[error("it is valid for too long")]
    ExpiryTooFar,
    /// It was issued in the future.
    #[error("its epoch lies in the future")]
    EpochAhead,
    /// A newer descriptor of the same identity is known.
    #[error("a newer one is known")]
    EpochOld,
    /// The identity key is of small order or no point at all.
    #[error("its identity key is weak")]
    WeakKey,
    /// The signature does not verify.
    #[error("its signature fails")]
    Signature,
}

impl From<DescriptorError> for DropReason {
    fn from(error: DescriptorError) -> Self {
        match error {
            DescriptorError::Network => Self::OtherNetwork,
            DescriptorError::Signature | DescriptorError::WeakKey => Self::BadSignature,
            DescriptorError::Address
            | DescriptorError::RangeReversed
            | DescriptorError::RangeTooWide
            | DescriptorError::RangeTooLow
            | DescriptorError::RangeHoldsRelayPort
            | DescriptorError::Flags
            | DescriptorError::Expired
            | DescriptorError::ExpiryTooFar
            | DescriptorError::EpochAhead
            | DescriptorError::EpochOld => Self::BadDescriptor,
        }
    }
}

impl DescriptorError {
    /// The name, for counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Address => "Address",
            Self::RangeReversed => "RangeReversed",
            Self::RangeTooWide => "RangeTooWide",
            Self::RangeTooLow => "RangeTooLow",
            Self::RangeHoldsRelayPort => "RangeHoldsRelayPort",
            Self::Flags => "Flags",
            Self::Expired => "Expired",
            Self::ExpiryTooFar => "ExpiryTooFar",
            Self::EpochAhead => "EpochAhead",
            Self::EpochOld => "EpochOld",
            Self::WeakKey => "WeakKey",
            Self::Signature => "Signature",
        }
    }
}

/// A relay descriptor. A decoded one is not checked yet (see [`Descriptor::check`]), and a checked one is not verified yet
/// (protocol §3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The relay's network.
    pub network: NetworkId,
    /// The address of its relay port.
    pub address: SocketAddr,
    /// The ports on which it hosts endpoints, if it does.
    pub endpoint_ports: Option<PortRange>,
    /// Ed25519 identity key.
    pub identity: [u8; 32],
    /// X25519 key of the link handshake.
    pub link: [u8; 32],
    /// X25519 key of the onion path.
    pub onion: [u8; 32],
    /// Time of issue in Unix minutes.
    pub epoch: u32,
    /// Time of its end in Unix minutes.
    pub expiry: u32,
    /// Hash of the identity key, computed once.
    id: RelayId,
    bytes: [u8; Self::LEN],
}

impl Descriptor {
    /// Length on the wire.
    pub const LEN: usize = 196;

    /// Signs a descriptor with the keys of this relay.
    #[must_use]
    pub fn sign(
        keys: &RelayKeys,
        network: NetworkId,
        address: SocketAddr,
        endpoint_ports: Option<PortRange>,
        epoch_minutes: u32,
        expiry_minutes: u32,
    ) -> Self {
        let address = canonical(address);
        let (identity, link, onion) = (keys.identity(), keys.link(), keys.onion());
        let (first, last) = endpoint_ports.map_or((0, 0), |range| (range.first, range.last));
        let mut bytes = [0; Self::LEN];
        let mut writer = Writer::new(&mut bytes);
        writer.put(&network.0);
        writer.put(&put_address(address));
        writer.put(&first.to_be_bytes());
        writer.put(&last.to_be_bytes());
        writer.put(&identity);
        writer.put(&link);
        writer.put(&onion);
        writer.put(
            &RelayFlags::new(endpoint_ports.is_some())
                .bits()
                .to_be_bytes(),
        );
        writer.put(&epoch_minutes.to_be_bytes());
        writer.put(&expiry_minutes.to_be_bytes());
        let signature = keys.sign(&[labels::DESCRIPTOR, part::<0, SIGNED, _>(&bytes)]);
        *super::bytes::part_mut::<SIGNED, 64, _>(&mut bytes) = signature;
        Self {
            network,
            address,
            endpoint_ports,
            identity,
            link,
            onion,
            epoch: epoch_minutes,
            expiry: expiry_minutes,
            id: RelayId::of(&identity),
            bytes,
        }
    }

    /// Reads the fields. The only check is that flags and endpoint range agree.
    ///
    /// # Errors
    /// [`DescriptorError::Flags`].
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, DescriptorError> {
        let (first, last) = (
            u16::from_be_bytes(*part::<22, 2, _>(bytes)),
            u16::from_be_bytes(*part::<24, 2, _>(bytes)),
        );
        let endpoint_ports = ((first, last) != (0, 0)).then_some(PortRange { first, last });
        let flags = u16::from_be_bytes(*part::<122, 2, _>(bytes));
        if flags != RelayFlags::new(endpoint_ports.is_some()).bits() {
            return Err(DescriptorError::Flags);
        }
        Ok(Self {
            network: NetworkId(*part::<0, 4, _>(bytes)),
            address: take_address(part::<4, 18, _>(bytes)),
            endpoint_ports,
            identity: *part::<26, 32, _>(bytes),
            link: *part::<58, 32, _>(bytes),
            onion: *part::<90, 32, _>(bytes),
            epoch: u32::from_be_bytes(*part::<124, 4, _>(bytes)),
            expiry: u32::from_be_bytes(*part::<128, 4, _>(bytes)),
            id: RelayId::of(part::<26, 32, _>(bytes)),
            bytes: *bytes,
        })
    }

    /// The link key in an encoded descriptor.
    pub(crate) fn link_in(bytes: &[u8; Self::LEN]) -> &[u8; 32] {
        part::<58, 32, _>(bytes)
    }

    /// The descriptor as on the wire.
    #[must_use]
    pub fn bytes(&self) -> &[u8; Self::LEN] {
        &self.bytes
    }

    /// The relay's id.
    #[must_use]
    pub const fn id(&self) -> RelayId {
        self.id
    }

    /// Checks every rule of protocol §3.1, the signature last. `known_epoch` is that of the known descriptor of the same identity.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(
        &self,
        suite: &SuiteRef,
        policy: &Policy,
        now: Unix,
        known_epoch: Option<u32>,
    ) -> Result<(), DescriptorError> {
        if self.network != policy.network {
            return Err(DescriptorError::Network);
        }
        if !policy.may_send_to(self.address) {
            return Err(DescriptorError::Address);
        }
        if let Some(range) = self.endpoint_ports {
            range.check(self.address.port())?;
        }
        self.check_times(now, known_epoch)?;
        if !suite.is_usable(&self.identity) {
            return Err(DescriptorError::WeakKey);
        }
        if !keys::verify(
            suite,
            &self.identity,
            &[labels::DESCRIPTOR, part::<0, SIGNED, _>(&self.bytes)],
            part::<SIGNED, 64, _>(&self.bytes),
        ) {
            return Err(DescriptorError::Signature);
        }
        Ok(())
    }

    fn check_times(&self, now: Unix, known_epoch: Option<u32>) -> Result<(), DescriptorError> {
        let minutes = u32::try_from(now.0 / 60).unwrap_or(u32::MAX);
        if self.expiry.saturating_add(TOLERANCE_MINUTES) < minutes {
            return Err(DescriptorError::Expired);
        }
        if self.expiry.saturating_sub(self.epoch) > MAX_VALIDITY_MINUTES {
            return Err(DescriptorError::ExpiryTooFar);
        }
        if self.epoch > minutes.saturating_add(TOLERANCE_MINUTES) {
            return Err(DescriptorError::EpochAhead);
        }
        if known_epoch.is_some_and(|known| self.epoch < known) {
            return Err(DescriptorError::EpochOld);
        }
        Ok(())
    }

    /// Returns true if this descriptor may take the place of a known one of the same identity (protocol §3.1): it has a later epoch
    /// or is the same, byte for byte.
    #[must_use]
    pub fn may_follow(&self, known: &Self) -> bool {
        self.epoch > known.epoch || self.bytes == known.bytes
    }

    /// Returns true for an endpoint address of this relay: the same ip, and a port in its range (protocol §7.4).
    #[must_use]
    pub fn covers(&self, address: SocketAddr) -> bool {
        let address = canonical(address);
        address.ip() == self.address.ip()
            && self
                .endpoint_ports
                .is_some_and(|range| range.contains(address.port()))
    }
}

/// Shows id and epoch only, so that addresses do not get into logs by accident.
impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Descriptor({:.8}, epoch {})", self.id(), self.epoch)
    }
}

/// Encodes as `ip 16 ‖ port 2`, with IPv4 as IPv4-mapped IPv6.
#[must_use]
pub fn put_address(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let mut bytes = [0; 18];
    let mut writer = Writer::new(&mut bytes);
    writer.put(&ip.octets());
    writer.put(&address.port().to_be_bytes());
    bytes
}

/// Decodes an address; IPv4-mapped becomes IPv4.
#[must_use]
pub fn take_address(bytes: &[u8; 18]) -> SocketAddr {
    let ip = IpAddr::from(*part::<0, 16, _>(bytes)).to_canonical();
    SocketAddr::new(ip, u16::from_be_bytes(*part::<16, 2, _>(bytes)))
}

/// The address as it would come back from the wire: no IPv4-mapped form, no scope, no flow label.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
