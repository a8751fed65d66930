//! The part of BitTorrent's bencoding (BEP 3) that mutable records need: reading one value strictly, without recursion, and writing
//! a byte string and the value of BEP 46.
//!
//! Strict means: one value and nothing after it, numbers without leading zeros or `-0`, the keys of a dictionary in strictly
//! ascending order, and at most [`MAX_DEPTH`] levels. Each meaning has one accepted form.

/// Largest depth of nested lists and dictionaries.
pub const MAX_DEPTH: usize = 16;

/// The bytes are not exactly one bencoded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a bencoded value")]
pub struct NotBencoded;

/// A list or dictionary that is open.
enum Open<'a> {
    List,
    /// The last key, and whether its value comes next.
    Dictionary {
        last: Option<&'a [u8]>,
        value_next: bool,
    },
}

/// Checks that `bytes` is exactly one value.
///
/// # Errors
/// If it is anything else.
pub fn check(bytes: &[u8]) -> Result<(), NotBencoded> {
    walk(bytes, |_, _| {})
}

/// The content, if `bytes` is exactly one byte string.
#[must_use]
pub fn string(bytes: &[u8]) -> Option<&[u8]> {
    let (string, rest) = take_string(bytes)?;
    rest.is_empty().then_some(string)
}

/// Bencodes a byte string: its length in decimal, a colon, the bytes.
#[must_use]
pub fn of_string(content: &[u8]) -> Vec<u8> {
    [content.len().to_string().as_bytes(), b":", content].concat()
}

/// The infohash in a value of BEP 46: a dictionary with 20 bytes under `ih` and any other keys.
#[must_use]
pub fn infohash(bytes: &[u8]) -> Option<[u8; 20]> {
    let mut found = None;
    let whole = walk(bytes, |key, value| {
        if key == b"ih" {
            found = string_at_start(value);
        }
    });
    whole.ok().and(found)?.try_into().ok()
}

/// The value of BEP 46 that names a torrent.
#[must_use]
pub fn of_infohash(infohash: &[u8; 20]) -> Vec<u8> {
    [b"d2:ih20:".as_slice(), infohash, b"e"].concat()
}

fn string_at_start(bytes: &[u8]) -> Option<&[u8]> {
    take_string(bytes).map(|(string, _)| string)
}

/// Reads exactly one value. `entry` is called for each key of the outermost dictionary, with the bytes at which its value begins.
fn walk<'a>(bytes: &'a [u8], mut entry: impl FnMut(&'a [u8], &'a [u8])) -> Result<(), NotBencoded> {
    let mut open: Vec<Open<'a>> = Vec::new();
    let mut rest = bytes;
    loop {
        let depth = open.len();
        if let Some((b'e', after)) = rest.split_first().map(|(byte, after)| (*byte, after)) {
            match open.pop() {
                None
                | Some(Open::Dictionary {
                    value_next: true, ..
                }) => return Err(NotBencoded),
                Some(_) => rest = after,
            }
        } else if let Some(Open::Dictionary { last, value_next }) = open.last_mut()
            && !*value_next
        {
            let (key, after) = take_string(rest).ok_or(NotBencoded)?;
            if last.is_some_and(|last| last >= key) {
                return Err(NotBencoded);
            }
            (*last, *value_next, rest) = (Some(key), true, after);
            if depth == 1 {
                entry(key, rest);
            }
            continue;
        } else {
            rest = begin_value(rest, &mut open)?;
            if open.len() > depth {
                continue;
            }
        }
        // A value has ended.
        match open.last_mut() {
            None => {
                return if rest.is_empty() {
                    Ok(())
                } else {
                    Err(NotBencoded)
                };
            }
            Some(Open::Dictionary { value_next, .. }) => *value_next = false,
            Some(Open::List) => {}
        }
    }
}

/// Reads a number or string, or opens a list or dictionary. Returns the bytes after it.
fn begin_value<'a>(bytes: &'a [u8], open: &mut Vec<Open<'a>>) -> Result<&'a [u8], NotBencoded> {
    let (first, after) = bytes.split_first().ok_or(NotBencoded)?;
    let opened = match first {
        b'i' => return take_number(after).ok_or(NotBencoded),
        b'l' => Open::List,
        b'd' => Open::Dictionary {
            last: None,
            value_next: false,
        },
        _ => return take_string(bytes).map(|(_, rest)| rest).ok_or(NotBencoded),
    };
    if open.len() >= MAX_DEPTH {
        return Err(NotBencoded);
    }
    open.push(opened);
    Ok(after)
}

