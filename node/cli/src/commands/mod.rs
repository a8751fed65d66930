//! The commands. Each takes its arguments, does its work and prints through [`Out`].

mod asking;
mod listen;
mod lookup;
mod mutable;
mod paths;
mod readiness;
mod run;
mod show;
mod typed;

use std::future::Future;

use clap::CommandFactory;

use crate::{
    cli::{Cli, Command},
    exit::Failure,
    logging,
    output::Out,
    process::threads::{self, Threads},
    report::FailureObject,
    testnet,
};

/// Carries out the command line.
///
/// # Errors
/// If the command failed. The failure has its exit code.
pub(crate) fn execute(cli: Cli, out: &Out) -> Result<(), Failure> {
    let level = match cli.command {
        Command::Run(_) => "info",
        // Every node of the network would warn of the test profile; the story says so once.
        Command::Testnet(_) => "error",
        _ => "warn",
    };
    let tells_by_itself = matches!(cli.command, Command::Testnet(_));
    let end = logging::start(cli.log.as_deref(), level).and_then(|()| dispatch(cli.command, out));
    if let Err(failure) = &end
        && !tells_by_itself
    {
        // The failure is on standard error too, and has its exit code.
        let _ = out.object_with_json(&FailureObject::from(failure));
    }
    end
}

fn dispatch(command: Command, out: &Out) -> Result<(), Failure> {
    use Threads::{Main, Network, Node};
    match command {
        Command::Run(arguments) => {
            out.start_news()?;
            block_on(Node, run::run(&arguments, out))
        }
        Command::Get(get) => block_on(Main, lookup::get(&get, out)),
        Command::Put(put) if put.signed.mutable => block_on(Main, mutable::put(&put, out)),
        Command::Put(put) => block_on(Main, lookup::put(&put, out)),
        Command::Announce(announce) => block_on(Main, lookup::announce(&announce, out)),
        Command::Ping(reach) => block_on(Main, show::ping(&reach, out)),
        Command::Status(arguments) => block_on(Main, show::status(&arguments, out)),
        Command::Tunnels(reach) => block_on(Main, show::tunnels(&reach, out)),
        Command::Peers(reach) => block_on(Main, show::peers(&reach, out)),
        Command::BootstrapLine(reach) => block_on(Main, show::bootstrap_line(&reach, out)),
        Command::Testnet(arguments) => block_on(Network, testnet::testnet(&arguments, out)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "deut", &mut script);
            out.bytes(&script)
        }
    }
}

fn block_on(
    threads: Threads,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let runtime = threads::runtime(threads)?;
    let end = runtime.block_on(work);
    // Jobs on the worker threads may take a while, and nobody waits for them.
    runtime.shutdown_background();
    end
}
