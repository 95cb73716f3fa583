//! The text of a cache file: reading it, and merging into it what a run has learned. Text, time and
//! network in, text out.
//!
//! The format is librepo's (`fastestmirror.c`, version 1), so that librepo and this crate read what
//! the other one writes:
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
//! A group's name is the URL up to its path. Any spelling is read; an endpoint and protocol is
//! written once.
//!
//! What has no place in that format stands in groups of our own. librepo preserves them because
//! their names begin with `:_`:
//!
//! ```text
//! [:_fm_:network:http://mirror.example]   where the record with this very `ts` was measured
//! ts=1790000000
//! network=...
//! address=192.0.2.7                         only if other names led to it, too
//!
//! [:_fm_:outcome:http://other.example]    for an hour: refused, unreachable, unresolved, or
//! ts=1790000000                           silent, for at least so many seconds, or
//! outcome=silent                          detoured, with `latency=` instead of `waited=`
//! waited=0.25
//! network=...
//!
//! [:_fm_:]                                the seed that is kept for a while, and when it was drawn
//! seed=1234
//! drawn=1790000000
//! ```
#![forbid(unsafe_code)]

use super::groups::{
    self, ADDRESS, DRAWN, GroupKind, GroupValues, HEADER, KEYS, LATENCY, NETWORK, NOT_A_RECORD,
};
use super::groups::{NoteValues, OUTCOME, OWN, RecordName, SEED, Service, TS, VERSION};
use super::history::DownloadRecords;
use super::keyfile::{self, Group, Item, KeyFile, Malformed};
use super::policy::{self, Fact, Recalled, Remembered};
use super::{history, number};
use crate::history::LearnedDownloads;
use crate::network::Network;
use crate::url::{Endpoint, Mirror};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// No cache gets as large as this. A larger file is something else, and is left alone.
pub(super) const MAX_SIZE: usize = 8 << 20;
/// The size up to which we let it grow, so that it stays readable.
const MAX_WRITTEN: usize = MAX_SIZE / 2;
/// What a run may add to a file that has grown that large: enough for the mirrors of a usual list.
/// Otherwise nothing new would be remembered until the records in the file are outdated. The next
/// run makes room.
const MIN_ROOM: usize = MAX_WRITTEN / 32;
/// A record and the note on its network, or the note on an outcome, have at most this many bytes
/// besides the name, which a record and its note have twice.
const MAX_VALUES: usize = 160;

/// Why a file is not a cache, or not one that can be read. librepo would not read it either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotACache {
    TooLarge,
    Malformed(Malformed),
    NoHeader,
    OtherVersion,
}

impl fmt::Display for NotACache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotACache::TooLarge => write!(f, "it is larger than {MAX_SIZE} bytes"),
            NotACache::Malformed(malformed) => malformed.fmt(f),
            NotACache::NoHeader => f.write_str("it has no group [:_librepo_:]"),
            NotACache::OtherVersion => f.write_str("its version is not 1"),
        }
    }
}

/// What a file says that counts in this run.
#[derive(Debug, Default)]
pub(crate) struct Records {
    facts: HashMap<Endpoint, Fact>,
    /// The addresses of endpoints that share theirs with other names.
    shared_addresses: HashMap<Endpoint, IpAddr>,
    seed: Option<(u64, i64)>,
    /// When it was read.
    now: i64,
}

impl Records {
    /// What is remembered of an endpoint, under any spelling and protocol that leads to it.
    pub(crate) fn recall(&self, endpoint: &Endpoint) -> Option<Recalled> {
        self.facts.get(endpoint).map(|fact| fact.recalled(self.now))
    }

    /// Returns the address of an endpoint that shared it with other names when it was measured.
    pub(crate) fn shared_address(&self, endpoint: &Endpoint) -> Option<IpAddr> {
        self.shared_addresses.get(endpoint).copied()
    }

    /// As [`recall`](Records::recall), without the age.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn get(&self, endpoint: &Endpoint) -> Option<Remembered> {
        self.recall(endpoint).map(|recalled| recalled.remembered)
    }

    /// The number of endpoints of which something is remembered.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The seed that this machine keeps, if it was drawn less than this long ago.
    pub(crate) fn seed(&self, rotate_every: Duration, now: SystemTime) -> Option<u64> {
        let (seed, drawn) = self.seed?;
        policy::seed_is_fresh(drawn, unix_seconds(now), rotate_every).then_some(seed)
    }
}

