//! The ranking rule: outcomes, hosts, a rule and a seed in, an order out. Pure: no clock, no file,
//! no global generator.
//!
//! Local mirrors first, then the pool (everything within a factor of the best) shuffled or in the
//! given order, then what else has a latency, nearest first, then what downloads have shown to be
//! in trouble, then what has not answered, then what failed.
#![forbid(unsafe_code)]

use crate::hosts::{HostId, ListedHost};
use crate::outcome::Outcome;
use crate::url::Host;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::time::Duration;

/// The order of the hosts in the pool, for [`Ranker::pool_order`](crate::Ranker::pool_order).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PoolOrder {
    /// Shuffled by seed and weights, so that they share the load.
    #[default]
    Shuffled,
    /// As the list has them: for lists that a server has shuffled by the capacity of the mirrors.
    Given,
}

/// The options of the rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// At least 1.
    pub(crate) factor: f64,
    pub(crate) slack: Duration,
    pub(crate) pool_order: PoolOrder,
}

impl Rule {
    /// Returns the latency below which a host belongs to the pool.
    pub(crate) fn limit(&self, best: Duration) -> Duration {
        best.mul_f64(self.factor).max(best + self.slack)
    }
}

/// One mirror, as the rule sees it. Without a host it stands for itself alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) host: Option<HostId>,
    pub(crate) outcome: Outcome,
    /// Whether the client waits for another address before it reaches the one with this latency.
    pub(crate) is_detoured: bool,
    /// Whether downloads from it failed a while ago. It stands behind all others with a latency,
    /// and does not make the pool: a near mirror that is broken must not leave it empty.
    pub(crate) is_troubled: bool,
    /// Whether downloads from its host are slow. It stands at the end of the pool.
    pub(crate) is_slow: bool,
    /// Positive and finite.
    pub(crate) weight: f64,
    /// Where its host stands in a pool in the given order.
    pub(crate) place: usize,
}

/// The result.
#[derive(Debug, PartialEq)]
pub(crate) struct Ranked {
    /// The lowest latency.
    pub(crate) best: Option<Duration>,
    /// The latency below which a host belongs to the pool.
    pub(crate) limit: Option<Duration>,
    /// Positions in the input.
    pub(crate) order: Vec<usize>,
    /// Whether each mirror is in the pool, by position in the input.
    pub(crate) pool: Vec<bool>,
    /// Whether what downloads have shown gives each another place, by position in the input.
    pub(crate) demoted: Vec<bool>,
    /// Whether the pool means little, because nearly all of many hosts are in it.
    pub(crate) ambiguous: bool,
    /// How many hosts some slack would add to the pool, if it has few.
    pub(crate) slack_would_add: usize,
}

/// From this many answering hosts on, a pool of nearly all of them is ambiguous ...
const AMBIGUOUS_HOSTS: usize = 20;
/// ... where nearly all means more than this share, in percent.
const AMBIGUOUS_PERCENT: usize = 90;

/// A pool of fewer hosts than this leaves half of the load or more to one mirror, and slack may be
/// worth a thought ...
const FEW_HOSTS: usize = 3;
/// ... namely so much of it: a few milliseconds are nothing beside a download, and reach the other
/// mirrors of a city.
pub(crate) const SUGGESTED_SLACK: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Local,
    Pool,
    Measured,
    Detoured,
    Troubled,
    Unanswered,
    Failed,
}
const CLASSES: usize = Class::Failed as usize + 1;

/// What decides an entry's place, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    class: Class,
    /// False sorts first: for preferred hosts, and in classes that preference does not touch.
    is_behind: bool,
    /// True only in the pool, where it stands for slow hosts.
    is_slow: bool,
    /// In the pool the host's shuffle key or its given place, among the other measured ones its
    /// latency in nanoseconds, else 0. It is the host's and not the URL's: a host that is listed
    /// twice must not earn a double share.
    key: i64,
    /// The host's first entry in this class, which the others follow.
    first: usize,
    index: usize,
}

/// What the entries of a host say together.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// The lowest one of a direct endpoint, if there is any.
    direct: Option<Duration>,
    /// The lowest one of a detoured endpoint, if there is any.
    detoured: Option<Duration>,
    /// The lowest one of a troubled URL, if there is any.
    troubled: Option<Duration>,
    /// The highest.
    weight: f64,
    /// The first in the given order. Names of one address are one host here, each with a place.
    place: usize,
    /// Its first entry in each class.
    first: [Option<usize>; CLASSES],
}

impl Standing {
    /// Returns the latency of the host, and whether it is detoured.
    fn latency(&self) -> Option<(Duration, bool)> {
        match (self.direct, self.detoured) {
            (Some(direct), _) => Some((direct, false)),
            (None, Some(detoured)) => Some((detoured, true)),
            (None, None) => None,
        }
    }
}