/// The bytes after a number and its `e`.
fn take_number(bytes: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == b'e')?)?;
    let positive = digits.strip_prefix(b"-");
    let canonical = is_number(positive.unwrap_or(digits)) && positive != Some(b"0");
    rest.get(1..).filter(|_| canonical)
}

/// A byte string, and the bytes after it.
fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (digits, rest) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == b':')?)?;
    // A length beyond 9 digits is longer than anything that arrives here.
    if !is_number(digits) || digits.len() > 9 {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    rest.get(1..)?.split_at_checked(length)
}

/// Returns true for decimal digits without a leading zero.
fn is_number(digits: &[u8]) -> bool {
    let leading_zero = digits.first() == Some(&b'0') && digits.len() > 1;
    !digits.is_empty() && !leading_zero && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_one_value_is_accepted_and_nothing_else() {
        for good in [
            "i0e",
            "i-1e",
            "i123456789012345678901234567890e",
            "0:",
            "4:spam",
            "le",
            "de",
            "l4:spami42ee",
            "d3:cow3:moo4:spam4:eggse",
            "d1:ad1:bleee",
            "llleee",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "",
            "e",
            "i",
            "ie",
            "i-e",
            "i-0e",
            "i00e",
            "i01e",
            "i+1e",
            "i1",
            "4:spa",
            "04:spam",
            "-1:",
            "4spam",
            ":",
            "l",
            "d",
            "d1:ae",
            "di1e1:ae",
            "d1:b0:1:a0:e",
            "d1:a0:1:a0:e",
            "4:spamx",
            "lee",
            "i1ei2e",
            "99999999999:",
            "l4:spam",
        ] {
            assert_eq!(check(bad.as_bytes()), Err(NotBencoded), "{bad}");
        }
    }

    #[test]
    fn the_depth_is_bounded() {
        let nested = |depth: usize| ["l".repeat(depth), "e".repeat(depth)].concat();
        assert_eq!(check(nested(MAX_DEPTH).as_bytes()), Ok(()), "control");
        assert_eq!(check(nested(MAX_DEPTH + 1).as_bytes()), Err(NotBencoded));
        assert_eq!(check("l".repeat(800).as_bytes()), Err(NotBencoded));
    }

    #[test]
    fn an_infohash_is_found_in_the_outermost_dictionary_only() {
        let hash = *b"01234567890123456789";
        assert_eq!(infohash(&of_infohash(&hash)), Some(hash));
        let with_more = [b"d1:a1:x2:ih20:".as_slice(), &hash, b"1:zi1ee"].concat();
        assert_eq!(infohash(&with_more), Some(hash));
        for bad in [
            [b"d1:ad2:ih20:".as_slice(), &hash, b"ee"].concat(), // in another dictionary
            [b"l2:ih20:".as_slice(), &hash, b"e"].concat(),      // in a list
            b"d2:ih19:0123456789012345678e".to_vec(),
            b"d2:ihi1ee".to_vec(),
            b"d2:ihl20:01234567890123456789ee".to_vec(),
            [&of_infohash(&hash)[..], b"x"].concat(),
            of_infohash(&hash)[..28].to_vec(),
        ] {
            assert_eq!(infohash(&bad), None, "{}", String::from_utf8_lossy(&bad));
        }
    }

    #[test]
    fn strings_are_read_back() {
        assert_eq!(of_string(b"Hello World!"), b"12:Hello World!");
        assert_eq!(string(b"12:Hello World!"), Some(&b"Hello World!"[..]));
        assert_eq!(string(b"12:Hello World!x"), None);
        assert_eq!(string(b"i1e"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[ilde0-9:-]{0,60}") {
            let _ = (check(&bytes), infohash(&bytes), string(&bytes));
            let _ = (check(text.as_bytes()), infohash(text.as_bytes()), string(text.as_bytes()));
        }

        #[test]
        fn any_string_is_one_value(bytes in proptest::collection::vec(any::<u8>(), 0..900)) {
            let encoded = of_string(&bytes);
            prop_assert_eq!(check(&encoded), Ok(()));
            prop_assert_eq!(string(&encoded), Some(&bytes[..]));
        }
    }
}
