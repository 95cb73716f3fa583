//! What is known of each endpoint of a list, from the cache and from measuring, and what is worth
//! believing: memory predicts, and a SYN confirms.
#![forbid(unsafe_code)]

use crate::cache::{CacheSession, Recalled, Remembered};
use crate::hosts::{EndpointId, HostId};
use crate::list::List;
use crate::options::{ALL_FALLBACKS, Options};
use crate::outcome::Outcome;
use crate::probe::{LEAST_QUIET_TIME, ProbeResult, ProbeTarget};
use crate::rank::Rule;
use std::net::IpAddr;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Knowledge {
    /// By [`EndpointId`].
    endpoints: Vec<Known>,
    /// The host of each endpoint, by [`EndpointId`].
    hosts: Vec<HostId>,
    rule: Rule,
    /// Whether every mirror is to be measured, however far away it is.
    wants_all: bool,
}

/// What is known of an endpoint.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    remembered: Option<Recalled>,
    /// Its address, if it is remembered that other names lead there too.
    shared_address: Option<IpAddr>,
    measured: Option<ProbeResult>,
    /// Whether an attempt was made in this run.
    is_tried: bool,
    /// Whether all its mirrors are in trouble.
    is_troubled: bool,
    /// Whether both attempts were made that an endpoint gets in a run.
    is_tried_twice: bool,
}

impl Knowledge {
    /// Recalls what the cache remembers of the endpoints of a list. `is_troubled` is by
    /// [`EndpointId`].
    pub(super) fn recall(
        list: &List,
        cache: &CacheSession,
        is_troubled: &[bool],
        options: &Options,
    ) -> Knowledge {
        let mut endpoints = Vec::with_capacity(list.endpoints.len());
        for id in 0..list.endpoints.len() {
            let endpoint = list.endpoint(EndpointId(id));
            let remembered = cache.recall(&endpoint);
            let shared_address = cache.shared_address(&endpoint);
            let is_troubled = is_troubled[id];
            endpoints.push(Known { remembered, shared_address, is_troubled, ..Known::default() });
        }
        let hosts = list.endpoints.iter().map(|endpoint| endpoint.host).collect();
        let wants_all = options.fallbacks == ALL_FALLBACKS;
        let mut knowledge = Knowledge { endpoints, hosts, rule: options.rule, wants_all };
        // If only failures are remembered of everything that could be tried, they are forgotten.
        let is_failure = |known: &Known| known.remembered.is_some_and(|it| latency_of(it).is_none());
        if knowledge.endpoints.iter().all(is_failure) {
            knowledge.forget();
        }
        knowledge
    }

    /// Returns what is known of an endpoint, measured or remembered. `silence` is that of
    /// [`Knowledge::silence`], computed once for all.
    pub(super) fn result(
        &self,
        EndpointId(id): EndpointId,
        silence: Option<Duration>,
    ) -> Option<ProbeResult> {
        let known = &self.endpoints[id];
        if known.measured.is_some() {
            return known.measured;
        }
        let remembered = known.remembered?.remembered;
        if let Remembered::Silent(waited) = remembered {
            silence.filter(|&silence| waited >= silence)?;
        }
        Some(ProbeResult {
            is_detoured: matches!(remembered, Remembered::Detoured(_)),
            ..ProbeResult::not_sent(remembered.outcome())
        })
    }

    /// Returns the address of an endpoint, as far as it says which names are one host: the one that
    /// answered in this run, or the one that is remembered.
    pub(super) fn address(&self, EndpointId(id): EndpointId) -> Option<IpAddr> {
        let Known { measured, shared_address, .. } = &self.endpoints[id];
        let address = measured.and_then(|it| it.address).map(|address| address.ip());
        address.or(*shared_address).map(|ip| ip.to_canonical())
    }

    /// Returns the result of measuring an endpoint in this run, if it was measured.
    pub(super) fn measured(&self, EndpointId(id): EndpointId) -> Option<ProbeResult> {
        self.endpoints[id].measured
    }

    /// Returns how long a remembered silence must have lasted to count here. "Outside the pool" is
    /// a fact about one list and not about a mirror: it must be as long as a mirror of this list
    /// can take. If all are to be measured, it must be as long as this run would wait for the
    /// farthest.
    pub(super) fn silence(&self) -> Option<Duration> {
        let limit = self.limit()?;
        if !self.wants_all {
            return Some(limit);
        }
        let slowest = self.endpoints.iter().filter_map(Known::latency).map(|(latency, _)| latency).max();
        Some(limit.max(LEAST_QUIET_TIME).max(slowest.unwrap_or_default()))
    }

    /// Returns the latency below which a host belongs to the pool, as far as is known now.
    pub(super) fn limit(&self) -> Option<Duration> {
        let mut best = [None; 3];
        for known in &self.endpoints {
            let Some((latency, is_detoured)) = known.latency() else { continue };
            // As in the rule: the detoured count if no direct one has a latency, and the troubled
            // if no other one has.
            let kind = if known.is_troubled { 2 } else { usize::from(is_detoured) };
            let best: &mut Option<Duration> = &mut best[kind];
            *best = Some(best.map_or(latency, |best| best.min(latency)));
        }
        best.into_iter().flatten().next().map(|best| self.rule.limit(best))
    }

