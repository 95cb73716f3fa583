//! Whose SYN leaves next, and when it may.
#![forbid(unsafe_code)]

use super::ending::GRACE;
use super::{Attempt, Schedule, Try};
use std::time::{Duration, Instant};

/// How long the other family waits for the first: RFC 8305, section 5, "Connection Attempt Delay".
const FAMILY_DELAY: Duration = Duration::from_millis(250);
/// The first SYNs leave as a small burst, until an answer shows that the way is open or this time has passed ...
const BURST_TIME: Duration = Duration::from_millis(10);
/// ... of at most so many.
pub(super) const BURST: usize = 128;
/// What a look-up under way may take: one for each name server, of which there are three at most.
pub(crate) const LOOK_UP_DESCRIPTORS: usize = 3;

/// Why an attempt is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    First,
    /// The first has failed.
    Failure,
    /// The other family's turn.
    Family,
    /// The first may have been lost.
    Hedge,
}

/// Whether a SYN may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Now,
    /// After this attempt was given up.
    InPlaceOf(Attempt),
    Later(Instant),
}

impl Schedule {
    /// How many attempts may be under way now: more when no look-up needs descriptors any more.
    fn slots(&self) -> usize {
        let look_ups = self.look_ups.min(self.options.look_ups);
        let left = self.options.descriptors.saturating_sub(LOOK_UP_DESCRIPTORS * look_ups);
        self.options.in_flight.min(left).max(1).min(self.room)
    }

    /// The endpoint whose SYN should leave next, or when one will be due.
    pub(super) fn due(&mut self, now: Instant, wake: &mut Instant) -> Option<(usize, Cause)> {
        let retry = self.retry.front().map(|&endpoint| (endpoint, Cause::Failure));
        let queued = retry.or_else(|| self.ready.front().map(|&endpoint| (endpoint, Cause::First)));
        if queued.is_some() && self.in_flight < self.slots() {
            return queued;
        }
        // While others wait for a slot, the other family's turn still comes, for it takes its own first one's.
        let silence = self.last_answer.map(|last| (last, self.quiet_time() / 2));
        // Where one family has answered and the other has not, the pool's limit is wait enough.
        let family_delay = |answered: bool, other_answered: bool| match self.limit() {
            Some(limit) if other_answered && !answered => FAMILY_DELAY.min(limit),
            _ => FAMILY_DELAY,
        };
        let delays = [
            Some(family_delay(self.answered_ipv4, self.answered_ipv6)),
            Some(family_delay(self.answered_ipv6, self.answered_ipv4)),
            None,
        ];
        let waiting = &mut self.waiting;
        for (queue, family_delay) in
            [&mut waiting.ipv4_first, &mut waiting.ipv6_first, &mut waiting.one_family]
                .into_iter()
                .zip(delays)
        {
            // The oldest that still waits; all behind it are due later.
            let oldest: Option<(usize, Instant)> = loop {
                let Some(&endpoint) = queue.front() else { break None };
                match self.endpoints[endpoint].tries {
                    [Try::InFlight(sent), Try::Unused] => break Some((endpoint, sent)),
                    _ => queue.pop_front(),
                };
            };
            let Some((endpoint, sent)) = oldest else { continue };
            // While answers come in, the silent ones may just be far. Before the first answer nobody knows how
            // far all are, and a hedge at half the quiet time would send remote clients' SYNs twice.
            let hedge = match silence {
                Some((last_answer, half)) => sent.max(last_answer) + half,
                None => sent + FAMILY_DELAY,
            };
            let family = family_delay.map(|delay| sent + delay).filter(|&family| family <= hedge);
            let (time, cause) = family.map_or((hedge, Cause::Hedge), |family| (family, Cause::Family));
            if cause == Cause::Hedge && queued.is_some() {
                continue;
            }
            if time <= now {
                return Some((endpoint, cause));
            }
            *wake = (*wake).min(time);
        }
        queued
    }

    /// Whether the next SYN to this endpoint may leave now.
    pub(super) fn admit(&mut self, endpoint: usize, now: Instant) -> Admission {
        let answered = self.answered_ipv4 || self.answered_ipv6;
        let burst_end = self.first_sent.map(|first| first + BURST_TIME).filter(|&end| now < end);
        if let (Some(end), false) = (burst_end, answered || self.sent < BURST) {
            return Admission::Later(end);
        }
        if let Some(time) = self.no_room_until.filter(|&time| now < time) {
            return Admission::Later(time);
        }
        if self.in_flight < self.slots() {
            return Admission::Now;
        }
        // A second attempt takes its first one's place.
        let first = Attempt::new(endpoint, false);
        if self.sent_at(first).is_some() {
            return Admission::InPlaceOf(first);
        }
        // Otherwise room is made by whoever has been silent for so long that it cannot matter any more.
        let patience = match self.limit() {
            Some(limit) if self.has_fallbacks(limit) => limit + GRACE,
            // Answers come in the order of distance: those just beyond the slowest so far are still to come.
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
