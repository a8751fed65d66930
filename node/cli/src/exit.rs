//! Failures of commands: one line, a hint if the user can do something, and a documented exit code.

use std::fmt;

use deut::{BootstrapError, Refusal, StartError, Stopped, data_dir::DataDirError};
use serde::{Deserialize, Serialize};

/// The exit codes of `deut`, as in `docs/operations.md`. Code 2 is that of clap, for wrong usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Exit {
    /// An unexpected error, or the node stopped meanwhile.
    Internal = 1,
    /// A magnet link, key, value or address that cannot be used.
    BadInput = 3,
    /// `bootstrap.toml` or the settings cannot be used.
    BadConfig = 4,
    /// The port is in use or the address cannot be bound.
    CannotListen = 5,
    /// No daemon answers, and the command needs one.
    NoDaemon = 6,
    /// No bootstrap peer answered, or there were no tunnels in time.
    NotJoined = 7,
    /// The network was asked, and no node has it.
    NotFound = 8,
    /// The bootstrap peers belong to another network or speak another version.
    OtherNetwork = 9,
    /// The list of bootstrap peers is empty.
    NoNetwork = 10,
    /// The daemon has no persona to announce.
    NoPersona = 11,
    /// No node stored the record.
    NotStored = 12,
    /// The data directory or the control socket cannot be used.
    DataDir = 13,
    /// The daemon has too much to do at the moment.
    Busy = 14,
    /// Another version of the mutable record takes precedence.
    Conflict = 15,
    /// Announcers were found, but none of them can be reached now.
    Unreachable = 16,
    /// The result cannot be written.
    CannotWrite = 17,
    /// The system gives too few threads or open files.
    Limits = 18,
    /// The user interrupted the command.
    Interrupted = 130,
    /// The reader of the result has gone.
    ClosedPipe = 141,
}

impl Exit {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// A failed command. It goes over the control socket as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, and so the exit code.
    pub kind: Exit,
    /// The reason, in one line.
    pub message: String,
    /// Advice for the user, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// A partial result, as fields of the object that `--json` prints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<serde_json::Value>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: Exit, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: one_line(&message.into()),
            hint: None,
            found: None,
        }
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(one_line(&hint.into()));
        self
    }

    /// Input that cannot be used as it was typed.
    pub fn bad_input(why: impl fmt::Display) -> Self {
        Self::new(Exit::BadInput, why.to_string())
    }

    /// The system gives no more threads.
    pub fn no_threads(why: impl fmt::Display) -> Self {
        let text = format!("the system gives too few threads for a node ({why})");
        Self::new(Exit::Limits, text).hint(
            "raise the limit of processes (ulimit -u, TasksMax, pids_limit) or stop something: a node needs about 20",
        )
    }

    /// The system does not let more files be opened.
    pub fn no_files(why: impl fmt::Display) -> Self {
        let text = format!("the system allows too few open files ({why})");
        Self::new(Exit::Limits, text).hint(
            "raise the limit of open files (ulimit -n, LimitNOFILE): a relay needs one for each endpoint port and some 40 more",
        )
    }

    /// Another version of a mutable record, with this sequence number, takes precedence.
    pub fn conflict(standing: i64, why: impl Into<String>) -> Self {
        Self::new(Exit::Conflict, why).hint(if standing == i64::MAX {
            "that is the highest number there is: no newer version can ever follow; use another --salt, or another key"
        } else {
            "read it with `deut get --mutable`, then put again; without --seq the next number is taken"
        })
    }

    /// A value of this many bytes is too long.
    pub fn value_too_large(bytes: usize) -> Self {
        Self::bad_input(Refusal::ValueTooLarge(bytes)).hint(TOO_LARGE)
    }

    /// A value that was not read to its end is too long; `read` bytes were read.
    pub fn value_without_end(read: usize) -> Self {
        Self::bad_input(format!("the value has more than {read} bytes, and 800 fit"))
            .hint(TOO_LARGE)
    }
}

const TOO_LARGE: &str = "split it, or put it somewhere else and store a reference to it";

