//! How much of the process's descriptors a run may use, and how much it may do at once.
#![forbid(unsafe_code)]

use super::resolve::{self, WorkerLimits};
use super::schedule::LOOKUP_DESCRIPTORS;
use crate::sys;

/// How many lookups may be under way at once: as many as resolvers in homes and containers bear.
const LOOKUPS: usize = 64;
/// How many lookups may be under way in the process, those of other runs and those that hang among
/// them.
const PROCESS_LOOKUPS: usize = 160;
/// How many attempts may be under way at once, so that a long list does not fill the connection
/// table of a home router.
pub(super) const IN_FLIGHT: usize = 512;

/// The share of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// How many lookups may be under way at once: one for each worker.
    pub(super) lookups: WorkerLimits,
    /// How many descriptors lookups and sockets may take together.
    pub(super) descriptors: usize,
}

/// Returns the share that leaves the program we are loaded into half its descriptors, and half of
/// those that it has not opened yet.
pub(super) fn share() -> Share {
    // An unknown number counts as none.
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    share_of(sys::descriptor_limit(), open, resolve::live_workers())
}

/// `workers` are those of earlier runs whose lookups hang, and of runs in other threads.
fn share_of(limit: usize, open: usize, workers: usize) -> Share {
    // A lookup may not have opened yet what it will need.
    let half = (limit / 2).saturating_sub(workers * LOOKUP_DESCRIPTORS);
    let ours = half.min(limit.saturating_sub(open) / 2);
    // At least half of ours is for sockets. The run itself takes two: the epoll set, and the waker
    // of its lookups.
    let run = LOOKUPS.min(ours / (2 * LOOKUP_DESCRIPTORS)).max(1);
    // Those that hang must not take more than half either, however often a list is ranked.
    let process = PROCESS_LOOKUPS.min(limit / 2 / LOOKUP_DESCRIPTORS).max(1);
    Share { lookups: WorkerLimits { run, process }, descriptors: ours.saturating_sub(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_leaves_half_of_the_descriptors() {
        for limit in [20, 64, 256, 1024, 20_000, usize::MAX] {
            for (open, workers) in [(0, 0), (3, 0), (3, 1), (200, 60), (limit / 2, 0), (limit - 14, 0)] {
                if open >= limit {
                    continue;
                }
                let Share { lookups, descriptors } = share_of(limit, open, workers);
                let others = workers * LOOKUP_DESCRIPTORS;
                let ours = (limit / 2).saturating_sub(others).min((limit - open) / 2).max(7);
                assert!(descriptors + 2 <= ours, "{limit}, {open}, {workers}: {descriptors}");
                // Where there are fewer than four, there is one lookup and one socket nevertheless.
                let for_sockets = descriptors.max(4) - lookups.run * LOOKUP_DESCRIPTORS;
                assert!(for_sockets * 2 + 2 >= descriptors, "{limit}, {open}: {lookups:?} of {descriptors}");
                assert!((1..=LOOKUPS).contains(&lookups.run));
                assert!(lookups.process * LOOKUP_DESCRIPTORS <= limit / 2, "{limit}: {lookups:?}");
            }
        }
        let least = Share { lookups: WorkerLimits { run: 1, process: 160 }, descriptors: 0 };
        assert_eq!(
            share_of(1024, 1022, 0),
            least,
            "one lookup at least; the schedule has one socket at least"
        );
        let common = Share { lookups: WorkerLimits { run: 64, process: 160 }, descriptors: 505 };
        assert_eq!(share_of(1024, 10, 0), common, "a common process");
        let after_hung_lookups = share_of(1024, 10 + 3 * 160, 160);
        assert!(after_hung_lookups.descriptors >= 20, "{after_hung_lookups:?}");
    }
}
