//! One run in its steps: what is remembered, what is measured, what comes of it. A caller that tells of each step
//! takes them one by one.
#![forbid(unsafe_code)]

use super::memory::{self, Recollection};
use super::{Error, List, RankedMirror, Ranker, Ranking, matches_any};
use crate::cache::Key;
use crate::mirror::{Endpoint, Host, Mirror};
use crate::probe::Probed;
use crate::probe::schedule::Ended;
use crate::rank::{self, Entry, Outcome};
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

pub(crate) struct Run<'a> {
    list: &'a List,
    start: Instant,
    memory: Recollection,
    known: HashMap<&'a Endpoint, Probed>,
    /// Those of which nothing is known.
    unknown: Vec<&'a Endpoint>,
    measured: HashMap<&'a Endpoint, Probed>,
    ended: Ended,
}

impl<'a> Run<'a> {
    /// Reads the cache.
    pub(crate) fn begin(ranker: &Ranker, list: &'a List) -> Run<'a> {
        let start = Instant::now();
        let kept = list.mirrors.iter().zip(&list.excluded).filter(|(_, excluded)| !**excluded);
        let endpoints = ranker.endpoints(kept.map(|(mirror, _)| mirror));
        let memory = Recollection::of(&ranker.memory, ranker.now.unwrap_or_else(SystemTime::now));
        let mut known = recall(&endpoints, &memory);
        // If nothing but failures is remembered of all that there is to try, they are forgotten.
        let has_latency = |probed: &Probed| probed.outcome.latency().is_some();
        if known.len() == endpoints.len() && !known.values().any(has_latency) {
            known.clear();
        }
        let unknown = endpoints.into_iter().filter(|endpoint| !known.contains_key(endpoint)).collect();
        Run { list, start, memory, known, unknown, measured: HashMap::new(), ended: Ended::Idle }
    }

    /// What is to be said of the cache, if it could not be read.
    #[cfg(feature = "librepo")]
    pub(crate) fn cache_trouble(&self) -> Option<&str> {
        self.memory.trouble()
    }

    /// Whether no latency can change the order: there is but one endpoint, and nothing that it could overtake.
    #[cfg(feature = "librepo")]
    pub(crate) fn is_decided(&self) -> bool {
        let mut one = None;
        self.list.mirrors.iter().all(|mirror| match mirror {
            Mirror::Local => true,
            Mirror::Remote(_, endpoint) => *one.get_or_insert(endpoint) == endpoint,
            Mirror::Unsupported => false,
        })
    }

    /// How many endpoints have to be measured.
    #[cfg(feature = "librepo")]
    pub(crate) fn to_measure(&self) -> usize {
        self.unknown.len()
    }

    /// Measures what is not known.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub(crate) fn measure(&mut self, ranker: &mut Ranker) -> Result<(), Error> {
        let cached = cached_hosts(&self.known);
        let (ended, measured) = ranker.measure(&self.unknown, cached).map_err(Error::System)?;
        self.ended = ended;
        self.measured = self.unknown.iter().copied().zip(measured).collect();
        Ok(())
    }

    /// Ranks, and writes the cache.
    pub(crate) fn conclude(self, ranker: &Ranker) -> Ranking {
        let List { candidates, mirrors, excluded } = self.list;
        let result = |(mirror, &excluded): (&Mirror, &bool)| match mirror {
            _ if excluded => Probed::unasked(Outcome::Excluded),
            Mirror::Local => Probed::unasked(Outcome::Local),
            Mirror::Unsupported => Probed::unasked(Outcome::Unsupported),
            Mirror::Remote(_, endpoint) => match self.known.get(endpoint).or(self.measured.get(endpoint)) {
                Some(probed) => *probed,
                None if !ranker.can_reach(&endpoint.host) => Probed::unasked(Outcome::Unresolved),
                None => Probed::unasked(Outcome::Unanswered),
            },
        };
        let results: Vec<Probed> = mirrors.iter().zip(excluded).map(result).collect();
        let entry = |index: usize| {
            let host = mirrors[index].host();
            Entry {
                host,
                outcome: results[index].outcome,
                weight: candidates[index].weight,
                preferred: matches_any(&ranker.prefer, host),
            }
        };
        let entries: Vec<Entry<'_>> = (0..mirrors.len()).map(entry).collect();
        let (seed, kept_seed) = ranker.seed.map_or_else(|| self.memory.seed(), |seed| (seed, None));
        let ranked = rank::rank(&entries, &ranker.rule, seed);

        let learned = mirrors.iter().zip(candidates).filter_map(|(mirror, candidate)| {
            let Mirror::Remote(_, endpoint) = mirror else { return None };
            let update = memory::lesson(self.measured.get(endpoint)?, self.ended)?;
            Some((Key::new(&candidate.url, mirror)?, update))
        });
        let notes = self.memory.keep(learned, kept_seed);

        let is_known = |mirror: &Mirror| match mirror {
            Mirror::Remote(_, endpoint) => self.known.contains_key(endpoint),
            _ => false,
        };
        let mirror = |index: usize| RankedMirror {
            index,
            url: candidates[index].url.clone(),
            outcome: results[index].outcome,
            pool: ranked.pool[index],
            imprecise: results[index].imprecise,
            address: results[index].address,
            remembered: !excluded[index] && is_known(&mirrors[index]),
        };
        Ranking {
            mirrors: ranked.order.iter().map(|&index| mirror(index)).collect(),
            excluded: (0..mirrors.len()).filter(|&index| excluded[index]).map(mirror).collect(),
            ended: self.ended,
            elapsed: self.start.elapsed(),
            seed,
            indistinct: ranked.indistinct,
            notes,
        }
    }
}

/// What is remembered of these endpoints.
fn recall<'a>(endpoints: &[&'a Endpoint], memory: &Recollection) -> HashMap<&'a Endpoint, Probed> {
    endpoints.iter().filter_map(|endpoint| Some((*endpoint, memory.recall(endpoint)?))).collect()
}

/// The lowest latency of each host that has one.
fn cached_hosts(probed: &HashMap<&Endpoint, Probed>) -> Vec<Duration> {
    let mut hosts: HashMap<&Host, Duration> = HashMap::new();
    for (endpoint, probed) in probed {
        if let Some(latency) = probed.outcome.latency() {
            let lowest = hosts.entry(&endpoint.host).or_insert(latency);
            *lowest = latency.min(*lowest);
        }
    }
    hosts.into_values().collect()
}
