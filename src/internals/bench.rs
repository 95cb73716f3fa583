//! What the bench `rank` times: the rule, the list, URLs, and the cache, without a network.

use crate::cache::RecordName;
use crate::cache::file::{CacheFile, Status};
use crate::cache::policy::Remembered;
use crate::list::{List, Target};
use crate::options::{Options, Pattern};
use crate::outcome::Outcome;
use crate::rank::{self, Entry};
use crate::ranking::Candidate;
use crate::url::Mirror;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A list as it was read, with a latency for each mirror.
pub struct Mirrors {
    options: Options,
    list: List,
    entries: Vec<Entry>,
    latencies: Vec<Duration>,
}

/// What a caller excludes, and what it prefers.
#[derive(Default)]
pub struct Filters {
    exclude: Vec<Pattern>,
    prefer: Vec<Pattern>,
}

impl Filters {
    pub fn new(exclude: &[&str], prefer: &[&str]) -> Filters {
        let read = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text).expect("a pattern")).collect();
        Filters { exclude: read(exclude), prefer: read(prefer) }
    }
}

/// Reads URLs; returns to how many of them a connection can be made.
pub fn parse(urls: &[String]) -> usize {
    urls.iter().filter(|url| Mirror::parse(url).host().is_some()).count()
}

impl Mirrors {
    /// Reads a list, which gives each host its place in the table of hosts.
    pub fn read(
        urls: &[String],
        latencies: &[Duration],
        weight: impl Fn(usize) -> f64,
        filters: &Filters,
    ) -> Mirrors {
        let options = Options {
            exclude: filters.exclude.clone(),
            prefer: filters.prefer.clone(),
            max_endpoints: usize::MAX,
            ..Options::default()
        };
        let candidates =
            urls.iter().enumerate().map(|(n, url)| Candidate { url: url.clone(), weight: weight(n) });
        let list = List::read(candidates.collect(), &options).expect("some mirror is left");
        let mut entries = Vec::new();
        for (mirror, latency) in list.mirrors.iter().zip(latencies) {
            let (host, place) = match mirror.target {
                Target::Remote { host, .. } => (Some(host), list.host(host).place),
                Target::Local | Target::Unsupported => (None, 0),
            };
            let outcome = if mirror.is_excluded { Outcome::Excluded } else { Outcome::Measured(*latency) };
            entries.push(Entry {
                host,
                outcome,
                is_detoured: false,
                is_troubled: false,
                is_slow: false,
                weight: mirror.weight,
                place,
            });
        }
        Mirrors { options, list, entries, latencies: latencies.to_vec() }
    }

    /// The rule itself.
    pub fn rank(&self, seed: u64) -> Vec<usize> {
        rank::rank(&self.entries, &self.list.hosts, &self.options.rule, seed).order
    }
}

const NOW: Duration = Duration::from_secs(1_790_000_000);

/// Reads a cache file; returns how many of the mirrors are in it.
pub fn read_cache(path: &Path, mirrors: &Mirrors) -> usize {
    let (records, status) = CacheFile::new(path).read(SystemTime::UNIX_EPOCH + NOW, None, NOW);
    assert_eq!(status, Status::Fine);
    let is_known = |mirror: &&crate::list::ListedMirror| match mirror.target {
        Target::Remote { endpoint: Some(endpoint), .. } => {
            records.get(&mirrors.list.endpoint(endpoint)).is_some()
        }
        _ => false,
    };
    mirrors.list.mirrors.iter().filter(is_known).count()
}

/// Puts the latencies of all these mirrors into a cache file.
pub fn write_cache(path: &Path, mirrors: &Mirrors) {
    let mut learned = Vec::new();
    for (mirror, latency) in mirrors.list.mirrors.iter().zip(&mirrors.latencies) {
        if let Target::Remote { protocol, endpoint: Some(endpoint), .. } = mirror.target {
            let name = RecordName::new(&mirror.url, protocol, &mirrors.list.endpoint(endpoint));
            learned.push((name, Remembered::Latency(*latency)));
        }
    }
    let status = CacheFile::new(path).write(SystemTime::UNIX_EPOCH + NOW, None, learned, None);
    assert!(status.is_fine(), "{status}");
}
