//! When enough is known.
#![forbid(unsafe_code)]

use super::Schedule;
use crate::options::ALL_FALLBACKS;
use std::time::{Duration, Instant};

/// How long after the pool's limit an answer may still be on its way through this machine.
pub(crate) const GRACE: Duration = Duration::from_millis(2);
/// The least quiet time: no two hosts of one region are further apart.
pub(crate) const LEAST_QUIET_TIME: Duration = Duration::from_millis(100);
/// How long fallbacks are waited for once the pool is proved: as long again as proving it took, but
/// at least the first and at most the second.
const FALLBACK_WAIT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(50));
/// What the first lookup of a check gets, before what is remembered is forgotten.
const SLOW_LOOKUP_TIME: Duration = Duration::from_millis(250);
/// What a lookup gets at least before it is left behind.
const LEAST_LOOKUP_TIME: Duration = Duration::from_millis(50);

impl Schedule {
    /// Returns the latency below which a host belongs to the pool, as far as is known now.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.best().map(|best| self.options.rule.limit(best))
    }

    /// Returns whether enough hosts outside the pool have a latency.
    pub(super) fn has_fallbacks(&self, limit: Duration) -> bool {
        self.latencies.outside(limit) >= self.options.fallbacks
    }

    /// Returns how long no reply must come before the silent mirrors are taken to be down or far
    /// away.
    pub(super) fn quiet_time(&self) -> Duration {
        LEAST_QUIET_TIME.max(self.slowest_answer)
    }

    /// Returns when running lookups no longer keep the run from stopping. A slow resolver that
    /// keeps finishing names stays ahead of this time; one name that hangs does not.
    fn lookups_hold_until(&self) -> Instant {
        if self.lookups == 0 {
            return self.start;
        }
        if self.options.is_check && self.lookup_times.is_empty() {
            // The resolver may be slow. Nothing is gained by forgetting what is remembered, since
            // measuring everything would wait for the same resolver.
            return self.start + SLOW_LOOKUP_TIME;
        }
        let median = self.lookup_times.get(self.lookup_times.len() / 2).copied().unwrap_or_default();
        self.start + LEAST_LOOKUP_TIME.max(median * 3)
    }

    /// Returns when the run is settled, if no further SYN leaves: when the pool is proved, since
    /// every mirror has been waited for as long as it could belong to it, and there are enough
    /// fallbacks or they have been waited for long enough. In a short list there may never be
    /// enough, and the farthest or the dead mirror is not worth the wait.
    pub(super) fn settled_at(&mut self) -> Option<Instant> {
        let limit = self.limit()?;
        let proved = self.proved_at()?;
        if self.has_fallbacks(limit) {
            return Some(proved);
        }
        if self.options.fallbacks == ALL_FALLBACKS {
            return None;
        }
        let (least, most) = FALLBACK_WAIT;
        Some(proved + limit.clamp(least, most))
    }

    /// Returns when the pool is proved, if no further SYN leaves.
    pub(super) fn proved_at(&mut self) -> Option<Instant> {
        let limit = self.limit()?;
        while self.waited_for.back().is_some_and(|&attempt| self.sent_at(attempt).is_none()) {
            self.waited_for.pop_back();
        }
        let last_sent = self.waited_for.back().and_then(|&attempt| self.sent_at(attempt));
        let waited = last_sent.map_or(self.start, |sent| sent + limit + GRACE);
        Some(waited.max(self.lookups_hold_until()))
    }

    /// Returns when the run is quiet, if nothing more leaves or comes. The pool must be proved by
    /// then: what is remembered may be farther away than any silence lasts.
    pub(super) fn quiet_at(&mut self) -> Option<Instant> {
        self.last_answer?;
        let quiet = self.last_event + self.quiet_time();
        Some(quiet.max(self.proved_at()?))
    }
}
