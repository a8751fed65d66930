//! News of the daemon.

use std::fmt::Write;

use deut::status::ReadinessStatus;
use serde::Serialize;

use crate::words::readiness;

/// News of the daemon on standard output: text, or with `--json` one object per line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum News {
    /// The sockets are bound.
    Started {
        version: &'static str,
        network: String,
        profile: &'static str,
        address: std::net::SocketAddr,
        control: String,
        /// The `[[peer]]` block for others; `None` for a client.
        bootstrap_line: Option<String>,
    },
    /// Readiness or its reasons changed for more than a moment.
    Readiness(ReadinessStatus),
    /// A bootstrap peer cannot be used at present. It is tried again.
    Trouble { peer: String, trouble: String },
    /// A signal arrived.
    Stopping { signal: &'static str },
}

impl News {
    /// The news as text for users.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Started {
                version,
                network,
                profile,
                address,
                control,
                bootstrap_line,
            } => {
                let mut text = format!(
                    "deut {version} listens on {address}, network {network:?} ({profile} profile), control socket {control}"
                );
                if let Some(block) = bootstrap_line {
                    let _ = write!(
                        text,
                        "; others join through it with these lines in their bootstrap.toml:"
                    );
                    for line in block.trim().lines() {
                        let _ = write!(text, "\n  {line}");
                    }
                }
                text
            }
            Self::Readiness(now) => format!(
                "{}: {}",
                if now.ready { "ready" } else { "not ready" },
                readiness(now)
            ),
            Self::Trouble { peer, trouble } => {
                format!(
                    "bootstrap peer {peer} cannot be used: {trouble}; it is tried again for ever, with pauses of up to a minute"
                )
            }
            Self::Stopping { signal } => format!("{signal}: closing the tunnels"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_tagged_objects() {
        let news = News::Stopping { signal: "SIGTERM" };
        assert_eq!(
            serde_json::to_string(&news).expect("serialises"),
            r#"{"event":"stopping","signal":"SIGTERM"}"#
        );
    }

    #[test]
    fn news_show_the_lines_for_others() {
        let started = News::Started {
            version: "0.1.0",
            network: "example".into(),
            profile: "test",
            address: "127.0.0.1:15000".parse().expect("an address"),
            control: "/d/control.sock".into(),
            bootstrap_line: Some("[[peer]]\naddress = \"127.0.0.1:15000\"\n".into()),
        };
        let expected = "deut 0.1.0 listens on 127.0.0.1:15000, network \"example\" (test profile), control socket /d/control.sock; \
            others join through it with these lines in their bootstrap.toml:\n  [[peer]]\n  address = \"127.0.0.1:15000\"";
        assert_eq!(started.text(), expected);
    }
}
