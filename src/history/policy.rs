//! What downloads say of a mirror, for how long, and which mirrors are demoted for it. Pure: the
//! time and what differs from machine to machine are arguments.
//!
//! **Trouble** counts for an hour, however many downloads succeed meanwhile: a mirror that lacks a
//! file still serves others. A mirror that lacks files or has old ones does so everywhere, for one
//! repository; one that breaks off does so for all repositories, but perhaps only in this network.
//! Which failures are the mirror's fault is decided in `downloads`.
//!
//! **Speed** is compared among the members of a pool. Of each host the last two runs count, each
//! with the weight 2^(-age / half-life). The half-life is 14 days, and differs by up to a quarter
//! from machine to machine and from host to host, so that a million machines do not return to a
//! mirror on the same day. With `n` the sum of the weights of a host and `m` the weighted mean of
//! the natural logarithms of its speeds, a host is slow if
//!
//! ```text
//! n > 1, and n of all others together > 1, and
//! m + 2 x 0.7 x sqrt(1 / n + 1 / n of the others) < median of the others - ln 4
//! ```
//!
//! 0.7 is the standard deviation of the logarithm of a speed that varies by a factor of two. So a
//! host is slow if, with room for twice the error of the comparison, it has less than a quarter of
//! the speed of the others. Since `n` is above 1 only with two runs that are not too old, a single
//! run never suffices, and a slow host is tried again two weeks after its last one.
//!
//! - The *others* are the other hosts of the pool of which any speed is known. Their median is
//!   weighted by their `n`; where two share it, it is the lower one, which demotes less.
//! - At most half of the pool is slow, the slowest first. So a pool of one has no slow member.
//! - What several hosts have in common, such as a slow line, makes none of them slower than the
//!   others.
#![forbid(unsafe_code)]

use crate::network::Network;
use crate::url::Host;
use siphasher::sip::SipHasher24;
use std::fmt;
use std::hash::Hasher;
use std::time::Duration;

/// What became of the download of a file, for [`History::report`](crate::History::report).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DownloadOutcome {
    /// The file arrived, and is the right one.
    Ok,
    /// The mirror does not have the file: 404 or 410 over HTTP.
    Missing,
    /// The file has another checksum or size than expected: the mirror is not up to date.
    Stale,
    /// The download failed in another way that may be the mirror's fault: a timeout, a connection
    /// that was reset, a status of 5xx, or a transfer too slow to go on with.
    Broken,
}

/// What a ranking makes of the downloads before it, for
/// [`Ranker::history`](crate::Ranker::history).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum HistoryUse {
    /// Nothing.
    #[default]
    Off,
    /// Mirrors whose downloads failed in the last hour stand behind all others that have a latency.
    Trouble,
    /// That, and members of the pool that are much slower than the others stand at its end.
    All,
}

/// Why a mirror stands further back than its latency would put it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Demotion {
    /// It lacked a file of this repository that another mirror had.
    #[non_exhaustive]
    Missing {
        /// The time since then.
        age: Duration,
    },
    /// It had another version of a file of this repository than was expected, and another mirror
    /// had the right one.
    #[non_exhaustive]
    Stale {
        /// The time since then.
        age: Duration,
    },
    /// A download from its host failed, and one from another host succeeded.
    #[non_exhaustive]
    Broken {
        /// The time since then.
        age: Duration,
    },
    /// Downloads from its host are much slower than from others of the pool.
    #[non_exhaustive]
    Slow {
        /// Its mean speed, in bytes per second.
        speed: f64,
        /// The median speed of the others, in bytes per second.
        others: f64,
    },
}

impl Demotion {
    /// Returns the reason as one word in lower case, for data formats.
    pub fn name(&self) -> &'static str {
        match self {
            Demotion::Missing { .. } => Trouble::Missing.name(),
            Demotion::Stale { .. } => Trouble::Stale.name(),
            Demotion::Broken { .. } => Trouble::Broken.name(),
            Demotion::Slow { .. } => "slow",
        }
    }
}

