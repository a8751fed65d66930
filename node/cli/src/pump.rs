//! Standard error, and the daemon's news: texts wait in a bounded queue for a thread that writes them.
//!
//! A reader can neither stop, end nor delay the writers. Text that cannot be written is lost and counted; the number is reported as
//! soon as output works again.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Number of bytes that may wait; a text that finds no room is lost.
const ROOM: usize = 1 << 20;
/// The pause before the next try if a descriptor does not block and its reader is slow.
const PAUSE: Duration = Duration::from_millis(20);
/// At the end of the process: a reader that takes nothing for this long gets no more.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stream that a pump writes to.
#[derive(Clone, Copy, Debug)]
enum Stream {
    Output,
    Error,
}

/// Everything on standard error, the log included.
pub(crate) static STDERR: Pump = Pump::new(Stream::Error);
/// News of the daemon. Results of commands are written directly, since a command must know if that worked.
pub(crate) static STDOUT: Pump = Pump::new(Stream::Output);

/// A queue of texts, and the thread that writes them to a stream.
pub(crate) struct Pump {
    stream: Stream,
    state: Mutex<Queue>,
    /// Signals that something waits for the thread.
    more: Condvar,
    /// Signals that the thread has written something or given it up.
    done: Condvar,
}

struct Queue {
    started: bool,
    waiting: VecDeque<Item>,
    bytes: usize,
    /// Number of lines that found no room since the last one that did.
    lost: u64,
    /// The thread is handling an item.
    busy: bool,
    /// Number of items that the thread has handled.
    turns: u64,
    loss: fn(u64) -> String,
}

enum Item {
    Text(Vec<u8>),
    /// This many lines are missing here.
    Lost(u64),
}

