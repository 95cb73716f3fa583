//! What is worth remembering from a run, what counts when it is read again, and for how long.
//!
//! Every such decision stands here; how a fact is written stands in `groups` and `records`. Pure:
//! the time is an argument, in seconds since 1970 as in the file.
#![forbid(unsafe_code)]

use crate::network::Network;
use crate::outcome::Outcome;
use std::cmp::Reverse;
use std::time::Duration;

/// How long a failure counts, and that a mirror was outside the pool; in seconds.
pub(super) const FAILURE_MAX_AGE: i64 = 3600;
/// How long a record stays in the file, in seconds: librepo's `CACHE_RECORD_MAX_AGE`.
const RECORD_KEPT: i64 = 180 * 24 * 3600;
/// How far in the future a time may be, in seconds. Clocks are corrected by a little now and then;
/// a time further ahead was written with a wrong clock and is not believed.
pub(super) const CLOCK_TOLERANCE: i64 = 300;

/// A lower latency counts as this one: 0 would leave no other mirror in the pool.
const MIN_LATENCY: Duration = Duration::from_micros(1);
/// No mirror takes this long to answer.
const LATENCY_LIMIT: Duration = Duration::from_secs(60);

/// What is remembered of an endpoint: read from the cache before a run, written to it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// It answered, with this latency.
    Latency(Duration),
    /// It refused the connection.
    Refused,
    /// The network reported that it cannot be reached.
    Unreachable,
    /// It did not answer, although it was waited for so long that it cannot belong to the pool.
    OutsidePool,
    Detoured(Duration),
    Unresolved,
    Silent(Duration),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Recalled {
    pub(crate) remembered: Remembered,
    pub(crate) age: Duration,
}

impl Remembered {
    /// The outcome of a mirror that is not measured in this run.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Remembered::Latency(latency) => Outcome::Cached(latency),
            Remembered::Refused => Outcome::Refused,
            Remembered::Unreachable => Outcome::Unreachable,
            Remembered::OutsidePool | Remembered::Silent(_) => Outcome::Unanswered,
            Remembered::Detoured(l) => Outcome::Cached(l),
            Remembered::Unresolved => Outcome::Unresolved,
        }
    }
}

/// What a run found out about an endpoint, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    /// A SYN was sent in this run. Otherwise the outcome comes from the cache or from this machine.
    pub(crate) syn_sent: bool,
    /// A packet was sent twice, so the latency may be wrong.
    pub(crate) imprecise: bool,
    /// The failure was reported by the network, not by this machine.
    pub(crate) reported_by_network: bool,
    pub(crate) is_detoured: bool,
    pub(crate) waited: Option<Duration>,
    pub(crate) is_lookup_unfinished: bool,
}

/// Returns what later runs shall know of an endpoint, if anything.
///
/// `waited` says that measuring stopped only after every mirror could have answered in time to
/// belong to the pool, rather than at the timeout or when it was cancelled.
pub(crate) fn to_remember(finding: &Finding, waited: bool) -> Option<Remembered> {
    if !finding.syn_sent {
        return None;
    }
    match finding.outcome {
        Outcome::Measured(latency) if !finding.imprecise => Some(Remembered::Latency(latency)),
        Outcome::Refused => Some(Remembered::Refused),
        // If this machine has no route, that says nothing about the mirror.
        Outcome::Unreachable if finding.reported_by_network => Some(Remembered::Unreachable),
        Outcome::Unanswered if waited => Some(Remembered::OutsidePool),
        _ => None,
    }
}

/// Whether there is anything to write after a run: what it learned, or a seed to keep.
pub(super) fn is_worth_writing(learned: impl IntoIterator<Item = Remembered>, keeps_seed: bool) -> bool {
    keeps_seed || any_answered(learned)
}

/// Whether what a run learned is to be written. If no mirror answered, it is not: then the network
/// was down and not the mirrors.
pub(super) fn any_answered(learned: impl IntoIterator<Item = Remembered>) -> bool {
    learned.into_iter().any(|remembered| matches!(remembered, Remembered::Latency(_)))
}

/// Returns a latency that is believed: neither the -1 that librepo writes for a failure, nor the 0
/// of a local directory, nor a value that no mirror can have.
#[inline]
pub(super) fn believable_latency(seconds: f64) -> Option<Duration> {
    // Also false for NaN.
    let fine = seconds > 0.0 && seconds < LATENCY_LIMIT.as_secs_f64();
    if fine { Some(Duration::try_from_secs_f64(seconds).ok()?.max(MIN_LATENCY)) } else { None }
}

