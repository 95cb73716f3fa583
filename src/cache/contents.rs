//! A cache file for those who want to see it: every fact in it and whether that counts, and what
//! the file is without the records of some hosts. Text, time and network in, plain values or text
//! out. What a run makes of a file stands in `records`.
#![forbid(unsafe_code)]

use super::groups::{self, GroupKind, GroupValues, NOT_A_RECORD, OWN, RecordName};
use super::history;
use super::policy::{self, Fact, Remembered};
use super::records::{self, NotACache};
use crate::network::Network;
use crate::options::{HostChars, Pattern};
use crate::url::{Endpoint, Mirror, Protocol};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// What a cache file says, as [`Ranker::read_cache`](crate::Ranker::read_cache) finds it.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Cache {
    /// What is remembered of mirrors, in the order of the file. An endpoint may be there several
    /// times: a latency and a newer note on an outcome, for example. What librepo notes of mirrors
    /// that failed is left out, since it counts for nothing.
    pub records: Vec<CacheRecord>,
    /// The seed that is kept, if there is one.
    pub seed: Option<CachedSeed>,
}

/// One fact in a cache file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CacheRecord {
    /// The protocol of the URLs that it is about.
    pub protocol: Protocol,
    /// The host and port.
    pub endpoint: Endpoint,
    /// What is remembered.
    pub remembered: Remembered,
    /// The time since it was found out.
    pub age: Duration,
    /// For how much longer it counts; zero if it is outdated.
    pub remaining: Duration,
    /// Where it was found out.
    pub network: CacheNetwork,
    /// The address of the host, if other names of its list led to it, too.
    pub shared_address: Option<IpAddr>,
    /// Whether librepo wrote it, rather than this library.
    pub is_of_librepo: bool,
    /// Whether a run here and now would use it: it is not outdated, not of another network, and no
    /// better one about the same endpoint is in the file.
    pub counts: bool,
}

/// In which network something was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheNetwork {
    /// The one that this machine is in.
    This,
    /// Another one: it does not count here.
    Another,
    /// Not known, as with all records of librepo: it counts everywhere.
    Unknown,
}

impl CacheNetwork {
    /// Returns the network as one word in lower case, for data formats.
    pub fn name(self) -> &'static str {
        match self {
            CacheNetwork::This => "this",
            CacheNetwork::Another => "another",
            CacheNetwork::Unknown => "unknown",
        }
    }

    fn of(noted: Option<Network>, here: &Network) -> CacheNetwork {
        match noted {
            Some(noted) if noted.differs(here) => CacheNetwork::Another,
            Some(noted) if noted.is_comparable(here) => CacheNetwork::This,
            _ => CacheNetwork::Unknown,
        }
    }
}

/// The seed that a cache keeps ([`Ranker::rotate_every`](crate::Ranker::rotate_every)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedSeed {
    /// The seed.
    pub seed: u64,
    /// The time since it was drawn.
    pub age: Duration,
}

/// Reads everything in a file; latencies count up to `max_age`.
///
/// # Errors
/// If it is not a cache.
pub(crate) fn read(
    text: &[u8],
    now: SystemTime,
    here: &Network,
    max_age: Duration,
) -> Result<Cache, NotACache> {
    let now = records::unix_seconds(now);
    let max_age = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
    let file = records::parse(text)?;
    let values = |name: &[u8]| file.group(name).map(GroupValues::of);
    let mut found = Vec::new();
    // The fact that counts about each endpoint, and its position in what was found.
    let mut best: HashMap<Endpoint, (usize, Fact)> = HashMap::new();
    for group in file.groups() {
        let (kind, name) = GroupKind::of(group.name);
        let of_group = GroupValues::of(group);
        let network_note = groups::network_note(name);
        let (fact, note) = match kind {
            GroupKind::Record if !name.starts_with(NOT_A_RECORD) => {
                let note = values(&network_note).filter(|note| note.ts == of_group.ts);
                (of_group.latency(), note)
            }
            GroupKind::OutcomeNote => (of_group.outcome(), Some(of_group)),
            GroupKind::Record | GroupKind::NetworkNote => continue,
        };
        let Some(fact) = fact else { continue };
        let Mirror::Remote(protocol, endpoint) = RecordName::mirror(name) else { continue };
        let network = CacheNetwork::of(note.as_ref().and_then(GroupValues::network), here);
        if fact.counts(now, max_age) && network != CacheNetwork::Another {
            let (position, known) = best.entry(endpoint.clone()).or_insert((found.len(), fact));
            if fact.beats(known) {
                (*position, *known) = (found.len(), fact);
            }
        }
        found.push(CacheRecord {
            protocol,
            endpoint,
            remembered: fact.remembered,
            age: policy::age(fact.at, now),
            remaining: fact.remaining(now, max_age),
            network,
            shared_address: note.as_ref().and_then(GroupValues::shared_address),
            is_of_librepo: note.is_none(),
            counts: false,
        });
    }
    for (position, _) in best.into_values() {
        found[position].counts = true;
    }
    let seed = values(OWN).and_then(|values| values.seed());
    let seed = seed.map(|(seed, drawn)| CachedSeed { seed, age: policy::age(drawn, now) });
    Ok(Cache { records: found, seed })
}

/// Removes the records of, and the notes on, the hosts that match one of these patterns, or with
/// none those of all hosts. Returns the text and how many were removed; of a latency with the note
/// on its network that is one, and of what downloads have shown it is one for each group. If there
/// is none, the text stays as it is.
///
/// # Errors
/// If it is not a cache.
pub(crate) fn forget(
    text: &[u8],
    hosts: Option<&[Pattern]>,
    now: SystemTime,
) -> Result<(Vec<u8>, usize), NotACache> {
    let mut file = records::parse(text)?;
    let is_named = |name: &[u8]| match (RecordName::mirror(name), hosts) {
        (Mirror::Remote(_, endpoint), Some(patterns)) => {
            let host = HostChars::new(&endpoint.host);
            patterns.iter().any(|pattern| pattern.matches(&host))
        }
        (Mirror::Remote(..), None) => true,
        // Librepo's record of a mirror of another protocol.
        (_, None) => file.group(name).is_some_and(|group| GroupValues::of(group).ts.is_some()),
        (_, Some(_)) => false,
    };
    let (mut removed, mut forgotten) = (Vec::new(), 0);
    for group in file.groups() {
        if history::is_of(group.name, hosts) {
            removed.push(group.name.to_vec());
            forgotten += 1;
            continue;
        }
        let (kind, name) = GroupKind::of(group.name);
        if name.starts_with(NOT_A_RECORD) || !is_named(name) {
            continue;
        }
        removed.push(group.name.to_vec());
        if kind != GroupKind::NetworkNote {
            forgotten += 1;
        }
    }
    if forgotten == 0 {
        return Ok((text.to_vec(), 0));
    }
    for group in removed {
        file.remove(&group);
    }
    // As in each write: no user name or password is in what this crate has written.
    records::hide_passwords(&mut file, records::unix_seconds(now));
    Ok((file.to_bytes(), forgotten))
}

#[cfg(test)]
mod tests;
