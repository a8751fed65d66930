//! The daemon's side of the control socket. No input can stop the daemon: bad input gets an error or a closed connection.

use std::{
    collections::VecDeque,
    fs,
    io::{Error, ErrorKind},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use deut::data_dir;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::{Duration, Instant, sleep, timeout},
};

use super::protocol::{Answer, MAX_REQUEST, Request, bad_request};
use crate::exit::{Exit, Failure};
use crate::step::Step;

/// Number of lookups and stores that are worked on at once. Further ones wait for their turn as long as their time allows.
const AT_WORK: usize = 32;
/// The same for requests that take only a moment (`status`, `ping`, `bootstrap-line`), so that they do not wait for lookups.
const SHORT: usize = 8;
/// Longest time that such requests wait for their turn.
const SHORT_WAIT: Duration = Duration::from_secs(30);
/// Number of requests that wait; the next one is told that the daemon is busy.
const WAITING: usize = 256;
/// Number of connections that have not sent their request yet; one more ends the oldest of them.
const SILENT: usize = 64;
/// Time for a client to send its request, and to take each line of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two empty lines while a request is worked on. They show if the client has gone, and then its work is dropped.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Carries out requests. Steps go to the sender.
pub(crate) trait Handler: Clone + Send + 'static {
    /// Carries out one request. Returns the last line of the answer.
    fn handle(
        &self,
        request: Request,
        steps: mpsc::Sender<Step>,
    ) -> impl Future<Output = Result<serde_json::Value, Failure>> + Send;
}

/// A bound control socket, which is removed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    path: PathBuf,
    /// The path that it is bound to at first, which nobody knows.
    hidden: PathBuf,
    /// Device and inode number of the socket that was bound. The file at a path may be another one by now.
    name: (u64, u64),
}

impl Server {
    /// Binds the socket with mode 0600 where nobody finds it yet. Any fault of the path is found here.
    ///
    /// # Errors
    /// If another daemon serves it, or the path cannot be used.
    pub(crate) async fn prepare(path: &Path) -> Result<Self, Failure> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(another(path));
        }
        std::os::unix::net::SocketAddr::from_pathname(path).map_err(|why| refused(path, &why))?;
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        data_dir::check_socket_directory(directory)?;
        if let Ok(found) = fs::symlink_metadata(path)
            && !found.file_type().is_socket()
        {
            let why = Error::new(
                ErrorKind::AlreadyExists,
                "a file that is no socket is in the way",
            );
            return Err(refused(path, &why));
        }
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(format!(".{}", std::process::id()));
        let hidden = PathBuf::from(hidden);
        let _ = fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden).map_err(|why| refused(path, &why))?;
        let name = fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))
            .and_then(|()| name(&hidden));
        match name {
            Ok(name) => Ok(Self {
                listener,
                path: path.to_owned(),
                hidden,
                name,
            }),
            Err(why) => {
                let _ = fs::remove_file(&hidden);
                Err(refused(path, &why))
            }
        }
    }

    /// Moves the socket to its path. A socket that nobody serves any more is replaced.
    ///
    /// # Errors
    /// If it cannot be moved there.
    pub(crate) fn open(&self) -> Result<(), Failure> {
        if name(&self.hidden).is_ok_and(|name| name != self.name) {
            return Err(another(&self.path));
        }
        fs::rename(&self.hidden, &self.path).map_err(|why| refused(&self.path, &why))
    }

    /// Prepares and opens a socket, for tests.
    #[cfg(test)]
    pub(crate) async fn bind(path: &Path) -> Result<Self, Failure> {
        let server = Self::prepare(path).await?;
        server.open()?;
        Ok(server)
    }

    /// Serves requests until dropped.
    pub(crate) async fn serve(&self, handler: impl Handler) {
        let room = Room::new();
        let (mut reading, mut oldest) = (JoinSet::new(), VecDeque::new());
        let mut working = JoinSet::new();
        let mut refused = Refused::default();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        refused.over();
                        oldest.retain(|silent: &AbortHandle| !silent.is_finished());
                        if oldest.len() >= SILENT
                            && let Some(silent) = oldest.pop_front()
                        {
                            silent.abort();
                        }
                        oldest.push_back(reading.spawn(read(stream)));
                    }
                    Err(why) => {
                        refused.again(&why);
                        // Probably no descriptors are left: the loop must not spin.
                        sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(read) = reading.join_next() => {
                    let Ok(Some((request, writer))) = read else { continue };
                    if working.len() < AT_WORK + SHORT + WAITING {
                        working.spawn(serve(request, writer, handler.clone(), room.clone()));
                    } else {
                        // As much as fits into the socket's buffer; the daemon does not wait for it.
                        let _ = writer.try_write(&line(&Answer::Error(busy(None))));
                    }
                }
                Some(_) = working.join_next() => {}
            }
        }
    }
}

