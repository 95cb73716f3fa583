//! What became of a mirror in a run, and why measuring stopped: plain values and the words for
//! them.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// What became of a mirror in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Its TCP handshake was timed in this run.
    Measured(Duration),
    /// Its latency comes from the cache: it was measured in an earlier run.
    Cached(Duration),
    /// A `file:` URL: there is nothing to measure.
    Local,
    /// No reply came before measuring stopped: the mirror is far away or down, or was never tried.
    Unanswered,
    /// The host refused the connection.
    Refused,
    /// The network reported that the host cannot be reached.
    Unreachable,
    /// Its name has no address, or none of the requested family, or the lookup failed. 0.0.0.0 and
    /// `::` are no addresses: name servers answer with them for a name that they block.
    Unresolved,
    /// Not the URL of a host to which a connection can be made.
    Unsupported,
    /// Dropped by a filter.
    Excluded,
}

impl Outcome {
    /// Returns the latency, measured or cached, if there is one.
    pub fn latency(self) -> Option<Duration> {
        match self {
            Outcome::Measured(latency) | Outcome::Cached(latency) => Some(latency),
            _ => None,
        }
    }

    /// Returns the outcome as one word in lower case, for logs and data formats.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Measured(_) => "measured",
            Outcome::Cached(_) => "cached",
            Outcome::Local => "local",
            Outcome::Unanswered => "unanswered",
            Outcome::Refused => "refused",
            Outcome::Unreachable => "unreachable",
            Outcome::Unresolved => "unresolved",
            Outcome::Unsupported => "unsupported",
            Outcome::Excluded => "excluded",
        }
    }
}

/// An address that was tried in a run, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TriedAddress {
    /// The address and port.
    pub address: SocketAddr,
    /// [`Outcome::Measured`], [`Outcome::Unanswered`], [`Outcome::Refused`] or
    /// [`Outcome::Unreachable`].
    pub outcome: Outcome,
    /// The time from the SYN until the outcome, or until nothing was waited for any more.
    pub waited: Duration,
}

/// The filter that dropped a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Filter {
    /// [`Ranker::protocols`](crate::Ranker::protocols).
    Protocol,
    /// [`Ranker::include`](crate::Ranker::include): its host matches none of the patterns.
    Include,
    /// [`Ranker::exclude`](crate::Ranker::exclude): its host matches the pattern at this position,
    /// from 0.
    Exclude(usize),
}

/// Why measuring stopped. [`Display`](fmt::Display) gives the reason as a clause for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// Nothing had to be measured.
    Idle,
    /// Every mirror has an outcome. (Mirrors beyond a limit count as unanswered.)
    Complete,
    /// No mirror that is still silent can belong to the pool, unless its packet was lost, and
    /// enough fallbacks are known, or they have been waited for long enough.
    Settled,
    /// No reply came for longer than any mirror took to answer: the silent ones are down or far
    /// away.
    Quiet,
    /// The timeout was reached.
    Timeout,
    /// The caller cancelled.
    Cancelled,
}

impl StopReason {
    /// Returns the reason as one word in lower case, for logs and data formats.
    pub fn name(self) -> &'static str {
        match self {
            StopReason::Idle => "idle",
            StopReason::Complete => "complete",
            StopReason::Settled => "settled",
            StopReason::Quiet => "quiet",
            StopReason::Timeout => "timeout",
            StopReason::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::Idle => "nothing had to be measured",
            StopReason::Complete => "every mirror has an outcome",
            StopReason::Settled => "no other mirror can belong to the pool",
            StopReason::Quiet => "no further replies came",
            StopReason::Timeout => "the timeout was reached",
            StopReason::Cancelled => "the caller cancelled",
        })
    }
}
