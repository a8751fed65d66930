//! The command line.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments are help texts, and their brackets no links"
)]

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

pub(crate) use listen::Listen;
use listen::socket_address;

mod listen;

/// A Kademlia DHT node whose every RPC travels through dynamic encrypted UDP tunnels.
///
/// Start with `deut testnet`: a whole network in one process, and one magnet link resolved in it.
#[derive(Debug, Parser)]
#[command(name = "deut", version, propagate_version = true)]
pub(crate) struct Cli {
    /// Print one JSON object instead of text (`run`: one object per line).
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as deut=debug.
    /// Addresses and keys appear from debug on. [default: info for run, error for testnet, warn for the others]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node until SIGINT or SIGTERM.
    Run(Run),
    /// Find who announced on a magnet link, the value of a key, or a mutable record.
    Get(Get),
    /// Store a value of at most 800 bytes, or a version of a mutable record; the daemon keeps it published.
    Put(Put),
    /// Announce on a magnet link; the daemon keeps it announced.
    Announce(Announce),
    /// Send an echo through each own tunnel of the daemon to its endpoint and back.
    Ping(Reach),
    /// Show how the daemon is doing.
    Status(Status),
    /// Show the daemon's own tunnels.
    Tunnels(Reach),
    /// Show the relays that the daemon has verified.
    Peers(Reach),
    /// Print the [[peer]] block by which others join through the daemon.
    BootstrapLine(Reach),
    /// Run a whole network in this process, announce a magnet link and resolve it through tunnels.
    Testnet(Testnet),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Where the daemon is.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Reach {
    /// Data directory of the daemon. [default: $XDG_DATA_HOME/deut, else ~/.local/share/deut]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Control socket of the daemon. [default: control.sock in the data directory]
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
}

/// `deut status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only say whether lookups can start: exit code 0 if so, 7 if not. For health checks and scripts.
    #[arg(long)]
    pub(crate) ready: bool,
    /// With --ready: wait for it so many seconds at most.
    #[arg(long, value_name = "SECONDS", requires = "ready", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=600))]
    pub(crate) wait: u16,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `deut run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The network to join. [default: ./bootstrap.toml, else ~/.config/deut/bootstrap.toml]
    #[arg(long, visible_alias = "config", value_name = "FILE")]
    pub(crate) bootstrap: Option<PathBuf>,
    /// Where to bind the relay port; auto:PORT finds the address of this machine that leads to the peers.
    #[arg(long, value_name = "IP:PORT|auto:PORT", default_value = "0.0.0.0:14400", value_parser = listen::listen)]
    pub(crate) listen: Listen,
    /// The public address of the relay port, where it is not the one of --listen.
    #[arg(long, value_name = "IP:PORT", value_parser = socket_address)]
    pub(crate) external: Option<SocketAddr>,
    /// Others reach this node at its address: it becomes a relay (the test profile assumes it).
    #[arg(long)]
    pub(crate) reachable: bool,
    /// UDP ports for tunnels that end here, at most 2,048. [default: test profile: the 128 after the relay port; else none]
    #[arg(long, value_name = "FIRST-LAST", value_parser = port_range)]
    pub(crate) endpoint_ports: Option<(u16, u16)>,
    /// Carry no persona: neither store records for others nor announce one.
    #[arg(long)]
    pub(crate) no_persona: bool,
    /// Tunnels kept for lookups, at most 512.
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) tunnels: u16,
    /// Test profile only: derive every key and random choice from this number.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// What the three commands that start lookups share.
#[derive(Clone, Debug, Args)]
pub(crate) struct Lookup {
    /// Give up after so many seconds, joining included.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=600))]
    timeout: u16,
    /// Print every step on a line of its own.
    #[arg(long, short)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

impl Lookup {
    /// The time to try for.
    pub(crate) fn within(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout))
    }
}

/// `deut get`.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// A magnet link (who announced on it?), a key of 40 hex digits (which value has it?), or with --mutable a public key of 64.
    #[arg(value_name = "MAGNET|KEY")]
    pub(crate) target: String,
    /// Of a magnet link: ask on, as nodes give samples of who announced, until nobody new comes or the time is over.
    #[arg(long, conflicts_with = "mutable")]
    pub(crate) all: bool,
    /// The current version of the mutable record that this public key signs.
    #[arg(long)]
    pub(crate) mutable: bool,
    /// With --mutable: which of the signer's records, at most 64 bytes.
    #[arg(long, value_name = "TEXT", requires = "mutable")]
    pub(crate) salt: Option<String>,
    /// With --mutable: take no version with a lower sequence number.
    #[arg(
        long,
        value_name = "N",
        requires = "mutable",
        allow_negative_numbers = true
    )]
    pub(crate) min_seq: Option<i128>,
    /// Join this network as a short-lived client, even where a daemon runs.
    #[arg(long, value_name = "FILE")]
    pub(crate) bootstrap: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) lookup: Lookup,
}

/// `deut put`.
#[derive(Debug, Args)]
pub(crate) struct Put {
    /// The value; `-` reads it from standard input.
    #[arg(
        value_name = "VALUE",
        required_unless_present_any = ["file", "torrent"],
        conflicts_with = "file"
    )]
    pub(crate) value: Option<String>,
    /// Read the value from a file, byte for byte.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) signed: Signed,
    #[command(flatten)]
    pub(crate) lookup: Lookup,
}

/// What `deut put --mutable` needs besides.
#[derive(Debug, Args)]
pub(crate) struct Signed {
    /// Store it as the next version of a mutable record (at most 796 bytes), which is found by the public key that signs it.
    #[arg(long, requires = "key_file")]
    pub(crate) mutable: bool,
    /// With --mutable: the file with the signing key, 32 bytes. It stays here; the daemon gets the signature only.
    #[arg(long, value_name = "FILE", requires = "mutable")]
    pub(crate) key_file: Option<PathBuf>,
    /// Make the key file, readable by you only.
    #[arg(long, requires = "key_file")]
    pub(crate) new_key: bool,
    /// With --mutable: which of the signer's records, at most 64 bytes.
    #[arg(long, value_name = "TEXT", requires = "mutable")]
    pub(crate) salt: Option<String>,
    /// With --mutable: its sequence number; the highest is current. [default: one more than the network's]
    #[arg(
        long,
        value_name = "N",
        requires = "mutable",
        allow_negative_numbers = true
    )]
    pub(crate) seq: Option<i128>,
    /// With --mutable: store it only over the version with this sequence number. [default: without --seq the network's]
    #[arg(
        long,
        value_name = "N",
        requires = "mutable",
        allow_negative_numbers = true
    )]
    pub(crate) cas: Option<i128>,
    /// With --mutable: take a sequence number so high that few newer versions can follow, or none.
    #[arg(long, requires = "mutable")]
    pub(crate) force: bool,
    /// With --mutable: the value is the torrent of this magnet link, for links to the record (magnet:?xs=urn:btpk:).
    #[arg(long, value_name = "MAGNET", requires = "mutable", conflicts_with_all = ["value", "file"])]
    pub(crate) torrent: Option<String>,
}

/// `deut announce`.
#[derive(Debug, Args)]
pub(crate) struct Announce {
    /// The magnet link to announce on.
    pub(crate) magnet: String,
    /// Announce this address instead of the daemon's persona. It becomes public: whoever knows the magnet link can read it.
    #[arg(long, value_name = "IP:PORT", value_parser = socket_address)]
    pub(crate) address: Option<SocketAddr>,
    /// With --address: join this network as a short-lived client, even where a daemon runs.
    #[arg(long, value_name = "FILE", requires = "address")]
    pub(crate) bootstrap: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) lookup: Lookup,
}

/// `deut testnet`.
#[derive(Debug, Args)]
pub(crate) struct Testnet {
    /// How many nodes stand before the one that asks joins.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(4..=120))]
    pub(crate) nodes: u16,
    /// Leave the network up until Ctrl-C, for commands from a second terminal.
    #[arg(long)]
    pub(crate) keep: bool,
    /// First UDP port on 127.0.0.1; each node takes 129.
    #[arg(long, value_name = "BASE", default_value_t = 15_000, value_parser = clap::value_parser!(u16).range(1_024..))]
    pub(crate) port: u16,
    /// Derive every key and random choice from this number.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

fn port_range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text
        .split_once('-')
        .ok_or("two ports with a - between them, such as 20000-20511")?;
    let port = |text: &str| {
        text.parse::<u16>()
            .map_err(|why| format!("{text:?}: {why}"))
    };
    Ok((port(first)?, port(last)?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_its_flags() {
        let cli = parse("deut run --config b.toml --listen 127.0.0.1:15000 --reachable --no-persona --endpoint-ports 20000-20511 --json")
            .expect("valid");
        let Command::Run(run) = cli.command else {
            panic!("not run")
        };
        assert!(cli.json && run.reachable && run.no_persona);
        assert_eq!(run.bootstrap, Some(PathBuf::from("b.toml")));
        assert_eq!(
            (run.listen, run.endpoint_ports),
            (
                Listen::At(([127, 0, 0, 1], 15_000).into()),
                Some((20_000, 20_511))
            )
        );
    }

    #[test]
    fn addresses_of_ipv4_may_be_written_as_ipv6() {
        let cli =
            parse("deut run --listen [::ffff:127.0.0.1]:15000 --external [::ffff:8.8.8.8]:4000")
                .expect("valid");
        let Command::Run(run) = cli.command else {
            panic!("not run")
        };
        assert_eq!(run.listen, Listen::At(([127, 0, 0, 1], 15_000).into()));
        let external = run.external.map(|address| address.to_string());
        assert_eq!(external.as_deref(), Some("8.8.8.8:4000"));
        let cli = parse("deut announce m --address [::ffff:8.8.8.8]:4000").expect("valid");
        let Command::Announce(announce) = cli.command else {
            panic!("not announce")
        };
        let address = announce.address.map(|address| address.to_string());
        assert_eq!(address.as_deref(), Some("8.8.8.8:4000"));
    }

    #[test]
    fn get_gives_up_after_30_seconds_by_default() {
        let Command::Get(get) = parse("deut get magnet:?xt=x").expect("valid").command else {
            panic!("not get")
        };
        assert_eq!(get.lookup.within(), Duration::from_secs(30));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "deut",
            "deut nonsense",
            "deut get",
            "deut put",
            "deut put a --file b",
            "deut put a --mutable",
            "deut put a --key-file k",
            "deut put a --seq 1",
            "deut put a --mutable --key-file k --seq one",
            "deut put a --force",
            "deut put --torrent m",
            "deut put a --mutable --key-file k --torrent m",
            "deut get m --salt s",
            "deut announce m --bootstrap b",
            "deut get m --timeout 0",
            "deut announce m --address here",
            "deut run --listen 15000",
            "deut run --listen auto:x",
            "deut run --endpoint-ports 7",
            "deut status --wait 5",
            "deut testnet --nodes 1",
            "deut run --tunnels 513",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
