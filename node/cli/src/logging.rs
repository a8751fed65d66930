//! Logs go to stderr. Addresses and keys appear only at DEBUG and below; this rule binds every crate of the workspace.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal, Write},
    panic,
};

use tracing_subscriber::{
    EnvFilter,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
};

use crate::{
    exit::{Exit, Failure},
    pump::STDERR,
};

/// Switches logging on with the filter of `--log`, else of `DEUT_LOG`, else with the given level.
///
/// # Errors
/// If the filter cannot be read.
pub(crate) fn start(asked: Option<&str>, default: &str) -> Result<(), Failure> {
    let from_environment = std::env::var("DEUT_LOG")
        .ok()
        .filter(|text| !text.is_empty());
    let (name, text) = match (asked, &from_environment) {
        (Some(text), _) => ("--log", text),
        (None, Some(text)) => ("DEUT_LOG", text.as_str()),
        (None, None) => ("", default),
    };
    let filter = EnvFilter::try_new(text).map_err(|why| {
        Failure::new(
            Exit::BadInput,
            format!("{name}: {text:?} is no log filter ({why})"),
        )
        .hint("error, warn, info, debug, trace, or a filter such as deut=debug")
    })?;
    STDERR.tell_loss(|lines| {
        let time = time();
        format!("{time}  WARN deut: {lines} lines are missing here: they could not be written\n")
    });
    // A second start, as in tests, keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Log)
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false)
        .try_init();
    Ok(())
}

/// Prints panics in the form of the log and through its queue: the default hook waits for the reader of standard error.
pub(crate) fn tell_panics() {
    panic::set_hook(Box::new(|panic| {
        let trace = Backtrace::capture();
        let trace = match trace.status() {
            BacktraceStatus::Captured => format!("\n{trace}"),
            _ => String::new(),
        };
        STDERR.say(format!("{} ERROR deut: {panic}{trace}\n", time()).into_bytes());
    }));
}

/// The time in the form of the log.
pub(crate) fn time() -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// Takes each event of the log in one piece.
struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDERR.say(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
