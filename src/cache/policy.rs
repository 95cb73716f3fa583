//! What is worth remembering from a run, what counts when it is read again, and for how long.
//!
//! Every such decision stands here; how a fact is written stands in `groups` and `records`. Pure:
//! the time is an argument, in seconds since 1970 as in the file.
#![forbid(unsafe_code)]

use crate::network::Network;
use crate::outcome::Outcome;
use std::cmp::Reverse;
use std::time::Duration;

/// How long a note on an outcome counts, in seconds: whatever is remembered but a plain latency.
pub(super) const NOTE_MAX_AGE: i64 = 3600;
/// How long a record stays in the file, in seconds: librepo's `CACHE_RECORD_MAX_AGE`.
const RECORD_KEPT: i64 = 180 * 24 * 3600;
/// How far in the future a time may be, in seconds. Clocks are corrected by a little now and then;
/// a time further ahead was written with a wrong clock and is not believed.
pub(super) const CLOCK_TOLERANCE: i64 = 300;

/// A lower latency counts as this one: 0 would leave no other mirror in the pool.
const MIN_LATENCY: Duration = Duration::from_micros(1);
/// No mirror takes this long to answer.
const LATENCY_LIMIT: Duration = Duration::from_secs(60);
/// A mirror that was silent for longer is remembered as silent for this long.
const MAX_SILENCE: Duration = Duration::from_secs(59);

/// What is remembered of an endpoint: read from the cache before a run, written to it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remembered {
    /// It answered, with this latency.
    Latency(Duration),
    /// It answered with this latency, but at an address that the client tries only after it has
    /// waited for another one.
    Detoured(Duration),
    /// It refused the connection.
    Refused,
    /// The network reported that it cannot be reached.
    Unreachable,
    /// Its name has no address, or the lookup did not finish.
    Unresolved,
    /// It did not reply within this time. Whether it belongs to a pool is up to the list: it may
    /// be silent for one whose limit is lower, and unknown to one whose limit is higher.
    Silent(Duration),
}

impl Remembered {
    /// Returns the latency, if it answered.
    pub fn latency(self) -> Option<Duration> {
        self.outcome().latency()
    }

    /// Returns what is remembered as one word in lower case, for data formats.
    pub fn name(self) -> &'static str {
        match self {
            Remembered::Latency(_) => "latency",
            Remembered::Detoured(_) => "detoured",
            Remembered::Refused => "refused",
            Remembered::Unreachable => "unreachable",
            Remembered::Unresolved => "unresolved",
            Remembered::Silent(_) => "silent",
        }
    }

    /// The outcome of a mirror that is not measured in this run.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Remembered::Latency(latency) | Remembered::Detoured(latency) => Outcome::Cached(latency),
            Remembered::Refused => Outcome::Refused,
            Remembered::Unreachable => Outcome::Unreachable,
            Remembered::Unresolved => Outcome::Unresolved,
            Remembered::Silent(_) => Outcome::Unanswered,
        }
    }
}

/// What is remembered of an endpoint, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recalled {
    /// What is remembered.
    pub remembered: Remembered,
    /// The time since it was found out, in whole seconds; zero if the file says that this was a
    /// little in the future.
    pub age: Duration,
}

/// What a run found out about an endpoint that it tried, as far as it matters here. An outcome that
/// comes from the cache is no finding: to remember it again would prolong it for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    /// A SYN was sent.
    pub(crate) syn_sent: bool,
    /// A packet was sent twice, so the latency may be wrong.
    pub(crate) imprecise: bool,
    /// The failure was reported by the network, not by this machine.
    pub(crate) reported_by_network: bool,
    /// The client would have waited for another address before the one that answered.
    pub(crate) is_detoured: bool,
    /// The time from the last SYN until measuring stopped, if no reply came.
    pub(crate) waited: Option<Duration>,
    /// The lookup of its name had not finished when measuring stopped.
    pub(crate) is_lookup_unfinished: bool,
}

