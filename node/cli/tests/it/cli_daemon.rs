//! The built binary as a daemon that is the first of its network: what works without anybody else, and what cannot stop it.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::ports;

/// A daemon with a directory of its own; killed and removed when dropped.
pub struct Daemon {
    pub child: Child,
    pub directory: PathBuf,
    pub port: u16,
}

impl Daemon {
    /// Starts it and waits until it listens.
    pub fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// The same with more arguments.
    pub fn start_with(name: &str, more: &[&str]) -> Self {
        let directory =
            std::env::temp_dir().join(format!("deut-daemon-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(
            directory.join("bootstrap.toml"),
            "network = \"alone\"\nprofile = \"test\"\n",
        )
        .expect("writes");
        let port = ports::block();
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["run", "--json", "--listen", &listen, "--data-dir", "data"];
        let mut command = command(&directory, &[&arguments, more].concat());
        if hangups_are_ignored() {
            command = as_in_a_terminal(&command);
        }
        let child = command.spawn().expect("runs");
        let mut daemon = Self {
            child,
            directory,
            port,
        };
        let first = daemon.line();
        assert_eq!(
            (&first["event"], &first["address"]),
            (&"started".into(), &listen.into()),
            "{first}"
        );
        daemon
    }

    pub fn line(&mut self) -> serde_json::Value {
        let mut line = Vec::new();
        let stdout = self.child.stdout.as_mut().expect("piped");
        // Byte by byte, so that nothing of the next line is lost in a buffer.
        let mut byte = [0];
        while stdout.read(&mut byte).expect("reads") == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        serde_json::from_slice(&line).expect("an object per line")
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let all = [arguments, &["--data-dir", "data"]].concat();
        command(&self.directory, &all).output().expect("runs")
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("data/control.sock")
    }

    /// Asks it to stop and waits for the end.
    pub fn stop(&mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("signalled");
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not stop");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Tests that run under `nohup` hand its ignored signals on, and a daemon rightly keeps them ignored.
fn hangups_are_ignored() -> bool {
    const HANGUP_OR_QUIT: u64 = 0b101;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & HANGUP_OR_QUIT != 0)
}

fn as_in_a_terminal(command: &Command) -> Command {
    let mut wrapped = Command::new("/usr/bin/env");
    wrapped
        .arg("--default-signal=HUP,QUIT")
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().expect("set"))
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    wrapped
}

pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = crate::fleet::command(directory, arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).expect("one object")
}

#[test]
fn it_tells_about_itself_and_ends_with_0_on_both_signals() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::start(&format!("signal-{}", signal.as_raw()));
        let status = json(&daemon.run(&["status", "--json"]));
        assert_eq!(
            (&status["network"], &status["profile"], &status["role"]),
            (&"alone".into(), &"test".into(), &"relay".into())
        );
        assert_eq!(status["readiness"]["ready"], false);
        let text = String::from_utf8(daemon.run(&["status"]).stdout).expect("UTF-8");
        assert!(
            text.contains("not ready: 0 tunnels (ready at 4)")
                && text.contains("first of its network"),
            "{text}"
        );
        let block = String::from_utf8(daemon.run(&["bootstrap-line"]).stdout).expect("UTF-8");
        assert!(
            block.starts_with("[[peer]]\n")
                && block.contains(&format!("\"127.0.0.1:{}\"", daemon.port)),
            "{block}"
        );
        assert_eq!(
            fs::metadata(daemon.socket())
                .expect("there")
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        assert_eq!(daemon.stop(signal), Some(0));
        assert!(!daemon.socket().exists());
        let none = daemon.run(&["status"]);
        assert_eq!(none.status.code(), Some(6));
    }
}

#[test]
fn without_others_lookups_say_what_is_missing() {
    let daemon = Daemon::start("missing");
    let magnet = "magnet:?xt=urn:btih:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    for (arguments, code, says) in [
        (vec!["get", magnet], 7, "error: "),
        (
            vec!["put", "--mutable", "--key-file", "k", "--new-key", "value"],
            7,
            "error: the present sequence number is unknown: ",
        ),
        (
            vec!["put", "value"],
            12,
            "error: f32b67c7e26342af42efabc674d441dca0a281c5 is stored at 0 nodes yet: ",
        ),
        (
            vec!["put", "--mutable", "--key-file", "k", "--seq", "7", "value"],
            12,
            " is stored at 0 nodes yet: ",
        ),
        (
            vec!["announce", magnet],
            12,
            "error: aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d is stored at 0 nodes yet: ",
        ),
    ] {
        let output = daemon.run(&[arguments.as_slice(), &["--timeout", "1"]].concat());
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        let missing = "not ready within 1 s: 0 of 4 tunnels";
        assert!(
            text.contains(says) && text.contains(missing),
            "{arguments:?}: {text}"
        );
        assert_eq!(text.contains("the daemon keeps it"), code == 12, "{text}");
    }
    // The three that may be stored later are kept, and a version below the kept one is refused.
    let status = json(&daemon.run(&["status", "--json"]));
    assert_eq!(status["dht"]["published"], 3, "{status}");
    let older = [
        "put",
        "--mutable",
        "--key-file",
        "k",
        "--seq",
        "6",
        "value",
        "--timeout",
        "1",
    ];
    let output = daemon.run(&older);
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(15), "{text}");
    assert!(
        text.contains("publishes this record with sequence number 7"),
        "{text}"
    );
    let ping = daemon.run(&["ping"]);
    assert_eq!(ping.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&ping.stderr).contains("no tunnels yet"));
}

