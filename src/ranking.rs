//! What goes into a ranking and what comes out of it: candidates, ranked mirrors, errors. Plain
//! values.
#![forbid(unsafe_code)]

use crate::cache::Recalled;
use crate::history::Demotion;
use crate::hosts::EndpointId;
use crate::outcome::{Filter, Outcome, StopReason, TriedAddress};
use crate::rank::PoolOrder;
use crate::url::without_user;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A mirror to rank: its URL, and its weight in the shuffle (1 unless given).
///
/// ```
/// use fastestmirror::Candidate;
/// assert_eq!(Candidate::from("https://mirror.example/").weight, 1.0);
/// assert_eq!(Candidate::from(("https://mirror.example/", 100.0)).weight, 100.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Any text. If no connection can be made to it, the outcome is [`Outcome::Unsupported`].
    pub url: String,
    /// How often the mirror's host leads the pool, in proportion to the weights of the other hosts:
    /// the `preference` of a metalink, for example. Positive and finite. If a host has several
    /// URLs, the highest of their weights counts.
    pub weight: f64,
}

impl From<String> for Candidate {
    fn from(url: String) -> Candidate {
        Candidate { url, weight: 1.0 }
    }
}

impl From<&String> for Candidate {
    fn from(url: &String) -> Candidate {
        url.clone().into()
    }
}

impl From<&str> for Candidate {
    fn from(url: &str) -> Candidate {
        url.to_string().into()
    }
}

impl<S: Into<String>> From<(S, f64)> for Candidate {
    fn from((url, weight): (S, f64)) -> Candidate {
        Candidate { url: url.into(), weight }
    }
}

/// Why there is no ranking. The caller still has its list in the given order, which is the one to
/// use then.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An option was set to a value outside its range.
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// The value that was refused.
        value: String,
        /// The values that are allowed.
        allowed: &'static str,
    },
    /// A candidate's weight is not positive and finite.
    InvalidWeight {
        /// The candidate's URL.
        url: String,
        /// Its weight.
        weight: f64,
    },
    /// The filters exclude every mirror.
    AllExcluded {
        /// How many mirrors there were.
        mirrors: usize,
    },
    /// The system has no file descriptor, or no memory for one, left to measure with, or no random
    /// numbers.
    System(io::Error),
    /// The cache file cannot be looked into: it does not exist, may not be read, or is no cache.
    /// For [`Ranker::rank`](crate::Ranker::rank) that is only a warning.
    UnreadableCache {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing can be removed from the cache file.
    UnwritableCache {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InvalidOption { option, value, allowed } => {
                write!(f, "the option {option} cannot be {value}: it must be {allowed}")
            }
            Error::InvalidWeight { url, weight } => {
                let start: String = without_user(url).chars().take(100).collect();
                write!(f, "the weight {weight} of {start:?} is not a positive, finite number")
            }
            Error::AllExcluded { mirrors: 1 } => f.write_str("the filters exclude the only mirror"),
            Error::AllExcluded { mirrors } => write!(f, "the filters exclude all {mirrors} mirrors"),
            Error::System(error) => write!(f, "cannot measure: {error}"),
            Error::UnreadableCache { path, why } => write!(f, "cannot read cache {}: {why}", path.display()),
            Error::UnwritableCache { path, why } => write!(f, "cannot write cache {}: {why}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::System(error) => Some(error),
            _ => None,
        }
    }
}

