//! The ranking rule: outcomes, options and a seed in, an order out. Pure: no clock, no file, no global generator.
//!
//! Local mirrors first, then the pool (everything within a factor of the best) shuffled, then what else has a
//! latency, nearest first, then what has not answered, then what failed.
#![forbid(unsafe_code)]

use crate::outcome::Outcome;
use crate::url::Host;
use siphasher::sip::SipHasher24;
use std::collections::HashMap;
use std::hash::Hasher;
use std::time::Duration;

/// The options of the rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// At least 1.
    pub(crate) factor: f64,
    pub(crate) slack: Duration,
}

impl Rule {
    /// What a latency must stay below to belong to the pool.
    pub(crate) fn limit(&self, best: Duration) -> Duration {
        best.mul_f64(self.factor).max(best + self.slack)
    }
}

/// One mirror, as the rule sees it. Without a host it stands for itself alone.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) host: Option<&'a Host>,
    pub(crate) outcome: Outcome,
    /// Positive and finite.
    pub(crate) weight: f64,
    /// Goes to the front of the pool, or of the rest; a property of the host.
    pub(crate) preferred: bool,
}

/// The order, as positions in the input, and who is in the pool, by position in the input.
#[derive(Debug, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) order: Vec<usize>,
    pub(crate) pool: Vec<bool>,
    pub(crate) ambiguous: bool,
}

/// From this many answering hosts on, a pool of nearly all of them is suspicious ...
const AMBIGUOUS_HOSTS: usize = 20;
/// ... where nearly all means more than this share, in percent.
const AMBIGUOUS_PERCENT: usize = 90;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Class {
    Local,
    Pool,
    Known,
    Unanswered,
    Failed,
}

/// What an entry's place depends on beyond the entry: listed twice, a host must not earn a double share.
struct Standing<'a> {
    host: &'a Host,
    /// The lowest, if it has one.
    latency: Option<Duration>,
    /// The highest.
    weight: f64,
    /// Its first entry in each class: the others follow that one.
    first: [Option<usize>; Class::Failed as usize + 1],
}

/// Puts the entries in order; every one goes out exactly once, except the excluded.
pub(crate) fn rank(entries: &[Entry<'_>], rule: &Rule, seed: u64) -> Ranked {
    let mut hosts: Vec<Standing<'_>> = Vec::new();
    let mut positions: HashMap<&Host, usize> = HashMap::with_capacity(entries.len());
    let mut host_of: Vec<Option<usize>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(host) = entry.host else {
            host_of.push(None);
            continue;
        };
        let position = *positions.entry(host).or_insert(hosts.len());
        if position == hosts.len() {
            hosts.push(Standing { host, latency: None, weight: entry.weight, first: Default::default() });
        }
        let standing = &mut hosts[position];
        standing.weight = standing.weight.max(entry.weight);
        standing.latency = standing.latency.into_iter().chain(entry.outcome.latency()).min();
        host_of.push(Some(position));
    }
    let answering = || hosts.iter().filter_map(|host| host.latency);
    let limit = answering().min().map(|best| rule.limit(best));
    let is_near = |latency: Duration| limit.is_some_and(|limit| latency < limit);
    let (answered, near) = (answering().count(), answering().filter(|&latency| is_near(latency)).count());

    // Where an entry stands: its class, in there the preferred first, its host's place, and behind its siblings
    // listed earlier.
    let place = |outcome: Outcome, host: Option<&Standing<'_>>| {
        let latency = host.and_then(|host| host.latency);
        match (outcome, host.zip(latency)) {
            (Outcome::Local, _) => (Class::Local, 0.0),
            // Nothing is known of the network: leave all else as it was given.
            _ if limit.is_none() => (Class::Unanswered, 0.0),
            (Outcome::Measured(_) | Outcome::Cached(_), Some((host, latency))) if is_near(latency) => {
                (Class::Pool, shuffle_key(host.host, host.weight, seed))
            }
            (Outcome::Measured(_) | Outcome::Cached(_), Some((_, latency))) => {
                (Class::Known, latency.as_secs_f64())
            }
            (Outcome::Unanswered, _) => (Class::Unanswered, 0.0),
            _ => (Class::Failed, 0.0),
        }
    };
    let mut keyed = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate().filter(|(_, e)| e.outcome != Outcome::Excluded) {
        let (class, place) = place(entry.outcome, host_of[index].map(|host| &hosts[host]));
        let first = match host_of[index] {
            Some(host) if limit.is_some() => *hosts[host].first[class as usize].get_or_insert(index),
            _ => index,
        };
        // What has not answered is not lifted by preference.
        let behind = !entry.preferred && matches!(class, Class::Pool | Class::Known);
        keyed.push(((class, behind), place, first, index));
    }
    keyed.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)).then(a.3.cmp(&b.3))
    });

    let mut pool = vec![false; entries.len()];
    for (_, _, _, index) in keyed.iter().filter(|key| key.0.0 == Class::Pool) {
        pool[*index] = true;
    }
    let ambiguous = answered >= AMBIGUOUS_HOSTS && near * 100 > answered * AMBIGUOUS_PERCENT;
    Ranked { order: keyed.into_iter().map(|key| key.3).collect(), pool, ambiguous }
}

/// A host's place in the shuffle: the lowest key leads.
///
/// A keyed hash of the name alone, so that one seed puts two hosts in the same order in every list. It serves as
/// the uniform number of an exponential one, so that a host of weight 2 leads twice as often as one of weight 1
/// (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006); of which the logarithm is taken, so
/// that no weight is too small.
fn shuffle_key(host: &Host, weight: f64, seed: u64) -> f64 {
    let mut hasher = SipHasher24::new_with_keys(seed, 0);
    hasher.write(host.to_string().as_bytes());
    // 53 bits are what a double holds; the half keeps the logarithm finite.
    let uniform = ((hasher.finish() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    (-uniform.ln()).ln() - weight.ln()
}

#[cfg(test)]
mod tests;
