//! Signals, threads and open files of this process.

mod signals;
pub(crate) mod threads;

pub(crate) use self::signals::Signals;

/// Raises the limit of open files to what the system allows, since every endpoint port is one. Returns the new limit.
pub(crate) fn raise_open_file_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_refused) => limit.current,
    }
}
