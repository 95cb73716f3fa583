//! The options of a run, as plain data, and the questions that they answer about a mirror.
#![forbid(unsafe_code)]

mod pattern;

use crate::cache::CacheOptions;
use crate::outcome::Outcome;
use crate::rank::Rule;
use crate::url::{self, Family, Host, Mirror, Protocol};
pub(crate) use pattern::Pattern;
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
    /// The time of day, if a test sets it.
    pub(crate) now: Option<SystemTime>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            timeout: Duration::from_secs(2),
            fallbacks: 16,
            family: Family::Any,
            rule: Rule { factor: 2.0, slack: Duration::ZERO },
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
            now: None,
        }
    }
}

impl Options {
    /// Returns whether a filter drops the mirror.
    pub(crate) fn excludes(&self, mirror: &Mirror) -> bool {
        if !self.protocols.is_empty() && !mirror.protocol().is_some_and(|it| self.protocols.contains(&it)) {
            return true;
        }
        let Some(host) = mirror.host() else { return !self.include.is_empty() };
        (!self.include.is_empty() && !matches_any(&self.include, host)) || matches_any(&self.exclude, host)
    }

    /// Returns whether the host goes to the front of its class.
    pub(crate) fn prefers(&self, host: &Host) -> bool {
        matches_any(&self.prefer, host)
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

fn matches_any(patterns: &[Pattern], host: &Host) -> bool {
    patterns.iter().any(|pattern| pattern.matches(host))
}