/// Joins the lines of a text: those of the system and of other crates may have several.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<BootstrapError> for Failure {
    fn from(error: BootstrapError) -> Self {
        Self::new(Exit::BadConfig, error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let kind = match &error {
            StartError::PortInUse { .. } | StartError::CannotListen { .. } => Exit::CannotListen,
            StartError::NoDescriptors { .. } => Exit::Limits,
            StartError::Config(_) => Exit::BadConfig,
            StartError::BadDataDir { .. } => Exit::DataDir,
            _ => Exit::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        StartError::from(error).into()
    }
}

impl From<Stopped> for Failure {
    fn from(error: Stopped) -> Self {
        Self::new(Exit::Internal, error.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ValueTooLarge(bytes) => Self::value_too_large(bytes),
            Refusal::BadAddress => Self::bad_input(refusal),
            Refusal::TooManyPublished | Refusal::TooManyQueries => {
                Self::new(Exit::Busy, refusal.to_string()).hint("try again later")
            }
            Refusal::OtherVersionPublished(seq) => Self::conflict(
                seq,
                format!("the daemon publishes this record with sequence number {seq}"),
            ),
            Refusal::TicketInUse => Self::new(Exit::Internal, refusal.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_error_has_its_documented_code() {
        let address = "127.0.0.1:15000".parse().expect("an address");
        let path = PathBuf::from("x");
        let cases: [(Failure, u8); 10] = [
            (StartError::PortInUse { address }.into(), 5),
            (
                StartError::CannotListen {
                    address,
                    why: "no".into(),
                }
                .into(),
                5,
            ),
            (
                StartError::BadDataDir {
                    path: path.clone(),
                    what: "a".into(),
                    remedy: "b".into(),
                }
                .into(),
                13,
            ),
            (StartError::NoEntropy("no".into()).into(), 1),
            (
                BootstrapError::Unreadable {
                    file: path,
                    why: "no".into(),
                }
                .into(),
                4,
            ),
            (Stopped.into(), 1),
            (Refusal::ValueTooLarge(801).into(), 3),
            (Refusal::TooManyQueries.into(), 14),
            (Refusal::BadAddress.into(), 3),
            (Refusal::OtherVersionPublished(7).into(), 15),
        ];
        for (failure, code) in cases {
            assert_eq!(failure.kind.code(), code, "{failure:?}");
            assert!(
                !failure.message.contains('\n') && !failure.message.is_empty(),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn after_the_highest_number_no_next_one_is_advised() {
        let hint = |seq| {
            let failure = Failure::from(Refusal::OtherVersionPublished(seq));
            failure.hint.expect("a hint")
        };
        assert!(hint(i64::MAX).contains("no newer version can ever follow"));
        assert!(hint(i64::MAX - 1).contains("the next number is taken"));
    }

    #[test]
    fn messages_and_hints_are_one_line() {
        let failure = Failure::new(Exit::Internal, "a\n  b").hint("c\r\nd");
        assert_eq!(
            (failure.message.as_str(), failure.hint.as_deref()),
            ("a b", Some("c d"))
        );
    }

    #[test]
    fn a_failure_survives_the_control_socket() {
        let failure = Failure::new(Exit::NotFound, "nobody").hint("wait");
        let json = serde_json::to_string(&failure).expect("serialises");
        assert_eq!(
            json,
            r#"{"kind":"not-found","message":"nobody","hint":"wait"}"#
        );
        assert_eq!(
            serde_json::from_str::<Failure>(&json).expect("parses"),
            failure
        );
    }

    #[test]
    fn the_table_of_exit_codes_in_the_manual_is_complete() {
        let manual = include_str!("../../../docs/operations.md");
        for kind in [
            Exit::Internal,
            Exit::BadInput,
            Exit::BadConfig,
            Exit::CannotListen,
            Exit::NoDaemon,
            Exit::NotJoined,
            Exit::NotFound,
            Exit::OtherNetwork,
            Exit::NoNetwork,
            Exit::NoPersona,
            Exit::NotStored,
            Exit::DataDir,
            Exit::Busy,
            Exit::Conflict,
            Exit::Unreachable,
            Exit::CannotWrite,
            Exit::Limits,
            Exit::Interrupted,
            Exit::ClosedPipe,
        ] {
            let name = serde_json::to_string(&kind)
                .expect("serialises")
                .replace('"', "`");
            let row = format!("| {} | {name} |", kind.code());
            assert!(manual.contains(&row), "docs/operations.md has no row {row}");
        }
    }
}
