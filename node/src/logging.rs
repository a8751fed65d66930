//! Logs go to stderr. Addresses and keys appear at DEBUG and below only; the rule binds every crate here.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure};

/// Switches logging on with the filter of `--log`, else of `DEUT_LOG`, else with the given level.
///
/// # Errors
/// The filter cannot be read.
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
    // A second start (in tests) keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
    Ok(())
}
