//! What a run takes from the cache, and what it gives to it.
#![forbid(unsafe_code)]

use crate::cache::{Cache, KeptSeed, Key, Known, Memory, Status, Update};
use crate::network::{self, Network};
use crate::outcome::{Outcome, StopReason};
use crate::probe::Probed;
use crate::seed;
use crate::url::Endpoint;
use std::mem;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The caller's wishes.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) cache: Option<PathBuf>,
    pub(super) max_age: Duration,
    /// How long a kept seed serves; zero: none is kept.
    pub(super) rotate: Duration,
}

impl Default for Options {
    fn default() -> Options {
        // librepo's LRO_FASTESTMIRRORMAXAGE.
        Options { cache: None, max_age: Duration::from_secs(30 * 24 * 3600), rotate: Duration::ZERO }
    }
}

/// The cache of one run, as it was found.
pub(super) struct Recollection {
    cache: Option<Cache>,
    now: SystemTime,
    network: Network,
    rotate: Duration,
    memory: Memory,
    notes: Vec<String>,
    trouble: Option<String>,
}

impl Recollection {
    pub(super) fn of(options: &Options, now: SystemTime) -> Recollection {
        let mut recollection = Recollection {
            cache: options.cache.as_deref().map(Cache::open),
            now,
            network: Network::default(),
            rotate: options.rotate,
            memory: Memory::default(),
            notes: Vec::new(),
            trouble: None,
        };
        if let Some(cache) = &recollection.cache {
            recollection.network = network::here();
            let (memory, status) = cache.read(now, Some(&recollection.network), options.max_age);
            recollection.memory = memory;
            recollection.trouble = (!status.is_fine()).then(|| status.to_string());
            // That there is none yet is how every cache begins.
            if !matches!(status, Status::Missing { .. }) {
                note(&mut recollection.notes, &status);
            }
        }
        recollection
    }

    /// What is to be said if there was nothing to read, or it could not be read.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// What is known of an endpoint, as a result of this run.
    pub(super) fn recall(&self, endpoint: &Endpoint) -> Option<Probed> {
        Some(Probed::unasked(match self.memory.of(endpoint)? {
            Known::Latency(latency) => Outcome::Cached(latency),
            Known::Refused => Outcome::Refused,
            Known::Unreachable => Outcome::Unreachable,
            Known::OutsidePool => Outcome::Unanswered,
        }))
    }

    /// The seed of the run: the kept one, or a new one to keep, or the process's.
    pub(super) fn seed(&self) -> (u64, Option<KeptSeed>) {
        if self.rotate.is_zero() || self.cache.is_none() {
            return (seed::of_process(), None);
        }
        match self.memory.seed(self.rotate, self.now) {
            Some(seed) => (seed, None),
            None => {
                let seed = seed::fresh();
                (seed, Some(KeptSeed { seed, rotate_every: self.rotate }))
            }
        }
    }

    /// Writes what was learned; returns what is to be said of the cache.
    pub(super) fn keep(
        &mut self,
        learned: impl Iterator<Item = (Key, Update)>,
        seed: Option<KeptSeed>,
    ) -> Vec<String> {
        if let Some(cache) = &self.cache {
            let learned: Vec<(Key, Update)> = learned.collect();
            if !learned.is_empty() || seed.is_some() {
                // Asked again: the gateway's link-layer address is known by now. Who has moved meanwhile has learned
                // nothing of either network.
                let network = network::here();
                let moved = network.known_to_differ(&self.network);
                if moved {
                    self.notes
                        .push("nothing is remembered of this run: the network changed meanwhile".into());
                }
                let learned = learned.into_iter().filter(|_| !moved);
                note(&mut self.notes, &cache.write(self.now, Some(&network), learned, seed));
            }
        }
        mem::take(&mut self.notes)
    }
}

/// What a probe has taught, for later runs.
pub(super) fn lesson(probed: &Probed, stop_reason: StopReason) -> Option<Update> {
    // What this run has not asked is remembered already, or was never sent a SYN.
    if !probed.asked {
        return None;
    }
    let waited = matches!(stop_reason, StopReason::Complete | StopReason::Settled | StopReason::Quiet);
    match probed.outcome {
        Outcome::Measured(latency) if !probed.imprecise => Some(Update::Latency(latency)),
        Outcome::Refused => Some(Update::Refused),
        // A missing route of our own says nothing of the mirror.
        Outcome::Unreachable if probed.from_afar => Some(Update::Unreachable),
        // It was waited for long enough to know at least this much.
        Outcome::Unanswered if waited => Some(Update::OutsidePool),
        _ => None,
    }
}

fn note(notes: &mut Vec<String>, status: &Status) {
    let text = status.to_string();
    if !status.is_fine() && !notes.contains(&text) {
        notes.push(text);
    }
}
