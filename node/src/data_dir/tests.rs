use std::{
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{relays::DESCRIPTOR, *};

#[test]
fn the_key_is_made_once_with_mode_600_and_then_kept() {
    let scratch = Scratch::new();
    let seed = DataDir::open(&scratch.0)
        .unwrap()
        .key_seed(&[7; 32])
        .unwrap();
    assert_eq!(*seed, [7; 32]);
    let metadata = fs::metadata(scratch.0.join(RELAY_KEY)).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o600, 32));
    assert_eq!(fs::metadata(&scratch.0).unwrap().mode() & 0o777, 0o700);
    let again = DataDir::open(&scratch.0)
        .unwrap()
        .key_seed(&[8; 32])
        .unwrap();
    assert_eq!(*again, [7; 32]);
}

#[test]
fn relays_come_back_and_the_newest_256_are_kept() {
    let scratch = Scratch::new();
    let dir = DataDir::open(&scratch.0).unwrap();
    assert_eq!(dir.relays().len(), 0);
    let relays: Vec<_> = (0..300u32).map(|n| [n as u8; DESCRIPTOR]).collect();
    save_relays(&dir.relays_path(), &relays[..3]).unwrap();
    assert_eq!(dir.relays(), relays[..3]);
    save_relays(&dir.relays_path(), &relays).unwrap();
    assert_eq!(dir.relays(), relays[44..]);
    save_relays(&dir.relays_path(), &[]).unwrap();
    assert_eq!(dir.relays().len(), 0);
    assert!(!scratch.0.join(RELAYS_DAMAGED).exists());
}

