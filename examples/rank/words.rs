//! What outcomes and endings are called in the output.

use fastestmirror::{Ended, Outcome};

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

pub(crate) fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Idle => "idle",
        Ended::Complete => "complete",
        Ended::Settled => "settled",
        Ended::Quiet => "quiet",
        Ended::Timeout => "timeout",
        Ended::Cancelled => "cancelled",
        _ => "unknown",
    }
}

/// The same for people: why measuring ended.
pub(crate) fn ended_because(ended: Ended) -> &'static str {
    match ended {
        Ended::Idle => "there was nothing to measure",
        Ended::Complete => "every mirror has an outcome",
        Ended::Settled => "the pool is known, and so are enough fallbacks",
        Ended::Quiet => "nothing more was heard: who is silent still is down or far",
        Ended::Timeout => "the time was up",
        Ended::Cancelled => "it was interrupted",
        _ => "the library says so",
    }
}
