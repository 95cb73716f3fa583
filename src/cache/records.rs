//! What a cache file says, and what it says after a run: text, time and network in, text out.
//!
//! The format is librepo's (`fastestmirror.c`, version 1), so that either reads what the other writes:
//!
//! ```text
//! [:_librepo_:]
//! version=1
//!
//! [http://mirror.example]
//! ts=1790000000
//! connectime=0.012345
//! ```
//!
//! What it has no place for stands in groups of our own, which librepo keeps because their names begin with `:_`:
//!
//! ```text
//! [:_fm_:network:http://mirror.example]      where the record with this very `ts` was measured
//! ts=1790000000
//! network=...
//!
//! [:_fm_:outcome:http://other.example]       for an hour: refused, unreachable or outside (the pool)
//! ts=1790000000
//! outcome=refused
//! network=...
//!
//! [:_fm_:]                                   the seed that is kept for a while, and when it was drawn
//! seed=1234
//! drawn=1790000000
//! ```
#![forbid(unsafe_code)]

mod said;

use super::keyfile::{self, Group, Item, KeyFile};
use super::number;
use crate::network::Network;
use crate::url::{Endpoint, Host, Mirror, Protocol};
pub(crate) use said::Known;
use said::{
    About, DRAWN, Fact, LATENCY, NETWORK, NETWORK_OF, OUTCOME, OUTCOME_OF, SEED, Said, TS, VERSION,
    latency_of,
};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// A cache is never as large. A larger file is somebody's mistake, and is left alone.
pub(crate) const MAX_SIZE: usize = 8 << 20;
/// What we let it grow to, so that it stays readable.
const MAX_WRITTEN: usize = MAX_SIZE / 2;

const HEADER: &[u8] = b":_librepo_:";
/// The groups that librepo does not take for records.
const NO_RECORD: &[u8] = b":_";
const OWN: &[u8] = b":_fm_:";

/// How long a record stays in the file: librepo's `CACHE_RECORD_MAX_AGE`, in seconds.
const KEPT: i64 = 180 * 24 * 3600;
/// How long a failure counts, and that a mirror is outside the pool.
const FAILURE_COUNTS: i64 = 3600;
/// Clocks are set by a little every now and then. What is from further ahead is not believed.
const TOLERANCE: i64 = 300;

/// What a run has learned of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Update {
    /// Not to be used for an imprecise measurement.
    Latency(Duration),
    Refused,
    Unreachable,
    /// It did not answer, and measuring ended for a reason which means that it cannot belong to the pool.
    OutsidePool,
}

impl Update {
    fn outcome(self) -> Option<&'static str> {
        match self {
            Update::Latency(_) => None,
            Update::Refused => Some("refused"),
            Update::Unreachable => Some("unreachable"),
            Update::OutsidePool => Some("outside"),
        }
    }
}

/// Under what a URL's mirror stands in the file.
///
/// Where it can be, that is the URL up to its path, letter for letter, since this is what librepo looks for
/// (`lr_url_without_path`). Where the URL has a user name, a password or a query in that part, or an IPv6 address,
/// whose brackets the format cannot hold, it is a spelling of our own, which librepo neither writes nor finds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) String);

impl Key {
    /// None for what is not connected to.
    pub(crate) fn new(url: &str, mirror: &Mirror) -> Option<Key> {
        let Mirror::Remote(protocol, endpoint) = mirror else { return None };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        let authority = url.split_once("://").map(|(scheme, rest)| (scheme, rest.split('/').next()));
        match authority {
            Some((scheme, Some(authority))) if authority.bytes().all(plain) => {
                Some(Key(format!("{scheme}://{authority}")))
            }
            _ => Some(Key::canonical(*protocol, endpoint)),
        }
    }

    fn canonical(protocol: Protocol, endpoint: &Endpoint) -> Key {
        let (scheme, default_port) = match protocol {
            Protocol::Http => ("http", 80),
            Protocol::Https => ("https", 443),
            Protocol::Ftp => ("ftp", 21),
            Protocol::File => ("file", 0),
        };
        let host = match &endpoint.host {
            Host::Address(IpAddr::V6(address)) => format!("%5B{address}%5D"),
            host => host.to_string(),
        };
        match endpoint.port {
            port if port == default_port => Key(format!("{scheme}://{host}")),
            port => Key(format!("{scheme}://{host}:{port}")),
        }
    }