/// Reads a file; latencies count up to `max_age`.
///
/// # Errors
/// If it is not a cache.
pub(crate) fn read(
    text: &[u8],
    now: SystemTime,
    network: Option<&Network>,
    max_age: Duration,
) -> Result<Records, NotACache> {
    let now = unix_seconds(now);
    let max_age = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
    let groups = read_groups(text)?;
    // A record of ours has two groups: itself, and the note on its network.
    let mut facts: HashMap<Endpoint, Fact> = HashMap::with_capacity(groups.len() / 2);
    let mut shared_addresses = HashMap::new();
    for (&(kind, name), values) in &groups {
        let fact = match kind {
            GroupKind::Record if !name.starts_with(NOT_A_RECORD) => values.latency(),
            GroupKind::OutcomeNote => values.outcome(),
            GroupKind::Record | GroupKind::NetworkNote => None,
        };
        let Some(fact) = fact.filter(|fact| fact.counts(now, max_age)) else { continue };
        let note = match kind {
            // A note of another time is about an older record: librepo renews records, but not
            // notes.
            GroupKind::Record => {
                groups.get(&(GroupKind::NetworkNote, name)).filter(|note| note.ts == Some(fact.at))
            }
            GroupKind::NetworkNote | GroupKind::OutcomeNote => Some(values),
        };
        if !policy::counts_in(note.and_then(GroupValues::network), network) {
            continue;
        }
        let Mirror::Remote(_, endpoint) = RecordName::mirror(name) else { continue };
        if let Some(address) = note.and_then(GroupValues::shared_address) {
            shared_addresses.insert(endpoint.clone(), address);
        }
        let known = facts.entry(endpoint).or_insert(fact);
        if fact.beats(known) {
            *known = fact;
        }
    }
    let seed = groups.get(&(GroupKind::Record, OWN)).and_then(GroupValues::seed);
    Ok(Records { facts, shared_addresses, seed, now })
}

/// The groups of a file with their values. This is enough for reading; changing takes a
/// [`KeyFile`].
fn read_groups(text: &[u8]) -> Result<HashMap<(GroupKind, &[u8]), GroupValues<'_>>, NotACache> {
    /// The length of a group that we write, roughly.
    const TYPICAL: usize = 100;
    let text = check_size_and_end(text)?;
    let mut groups = HashMap::with_capacity(text.len() / TYPICAL);
    // No pair comes before the first group: that would be an error.
    let mut values = &mut GroupValues::default();
    for item in keyfile::items(text) {
        match item.map_err(NotACache::Malformed)? {
            Item::Group(name) => values = groups.entry(GroupKind::of(name)).or_default(),
            Item::Pair(key, value) => values.set(key, value),
        }
    }
    check_header(groups.get(&(GroupKind::Record, HEADER)))?;
    Ok(groups)
}

pub(super) fn parse(text: &[u8]) -> Result<KeyFile<'_>, NotACache> {
    let file = KeyFile::parse(check_size_and_end(text)?).map_err(NotACache::Malformed)?;
    check_header(values(&file, HEADER).as_ref())?;
    Ok(file)
}

fn values<'f>(file: &'f KeyFile<'_>, group: &[u8]) -> Option<GroupValues<'f>> {
    file.group(group).map(GroupValues::of)
}

fn check_header(header: Option<&GroupValues<'_>>) -> Result<(), NotACache> {
    match header.ok_or(NotACache::NoHeader)?.version() {
        Some(1) => Ok(()),
        // librepo takes a missing version for 0.
        _ => Err(NotACache::OtherVersion),
    }
}

/// Returns the text without what another process has not finished writing.
fn check_size_and_end(text: &[u8]) -> Result<&[u8], NotACache> {
    if text.len() > MAX_SIZE { Err(NotACache::TooLarge) } else { Ok(without_cut_line(text)) }
}

/// librepo writes the file in place, so a reader may see half of it. A last line without a line
/// break may be half a number, or half of anything. It is left out if librepo or this crate may
/// have begun it.
fn without_cut_line(text: &[u8]) -> &[u8] {
    let start = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let (whole, last) = text.split_at(start);
    let cut = match keyfile::key_of(last) {
        Some(key) => KEYS.iter().any(|own| own.as_bytes() == key),
        None => !keyfile::is_valid(last),
    };
    if cut { whole } else { text }
}

