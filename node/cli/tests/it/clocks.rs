//! Real processes whose wall clock is wrong or jumps, and one that its operating system stops.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    fleet::{Fleet, MAGNET, PATIENCE, command},
    ports,
};

/// 200 s, an hour, a day; ahead and behind.
const OFF: [i64; 6] = [200, -200, 3_600, -3_600, 86_400, -86_400];

/// Shifts what a process reads as the time of day by the number in a file; all other clocks stay.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    const char *path = getenv("CLOCK_SHIFT");
    char text[32] = {0};
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    long got = read(file, text, sizeof text - 1);
    close(file);
    return got > 0 ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += shift();
    return result;
}
"#;

/// A shim and the file that it reads.
struct Shift {
    library: PathBuf,
    file: PathBuf,
}

impl Shift {
    /// None, with the reason, where there is no C compiler.
    fn new(directory: &Path) -> Option<Self> {
        let source = directory.join("shift.c");
        let library = directory.join("shift.so");
        fs::write(&source, SHIM).expect("writes");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status();
        if !made.is_ok_and(|made| made.success()) {
            println!("SKIPPED: no C compiler (cc) to shift a process's clock with");
            return None;
        }
        let it = Self {
            library,
            file: directory.join("shift"),
        };
        it.set(0);
        Some(it)
    }

    fn set(&self, seconds: i64) {
        // In one step: the process may read at any moment.
        let next = self.file.with_extension("next");
        fs::write(&next, seconds.to_string()).expect("writes");
        fs::rename(&next, &self.file).expect("placed");
    }

    fn command(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = command(directory, arguments);
        command
            .env("LD_PRELOAD", &self.library)
            .env("CLOCK_SHIFT", &self.file);
        command
    }
}

/// Killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn says(status: &Value, code: &str) -> bool {
    let codes = status["readiness"]["codes"].as_array();
    codes.is_some_and(|codes| codes.iter().any(|one| one == code))
}

/// What it says of its clock, if it does.
fn said(status: &Value) -> Option<String> {
    let reasons = status["readiness"]["reasons"].as_array()?;
    let mut texts = reasons.iter().filter_map(Value::as_str);
    texts
        .find(|text| text.contains("clock seems off by about"))
        .map(str::to_owned)
}

fn way(off: i64) -> &'static str {
    if off < 0 { "(behind)" } else { "(ahead)" }
}

#[test]
fn a_wrong_or_jumping_wall_clock_is_named_by_daemon_and_command() {
    let fleet = Fleet::start("clocks", 5, 1);
    let Some(shift) = Shift::new(&fleet.directory) else {
        return;
    };
    fleet.settle();
    let listen = format!("127.0.0.1:{}", ports::block());
    let run = ["run", "--listen", &listen, "--data-dir", "data-shifted"];
    let log = |name: &str| fs::File::create(fleet.directory.join(name)).expect("a file");
    let mut daemon = shift.command(&fleet.directory, &run);
    daemon.stdout(log("out-shifted")).stderr(log("log-shifted"));
    let _daemon = Killed(daemon.spawn().expect("runs"));
    let status = || -> Option<Value> {
        let status = ["status", "--json", "--data-dir", "data-shifted"];
        let output = command(&fleet.directory, &status).output().expect("runs");
        serde_json::from_slice(&output.stdout).ok()
    };
    let wait = |what: &str, pleases: &dyn Fn(&Value) -> bool| {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = status();
            if now.as_ref().is_some_and(pleases) {
                return now.expect("just seen");
            }
            assert!(Instant::now() < end, "{what}: {now:?}");
            sleep(Duration::from_millis(200));
        }
    };
    let is_right = |status: &Value| status["readiness"]["ready"] == true && said(status).is_none();
    wait("control: ready with the right clock", &is_right);
    for off in OFF {
        shift.set(off);
        let wrong = wait("named", &|status| {
            says(status, "clock-off") && said(status).is_some_and(|said| said.contains(way(off)))
        });
        println!("{off} s: {:?}", said(&wrong));
        let joined = get(&shift, &fleet.directory);
        assert_eq!(joined.status.code(), Some(7), "{off} s: {joined:?}");
        let told = String::from_utf8_lossy(&joined.stderr).into_owned();
        assert!(
            told.contains("clock seems off by about") && told.contains(way(off)),
            "{off} s: {told}"
        );
        assert!(told.contains("hint: set the clock"), "{off} s: {told}");
    }
    shift.set(0);
    wait("right again", &is_right);
    for node in fleet.alive() {
        assert_eq!(said(&fleet.status(node)), None, "node {node} is right");
    }
}

/// A command that joins by itself.
fn get(shift: &Shift, directory: &Path) -> Output {
    let arguments = ["get", MAGNET, "--timeout", "6"];
    let file = ["--bootstrap", "bootstrap.toml"];
    let mut command = shift.command(directory, &[&arguments[..], &file].concat());
    command.output().expect("runs")
}

/// A daemon is stopped for so long, and asked at once when it goes on.
fn stands_still(name: &str, seed: u64, still: Duration) {
    let mut fleet = Fleet::start(name, 8, seed);
    fleet.settle();
    fleet.json(6, &["announce", MAGNET]).expect("announced");
    let node = 3;
    let before = fleet.status(node);
    assert!(
        before["readiness"]["tunnels_up"].as_u64() > Some(0),
        "control"
    );
    let pid = Pid::from_child(fleet.children[node].as_ref().expect("it lives"));
    kill_process(pid, Signal::STOP).expect("stopped");
    sleep(still);
    kill_process(pid, Signal::CONT).expect("goes on");
    let since = Instant::now();
    let now = fleet.ask_status(node);
    // It may have heard from some of them within that moment. What it counts it must have heard.
    let claimed = now["readiness"]["tunnels_up"].as_u64().unwrap_or(u64::MAX);
    let whole = before["readiness"]["tunnels_up"].as_u64();
    println!("at once: {}", now["readiness"]);
    assert!(says(&now, "stood-still") || Some(claimed) < whole, "{now}");
    while fleet.ask_status(node)["readiness"]["ready"] != true {
        assert!(since.elapsed() < PATIENCE, "{}", fleet.status(node));
        sleep(Duration::from_millis(100));
    }
    println!("ready after {:?}", since.elapsed());
    let found = fleet.json(node, &["get", MAGNET, "--timeout", "60"]);
    println!("found after {:?}", since.elapsed());
    assert!(found.is_some(), "{}", fleet.log(node));
    fleet.stop_all();
}

#[test]
fn a_stopped_process_claims_no_tunnels_when_it_goes_on() {
    stands_still("stopped", 2, Duration::from_secs(30));
}

#[test]
#[ignore = "five minutes of standing still"]
fn a_process_stopped_for_five_minutes_works_again_within_seconds() {
    stands_still("stopped-long", 3, Duration::from_secs(300));
}