/// The reason with its numbers, without the mirror.
impl fmt::Display for Demotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = |age: &Duration| match age.as_secs() / 60 {
            0 => "less than a minute ago".to_string(),
            minutes => format!("{minutes} min ago"),
        };
        match self {
            Demotion::Missing { age } => {
                write!(f, "it lacked a file {}, and another mirror had it", minutes(age))
            }
            Demotion::Stale { age } => {
                write!(f, "it had an outdated file {}, and another mirror had the right one", minutes(age))
            }
            Demotion::Broken { age } => {
                write!(f, "a download from it failed {}, and one from another mirror did not", minutes(age))
            }
            Demotion::Slow { speed, others } => {
                let (speed, others) = (speed / 1e6, others / 1e6);
                write!(f, "it delivers {speed:.3} MB/s, and the others of the pool {others:.3} MB/s")
            }
        }
    }
}

/// A failure that was the mirror's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Missing,
    Stale,
    Broken,
}

impl Trouble {
    pub(crate) const ALL: [Trouble; 3] = [Trouble::Missing, Trouble::Stale, Trouble::Broken];

    /// Its word in the cache.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Trouble::Missing => "missing",
            Trouble::Stale => "stale",
            Trouble::Broken => "broken",
        }
    }

    pub(crate) fn demotion(self, age: Duration) -> Demotion {
        match self {
            Trouble::Missing => Demotion::Missing { age },
            Trouble::Stale => Demotion::Stale { age },
            Trouble::Broken => Demotion::Broken { age },
        }
    }
}

/// How long trouble counts, in seconds.
const TROUBLE_MAX_AGE: i64 = 3600;
/// How far in the future a time may be, in seconds, as elsewhere in the cache.
const CLOCK_TOLERANCE: i64 = 300;

/// Whether trouble from this time, in seconds, still counts.
pub(crate) fn trouble_counts(at: i64, now: i64) -> bool {
    (-CLOCK_TOLERANCE..=TROUBLE_MAX_AGE).contains(&now.saturating_sub(at))
}

/// The speed of a host in one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Observation {
    /// When, in seconds since 1970.
    pub(crate) at: i64,
    /// In bytes per second, at least 1.
    pub(crate) speed: u64,
    /// A number of the process, by which its observations are told from those of other runs.
    pub(crate) process: u32,
    pub(crate) network: Network,
}

/// How many observations of a host count, of those that were made in one network.
const OBSERVATIONS: usize = 2;
/// How many are kept in all: those of this network and of another one, so that a machine that goes
/// to and fro remembers both.
pub(crate) const OBSERVATIONS_KEPT: usize = 2 * OBSERVATIONS;
/// How long an observation is kept, in seconds: then its weight is at most an eleventh.
const OBSERVATION_MAX_AGE: i64 = 60 * 24 * 3600;

pub(crate) fn observation_is_kept(at: i64, now: i64) -> bool {
    (-CLOCK_TOLERANCE..=OBSERVATION_MAX_AGE).contains(&now.saturating_sub(at))
}

/// Adds an observation to those of its host, which are in the order of their times. A process is
/// one run: its later observation in a network takes the place of the earlier one, so that one slow
/// hour does not count twice.
pub(crate) fn remember(observations: &mut Vec<Observation>, new: Observation) {
    let is_same_run = |old: &Observation| old.process == new.process && !old.network.differs(&new.network);
    observations.retain(|old| !is_same_run(old));
    observations.push(new);
    observations.sort_by_key(|observation| observation.at);
    // Of each network those that count, and in all no more than are kept.
    let mut kept: Vec<Observation> = Vec::new();
    for &observation in observations.iter().rev() {
        let in_network = kept.iter().filter(|newer| !newer.network.differs(&observation.network));
        if in_network.count() < OBSERVATIONS && kept.len() < OBSERVATIONS_KEPT {
            kept.push(observation);
        }
    }
    kept.reverse();
    *observations = kept;
}