/// A seed to keep, and for how long. One in the file that is fresh stays, since other processes use
/// it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeptSeed {
    pub(crate) seed: u64,
    pub(crate) rotate_every: Duration,
}

/// What a run has learned: one fact for each endpoint and protocol, under the first of the names
/// that the run has for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Learned(Vec<(RecordName, Remembered)>);

impl FromIterator<(RecordName, Remembered)> for Learned {
    fn from_iter<T: IntoIterator<Item = (RecordName, Remembered)>>(learned: T) -> Learned {
        let mut seen: HashSet<Service> = HashSet::new();
        let mut facts = Vec::new();
        for (name, remembered) in learned {
            if !seen.contains(name.service()) {
                seen.insert(name.service().clone());
                facts.push((name, remembered));
            }
        }
        Learned(facts)
    }
}

impl IntoIterator for Learned {
    type Item = (RecordName, Remembered);
    type IntoIter = std::vec::IntoIter<(RecordName, Remembered)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Learned {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The facts without the names.
    pub(super) fn facts(&self) -> impl Iterator<Item = Remembered> {
        self.0.iter().map(|(_, remembered)| *remembered)
    }
}

/// Returns the file as it is after a run. A file that is not a cache is replaced, as by librepo;
/// then the reason is returned as well. Takes time in proportion to the file and to what was
/// learned.
pub(crate) fn merge(
    text: &[u8],
    now: SystemTime,
    network: Option<&Network>,
    learned: &Learned,
    seed: Option<KeptSeed>,
) -> (Vec<u8>, Option<NotACache>) {
    let now = unix_seconds(now);
    let (mut file, problem) = parse_or_begin(text);
    hide_passwords(&mut file, now);
    let learned: &[_] = if policy::any_answered(learned.facts()) { &learned.0 } else { &[] };
    let in_file = names_in_file(&file, learned);
    let (known, new): (Vec<_>, Vec<_>) =
        learned.iter().partition(|(name, _)| in_file.contains_key(name.service()));
    for (name, remembered) in known {
        apply(&mut file, name, &in_file[name.service()], *remembered, now, network);
    }
    if let Some(KeptSeed { seed, rotate_every }) = seed {
        let in_file = values(&file, OWN).and_then(|values| values.seed());
        if !in_file.is_some_and(|(_, drawn)| policy::seed_is_fresh(drawn, now, rotate_every)) {
            file.set(OWN, SEED, &seed.to_string());
            file.set(OWN, DRAWN, &now.to_string());
        }
    }
    drop_outdated(&mut file, now);
    if file.text_len() > MAX_WRITTEN {
        drop_older_half(&mut file, now);
    }
    // A list of many endpoints must not push out what is known of those of other lists, so what is
    // new comes last, as far as there is room.
    let mut room = MAX_WRITTEN.saturating_sub(file.text_len()).max(MIN_ROOM);
    for (name, remembered) in new {
        let Some(rest) = room.checked_sub(2 * name.as_bytes().len() + MAX_VALUES) else { break };
        room = rest;
        apply(&mut file, name, &[], *remembered, now, network);
    }
    (file.to_bytes(), problem)
}

/// Returns the file as it is after downloads. Otherwise as [`merge`].
pub(crate) fn merge_downloads(
    text: &[u8],
    now: SystemTime,
    network: &Network,
    learned: &LearnedDownloads,
    process: u32,
) -> (Vec<u8>, Option<NotACache>) {
    let now = unix_seconds(now);
    let (mut file, problem) = parse_or_begin(text);
    hide_passwords(&mut file, now);
    history::add(&mut file, learned, now, network, process);
    drop_outdated(&mut file, now);
    (file.to_bytes(), problem)
}

/// Reads a file to change it. One that is not a cache is replaced by a new one; then the reason is
/// returned as well, unless it is empty.
fn parse_or_begin(text: &[u8]) -> (KeyFile<'_>, Option<NotACache>) {
    match parse(text) {
        Ok(file) => (file, None),
        Err(why) => {
            let mut file = KeyFile::default();
            file.set(HEADER, VERSION, "1");
            (file, if text.is_empty() { None } else { Some(why) })
        }
    }
}

/// Reads what downloads have shown.
///
/// # Errors
/// If it is not a cache.
pub(crate) fn read_downloads(
    text: &[u8],
    now: SystemTime,
    network: &Network,
) -> Result<DownloadRecords, NotACache> {
    let text = check_size_and_end(text)?;
    history::read(text, unix_seconds(now), network).map_err(NotACache::Malformed)
}

/// The names under which the file has records of, or notes on, what was learned about. A name may
/// be there twice.
fn names_in_file<'l>(
    file: &KeyFile<'_>,
    learned: &'l [(RecordName, Remembered)],
) -> HashMap<&'l Service, Vec<Vec<u8>>> {
    let services: HashSet<&Service> = learned.iter().map(|(name, _)| name.service()).collect();
    let mut names: HashMap<&Service, Vec<Vec<u8>>> = HashMap::new();
    if services.is_empty() {
        return names;
    }
    for group in file.groups() {
        let (kind, name) = GroupKind::of(group.name);
        let is_with_record = kind != GroupKind::Record && file.has(name);
        if name.starts_with(NOT_A_RECORD) || is_with_record {
            continue;
        }
        let Some(service) = Service::of(name) else { continue };
        if let Some(service) = services.get(&service) {
            names.entry(service).or_default().push(name.to_vec());
        }
    }
    names
}

