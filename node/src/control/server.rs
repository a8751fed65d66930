//! The daemon's side of the control socket. Whatever comes in gets an error or a closed connection, and the daemon goes on.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Duration, sleep, timeout},
};

use super::protocol::{Answer, MAX_REQUEST, Request, Step, bad_request};
use crate::exit::{Exit, Failure};

/// Connections served at once; one more is told that the daemon is busy.
const MAX_CONNECTIONS: usize = 32;
/// A client has so long to send its request, and to take each line of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// An empty line is written so often while a request is worked on: a client that has gone is noticed and its work dropped.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Does what a request asks. Steps go to the sender.
pub(crate) trait Handler: Clone + Send + 'static {
    /// The last line of the answer.
    fn handle(
        &self,
        request: Request,
        steps: mpsc::Sender<Step>,
    ) -> impl Future<Output = Result<serde_json::Value, Failure>> + Send;
}

/// A bound control socket; removed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Binds the socket, mode 0600. A socket that nobody serves any more is replaced.
    ///
    /// # Errors
    /// Another daemon serves it, or the path cannot be used.
    pub(crate) async fn bind(path: &Path) -> Result<Self, Failure> {
        if UnixStream::connect(path).await.is_ok() {
            let text = format!("another daemon serves {}", path.display());
            return Err(Failure::new(Exit::DataDir, text)
                .hint("stop it, or give this one its own --data-dir"));
        }
        let refused = |why: std::io::Error| {
            let text = format!(
                "{}: the control socket cannot be made ({why})",
                path.display()
            );
            Failure::new(Exit::DataDir, text)
                .hint("give a path of at most 100 bytes in a directory of yours with --control")
        };
        if fs::symlink_metadata(path)
            .is_ok_and(|found| !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()))
        {
            return Err(refused(std::io::Error::new(
                ErrorKind::AlreadyExists,
                "a file that is no socket is in the way",
            )));
        }
        // Bound under another name first, so that nobody can connect before the mode is set.
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(format!(".{}", std::process::id()));
        let hidden = PathBuf::from(hidden);
        let _ = fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden).map_err(refused)?;
        let placed = fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&hidden, path));
        if let Err(why) = placed {
            let _ = fs::remove_file(&hidden);
            return Err(refused(why));
        }
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Serves until dropped.
    pub(crate) async fn serve(&self, handler: impl Handler) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(why) => {
                    tracing::warn!(%why, "control socket: accept failed");
                    // Out of descriptors, most likely: it must not spin.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            match Arc::clone(&room).try_acquire_owned() {
                Ok(permit) => {
                    let handler = handler.clone();
                    connections.spawn(async move {
                        connection(stream, handler).await;
                        drop(permit);
                    });
                }
                Err(_full) => {
                    let busy = Failure::new(
                        Exit::Busy,
                        format!("{MAX_CONNECTIONS} commands are being served"),
                    )
                    .hint("try again later");
                    // What fits into the socket's buffer; the daemon does not wait for it.
                    let _ = stream.try_write(&line(&Answer::Error(busy)));
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// One request, one answer. Gone clients, and those that do not take their answer, end it.
async fn connection(stream: UnixStream, handler: impl Handler) {
    let (reader, mut writer) = stream.into_split();
    let outcome = match timeout(PATIENCE, request(reader)).await {
        Ok(Ok(request)) => work(request, handler, &mut writer).await,
        Ok(Err(failure)) => Some(Err(failure)),
        Err(_elapsed) => Some(Err(bad_request(format!(
            "no request within {} s",
            PATIENCE.as_secs()
        )))),
    };
    let last = match outcome {
        None => return,
        Some(Ok(done)) => Answer::Done(done),
        Some(Err(failure)) => Answer::Error(failure),
    };
    let _ = write(&mut writer, &line(&last)).await;
}

/// Reads one line of at most [`MAX_REQUEST`] bytes.
async fn request(reader: OwnedReadHalf) -> Result<Request, Failure> {
    let mut text = Vec::new();
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    BufReader::new(reader.take(limit))
        .read_until(b'\n', &mut text)
        .await
        .map_err(bad_request)?;
    if text.len() >= MAX_REQUEST && !text.ends_with(b"\n") {
        return Err(bad_request(format!("longer than {MAX_REQUEST} bytes")));
    }
    Request::parse(&text)
}

/// The handler's outcome, with its steps told meanwhile; none if the client is gone.
async fn work(
    request: Request,
    handler: impl Handler,
    writer: &mut OwnedWriteHalf,
) -> Option<Result<serde_json::Value, Failure>> {
    let (sender, mut steps) = mpsc::channel(256);
    let mut outcome = std::pin::pin!(handler.handle(request, sender));
    loop {
        let text = tokio::select! {
            biased;
            Some(step) = steps.recv() => line(&Answer::Step(step)),
            outcome = &mut outcome => {
                while let Ok(step) = steps.try_recv() {
                    write(writer, &line(&Answer::Step(step))).await.ok()?;
                }
                return Some(outcome);
            }
            () = sleep(SIGN_OF_LIFE) => b"\n".to_vec(),
        };
        write(writer, &text).await.ok()?;
    }
}

async fn write(writer: &mut OwnedWriteHalf, bytes: &[u8]) -> Result<(), ErrorKind> {
    let written = timeout(PATIENCE, writer.write_all(bytes)).await;
    written
        .map_err(|_elapsed| ErrorKind::TimedOut)?
        .map_err(|why| why.kind())
}

fn line(answer: &Answer) -> Vec<u8> {
    let mut text = serde_json::to_vec(answer).unwrap_or_default();
    text.push(b'\n');
    text
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
