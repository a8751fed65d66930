//! Somebody may watch the machines of a thread while they handle a datagram.

use std::cell::Cell;

/// Told `true` before and `false` after a machine handles one datagram, outputs included.
pub type Watch = fn(bool);

thread_local! {
    static WATCH: Cell<Option<Watch>> = const { Cell::new(None) };
}

/// Sets who watches the machines of this thread.
pub fn set_watch(watch: Option<Watch>) {
    WATCH.set(watch);
}

/// Does `work` while the watch looks.
pub(crate) fn watched<R>(work: impl FnOnce() -> R) -> R {
    let watch = WATCH.get();
    watch.inspect(|watch| watch(true));
    let result = work();
    watch.inspect(|watch| watch(false));
    result
}
