//! Non-blocking sockets in one epoll set: starts connection attempts and reads the kernel's
//! handshake times.
//!
//! No policy: what to try, when, and what an answer means is decided in `schedule.rs`.
#![forbid(unsafe_code)]

use super::schedule::{Attempt, AttemptFailure};
use crate::sys::{self, Epoll, TcpInfo};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The token of the waker.
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
    /// the network. With the `errno`(3).
    NoRoom(i32),
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
            Err(error) => match (no_room(&error), failure(&error)) {
                (Some(errno), _) => Started::NoRoom(errno),
                (None, AttemptFailure::Refused) => Started::Failed(AttemptFailure::Refused),
                (None, _) => Started::Failed(AttemptFailure::NoRoute),
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
            // A connect that a signal interrupts goes on (POSIX); a supervisor of system calls may
            // bring that about, although this one does not wait.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => {}
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
    let elapsed = sent.elapsed();
    let info = sys::tcp_info(socket.as_fd());
    let error = socket.take_error().ok().flatten();
    let is_connected = info.is_err() && socket.peer_addr().is_ok();
    judge(info.ok(), error, is_connected, elapsed)
}

/// Decides how a connect has finished from the error that was pending on the socket and from what
/// the kernel knows of the connection. Where it does not say, from whether the socket has a peer,
/// and from the time since the connect.
fn judge(
    info: Option<TcpInfo>,
    error: Option<io::Error>,
    is_connected: bool,
    elapsed: Duration,
) -> AttemptResult {
    // A peer that has closed the connection already, even with an RST (the error then depends on
    // whether a FIN came before it), did complete the handshake first.
    let has_closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    let has_closed = error.as_ref().is_some_and(|error| has_closed.contains(&error.kind()));
    let has_answered = match info {
        Some(info) => info.established || (error.is_none() || has_closed) && !info.rtt.is_zero(),
        None => has_closed || error.is_none() && is_connected,
    };
    if !has_answered {
        return Err(error.as_ref().map_or(AttemptFailure::Unreachable, failure));
    }
    // One that is longer than the whole attempt is not that of a handshake.
    let rtt = info.map(|info| info.rtt).filter(|&rtt| !rtt.is_zero() && rtt <= elapsed);
    let imprecise = rtt.is_none() || info.is_some_and(|info| info.retransmits > 0);
    Ok(Handshake { latency: rtt.unwrap_or(elapsed).max(Duration::from_micros(1)), imprecise })
}

fn no_room(error: &io::Error) -> Option<i32> {
    const NO_ROOM: [i32; 6] =
        [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::ENOSPC, libc::EAGAIN];
    error.raw_os_error().filter(|errno| NO_ROOM.contains(errno))
}

fn failure(error: &io::Error) -> AttemptFailure {
    match error.kind() {
        ErrorKind::ConnectionRefused => AttemptFailure::Refused,
        _ => AttemptFailure::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELAPSED: Duration = Duration::from_millis(30);

    fn judged(info: Option<TcpInfo>, error: Option<i32>, is_connected: bool) -> AttemptResult {
        judge(info, error.map(io::Error::from_raw_os_error), is_connected, ELAPSED)
    }

    #[test]
    fn kernel_decides_where_it_knows_the_connection() {
        let rtt = Duration::from_millis(20);
        let info = |established, rtt, retransmits| Some(TcpInfo { established, rtt, retransmits });
        let answer = |latency, imprecise| Ok(Handshake { latency, imprecise });
        let zero = Duration::ZERO;
        let table = [
            (info(true, rtt, 0), None, answer(rtt, false)),
            (info(true, rtt, 1), None, answer(rtt, true)),
            (info(true, zero, 0), None, answer(ELAPSED, true)),
            (info(true, Duration::from_secs(4295), 0), None, answer(ELAPSED, true)),
            (info(false, rtt, 0), None, answer(rtt, false)),
            (info(false, rtt, 0), Some(libc::ECONNRESET), answer(rtt, false)),
            (info(false, rtt, 0), Some(libc::EPIPE), answer(rtt, false)),
            (info(false, zero, 0), None, Err(AttemptFailure::Unreachable)),
            (info(false, zero, 0), Some(libc::ECONNREFUSED), Err(AttemptFailure::Refused)),
            (info(false, zero, 0), Some(libc::EHOSTUNREACH), Err(AttemptFailure::Unreachable)),
            (info(false, zero, 0), Some(libc::ETIMEDOUT), Err(AttemptFailure::Unreachable)),
        ];
        for (info, error, expected) in table {
            assert_eq!(judged(info, error, false), expected, "{info:?} {error:?}");
        }
    }

    #[test]
    fn wall_clock_counts_where_tcp_info_cannot_be_had() {
        let answer = Ok(Handshake { latency: ELAPSED, imprecise: true });
        let table = [
            (None, true, answer),
            (None, false, Err(AttemptFailure::Unreachable)),
            // It has answered and closed the connection already.
            (Some(libc::ECONNRESET), false, answer),
            (Some(libc::EPIPE), false, answer),
            (Some(libc::ECONNREFUSED), false, Err(AttemptFailure::Refused)),
            (Some(libc::EHOSTUNREACH), false, Err(AttemptFailure::Unreachable)),
        ];
        for (error, is_connected, expected) in table {
            assert_eq!(judged(None, error, is_connected), expected, "{error:?}");
        }
    }
}
