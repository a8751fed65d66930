//! `put --mutable`: the key file is read and the version signed here, so that the daemon never sees the key.

use std::path::Path;

use deut::{MutableError, MutableKey, MutableRecord, key_file::KeyFile};
use deut_kademlia::{MAX_VALUE, PersonaSecret, bencode};
use zeroize::Zeroizing;

use super::{
    asking::{ask, milliseconds, needs_daemon},
    typed::{read_value, sequence},
};
use crate::{
    cli,
    control::{client::Daemon, protocol::Request},
    exit::{Exit, Failure},
    output::{Out, text},
    report::{Got, Stored, hex},
    work::target::magnet,
};

/// Number of lookups for the present version. There are two, since the nodes of the first may not have it.
const LOOKUPS: u32 = 2;

/// Sequence numbers count versions or are times, at most in nanoseconds. A number with less than this left above it is a mistake.
const ROOM: i64 = 1_000_000;

/// `deut put --mutable`.
pub(super) async fn put(arguments: &cli::Put, out: &Out) -> Result<(), Failure> {
    let (signed, lookup) = (&arguments.signed, &arguments.lookup);
    let (seq, cas) = wanted(signed)?;
    if let Some(seq) = seq {
        leave_room(seq, signed.force, out)?;
    }
    let value = bencoded(arguments)?;
    let seed = signing_key(signed)?;
    let salt = signed.salt.clone().unwrap_or_default().into_bytes();
    let of = MutableKey::new(PersonaSecret::from_seed(&seed).public(), salt);
    let of = of.map_err(Failure::bad_input)?;
    let daemon = || async {
        let connected = Daemon::connect(&lookup.reach.control()?).await;
        connected.map_err(|failure| needs_daemon(failure, "put"))
    };
    let (seq, cas) = match seq {
        Some(seq) => (seq, cas),
        None => {
            let present = present(daemon().await?, &of, lookup, out).await?;
            let next = next_after(present)?;
            leave_room(next, signed.force, out)?;
            (next, cas.or(present))
        }
    };
    let record = MutableRecord::sign(&seed, of.salt().to_vec(), seq, value).map_err(unfit)?;
    drop(seed);
    let request = Request::PutMutable {
        public_key: hex(&of.public_key()),
        salt_hex: hex(of.salt()),
        seq,
        value_hex: hex(record.value()),
        signature: hex(record.signature()),
        cas,
        timeout_ms: milliseconds(lookup),
    };
    let stored: Stored = ask(daemon().await?, &request, &mut out.steps(lookup.verbose)).await?;
    out.result(&stored, || text::stored(&stored))
}

/// The value in the form that is signed: a byte string, or the form of BEP 46 for a torrent.
fn bencoded(arguments: &cli::Put) -> Result<Vec<u8>, Failure> {
    match &arguments.signed.torrent {
        Some(link) => Ok(bencode::of_infohash(&magnet(link)?.infohash())),
        None => {
            let value = bencode::of_string(&read_value(arguments)?);
            if value.len() > MAX_VALUE {
                return Err(unfit(MutableError::ValueTooLarge(value.len())));
            }
            Ok(value)
        }
    }
}

/// The numbers of `--seq` and `--cas`, checked against each other.
fn wanted(signed: &cli::Signed) -> Result<(Option<i64>, Option<i64>), Failure> {
    let seq = sequence("--seq", signed.seq)?;
    let cas = sequence("--cas", signed.cas)?;
    match (seq, cas) {
        (Some(seq), Some(cas)) if cas >= seq => Err(Failure::bad_input(format!(
            "sequence number {seq} cannot follow {cas}, over which --cas wants it stored"
        ))
        .hint("--seq must be higher than --cas; without --seq the next number is taken")),
        wanted => Ok(wanted),
    }
}

/// Refuses a number after which the record could soon, or ever, no longer be changed, unless that is intended.
fn leave_room(seq: i64, force: bool, out: &Out) -> Result<(), Failure> {
    let what = match i64::MAX - seq {
        ROOM.. => return Ok(()),
        0 => format!(
            "sequence number {seq} is the highest there is: no newer version could ever follow"
        ),
        left => format!("after sequence number {seq} only {left} newer versions could follow"),
    };
    if force {
        out.warning(&what);
        return Ok(());
    }
    Err(Failure::bad_input(what)
        .hint("take a lower --seq, or another --salt; if you mean it, add --force"))
}

fn signing_key(signed: &cli::Signed) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let path = signed.key_file.as_deref().unwrap_or(Path::new(""));
    let key = if signed.new_key {
        KeyFile::create(path)
    } else {
        KeyFile::read(path)
    };
    key.map(|key| key.seed).map_err(Failure::bad_input)
}

/// The sequence number of the version in the network; `None` if no node knows one.
async fn present(
    daemon: Daemon,
    of: &MutableKey,
    lookup: &cli::Lookup,
    out: &Out,
) -> Result<Option<i64>, Failure> {
    let request = Request::GetMutable {
        public_key: hex(&of.public_key()),
        salt_hex: hex(of.salt()),
        min_seq: None,
        lookups: Some(LOOKUPS),
        timeout_ms: milliseconds(lookup),
    };
    match ask::<Got>(daemon, &request, &mut out.steps(lookup.verbose)).await {
        Ok(Got::Mutable { record, .. }) => Ok(Some(record.seq)),
        Ok(_) => Err(Failure::new(
            Exit::Internal,
            "the daemon answered something else",
        )),
        Err(failure) if failure.kind == Exit::NotFound => Ok(None),
        Err(failure) if failure.kind == Exit::NotJoined => Err(Failure::new(
            Exit::NotJoined,
            format!("the present sequence number is unknown: {}", failure.message),
        )
        .hint("give it with --seq: then the daemon keeps the version and publishes it when others come")),
        Err(failure) => Err(failure),
    }
}

fn next_after(present: Option<i64>) -> Result<i64, Failure> {
    present.map_or(Ok(1), |seq| {
        seq.checked_add(1).ok_or_else(|| {
            Failure::conflict(
                seq,
                format!("the network keeps sequence number {seq} of this record"),
            )
        })
    })
}

fn unfit(why: MutableError) -> Failure {
    match why {
        MutableError::ValueTooLarge(bytes) => Failure::bad_input(format!(
            "the value with its length before it has {bytes} bytes, more than the 800 that fit"
        ))
        .hint("a mutable record holds 796 bytes"),
        why => Failure::bad_input(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_number_follows_the_present_one() {
        assert_eq!(next_after(None), Ok(1));
        assert_eq!(next_after(Some(0)), Ok(1));
        assert_eq!(next_after(Some(41)), Ok(42));
        let none = next_after(Some(i64::MAX)).expect_err("no next");
        assert_eq!(none.kind, Exit::Conflict);
        let hint = none.hint.expect("a hint");
        assert!(hint.contains("no newer version can ever follow"), "{hint}");
    }
}
