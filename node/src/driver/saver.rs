//! Writes the verified relays outside the driver's task: one write at a time, and the newest list wins.

use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;

use crate::data_dir::{self, DataDir};

type Relays = Vec<[u8; 196]>;

/// Keeps the data directory locked while the node runs.
pub(super) struct Saver {
    _dir: DataDir,
    path: PathBuf,
    writing: Option<JoinHandle<()>>,
    next: Option<Relays>,
}

impl Saver {
    pub(super) fn new(dir: DataDir) -> Self {
        let path = dir.relays_path();
        Self {
            _dir: dir,
            path,
            writing: None,
            next: None,
        }
    }

    pub(super) fn save(&mut self, relays: Relays) {
        self.next = Some(relays);
        if self.writing.is_none() {
            self.start();
        }
    }

    /// Continues after a finished write.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some(writing) = &mut self.writing {
            match Pin::new(writing).poll(cx) {
                Poll::Ready(_) => {
                    self.writing = None;
                    self.start();
                }
                Poll::Pending => return,
            }
        }
    }

    /// Waits until everything has been written.
    pub(super) async fn finish(mut self) {
        while let Some(writing) = self.writing.take() {
            // Nothing can be done here about a write that panicked.
            let _ = writing.await;
            self.start();
        }
    }

    fn start(&mut self) {
        let Some(relays) = self.next.take() else {
            return;
        };
        let path = self.path.clone();
        self.writing = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = data_dir::save_relays(&path, &relays) {
                tracing::warn!(file = %path.display(), %error, "the verified relays cannot be saved");
            }
        }));
    }
}
