//! The command `deut`: its input, its work and its output. `docs/operations.md` lists its commands, exit codes and JSON shapes.
//!
//! The binary calls [`main`] and nothing else. The [control socket](control), the [steps](step) and [results](report) and the
//! [failures](exit) that go over it, and the [targets](work::target) of commands are public, so that their decoders can be fuzzed
//! and other programs can talk to a daemon; the rest is private.
#![forbid(unsafe_code)]

mod cli;
mod commands;
pub mod control;
pub mod exit;
pub mod labels;
mod logging;
mod output;
mod process;
mod pump;
pub mod report;
mod seed;
pub mod step;
mod testnet;
mod words;
pub mod work;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command line of this process, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    process::hide_memory();
    logging::tell_panics();
    let code = run();
    output::finish();
    ExitCode::from(code)
}

fn run() -> u8 {
    let (out, end) = match cli::Cli::try_parse() {
        Ok(cli) => {
            let out = output::Out::new(cli.json);
            (out, commands::execute(cli, &out).map(|()| 0))
        }
        Err(told) => {
            let code = u8::try_from(told.exit_code()).unwrap_or(2);
            (output::Out::new(false), output::usage(&told).map(|()| code))
        }
    };
    end.unwrap_or_else(|failure| {
        out.failure(&failure);
        failure.kind.code()
    })
}
