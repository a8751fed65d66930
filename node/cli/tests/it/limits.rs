//! Where the system gives too few threads or files: one line and an exit code, neither a panic nor a process that hangs.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use crate::ports;

/// A user that runs nothing else: the limit counts all that a user runs, and does not bind root.
const USER: u32 = 54_321;

/// A directory of that user's with a copy of the binary that it may run; none where this is not root.
fn place() -> Option<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can run something as another user");
        return None;
    }
    let place = std::env::temp_dir().join(format!("deut-limits-{}", std::process::id()));
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).expect("a directory");
    let binary = place.join("deut");
    fs::copy(env!("CARGO_BIN_EXE_deut"), &binary).expect("a copy");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("set");
    let alone = "network = \"alone\"\nprofile = \"test\"\n";
    fs::write(place.join("bootstrap.toml"), alone).expect("writes");
    let joining = format!(
        "{alone}[[peer]]\naddress = \"127.0.0.1:{}\"\n",
        ports::block()
    );
    fs::write(place.join("joining.toml"), joining).expect("writes");
    chown(&place, Some(USER), Some(USER)).expect("given away");
    Some(place)
}

/// Runs it with at most so many threads of that user, and for at most 30 s: a hang ends with 124.
fn run(place: &PathBuf, threads: u32, arguments: &[&str]) -> Output {
    Command::new("timeout")
        .args(["-s", "KILL", "30", "setpriv", "--reuid", &USER.to_string()])
        .args(["--regid", &USER.to_string(), "--clear-groups"])
        .args(["prlimit", &format!("--nproc={threads}:{threads}")])
        .arg(place.join("deut"))
        .args(arguments)
        .current_dir(place)
        .env("HOME", place)
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .expect("runs")
}

#[test]
fn too_few_threads_are_one_line_and_an_exit_code() {
    let Some(place) = place() else { return };
    let listen = format!("127.0.0.1:{}", ports::block());
    let node = ["run", "--listen", &listen, "--data-dir", "data"];
    let client = [
        "get",
        "--bootstrap",
        "joining.toml",
        "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
        "--timeout",
        "1",
    ];
    let testnet = ["testnet", "--nodes", "4", "--port", "60000"];
    for arguments in [&node[..], &client, &testnet] {
        for threads in 1..=8 {
            let output = run(&place, threads, arguments);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(
                output.status.code(),
                Some(18),
                "{threads}: {arguments:?}: {text}"
            );
            assert!(
                text.contains("error: the system gives too few threads"),
                "{text}"
            );
            assert!(!text.contains("panicked"), "{text}");
        }
    }
    // Asking a daemon needs no thread but the one that there is.
    for arguments in [&["status"][..], &["put", "x"], &["ping"]] {
        let output = run(&place, 1, arguments);
        assert_eq!(output.status.code(), Some(6), "{arguments:?}: {output:?}");
    }
    // With enough of them the same command goes further: nobody answers there.
    let output = run(&place, 40, &client);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let _ = fs::remove_dir_all(&place);
}

/// Where descriptors are short, that is what is said, however few there are.
#[test]
fn too_few_descriptors_are_told_as_such() {
    let scratch = std::env::temp_dir().join(format!("deut-few-{}", std::process::id()));
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).expect("a directory");
    let file = scratch.join("bootstrap.toml");
    fs::write(&file, "network = \"alone\"\nprofile = \"test\"\n").expect("writes");
    let mut refused = 0;
    for limit in 4..20 {
        let port = ports::block();
        let script = format!("ulimit -n {limit} && exec timeout 2 \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args([
                "-c",
                &script,
                env!("CARGO_BIN_EXE_deut"),
                "run",
                "--bootstrap",
            ])
            .arg(&file)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(scratch.join("data"))
            .stdin(Stdio::null())
            .output()
            .expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !said.contains("address of this machine") && !said.contains("panicked"),
            "{limit}: {said}"
        );
        if let Some(error) = said.lines().find(|line| line.starts_with("error:")) {
            refused += 1;
            assert!(error.contains("open files"), "{limit}: {error}");
        }
    }
    assert!(refused > 2, "control: too few are too few");
    let _ = fs::remove_dir_all(&scratch);
}
