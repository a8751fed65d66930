//! The runtime and its threads. The system may refuse threads (`ulimit -u`, a container's limit of processes) and open files
//! (`ulimit -n`); tokio then panics, or waits for ever for a thread that never came. So all threads that a node needs are requested
//! before it starts, and kept; and there must be room for the files that the runtime itself opens.

use std::{
    fs::File,
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    task::spawn_blocking,
};

use deut::data_dir::is_out_of_descriptors;

use crate::exit::{Exit, Failure};

/// One worker for the driver, and one for everything else.
const WORKERS: usize = 2;
/// A network in one process has one worker per processor, up to this number.
const NETWORK_WORKERS: usize = 16;
/// Blocking threads for public-key operations (four at once), saving the known relays, and looking up names.
const BLOCKING: usize = 8;
/// More blocking threads are made while many names are looked up, or for many nodes in one process.
const MOST_BLOCKING: usize = 512;
/// Idle threads are kept this long, since the system may refuse the next one.
const KEPT: Duration = Duration::from_secs(1 << 32);
/// Time to wait, since a thread that has ended may still be counted for a moment.
const SETTLED: Duration = Duration::from_millis(10);

/// Files of the runtime itself, of signals, and of a control connection.
const FILES: usize = 8;

/// The threads that a command runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The main thread alone: a daemon can be asked even if the system gives no more threads.
    Main,
    /// The threads of a node.
    Node,
    /// The threads of a network in one process.
    Network,
}

/// Builds the runtime of a command.
///
/// # Errors
/// If the system gives too few threads or open files.
pub(crate) fn runtime(threads: Threads) -> Result<Runtime, Failure> {
    ask_for_files()?;
    let workers = match threads {
        Threads::Main => 0,
        Threads::Node => WORKERS,
        Threads::Network => thread::available_parallelism()
            .map_or(WORKERS, usize::from)
            .clamp(WORKERS, NETWORK_WORKERS),
    };
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        workers => {
            ask_for(workers + BLOCKING)?;
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    builder.max_blocking_threads(MOST_BLOCKING);
    let runtime = builder.thread_keep_alive(KEPT).enable_all().build();
    let runtime = runtime
        .map_err(|why| Failure::new(Exit::Internal, format!("the runtime cannot start ({why})")))?;
    if workers > 0 {
        runtime.block_on(async { make() });
    }
    Ok(runtime)
}

/// Makes the blocking threads of a node on the main thread's runtime.
///
/// # Errors
/// If the system gives too few.
pub(crate) fn make_for_a_node() -> Result<(), Failure> {
    ask_for(BLOCKING)?;
    make();
    Ok(())
}

/// Checks that the system lets us open some more files.
fn ask_for_files() -> Result<(), Failure> {
    let mut open = Vec::with_capacity(FILES);
    for number in 0..FILES {
        match File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(why) if is_out_of_descriptors(&why) => {
                return Err(Failure::no_files(format!("{number} of {FILES}: {why}")));
            }
            // A system without that device says nothing about the limit.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Checks that the system gives this many threads at once.
fn ask_for(count: usize) -> Result<(), Failure> {
    let gate = Arc::new(Mutex::new(()));
    let shut = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let waiting = (0..count).map(|_| {
        let gate = Arc::clone(&gate);
        thread::Builder::new().spawn(move || drop(gate.lock()))
    });
    let (mut given, mut refused): (Vec<_>, Option<io::Error>) = (Vec::new(), None);
    for thread in waiting {
        match thread {
            Ok(thread) => given.push(thread),
            Err(why) => {
                refused = Some(why);
                break;
            }
        }
    }
    drop(shut);
    let number = given.len();
    for thread in given {
        // The thread does nothing that could panic.
        let _ = thread.join();
    }
    match refused {
        Some(why) => Err(Failure::no_threads(format!("{number} of {count}: {why}"))),
        None => {
            thread::park_timeout(SETTLED);
            Ok(())
        }
    }
}

/// Makes the blocking threads: each is kept busy until all exist.
fn make() {
    let gate = Arc::new(Mutex::new(()));
    let shut = gate.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..BLOCKING {
        let gate = Arc::clone(&gate);
        spawn_blocking(move || drop(gate.lock()));
    }
    drop(shut);
}