#[test]
fn without_a_persona_only_an_address_can_be_announced() {
    let daemon = Daemon::start_with("no-persona", &["--no-persona"]);
    let magnet = "magnet:?xt=urn:btih:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    let announce = ["announce", magnet, "--timeout", "1"];
    let output = daemon.run(&announce);
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(11), "{text}");
    assert!(
        text.starts_with("error: ") && text.contains("persona") && output.stdout.is_empty(),
        "{text}"
    );
    // An address needs none: nobody is there to take it, but the daemon keeps it.
    let address = [&announce[..], &["--address", "203.0.113.7:6881"]].concat();
    let output = daemon.run(&address);
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(12), "{text}");
}

#[test]
fn an_interrupted_lookup_of_a_daemon_ends_with_130() {
    let daemon = Daemon::start("interrupted");
    let magnet = "magnet:?xt=urn:btih:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    for signal in [Signal::INT, Signal::TERM] {
        let arguments = ["get", magnet, "-v", "--timeout", "60", "--data-dir", "data"];
        let mut get = command(&daemon.directory, &arguments)
            .spawn()
            .expect("runs");
        let mut told = BufReader::new(get.stderr.take().expect("piped"));
        let mut text = String::new();
        told.read_line(&mut text).expect("its first step");
        assert!(text.contains("ready"), "{text}");
        kill_process(Pid::from_child(&get), signal).expect("signalled");
        told.read_to_string(&mut text).expect("the rest");
        assert_eq!(get.wait().expect("ends").code(), Some(130), "{text}");
        assert!(text.contains("error: interrupted by SIG"), "{text}");
    }
    assert!(daemon.run(&["status"]).status.success());
}

#[test]
fn a_second_daemon_with_the_same_directory_is_refused() {
    let daemon = Daemon::start("second");
    let listen = format!("127.0.0.1:{}", daemon.port + 129);
    let second = daemon.run(&["run", "--listen", &listen]);
    assert_eq!(second.status.code(), Some(13));
    assert!(String::from_utf8_lossy(&second.stderr).contains("error: another daemon serves"));
    assert!(daemon.run(&["status"]).status.success());
}

#[test]
fn a_thousand_malformed_requests_do_not_stop_it() {
    let mut daemon = Daemon::start("malformed");
    let mut answered = 0;
    for number in 0..1_000_u32 {
        let mut stream = UnixStream::connect(daemon.socket()).expect("connects");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("set");
        // It may answer and close before all is written.
        let _ = stream
            .write_all(&malformed(number))
            .and_then(|()| stream.shutdown(Shutdown::Write));
        let mut line = String::new();
        match BufReader::new(stream).read_line(&mut line) {
            Ok(0) => {}
            // It was closed with something unread. Silence until the time-out is no end.
            Err(why) => assert!(
                [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&why.kind()),
                "{number}: {why}"
            ),
            Ok(_) => {
                assert!(line.starts_with("{\"error\":"), "{number}: {line}");
                answered += 1;
            }
        }
    }
    assert!(answered > 900, "only {answered} were answered");
    assert!(daemon.run(&["status"]).status.success());
    assert_eq!(daemon.stop(Signal::TERM), Some(0));
}

/// Random bytes, cut or trailing requests, wrong fields, deep nesting, endless lines: the same ones at every run.
fn malformed(number: u32) -> Vec<u8> {
    let valid = b"{\"do\":\"get\",\"target\":\"magnet:?xt=urn:btih:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\",\"timeout_ms\":1}";
    let length = usize::try_from(number).expect("small");
    match number % 6 {
        0 => (0..number)
            .map(|index| {
                (number
                    .wrapping_mul(2_654_435_761)
                    .wrapping_add(index * 40_503)
                    >> 8) as u8
            })
            .collect(),
        1 => valid[..length % valid.len()].to_vec(),
        2 => [valid.as_slice(), b" more\n"].concat(),
        3 => format!(
            "{{\"do\":\"put\",\"value_hex\":\"{}\",\"timeout_ms\":1}}\n",
            "zz".repeat(length)
        )
        .into_bytes(),
        4 => "[".repeat(length * 10).into_bytes(),
        _ => vec![b'x'; length * 200],
    }
}
