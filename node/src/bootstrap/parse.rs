//! Parses text to a [`BootstrapFile`]. Each error has its line.

use std::{ops::Range, path::Path};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use toml::Spanned;

use super::{BootstrapError, BootstrapFile, MAX_PEERS, PeerEntry, Profile};

/// The file as TOML sees it. Missing and wrong fields get messages of our own below.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    network: Option<Spanned<String>>,
    profile: Option<Spanned<String>>,
    #[serde(default)]
    peer: Vec<Spanned<RawPeer>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPeer {
    address: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
}

/// Makes errors from the text and the name of the file.
struct Source<'a> {
    text: &'a str,
    file: &'a Path,
}

pub(super) fn parse(text: &str, file: &Path) -> Result<BootstrapFile, BootstrapError> {
    let source = Source { text, file };
    let raw: Raw = toml::from_str(text).map_err(|error| source.syntax(&error))?;
    let network = source.network(raw.network)?;
    let profile = source.profile(raw.profile)?;
    if let Some(beyond) = raw.peer.get(MAX_PEERS) {
        let what = format!("more than {MAX_PEERS} peers");
        return Err(source.wrong(beyond.span(), what, "remove some"));
    }
    let peers = raw.peer.into_iter().map(|peer| source.peer(peer));
    let peers = peers.collect::<Result<Vec<_>, _>>()?;
    source.twice(&peers)?;
    Ok(BootstrapFile {
        source: Some(file.to_owned()),
        network,
        profile,
        peers,
    })
}

impl Source<'_> {
    fn network(&self, field: Option<Spanned<String>>) -> Result<String, BootstrapError> {
        let Some(field) = field else {
            return Err(self.wrong(
                0..0,
                "`network` is missing",
                "add the line network = \"name\"",
            ));
        };
        if !(1..=64).contains(&field.get_ref().len()) {
            let what = format!("the network name has {} bytes", field.get_ref().len());
            return Err(self.wrong(field.span(), what, "give it 1 to 64 bytes"));
        }
        Ok(field.into_inner())
    }

    fn profile(&self, field: Option<Spanned<String>>) -> Result<Profile, BootstrapError> {
        let remedy = "write profile = \"production\" or profile = \"test\"";
        let Some(field) = field else {
            return Err(self.wrong(0..0, "`profile` is missing", remedy));
        };
        match field.get_ref().as_str() {
            "production" => Ok(Profile::Production),
            "test" => Ok(Profile::Test),
            other => Err(self.wrong(field.span(), format!("unknown profile {other:?}"), remedy)),
        }
    }

    fn peer(&self, peer: Spanned<RawPeer>) -> Result<PeerEntry, BootstrapError> {
        let whole = peer.span();
        let RawPeer { address, key } = peer.into_inner();
        let Some(address) = address else {
            return Err(self.wrong(
                whole,
                "this peer has no address",
                "add address = \"host:port\"",
            ));
        };
        if split_address(address.get_ref()).is_none() {
            let what = format!("{:?} is not host:port", address.get_ref());
            let remedy = "write a name or an IP address and a port from 1024 on, such as \"203.0.113.5:4000\" or \"[2001:db8::5]:4000\"";
            return Err(self.wrong(address.span(), what, remedy));
        }
        let key = match key {
            None => None,
            Some(key) => Some(parse_key(key.get_ref()).ok_or_else(|| {
                let what = format!(
                    "the key is not 64 hex digits (it has {} characters)",
                    key.get_ref().chars().count()
                );
                self.wrong(
                    key.span(),
                    what,
                    "copy it from the peer's `deut bootstrap-line`, or leave it out",
                )
            })?),
        };
        let line = self.line(address.span().start);
        Ok(PeerEntry {
            address: address.into_inner(),
            key,
            line,
        })
    }

    fn twice(&self, peers: &[PeerEntry]) -> Result<(), BootstrapError> {
        for (at, peer) in peers.iter().enumerate() {
            if let Some(first) = peers
                .iter()
                .take(at)
                .find(|other| other.address == peer.address)
            {
                return Err(BootstrapError::Wrong {
                    file: self.file.to_owned(),
                    line: peer.line,
                    what: format!(
                        "the address {:?} is already in line {}",
                        peer.address, first.line
                    ),
                    remedy: "remove one of the two".to_owned(),
                });
            }
        }
        Ok(())
    }

    fn syntax(&self, error: &toml::de::Error) -> BootstrapError {
        let what = error
            .message()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        let remedy = if what.contains("unknown field") {
            "remove it; known are network, profile and [[peer]] with address and key"
        } else {
            "correct this line"
        };
        self.wrong(error.span().unwrap_or(0..0), what, remedy)
    }

    fn wrong(&self, span: Range<usize>, what: impl Into<String>, remedy: &str) -> BootstrapError {
        BootstrapError::Wrong {
            file: self.file.to_owned(),
            line: self.line(span.start),
            what: what.into(),
            remedy: remedy.to_owned(),
        }
    }

    /// The line number of a byte, from 1.
    fn line(&self, at: usize) -> usize {
        1 + self
            .text
            .bytes()
            .take(at)
            .filter(|&byte| byte == b'\n')
            .count()
    }
}

/// Host and port of `host:port`, with an IPv6 address in brackets; `None` if it has another form.
pub(super) fn split_address(written: &str) -> Option<(&str, u16)> {
    let (host, port) = written.rsplit_once(':')?;
    let port = port.parse().ok().filter(|&port| port >= 1_024)?;
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .filter(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => host,
    };
    let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let good = !bare.is_empty() && bare.len() <= 253 && (bare != host || bare.chars().all(name));
    good.then_some((bare, port))
}

fn parse_key(text: &str) -> Option<[u8; 32]> {
    let key = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    key.try_into().ok()
}
