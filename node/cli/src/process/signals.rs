//! The signals that ask a process to end.

use std::{fs, future::poll_fn, task::Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Failure};

/// SIGINT, SIGTERM, SIGHUP and SIGQUIT. Each ends the process with everything closed and saved.
pub(crate) struct Signals(Vec<(&'static str, Signal)>);

impl Signals {
    /// Takes over the signals from the system. Ignored ones stay ignored, except SIGINT and SIGTERM: `nohup` means that a hangup
    /// ends nothing, and a shell without job control keeps the terminal's keys from processes in the background.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn new() -> Result<Self, Failure> {
        let ignored = ignored(&fs::read_to_string("/proc/self/status").unwrap_or_default());
        let all = [
            ("SIGINT", SignalKind::interrupt(), true),
            ("SIGTERM", SignalKind::terminate(), true),
            ("SIGHUP", SignalKind::hangup(), false),
            ("SIGQUIT", SignalKind::quit(), false),
        ];
        let wanted = all
            .into_iter()
            .filter(|(_, kind, always)| *always || !is_in(ignored, *kind));
        let taken = wanted.map(|(name, kind, _)| Ok((name, signal(kind)?)));
        let taken: std::io::Result<Vec<_>> = taken.collect();
        taken.map(Self).map_err(|why| {
            Failure::new(Exit::Internal, format!("signals cannot be watched ({why})"))
        })
    }

    /// Waits for the next signal and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        poll_fn(|cx| {
            let mut come = self.0.iter_mut();
            match come.find_map(|(name, signal)| signal.poll_recv(cx).is_ready().then_some(*name)) {
                Some(name) => Poll::Ready(name),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// The set of ignored signals from Linux's status file; empty if it does not say.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or_default()
}

fn is_in(set: u64, kind: SignalKind) -> bool {
    let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(u32::MAX);
    set.checked_shr(bit).is_some_and(|set| set & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_system() {
        let set = ignored("Name:\tdeut\nSigBlk:\t0\nSigIgn:\t0000000000001001\nSigCgt:\t0\n");
        assert!(is_in(set, SignalKind::hangup()) && is_in(set, SignalKind::pipe()));
        assert!(!is_in(set, SignalKind::quit()) && !is_in(set, SignalKind::terminate()));
        assert_eq!(ignored("Name:\tdeut\n"), 0);
    }
}
