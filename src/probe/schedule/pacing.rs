//! Which SYN leaves next, and when it may.
#![forbid(unsafe_code)]

use super::stop::GRACE;
use super::{Addresses, Attempt, AttemptFailure, EndpointState, Schedule, Try};
use crate::options::ALL_FALLBACKS;
use crate::outcome::Outcome;
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long the other family waits for the first: RFC 8305, section 5, "Connection Attempt Delay".
const FAMILY_DELAY: Duration = Duration::from_millis(250);
/// The first SYNs leave as a small burst, until an answer shows that the way is open or this time
/// has passed ...
const BURST_TIME: Duration = Duration::from_millis(10);
/// ... of at most this many.
pub(super) const BURST: usize = 128;
/// How many descriptors a lookup under way may take: one for each name server, of which there are
/// three at most.
pub(in crate::probe) const LOOKUP_DESCRIPTORS: usize = 3;

/// Why an attempt is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    First,
    /// The first attempt has failed: the next address at once, as the client does it.
    Failure,
    /// It is the other family's turn.
    Family,
    /// The first SYN may have been lost: the other family if there is one, else the same address.
    Hedge,
    /// The first attempt was made in an earlier pass of the run: the same address.
    Again,
}

impl Cause {
    /// Returns where an attempt for this cause goes.
    pub(super) fn address(self, addresses: &Addresses) -> SocketAddr {
        let other = match self {
            Cause::First | Cause::Again => None,
            Cause::Failure => addresses.next,
            Cause::Family | Cause::Hedge => addresses.other_family,
        };
        other.unwrap_or(addresses.first)
    }
}

/// Whether a SYN may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Now,
    /// After this attempt is given up.
    InPlaceOf(Attempt),
    Later(Instant),
}

impl Schedule {
    /// Returns how many attempts may be under way now: more when no lookup needs descriptors any
    /// more.
    fn slots(&self) -> usize {
        let lookups = self.lookups.min(self.options.lookups);
        let left = self.options.descriptors.saturating_sub(LOOKUP_DESCRIPTORS * lookups);
        self.options.in_flight.min(left).max(1).min(self.room)
    }

    /// Returns the endpoint whose SYN should leave next, and why; lowers `wake` to the time when
    /// one will be due.
    pub(super) fn due(&mut self, now: Instant, wake: &mut Instant) -> Option<(usize, Cause)> {
        self.decide(now, wake);
        let queued = match self.next_retry() {
            Some(retry) => Some(retry),
            None => self.next_ready().map(|endpoint| (endpoint, Cause::First)),
        };
        if queued.is_some() && self.in_flight < self.slots() {
            return queued;
        }
        // Even while endpoints wait for a slot, the other family has its turn, since it takes the
        // slot of its own first attempt.
        let silence = self.last_answer.map(|last| (last, self.quiet_time() / 2));
        let delays = [Some(self.family_delay(true)), Some(self.family_delay(false)), None];
        // An answer of the other family belongs to the pool then, so it must be waited for.
        let is_other_alone =
            [self.answered_ipv6 && !self.answered_ipv4, self.answered_ipv4 && !self.answered_ipv6, false];
        // Once the pool is proved, a hedge could not change it: a mirror whose SYN was lost may be
        // missed then.
        let last_hedge = match self.options.fallbacks {
            ALL_FALLBACKS => None,
            _ => self.proved_at(),
        };
        let waiting = &mut self.waiting;
        for ((queue, family_delay), is_other_alone) in
            [&mut waiting.ipv4_first, &mut waiting.ipv6_first, &mut waiting.one_family]
                .into_iter()
                .zip(delays)
                .zip(is_other_alone)
        {
            // The oldest one that still waits. All behind it are due later.
            let oldest: Option<(usize, Instant)> = loop {
                let Some(&endpoint) = queue.front() else { break None };
                let EndpointState { tries, host, .. } = &self.endpoints[endpoint];
                let addresses = self.hosts[host.0].addresses.expect("it is waiting for an answer");
                let second = Cause::Hedge.address(&addresses);
                match tries {
                    [Try::InFlight(sent), Try::Unused] if !self.attempts.is_enough(second.ip()) => {
                        break Some((endpoint, *sent));
                    }
                    _ => queue.pop_front(),
                };
            };
            let Some((endpoint, sent)) = oldest else { continue };
            // While answers come in, the silent mirrors may just be far away. Before the first
            // answer it is not known how far away all of them are, and a hedge after half the quiet
            // time would send every SYN of a remote client twice.
            let hedge = match silence {
                Some((last_answer, half)) => sent.max(last_answer) + half,
                None => sent + FAMILY_DELAY,
            };
            let (time, cause) = match family_delay {
                Some(delay) if sent + delay <= hedge => (sent + delay, Cause::Family),
                Some(_) if is_other_alone => (hedge, Cause::Family),
                _ => (hedge, Cause::Hedge),
            };
            let is_needless =
                self.options.is_check || queued.is_some() || last_hedge.is_some_and(|last| time >= last);
            if cause == Cause::Hedge && is_needless {
                continue;
            }
            if time <= now {
                return Some((endpoint, cause));
            }
            *wake = (*wake).min(time);
        }
        queued
    }

