//! The command `deut`. See `docs/operations.md` for its commands, exit codes and JSON shapes.

mod cli;
mod commands;
mod control;
mod exit;
mod logging;
mod output;
mod testnet;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let out = output::Out::new(cli.json);
    match commands::execute(cli, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            ExitCode::from(failure.kind.code())
        }
    }
}