/// Writes what was learned of one endpoint, under a name of this run. `in_file` are the names of
/// the same endpoint and protocol in the file; a record under one of them is replaced.
fn apply(
    file: &mut KeyFile<'_>,
    name: &RecordName,
    in_file: &[Vec<u8>],
    learned: Remembered,
    now: i64,
    network: Option<&Network>,
) {
    let is_newer = |fact: Option<Fact>| fact.is_some_and(|fact| fact.is_newer_than_run(now));
    let another_was_newer = in_file.iter().any(|name| {
        is_newer(values(file, name).and_then(|values| values.latency()))
            || is_newer(values(file, &groups::outcome_note(name)).and_then(|values| values.outcome()))
    });
    if another_was_newer || !policy::is_believable(learned) {
        return;
    }
    let (shared_address, name) = (name.shared_address(), name.as_bytes());
    for old in in_file {
        // Our own note is removed too, so that nothing of an older outcome stays in it.
        file.remove(&groups::outcome_note(old));
        match learned {
            Remembered::Latency(_) if old != name => {
                file.remove(old);
                file.remove(&groups::network_note(old));
            }
            Remembered::Detoured(_) => remove_own_record(file, old),
            _ => {}
        }
    }
    let (network_note, outcome_note) = (groups::network_note(name), groups::outcome_note(name));
    let ts = now.to_string();
    let network = network.map(|network| network.to_text());
    if let Remembered::Latency(latency) = learned {
        file.set(name, TS, &ts);
        file.set(name, LATENCY, &number::format_double(latency.as_secs_f64()));
        // Whole, so that no older address stays in it.
        if shared_address.is_none()
            && values(file, &network_note).and_then(|it| it.shared_address()).is_some()
        {
            file.remove(&network_note);
        }
        match network {
            Some(network) => {
                file.set(&network_note, TS, &ts);
                file.set(&network_note, NETWORK, &network);
                if let Some(address) = shared_address {
                    file.set(&network_note, ADDRESS, &address.to_string());
                }
            }
            None => file.remove(&network_note),
        }
    } else if let Some(NoteValues { outcome, time }) = NoteValues::of(learned) {
        file.set(&outcome_note, TS, &ts);
        file.set(&outcome_note, OUTCOME, outcome);
        if let Some((key, time)) = time {
            file.set(&outcome_note, key, &number::format_double(time.as_secs_f64()));
        }
        if let Some(network) = network {
            file.set(&outcome_note, NETWORK, &network);
        }
    }
}

/// Removes the record of a latency, if it is ours: then a note on its network belongs to it.
fn remove_own_record(file: &mut KeyFile<'_>, name: &[u8]) {
    let note = groups::network_note(name);
    let ts = |group| values(file, group).and_then(|values| values.ts);
    if ts(&note).is_some() && ts(&note) == ts(name) {
        file.remove(name);
        file.remove(&note);
    }
}

