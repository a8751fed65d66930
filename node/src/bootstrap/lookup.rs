//! One lookup of a name, on a thread of its own: a name server that does not answer holds it up for minutes, and must
//! neither keep others waiting nor the process from ending.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    thread,
};

use tokio::sync::mpsc;

/// The addresses of a name, or why there are none.
pub(super) type Found = Result<Vec<SocketAddr>, String>;

/// A thread that only asks a name server.
const STACK: usize = 512 << 10;

/// Begins a lookup; what it brings goes to `done` with this number.
pub(super) fn start(number: usize, host: &str, port: u16, done: mpsc::Sender<(usize, Found)>) {
    let host = host.to_owned();
    let answer = done.clone();
    let looking = thread::Builder::new()
        .name("deut-lookup".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs();
            let found = found.map(Iterator::collect).map_err(|why| why.to_string());
            // The node may have stopped meanwhile.
            let _ = answer.try_send((number, found));
        });
    if let Err(why) = looking {
        let _ = done.try_send((number, Err(format!("no thread can be started: {why}"))));
    }
}
