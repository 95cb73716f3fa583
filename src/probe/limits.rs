//! How much of the process's descriptors a run may use, and how much it may do at once.
#![forbid(unsafe_code)]

use super::schedule::LOOKUP_DESCRIPTORS;
use crate::sys;

/// How many lookups may be under way at once: as many as resolvers in homes and containers bear.
const LOOKUPS: usize = 64;
/// How many attempts may be under way at once, so that a long list does not fill the connection
/// table of a home router.
pub(super) const IN_FLIGHT: usize = 512;

/// The share of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// How many lookups may be under way at once.
    pub(super) lookups: usize,
    /// How many descriptors lookups and sockets may take together.
    pub(super) descriptors: usize,
}

/// Returns the share that leaves the program we are loaded into half its descriptors, and half of
/// those that it has not opened yet.
pub(super) fn share() -> Share {
    // An unknown number counts as none.
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    share_of(sys::descriptor_limit(), open)
}

fn share_of(limit: usize, open: usize) -> Share {
    let ours = (limit / 2).min(limit.saturating_sub(open) / 2);
    // At least half of ours is for sockets. The run itself takes three: the epoll set, the waker of
    // its lookups, and the cancel handle.
    let lookups = LOOKUPS.min(ours / (2 * LOOKUP_DESCRIPTORS)).max(1);
    Share { lookups, descriptors: ours.saturating_sub(3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_leaves_half_of_the_descriptors() {
        for limit in [20, 64, 256, 1024, 20_000, usize::MAX] {
            for open in [0, 3, limit / 2, limit - 14] {
                let Share { lookups, descriptors } = share_of(limit, open);
                let ours = (limit / 2).min((limit - open) / 2).max(7);
                assert!(descriptors + 3 <= ours, "{limit}, {open}: {descriptors}");
                // Where there are fewer than four, there is one lookup and one socket nevertheless.
                let for_sockets = descriptors.max(4) - lookups * LOOKUP_DESCRIPTORS;
                assert!(for_sockets * 2 + 3 >= descriptors, "{limit}, {open}: {lookups} of {descriptors}");
                assert!((1..=LOOKUPS).contains(&lookups));
            }
        }
        let least = Share { lookups: 1, descriptors: 0 };
        assert_eq!(share_of(1024, 1022), least, "one lookup at least; the schedule has one socket at least");
        assert_eq!(share_of(1024, 10), Share { lookups: 64, descriptors: 504 }, "a common process");
    }
}