    /// The mirror that a group speaks of, in whatever spelling, librepo's with a password included.
    fn read(group: &[u8]) -> Mirror {
        let Ok(url) = std::str::from_utf8(group) else { return Mirror::Unsupported };
        match url.contains('%') {
            true => Mirror::parse(&url.replacen("%5B", "[", 1).replacen("%5D", "]", 1)),
            false => Mirror::parse(url),
        }
    }
}

/// What a file told of earlier runs.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    facts: HashMap<Endpoint, Fact>,
    seed: Option<(u64, i64)>,
}

impl Memory {
    /// What is known of an endpoint. All spellings and protocols that lead to it count.
    pub(crate) fn of(&self, endpoint: &Endpoint) -> Option<Known> {
        self.facts.get(endpoint).map(|fact| fact.known)
    }

    /// How many endpoints something is known of.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The seed that the machine keeps, if it was drawn less than this long ago.
    pub(crate) fn seed(&self, rotate_every: Duration, now: SystemTime) -> Option<u64> {
        let now = unix_seconds(now);
        self.seed.filter(|&(_, drawn)| is_fresh(drawn, now, rotate_every)).map(|(seed, _)| seed)
    }
}

/// Less old than that, and not from the future.
fn is_fresh(drawn: i64, now: i64, rotate_every: Duration) -> bool {
    let age = now.saturating_sub(drawn);
    age >= -TOLERANCE && age < i64::try_from(rotate_every.as_secs()).unwrap_or(i64::MAX)
}

/// Reads a file, or says why it is not a cache; librepo would not take it for one either.
pub(crate) fn read(
    text: &[u8],
    now: SystemTime,
    network: Option<&Network>,
    max_age: Duration,
) -> Result<Memory, &'static str> {
    let now = unix_seconds(now);
    let max_age = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
    let groups = read_groups(text)?;
    // An endpoint may have two groups, its own and our note on it.
    let mut facts: HashMap<Endpoint, Fact> = HashMap::with_capacity(groups.len() / 2);
    for (&(about, name), said) in &groups {
        let (fact, max_age) = match about {
            About::Record if !name.starts_with(NO_RECORD) => (said.latency(), max_age),
            About::Outcome => (said.failure(), FAILURE_COUNTS),
            About::Record | About::Network => (None, 0),
        };
        let age = |fact: &Fact| now.saturating_sub(fact.at);
        let Some(fact) = fact.filter(|fact| (-TOLERANCE..=max_age).contains(&age(fact))) else { continue };
        let note = match about {
            // It counts if it is of the same writing: librepo renews records, but not notes.
            About::Record => groups.get(&(About::Network, name)).filter(|note| note.ts == Some(fact.at)),
            About::Network | About::Outcome => Some(said),
        };
        let elsewhere = note.and_then(Said::network).zip(network);
        if elsewhere.is_some_and(|(measured_in, here)| measured_in.known_to_differ(here)) {
            continue;
        }
        let Mirror::Remote(_, endpoint) = Key::read(name) else { continue };
        let known = facts.entry(endpoint).or_insert(fact);
        if fact.beats(known) {
            *known = fact;
        }
    }
    Ok(Memory { facts, seed: groups.get(&(About::Record, OWN)).and_then(Said::seed) })
}

/// What each group of a file says: enough to read it, while changing it takes a [`KeyFile`].
fn read_groups(text: &[u8]) -> Result<HashMap<(About, &[u8]), Said<'_>>, &'static str> {
    /// What a group of ours takes, about.
    const TYPICAL: usize = 100;
    let text = whole(text)?;
    let mut groups = HashMap::with_capacity(text.len() / TYPICAL);
    // Nothing is said before the first group.
    let mut said = &mut Said::default();
    for item in keyfile::items(text) {
        match item? {
            Item::Group(name) => said = groups.entry(About::of(name)).or_default(),
            Item::Pair(key, value) => said.hear(key, value),
        }
    }
    is_cache(groups.get(&(About::Record, HEADER)))?;
    Ok(groups)
}

fn parse(text: &[u8]) -> Result<KeyFile<'_>, &'static str> {
    let file = KeyFile::parse(whole(text)?)?;
    is_cache(said_by(&file, HEADER).as_ref())?;
    Ok(file)
}

