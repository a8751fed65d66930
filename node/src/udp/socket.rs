//! One UDP socket.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::families::Families;

/// Binds a port. It is no error if the system gives smaller buffers than asked for.
pub(super) fn bind(
    address: SocketAddr,
    families: Families,
    buffer: usize,
) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    let _ = socket.set_recv_buffer_size(buffer);
    let _ = socket.set_send_buffer_size(buffer);
    if address.is_ipv6() {
        // A relay has one family, since its descriptor names one address.
        socket.set_only_v6(!families.ipv4)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    UdpSocket::from_std(socket.into())
}

/// Sends now or not at all. It does not use `try_send_to`, which reports "would block" on a new socket until the reactor has seen
/// it.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
    SockRef::from(socket)
        .send_to(bytes, &SockAddr::from(to))
        .map(drop)
}

/// Returns true if the send buffer or a queue behind it has no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    /// ENOBUFS on Linux, and on the BSDs and macOS.
    const NO_BUFFER: [i32; 2] = [105, 55];
    error.kind() == io::ErrorKind::WouldBlock
        || error
            .raw_os_error()
            .is_some_and(|code| NO_BUFFER.contains(&code))
}
