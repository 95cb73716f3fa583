//! When what is known is enough.
#![forbid(unsafe_code)]

use super::Schedule;
use std::time::{Duration, Instant};

/// Beyond the pool's limit, for an answer that is under way in this machine.
pub(super) const GRACE: Duration = Duration::from_millis(2);
/// The least quiet time: no pair of hosts in one region is further apart.
const QUIET: Duration = Duration::from_millis(100);
/// What a look-up gets at least before it is left behind.
const LOOK_UP: Duration = Duration::from_millis(50);

impl Schedule {
    pub(super) fn limit(&self) -> Option<Duration> {
        self.best().map(|best| self.options.rule.limit(best))
    }

    /// Whether the hosts outside the pool that have a latency are enough.
    pub(super) fn has_fallbacks(&self, limit: Duration) -> bool {
        let pool = self.latencies.partition_point(|&latency| latency < limit);
        self.latencies.len() - pool >= self.options.fallbacks
    }

    /// How long nothing must be heard before the silent ones are taken for down or far.
    pub(super) fn quiet_time(&self) -> Duration {
        QUIET.max(self.slowest_answer)
    }

    /// When running look-ups stop holding the end off. A slow resolver that keeps finishing names stays ahead of
    /// this time; one name that hangs does not.
    fn look_ups_hold_until(&self) -> Instant {
        if self.look_ups == 0 {
            return self.start;
        }
        let median = self.look_up_times.get(self.look_up_times.len() / 2).copied().unwrap_or_default();
        self.start + LOOK_UP.max(median * 3)
    }

    pub(super) fn settled_at(&mut self) -> Option<Instant> {
        let limit = self.limit()?;
        if !self.has_fallbacks(limit) {
            return None;
        }
        while self.flights.back().is_some_and(|&attempt| self.sent_at(attempt).is_none()) {
            self.flights.pop_back();
        }
        let last_sent = self.flights.back().and_then(|&attempt| self.sent_at(attempt));
        let waited = last_sent.map_or(self.start, |sent| sent + limit + GRACE);
        Some(waited.max(self.look_ups_hold_until()))
    }

    pub(super) fn quiet_at(&self) -> Option<Instant> {
        self.last_answer?;
        Some((self.last_event + self.quiet_time()).max(self.look_ups_hold_until()))
    }
}
