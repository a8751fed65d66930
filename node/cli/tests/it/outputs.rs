//! What happens to an output: full disks, closed pipes and readers that read nothing neither stop nor delay a daemon, and a
//! command whose result cannot be written says so.

use std::{
    fs::{self, File, OpenOptions},
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    cli_daemon::{self, Daemon},
    ports,
};

/// Guard against hanging.
const PATIENCE: Duration = Duration::from_secs(60);

fn full() -> File {
    OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("a device that is always full")
}

/// A daemon whose outputs the test chooses.
struct Run {
    child: Child,
    directory: std::path::PathBuf,
    port: u16,
}

impl Run {
    fn start(name: &str, more: &[&str], outputs: impl FnOnce(&mut Command)) -> Self {
        let directory =
            std::env::temp_dir().join(format!("deut-outputs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        let file = "network = \"alone\"\nprofile = \"test\"\n";
        fs::write(directory.join("bootstrap.toml"), file).expect("writes");
        let port = ports::block();
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["run", "--listen", &listen, "--data-dir", "data"];
        let mut command = cli_daemon::command(&directory, &[&arguments, more].concat());
        outputs(&mut command);
        let child = command.spawn().expect("runs");
        Self {
            child,
            directory,
            port,
        }
    }

    fn ask(&self, arguments: &[&str]) -> std::process::Output {
        let all = [arguments, &["--data-dir", "data"]].concat();
        cli_daemon::command(&self.directory, &all)
            .output()
            .expect("runs")
    }

    /// It answers, within the patience of a slow machine.
    fn answers(&mut self) {
        let end = Instant::now() + PATIENCE;
        while !self.ask(&["status"]).status.success() {
            let gone = self.child.try_wait().expect("waits");
            assert!(gone.is_none(), "it ended: {gone:?}");
            assert!(Instant::now() < end, "it does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }

    fn ends_with(&mut self, code: i32) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                break status;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(code), "{status:?}");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Each asks for something, and is logged with many lines at trace.
fn keep_it_busy(run: &mut Run) {
    for _ in 0..5 {
        run.answers();
        let put = run.ask(&["put", "value", "--timeout", "1"]);
        assert_eq!(put.status.code(), Some(12), "{put:?}");
    }
}

#[test]
fn a_daemon_outlives_full_disks() {
    let mut run = Run::start("full", &["--log", "trace"], |command| {
        command.stdout(full()).stderr(full());
    });
    keep_it_busy(&mut run);
    run.signal(Signal::TERM);
    run.ends_with(0);
}

#[test]
fn a_daemon_outlives_readers_that_go() {
    let mut run = Run::start("gone", &["--log", "trace", "--json"], |command| {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    drop((run.child.stdout.take(), run.child.stderr.take()));
    keep_it_busy(&mut run);
    run.signal(Signal::TERM);
    run.ends_with(0);
}

#[test]
fn a_daemon_waits_for_no_reader_and_says_what_was_lost() {
    let mut run = Run::start("silent", &["--log", "trace"], |command| {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    // A pipe holds 64 KiB, and what waits in the process is bounded too: nobody reads either.
    let mut log = run.child.stderr.take().expect("piped");
    let _news = run.child.stdout.take().expect("piped");
    flood(&mut run);
    keep_it_busy(&mut run);
    // Now somebody reads: the missing lines are told where they are missing.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).expect("UTF-8");
        text
    });
    std::thread::sleep(Duration::from_secs(1));
    keep_it_busy(&mut run);
    run.signal(Signal::TERM);
    run.ends_with(0);
    let text = reader.join().expect("read");
    let lost = text
        .lines()
        .filter(|line| line.contains("lines are missing here"));
    assert!(lost.count() >= 1, "{} bytes were read", text.len());
    assert!(
        text.lines()
            .last()
            .is_some_and(|line| line.contains("stopped"))
    );
}

/// Rubbish for its relay port: at trace each datagram is a line of its log.
fn flood(run: &mut Run) {
    const LINES: u64 = 20_000;
    run.answers();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let end = Instant::now() + PATIENCE;
    loop {
        for _ in 0..500 {
            let _ = socket.send_to(&[7; 100], ("127.0.0.1", run.port));
        }
        let status = run.ask(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("a status");
        let drops = status["drops"].as_object().expect("counters");
        if drops
            .values()
            .filter_map(serde_json::Value::as_u64)
            .sum::<u64>()
            >= LINES
        {
            return;
        }
        assert!(Instant::now() < end, "{drops:?}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_and_a_closed_pipe_a_quiet_one() {
    let daemon = Daemon::start("results");
    let commands: [&[&str]; 8] = [
        &["status"],
        &["status", "--json"],
        &["tunnels"],
        &["peers"],
        &["bootstrap-line"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ];
    for arguments in commands {
        let of_daemon = arguments
            .iter()
            .any(|word| ["status", "tunnels", "peers", "bootstrap-line"].contains(word));
        let place: &[&str] = if of_daemon {
            &["--data-dir", "data"]
        } else {
            &[]
        };
        let all = [arguments, place].concat();
        let run = |stdout: Stdio| {
            let mut command = cli_daemon::command(&daemon.directory, &all);
            command.stdout(stdout).output().expect("runs")
        };
        let worked = run(Stdio::piped());
        assert!(
            worked.status.success() && !worked.stdout.is_empty(),
            "{all:?}: {worked:?}"
        );
        let lost = run(full().into());
        let text = String::from_utf8_lossy(&lost.stderr).into_owned();
        assert_eq!(lost.status.code(), Some(17), "{all:?}: {text}");
        assert!(
            text.starts_with("error: the result cannot be written") && text.lines().count() == 2,
            "{all:?}: {text}"
        );
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let closed = run(writer.into());
        assert_eq!(closed.status.code(), Some(141), "{all:?}: {closed:?}");
        assert!(closed.stderr.is_empty(), "{all:?}: {closed:?}");
    }
}

#[test]
fn an_error_that_cannot_be_written_has_its_exit_code_all_the_same() {
    let nowhere = Path::new("/");
    for arguments in [vec!["get", "abc"], vec!["--json", "get", "abc"]] {
        let mut command = cli_daemon::command(nowhere, &arguments);
        let status = command.stdout(full()).stderr(full()).status();
        assert_eq!(status.expect("runs").code(), Some(3), "{arguments:?}");
    }
}

#[test]
fn a_hangup_and_a_quit_end_it_with_everything_closed_and_saved() {
    for (signal, name) in [(Signal::HUP, "SIGHUP"), (Signal::QUIT, "SIGQUIT")] {
        let mut daemon = Daemon::start(&format!("end-{}", signal.as_raw()));
        assert_eq!(daemon.stop(signal), Some(0), "{name}");
        assert!(!daemon.socket().exists(), "{name}");
        let mut text = String::new();
        let stdout = daemon.child.stdout.as_mut().expect("piped");
        stdout.read_to_string(&mut text).expect("UTF-8");
        let last = text.lines().last().expect("its last news");
        assert!(last.contains(&format!("\"signal\":\"{name}\"")), "{text}");
        let mut log = String::new();
        let stderr = daemon.child.stderr.as_mut().expect("piped");
        stderr.read_to_string(&mut log).expect("UTF-8");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[test]
fn what_nohup_ignores_ends_nothing() {
    let mut run = Run::start("nohup", &[], |command| {
        // A shell hands ignored signals on to what it becomes.
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let directory = command.get_current_dir().expect("set").to_owned();
        *command = Command::new("sh");
        command
            .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
            .arg(program)
            .args(arguments)
            .current_dir(&directory)
            .env_clear()
            .env("HOME", directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
    });
    run.answers();
    run.signal(Signal::HUP);
    std::thread::sleep(Duration::from_secs(1));
    run.answers();
    run.signal(Signal::TERM);
    run.ends_with(0);
}

/// `2026-11-28T02:33:28.123456Z`.
fn is_time(text: &str) -> bool {
    let like = "0000-00-00T00:00:00.000000Z";
    text.len() == like.len()
        && text.chars().zip(like.chars()).all(|(one, other)| {
            if other == '0' {
                one.is_ascii_digit()
            } else {
                one == other
            }
        })
}

#[test]
fn news_have_their_time_in_one_form_as_text_and_as_objects() {
    let mut objects = Daemon::start("times");
    let second = objects.line();
    assert_eq!(second["event"], "readiness", "{second}");
    assert!(second["time"].as_str().is_some_and(is_time), "{second}");
    assert_eq!(objects.stop(Signal::TERM), Some(0));
    let mut run = Run::start("times", &[], |command| {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    run.answers();
    std::thread::sleep(Duration::from_millis(200));
    run.signal(Signal::TERM);
    let (mut news, mut log) = (String::new(), String::new());
    let stdout = run.child.stdout.as_mut().expect("piped");
    stdout.read_to_string(&mut news).expect("UTF-8");
    let stderr = run.child.stderr.as_mut().expect("piped");
    stderr.read_to_string(&mut log).expect("UTF-8");
    run.ends_with(0);
    for text in [&news, &log] {
        assert!(text.lines().count() >= 2, "{text}");
        // The lines of a block to be copied are indented.
        for line in text.lines().filter(|line| !line.starts_with("  ")) {
            let time = line.split(' ').next().unwrap_or_default();
            assert!(is_time(time), "{line}");
        }
    }
    assert!(
        news.contains("Z not ready: ") && news.contains("Z SIGTERM: closing"),
        "{news}"
    );
}