/// Puts the entries in order. Each comes out exactly once, except the excluded.
pub(crate) fn rank(entries: &[Entry], hosts: &[ListedHost], rule: &Rule, seed: u64) -> Ranked {
    let unknown = Standing {
        direct: None,
        detoured: None,
        troubled: None,
        weight: 0.0,
        place: usize::MAX,
        first: [None; CLASSES],
    };
    // Where all that have a latency are in trouble, there is nothing better, and it counts for
    // nothing.
    let has_sound = entries.iter().any(|entry| !entry.is_troubled && entry.outcome.latency().is_some());
    let is_troubled = |entry: &Entry| has_sound && entry.is_troubled && entry.outcome.latency().is_some();
    let mut standings = vec![unknown; hosts.len()];
    for entry in entries {
        if let Some(HostId(host)) = entry.host {
            let standing = &mut standings[host];
            standing.weight = standing.weight.max(entry.weight);
            standing.place = standing.place.min(entry.place);
            let lowest = match entry {
                entry if is_troubled(entry) => &mut standing.troubled,
                Entry { is_detoured: true, .. } => &mut standing.detoured,
                _ => &mut standing.direct,
            };
            *lowest = lower(*lowest, entry.outcome.latency());
        }
    }
    let mut best = standings.iter().fold(None, |best, standing| lower(best, standing.direct));
    if best.is_none() {
        // There is no direct host: the detoured take their place.
        for standing in &mut standings {
            standing.direct = standing.detoured;
            best = lower(best, standing.direct);
        }
    }
    let limit = best.map(|best| rule.limit(best));
    let is_near =
        |(latency, is_detoured): (Duration, bool)| !is_detoured && limit.is_some_and(|limit| latency < limit);

    let mut places = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let Entry { host, outcome, .. } = *entry;
        let latency = host.and_then(|HostId(host)| standings[host].latency());
        let class = match (outcome, latency) {
            (Outcome::Excluded, _) => continue,
            (Outcome::Local, _) => Class::Local,
            // Nothing is known of the network: everything else keeps the given order.
            _ if limit.is_none() => Class::Unanswered,
            _ if is_troubled(entry) => Class::Troubled,
            (Outcome::Measured(_) | Outcome::Cached(_), Some(latency)) if is_near(latency) => Class::Pool,
            (Outcome::Measured(_) | Outcome::Cached(_), Some((_, true))) => Class::Detoured,
            (Outcome::Measured(_) | Outcome::Cached(_), _) => Class::Measured,
            (Outcome::Unanswered, _) => Class::Unanswered,
            _ => Class::Failed,
        };
        let is_slow = class == Class::Pool && entry.is_slow;
        let mut place = Place { class, is_behind: false, is_slow, key: 0, first: index, index };
        if let (Some(HostId(host)), true) = (host, limit.is_some()) {
            let standing = &mut standings[host];
            // A mirror that has not answered is not lifted by preference.
            let is_liftable = matches!(class, Class::Pool | Class::Measured | Class::Detoured);
            place.is_behind = is_liftable && !hosts[host].is_preferred;
            place.first = *standing.first[class as usize].get_or_insert(index);
            place.key = match class {
                Class::Pool => match rule.pool_order {
                    PoolOrder::Shuffled => sortable(shuffle_key(&hosts[host].host, standing.weight, seed)),
                    PoolOrder::Given => standing.place as i64,
                },
                Class::Measured | Class::Detoured => {
                    latency.map_or(0, |(latency, _)| latency.as_nanos() as i64)
                }
                Class::Troubled => standing.troubled.map_or(0, |latency| latency.as_nanos() as i64),
                Class::Local | Class::Unanswered | Class::Failed => 0,
            };
        }
        places.push(place);
    }
    places.sort_unstable();

    let (mut pool, mut demoted) = (vec![false; entries.len()], vec![false; entries.len()]);
    for place in &places {
        pool[place.index] = place.class == Class::Pool;
        demoted[place.index] = place.is_slow || place.class == Class::Troubled;
    }
    let latencies = || standings.iter().filter_map(Standing::latency);
    let answered = latencies().count();
    let near = latencies().filter(|&latency| is_near(latency)).count();
    let nearest_with_slack = latencies().filter(|&(latency, is_detoured)| {
        !is_detoured && best.is_some_and(|best| latency < best + SUGGESTED_SLACK)
    });
    Ranked {
        best,
        limit,
        order: places.into_iter().map(|place| place.index).collect(),
        pool,
        demoted,
        ambiguous: answered >= AMBIGUOUS_HOSTS && near * 100 > answered * AMBIGUOUS_PERCENT,
        slack_would_add: match near {
            FEW_HOSTS.. => 0,
            _ => nearest_with_slack.count().saturating_sub(near),
        },
    }
}

fn lower(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Returns a host's place in the shuffle: the lowest key leads.
///
/// It is a keyed hash of the name alone, so that one seed puts two hosts in the same order in every
/// list. The hash serves as the uniform number from which an exponential one is made, so that a
/// host of weight 2 leads twice as often as one of weight 1 (Efraimidis and Spirakis, "Weighted
/// random sampling with a reservoir", 2006). The logarithm of that is taken, so that no weight is
/// too small.
fn shuffle_key(host: &Host, weight: f64, seed: u64) -> f64 {
    let mut hasher = SipHasher24::new_with_keys(seed, 0);
    match host {
        Host::Name(name) => hasher.write(name.as_bytes()),
        Host::Address(address) => hasher.write(address.to_string().as_bytes()),
    }
    // A double holds 53 bits; the half keeps the logarithm finite.
    let uniform = ((hasher.finish() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    (-uniform.ln()).ln() - weight.ln()
}

/// Returns an integer that sorts as the number does, in the total order of IEEE 754.
fn sortable(number: f64) -> i64 {
    let bits = number.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

#[cfg(test)]
mod tests;
