//! The command `deut`. See `docs/operations.md` for its commands, exit codes and JSON shapes.

use std::process::ExitCode;

fn main() -> ExitCode {
    deut_cli::main()
}