/// Something remembered of an endpoint, and when it was found out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fact {
    pub(super) at: i64,
    pub(super) remembered: Remembered,
}

impl Fact {
    /// Whether it still counts, or already; `max_age` is that of a latency.
    #[inline]
    pub(super) fn counts(&self, now: i64, max_age: i64) -> bool {
        let max_age = match self.remembered {
            Remembered::Latency(_) => max_age,
            _ => FAILURE_MAX_AGE,
        };
        (-CLOCK_TOLERANCE..=max_age).contains(&now.saturating_sub(self.at))
    }

    /// Whether it is believed rather than another one about the same endpoint.
    ///
    /// The newer one is. Of two from the same second a latency is, since a mirror that answers is
    /// up; of two latencies the lower one; of two failures always the same, whichever is read
    /// first.
    #[inline]
    pub(super) fn beats(&self, other: &Fact) -> bool {
        let worth = |fact: &Fact| match fact.remembered {
            Remembered::Latency(latency) => (3, Reverse(latency)),
            Remembered::Refused => (2, Reverse(Duration::ZERO)),
            Remembered::Unreachable => (1, Reverse(Duration::ZERO)),
            _ => (0, Reverse(Duration::ZERO)),
        };
        (self.at, worth(self)) > (other.at, worth(other))
    }

    /// Whether another process wrote it after this run began, so that it must not be replaced.
    /// If it is from too far in the future, the other process's clock was wrong.
    pub(super) fn is_newer_than_run(&self, now: i64) -> bool {
        self.at > now && self.at.saturating_sub(now) <= CLOCK_TOLERANCE
    }
}

/// Whether what was measured in one network counts in another: unless the two are known to differ.
#[inline]
pub(super) fn counts_in(measured_in: Option<Network>, here: Option<&Network>) -> bool {
    match (measured_in, here) {
        (Some(measured_in), Some(here)) => !measured_in.differs(here),
        _ => true,
    }
}

/// Whether a record of this time stays in the file. One from the future does: the clock may be
/// wrong now and be set right again.
pub(super) fn record_is_kept(at: i64, now: i64) -> bool {
    now.saturating_sub(at) <= RECORD_KEPT
}

/// Whether a note on a failure stays in the file, beside the latency that the mirror's record has.
pub(super) fn failure_is_kept(failure: &Fact, latency: Option<&Fact>, now: i64) -> bool {
    let replaced =
        |latency: &Fact| latency.at >= failure.at && latency.at <= now.saturating_add(CLOCK_TOLERANCE);
    failure.counts(now, FAILURE_MAX_AGE) && !latency.is_some_and(replaced)
}

/// Whether a seed is still to be used: it was drawn less than this long ago, and not in the future.
pub(super) fn seed_is_fresh(drawn: i64, now: i64, rotate_every: Duration) -> bool {
    let age = now.saturating_sub(drawn);
    age >= -CLOCK_TOLERANCE && age < i64::try_from(rotate_every.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_remember_takes_only_what_is_certain() {
        let latency = Duration::from_millis(5);
        let finding =
            |outcome| Finding { outcome, syn_sent: true, imprecise: false, reported_by_network: true, is_detoured: false, waited: None, is_lookup_unfinished: false };
        for (outcome, waited, expected) in [
            (Outcome::Measured(latency), false, Some(Remembered::Latency(latency))),
            (Outcome::Refused, false, Some(Remembered::Refused)),
            (Outcome::Unreachable, false, Some(Remembered::Unreachable)),
            (Outcome::Unanswered, true, Some(Remembered::OutsidePool)),
            (Outcome::Unanswered, false, None),
            (Outcome::Unresolved, true, None),
        ] {
            let finding = finding(outcome);
            assert_eq!(to_remember(&finding, waited), expected, "{outcome:?}");
            let not_sent = Finding { syn_sent: false, ..finding };
            assert_eq!(to_remember(&not_sent, waited), None, "{outcome:?}");
        }
        let imprecise = Finding { imprecise: true, ..finding(Outcome::Measured(latency)) };
        assert_eq!(to_remember(&imprecise, true), None);
        let own = Finding { reported_by_network: false, ..finding(Outcome::Unreachable) };
        assert_eq!(to_remember(&own, true), None);
    }

    #[test]
    fn outcome_of_what_is_remembered_is_never_measured() {
        let latency = Duration::from_millis(5);
        assert_eq!(Remembered::Latency(latency).outcome(), Outcome::Cached(latency));
        for failure in [Remembered::Refused, Remembered::Unreachable, Remembered::OutsidePool] {
            assert_eq!(failure.outcome().latency(), None);
        }
    }
}
