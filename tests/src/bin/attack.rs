//! Makes an attack on a network of real cores and prints what it comes to: see [`deut_tests::attacks`].

use std::io::{self, Write};

use clap::{Parser, ValueEnum};
use deut_tests::attacks::drown;

#[derive(Parser)]
#[command(name = "attack")]
struct Options {
    /// Which one.
    attack: Attack,
    /// How much of it: announcements.
    #[arg(long, default_value_t = 250)]
    amount: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum Attack {
    /// Pushes others' announcements out of a torrent.
    Drown,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let figure = match options.attack {
        Attack::Drown => drown::figure(options.amount),
    };
    writeln!(io::stdout(), "{figure}")
}
