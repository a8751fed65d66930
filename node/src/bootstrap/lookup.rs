//! One lookup of a name on a thread of its own. A name server that does not answer holds it up for minutes, which must neither keep
//! others waiting nor the process from ending.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    thread,
};

use tokio::sync::mpsc;

/// The addresses of a name, or the reason why there are none.
pub(super) type Found = Result<Vec<SocketAddr>, String>;

/// Stack size in bytes of a thread that only asks a name server.
const STACK: usize = 512 << 10;

/// Starts a lookup. Its result goes to `done`, together with `number`.
pub(super) fn start(number: usize, host: &str, port: u16, done: mpsc::Sender<(usize, Found)>) {
    let host = host.to_owned();
    let answer = done.clone();
    let looking = thread::Builder::new()
        .name("deut-lookup".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs();
            let found = found.map(Iterator::collect).map_err(|why| why.to_string());
            // The node may have stopped by now.
            let _ = answer.try_send((number, found));
        });
    if let Err(why) = looking {
        let _ = done.try_send((number, Err(format!("no thread can be started: {why}"))));
    }
}