    /// Returns how long the second attempt to a host waits whose first address is of this family,
    /// and silent. If one family has answered and the other has not, waiting for the pool's limit
    /// is enough.
    fn family_delay(&self, is_ipv4: bool) -> Duration {
        let mut answered = (self.answered_ipv6, self.answered_ipv4);
        if is_ipv4 {
            answered = (self.answered_ipv4, self.answered_ipv6);
        }
        match (answered, self.limit()) {
            ((false, true), Some(limit)) => FAMILY_DELAY.min(limit),
            _ => FAMILY_DELAY,
        }
    }

    /// Decides which address the second SYN to an endpoint goes to whose first one was silent in an
    /// earlier pass of the run: the same one, once its family has answered elsewhere, so that the
    /// endpoint may just be farther away than was thought; else the other family's, when it is its
    /// turn. Lowers `wake` to that time.
    fn decide(&mut self, now: Instant, wake: &mut Instant) {
        for endpoint in mem::take(&mut self.undecided) {
            let addresses = self.hosts[self.endpoints[endpoint].host.0].addresses;
            let is_ipv4 = addresses.is_some_and(|addresses| addresses.first.is_ipv4());
            let time = self.start + self.family_delay(is_ipv4);
            if if is_ipv4 { self.answered_ipv4 } else { self.answered_ipv6 } {
                self.retry.push_back((endpoint, Cause::Again));
            } else if time <= now {
                self.retry.push_back((endpoint, Cause::Family));
            } else {
                *wake = (*wake).min(time);
                self.undecided.push(endpoint);
            }
        }
    }

    /// Returns the next second attempt that is due because the first has failed, or was made
    /// before. On the way to it, leaves out those whose address has had enough attempts.
    fn next_retry(&mut self) -> Option<(usize, Cause)> {
        while let Some(&(endpoint, cause)) = self.retry.front() {
            let state = &self.endpoints[endpoint];
            let addresses = self.hosts[state.host.0].addresses.expect("it has been tried");
            if !self.attempts.is_enough(cause.address(&addresses).ip()) {
                return Some((endpoint, cause));
            }
            self.retry.pop_front();
            let outcome = match state.failure {
                Some(AttemptFailure::Refused) => Outcome::Refused,
                Some(_) => Outcome::Unreachable,
                None => Outcome::Unanswered,
            };
            self.conclude(endpoint, outcome);
        }
        None
    }

    /// Returns whether the next SYN to this endpoint may leave now.
    pub(super) fn admit(&mut self, endpoint: usize, now: Instant) -> Admission {
        let answered = self.answered_ipv4 || self.answered_ipv6;
        if let Some(first) = self.first_sent {
            let burst_end = first + BURST_TIME;
            if now < burst_end && !answered && self.sent >= BURST {
                return Admission::Later(burst_end);
            }
        }
        if let Some(time) = self.no_room_until {
            if now < time {
                return Admission::Later(time);
            }
        }
        if self.in_flight < self.slots() {
            return Admission::Now;
        }
        // A second attempt takes its first one's place.
        let first = Attempt::new(endpoint, false);
        if self.sent_at(first).is_some() {
            return Admission::InPlaceOf(first);
        }
        // Otherwise an attempt makes room that has been silent for so long that it cannot matter
        // any more.
        let patience = match self.limit() {
            Some(limit) if self.has_fallbacks(limit) => limit + GRACE,
            // Answers come in the order of distance: those just beyond the slowest one are still to
            // come.
            Some(_) => self.quiet_time() * 2,
            None => self.options.timeout / 2,
        };
        while self.flights.front().is_some_and(|&attempt| self.sent_at(attempt).is_none()) {
            self.flights.pop_front();
        }
        let oldest = self.flights.front().map(|&attempt| (attempt, self.sent_at(attempt)));
        let Some((attempt, Some(sent))) = oldest else { return Admission::Now };
        if sent + patience <= now { Admission::InPlaceOf(attempt) } else { Admission::Later(sent + patience) }
    }
}
