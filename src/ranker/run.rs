//! One run in its steps: what is remembered, what is measured, what comes of it.
#![forbid(unsafe_code)]

use super::memory::{self, Recollection};
use super::{List, Ranker, matches_any};
use crate::cache::Key;
use crate::event::Event;
use crate::fault;
use crate::outcome::{Outcome, StopReason};
use crate::probe::{self, Job, Probed};
use crate::rank;
use crate::ranking::{Error, RankedMirror, Ranking};
use crate::url::{Endpoint, Host, Mirror};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
use std::time::{Duration, Instant, SystemTime};

pub(crate) struct Run {
    list: List,
    start: Instant,
    memory: Recollection,
    targets: Targets,
    /// What is known of each target.
    probed: Vec<Option<Probed>>,
    /// Whether it was known from the beginning.
    remembered: Vec<bool>,
    stop_reason: StopReason,
}

/// The endpoints that are measured, or would be if nothing were remembered of them.
struct Targets {
    /// Each once, in the order given: by the position of a mirror that has it.
    mirrors: Vec<usize>,
    /// The target of each mirror, if it has one.
    of_mirror: Vec<Option<usize>>,
}

impl Targets {
    /// As far as the limits let them.
    fn of(ranker: &Ranker, list: &List) -> Targets {
        let mut of_host: HashMap<&Host, usize> = HashMap::with_capacity(list.mirrors.len());
        let mut positions: HashMap<&Endpoint, usize> = HashMap::with_capacity(list.mirrors.len());
        let mut targets = Targets { mirrors: Vec::new(), of_mirror: Vec::with_capacity(list.mirrors.len()) };
        for (index, mirror) in list.mirrors.iter().enumerate() {
            targets.of_mirror.push(match mirror {
                Mirror::Remote(_, endpoint) if !list.excluded[index] && ranker.can_reach(&endpoint.host) => {
                    let ports = of_host.entry(&endpoint.host).or_default();
                    let has_room = targets.mirrors.len() < ranker.max_endpoints
                        && *ports < ranker.max_endpoints_per_host;
                    match positions.entry(endpoint) {
                        Entry::Occupied(position) => Some(*position.get()),
                        Entry::Vacant(position) if has_room => {
                            *ports += 1;
                            targets.mirrors.push(index);
                            Some(*position.insert(targets.mirrors.len() - 1))
                        }
                        Entry::Vacant(_) => None,
                    }
                }
                _ => None,
            });
        }
        targets
    }
}

impl Run {
    /// Reads the cache.
    pub(crate) fn begin(ranker: &Ranker, list: List) -> Run {
        fault::point("run");
        let start = Instant::now();
        let targets = Targets::of(ranker, &list);
        let memory = Recollection::of(&ranker.memory, ranker.now.unwrap_or_else(SystemTime::now));
        let recall = |&mirror: &usize| memory.recall(endpoint(&list, mirror));
        let mut probed: Vec<Option<Probed>> = targets.mirrors.iter().map(recall).collect();
        // If nothing but failures is remembered of all that there is to try, they are forgotten.
        if !probed.iter().any(|known| known.is_none_or(|known| known.outcome.latency().is_some())) {
            probed.fill(None);
        }
        let remembered = probed.iter().map(Option::is_some).collect();
        Run { list, start, memory, targets, probed, remembered, stop_reason: StopReason::Idle }
    }

    /// What is to be said of the cache, if it could not be read.
    pub(crate) fn cache_problem(&self) -> Option<&str> {
        self.memory.trouble()
    }

