//! The commands. Each takes its arguments, does its work and prints through [`Out`].

mod listen;
mod lookup;
mod mutable;
mod paths;
mod readiness;
pub(crate) mod run;
mod show;
mod signals;
mod threads;

use std::future::Future;

use clap::CommandFactory;

use self::threads::Threads;
use crate::{
    cli::{Cli, Command},
    exit::Failure,
    logging,
    output::{Out, text},
    testnet,
};

pub(crate) use self::signals::Signals;

/// Does what the command line says.
///
/// # Errors
/// What went wrong, with its exit code.
pub(crate) fn execute(cli: Cli, out: &Out) -> Result<(), Failure> {
    let level = match cli.command {
        Command::Run(_) => "info",
        // Every node of it would warn of the test profile; the story says so once.
        Command::Testnet(_) => "error",
        _ => "warn",
    };
    let tells_by_itself = matches!(cli.command, Command::Testnet(_));
    let end = logging::start(cli.log.as_deref(), level).and_then(|()| dispatch(cli.command, out));
    if let Err(failure) = &end
        && !tells_by_itself
    {
        // It is told on standard error too, and has its exit code.
        let _ = out.object_with_json(&text::failure_object(failure));
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
    // Jobs on the worker threads may take a while; nobody waits for them.
    runtime.shutdown_background();
    end
}

/// Raises the limit of open files to what the system allows: every endpoint port is one.
pub(crate) fn raise_open_file_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_refused) => limit.current,
    }
}