/// Accepting fails for as long as its cause lasts. That is reported once, and the number of failures at the end.
#[derive(Debug, Default)]
struct Refused {
    times: u64,
}

impl Refused {
    fn again(&mut self, why: &Error) {
        self.times += 1;
        if self.times == 1 {
            tracing::warn!(%why, "control socket: accept failed; trying again, and commands wait meanwhile (open files: see ulimit -n)");
        }
    }

    fn over(&mut self) {
        let times = std::mem::take(&mut self.times);
        if times > 1 {
            tracing::info!(times, "control socket: commands are accepted again");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for path in [&self.hidden, &self.path] {
            if name(path).is_ok_and(|name| name == self.name) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn name(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn another(path: &Path) -> Failure {
    let text = format!("another daemon serves {}", path.display());
    Failure::new(Exit::DataDir, text).hint("stop it, or give this one its own --data-dir")
}

fn refused(path: &Path, why: &Error) -> Failure {
    let path = path.display();
    let text = format!("{path}: the control socket cannot be made ({why})");
    Failure::new(Exit::DataDir, text)
        .hint("give a path of at most 99 bytes in a directory of yours with --control")
}

/// Places for requests, given in the order of arrival.
#[derive(Clone)]
struct Room {
    work: Arc<Semaphore>,
    short: Arc<Semaphore>,
}

impl Room {
    fn new() -> Self {
        Self {
            work: Arc::new(Semaphore::new(AT_WORK)),
            short: Arc::new(Semaphore::new(SHORT)),
        }
    }

    /// Waits for a place, as long as the time of the request allows.
    async fn place(&self, within: Option<Duration>) -> Result<OwnedSemaphorePermit, Failure> {
        let (places, within) = match within {
            Some(within) => (&self.work, within),
            None => (&self.short, SHORT_WAIT),
        };
        match timeout(within, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(busy(Some(within))),
        }
    }
}

fn busy(waited: Option<Duration>) -> Failure {
    let text = match waited {
        Some(waited) => format!(
            "{AT_WORK} commands are being served, and none of them ended within {} s",
            waited.as_secs_f32()
        ),
        None => format!("{AT_WORK} commands are being served and {WAITING} wait"),
    };
    Failure::new(Exit::Busy, text).hint("try again later")
}

/// The request of a new connection; `None` if what arrived was no request, which the client is told.
async fn read(stream: UnixStream) -> Option<(Request, OwnedWriteHalf)> {
    let (reader, mut writer) = stream.into_split();
    let request = timeout(PATIENCE, request(reader))
        .await
        .unwrap_or_else(|_| {
            let text = format!("no request within {} s", PATIENCE.as_secs());
            Err(bad_request(text))
        });
    match request {
        Ok(request) => Some((request, writer)),
        Err(failure) => {
            let _ = write(&mut writer, &line(&Answer::Error(failure))).await;
            None
        }
    }
}

/// Serves one request when it has its turn. It ends early if the client has gone or does not take its answer.
async fn serve(
    mut request: Request,
    mut writer: OwnedWriteHalf,
    handler: impl Handler,
    room: Room,
) {
    let came = Instant::now();
    let place = room.place(request.time());
    let outcome = match alive(&mut writer, place).await {
        None => return,
        Some(Err(failure)) => Some(Err(failure)),
        Some(Ok(_place)) => {
            request.take_time(came.elapsed());
            work(request, handler, &mut writer).await
        }
    };
    let last = match outcome {
        None => return,
        Some(Ok(done)) => Answer::Done(done),
        Some(Err(failure)) => Answer::Error(failure),
    };
    let _ = write(&mut writer, &line(&last)).await;
}

/// Waits for a future, with signs of life to the client; `None` if the client is gone.
async fn alive<T>(writer: &mut OwnedWriteHalf, what: impl Future<Output = T>) -> Option<T> {
    let mut what = std::pin::pin!(what);
    loop {
        tokio::select! {
            biased;
            done = &mut what => return Some(done),
            () = sleep(SIGN_OF_LIFE) => write(writer, b"\n").await.ok()?,
        }
    }
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

/// The handler's outcome. Its steps are sent meanwhile; `None` if the client is gone.
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
mod tests;
