//! One run, from list to order: what is remembered, what is measured, what comes of it. Its steps
//! are reported to one observer.
#![forbid(unsafe_code)]

use crate::cache::{self, CacheSession, Finding, RecordName, Remembered};
use crate::event::Event;
use crate::fault;
use crate::hosts::EndpointId;
use crate::list::{List, ListedMirror, Target};
use crate::options::Options;
use crate::outcome::{Outcome, StopReason};
use crate::probe::{self, Cancel, Job, ProbeResult};
use crate::rank::{self, Entry};
use crate::ranking::{Candidate, Error, RankedMirror, Ranking};
use std::mem;
use std::time::{Duration, Instant, SystemTime};

/// What the caller wants to be called, or asked, during a run.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) cancel: Option<Cancel>,
    pub(crate) interrupt_check: Option<Box<InterruptCheck>>,
    pub(crate) observer: Option<Box<Observer>>,
}

pub(crate) type InterruptCheck = dyn FnMut() -> bool + Send;
pub(crate) type Observer = dyn FnMut(&Event<'_>) + Send;

impl Hooks {
    fn notify(&mut self, event: &Event<'_>) {
        if let Some(observer) = &mut self.observer {
            observer(event);
        }
    }
}

/// Measures the candidates and puts them in order.
///
/// # Errors
/// See [`Ranker::rank`](crate::Ranker::rank).
pub(crate) fn rank(
    candidates: Vec<Candidate>,
    options: &Options,
    hooks: &mut Hooks,
) -> Result<Ranking, Error> {
    fault::point("run");
    let start = Instant::now();
    let list = List::read(candidates, options)?;
    let cache = CacheSession::open(&options.cache, options.now.unwrap_or_else(SystemTime::now));
    if let Some(path) = &options.cache.path {
        hooks.notify(&Event::CacheRead { path, problem: cache.problem() });
    }
    let mut run = Run::new(list, options, cache);
    run.measure(hooks)?;
    let ranking = run.finish(start);
    hooks.notify(&Event::Ranked(&ranking));
    Ok(ranking)
}

struct Run<'a> {
    options: &'a Options,
    list: List,
    cache: CacheSession,
    /// What is known of each endpoint of the list.
    results: Vec<Known>,
    stop_reason: StopReason,
}

/// What is known of an endpoint.
#[derive(Debug, Clone, Copy)]
struct Known {
    result: Option<ProbeResult>,
    was_remembered: bool,
}