/// A mirror in its place.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RankedMirror {
    /// Its position in the given list, from 0.
    pub index: usize,
    /// Its URL, as it was given.
    pub url: String,
    /// What became of it, with its latency if it has one.
    pub outcome: Outcome,
    /// Whether it is in the pool: its host is near enough to the best one to share the load with
    /// it.
    pub pool: bool,
    /// Whether the latency may be off by a millisecond or, after a lost SYN-ACK, by a second,
    /// because a packet was sent twice.
    pub imprecise: bool,
    /// The address that answered in this run.
    pub address: Option<SocketAddr>,
    /// Whether the outcome was read from the cache.
    pub from_cache: bool,
    /// Whether every connection of the client to this mirror waits: the address that it tries first
    /// is silent, although its family works, and another one answered.
    pub is_detoured: bool,
    /// Whether its host matches a pattern of [`Ranker::prefer`](crate::Ranker::prefer).
    pub is_preferred: bool,
    /// Whether its name was still being looked up when measuring stopped.
    pub is_lookup_unfinished: bool,
    pub(crate) endpoint: Option<EndpointId>,
    /// Why it stands further back than its latency would put it, if it does: what downloads have
    /// shown ([`Ranker::history`](crate::Ranker::history)).
    pub demotion: Option<Demotion>,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ranking {
    /// The mirrors in the order in which to try them: each given mirror once, except the excluded.
    pub mirrors: Vec<RankedMirror>,
    /// The mirrors that a filter dropped, in the order given.
    pub excluded: Vec<RankedMirror>,
    /// Why measuring stopped.
    pub stop_reason: StopReason,
    /// How long the run took.
    pub elapsed: Duration,
    /// The seed of the shuffle.
    pub seed: u64,
    /// The order of the pool, as it was set.
    pub pool_order: PoolOrder,
    /// The lowest latency of a direct host, by which the pool is judged. Without one it is that of
    /// a detoured host; none if no mirror has a latency.
    pub best: Option<Duration>,
    /// The latency below which a host belongs to the pool; none if no mirror has a latency.
    pub limit: Option<Duration>,
    /// Whether nearly all of many hosts are equally near. A middlebox may be answering for all of
    /// them, and the order then means little.
    pub ambiguous: bool,
    /// How many hosts [`Ranker::SUGGESTED_SLACK`](crate::Ranker::SUGGESTED_SLACK) would add to the
    /// pool, if that has fewer than three; else 0. Only hosts count whose latency is known.
    pub slack_would_add: usize,
    /// What could not be done as it should, one sentence each: the cache was not used or not
    /// written, or mirrors were not tried for want of descriptors, threads or memory.
    pub warnings: Vec<String>,
    /// What has excluded each of `excluded`.
    pub(crate) filters: Vec<Filter>,
    /// In the order of their endpoints, and for each in the order of the attempts.
    pub(crate) tried: Vec<(EndpointId, TriedAddress)>,
    /// By endpoint; empty if nothing is remembered of any.
    pub(crate) recalled: Vec<Option<Recalled>>,
}

impl Ranking {
    /// Returns the addresses that were tried for one of its mirrors in this run, in their order.
    /// There are at most two, and none if nothing was sent.
    ///
    /// ```
    /// let ranking = fastestmirror::Ranker::new().rank(["http://127.0.0.1:9/closed"])?;
    /// for tried in ranking.tried(&ranking.mirrors[0]) {
    ///     assert_eq!(tried.address.to_string(), "127.0.0.1:9");
    ///     println!("{} after {:?}", tried.outcome.name(), tried.waited);
    /// }
    /// # Ok::<(), fastestmirror::Error>(())
    /// ```
    pub fn tried(&self, mirror: &RankedMirror) -> impl Iterator<Item = &TriedAddress> {
        let start = self.tried.partition_point(|(endpoint, _)| Some(*endpoint) < mirror.endpoint);
        let of_mirror =
            self.tried[start..].iter().take_while(|(endpoint, _)| Some(*endpoint) == mirror.endpoint);
        of_mirror.map(|(_, tried)| tried)
    }

    /// Returns the filter that dropped one of its mirrors; none if it was not excluded.
    pub fn filter(&self, mirror: &RankedMirror) -> Option<Filter> {
        let position = self.excluded.binary_search_by_key(&mirror.index, |excluded| excluded.index);
        self.filters.get(position.ok()?).copied()
    }

    /// Returns what the cache remembered of one of its mirrors before this run, if it was believed:
    /// the reason of the outcome, if that is from the cache; otherwise it was asked again.
    pub fn recalled(&self, mirror: &RankedMirror) -> Option<Recalled> {
        let EndpointId(endpoint) = mirror.endpoint?;
        self.recalled.get(endpoint).copied().flatten()
    }
}
