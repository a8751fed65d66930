//! Replays the committed corpora of the fuzz targets, so that what a fuzzer found once is asked in every run of the
//! tests. `tests/fuzz/README.md` tells how they are made.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use deut_tests::fuzz::{Depth, TARGETS, target};
use sha2::{Digest, Sha256};

/// No input is longer.
const LONGEST: u64 = 4_096;
/// Of all corpora together, bytes.
const MOST: u64 = 600_000;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn files(name: &str) -> Vec<PathBuf> {
    let directory = corpora().join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|_| panic!("no {}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("listed").path()).collect();
    files.sort();
    files
}

/// Every file of the corpus and every seed; some of them must get deep.
fn replay(name: &str) {
    let target = target(name).expect("a target");
    let files = files(name);
    assert!(!files.is_empty(), "the corpus of {name} is empty");
    let mut deep = 0;
    for file in &files {
        // Shown if the next line panics.
        println!("{}", file.display());
        deep += usize::from((target.body)(&fs::read(file).expect("readable")) == Depth::Deep);
    }
    assert!(deep > 0, "no input of {name} gets anywhere");
    println!("{name}: {deep} of {} get deep", files.len());
    let seeds = (target.seeds)();
    let deep = seeds
        .iter()
        .filter(|seed| (target.body)(seed) == Depth::Deep);
    assert!(deep.count() > 0, "no seed of {name} gets anywhere");
}

macro_rules! replays {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_has_its_test_its_corpus_and_its_binary() {
            let tests = BTreeSet::from([$(stringify!($name).to_owned()),*]);
            let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
            assert_eq!(tests, targets);
            assert_eq!(names(&corpora()), targets);
            let binaries = names(&corpora().join("../fuzz_targets"));
            assert_eq!(binaries, targets);
        }
    };
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("listed").path())
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

replays! {
    bootstrap, cell, contact, control_line, datagram, descriptor, dht, entry, frame, gossip, handshake, hello, magnet, message,
    mutable, neighbour, network, rpc_answer, rpc_request, saved_relays, spki, transport, walk,
}

#[test]
fn the_corpora_are_small() {
    let mut total = 0;
    for target in TARGETS {
        for file in files(target.name) {
            let size = fs::metadata(&file).expect("a file").len();
            assert!(size <= LONGEST, "{} has {size} bytes", file.display());
            total += size;
        }
    }
    assert!(total <= MOST, "{total} bytes in all");
}

/// Adds the seeds to the corpora, under names that follow from their content.
#[test]
#[ignore = "writes into the source tree"]
fn write_seeds() {
    for target in TARGETS {
        let directory = corpora().join(target.name);
        fs::create_dir_all(&directory).expect("made");
        for seed in (target.seeds)() {
            assert!(seed.len() as u64 <= LONGEST, "a seed of {}", target.name);
            let digest = Sha256::digest(&seed);
            let name: String = digest[..8]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            fs::write(directory.join(format!("seed-{name}")), seed).expect("written");
        }
    }
}
