//! What the documents say is what the code does, as far as a program can compare them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn document(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).expect("a document")
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
    let all = deut_transport::labels::ALL
        .iter()
        .chain(deut_kademlia::labels::ALL)
        .chain(deut::labels::ALL)
        .chain(deut_cli::labels::ALL);
    all.map(|label| String::from_utf8(label.to_vec()).expect("ASCII"))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below a directory whose names end so.
fn files(directory: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Byte strings in a source, its tests apart, that begin as labels do.
fn written(source: &str) -> BTreeSet<String> {
    let shipped = source.split("#[cfg(test)]").next().unwrap_or_default();
    let strings = shipped.split("b\"deut ").skip(1);
    strings
        .filter_map(|rest| rest.split('"').next())
        .map(|rest| format!("deut {rest}"))
        .collect()
}

#[test]
fn no_source_has_a_label_that_is_in_no_list() {
    let mut all = BTreeSet::new();
    for part in ["transport/src", "kademlia/src", "node/src", "node/cli/src"] {
        for file in files(&root().join(part), ".rs") {
            all.extend(written(&fs::read_to_string(file).expect("a source")));
        }
    }
    assert_eq!(all, coded());
    let stray = "hash.update(b\"deut stray v1\"); // and b\"deutrel1\"";
    assert_eq!(written(stray), BTreeSet::from(["deut stray v1".to_owned()]));
}

/// Where the relative links of a page lead, without the part behind `#`.
fn links(page: &str) -> Vec<String> {
    let targets = page.split("](").skip(1);
    targets
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .filter_map(|target| target.split('#').next())
        .map(str::to_owned)
        .collect()
}

/// Links of a page in this directory that lead nowhere.
fn dead(directory: &Path, page: &str) -> Vec<String> {
    let mut targets = links(page);
    targets.retain(|target| !directory.join(target).exists());
    targets
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let top = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ];
    let mut pages = top.map(|page| root().join(page)).to_vec();
    pages.extend(files(&root().join("docs"), ".md"));
    let (mut followed, mut complaints) = (0, Vec::new());
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page");
        let directory = page.parent().expect("it is in one");
        followed += links(&text).len();
        let dead = dead(directory, &text);
        complaints.extend(dead.iter().map(|to| format!("{}: {to}", page.display())));
    }
    assert!(followed > 10);
    assert_eq!(complaints, [""; 0]);
    // A dead one is seen; anchors and other hosts are not files.
    let page =
        "[a](docs/protocol.md#sizes) [b](docs/nowhere.md) [c](https://example.org/x) [d](#e)";
    assert_eq!(dead(&root(), page), ["docs/nowhere.md"]);
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
