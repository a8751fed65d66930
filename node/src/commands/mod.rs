//! The commands. Each takes its arguments, does its work and prints through [`Out`].

mod lookup;
mod mutable;
mod paths;
pub(crate) mod run;
mod show;

use std::future::Future;

use clap::CommandFactory;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    cli::{Cli, Command},
    exit::{Exit, Failure},
    logging,
    output::{Out, text},
    testnet,
};

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
        out.object_with_json(&text::failure_object(failure));
    }
    end
}

fn dispatch(command: Command, out: &Out) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => block_on(run::run(&arguments, out)),
        Command::Get(get) => block_on(lookup::get(&get, out)),
        Command::Put(put) => block_on(lookup::put(&put, out)),
        Command::Announce(announce) => block_on(lookup::announce(&announce, out)),
        Command::Ping(reach) => block_on(show::ping(&reach, out)),
        Command::Status(reach) => block_on(show::status(&reach, out)),
        Command::Tunnels(reach) => block_on(show::tunnels(&reach, out)),
        Command::Peers(reach) => block_on(show::peers(&reach, out)),
        Command::BootstrapLine(reach) => block_on(show::bootstrap_line(&reach, out)),
        Command::Testnet(arguments) => block_on(testnet::testnet(&arguments, out)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "deut", &mut script);
            out.bytes(&script);
            Ok(())
        }
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let internal = |why: std::io::Error| {
        Failure::new(Exit::Internal, format!("the runtime cannot start ({why})"))
    };
    let runtime = Runtime::new().map_err(internal)?;
    let end = runtime.block_on(work);
    // Jobs on the worker threads may take a while; nobody waits for them.
    runtime.shutdown_background();
    end
}

/// SIGINT and SIGTERM.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes both over from the system.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn new() -> Result<Self, Failure> {
        let take = |kind| {
            signal(kind).map_err(|why| {
                Failure::new(Exit::Internal, format!("signals cannot be watched ({why})"))
            })
        };
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    /// Waits for the next of them and gives its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
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