    /// Measures those endpoints of which nothing is known yet.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub(crate) fn measure(&mut self, ranker: &mut Ranker) -> Result<(), Error> {
        let endpoints = self.probed.iter().filter(|known| known.is_none()).count();
        if endpoints > 0 && !ranker.timeout.is_zero() {
            ranker.notify(&Event::Measuring { endpoints });
        }
        let known = &self.probed;
        let unknown: Vec<usize> = (0..known.len()).filter(|&target| known[target].is_none()).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        // The nearest of those remembered is asked, too, last: where only dead mirrors are left to ask, its answer tells that
        // they are down and not the network, so that they can be remembered as such.
        let latency = |&target: &usize| known[target].and_then(|known| known.outcome.latency());
        let witness = (0..known.len()).filter(|target| latency(target).is_some()).min_by_key(latency);
        let endpoint = |target: &usize| endpoint(&self.list, self.targets.mirrors[*target]);
        let asked: Vec<&Endpoint> = unknown.iter().chain(&witness).map(endpoint).collect();
        let (stop_reason, results) = probe::measure(Job {
            endpoints: &asked,
            cached: self.cached_hosts(),
            timeout: ranker.timeout,
            fallbacks: ranker.fallbacks,
            rule: ranker.rule,
            family: ranker.family,
            cancel: ranker.cancel.as_ref(),
            interrupt_check: ranker
                .interrupt_check
                .as_deref_mut()
                .map(|check| check as &mut dyn FnMut() -> bool),
            progress: &mut |progress| {
                if let Some(observer) = &mut ranker.observer {
                    observer(&Event::Progress(progress));
                }
            },
        })
        .map_err(Error::System)?;
        for (target, result) in unknown.into_iter().chain(witness).zip(results) {
            // A lost packet takes nothing from what is remembered.
            let heard = (result.outcome.latency().is_some() && !result.imprecise) || result.from_afar;
            if self.probed[target].is_none() || heard {
                self.probed[target] = Some(result);
            }
        }
        self.stop_reason = stop_reason;
        Ok(())
    }

    /// The lowest latency of each host that has one.
    fn cached_hosts(&self) -> HashMap<&Host, Duration> {
        let mut hosts = HashMap::new();
        for (&mirror, known) in self.targets.mirrors.iter().zip(&self.probed) {
            if let Some(latency) = known.and_then(|known| known.outcome.latency()) {
                let lowest = hosts.entry(&endpoint(&self.list, mirror).host).or_insert(latency);
                *lowest = latency.min(*lowest);
            }
        }
        hosts
    }

    /// What became of a mirror.
    fn result(&self, ranker: &Ranker, index: usize) -> Probed {
        match &self.list.mirrors[index] {
            _ if self.list.excluded[index] => Probed::unasked(Outcome::Excluded),
            Mirror::Local => Probed::unasked(Outcome::Local),
            Mirror::Unsupported => Probed::unasked(Outcome::Unsupported),
            Mirror::Remote(_, endpoint) => {
                match self.targets.of_mirror[index].and_then(|target| self.probed[target]) {
                    Some(probed) => probed,
                    None if !ranker.can_reach(&endpoint.host) => Probed::unasked(Outcome::Unresolved),
                    None => Probed::unasked(Outcome::Unanswered),
                }
            }
        }
    }

    /// Ranks, and writes the cache.
    pub(crate) fn conclude(mut self, ranker: &Ranker) -> Ranking {
        let List { candidates, mirrors, .. } = &self.list;
        let entry = |index: usize| {
            let host = mirrors[index].host();
            rank::Entry {
                host,
                outcome: self.result(ranker, index).outcome,
                weight: candidates[index].weight,
                preferred: matches_any(&ranker.prefer, host),
            }
        };
        let entries: Vec<rank::Entry<'_>> = (0..mirrors.len()).map(entry).collect();
        let (seed, kept_seed) = ranker.seed.map_or_else(|| self.memory.seed(), |seed| (seed, None));
        let ranked = rank::rank(&entries, &ranker.rule, seed);
        drop(entries);

        let learned = (0..mirrors.len()).filter_map(|index| {
            let update = memory::lesson(&self.probed[self.targets.of_mirror[index]?]?, self.stop_reason)?;
            Some((Key::new(&candidates[index].url, &mirrors[index])?, update))
        });
        let warnings = self.memory.keep(learned, kept_seed);

        let excluded: Vec<usize> = (0..mirrors.len()).filter(|&index| self.list.excluded[index]).collect();
        let mut mirror = |&index: &usize| {
            let Probed { outcome, imprecise, address, asked, .. } = self.result(ranker, index);
            let remembered = self.targets.of_mirror[index].is_some_and(|target| self.remembered[target]);
            RankedMirror {
                index,
                url: mem::take(&mut self.list.candidates[index].url),
                outcome,
                pool: ranked.pool[index],
                imprecise,
                address,
                from_cache: remembered && !asked,
            }
        };
        Ranking {
            mirrors: ranked.order.iter().map(&mut mirror).collect(),
            excluded: excluded.iter().map(&mut mirror).collect(),
            stop_reason: self.stop_reason,
            elapsed: self.start.elapsed(),
            seed,
            ambiguous: ranked.ambiguous,
            warnings,
        }
    }
}

/// The endpoint of a mirror that is a target.
fn endpoint(list: &List, mirror: usize) -> &Endpoint {
    match &list.mirrors[mirror] {
        Mirror::Remote(_, endpoint) => endpoint,
        other => unreachable!("{other:?} is no target"),
    }
}
