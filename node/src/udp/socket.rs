//! One UDP socket.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::families::Families;

/// Binds a port. The system may give smaller buffers than asked for; that is no error.
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
        // One family per relay: its descriptor names one address.
        socket.set_only_v6(!families.ipv4)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    UdpSocket::from_std(socket.into())
}

/// Sends now or never. Not by `try_send_to`: that answers "would block" on a new socket until the reactor has seen it.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
    SockRef::from(socket)
        .send_to(bytes, &SockAddr::from(to))
        .map(drop)
}

/// The send buffer or a queue behind it has no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    /// ENOBUFS on Linux and on the BSDs (macOS too).
    const NO_BUFFER: [i32; 2] = [105, 55];
    error.kind() == io::ErrorKind::WouldBlock
        || error
            .raw_os_error()
            .is_some_and(|code| NO_BUFFER.contains(&code))
}
