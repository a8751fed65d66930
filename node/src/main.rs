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
