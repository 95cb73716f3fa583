//! What the bench `rank` times: the rule, URLs, filters, and the cache, without a network.

use crate::cache::{self, Cache, Key, Update};
use crate::filter::Pattern;
use crate::outcome::Outcome;
use crate::rank::{self, Entry, Rule};
use crate::url::{Host, Mirror};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Parsed URLs, with a latency and a weight for each.
pub struct Mirrors<'a> {
    urls: &'a [String],
    mirrors: Vec<Mirror>,
    latencies: &'a [Duration],
    weights: Vec<f64>,
}

/// What the rule takes.
pub struct Entries<'a>(Vec<Entry<'a>>);

/// What a caller drops, and what it prefers.
pub struct Filters {
    exclude: Vec<Pattern>,
    prefer: Vec<Pattern>,
}

/// Reads URLs; returns how many can be connected to.
pub fn parse(urls: &[String]) -> usize {
    urls.iter().filter(|url| Mirror::parse(url).host().is_some()).count()
}

impl<'a> Mirrors<'a> {
    pub fn new(urls: &'a [String], latencies: &'a [Duration]) -> Mirrors<'a> {
        let mirrors = urls.iter().map(|url| Mirror::parse(url)).collect();
        Mirrors { urls, mirrors, latencies, weights: vec![1.0; urls.len()] }
    }

    pub fn weighted(self, weights: Vec<f64>) -> Mirrors<'a> {
        Mirrors { weights, ..self }
    }

    pub fn entries(&self) -> Entries<'_> {
        self.filtered(&Filters { exclude: Vec::new(), prefer: Vec::new() })
    }

    /// As `Ranker` makes them.
    pub fn filtered(&self, filters: &Filters) -> Entries<'_> {
        let matches = |patterns: &[Pattern], host: Option<&Host>| {
            host.is_some_and(|host| patterns.iter().any(|pattern| pattern.matches(host)))
        };
        let entries = self.mirrors.iter().enumerate().map(|(index, mirror)| Entry {
            host: mirror.host(),
            outcome: match matches(&filters.exclude, mirror.host()) {
                true => Outcome::Excluded,
                false => Outcome::Measured(self.latencies[index]),
            },
            weight: self.weights[index],
            preferred: matches(&filters.prefer, mirror.host()),
        });
        Entries(entries.collect())
    }
}

impl Filters {
    pub fn new(exclude: &[&str], prefer: &[&str]) -> Filters {
        let read = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text).expect("a pattern")).collect();
        Filters { exclude: read(exclude), prefer: read(prefer) }
    }
}

impl Entries<'_> {
    /// The rule itself.
    pub fn rank(&self, seed: u64) -> Vec<usize> {
        rank::rank(&self.0, &Rule { factor: 2.0, slack: Duration::ZERO }, seed).order
    }
}

const NOW: Duration = Duration::from_secs(1_790_000_000);

/// Reads a cache file; returns how many of the mirrors are in it.
pub fn read_cache(path: &Path, mirrors: &Mirrors<'_>) -> usize {
    let (memory, status) = Cache::open(path).read(SystemTime::UNIX_EPOCH + NOW, None, NOW);
    assert_eq!(status, cache::Status::Fine);
    let known = |mirror: &&Mirror| match mirror {
        Mirror::Remote(_, endpoint) => memory.of(endpoint).is_some(),
        _ => false,
    };
    mirrors.mirrors.iter().filter(known).count()
}

/// Puts the latencies of all these mirrors into a cache file.
pub fn write_cache(path: &Path, mirrors: &Mirrors<'_>) {
    let updates = (mirrors.urls.iter().zip(&mirrors.mirrors).zip(mirrors.latencies))
        .filter_map(|((url, mirror), latency)| Some((Key::new(url, mirror)?, Update::Latency(*latency))));
    let status = Cache::open(path).write(SystemTime::UNIX_EPOCH + NOW, None, updates, None);
    assert!(status.is_fine(), "{status}");
}