/// Returns a number from 0 to 1 that differs from machine to machine and from host to host, and
/// stays the same.
pub(crate) fn spread(machine: &[u8; 16], host: &Host) -> f64 {
    let mut hasher = SipHasher24::new_with_key(machine);
    hasher.write(host.to_string().as_bytes());
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

const HALF_LIFE: f64 = 14.0 * 24.0 * 3600.0;

/// Returns the weight of an observation of this age in seconds; `spread` is from 0 to 1.
fn weight(age: i64, spread: f64) -> f64 {
    let half_life = HALF_LIFE * (0.75 + 0.5 * spread);
    (-(age.max(0) as f64) / half_life).exp2()
}

/// What is known of the speed of a host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Evidence {
    /// The weighted mean of the natural logarithms of the speeds.
    mean: f64,
    /// The sum of the weights: positive.
    weight: f64,
}

impl Evidence {
    /// Weighs the observations of a host that were made in this network.
    pub(crate) fn of(
        observations: &[Observation],
        here: &Network,
        now: i64,
        spread: f64,
    ) -> Option<Evidence> {
        let mut counted: Vec<&Observation> = observations
            .iter()
            .filter(|it| !it.network.differs(here) && observation_is_kept(it.at, now))
            .collect();
        counted.sort_by_key(|observation| observation.at);
        let (mut sum, mut weights) = (0.0, 0.0);
        for observation in counted.iter().rev().take(OBSERVATIONS) {
            let weight = weight(now.saturating_sub(observation.at), spread);
            sum += weight * (observation.speed as f64).ln();
            weights += weight;
        }
        (weights > 0.0).then(|| Evidence { mean: sum / weights, weight: weights })
    }
}

/// The standard deviation of the logarithm of a speed.
const NOISE: f64 = 0.7;
/// So many standard deviations have to lie between a slow host and the limit.
const CERTAINTY: f64 = 2.0;
/// A host is slow if it has less than one part in this many of the speed of the others.
const TIMES_SLOWER: f64 = 4.0;

/// Returns which members of a pool are slow, and why: at most half of them. The members are hosts,
/// with what is known of their speed.
pub(crate) fn is_slow(members: &[Option<Evidence>]) -> Vec<Option<Demotion>> {
    let mut slow: Vec<(f64, usize, f64)> = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let Some(member) = member.filter(|it| it.weight > 1.0) else { continue };
        let others: Vec<Evidence> = members
            .iter()
            .enumerate()
            .filter(|&(other, _)| other != index)
            .filter_map(|(_, it)| *it)
            .collect();
        let weight_of_others: f64 = others.iter().map(|other| other.weight).sum();
        if weight_of_others <= 1.0 {
            continue;
        }
        let median = median(others);
        let error = NOISE * (1.0 / member.weight + 1.0 / weight_of_others).sqrt();
        if member.mean + CERTAINTY * error < median - TIMES_SLOWER.ln() {
            slow.push((member.mean, index, median));
        }
    }
    slow.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let mut demotions = vec![None; members.len()];
    for (mean, index, median) in slow.into_iter().take(members.len() / 2) {
        demotions[index] = Some(Demotion::Slow { speed: mean.exp(), others: median.exp() });
    }
    demotions
}

/// Returns the mean of that host which has half of the weight at or below it.
fn median(mut hosts: Vec<Evidence>) -> f64 {
    hosts.sort_by(|a, b| a.mean.total_cmp(&b.mean));
    let half = hosts.iter().map(|host| host.weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    for host in &hosts {
        below += host.weight;
        if below >= half {
            return host.mean;
        }
    }
    hosts.last().map_or(0.0, |host| host.mean)
}

#[cfg(test)]
mod tests;
