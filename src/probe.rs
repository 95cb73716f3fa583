//! Measuring: names are looked up, SYNs leave, answers are timed, until enough is known.
//!
//! `driver` carries news between the three that do the work: `resolve` (names), `connect` (sockets)
//! and `schedule` (decisions). There is one thread, the caller's; lookups have their own.
#![forbid(unsafe_code)]

mod cancel;
mod connect;
mod driver;
mod limits;
mod resolve;
mod schedule;

use crate::event::Progress;
use crate::hosts::EndpointId;
use crate::list::List;
use crate::options::Options;
use crate::outcome::Outcome;
pub use cancel::Cancel;
pub(crate) use driver::measure;
use std::net::SocketAddr;
use std::time::Duration;

/// What to measure, and how.
pub(crate) struct Job<'a> {
    pub(crate) list: &'a List,
    /// What to measure, each endpoint once.
    pub(crate) endpoints: &'a [EndpointId],
    /// The lowest remembered latency of each host of the list.
    pub(crate) latencies: Vec<Option<Duration>>,
    pub(crate) options: &'a Options,
    pub(crate) cancel: Option<&'a Cancel>,
    /// Called at every step; `true` stops measuring.
    pub(crate) interrupt_check: Option<&'a mut dyn FnMut() -> bool>,
    pub(crate) progress: &'a mut dyn FnMut(Progress),
}

/// What a run found out about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProbeResult {
    pub(crate) outcome: Outcome,
    pub(crate) imprecise: bool,
    /// The address that answered.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) syn_sent: bool,
    /// Whether the network reported the failure, and not this machine.
    pub(crate) reported_by_network: bool,
}

impl ProbeResult {
    /// Returns the result of an endpoint to which no SYN was sent in this run.
    pub(crate) fn not_sent(outcome: Outcome) -> ProbeResult {
        ProbeResult { outcome, imprecise: false, address: None, syn_sent: false, reported_by_network: false }
    }
}
