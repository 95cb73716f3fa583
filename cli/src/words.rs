//! What outcomes and reasons to stop are called in the output.

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

pub(crate) fn stop_reason(reason: Ended) -> &'static str {
    match reason {
        Ended::Idle => "idle",
        Ended::Complete => "complete",
        Ended::Settled => "settled",
        Ended::Quiet => "quiet",
        Ended::Timeout => "timeout",
        Ended::Cancelled => "cancelled",
        _ => "unknown",
    }
}

/// Why measuring stopped, in words for people.
pub(crate) fn stop_phrase(reason: Ended) -> &'static str {
    match reason {
        Ended::Idle => "there was nothing to measure",
        Ended::Complete => "every mirror answered or failed",
        Ended::Settled => "the pool is known, and so are enough fallbacks",
        Ended::Quiet => "no more replies came",
        Ended::Timeout => "the time was up",
        Ended::Cancelled => "it was interrupted",
        _ => "the library says so",
    }
}