/// Returns what later runs shall know of an endpoint, if anything.
///
/// `waited` says that measuring stopped only after every mirror could have answered in time to
/// belong to the pool, rather than at the timeout or when it was cancelled.
pub(crate) fn to_remember(finding: &Finding, waited: bool) -> Option<Remembered> {
    match finding.outcome {
        // No SYN is sent to a name without an address.
        Outcome::Unresolved => Some(Remembered::Unresolved),
        Outcome::Unanswered if finding.is_lookup_unfinished => waited.then_some(Remembered::Unresolved),
        _ if !finding.syn_sent => None,
        Outcome::Measured(_) if finding.imprecise => None,
        Outcome::Measured(latency) if finding.is_detoured => Some(Remembered::Detoured(latency)),
        Outcome::Measured(latency) => Some(Remembered::Latency(latency)),
        Outcome::Refused => Some(Remembered::Refused),
        // If this machine has no route, that says nothing about the mirror.
        Outcome::Unreachable if finding.reported_by_network => Some(Remembered::Unreachable),
        Outcome::Unanswered => finding.waited.map(|waited| Remembered::Silent(waited.min(MAX_SILENCE))),
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
    learned
        .into_iter()
        .any(|remembered| matches!(remembered, Remembered::Latency(_) | Remembered::Detoured(_)))
}

/// Whether a reader would believe it, so that it can be written.
pub(super) fn is_believable(remembered: Remembered) -> bool {
    match remembered {
        Remembered::Latency(time) | Remembered::Detoured(time) | Remembered::Silent(time) => {
            believable_time(time.as_secs_f64()).is_some()
        }
        Remembered::Refused | Remembered::Unreachable | Remembered::Unresolved => true,
    }
}

/// Returns a latency or a wait that is believed: neither the -1 that librepo writes for a failure,
/// nor the 0 of a local directory, nor a value that no mirror can have.
#[inline]
pub(super) fn believable_time(seconds: f64) -> Option<Duration> {
    // Also false for NaN.
    let fine = seconds > 0.0 && seconds < LATENCY_LIMIT.as_secs_f64();
    if fine { Some(Duration::try_from_secs_f64(seconds).ok()?.max(MIN_LATENCY)) } else { None }
}

/// Returns the time since something was found out; zero if that was in the future.
pub(super) fn age(at: i64, now: i64) -> Duration {
    Duration::from_secs(u64::try_from(now.saturating_sub(at)).unwrap_or(0))
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
        (-CLOCK_TOLERANCE..=self.max_age(max_age)).contains(&now.saturating_sub(self.at))
    }

    /// Returns for how much longer it counts; `max_age` is that of a latency.
    pub(super) fn remaining(&self, now: i64, max_age: i64) -> Duration {
        if !self.counts(now, max_age) {
            return Duration::ZERO;
        }
        self.max_age(max_age)
            .saturating_sub(now.saturating_sub(self.at).max(0))
            .try_into()
            .map_or(Duration::ZERO, Duration::from_secs)
    }

    #[inline]
    fn max_age(&self, of_latency: i64) -> i64 {
        match self.remembered {
            Remembered::Latency(_) => of_latency,
            Remembered::Detoured(_)
            | Remembered::Refused
            | Remembered::Unreachable
            | Remembered::Unresolved
            | Remembered::Silent(_) => NOTE_MAX_AGE,
        }
    }

    /// What a run at this time recalls.
    pub(super) fn recalled(&self, now: i64) -> Recalled {
        Recalled { remembered: self.remembered, age: age(self.at, now) }
    }

    /// Whether it is believed rather than another one about the same endpoint.
    ///
    /// The newer one is. Of two from the same second, one of a mirror that answered is, since it is
    /// up, and a detour rather than a plain latency, since writing the latter removes the former.
    /// Of two of the same kind the shorter time is; of two failures always the same, whichever is
    /// read first.
    #[inline]
    pub(super) fn beats(&self, other: &Fact) -> bool {
        let worth = |fact: &Fact| match fact.remembered {
            Remembered::Detoured(latency) => (5, Reverse(latency)),
            Remembered::Latency(latency) => (4, Reverse(latency)),
            Remembered::Refused => (3, Reverse(Duration::ZERO)),
            Remembered::Unreachable => (2, Reverse(Duration::ZERO)),
            Remembered::Unresolved => (1, Reverse(Duration::ZERO)),
            Remembered::Silent(waited) => (0, Reverse(waited)),
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

/// Whether a record of this time stays in the file. One from too far in the future does not: it
/// would never be used, nor get old.
pub(super) fn record_is_kept(at: i64, now: i64) -> bool {
    (-CLOCK_TOLERANCE..=RECORD_KEPT).contains(&now.saturating_sub(at))
}

/// Whether a note on an outcome stays in the file, beside the latency that the mirror's record has.
pub(super) fn note_is_kept(note: &Fact, latency: Option<&Fact>, now: i64) -> bool {
    let replaced = |latency: &Fact| latency.beats(note) && latency.at <= now.saturating_add(CLOCK_TOLERANCE);
    note.counts(now, NOTE_MAX_AGE) && !latency.is_some_and(replaced)
}

/// Whether a seed is still to be used: it was drawn less than this long ago, and not in the future.
pub(super) fn seed_is_fresh(drawn: i64, now: i64, rotate_every: Duration) -> bool {
    let age = now.saturating_sub(drawn);
    age >= -CLOCK_TOLERANCE && age < i64::try_from(rotate_every.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The finding of an endpoint that got a SYN and of which nothing else is special.
    fn finding(outcome: Outcome) -> Finding {
        Finding {
            outcome,
            syn_sent: true,
            imprecise: false,
            reported_by_network: true,
            is_detoured: false,
            waited: None,
            is_lookup_unfinished: false,
        }
    }

    #[test]
    fn to_remember_takes_only_what_is_certain() {
        let latency = Duration::from_millis(5);
        for (outcome, expected) in [
            (Outcome::Measured(latency), Some(Remembered::Latency(latency))),
            (Outcome::Refused, Some(Remembered::Refused)),
            (Outcome::Unreachable, Some(Remembered::Unreachable)),
            (Outcome::Unanswered, None),
        ] {
            for waited in [false, true] {
                let finding = finding(outcome);
                assert_eq!(to_remember(&finding, waited), expected, "{outcome:?}");
                let not_sent = Finding { syn_sent: false, ..finding };
                assert_eq!(to_remember(&not_sent, waited), None, "{outcome:?}");
            }
        }
        for is_detoured in [false, true] {
            let imprecise = Finding { imprecise: true, is_detoured, ..finding(Outcome::Measured(latency)) };
            assert_eq!(to_remember(&imprecise, true), None);
        }
        let own = Finding { reported_by_network: false, ..finding(Outcome::Unreachable) };
        assert_eq!(to_remember(&own, true), None);
    }

    #[test]
    fn detoured_latency_is_remembered_as_such() {
        let latency = Duration::from_millis(5);
        let detoured = Finding { is_detoured: true, ..finding(Outcome::Measured(latency)) };
        assert_eq!(to_remember(&detoured, true), Some(Remembered::Detoured(latency)));
        assert!(any_answered([Remembered::Refused, Remembered::Detoured(latency)]));
        assert!(!any_answered([Remembered::Refused, Remembered::Silent(latency), Remembered::Unresolved]));
    }

    #[test]
    fn silence_is_remembered_for_how_long_it_lasted() {
        let silent =
            |seconds| Finding { waited: Some(Duration::from_secs(seconds)), ..finding(Outcome::Unanswered) };
        // That is true however measuring stopped.
        for waited in [false, true] {
            let remembered = Some(Remembered::Silent(Duration::from_secs(2)));
            assert_eq!(to_remember(&silent(2), waited), remembered);
            assert_eq!(to_remember(&Finding { syn_sent: false, ..silent(2) }, waited), None);
        }
        let long = to_remember(&silent(600), true).unwrap();
        assert!(matches!(long, Remembered::Silent(waited) if waited > Duration::from_secs(50)));
        assert!(is_believable(long));
    }

    #[test]
    fn name_without_an_address_is_remembered_and_a_hung_lookup_if_it_had_time() {
        let unresolved = Finding { syn_sent: false, ..finding(Outcome::Unresolved) };
        let hung = Finding { syn_sent: false, is_lookup_unfinished: true, ..finding(Outcome::Unanswered) };
        let never_tried = Finding { is_lookup_unfinished: false, ..hung };
        for waited in [false, true] {
            assert_eq!(to_remember(&unresolved, waited), Some(Remembered::Unresolved));
            assert_eq!(to_remember(&hung, waited), waited.then_some(Remembered::Unresolved));
            assert_eq!(to_remember(&never_tried, waited), None);
        }
    }

    #[test]
    fn outcome_of_what_is_remembered_is_never_measured() {
        let time = Duration::from_millis(5);
        for (remembered, outcome) in [
            (Remembered::Latency(time), Outcome::Cached(time)),
            (Remembered::Detoured(time), Outcome::Cached(time)),
            (Remembered::Refused, Outcome::Refused),
            (Remembered::Unreachable, Outcome::Unreachable),
            (Remembered::Unresolved, Outcome::Unresolved),
            (Remembered::Silent(time), Outcome::Unanswered),
        ] {
            assert_eq!(remembered.outcome(), outcome);
        }
    }
}