impl Pump {
    const fn new(stream: Stream) -> Self {
        Self {
            stream,
            state: Mutex::new(Queue {
                started: false,
                waiting: VecDeque::new(),
                bytes: 0,
                lost: 0,
                busy: false,
                turns: 0,
                loss: default_loss,
            }),
            more: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// Starts the thread, if it does not run yet.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(crate) fn start(&'static self) -> io::Result<()> {
        self.start_locked(&mut self.lock())
    }

    /// Sets the form in which a loss is reported: one line with its end.
    pub(crate) fn tell_loss(&self, loss: fn(u64) -> String) {
        self.lock().loss = loss;
    }

    /// Takes a text. It never waits for a reader, unless the system has no thread to give.
    pub(crate) fn say(&'static self, text: Vec<u8>) {
        let mut state = self.lock();
        if self.start_locked(&mut state).is_err() {
            drop(state);
            // There is nobody to report this failure to.
            let _ = self.stream.open().and_then(|mut to| write(&mut to, &text));
            return;
        }
        if state.bytes + text.len() > ROOM {
            state.lost += lines(&text);
            return;
        }
        if state.lost > 0 {
            let lost = Item::Lost(std::mem::take(&mut state.lost));
            state.waiting.push_back(lost);
        }
        state.bytes += text.len();
        state.waiting.push_back(Item::Text(text));
        self.more.notify_one();
    }

    /// Waits until everything is written, or until the reader takes nothing any more.
    pub(crate) fn drain(&self) {
        let mut state = self.lock();
        while state.busy || !state.waiting.is_empty() {
            let before = state.turns;
            let waited = self.done.wait_timeout(state, PATIENCE);
            let (next, time) = waited.unwrap_or_else(PoisonError::into_inner);
            state = next;
            if time.timed_out() && state.turns == before {
                return;
            }
        }
    }

    fn start_locked(&'static self, state: &mut Queue) -> io::Result<()> {
        if !state.started {
            let mut to = self.stream.open()?;
            let thread = thread::Builder::new().name("output".into());
            thread.spawn(move || self.write_for_ever(&mut to))?;
            state.started = true;
        }
        Ok(())
    }

    fn write_for_ever(&self, to: &mut File) {
        let mut writer = Writer::default();
        loop {
            let (item, loss) = self.next();
            writer.take(to, item, loss);
            let mut state = self.lock();
            (state.busy, state.turns) = (false, state.turns.wrapping_add(1));
            self.done.notify_all();
        }
    }

    fn next(&self) -> (Item, fn(u64) -> String) {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.waiting.pop_front() {
                if let Item::Text(text) = &item {
                    state.bytes -= text.len();
                }
                state.busy = true;
                return (item, state.loss);
            }
            state = self
                .more
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// Opens a descriptor of our own. The library's streams have buffers, and take a closed descriptor for a working one.
    fn open(self) -> io::Result<File> {
        let copy = match self {
            Self::Output => io::stdout().as_fd().try_clone_to_owned(),
            Self::Error => io::stderr().as_fd().try_clone_to_owned(),
        };
        copy.map(File::from)
    }
}

/// Writes to standard output and waits for its reader.
///
/// # Errors
/// The error that the system gives.
pub(super) fn write_result(bytes: &[u8]) -> io::Result<()> {
    write(&mut Stream::Output.open()?, bytes)
}

/// State of the thread between lines.
#[derive(Default)]
struct Writer {
    /// Number of lines that could not be written since the last one that could.
    lost: u64,
    /// The last line was written only in part.
    torn: bool,
}

impl Writer {
    fn take(&mut self, to: &mut impl Write, item: Item, loss: fn(u64) -> String) {
        match item {
            Item::Lost(lost) => self.lost += lost,
            Item::Text(text) => {
                if self.text(to, &text, loss).is_err() {
                    self.lost += lines(&text);
                }
            }
        }
    }

    fn text(
        &mut self,
        to: &mut impl Write,
        text: &[u8],
        loss: fn(u64) -> String,
    ) -> io::Result<()> {
        if self.torn {
            write(to, b"\n")?;
            self.torn = false;
        }
        if self.lost > 0 {
            self.whole(to, loss(self.lost).as_bytes())?;
            self.lost = 0;
        }
        self.whole(to, text)
    }

    fn whole(&mut self, to: &mut impl Write, text: &[u8]) -> io::Result<()> {
        let mut counted = Counted { to, bytes: 0 };
        let end = write(&mut counted, text);
        self.torn = end.is_err() && counted.bytes > 0;
        end
    }
}

/// Counts the bytes of a text that were written before a failure.
struct Counted<'a, W> {
    to: &'a mut W,
    bytes: usize,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes all bytes, even if another process has made the descriptor non-blocking.
fn write(to: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) if why.kind() == ErrorKind::WouldBlock => thread::park_timeout(PAUSE),
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

fn lines(text: &[u8]) -> u64 {
    let ends = text.iter().filter(|&&byte| byte == b'\n').count();
    u64::try_from(ends).unwrap_or(u64::MAX).max(1)
}

fn default_loss(lines: u64) -> String {
    format!("warning: {lines} lines are missing here: they could not be written\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, then fails.
    struct Disk {
        room: usize,
        text: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.text.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(text: &str) -> Item {
        Item::Text(text.into())
    }

    #[test]
    fn lost_lines_are_counted_and_told_where_they_are_missing() {
        let (mut writer, loss) = (Writer::default(), |lines| format!("{lines} lost\n"));
        let mut disk = Disk {
            room: 8,
            text: Vec::new(),
        };
        for item in [
            text("whole\n"),
            text("torn\n"),
            text("a\nb\n"),
            Item::Lost(5),
        ] {
            writer.take(&mut disk, item, loss);
        }
        disk.room = 100;
        writer.take(&mut disk, text("again\n"), loss);
        writer.take(&mut disk, text("and again\n"), loss);
        assert_eq!(
            String::from_utf8_lossy(&disk.text),
            "whole\nto\n8 lost\nagain\nand again\n"
        );
    }
}
