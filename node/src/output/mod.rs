//! The only place that prints. Results go to standard output, everything else to standard error.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub(crate) mod status;
pub(crate) mod steps;
pub(crate) mod text;

use std::io::{IsTerminal, Write, stderr, stdout};

use serde::Serialize;

use crate::{control::report::unhex, exit::Failure};

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    json: bool,
}

impl Out {
    /// JSON or text.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// The result of a command: one JSON object, or a text.
    pub(crate) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            self.object(value)
        } else {
            line(stdout(), &text())
        }
    }

    /// An object beside a story: only with `--json`.
    pub(crate) fn object_with_json(&self, value: &impl Serialize) {
        if self.json {
            self.object(value);
        }
    }

    /// News of something that goes on: one JSON object per line, or a text.
    pub(crate) fn news(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        self.result(value, text);
    }

    /// A value of the DHT: byte for byte, with a line end only on a terminal.
    pub(crate) fn value(&self, value: &impl Serialize, value_hex: &str) {
        if self.json {
            return self.object(value);
        }
        self.bytes(&unhex(value_hex).unwrap_or_default());
        if stdout().is_terminal() {
            line(stdout(), "");
        }
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut stdout = stdout().lock();
        // A reader that has gone is no reason to fail.
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    /// A line of a story; nothing with `--json`.
    pub(crate) fn story(&self, text: &str) {
        if !self.json {
            line(stdout(), text);
        }
    }

    /// A line that changes, for people at a terminal who wait; an empty text removes it.
    pub(crate) fn live(&self, text: &str) {
        if !self.json && stderr().is_terminal() {
            steps::rewrite_line(text);
        }
    }

    /// A remark beside the result; nothing with `--json`, where the object has it.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            line(stderr(), text);
        }
    }

    /// Something to think about.
    pub(crate) fn warning(&self, text: &str) {
        line(stderr(), &format!("warning: {text}"));
    }

    /// Why the command failed, for people.
    pub(crate) fn failure(&self, failure: &Failure) {
        line(stderr(), &text::failure(failure));
    }

    /// Shows the steps of a longer request.
    pub(crate) fn steps(&self, verbose: bool) -> steps::Steps {
        steps::Steps::new(stderr().is_terminal(), verbose)
    }

    fn object(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => line(stdout(), &text),
            Err(why) => line(
                stderr(),
                &format!("error: the result cannot be written as JSON ({why})"),
            ),
        }
    }
}

/// One line, or several. A reader that has gone is no reason to fail.
fn line(mut to: impl Write, text: &str) {
    let _ = writeln!(to, "{text}").and_then(|()| to.flush());
}
