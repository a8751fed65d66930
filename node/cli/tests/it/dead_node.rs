//! One of the eight nodes that keep a record is killed without warning: what lookups of another node take, and that peers are
//! printed before anybody is given up.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::{fs, io::pipe, process::Stdio};

use serde_json::Value;

use crate::fleet::{Fleet, MAGNET, command, persona, personas};

/// Nodes of the network.
const NODES: usize = 16;
/// Who announces, who puts, who reads.
const ANNOUNCER: usize = 3;
const PUBLISHER: usize = 4;
const READER: usize = 5;

/// How many records of others each node keeps.
fn records(fleet: &Fleet) -> Vec<u64> {
    let count = |node| fleet.status(node)["dht"]["records"].as_u64();
    (0..NODES)
        .map(|node| count(node).expect("a number"))
        .collect()
}

/// Durations of lookups, of which all found what they looked for.
#[derive(Default)]
struct Times {
    ms: Vec<f64>,
    /// How many found it only at the second attempt, or later.
    again: usize,
}

impl Times {
    fn add(&mut self, found: &Value) {
        let took = found["lookup_ms"].as_f64();
        self.ms
            .push(took.unwrap_or_else(|| panic!("a duration: {found}")));
        self.again += usize::from(found["lookups"] != 1);
    }

    fn print(&mut self, of: &str) {
        let Self { ms, again } = self;
        ms.sort_by(f64::total_cmp);
        let at = |percent: usize| ms[(ms.len() * percent / 100).min(ms.len() - 1)];
        println!(
            "{} lookups of {of}: half within {:.1} ms, 95 % within {:.1} ms, all within {:.1} ms; {again} after others",
            ms.len(),
            at(50),
            at(95),
            at(100)
        );
    }
}

/// What it prints to both outputs, in the order in which it comes.
fn printed(fleet: &Fleet, arguments: &[&str]) -> Vec<String> {
    let path = fleet.directory.join("both");
    let file = fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .expect("opens");
    let mut command = command(&fleet.directory, arguments);
    command
        .stdout(file.try_clone().expect("a copy"))
        .stderr(file);
    let end = command.status().expect("runs");
    let text = fs::read_to_string(&path).expect("text");
    fs::remove_file(path).expect("removed");
    assert!(end.success(), "{text}");
    text.lines().map(str::to_owned).collect()
}

/// In the lookup that found it the line of the persona stands before anybody is given up; whether somebody was. Right after the
/// death the persona's tunnels may be gone too: then there are others before.
fn peers_come_first(lines: &[String], persona: &str) -> bool {
    let peer = format!("persona {persona} ");
    let is_it = |line: &String| line.starts_with(&peer);
    let first = lines.iter().position(is_it).expect("it is found");
    let many = lines.iter().filter(|line| is_it(line)).count();
    assert_eq!(many, 1, "{lines:#?}");
    let begun = |line: &String| line.starts_with("lookup ");
    let began = lines[..first].iter().rposition(begun).expect("a lookup");
    let given_up = |line: &String| line.ends_with("is not waited for any longer");
    assert!(!lines[began..first].iter().any(given_up), "{lines:#?}");
    lines[first..].iter().any(given_up)
}

/// A peer that cannot be printed ends the command as any result does.
fn peers_that_cannot_be_printed_are_told(fleet: &Fleet) {
    let data = format!("data{READER}");
    let end = |output: Stdio| {
        let mut command = command(&fleet.directory, &["get", MAGNET, "--data-dir", &data]);
        let end = command.stdout(output).stderr(Stdio::null()).status();
        end.expect("runs").code()
    };
    let full = fs::File::options().write(true).open("/dev/full");
    assert_eq!(end(full.expect("opens").into()), Some(17));
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    assert_eq!(end(writer.into()), Some(141));
    assert_eq!(end(Stdio::null()), Some(0), "control");
}

/// So many gets of the announcement and of the value after the death of a node that kept both.
fn gets_after_a_death(name: &str, seed: u64, gets: usize) {
    let mut fleet = Fleet::start(name, NODES, seed);
    fleet.settle();
    let before = records(&fleet);
    let announced = fleet.json(ANNOUNCER, &["announce", MAGNET]);
    let key = persona(&announced.expect("announced"));
    let between = records(&fleet);
    let stored = fleet.json(PUBLISHER, &["put", "value"]).expect("stored");
    let value_key = stored["key"].as_str().expect("a key").to_owned();
    let after = records(&fleet);
    let keeps = |node: &usize| before[*node] < between[*node];
    let victims = (0..NODES).filter(|node| ![ANNOUNCER, PUBLISHER, READER].contains(node));
    let victims: Vec<usize> = victims.filter(keeps).collect();
    let keeps_both = victims.iter().find(|&&node| between[node] < after[node]);
    let victim = *keeps_both.unwrap_or(&victims[0]);
    // The reader knows all that are there.
    fleet.json(READER, &["get", MAGNET]).expect("found");
    fleet.kill(victim);

    let data = format!("data{READER}");
    let verbose = ["get", MAGNET, "-v", "--data-dir", &data];
    let mut given_up = usize::from(peers_come_first(&printed(&fleet, &verbose), &key));
    let (mut of_peers, mut of_values) = (Times::default(), Times::default());
    for _ in 0..gets {
        let found = fleet.json(READER, &["get", MAGNET]).expect("found");
        assert_eq!(personas(&found), [key.as_str()], "{found}");
        of_peers.add(&found);
        let value = fleet.json(READER, &["get", &value_key]).expect("found");
        assert_eq!(value["value_text"], "value", "{value}");
        of_values.add(&value);
        given_up += usize::from(peers_come_first(&printed(&fleet, &verbose), &key));
    }
    of_peers.print("peers");
    of_values.print("a value");
    println!(
        "node {victim} was given up in {given_up} of {} others",
        gets + 1
    );
    peers_that_cannot_be_printed_are_told(&fleet);
    assert!(given_up > 0, "the dead node was never waited for");
}

#[test]
fn peers_are_printed_before_a_dead_node_near_the_key_is_given_up() {
    gets_after_a_death("dead", 41, 30);
}

#[test]
#[ignore = "long"]
fn a_hundred_gets_beside_a_dead_node() {
    gets_after_a_death("dead100", 42, 100);
}
