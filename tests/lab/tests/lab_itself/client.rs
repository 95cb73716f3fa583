//! Plain clients: std's, and one that connects to many at once and asks the kernel how long each
//! handshake took.

use lab::{World, ms};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Connects, and measures the time it takes for this process.
pub(crate) fn connect(to: IpAddr, port: u16) -> (io::Result<TcpStream>, Duration) {
    let begin = Instant::now();
    let stream = TcpStream::connect_timeout(&SocketAddr::new(to, port), ms(10_000));
    (stream, begin.elapsed())
}

/// Resolves a name to addresses in the system's order, and measures the time it takes.
pub(crate) fn lookup(name: &str) -> (io::Result<Vec<IpAddr>>, Duration) {
    let begin = Instant::now();
    let found = (name, 80).to_socket_addrs();
    (found.map(|found| found.map(|found| found.ip()).collect()), begin.elapsed())
}

/// Port 80 of all addresses of a world.
pub(crate) fn all_addresses(world: &World) -> Vec<SocketAddr> {
    let mirrors = &world.spec().mirrors;
    let addresses = mirrors.iter().flat_map(|mirror| world.addresses(&mirror.name));
    addresses.map(|&ip| SocketAddr::new(ip, 80)).collect()
}

/// Connects to all targets at once. Returns the kernel's measurement of each handshake that
/// completes in time.
pub(crate) fn handshakes(targets: &[SocketAddr], timeout: Duration) -> Vec<Option<Duration>> {
    let begin = Instant::now();
    let sockets: Vec<Socket> = targets
        .iter()
        .map(|&target| {
            let socket = Socket::new(Domain::for_address(target), Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let started = socket.connect(&SockAddr::from(target)).unwrap_err();
            assert_eq!(started.raw_os_error(), Some(libc::EINPROGRESS));
            socket
        })
        .collect();
    let mut times = vec![None; targets.len()];
    let mut open: Vec<usize> = (0..targets.len()).collect();
    while !open.is_empty() && begin.elapsed() < timeout {
        let poll =
            |&i: &usize| libc::pollfd { fd: sockets[i].as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        let mut polled: Vec<_> = open.iter().map(poll).collect();
        // SAFETY: as many descriptors as the vector has.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, 50) };
        let mut ready = polled.iter().map(|polled| polled.revents != 0);
        open.retain(|&i| {
            let done = ready.next().unwrap();
            if done && sockets[i].take_error().unwrap().is_none() {
                times[i] = Some(Duration::from_micros(tcp_info(&sockets[i]).tcpi_rtt.into()));
            }
            !done
        });
    }
    times
}

/// The kernel's information about a connection.
pub(crate) fn tcp_info(socket: &impl AsRawFd) -> libc::tcp_info {
    // SAFETY: plain data, filled in by the kernel up to the length it is given.
    unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
        let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
        assert_eq!(libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut info).cast(), &mut length), 0);
        info
    }
}
