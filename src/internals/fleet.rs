//! What `fastestmirror fleet` simulates clients with: the rule itself, over latencies that a client
//! has drawn instead of measured.

use crate::hosts::{HostId, ListedHost};
use crate::outcome::Outcome;
use crate::rank::{self, Entry, PoolOrder};
use crate::url::Host;
use std::time::Duration;

/// The options of the rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule(rank::Rule);

impl Rule {
    /// The factor is at least 1.
    pub fn new(factor: f64, slack: Duration, pool_order: PoolOrder) -> Rule {
        Rule(rank::Rule { factor, slack, pool_order })
    }

    /// Returns the latency below which a host belongs to the pool.
    pub fn limit(&self, best: Duration) -> Duration {
        self.0.limit(best)
    }
}

/// A mirror of a client's list: its host, by its position in the table of hosts, and its latency.
/// The weight is positive.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub host: usize,
    pub latency: Duration,
    pub weight: f64,
}

/// A table of hosts.
#[derive(Debug)]
pub struct Hosts(Vec<ListedHost>);

impl Hosts {
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Hosts {
        let listed = |(place, name): (usize, &str)| ListedHost {
            host: Host::Name(name.into()),
            is_preferred: false,
            refused_as: None,
            place,
        };
        Hosts(names.into_iter().enumerate().map(listed).collect())
    }

    /// Ranks a list whose mirrors are on the first `count` hosts of the table, and returns
    /// positions in the list. The given order is that of the list.
    pub fn rank(&self, count: usize, list: &[Seen], rule: &Rule, seed: u64) -> Vec<usize> {
        let entry = |(place, seen): (usize, &Seen)| Entry {
            host: Some(HostId(seen.host)),
            outcome: Outcome::Measured(seen.latency),
            is_detoured: false,
            is_troubled: false,
            is_slow: false,
            weight: seen.weight,
            place,
        };
        let entries: Vec<Entry> = list.iter().enumerate().map(entry).collect();
        rank::rank(&entries, &self.0[..count], &rule.0, seed).order
    }
}
