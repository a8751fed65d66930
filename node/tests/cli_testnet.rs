//! The built binary: `deut testnet` brings up a network on real sockets and resolves a magnet link in it through tunnels.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

fn testnet(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deut"));
    command
        .args(["testnet", "--nodes", "8", "--json"])
        .args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs")
}

fn last_object(output: &Output) -> serde_json::Value {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    serde_json::from_str(text.lines().last().expect("a line")).expect("an object")
}

#[test]
fn two_networks_at_the_same_time_both_resolve() {
    let networks = [testnet(&["--seed", "1"]), testnet(&["--seed", "2"])];
    for network in networks {
        let output = network.wait_with_output().expect("ends");
        let report = last_object(&output);
        assert!(
            output.status.success(),
            "{report}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(
            (&report["nodes"], &report["resolved"]),
            (&8.into(), &true.into()),
            "{report}"
        );
        assert_eq!(
            report["tunnels_ready"]
                .as_u64()
                .map(|tunnels| tunnels >= 8 * 4),
            Some(true),
            "{report}"
        );
        for number in ["lookup_ms", "ready_ms", "rpcs", "datagrams"] {
            assert!(
                report[number].as_f64().is_some_and(|value| value > 0.0),
                "{number} in {report}"
            );
        }
    }
}

#[test]
fn a_kept_network_can_be_asked_from_outside() {
    let mut network = testnet(&["--keep", "--port", "20000"]);
    let mut lines = BufReader::new(network.stdout.take().expect("piped")).lines();
    let kept: serde_json::Value =
        serde_json::from_str(&lines.next().expect("a line").expect("reads")).expect("an object");
    let text = |name: &str| kept[name].as_str().expect("a text").to_owned();
    let get = Command::new(env!("CARGO_BIN_EXE_deut"))
        .args([
            "get",
            "--json",
            "--bootstrap",
            &text("bootstrap"),
            &text("magnet"),
        ])
        .output()
        .expect("runs");
    let got = last_object(&get);
    assert_eq!(
        (&got["found"], &got["peers"][0]["kind"]),
        (&"peers".into(), &"persona".into()),
        "{got}"
    );
    let pid = Pid::from_child(&network);
    kill_process(pid, Signal::TERM).expect("signalled");
    let report: serde_json::Value =
        serde_json::from_str(&lines.next().expect("a line").expect("reads")).expect("an object");
    assert_eq!(report["resolved"], true);
    assert!(network.wait().expect("ends").success());
    assert!(!std::path::Path::new(&text("bootstrap")).exists());
}
