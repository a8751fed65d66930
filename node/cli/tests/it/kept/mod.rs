//! What a data directory may hold after a run. Reading and judging are apart, so that the judge can be put to the test.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::FileTypeExt,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use deut_common::{suite::SuiteRef, time::Unix};
use deut_transport::{policy::Policy, wire::descriptor::Descriptor};
use sha2::{Digest, Sha256};

/// The files of a directory by their names. A socket has no content.
pub type Files = BTreeMap<String, Vec<u8>>;

/// First bytes of `relays.bin`; the SHA-256 of what follows stands behind them.
const NAME: &[u8] = b"deutrel1";

/// Reads a whole data directory.
pub fn read(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).expect("a data directory");
    let files = entries.map(|entry| {
        let entry = entry.expect("a file");
        let name = entry.file_name().into_string().expect("a plain name");
        let is_socket = entry.file_type().expect("a type").is_socket();
        let content = if is_socket {
            Vec::new()
        } else {
            fs::read(entry.path()).expect("reads")
        };
        (name, content)
    });
    files.collect()
}

/// Nothing but the files of the known list, and in those no byte that could belong to an RSA key: the seed has 32, and
/// whatever else is kept is signed by the relay that it describes. Gives the number of descriptors.
pub fn judge(files: &Files, policy: &Policy, now: Unix) -> Result<usize, String> {
    let mut descriptors = 0;
    for (name, content) in files {
        if !deut::data_dir::FILES.contains(&name.as_str()) {
            return Err(format!("{name} is not in the list"));
        }
        match (name.as_str(), content.len()) {
            ("relay.key", 32) => {}
            ("relays.bin", _) => descriptors += relays(content, policy, now)?,
            ("lock" | "control.sock", 0) => {}
            (name, length) => return Err(format!("{name} has {length} bytes")),
        }
    }
    Ok(descriptors)
}

/// A head of 40 bytes that follow from the rest, then whole descriptors, each signed by its owner.
fn relays(content: &[u8], policy: &Policy, now: Unix) -> Result<usize, String> {
    let rest = content
        .strip_prefix(NAME)
        .ok_or("relays.bin begins otherwise")?;
    let (digest, body) = rest.split_at_checked(32).ok_or("relays.bin is cut")?;
    if digest != Sha256::digest(body).as_slice() {
        return Err("relays.bin has another digest".to_owned());
    }
    let (descriptors, rest) = body.as_chunks::<{ Descriptor::LEN }>();
    if !rest.is_empty() {
        return Err(format!("relays.bin has {} bytes more", rest.len()));
    }
    for bytes in descriptors {
        Descriptor::decode(bytes)
            .and_then(|descriptor| descriptor.check(&SuiteRef::default(), policy, now, None))
            .map_err(|error| format!("relays.bin holds something else: {error}"))?;
    }
    Ok(descriptors.len())
}

/// The wall clock.
pub fn now() -> Unix {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Unix(since.expect("after 1970").as_secs())
}

#[cfg(test)]
mod tests {
    use deut_transport::{keys::RelayKeys, policy::Profile};

    use super::*;

    fn policy() -> Policy {
        Policy::new("kept", Profile::Test).expect("a short name")
    }

    fn saved(bodies: &[[u8; Descriptor::LEN]]) -> Vec<u8> {
        let body = bodies.concat();
        [NAME, Sha256::digest(&body).as_slice(), &body].concat()
    }

    fn descriptor(seed: u8) -> [u8; Descriptor::LEN] {
        let address = ([127, 0, 0, 1], 15_000 + u16::from(seed)).into();
        let minutes = u32::try_from(now().0 / 60).expect("fits");
        let keys = RelayKeys::from_seed(&[seed; 32]);
        *Descriptor::sign(
            &keys,
            policy().network,
            address,
            None,
            minutes,
            minutes + 60,
        )
        .bytes()
    }

    fn good() -> Files {
        let relays = saved(&[descriptor(1), descriptor(2)]);
        let files = [
            ("relay.key", vec![7; 32]),
            ("relays.bin", relays),
            ("lock", vec![]),
            ("control.sock", vec![]),
        ];
        files
            .map(|(name, content)| (name.to_owned(), content))
            .into()
    }

    fn with(name: &str, content: Vec<u8>) -> Result<usize, String> {
        let mut files = good();
        files.insert(name.to_owned(), content);
        judge(&files, &policy(), now())
    }

    #[test]
    fn a_directory_as_it_should_be_passes() {
        assert_eq!(judge(&good(), &policy(), now()), Ok(2));
        assert_eq!(with("relays.bin", saved(&[])), Ok(0));
    }

    #[test]
    fn a_file_too_many_is_found() {
        let told = with("rsa.pem", Vec::new()).expect_err("a file too many");
        assert!(told.contains("rsa.pem"), "{told}");
    }

    #[test]
    fn a_byte_too_many_behind_a_seed_in_the_lock_or_behind_the_relays_is_found() {
        for (name, content) in [
            ("relay.key", vec![7; 33]),
            ("lock", vec![1]),
            ("control.sock", vec![1]),
            (
                "relays.bin",
                [good()["relays.bin"].as_slice(), &[1]].concat(),
            ),
        ] {
            assert!(with(name, content).is_err(), "{name}");
        }
    }

    #[test]
    fn foreign_bytes_among_the_relays_are_found_with_the_right_digest_too() {
        let genuine = descriptor(1);
        // A prime in the place of a key: the form is right, the signature is not.
        let mut disguised = genuine;
        disguised[90..122].fill(0xa5);
        for foreign in [[0xa5; Descriptor::LEN], disguised] {
            let told = with("relays.bin", saved(&[genuine, foreign])).expect_err("foreign bytes");
            assert!(told.contains("holds something else"), "{told}");
        }
        let other = Policy::new("another", Profile::Test).expect("a short name");
        assert!(judge(&good(), &other, now()).is_err(), "of another network");
        let mut head = good()["relays.bin"].clone();
        head[8] ^= 1;
        assert!(with("relays.bin", head).is_err(), "a secret in the head");
    }
}
