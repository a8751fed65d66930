//! Mutable records: a value is taken as bencoded exactly if a second reader, which builds the value and writes it again,
//! agrees; what is signed within the rules is taken, and is refused after any change.

use std::collections::BTreeMap;

use deut_kademlia::{MAX_SALT, MAX_VALUE, MutableRecord, bencode};

use super::{Depth, input::Input};

/// First byte even: the rest is a value. Odd: the rest is signed, and changed then.
#[must_use]
pub fn body(data: &[u8]) -> Depth {
    let mut input = Input::new(data);
    if input.u8() & 1 == 1 {
        return sign(&mut input);
    }
    let bytes = input.rest();
    let read = read_all(bytes);
    assert_eq!(bencode::check(bytes).is_ok(), read.is_some());
    let string = match &read {
        Some(Value::String(string)) => Some(*string),
        _ => None,
    };
    assert_eq!(bencode::string(bytes), string);
    let infohash = match &read {
        Some(Value::Dictionary(entries)) => match entries.get(b"ih".as_slice()) {
            Some(Value::String(hash)) => <[u8; 20]>::try_from(*hash).ok(),
            _ => None,
        },
        _ => None,
    };
    assert_eq!(bencode::infohash(bytes), infohash);
    assert_eq!(bencode::string(&bencode::of_string(bytes)), Some(bytes));
    Depth::deep_if(read.is_some())
}

/// A bencoded value.
enum Value<'a> {
    Number(&'a str),
    String(&'a [u8]),
    List(Vec<Self>),
    Dictionary(BTreeMap<&'a [u8], Self>),
}

impl Value<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(digits) => out.extend([b"i", digits.as_bytes(), b"e"].concat()),
            Self::String(string) => out.extend(bencode::of_string(string)),
            Self::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Self::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    out.extend(bencode::of_string(key));
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }
}

/// Reads generously; what is not written again as it was is refused afterwards.
fn read_all(bytes: &[u8]) -> Option<Value<'_>> {
    let (value, rest) = read(bytes, 0)?;
    let mut again = Vec::new();
    value.write(&mut again);
    (rest.is_empty() && again == bytes).then_some(value)
}

fn read(bytes: &[u8], depth: usize) -> Option<(Value<'_>, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    match first {
        b'i' => {
            let end = rest.iter().position(|&byte| byte == b'e')?;
            let digits = std::str::from_utf8(&rest[..end]).ok()?;
            let bare = digits.strip_prefix('-').unwrap_or(digits);
            let plain = bare == "0" && bare == digits
                || bare.bytes().all(|byte| byte.is_ascii_digit())
                    && bare.bytes().next().is_some_and(|byte| byte != b'0');
            plain.then_some((Value::Number(digits), &rest[end + 1..]))
        }
        b'l' | b'd' if depth >= bencode::MAX_DEPTH => None,
        b'l' => {
            let mut values = Vec::new();
            while *rest.first()? != b'e' {
                let (value, after) = read(rest, depth + 1)?;
                values.push(value);
                rest = after;
            }
            Some((Value::List(values), &rest[1..]))
        }
        b'd' => {
            let mut entries = BTreeMap::new();
            while *rest.first()? != b'e' {
                let (key, after) = read_string(rest)?;
                let (value, after) = read(after, depth + 1)?;
                entries.insert(key, value);
                rest = after;
            }
            Some((Value::Dictionary(entries), &rest[1..]))
        }
        _ => read_string(bytes).map(|(string, rest)| (Value::String(string), rest)),
    }
}

fn read_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    let length = std::str::from_utf8(&bytes[..colon]).ok()?;
    let length: usize = length.parse().ok()?;
    bytes[colon + 1..].split_at_checked(length)
}

fn sign(input: &mut Input<'_>) -> Depth {
    let seed = [input.u8(); 32];
    let seq = i64::from_be_bytes(input.array());
    let salt = vec![input.u8(); usize::from(input.u8() % 70)];
    let mode = input.u8();
    let long = vec![b'x'; usize::from(input.u16()) % 900];
    let value = match mode % 3 {
        0 => bencode::of_infohash(&[mode; 20]),
        1 => bencode::of_string(&long),
        _ => long,
    };
    let fits = seq >= 0
        && salt.len() <= MAX_SALT
        && value.len() <= MAX_VALUE
        && read_all(&value).is_some();
    let made = MutableRecord::sign(&seed, salt.clone(), seq, value.clone());
    assert_eq!(made.is_ok(), fits, "{made:?}");
    let Ok(made) = made else {
        return Depth::Refused;
    };
    let public = made.key().public_key();
    let again = MutableRecord::new(public, salt.clone(), seq, *made.signature(), value.clone());
    assert!(again.is_ok_and(|again| again == made));
    let mut parts = [
        &public[..],
        &seq.to_be_bytes(),
        made.signature(),
        &salt,
        &value,
    ]
    .concat();
    if input.mutate(&mut parts) {
        let mut parts = Input::new(&parts);
        let (public, seq) = (parts.array(), i64::from_be_bytes(parts.array()));
        let signature = parts.array();
        let salt = parts.take(salt.len()).to_vec();
        let altered = MutableRecord::new(public, salt, seq, signature, parts.rest().to_vec());
        assert!(altered.is_err(), "every byte is signed");
    }
    Depth::Deep
}

/// The record of this number with this sequence number and a value of that length.
#[must_use]
pub fn sample(number: u8, seq: i64, length: usize) -> MutableRecord {
    let salt = vec![number; usize::from(number % 3) * 32];
    let value = bencode::of_string(&vec![number; length]);
    MutableRecord::sign(&[number; 32], salt, seq, value).expect("within the rules")
}

/// Values good and bad, records within the rules and at their edges, untouched and changed.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "i0e",
        "i-0e",
        "i-12e",
        "i012e",
        "0:",
        "3:abc",
        "03:abc",
        "4:abc",
        "le",
        "li1e2:abe",
        "d1:ai1e1:bli2eee",
        "d1:bi1e1:ai2ee",
        "d1:a1:be1:c",
        "llllllllllllllllleeeeeeeeeeeeeeeee",
        "lllllllllllllllleeeeeeeeeeeeeeee",
        "99999999999999999999:",
    ]
    .iter()
    .map(|value| [b"\0", value.as_bytes()].concat())
    .collect();
    seeds.push([&[0], bencode::of_infohash(&[7; 20]).as_slice()].concat());
    for (salt, mode, changes) in [
        (0, 0, &[][..]),
        (64, 1, &[]),
        (65, 0, &[]),
        (3, 2, &[]),
        (5, 0, &[1, 40, 1]),
        (5, 1, &[1, 110, 1]),
    ] {
        let mut seed = vec![1, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0x55, salt, mode, 0, 60];
        seed.extend(changes);
        seeds.push(seed);
    }
    seeds
}