fn said_by<'f>(file: &'f KeyFile<'_>, group: &[u8]) -> Option<Said<'f>> {
    file.group(group).map(Said::by)
}

/// By what the header says, if there is one.
fn is_cache(header: Option<&Said<'_>>) -> Result<(), &'static str> {
    match header.ok_or("it is not a cache of fastestmirror")?.version() {
        Some(1) => Ok(()),
        // Without a version it is version 0 to librepo.
        _ => Err("it is of another version"),
    }
}

/// The text without what somebody has not finished writing.
fn whole(text: &[u8]) -> Result<&[u8], &'static str> {
    if text.len() > MAX_SIZE { Err("it is too large") } else { Ok(without_cut_line(text)) }
}

/// librepo writes the file in place, and a reader may meet half of it. A last line without its end may be half a number,
/// or half of anything; it is left out if it can be one that librepo or we have begun.
fn without_cut_line(text: &[u8]) -> &[u8] {
    let start = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let (whole, last) = text.split_at(start);
    let of_ours = [TS, LATENCY, VERSION, NETWORK, OUTCOME, SEED, DRAWN];
    let cut = match keyfile::key_of(last) {
        Some(key) => of_ours.iter().any(|own| own.as_bytes() == key),
        None => !keyfile::is_valid(last),
    };
    if cut { whole } else { text }
}

fn note(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    [prefix, name].concat()
}

/// A seed to keep, and for how long: one that is younger stays in its place, since others follow it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeptSeed {
    pub(crate) seed: u64,
    pub(crate) rotate_every: Duration,
}

/// Whether a run has learned anything to be written. If nothing answered, the network was down and not the mirrors.
pub(crate) fn is_worth_writing(updates: &[(Key, Update)], seed: Option<KeptSeed>) -> bool {
    seed.is_some() || updates.iter().any(|(_, update)| matches!(update, Update::Latency(_)))
}

/// The file after a run. One that is not a cache is begun anew, as librepo does; why is returned too.
pub(crate) fn merge(
    text: &[u8],
    now: SystemTime,
    network: Option<&Network>,
    updates: &[(Key, Update)],
    seed: Option<KeptSeed>,
) -> (Vec<u8>, Option<&'static str>) {
    let now = unix_seconds(now);
    let (mut file, foreign) = match parse(text) {
        Ok(file) => (file, None),
        Err(why) => {
            let mut file = KeyFile::default();
            file.set(HEADER, VERSION, "1");
            (file, Some(why).filter(|_| !text.is_empty()))
        }
    };
    let answered = updates.iter().any(|(_, update)| matches!(update, Update::Latency(_)));
    for (Key(name), update) in updates.iter().filter(|_| answered) {
        apply(&mut file, name.as_bytes(), *update, now, network);
    }
    if let Some(KeptSeed { seed: value, rotate_every }) = seed {
        let younger = said_by(&file, OWN)
            .and_then(|said| said.seed())
            .is_some_and(|(_, drawn)| is_fresh(drawn, now, rotate_every));
        if !younger {
            file.set(OWN, SEED, &value.to_string());
            file.set(OWN, DRAWN, &now.to_string());
        }
    }
    hide_passwords(&mut file);
    drop_outdated(&mut file, now);
    let mut text = file.to_bytes();
    if text.len() > MAX_WRITTEN {
        drop_older_half(&mut file, now);
        text = file.to_bytes();
    }
    (text, foreign)
}

