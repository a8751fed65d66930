//! The only place that decides what is printed: results go to standard output, everything else to standard error. `pump.rs` writes
//! the bytes.

pub(crate) mod news;
pub(crate) mod status;
pub(crate) mod steps;
pub(crate) mod text;

use std::io::{ErrorKind, IsTerminal, stderr, stdout};

use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    logging,
    pump::{self, STDERR, STDOUT},
    report::unhex,
};

/// The outcome of writing a result.
pub(crate) type Written = Result<(), Failure>;

/// The form of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    json: bool,
}

/// News with the time of their report.
#[derive(Serialize)]
struct Timed<'a, T> {
    #[serde(flatten)]
    news: &'a T,
    time: String,
}

impl Out {
    /// Output as JSON or as text.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints the result of a command: one JSON object or a text.
    ///
    /// # Errors
    /// If it cannot be written, as for every result.
    pub(crate) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Written {
        if self.json {
            self.object(value)
        } else {
            line(text())
        }
    }

    /// Prints an object beside a story, only with `--json`.
    pub(crate) fn object_with_json(&self, value: &impl Serialize) -> Written {
        if self.json {
            self.object(value)
        } else {
            Ok(())
        }
    }

    /// Starts the thread for news, so that their reader can never hold up the node.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(crate) fn start_news(&self) -> Result<(), Failure> {
        STDOUT.tell_loss(if self.json { lost_object } else { lost_line });
        let started = STDOUT.start().and_then(|()| STDERR.start());
        started.map_err(|why| Failure::no_threads(&why))
    }

    /// Prints news of something that goes on, with the time: one JSON object per line, or a text.
    pub(crate) fn news(&self, news: &impl Serialize, text: impl FnOnce() -> String) {
        let time = logging::time();
        let told = if self.json {
            serde_json::to_string(&Timed { news, time })
        } else {
            Ok(format!("{time} {}", text()))
        };
        match told {
            Ok(told) => STDOUT.say(with_end(told)),
            Err(why) => tracing::error!(%why, "news cannot be written as JSON"),
        }
    }

    /// Prints a result of which the first lines of text are printed already; there may be no others.
    pub(crate) fn rest(&self, value: &impl Serialize, text: String) -> Written {
        match !self.json && text.is_empty() {
            true => Ok(()),
            false => self.result(value, || text),
        }
    }

    /// Prints a value of the DHT byte for byte, with a line end only on a terminal.
    pub(crate) fn value(&self, value: &impl Serialize, value_hex: &str) -> Written {
        if self.json {
            return self.object(value);
        }
        let mut bytes = unhex(value_hex).unwrap_or_default();
        if stdout().is_terminal() {
            bytes.push(b'\n');
        }
        self.bytes(&bytes)
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Written {
        written(bytes)
    }

    /// Prints a line of a story, but nothing with `--json`.
    pub(crate) fn story(&self, text: &str) -> Written {
        if self.json {
            Ok(())
        } else {
            line(text.to_owned())
        }
    }

    /// Shows a line that changes, for users who wait at a terminal. An empty text removes it.
    pub(crate) fn live(&self, text: &str) {
        if !self.json && stderr().is_terminal() {
            steps::rewrite_line(text);
        }
    }

    /// Prints a remark beside the result, but nothing with `--json`, where the object has it.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            STDERR.say(with_end(text.to_owned()));
        }
    }

    /// Prints a warning.
    pub(crate) fn warning(&self, text: &str) {
        STDERR.say(with_end(format!("warning: {text}")));
    }

    /// Prints the failure of the command. A user who closed the pipe wants no more output.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.kind != Exit::ClosedPipe {
            STDERR.say(with_end(text::failure(failure)));
        }
    }

    /// Shows the steps of a longer request.
    pub(crate) fn steps(&self, verbose: bool) -> steps::Steps {
        steps::Steps::new(stderr().is_terminal(), verbose)
    }

    /// The same if peers are looked for: as text they are printed when they are found, as JSON in one object at the end.
    pub(crate) fn steps_with_peers(&self, verbose: bool) -> steps::Steps {
        let steps = self.steps(verbose);
        match self.json {
            true => steps,
            false => steps.with_peers(),
        }
    }

    fn object(&self, value: &impl Serialize) -> Written {
        let text = serde_json::to_string(value).map_err(|why| {
            let text = format!("the result cannot be written as JSON ({why})");
            Failure::new(Exit::Internal, text)
        })?;
        line(text)
    }
}

/// Prints the output of the argument parser: help, the version, or a fault in the arguments.
pub(crate) fn usage(told: &clap::Error) -> Written {
    let printed = told.print().and_then(|()| {
        use std::io::Write;
        stdout().flush()
    });
    match printed {
        Err(why) if !told.use_stderr() => Err(unwritten(&why)),
        _ => Ok(()),
    }
}

/// Call it at the end of the process: gives waiting output the time to be written.
pub(crate) fn finish() {
    STDOUT.drain();
    STDERR.drain();
}

/// Prints one or more lines of a result.
fn line(text: String) -> Written {
    written(&with_end(text))
}

/// Writes a result after everything that was said before it, since on a terminal both share the lines.
fn written(bytes: &[u8]) -> Written {
    STDERR.drain();
    pump::write_result(bytes).map_err(|why| unwritten(&why))
}

fn with_end(mut text: String) -> Vec<u8> {
    text.push('\n');
    text.into_bytes()
}

fn unwritten(why: &std::io::Error) -> Failure {
    let text = format!("the result cannot be written to standard output ({why})");
    if why.kind() == ErrorKind::BrokenPipe {
        return Failure::new(Exit::ClosedPipe, text);
    }
    Failure::new(Exit::CannotWrite, text)
        .hint("what was asked for is done; make room or write somewhere else to see its result")
}

fn lost_line(lines: u64) -> String {
    let time = logging::time();
    format!("{time} {lines} lines of news are missing here: they could not be written\n")
}

fn lost_object(lines: u64) -> String {
    let time = logging::time();
    format!(
        "{}\n",
        serde_json::json!({ "event": "lost", "lines": lines, "time": time })
    )
}
