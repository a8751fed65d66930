use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;
use crate::control::client::Daemon;

/// Answers `status` at once and `get` after one step, and everything else never.
#[derive(Clone)]
struct Fake;

impl Handler for Fake {
    async fn handle(
        &self,
        request: Request,
        steps: mpsc::Sender<Step>,
    ) -> Result<serde_json::Value, Failure> {
        match request {
            Request::Status => Ok(json!({ "here": true })),
            Request::Get { target, .. } => {
                let _ = steps.send(Step::Lookup { number: 1 }).await;
                Err(Failure::new(Exit::NotFound, target))
            }
            _ => std::future::pending().await,
        }
    }
}

/// A temporary directory, removed with its content.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("deut-control-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn served(path: &Path) -> tokio::task::JoinHandle<()> {
    let server = Server::bind(path).await.expect("binds");
    tokio::spawn(async move { server.serve(Fake).await })
}

/// Sends bytes, closes the sending side and reads everything that comes back.
async fn talk(path: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).await.expect("connects");
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer))
        .await
        .expect("an answer or a closed connection");
    answer
}

async fn status(path: &Path) -> Result<serde_json::Value, Failure> {
    Daemon::connect(path)
        .await?
        .ask(&Request::Status, |_| Ok(()))
        .await
}

#[tokio::test]
async fn requests_are_answered_and_steps_are_told() {
    let directory = Directory::new("answers");
    let path = directory.socket();
    let _server = served(&path).await;
    assert_eq!(status(&path).await, Ok(json!({ "here": true })));
    let mut steps = Vec::new();
    let get = Request::Get {
        target: "x".into(),
        all: false,
        timeout_ms: 1,
    };
    let got: Result<serde_json::Value, _> = Daemon::connect(&path)
        .await
        .expect("connects")
        .ask(&get, |step| {
            steps.push(step);
            Ok(())
        })
        .await;
    assert_eq!(got, Err(Failure::new(Exit::NotFound, "x")));
    assert_eq!(steps, [Step::Lookup { number: 1 }]);
}

#[tokio::test]
async fn a_thousand_malformed_requests_are_answered_or_closed_and_the_server_goes_on() {
    let directory = Directory::new("malformed");
    let path = directory.socket();
    let _server = served(&path).await;
    let valid = br#"{"do":"get","target":"x","timeout_ms":1}"#;
    for number in 0..1_000_usize {
        let mut bytes = match number % 5 {
            0 => vec![u8::try_from(number % 256).expect("a byte"); number],
            1 => valid[..number % valid.len()].to_vec(),
            2 => [valid.as_slice(), b"trailing"].concat(),
            3 => br#"{"do":"dance","#.repeat(number),
            _ => "[".repeat(number * 60).into_bytes(),
        };
        if number % 2 == 0 {
            bytes.push(b'\n');
        }
        let answer = talk(&path, &bytes).await;
        let text = String::from_utf8(answer).expect("UTF-8");
        assert!(
            text.is_empty() || text.starts_with(r#"{"error":{"kind":"bad-input""#),
            "{number}: {text}"
        );
    }
    assert_eq!(status(&path).await, Ok(json!({ "here": true })));
}

#[tokio::test]
async fn an_endless_request_is_cut_off() {
    let directory = Directory::new("endless");
    let path = directory.socket();
    let _server = served(&path).await;
    let answer = talk(&path, &vec![b'x'; 4 * MAX_REQUEST]).await;
    assert!(
        String::from_utf8_lossy(&answer).contains("longer than 65536 bytes") || answer.is_empty()
    );
    assert!(status(&path).await.is_ok());
}

/// This many connections with requests that are never answered.
async fn held(path: &Path, count: usize) -> Vec<UnixStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = UnixStream::connect(path).await.expect("connects");
        let put = b"{\"do\":\"put\",\"value_hex\":\"\",\"timeout_ms\":600000}\n";
        stream.write_all(put).await.expect("sent");
        held.push(stream);
    }
    for stream in &mut held {
        // A sign of life shows that it is served or waits.
        stream.read_u8().await.expect("a byte");
    }
    held
}

async fn get(path: &Path, timeout_ms: u64) -> Result<serde_json::Value, Failure> {
    let target = "x".into();
    let get = Request::Get {
        target,
        all: false,
        timeout_ms,
    };
    Daemon::connect(path).await?.ask(&get, |_| Ok(())).await
}

