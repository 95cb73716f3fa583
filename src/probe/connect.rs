//! Non-blocking sockets in one epoll set: starts connection attempts and reads the kernel's handshake times.
//!
//! No policy: whom to try, when, and what an answer means is `schedule.rs`'s to decide.
#![forbid(unsafe_code)]

use super::schedule::{Attempt, Failure};
use crate::sys::{self, Epoll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The token of what is waited for besides the sockets.
const OTHER: u64 = u64::MAX;

/// A timed handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handshake {
    pub(crate) latency: Duration,
    /// A SYN was sent again, so the number may be off by a millisecond or, after a lost SYN-ACK, by a second.
    pub(crate) imprecise: bool,
}

/// How an attempt ended.
pub(crate) type Ended = Result<Handshake, Failure>;

/// What came of starting an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Started {
    Connecting,
    Failed(Failure),
    /// Neither the mirror nor the network is at fault: this process or system has no room for it just now.
    NoRoom,
}

/// The sockets of one run.
#[derive(Debug)]
pub(crate) struct Connector {
    epoll: Epoll,
    /// By attempt.
    sockets: Vec<Option<(Socket, Instant)>>,
    tokens: Vec<u64>,
}

impl Connector {
    pub(crate) fn new(attempts: usize) -> io::Result<Connector> {
        let sockets = (0..attempts).map(|_| None).collect();
        Ok(Connector { epoll: Epoll::new()?, sockets, tokens: Vec::new() })
    }

    /// Lets `wait` end when `fd` becomes readable.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.epoll.add_readable(fd, OTHER)
    }

    /// Sends the SYN of an attempt.
    pub(crate) fn start(&mut self, attempt: Attempt, address: SocketAddr, now: Instant) -> Started {
        match self.connect(attempt, address, now) {
            Ok(()) => Started::Connecting,
            Err(error) if no_room(&error) => Started::NoRoom,
            Err(error) => match failure(&error) {
                Failure::Refused => Started::Failed(Failure::Refused),
                _ => Started::Failed(Failure::NoRoute),
            },
        }
    }

    fn connect(&mut self, attempt: Attempt, address: SocketAddr, now: Instant) -> io::Result<()> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new_raw(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        // Before the connect: where there is no room for it, nothing has been sent.
        self.epoll.add_writable(socket.as_fd(), attempt.0 as u64)?;
        match socket.connect(&SockAddr::from(address)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        self.sockets[attempt.0] = Some((socket, now));
        Ok(())
    }

    /// Gives an attempt up; nothing is sent.
    pub(crate) fn close(&mut self, attempt: Attempt) {
        self.sockets[attempt.0] = None;
    }

    /// Waits for at most `timeout` and tells how the attempts ended that did. Their sockets are closed.
    pub(crate) fn wait(&mut self, timeout: Duration, mut tell: impl FnMut(Attempt, Ended)) -> io::Result<()> {
        self.tokens.clear();
        self.epoll.wait(timeout, &mut self.tokens)?;
        for token in self.tokens.drain(..).filter(|&token| token != OTHER) {
            let attempt = Attempt(token as usize);
            if let Some((socket, sent)) = self.sockets[attempt.0].take() {
                tell(attempt, read(&socket, sent));
            }
        }
        Ok(())
    }
}

/// Reads how a connect has ended.
///
/// The number is the kernel's: taken when the SYN-ACK came in, it does not grow when this process is late.
fn read(socket: &Socket, sent: Instant) -> Ended {
    let info = sys::tcp_info(socket.as_fd()).map_err(|error| failure(&error))?;
    if !info.established {
        let error = socket.take_error().ok().flatten();
        // A peer that has hung up already, with an RST even (the error then depends on a FIN before it), did shake
        // hands first.
        let hung_up = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        let shook_hands = error.as_ref().is_none_or(|e| hung_up.contains(&e.kind()));
        if !shook_hands || info.rtt.is_zero() {
            return Err(error.as_ref().map_or(Failure::Unreachable, failure));
        }
    }
    let latency = if info.rtt.is_zero() { sent.elapsed() } else { info.rtt };
    let imprecise = info.retransmits > 0 || info.rtt.is_zero();
    Ok(Handshake { latency: latency.max(Duration::from_micros(1)), imprecise })
}

fn no_room(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC | libc::EAGAIN)
    )
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        _ => Failure::Unreachable,
    }
}
