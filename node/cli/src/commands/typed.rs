//! Values and numbers as users type them.

use std::{
    fs::File,
    io::{Read, stdin},
};

use deut_kademlia::MAX_VALUE;

use crate::{cli, exit::Failure};

/// The value of `put`. Its size is checked before any node is asked.
pub(super) fn read_value(arguments: &cli::Put) -> Result<Vec<u8>, Failure> {
    let value = match (&arguments.value, &arguments.file) {
        (_, Some(path)) => {
            let unreadable =
                |why| Failure::bad_input(format!("{}: cannot be read ({why})", path.display()));
            let file = File::open(path).map_err(unreadable)?;
            // The size of a regular file is known without reading it, but some files under /proc say 0 and have content.
            let metadata = file.metadata().map_err(unreadable)?;
            if metadata.is_file() && metadata.len() > MAX_VALUE as u64 {
                return Err(Failure::value_too_large(
                    usize::try_from(metadata.len()).unwrap_or(usize::MAX),
                ));
            }
            at_most_the_largest(file, unreadable)?
        }
        (Some(dash), None) if dash == "-" => at_most_the_largest(stdin().lock(), |why| {
            Failure::bad_input(format!("standard input cannot be read ({why})"))
        })?,
        (Some(text), None) => text.clone().into_bytes(),
        (None, None) => Vec::new(),
    };
    match value.len() {
        0 => Err(Failure::bad_input("the value is empty")),
        bytes if bytes > MOST_READ => Err(Failure::value_without_end(MOST_READ)),
        bytes if bytes > MAX_VALUE => Err(Failure::value_too_large(bytes)),
        _ => Ok(value),
    }
}

/// A pipe has no known size. It is read up to this many bytes, to distinguish a value that is a little too long from one without
/// end.
const MOST_READ: usize = 1 << 20;

/// Reads a value to its end, but not without limit.
fn at_most_the_largest(
    source: impl Read,
    unreadable: impl FnOnce(std::io::Error) -> Failure,
) -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    match source.take(MOST_READ as u64 + 1).read_to_end(&mut value) {
        Ok(_) => Ok(value),
        Err(why) => Err(unreadable(why)),
    }
}

/// Checks a sequence number as it was typed.
pub(super) fn sequence(option: &str, typed: Option<i128>) -> Result<Option<i64>, Failure> {
    let number = |typed| i64::try_from(typed).ok().filter(|number| *number >= 0);
    typed
        .map(|typed| {
            number(typed).ok_or_else(|| {
                Failure::bad_input(format!("{option} {typed} is no sequence number")).hint(format!(
                    "they go from 0 to {}; the first version usually has 1",
                    i64::MAX
                ))
            })
        })
        .transpose()
}