#[tokio::test]
async fn who_finds_no_place_waits_for_it_within_its_time() {
    let directory = Directory::new("full");
    let path = directory.socket();
    let _server = served(&path).await;
    let mut held = held(&path, AT_WORK).await;
    let late = get(&path, 300).await.expect_err("nobody ended");
    assert_eq!(late.kind, Exit::Busy, "{late:?}");
    assert!(
        late.message.ends_with("none of them ended within 0.3 s"),
        "{late:?}"
    );
    assert!(
        status(&path).await.is_ok(),
        "what takes a moment does not wait"
    );
    let waiting = tokio::spawn({
        let path = path.clone();
        async move { get(&path, 100_000).await }
    });
    sleep(SIGN_OF_LIFE).await;
    assert!(!waiting.is_finished());
    // A client that has gone is noticed at the next sign of life.
    drop(held.pop());
    let got = waiting.await.expect("it ends");
    assert_eq!(got, Err(Failure::new(Exit::NotFound, "x")));
}

#[tokio::test]
async fn more_than_may_wait_are_told_so_at_once_and_gone_clients_make_room() {
    let directory = Directory::new("queue");
    let path = directory.socket();
    let _server = served(&path).await;
    let held = held(&path, AT_WORK + SHORT + WAITING).await;
    let refused = get(&path, 100_000).await.expect_err("full");
    assert_eq!(refused.kind, Exit::Busy);
    assert!(refused.message.ends_with("and 256 wait"), "{refused:?}");
    drop(held);
    sleep(SIGN_OF_LIFE * 3).await;
    assert_eq!(
        get(&path, 100_000).await.expect_err("served").kind,
        Exit::NotFound
    );
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let directory = Directory::new("silent");
    let path = directory.socket();
    let _server = served(&path).await;
    let mut silent = Vec::new();
    for _ in 0..3 * SILENT {
        let mut stream = UnixStream::connect(&path).await.expect("connects");
        // Half of them begin to send a request.
        if silent.len() % 2 == 0 {
            stream.write_all(b"{\"do\":").await.expect("sent");
        }
        silent.push(stream);
    }
    assert_eq!(status(&path).await, Ok(json!({ "here": true })));
    assert_eq!(
        get(&path, 1_000).await.expect_err("served").kind,
        Exit::NotFound
    );
    drop(silent);
}

#[tokio::test]
async fn a_path_that_cannot_be_used_is_found_before_it_is_opened() {
    let directory = Directory::new("paths");
    let long = directory
        .0
        .join("x".repeat(108 - directory.0.as_os_str().len()));
    for (path, says) in [
        (long, "cannot be made"),
        (directory.0.join("missing/control.sock"), "cannot be used"),
    ] {
        let failure = Server::prepare(&path).await.expect_err("refused");
        assert_eq!(failure.kind, Exit::DataDir);
        assert!(failure.message.contains(says), "{failure:?}");
    }
    let path = directory.socket();
    let server = Server::prepare(&path).await.expect("prepared");
    assert!(!path.exists(), "nobody finds it yet");
    server.open().expect("opened");
    // Another file that took the path meanwhile is kept.
    fs::remove_file(&path).expect("removed");
    fs::write(&path, "precious").expect("writes");
    drop(server);
    assert_eq!(fs::read_to_string(&path).expect("there"), "precious");
    assert_eq!(fs::read_dir(&directory.0).expect("reads").count(), 1);
}

#[tokio::test]
async fn the_socket_is_for_its_owner_replaces_a_dead_one_and_never_a_file() {
    let directory = Directory::new("mode");
    let path = directory.socket();
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a dead socket"));
    let server = Server::bind(&path).await.expect("replaces it");
    assert_eq!(
        fs::metadata(&path).expect("there").permissions().mode() & 0o777,
        0o600
    );
    let second = Server::bind(&path).await.expect_err("in use");
    assert!(
        second.kind == Exit::DataDir && second.message.starts_with("another daemon"),
        "{second:?}"
    );
    drop(server);
    assert!(!path.exists());
    fs::write(&path, "precious").expect("writes");
    assert_eq!(
        Server::bind(&path).await.expect_err("a file").kind,
        Exit::DataDir
    );
    assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
}

#[tokio::test]
async fn no_daemon_is_named_with_its_path() {
    let directory = Directory::new("none");
    let failure = status(&directory.socket()).await.expect_err("nobody there");
    assert_eq!(failure.kind, Exit::NoDaemon);
    assert!(failure.message.contains("control.sock"), "{failure:?}");
}