#[test]
fn the_directory_holds_only_known_files() {
    let scratch = Scratch::new();
    let dir = DataDir::open(&scratch.0).unwrap();
    dir.key_seed(&[1; 32]).unwrap();
    save_relays(&dir.relays_path(), &[[1; DESCRIPTOR]]).unwrap();
    fs::write(scratch.0.join("relays.bin.new"), "left by a crash").unwrap();
    save_relays(&dir.relays_path(), &[[2; DESCRIPTOR]]).unwrap();
    for entry in fs::read_dir(&scratch.0).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(FILES.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn relays_that_cannot_be_used_are_set_aside_and_stop_nothing() {
    let scratch = Scratch::new();
    let dir = DataDir::open(&scratch.0).unwrap();
    let aside = scratch.0.join(RELAYS_DAMAGED);
    save_relays(&dir.relays_path(), &[[1; DESCRIPTOR]]).unwrap();
    let good = fs::read(dir.relays_path()).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        for bad in [&bad, &good[..at]] {
            fs::write(dir.relays_path(), bad).unwrap();
            assert_eq!(dir.relays().len(), 0, "byte {at}");
            assert_eq!(fs::read(&aside).unwrap(), bad, "the last one is kept");
            assert!(!dir.relays_path().exists());
        }
    }
    // A directory in its place does not stop the node either, and the next version is saved in the right place.
    fs::create_dir(dir.relays_path()).unwrap();
    fs::remove_file(&aside).unwrap();
    assert_eq!(dir.relays().len(), 0);
    assert!(aside.is_dir());
    save_relays(&dir.relays_path(), &[[2; DESCRIPTOR]]).unwrap();
    assert_eq!(dir.relays(), [[2; DESCRIPTOR]]);
}

#[test]
fn broken_keys_stop_the_start_with_one_line_and_stay_as_they_are() {
    let scratch = Scratch::new();
    let dir = DataDir::open(&scratch.0).unwrap();
    for (bytes, length) in [(&[1; 31][..], "31"), (&[1; 33], "more than 32"), (&[], "0")] {
        fs::write(scratch.0.join(RELAY_KEY), bytes).unwrap();
        close(&scratch.0.join(RELAY_KEY), 0o600);
        let line = dir.key_seed(&[9; 32]).unwrap_err().to_string();
        assert!(
            line.contains(&format!("relay.key: has {length} bytes, but"))
                && line.contains("; restore it"),
            "{line}"
        );
        assert_eq!(fs::read(scratch.0.join(RELAY_KEY)).unwrap(), bytes);
    }
}

#[test]
fn a_directory_that_is_in_use_or_no_directory_is_refused() {
    let scratch = Scratch::new();
    let first = DataDir::open(&scratch.0).unwrap();
    let line = DataDir::open(&scratch.0).unwrap_err().to_string();
    assert!(
        line.contains("another deut uses this data directory; stop it"),
        "{line}"
    );
    drop(first);
    DataDir::open(&scratch.0).expect("free again");

    fs::write(scratch.0.join("file"), "").unwrap();
    let line = DataDir::open(&scratch.0.join("file"))
        .unwrap_err()
        .to_string();
    assert!(
        line.contains("cannot be made") && line.contains("--data-dir"),
        "{line}"
    );
}

fn close(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn refused(path: &Path) -> String {
    DataDir::open(path).unwrap_err().to_string()
}

#[test]
fn a_directory_that_others_can_change_is_refused_and_one_they_can_read_is_not() {
    let scratch = Scratch::new();
    drop(DataDir::open(&scratch.0).unwrap());
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        close(&scratch.0, mode);
        let line = refused(&scratch.0);
        assert!(
            line.contains(&format!(
                "others can change it (mode {mode:04o}); run chmod 700 "
            )),
            "{line}"
        );
    }
    for mode in [0o755, 0o750, 0o700] {
        close(&scratch.0, mode);
        drop(DataDir::open(&scratch.0).unwrap());
    }
    // Our own link to our own directory may be used.
    let link = scratch.0.join("link");
    let elsewhere = Scratch::new();
    drop(DataDir::open(&elsewhere.0).unwrap());
    symlink(&elsewhere.0, &link).unwrap();
    drop(DataDir::open(&link).unwrap());
}

#[test]
fn files_that_others_can_change_links_and_pipes_are_refused() {
    let scratch = Scratch::new();
    let dir = DataDir::open(&scratch.0).unwrap();
    dir.key_seed(&[7; 32]).unwrap();
    let key = scratch.0.join(RELAY_KEY);
    for (mode, says) in [
        (0o640, "others can read it (mode 0640)"),
        (0o606, "others can change it"),
    ] {
        close(&key, mode);
        let line = dir.key_seed(&[8; 32]).unwrap_err().to_string();
        assert!(
            line.contains(says) && line.contains("run chmod 600 "),
            "{line}"
        );
    }
    close(&key, 0o600);
    assert_eq!(*dir.key_seed(&[8; 32]).unwrap(), [7; 32]);
    drop(dir);
    for name in [RELAY_KEY, LOCK] {
        let (path, aside) = (scratch.0.join(name), scratch.0.join("aside"));
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        let opened = DataDir::open(&scratch.0);
        let told = opened.and_then(|dir| dir.key_seed(&[8; 32]));
        let line = told.map(|_| ()).unwrap_err().to_string();
        assert!(
            line.contains(name) && line.contains("is a symbolic link"),
            "{line}"
        );
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
    }
    drop(DataDir::open(&scratch.0).unwrap());
}

#[test]
fn relays_that_others_could_have_put_there_are_set_aside() {
    let scratch = Scratch::new();
    let dir = DataDir::open(&scratch.0).unwrap();
    let (path, aside) = (dir.relays_path(), scratch.0.join(RELAYS_DAMAGED));
    save_relays(&path, &[[1; DESCRIPTOR]]).unwrap();
    close(&path, 0o644);
    assert_eq!(dir.relays().len(), 1, "reading is harmless");
    close(&path, 0o666);
    assert_eq!(dir.relays().len(), 0);
    assert!(aside.is_file() && !path.exists());
    let elsewhere = scratch.0.join("elsewhere");
    save_relays(&elsewhere, &[[2; DESCRIPTOR]]).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert_eq!(dir.relays().len(), 0);
    assert!(aside.is_symlink() && elsewhere.is_file());
}

#[test]
fn a_socket_may_stand_where_nobody_else_can_replace_it() {
    let scratch = Scratch::new();
    drop(DataDir::open(&scratch.0).unwrap());
    for (mode, may) in [
        (0o700, true),
        (0o755, true),
        (0o1777, true),
        (0o777, false),
        (0o770, false),
    ] {
        close(&scratch.0, mode);
        let told = check_socket_directory(&scratch.0);
        assert_eq!(told.is_ok(), may, "{mode:o}: {told:?}");
    }
    close(&scratch.0, 0o700);
    assert!(check_socket_directory(&scratch.0.join(LOCK)).is_err());
    assert!(check_socket_directory(&scratch.0.join("missing")).is_err());
}

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("deut-data-{}-{number}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
