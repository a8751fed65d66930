//! Whose the data directory, its files, the socket and key files are: what others could have put there is refused with exit
//! code 13 (a key file: 3) and the command that mends it, and before the node talks to anybody.

use std::{
    fs,
    net::UdpSocket,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{cli_daemon, ports};

/// Somebody else.
const OTHER: u32 = 54_322;

struct Place {
    path: PathBuf,
    port: u16,
}

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("deut-owners-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        mode(&path, 0o755);
        let file = "network = \"alone\"\nprofile = \"test\"\n";
        fs::write(path.join("bootstrap.toml"), file).expect("writes");
        let port = ports::block();
        Self { path, port }
    }

    fn daemon(&self, more: &[&str]) -> Command {
        let listen = format!("127.0.0.1:{}", self.port);
        let arguments = ["run", "--listen", &listen, "--data-dir", "data"];
        cli_daemon::command(&self.path, &[&arguments, more].concat())
    }

    /// It does not start, and says this.
    fn refused(&self, more: &[&str], says: &[&str]) {
        let output = self.daemon(more).output().expect("runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(13), "{says:?}: {text}");
        for part in says {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }

    /// It starts, answers, and ends.
    fn starts(&self, command: Command, more: &[&str]) {
        self.starts_and(command, more, |_| {});
    }

    /// The same; meanwhile `look` sees its process.
    fn starts_and(&self, mut command: Command, more: &[&str], look: impl FnOnce(u32)) {
        let mut child = command.spawn().expect("runs");
        let end = Instant::now() + Duration::from_secs(60);
        let status = [&["status", "--data-dir", "data"], more].concat();
        loop {
            let asked: Output = cli_daemon::command(&self.path, &status)
                .output()
                .expect("runs");
            if asked.status.success() {
                break;
            }
            let gone = child.try_wait().expect("waits");
            assert!(
                gone.is_none() && Instant::now() < end,
                "{gone:?}: {asked:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        look(child.id());
        kill_process(Pid::from_child(&child), Signal::TERM).expect("signalled");
        assert_eq!(child.wait().expect("ends").code(), Some(0));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped in part: only root can give files to somebody else");
    }
    root
}

#[test]
fn a_data_directory_that_others_can_change_is_refused() {
    let place = Place::new("mode");
    let data = place.path.join("data");
    fs::create_dir(&data).expect("made");
    for bits in [0o777, 0o770, 0o1777] {
        mode(&data, bits);
        place.refused(&[], &["data: others can change it", "run chmod 700 data"]);
    }
    assert_eq!(
        fs::read_dir(&data).expect("reads").count(),
        0,
        "nothing was made in it"
    );
    mode(&data, 0o755);
    place.starts(place.daemon(&[]), &[]);
}

#[test]
fn links_and_what_others_can_change_are_refused_in_it() {
    let place = Place::new("links");
    place.starts(place.daemon(&[]), &[]);
    let data = place.path.join("data");
    let key = fs::read(data.join("relay.key")).expect("a key");
    for name in ["lock", "relay.key"] {
        let aside = place.path.join("aside");
        let file = data.join(name);
        fs::rename(&file, &aside).expect("moved");
        symlink(&aside, &file).expect("a link");
        place.refused(&[], &[name, "is a symbolic link"]);
        fs::remove_file(&file).expect("removed");
        fs::rename(&aside, &file).expect("back");
    }
    // The relays are only a cache: a link is set aside, and what it leads to stays as it is.
    let precious = place.path.join("precious");
    fs::write(&precious, "keep me").expect("writes");
    let _ = fs::remove_file(data.join("relays.bin"));
    symlink(&precious, data.join("relays.bin")).expect("a link");
    place.starts(place.daemon(&[]), &[]);
    assert!(data.join("relays.bin.damaged").is_symlink());
    assert_eq!(fs::read_to_string(&precious).expect("there"), "keep me");
    mode(&data.join("relay.key"), 0o644);
    place.refused(
        &[],
        &["relay.key: others can read it (mode 0644)", "run chmod 600"],
    );
    mode(&data.join("relay.key"), 0o600);
    place.starts(place.daemon(&[]), &[]);
    assert_eq!(fs::read(data.join("relay.key")).expect("a key"), key);
}

#[test]
fn what_belongs_to_another_user_is_refused_and_both_are_named() {
    if !is_root() {
        return;
    }
    let place = Place::new("other");
    let data = place.path.join("data");
    let both = format!("belongs to user {OTHER}, and this deut runs as user 0");
    fs::create_dir(&data).expect("made");
    chown(&data, Some(OTHER), Some(OTHER)).expect("given away");
    let says = [&both, "run it as user 54322, or run chown -R 0 data"];
    place.refused(&[], &says);
    chown(&data, Some(0), Some(0)).expect("taken back");
    place.starts(place.daemon(&[]), &[]);
    for name in ["relay.key", "lock"] {
        chown(data.join(name), Some(OTHER), None).expect("given away");
        place.refused(&[], &[name, &both]);
        chown(data.join(name), Some(0), None).expect("taken back");
    }
    let key = place.path.join("signing");
    fs::write(&key, [1; 32]).expect("writes");
    mode(&key, 0o600);
    let put = [
        "put",
        "--mutable",
        "--key-file",
        "signing",
        "--seq",
        "1",
        "x",
    ];
    let asked = |code, says: &str| {
        let output = cli_daemon::command(&place.path, &put)
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(code) && text.contains(says),
            "{says}: {text}"
        );
    };
    asked(6, "no daemon");
    chown(&key, Some(OTHER), None).expect("given away");
    asked(3, &both);
}

/// The same from the other side: a volume of root's, and a deut that is not root.
#[test]
fn a_user_without_permission_is_told_who_it_must_be() {
    if !is_root() {
        return;
    }
    let place = Place::new("volume");
    let binary = place.path.join("deut");
    fs::copy(env!("CARGO_BIN_EXE_deut"), &binary).expect("a copy");
    mode(&binary, 0o755);
    for (bits, data) in [
        (0o755, "data"),
        (0o700, "data"),
        (0o755, "data/deeper"),
        (0o700, "data/deeper"),
    ] {
        let _ = fs::create_dir(place.path.join("data"));
        mode(&place.path.join("data"), bits);
        let user = OTHER.to_string();
        let listen = format!("127.0.0.1:{}", place.port);
        let output = Command::new("setpriv")
            .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
            .arg(&binary)
            .args(["run", "--listen", &listen, "--data-dir", data])
            .current_dir(&place.path)
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(13), "{text}");
        assert!(
            text.contains("belongs to user 0, and this deut runs as user 54322"),
            "{text}"
        );
    }
}

#[test]
fn what_is_wrong_with_the_socket_is_found_before_the_node_starts() {
    let place = Place::new("socket");
    // With its port taken a node does not start: whoever says something else has found that before.
    let taken = UdpSocket::bind(("127.0.0.1", place.port)).expect("free");
    let long = "x".repeat(120);
    let (open, file) = (place.path.join("open"), place.path.join("file"));
    fs::create_dir(&open).expect("made");
    mode(&open, 0o777);
    fs::write(&file, "precious").expect("writes");
    for (control, says) in [
        (long.as_str(), "the control socket cannot be made"),
        ("missing/socket", "missing: cannot be used (No such file"),
        ("file/socket", "file: is no directory"),
        ("file", "a file that is no socket is in the way"),
        ("open/socket", "open: others can change it (mode 0777)"),
    ] {
        place.refused(&["--control", control], &[says]);
    }
    assert_eq!(fs::read_to_string(&file).expect("there"), "precious");
    drop(taken);
    // As in /tmp: nobody but its owner can put another one there.
    mode(&open, 0o1777);
    let control = ["--control", "open/socket"];
    place.starts(place.daemon(&control), &control);
    assert_eq!(
        fs::read_dir(&open).expect("reads").count(),
        0,
        "nothing is left"
    );
}

#[test]
fn the_umask_changes_nothing() {
    for umask in ["000", "077", "777"] {
        let place = Place::new(&format!("umask-{umask}"));
        let inner = place.daemon(&[]);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(inner.get_program())
            .args(inner.get_args())
            .current_dir(&place.path)
            .env_clear()
            .env("HOME", &place.path);
        place.starts(command, &[]);
        let mode = |name: &str| {
            let metadata = fs::metadata(place.path.join(name)).expect("there");
            metadata.mode() & 0o7777
        };
        assert_eq!(mode("data"), 0o700, "umask {umask}");
        for name in ["data/lock", "data/relay.key"] {
            assert_eq!(mode(name), 0o600, "umask {umask}: {name}");
        }
    }
}

/// What the kernel would not dump, nor show to another process of the same user, belongs to root in `/proc`.
fn memory_belongs_to(pid: u32) -> u32 {
    let environment = format!("/proc/{pid}/environ");
    fs::metadata(environment).expect("a process").uid()
}

#[test]
fn nobody_dumps_or_reads_its_memory() {
    let place = Place::new("memory");
    place.starts_and(place.daemon(&[]), &[], |pid| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("a process");
        let mut limits = limits.lines();
        let core = limits.find(|line| line.starts_with("Max core file size"));
        let core: Vec<&str> = core.expect("listed").split_whitespace().collect();
        assert_eq!(core[4..6], ["0", "0"]);
    });
    if !is_root() {
        return;
    }
    let place = Place::new("memory-of-another");
    let binary = place.path.join("deut");
    fs::copy(env!("CARGO_BIN_EXE_deut"), &binary).expect("a copy");
    mode(&binary, 0o755);
    chown(&place.path, Some(OTHER), Some(OTHER)).expect("given away");
    let as_other = |program: &Path| {
        let mut command = Command::new("setpriv");
        let user = OTHER.to_string();
        command
            .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
            .arg(program)
            .current_dir(&place.path)
            .env_clear()
            .env("HOME", &place.path);
        command
    };
    let inner = place.daemon(&[]);
    let mut command = as_other(&binary);
    command.args(inner.get_args());
    place.starts_and(command, &[], |pid| assert_eq!(memory_belongs_to(pid), 0));
    // Control: any other process of that user.
    let mut other = as_other(Path::new("sleep"));
    let mut child = other.arg("60").spawn().expect("runs");
    let end = Instant::now() + Duration::from_secs(10);
    while memory_belongs_to(child.id()) != OTHER {
        assert!(Instant::now() < end, "setpriv has not given its rights up");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("ends");
    child.wait().expect("ends");
}