/// Removes user names and passwords, which librepo keeps in the names of its records. The latency
/// in such a record is kept under a name without them, if it is of any use here.
pub(super) fn hide_passwords(file: &mut KeyFile<'_>, now: i64) {
    let secret: Vec<Vec<u8>> = file
        .groups()
        .map(|group| group.name)
        .filter(|name| name.contains(&b'@'))
        .map(<[u8]>::to_vec)
        .collect();
    // The newest for each name, so that the group under it is read and changed once: it may be as
    // large as the file.
    let mut newest: BTreeMap<Vec<u8>, (i64, Duration)> = BTreeMap::new();
    for group in secret {
        let (kind, name) = GroupKind::of(&group);
        let Mirror::Remote(protocol, endpoint) = RecordName::mirror(name) else {
            // Another protocol, or a password that makes it no URL. librepo measures that anew.
            if !name.starts_with(NOT_A_RECORD) {
                file.remove(&group);
            }
            continue;
        };
        let latency = values(file, &group).and_then(|values| values.latency());
        if let (GroupKind::Record, Some(Fact { at, remembered: Remembered::Latency(latency) })) =
            (kind, latency)
        {
            if policy::record_is_kept(at, now) {
                let clean = RecordName::canonical(protocol, endpoint).as_bytes().to_vec();
                let known = newest.entry(clean).or_insert((at, latency));
                if known.0 < at {
                    *known = (at, latency);
                }
            }
        }
        file.remove(&group);
    }
    for (clean, (at, latency)) in newest {
        let known = values(file, &clean).and_then(|values| values.latency());
        if known.is_none_or(|known| known.at < at) {
            file.set(&clean, TS, &at.to_string());
            file.set(&clean, LATENCY, &number::format_double(latency.as_secs_f64()));
        }
    }
}

/// Removes old records, as librepo does, records from the future, and notes that no longer count or
/// no longer belong to anything. Unlike librepo it leaves groups alone that have no time and are
/// not about a mirror.
fn drop_outdated(file: &mut KeyFile<'_>, now: i64) {
    let is_kept = |group: &Group<'_>| {
        let of_group = GroupValues::of(*group);
        let of_record = |name| values(file, name);
        match GroupKind::of(group.name) {
            (GroupKind::NetworkNote, name) => of_record(name)
                .and_then(|record| record.ts)
                .is_some_and(|at| of_group.ts == Some(at) && policy::record_is_kept(at, now)),
            (GroupKind::OutcomeNote, name) => of_group.outcome().is_some_and(|note| {
                let latency = of_record(name).and_then(|record| record.latency());
                policy::note_is_kept(&note, latency.as_ref(), now)
            }),
            (GroupKind::Record, name) if name.starts_with(NOT_A_RECORD) => true,
            (GroupKind::Record, name) => match of_group.ts {
                Some(at) => policy::record_is_kept(at, now),
                None => matches!(RecordName::mirror(name), Mirror::Unsupported),
            },
        }
    };
    let outdated: Vec<Vec<u8>> =
        file.groups().filter(|group| !is_kept(group)).map(|group| group.name.to_vec()).collect();
    for group in outdated {
        file.remove(&group);
    }
    history::drop_outdated(file, now);
}

/// Removes the older half of the records and of the notes on outcomes from a file that has grown
/// too large, but none of this run's.
fn drop_older_half(file: &mut KeyFile<'_>, now: i64) {
    let is_dropped = |group: &Group<'_>| match GroupKind::of(group.name) {
        (GroupKind::Record, name) => !name.starts_with(NOT_A_RECORD),
        (GroupKind::OutcomeNote, _) => true,
        (GroupKind::NetworkNote, _) => false,
    };
    let mut dated: Vec<(i64, Vec<u8>)> = file
        .groups()
        .filter(is_dropped)
        .filter_map(|group| Some((GroupValues::of(group).ts?, group.name.to_vec())))
        .collect();
    dated.sort_unstable();
    dated.truncate(dated.len().div_ceil(2));
    for (_, group) in dated.iter().filter(|(at, _)| *at < now) {
        file.remove(&groups::network_note(group));
        file.remove(group);
    }
}

pub(super) fn unix_seconds(time: SystemTime) -> i64 {
    let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole(since),
        Err(before) => -whole(before.duration()),
    }
}

#[cfg(test)]
mod tests;
