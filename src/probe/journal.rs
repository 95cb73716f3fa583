//! What was tried in a pass: each attempt that was made, and what came of it. No decision is made
//! here.
#![forbid(unsafe_code)]

use super::schedule::{Attempt, AttemptFailure};
use crate::outcome::{Outcome, TriedAddress};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The attempts of a pass. It takes little memory for each, since a list may be long: addresses and
/// latencies are known elsewhere.
pub(super) struct Journal {
    start: Instant,
    /// By attempt.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    state: State,
    /// In microseconds: when it was sent, counted from the start; once it is over, how long it was
    /// waited for.
    time: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    NotMade,
    UnderWay,
    Answered,
    Silent,
    Refused,
    Unreachable,
}

impl Journal {
    pub(super) fn new(targets: usize, start: Instant) -> Journal {
        Journal { start, entries: vec![Entry { state: State::NotMade, time: 0 }; 2 * targets] }
    }

    pub(super) fn sent(&mut self, attempt: Attempt, now: Instant) {
        self.entries[attempt.0] = Entry { state: State::UnderWay, time: self.time(now) };
    }

    pub(super) fn answered(&mut self, attempt: Attempt, now: Instant) {
        self.finish(attempt, State::Answered, now);
        self.given_up(attempt.sibling(), now);
    }

    pub(super) fn failed(&mut self, attempt: Attempt, failure: AttemptFailure, now: Instant) {
        let state = match failure {
            AttemptFailure::Refused => State::Refused,
            AttemptFailure::NoRoute | AttemptFailure::Unreachable => State::Unreachable,
        };
        self.finish(attempt, state, now);
    }

    pub(super) fn given_up(&mut self, attempt: Attempt, now: Instant) {
        self.finish(attempt, State::Silent, now);
    }

    /// Notes what came of an attempt, unless it was not made or is over.
    fn finish(&mut self, attempt: Attempt, state: State, now: Instant) {
        let time = self.time(now);
        let entry = &mut self.entries[attempt.0];
        if entry.state == State::UnderWay {
            *entry = Entry { state, time: time.saturating_sub(entry.time) };
        }
    }

    fn time(&self, now: Instant) -> u32 {
        u32::try_from((now - self.start).as_micros()).unwrap_or(u32::MAX)
    }

    /// Returns how many attempts to a target were made.
    pub(super) fn count(&self, target: usize) -> usize {
        self.entries[2 * target..][..2].iter().filter(|entry| entry.state != State::NotMade).count()
    }

    /// Returns what came of the attempts to a target. `address` is that of an attempt, `latency`
    /// that of the target if it has answered.
    pub(super) fn tried(
        &mut self,
        target: usize,
        address: impl Fn(Attempt) -> SocketAddr,
        latency: Option<Duration>,
        stop: Instant,
    ) -> impl Iterator<Item = TriedAddress> {
        let first = Attempt::new(target, false);
        let tried = [first, first.sibling()].map(|attempt| {
            self.given_up(attempt, stop);
            let Entry { state, time } = self.entries[attempt.0];
            let outcome = match state {
                State::NotMade => return None,
                State::Answered => latency.map_or(Outcome::Unanswered, Outcome::Measured),
                State::Silent | State::UnderWay => Outcome::Unanswered,
                State::Refused => Outcome::Refused,
                State::Unreachable => Outcome::Unreachable,
            };
            let waited = Duration::from_micros(time.into());
            Some(TriedAddress { address: address(attempt), outcome, waited })
        });
        tried.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_noted_with_what_came_of_them() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let address = |attempt: Attempt| SocketAddr::from(([192, 0, 2, attempt.0 as u8], 80));
        let mut journal = Journal::new(3, start);
        let [first, second, other, more] = [0, 1, 2, 3].map(Attempt);
        journal.sent(first, start + ms(1));
        journal.sent(other, start + ms(2));
        journal.failed(other, AttemptFailure::NoRoute, start + ms(2));
        journal.sent(more, start + ms(3));
        journal.sent(second, start + ms(20));
        journal.answered(second, start + ms(26));
        // It is closed now, and what comes then counts no more.
        journal.failed(first, AttemptFailure::Refused, start + ms(30));
        let mut tried = |target, latency| -> Vec<_> {
            let tried = journal.tried(target, address, latency, start + ms(50));
            tried.map(|it| (address(Attempt(2 * target)) == it.address, it.outcome, it.waited)).collect()
        };
        let answered = (false, Outcome::Measured(ms(5)), ms(6));
        assert_eq!(tried(0, Some(ms(5))), [(true, Outcome::Unanswered, ms(25)), answered]);
        let silent = (false, Outcome::Unanswered, ms(47));
        assert_eq!(tried(1, None), [(true, Outcome::Unreachable, Duration::ZERO), silent]);
        assert_eq!(tried(2, None), []);
    }
}