    /// Returns what is remembered of each endpoint; nothing at all if nothing is remembered of any.
    pub(super) fn recalled(&self) -> Vec<Option<Recalled>> {
        if self.endpoints.iter().all(|known| known.remembered.is_none()) {
            return Vec::new();
        }
        self.endpoints.iter().map(|known| known.remembered).collect()
    }

    /// Returns the endpoints of which nothing is known that counts.
    pub(super) fn unknown(&self) -> Vec<ProbeTarget> {
        let silence = self.silence();
        let mut unknown = Vec::new();
        for id in 0..self.endpoints.len() {
            if self.result(EndpointId(id), silence).is_none() {
                unknown.push(self.target(EndpointId(id)));
            }
        }
        unknown
    }

    pub(super) fn target(&self, endpoint: EndpointId) -> ProbeTarget {
        let Known { is_tried, is_troubled, .. } = self.endpoints[endpoint.0];
        ProbeTarget { endpoint, is_tried, is_troubled }
    }

    /// Returns whether a latency of this endpoint is remembered that was not checked for this long.
    pub(super) fn is_due(&self, EndpointId(id): EndpointId, check_after: Duration) -> bool {
        let Known { remembered, measured, .. } = &self.endpoints[id];
        let age = remembered.filter(|&it| latency_of(it).is_some()).map(|it| it.age);
        measured.is_none() && age.is_some_and(|age| age >= check_after)
    }

    /// Returns whether any endpoint is due.
    pub(super) fn is_any_due(&self, check_after: Duration) -> bool {
        (0..self.endpoints.len()).any(|id| self.is_due(EndpointId(id), check_after))
    }

    /// Returns the latency of an endpoint, measured or remembered.
    pub(super) fn latency(&self, EndpointId(id): EndpointId) -> Option<Duration> {
        self.endpoints[id].latency().map(|(latency, _)| latency)
    }

    /// Returns the endpoint with the lowest remembered latency, if nothing has answered in this run
    /// and it was not asked yet.
    pub(super) fn control(&self) -> Option<EndpointId> {
        let has_answered = |known: &Known| known.measured.is_some_and(|it| it.outcome.latency().is_some());
        if self.endpoints.iter().any(has_answered) {
            return None;
        }
        let latency = |id: &usize| match self.endpoints[*id] {
            Known { is_tried: true, .. } => None,
            known => Some((known.remembered.and_then(latency_of)?, *id)),
        };
        (0..self.endpoints.len()).filter_map(|id| latency(&id)).min().map(|(_, id)| EndpointId(id))
    }

    /// Returns the lowest latency of each host, by [`HostId`], as far as it is direct.
    pub(super) fn latencies(&self, hosts: usize) -> Vec<Option<Duration>> {
        let mut latencies: Vec<Option<Duration>> = vec![None; hosts];
        for (known, host) in self.endpoints.iter().zip(&self.hosts) {
            if known.is_troubled {
                continue;
            }
            if let Some((latency, false)) = known.latency() {
                let lowest = latencies[host.0].get_or_insert(latency);
                *lowest = latency.min(*lowest);
            }
        }
        latencies
    }

    /// Takes in what measuring has found. If it is the control of others, a lost packet takes
    /// nothing from what is remembered.
    pub(super) fn learn(&mut self, EndpointId(id): EndpointId, result: ProbeResult, is_control: bool) {
        let known = &mut self.endpoints[id];
        known.is_tried_twice |= result.is_tried_twice;
        known.is_tried |= result.syn_sent;
        let is_certain =
            (result.outcome.latency().is_some() && !result.imprecise) || result.reported_by_network;
        let is_silent = result.syn_sent && result.outcome == Outcome::Unanswered;
        if !is_control || is_certain || is_silent {
            known.measured = Some(result);
        }
    }

    /// Forgets what is remembered, and which mirrors were silent when it was checked, unless they
    /// had both their attempts then.
    pub(super) fn forget(&mut self) {
        for known in &mut self.endpoints {
            known.remembered = None;
            known.shared_address = None;
            known.measured =
                known.measured.filter(|it| it.outcome != Outcome::Unanswered || known.is_tried_twice);
        }
    }
}

impl Known {
    /// Returns the latency, measured or remembered, and whether it is detoured.
    fn latency(&self) -> Option<(Duration, bool)> {
        if let Some(measured) = self.measured {
            return measured.outcome.latency().map(|latency| (latency, measured.is_detoured));
        }
        match self.remembered?.remembered {
            Remembered::Latency(latency) => Some((latency, false)),
            Remembered::Detoured(latency) => Some((latency, true)),
            _ => None,
        }
    }
}

fn latency_of(recalled: Recalled) -> Option<Duration> {
    match recalled.remembered {
        Remembered::Latency(latency) | Remembered::Detoured(latency) => Some(latency),
        _ => None,
    }
}
