//! What outcomes and endings are called in the output.

use fastestmirror::{Outcome, StopReason};

pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Measured(_) => "measured",
        Outcome::Cached(_) => "cached",
        Outcome::Local => "local",
        Outcome::Unanswered => "unanswered",
        Outcome::Refused => "refused",
        Outcome::Unreachable => "unreachable",
        Outcome::Unresolved => "unresolved",
        Outcome::Unsupported => "unsupported",
        Outcome::Excluded => "excluded",
        _ => "unknown",
    }
}

/// Whether the outcome shows a mirror that is there: one whose latency is known, or a local one.
pub(crate) fn has_answered(outcome: Outcome) -> bool {
    outcome == Outcome::Local || outcome.latency().is_some()
}

pub(crate) fn ended(ended: StopReason) -> &'static str {
    match ended {
        StopReason::Idle => "idle",
        StopReason::Complete => "complete",
        StopReason::Settled => "settled",
        StopReason::Quiet => "quiet",
        StopReason::Timeout => "timeout",
        StopReason::Cancelled => "cancelled",
        _ => "unknown",
    }
}

/// The same for people: why measuring ended.
pub(crate) fn ended_because(ended: StopReason) -> &'static str {
    match ended {
        StopReason::Idle => "there was nothing to measure",
        StopReason::Complete => "every mirror has an outcome",
        StopReason::Settled => "the pool is known, and so are enough fallbacks",
        StopReason::Quiet => "nothing more was heard: who is silent still is down or far",
        StopReason::Timeout => "the time was up",
        StopReason::Cancelled => "it was interrupted",
        _ => "the library says so",
    }
}
