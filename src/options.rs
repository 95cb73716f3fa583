//! The options of a run, as plain data, and the questions that they answer about a mirror.
#![forbid(unsafe_code)]

mod pattern;

use crate::cache::CacheOptions;
use crate::history::HistoryUse;
use crate::outcome::{Filter, Outcome};
use crate::rank::{PoolOrder, Rule};
use crate::url::{self, Family, Host, Protocol};
pub(crate) use pattern::{HostChars, MAX_PATTERN_CHARS, Pattern};
use std::time::{Duration, SystemTime};

/// The fallbacks that mean: measure every mirror.
pub(crate) const ALL_FALLBACKS: usize = usize::MAX;

/// What [`Ranker`](crate::Ranker) has setters for, which describe each option.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) timeout: Duration,
    pub(crate) fallbacks: usize,
    pub(crate) family: Family,
    pub(crate) rule: Rule,
    /// The hosts of the list that gives the order of a pool in the given order, if it is not the
    /// list itself. A host stands where it is named first.
    pub(crate) pool_reference: Vec<Host>,
    pub(crate) seed: Option<u64>,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) include: Vec<Pattern>,
    pub(crate) exclude: Vec<Pattern>,
    pub(crate) prefer: Vec<Pattern>,
    pub(crate) public_only: bool,
    pub(crate) max_endpoints: usize,
    pub(crate) max_endpoints_per_host: usize,
    pub(crate) check_after: Duration,
    pub(crate) cache: CacheOptions,
    pub(crate) history: HistoryUse,
    /// The time of day, if a test sets it.
    pub(crate) now: Option<SystemTime>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            timeout: Duration::from_secs(2),
            fallbacks: 16,
            family: Family::Any,
            rule: Rule { factor: 2.0, slack: Duration::ZERO, pool_order: PoolOrder::Shuffled },
            pool_reference: Vec::new(),
            seed: None,
            protocols: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            prefer: Vec::new(),
            public_only: false,
            max_endpoints: 2048,
            max_endpoints_per_host: 4,
            check_after: Duration::from_secs(600),
            cache: CacheOptions::default(),
            history: HistoryUse::Off,
            now: None,
        }
    }
}

impl Options {
    /// Returns whether a filter drops mirrors of this protocol; with none, of an unknown one.
    pub(crate) fn excludes_protocol(&self, protocol: Option<Protocol>) -> bool {
        !self.protocols.is_empty() && !protocol.is_some_and(|it| self.protocols.contains(&it))
    }

    /// Returns whether a filter drops mirrors without a host.
    pub(crate) fn excludes_hostless(&self) -> bool {
        !self.include.is_empty()
    }

    /// Compares a host with all patterns, which is to be done once for each host.
    pub(crate) fn match_host(&self, host: &Host) -> HostMatch {
        if [&self.include, &self.exclude, &self.prefer].iter().all(|patterns| patterns.is_empty()) {
            return HostMatch { excluded_by: None, is_preferred: false };
        }
        let host = HostChars::new(host);
        let is_included = self.include.is_empty() || matches_any(&self.include, &host);
        let excluding = || self.exclude.iter().position(|pattern| pattern.matches(&host));
        HostMatch {
            excluded_by: if is_included { excluding().map(Filter::Exclude) } else { Some(Filter::Include) },
            is_preferred: matches_any(&self.prefer, &host),
        }
    }

    /// Returns what becomes of a host that is given by an address to which no connection is
    /// allowed.
    pub(crate) fn refuses(&self, host: &Host, public_only: bool) -> Option<Outcome> {
        let Host::Address(ip) = *host else { return None };
        let is_of_family = match self.family {
            Family::Any => true,
            Family::Ipv4 => ip.is_ipv4(),
            Family::Ipv6 => ip.is_ipv6(),
        };
        if url::is_unspecified(ip) || !is_of_family {
            Some(Outcome::Unresolved)
        } else if public_only && !url::is_public(ip) {
            Some(Outcome::Unsupported)
        } else {
            None
        }
    }
}

/// What the patterns say of a host.
pub(crate) struct HostMatch {
    /// The filter that drops its mirrors, if any does.
    pub(crate) excluded_by: Option<Filter>,
    /// Whether it goes to the front of its class.
    pub(crate) is_preferred: bool,
}

fn matches_any(patterns: &[Pattern], host: &HostChars) -> bool {
    patterns.iter().any(|pattern| pattern.matches(host))
}
