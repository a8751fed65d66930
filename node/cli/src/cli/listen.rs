//! Parses addresses on the command line, and explains in words what is wrong with them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The relay port if none is given.
const PORT: u16 = 14_400;

/// The address that `deut run` listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// This address and port.
    At(SocketAddr),
    /// This port, on the address from which this machine sends to the peers.
    TowardsPeers(u16),
}

/// Parses `auto`, `auto:PORT` or `IP:PORT`.
pub(crate) fn listen(text: &str) -> Result<Listen, String> {
    match text.split_once(':') {
        None if text == "auto" => Ok(Listen::TowardsPeers(PORT)),
        Some(("auto", port)) => match port.parse() {
            Ok(port) if port >= 1_024 => Ok(Listen::TowardsPeers(port)),
            _ => Err("after auto: comes a port from 1024 on".to_owned()),
        },
        _ if text.parse::<u16>().is_ok() => Err(format!(
            "an address is missing; write auto:{text} or IP:{text}"
        )),
        _ => socket_address(text).map(Listen::At),
    }
}

/// Parses `IP:PORT`; an IPv4 address in IPv6 form is taken as IPv4. Each common mistake has its own message.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(deut::canonical(address));
    }
    // With a port of up to four digits it is a valid IPv6 address too, and it is not clear which was meant.
    let bare = text
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host.parse::<Ipv6Addr>().ok()?, port.parse::<u16>().ok()?)));
    if let Some((host, port)) = bare {
        return Err(format!(
            "an IPv6 address with a port stands in brackets; write [{host}]:{port}"
        ));
    }
    let alone = text.trim_start_matches('[').trim_end_matches(']');
    Err(match alone.parse() {
        Ok(IpAddr::V4(address)) => format!("a port is missing; write {address}:{PORT}"),
        Ok(IpAddr::V6(address)) => format!("a port is missing; write [{address}]:{PORT}"),
        Err(_) => "write an IP address and a port, such as 192.0.2.5:14400 or [2001:db8::5]:14400"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_a_port_or_the_usual_one() {
        assert_eq!(listen("auto"), Ok(Listen::TowardsPeers(14_400)));
        assert_eq!(listen("auto:15000"), Ok(Listen::TowardsPeers(15_000)));
        for text in ["auto:", "auto:x", "auto:80", "auto:65536"] {
            assert!(listen(text).expect_err(text).contains("1024"), "{text}");
        }
    }

    #[test]
    fn both_families_are_taken_and_how_to_write_them_is_said() {
        for text in ["192.0.2.5:14400", "[2001:db8::5]:14400"] {
            assert_eq!(listen(text), Ok(Listen::At(text.parse().expect(text))));
        }
        for (text, says) in [
            ("2001:db8::5:14400", "write [2001:db8::5]:14400"),
            ("fd00::2:4000", "write [fd00::2]:4000"),
            ("2001:db8::5", "write [2001:db8::5]:14400"),
            ("fd00::beef", "write [fd00::beef]:14400"),
            ("[fd00::2]", "write [fd00::2]:14400"),
            ("192.0.2.5", "write 192.0.2.5:14400"),
            ("14400", "write auto:14400 or IP:14400"),
            ("localhost:14400", "write an IP address and a port"),
        ] {
            let told = listen(text).expect_err(text);
            assert!(told.contains(says), "{text}: {told}");
        }
    }
}