fn apply(file: &mut KeyFile<'_>, name: &[u8], update: Update, now: i64, network: Option<&Network>) {
    let (network_note, outcome_note) = (note(NETWORK_OF, name), note(OUTCOME_OF, name));
    let ts = now.to_string();
    // Another process may have been here since; one with a clock far ahead does not count.
    let newer = |fact: Option<Fact>| fact.is_some_and(|fact| fact.at > now && fact.at - now <= TOLERANCE);
    if newer(said_by(file, name).and_then(|said| said.latency()))
        || newer(said_by(file, &outcome_note).and_then(|said| said.failure()))
    {
        return;
    }
    let network = network.map(|network| network.to_text());
    match (update, update.outcome()) {
        (Update::Latency(latency), _) => {
            if latency_of(latency.as_secs_f64()).is_none() {
                return;
            }
            file.set(name, TS, &ts);
            file.set(name, LATENCY, &number::as_glib_does(latency.as_secs_f64()));
            file.remove(&outcome_note);
            match network {
                Some(network) => {
                    file.set(&network_note, TS, &ts);
                    file.set(&network_note, NETWORK, &network);
                }
                None => file.remove(&network_note),
            }
        }
        (_, Some(outcome)) => {
            // Whole, so that no network of an older one stays in it.
            file.remove(&outcome_note);
            file.set(&outcome_note, TS, &ts);
            file.set(&outcome_note, OUTCOME, outcome);
            if let Some(network) = network {
                file.set(&outcome_note, NETWORK, &network);
            }
        }
        _ => {}
    }
}

/// librepo keeps user names and passwords in the names of its records. What such a record knows is kept under a name
/// without them.
fn hide_passwords(file: &mut KeyFile<'_>) {
    let secret: Vec<Vec<u8>> = file
        .groups()
        .map(|group| group.name)
        .filter(|name| name.contains(&b'@'))
        .map(<[u8]>::to_vec)
        .collect();
    for group in secret {
        let (about, name) = About::of(&group);
        let Mirror::Remote(protocol, endpoint) = Key::read(name) else { continue };
        let Key(key) = Key::canonical(protocol, &endpoint);
        let fact = |name: &[u8]| said_by(file, name).and_then(|said| said.latency());
        let (old, new) = (fact(&group), fact(key.as_bytes()));
        if let (About::Record, Some(Fact { at, known: Known::Latency(latency) })) = (about, old) {
            if new.is_none_or(|new| new.at < at) {
                file.set(key.as_bytes(), TS, &at.to_string());
                file.set(key.as_bytes(), LATENCY, &number::as_glib_does(latency.as_secs_f64()));
            }
        }
        file.remove(&group);
    }
}

/// Removes old records, as librepo does, and notes that speak of nothing any more. Unlike librepo it leaves alone what is
/// no record of a mirror.
fn drop_outdated(file: &mut KeyFile<'_>, now: i64) {
    let speaks = |group: &Group<'_>| {
        let said = Said::by(*group);
        let record = |name| said_by(file, name);
        match About::of(group.name) {
            (About::Network, name) => {
                let at = record(name).and_then(|record| record.ts);
                at.is_some_and(|at| said.ts == Some(at) && now.saturating_sub(at) <= KEPT)
            }
            (About::Outcome, name) => said.failure().is_some_and(|failure| {
                let age = now.saturating_sub(failure.at);
                let record = record(name).and_then(|record| record.latency());
                (-TOLERANCE..=FAILURE_COUNTS).contains(&age)
                    && record.is_none_or(|record| record.at < failure.at || record.at > now + TOLERANCE)
            }),
            (About::Record, name) if name.starts_with(NO_RECORD) => true,
            (About::Record, name) => match said.ts {
                Some(at) => now.saturating_sub(at) <= KEPT,
                None => matches!(Key::read(name), Mirror::Unsupported),
            },
        }
    };
    let silent = file.groups().filter(|group| !speaks(group)).map(|group| group.name.to_vec());
    let silent: Vec<Vec<u8>> = silent.collect();
    for group in silent {
        file.remove(&group);
    }
}

/// A file that has grown beyond all use loses the older half of its records, but none of this run's.
fn drop_older_half(file: &mut KeyFile<'_>, now: i64) {
    let mut records: Vec<(i64, Vec<u8>)> = file
        .groups()
        .filter(|group| !group.name.starts_with(NO_RECORD))
        .filter_map(|group| Some((Said::by(group).ts?, group.name.to_vec())))
        .collect();
    records.sort_unstable();
    records.truncate(records.len().div_ceil(2));
    let dropped: HashSet<Vec<u8>> =
        records.into_iter().filter(|&(at, _)| at < now).map(|(_, group)| group).collect();
    for group in &dropped {
        file.remove(&note(NETWORK_OF, group));
        file.remove(&note(OUTCOME_OF, group));
        file.remove(group);
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole(since),
        Err(before) => -whole(before.duration()),
    }
}

#[cfg(test)]
mod tests;
