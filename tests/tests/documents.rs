//! What the documents say is what the code does, as far as a program can compare them.

use std::{collections::BTreeSet, fs, path::Path};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    fs::read_to_string(path).expect("a document")
}

/// The labels in the list of section 2.1.
fn documented(text: &str) -> BTreeSet<String> {
    let list = text
        .split("### 2.1")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("section 2.1");
    let rows = list
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.filter(|label| label.starts_with("deut "))
        .map(str::to_owned)
        .collect()
}

fn coded() -> BTreeSet<String> {
    let cores = deut_transport::labels::ALL
        .iter()
        .chain(deut_kademlia::labels::ALL);
    let mut labels: BTreeSet<String> = cores
        .map(|label| String::from_utf8(label.to_vec()).expect("ASCII"))
        .collect();
    labels.insert(String::from_utf8(deut::rsa_suite::REFUSAL.to_vec()).expect("ASCII"));
    labels
}

#[test]
fn the_list_of_labels_is_complete() {
    let text = document("protocol.md");
    assert_eq!(documented(&text), coded());
    // The comparison sees a label that is missing, and one that nobody uses.
    assert_ne!(
        documented(&text.replace("| `deut mac1 v1`", "| mac1")),
        coded()
    );
    assert_ne!(
        documented(&text.replace("deut gate v1", "deut gates v1")),
        coded()
    );
}

#[test]
fn no_label_is_the_beginning_of_another() {
    let labels = coded();
    for one in &labels {
        assert!(
            !labels
                .iter()
                .any(|other| other != one && other.starts_with(one.as_str())),
            "{one}"
        );
    }
}
