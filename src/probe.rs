//! Measuring: names are looked up, SYNs leave, answers are timed, until enough is known.
//!
//! `driver` carries news between the three that do the work: `resolve` (names), `connect` (sockets)
//! and `schedule` (decisions); `journal` has what was tried. There is one thread, the caller's;
//! lookups have their own.
#![forbid(unsafe_code)]

mod cancel;
mod connect;
mod driver;
mod journal;
mod limits;
mod resolve;
mod schedule;

use crate::event::Progress;
use crate::hosts::EndpointId;
use crate::list::List;
use crate::options::Options;
use crate::outcome::{Outcome, StopReason, TriedAddress};
pub use cancel::Cancel;
pub(crate) use driver::measure;
#[cfg(feature = "__internals")]
pub(crate) use schedule::simulation;
pub(crate) use schedule::{AttemptCounts, GRACE, LEAST_QUIET_TIME};
use std::net::SocketAddr;
use std::time::Duration;

/// What to measure, and how.
pub(crate) struct Job<'a> {
    pub(crate) list: &'a List,
    /// What to measure, each endpoint once.
    pub(crate) targets: &'a [ProbeTarget],
    /// The lowest latency of each host of the list that is known before.
    pub(crate) latencies: Vec<Option<Duration>>,
    pub(crate) options: &'a Options,
    /// What is left of the timeout of the run.
    pub(crate) timeout: Duration,
    /// How many hosts outside the pool must have a latency before the run is settled.
    pub(crate) fallbacks: usize,
    /// Whether this is to confirm the remembered latencies of the targets. One SYN does that: no
    /// hedge leaves, and a second attempt is left for the case that nothing remembered is true.
    pub(crate) is_check: bool,
    /// The attempts that were made to each address before, in another pass of this run.
    pub(crate) attempts: &'a mut AttemptCounts,
    pub(crate) cancel: Option<&'a Cancel>,
    /// Called at every step; `true` stops measuring.
    pub(crate) interrupt_check: Option<&'a mut dyn FnMut() -> bool>,
    pub(crate) progress: &'a mut dyn FnMut(Progress),
}

/// An endpoint to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbeTarget {
    pub(crate) endpoint: EndpointId,
    /// Whether one attempt was made before, in another pass of this run.
    pub(crate) is_tried: bool,
    /// Whether downloads from it failed a while ago, so that its latency does not make the pool.
    pub(crate) is_troubled: bool,
}

/// What came of a job.
pub(crate) struct Measured {
    pub(crate) stop_reason: StopReason,
    /// In the order of the targets.
    pub(crate) results: Vec<ProbeResult>,
    /// What was tried for each target, in the order of its attempts.
    pub(crate) tried: Vec<(EndpointId, TriedAddress)>,
    /// What this process or the system kept from being measured: one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// What a run found out about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProbeResult {
    pub(crate) outcome: Outcome,
    pub(crate) imprecise: bool,
    /// The address that answered.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) syn_sent: bool,
    /// Whether both attempts that an endpoint gets in a run were made.
    pub(crate) is_tried_twice: bool,
    /// Whether the network reported the failure, and not this machine.
    pub(crate) reported_by_network: bool,
    /// Whether the client waits for another address before it reaches the one that answered.
    pub(crate) is_detoured: bool,
    /// How long a silent endpoint was waited for since its last SYN.
    pub(crate) waited: Option<Duration>,
    /// Whether the lookup of its name had not finished when measuring stopped.
    pub(crate) is_lookup_unfinished: bool,
}

impl ProbeResult {
    /// Returns the result of an endpoint to which no SYN was sent in this run.
    pub(crate) fn not_sent(outcome: Outcome) -> ProbeResult {
        ProbeResult {
            outcome,
            imprecise: false,
            address: None,
            syn_sent: false,
            is_tried_twice: false,
            reported_by_network: false,
            is_detoured: false,
            waited: None,
            is_lookup_unfinished: false,
        }
    }
}
