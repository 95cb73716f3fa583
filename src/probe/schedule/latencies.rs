//! The latencies of the hosts so far, in order: what the limit of the pool and the number of
//! fallbacks follow from.
#![forbid(unsafe_code)]

use crate::hosts::HostId;
use std::mem;
use std::time::Duration;

/// The lowest latency of each host, direct and detoured hosts apart.
#[derive(Debug)]
pub(super) struct Latencies {
    /// By host.
    hosts: Vec<HostLatency>,
    /// One for each direct host, ascending.
    direct: Vec<Duration>,
    /// One for each host that is detoured on all its endpoints, ascending.
    detoured: Vec<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
struct HostLatency {
    direct: Option<Duration>,
    detoured: Option<Duration>,
}

impl Latencies {
    /// Begins with what is known of each host before the run.
    pub(super) fn new(cached: impl Iterator<Item = Option<Duration>>) -> Latencies {
        let hosts: Vec<HostLatency> = cached.map(|direct| HostLatency { direct, detoured: None }).collect();
        let mut direct: Vec<Duration> = hosts.iter().filter_map(|host| host.direct).collect();
        direct.sort_unstable();
        Latencies { hosts, direct, detoured: Vec::new() }
    }

    /// Adds a latency of a host. Of several ones of a kind the lowest counts, and direct ones count
    /// before detoured ones.
    pub(super) fn add(&mut self, host: HostId, latency: Duration, is_detoured: bool) {
        let before = self.hosts[host.0];
        let host = &mut self.hosts[host.0];
        if is_detoured {
            host.detoured = Some(before.detoured.map_or(latency, |it| it.min(latency)));
        } else {
            host.direct = Some(before.direct.map_or(latency, |it| it.min(latency)));
        }
        let after = *host;
        match before {
            HostLatency { direct: Some(old), .. } => remove(&mut self.direct, old),
            HostLatency { detoured: Some(old), .. } => remove(&mut self.detoured, old),
            HostLatency { direct: None, detoured: None } => {}
        }
        match after {
            HostLatency { direct: Some(new), .. } => insert(&mut self.direct, new),
            HostLatency { detoured: Some(new), .. } => insert(&mut self.detoured, new),
            HostLatency { direct: None, detoured: None } => {}
        }
    }

    /// Makes the latencies of a host those of another one, which it turns out to be.
    pub(super) fn move_to(&mut self, host: HostId, other: HostId) {
        let HostLatency { direct, detoured } = mem::take(&mut self.hosts[host.0]);
        match (direct, detoured) {
            (Some(old), _) => remove(&mut self.direct, old),
            (None, Some(old)) => remove(&mut self.detoured, old),
            (None, None) => {}
        }
        for (latency, is_detoured) in [(direct, false), (detoured, true)] {
            if let Some(latency) = latency {
                self.add(other, latency, is_detoured);
            }
        }
    }

    /// Returns the lowest latency of a direct host; without any, that of a detoured one.
    pub(super) fn best(&self) -> Option<Duration> {
        self.direct.first().or(self.detoured.first()).copied()
    }

    /// Returns the highest latency.
    pub(super) fn slowest(&self) -> Option<Duration> {
        self.direct.last().max(self.detoured.last()).copied()
    }

    /// Returns how many hosts outside a pool with this limit have a latency.
    pub(super) fn outside(&self, limit: Duration) -> usize {
        let all = self.direct.len() + self.detoured.len();
        let candidates = if self.direct.is_empty() { &self.detoured } else { &self.direct };
        all - candidates.partition_point(|&latency| latency < limit)
    }

    /// Returns the latencies of direct hosts, ascending.
    #[cfg(test)]
    pub(super) fn direct(&self) -> &[Duration] {
        &self.direct
    }
}

fn insert(sorted: &mut Vec<Duration>, latency: Duration) {
    let position = sorted.partition_point(|&other| other < latency);
    sorted.insert(position, latency);
}

fn remove(sorted: &mut Vec<Duration>, latency: Duration) {
    if let Ok(position) = sorted.binary_search(&latency) {
        sorted.remove(position);
    }
}
