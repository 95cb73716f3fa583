//! Non-blocking sockets in one epoll set: starts connection attempts and reads the kernel's
//! handshake times.
//!
//! No policy: what to try, when, and what an answer means is decided in `schedule.rs`.
#![forbid(unsafe_code)]

use super::schedule::{Attempt, AttemptFailure};
use crate::sys::{self, Epoll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The token of everything that is waited for besides the sockets.
const OTHER: u64 = u64::MAX;

/// A timed handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handshake {
    pub(super) latency: Duration,
    /// Whether a SYN was sent again, so that the latency may be off by a millisecond or, after a
    /// lost SYN-ACK, by a second.
    pub(super) imprecise: bool,
}

/// How an attempt finished.
pub(super) type AttemptResult = Result<Handshake, AttemptFailure>;

/// What came of starting an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Started {
    Connecting,
    Failed(AttemptFailure),
    /// This process or system has no room for it just now, which says nothing about the mirror or
    /// the network.
    NoRoom,
}

/// The sockets of one run.
#[derive(Debug)]
pub(super) struct Connector {
    epoll: Epoll,
    /// By attempt.
    sockets: Vec<Option<(Socket, Instant)>>,
    tokens: Vec<u64>,
}

impl Connector {
    pub(super) fn new(attempts: usize) -> io::Result<Connector> {
        let sockets = (0..attempts).map(|_| None).collect();
        Ok(Connector { epoll: Epoll::new()?, sockets, tokens: Vec::new() })
    }

    /// Makes `wait` return when `fd` becomes readable.
    pub(super) fn watch(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.epoll.add_readable(fd, OTHER)
    }

    /// Sends the SYN of an attempt.
    pub(super) fn start(&mut self, attempt: Attempt, address: SocketAddr, now: Instant) -> Started {
        match self.connect(attempt, address, now) {
            Ok(()) => Started::Connecting,
            Err(error) if no_room(&error) => Started::NoRoom,
            Err(error) => match failure(&error) {
                AttemptFailure::Refused => Started::Failed(AttemptFailure::Refused),
                _ => Started::Failed(AttemptFailure::NoRoute),
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

    /// Gives an attempt up. Nothing is sent.
    pub(super) fn close(&mut self, attempt: Attempt) {
        self.sockets[attempt.0] = None;
    }

    /// Waits for at most `timeout` and reports how attempts finished. Their sockets are closed.
    pub(super) fn wait(
        &mut self,
        timeout: Duration,
        mut report: impl FnMut(Attempt, AttemptResult),
    ) -> io::Result<()> {
        self.tokens.clear();
        self.epoll.wait(timeout, &mut self.tokens)?;
        for token in self.tokens.drain(..).filter(|&token| token != OTHER) {
            let attempt = Attempt(token as usize);
            if let Some((socket, sent)) = self.sockets[attempt.0].take() {
                report(attempt, read(&socket, sent));
            }
        }
        Ok(())
    }
}

/// Reads how a connect has finished.
///
/// The latency is the kernel's, taken when the SYN-ACK came in, so it does not grow when this
/// process is late.
fn read(socket: &Socket, sent: Instant) -> AttemptResult {
    let info = sys::tcp_info(socket.as_fd()).map_err(|error| failure(&error))?;
    if !info.established {
        let error = socket.take_error().ok().flatten();
        // A peer that has closed the connection already, even with an RST (the error then depends
        // on whether a FIN came before it), did complete the handshake first.
        let has_closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        let has_shaken_hands = error.as_ref().is_none_or(|e| has_closed.contains(&e.kind()));
        if !has_shaken_hands || info.rtt.is_zero() {
            return Err(error.as_ref().map_or(AttemptFailure::Unreachable, failure));
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

fn failure(error: &io::Error) -> AttemptFailure {
    match error.kind() {
        ErrorKind::ConnectionRefused => AttemptFailure::Refused,
        _ => AttemptFailure::Unreachable,
    }
}