impl<'a> Run<'a> {
    /// Recalls what the cache remembers of each endpoint.
    fn new(list: List, options: &'a Options, cache: CacheSession) -> Run<'a> {
        let mut results = Vec::with_capacity(list.endpoints.len());
        for id in 0..list.endpoints.len() {
            let remembered = cache.recall(&list.endpoint(EndpointId(id)));
            let result = remembered.map(|it| ProbeResult::not_sent(it.outcome()));
            results.push(Known { result, was_remembered: result.is_some() });
        }
        // If only failures are remembered of everything that could be tried, they are forgotten.
        let is_hopeful = |known: &Known| known.result.is_none_or(|it| it.outcome.latency().is_some());
        if !results.iter().any(is_hopeful) {
            results.fill(Known { result: None, was_remembered: false });
        }
        Run { options, list, cache, results, stop_reason: StopReason::Idle }
    }

    /// Measures the endpoints of which nothing is known yet.
    ///
    /// # Errors
    /// If the process has no file descriptor left.
    fn measure(&mut self, hooks: &mut Hooks) -> Result<(), Error> {
        let mut to_measure: Vec<EndpointId> = Vec::new();
        let mut control: Option<(Duration, EndpointId)> = None;
        // The lowest remembered latency of each host.
        let mut latencies: Vec<Option<Duration>> = vec![None; self.list.hosts.len()];
        for (id, known) in self.results.iter().enumerate() {
            let Some(result) = known.result else {
                to_measure.push(EndpointId(id));
                continue;
            };
            let Some(latency) = result.outcome.latency() else { continue };
            let lowest = latencies[self.list.endpoints[id].host.0].get_or_insert(latency);
            *lowest = latency.min(*lowest);
            if control.is_none_or(|(nearest, _)| latency < nearest) {
                control = Some((latency, EndpointId(id)));
            }
        }
        if to_measure.is_empty() {
            return Ok(());
        }
        if !self.options.timeout.is_zero() {
            hooks.notify(&Event::Measuring { endpoints: to_measure.len() });
        }
        // The control is measured last. If only dead mirrors are left to measure, its answer shows
        // that they are down and not the network, so that they can be remembered as such.
        to_measure.extend(control.map(|(_, endpoint)| endpoint));
        let Hooks { cancel, interrupt_check, observer } = hooks;
        let (stop_reason, results) = probe::measure(Job {
            list: &self.list,
            endpoints: &to_measure,
            latencies,
            options: self.options,
            cancel: cancel.as_ref(),
            interrupt_check: interrupt_check.as_mut().map(|check| check as &mut dyn FnMut() -> bool),
            progress: &mut |progress| {
                if let Some(observer) = observer {
                    observer(&Event::Progress(progress));
                }
            },
        })
        .map_err(Error::System)?;
        for (EndpointId(id), result) in to_measure.into_iter().zip(results) {
            let known = &mut self.results[id];
            // For the control, a lost packet takes nothing from what is remembered.
            let is_certain =
                (result.outcome.latency().is_some() && !result.imprecise) || result.reported_by_network;
            if known.result.is_none() || is_certain {
                known.result = Some(result);
            }
        }
        self.stop_reason = stop_reason;
        Ok(())
    }

    /// Returns what became of a mirror.
    fn result(&self, mirror: &ListedMirror) -> ProbeResult {
        if mirror.is_excluded {
            return ProbeResult::not_sent(Outcome::Excluded);
        }
        match mirror.target {
            Target::Local => ProbeResult::not_sent(Outcome::Local),
            Target::Unsupported => ProbeResult::not_sent(Outcome::Unsupported),
            Target::Remote { host, endpoint, .. } => {
                let measured = endpoint.and_then(|EndpointId(id)| self.results[id].result);
                let otherwise = match self.list.host(host).is_reachable {
                    true => Outcome::Unanswered,
                    false => Outcome::Unresolved,
                };
                measured.unwrap_or(ProbeResult::not_sent(otherwise))
            }
        }
    }

    /// Ranks, and writes the cache.
    fn finish(mut self, start: Instant) -> Ranking {
        let mut entries = Vec::with_capacity(self.list.mirrors.len());
        for mirror in &self.list.mirrors {
            let host = match mirror.target {
                Target::Remote { host, .. } => Some(host),
                Target::Local | Target::Unsupported => None,
            };
            entries.push(Entry { host, outcome: self.result(mirror).outcome, weight: mirror.weight });
        }
        let (seed, seed_to_keep) = match self.options.seed {
            Some(seed) => (seed, None),
            None => self.cache.seed(),
        };
        let ranked = rank::rank(&entries, &self.list.hosts, &self.options.rule, seed);
        let warnings = self.cache.store(self.learned(), seed_to_keep);

        let excluded: Vec<usize> =
            (0..self.list.mirrors.len()).filter(|&index| self.list.mirrors[index].is_excluded).collect();
        let mut in_place = |&index: &usize| self.ranked_mirror(index, ranked.pool[index]);
        Ranking {
            mirrors: ranked.order.iter().map(&mut in_place).collect(),
            excluded: excluded.iter().map(&mut in_place).collect(),
            stop_reason: self.stop_reason,
            elapsed: start.elapsed(),
            seed,
            ambiguous: ranked.ambiguous,
            warnings,
        }
    }

    /// Returns what later runs should know, by the names under which mirrors stand in the cache.
    fn learned(&self) -> impl Iterator<Item = (RecordName, Remembered)> {
        let waited =
            matches!(self.stop_reason, StopReason::Complete | StopReason::Settled | StopReason::Quiet);
        self.list.mirrors.iter().filter_map(move |mirror| {
            let Target::Remote { protocol, endpoint: Some(endpoint), .. } = mirror.target else {
                return None;
            };
            let result = self.results[endpoint.0].result?;
            let finding = Finding {
                outcome: result.outcome,
                syn_sent: result.syn_sent,
                imprecise: result.imprecise,
                reported_by_network: result.reported_by_network,
            };
            let remembered = cache::to_remember(&finding, waited)?;
            Some((RecordName::new(&mirror.url, protocol, &self.list.endpoint(endpoint)), remembered))
        })
    }

    /// Takes a mirror out of the list.
    fn ranked_mirror(&mut self, index: usize, pool: bool) -> RankedMirror {
        let mirror = &mut self.list.mirrors[index];
        let url = mem::take(&mut mirror.url);
        let was_remembered = match mirror.target {
            Target::Remote { endpoint: Some(EndpointId(id)), .. } => self.results[id].was_remembered,
            _ => false,
        };
        let result = self.result(&self.list.mirrors[index]);
        RankedMirror {
            index,
            url,
            outcome: result.outcome,
            pool,
            imprecise: result.imprecise,
            address: result.address,
            from_cache: was_remembered && !result.syn_sent,
            is_detoured: false,
        }
    }
}

#[cfg(test)]
mod tests;
