//! What downloads have shown, in the text of a cache file. Text, time and network in, text out.
//!
//! ```text
//! [:_fm_:speed:mirror.example]            its speeds, the newest last: when, how many bytes per
//! speeds=1790000000 6250000 5f3a 1a-0     second, a number of the process, the network; with a
//!                                         semicolon between two
//!
//! [:_fm_:trouble:mirror.example]          a download broke off, in this network
//! ts=1790000000
//! trouble=broken
//! network=1a-0
//!
//! [:_fm_:trouble:mirror.example/0123456789abcdef]   a repository, by a hash of its path, lacks
//! ts=1790000000                                     files or has old ones
//! trouble=missing
//! ```
//!
//! librepo preserves these groups because their names begin with `:_`. There are never more than
//! [`MAX_SPEEDS`] and [`MAX_TROUBLES`] of them; the newest stay. Trouble is removed after an hour,
//! speeds are after 60 days.
#![forbid(unsafe_code)]

use super::groups::{NETWORK, SPEEDS, TROUBLE, TS};
use super::keyfile::{self, Group, Item, KeyFile, Malformed};
use super::{number, policy};
use crate::history::{self, Demotion, Evidence, LearnedDownloads, Observation, Site, Trouble};
use crate::network::Network;
use crate::options::{HostChars, Pattern};
use crate::url::{Host, Mirror};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::Ipv6Addr;

const SPEED: &[u8] = b":_fm_:speed:";
const TROUBLE_OF: &[u8] = b":_fm_:trouble:";

/// Of so many hosts speeds are kept.
pub(super) const MAX_SPEEDS: usize = 128;
/// So many troubles are kept, of hosts and of repositories on hosts.
pub(super) const MAX_TROUBLES: usize = 256;

/// What a file says of downloads that counts at a time and in a network.
#[derive(Debug, Default)]
pub(crate) struct DownloadRecords {
    troubles: HashMap<Vec<u8>, (i64, Trouble)>,
    speeds: HashMap<Vec<u8>, Vec<Observation>>,
    now: i64,
    here: Network,
}

impl DownloadRecords {
    /// Returns why a mirror is in trouble, if it is. Of a host and a repository on it the newer
    /// trouble counts.
    pub(crate) fn trouble(&self, url: &str) -> Option<Demotion> {
        let site = Site::of(url)?;
        let of_host = self.troubles.get(host_name(&site.host).as_bytes());
        let of_site = self.troubles.get(site_name(&site).as_bytes());
        let &(at, trouble) = of_host.into_iter().chain(of_site).max_by_key(|(at, _)| *at)?;
        Some(trouble.demotion(policy::age(at, self.now)))
    }

    /// Returns whether any mirror is in trouble.
    pub(crate) fn has_troubles(&self) -> bool {
        !self.troubles.is_empty()
    }

    /// Returns whether the speed of any host is known.
    pub(crate) fn has_speeds(&self) -> bool {
        !self.speeds.is_empty()
    }

    /// Returns the speeds of a host.
    pub(crate) fn observations(&self, host: &Host) -> &[Observation] {
        self.speeds.get(host_name(host).as_bytes()).map_or(&[], |it| it)
    }

    /// Weighs speeds of one host.
    pub(crate) fn evidence(&self, observations: &[Observation], spread: f64) -> Option<Evidence> {
        Evidence::of(observations, &self.here, self.now, spread)
    }
}

/// Reads a file that is a cache.
///
/// # Errors
/// If GLib would not read it.
pub(super) fn read(text: &[u8], now: i64, here: &Network) -> Result<DownloadRecords, Malformed> {
    let mut groups: HashMap<Name<'_>, Values<'_>> = HashMap::new();
    let mut current = None;
    for item in keyfile::items(text) {
        match item? {
            Item::Group(group) => current = Name::of(group),
            Item::Pair(key, value) => {
                if let Some(name) = current {
                    groups.entry(name).or_default().set(key, value);
                }
            }
        }
    }
    let mut records = DownloadRecords { now, here: *here, ..DownloadRecords::default() };
    for (name, values) in groups {
        match name {
            Name::Speed(host) => {
                let speeds = values.observations(now);
                if !speeds.is_empty() {
                    records.speeds.insert(host.to_vec(), speeds);
                }
            }
            Name::Trouble(site) => {
                let trouble = values.trouble(now);
                if let Some((at, trouble)) =
                    trouble.filter(|_| !values.network.is_some_and(|it| it.differs(here)))
                {
                    records.troubles.insert(site.to_vec(), (at, trouble));
                }
            }
        }
    }
    Ok(records)
}

/// Writes what a run has learned.
pub(super) fn add(
    file: &mut KeyFile<'_>,
    learned: &LearnedDownloads,
    now: i64,
    here: &Network,
    process: u32,
) {
    for (host, speed) in &learned.speeds {
        let group = [SPEED, host_name(host).as_bytes()].concat();
        let mut observations =
            file.group(&group).map_or(Vec::new(), |group| Values::of(group).observations(now));
        history::remember(&mut observations, Observation { at: now, speed: *speed, process, network: *here });
        let text: Vec<String> = observations.iter().map(observation_text).collect();
        file.set(&group, SPEEDS, &text.join(";"));
    }
    let broken = learned.broken.iter().map(|host| (host_name(host), Trouble::Broken));
    let others = learned.troubles.iter().map(|(site, trouble)| (site_name(site), *trouble));
    for (name, trouble) in broken.chain(others) {
        let group = [TROUBLE_OF, name.as_bytes()].concat();
        file.remove(&group);
        file.set(&group, TS, &now.to_string());
        file.set(&group, TROUBLE, trouble.name());
        if trouble == Trouble::Broken {
            file.set(&group, NETWORK, &here.to_text());
        }
    }
}

/// Removes what no longer counts, what is not ours, and the oldest of what is too much.
pub(super) fn drop_outdated(file: &mut KeyFile<'_>, now: i64) {
    let (mut speeds, mut troubles, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    for group in file.groups() {
        let Some(name) = Name::of(group.name) else { continue };
        let (kept, values) = (group.name.to_vec(), Values::of(group));
        let newest = |observations: Vec<Observation>| observations.last().map(|it| it.at);
        match name {
            _ if name.host().is_none() => dropped.push(kept),
            Name::Speed(_) => match newest(values.observations(now)) {
                Some(at) => speeds.push((Reverse(at), kept)),
                None => dropped.push(kept),
            },
            Name::Trouble(_) => match values.trouble(now) {
                Some((at, _)) => troubles.push((Reverse(at), kept)),
                None => dropped.push(kept),
            },
        }
    }
    for (mut groups, most) in [(speeds, MAX_SPEEDS), (troubles, MAX_TROUBLES)] {
        if groups.len() > most {
            groups.sort_unstable();
            dropped.extend(groups.drain(most..).map(|(_, group)| group));
        }
    }
    for group in dropped {
        file.remove(&group);
    }
}

/// Whether a group is about downloads; if patterns are given, about a host that matches one.
pub(super) fn is_of(group: &[u8], hosts: Option<&[Pattern]>) -> bool {
    let Some(name) = Name::of(group) else { return false };
    let Some(patterns) = hosts else { return true };
    name.host().is_some_and(|host| {
        let host = HostChars::new(&host);
        patterns.iter().any(|pattern| pattern.matches(&host))
    })
}

/// The name of a host in a group. That of an IPv6 address has no brackets, which the format cannot
/// hold.
fn host_name(host: &Host) -> String {
    host.to_string()
}

fn site_name(site: &Site) -> String {
    format!("{}/{:016x}", host_name(&site.host), site.path)
}

fn observation_text(it: &Observation) -> String {
    format!("{} {} {:x} {}", it.at, it.speed, it.process, it.network.to_text())
}

fn parse_observation(text: &str) -> Option<Observation> {
    let mut words = text.split(' ');
    let at = words.next()?.parse().ok()?;
    let speed = words.next()?.parse().ok().filter(|&speed: &u64| speed > 0)?;
    let process = u32::from_str_radix(words.next()?, 16).ok()?;
    let network = Network::from_text(words.next()?)?;
    Some(Observation { at, speed, process, network }).filter(|_| words.next().is_none())
}

/// What a group is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Name<'a> {
    Speed(&'a [u8]),
    Trouble(&'a [u8]),
}

impl<'a> Name<'a> {
    /// Returns none for a group that is not about downloads.
    fn of(group: &'a [u8]) -> Option<Name<'a>> {
        group
            .strip_prefix(SPEED)
            .map(Name::Speed)
            .or_else(|| group.strip_prefix(TROUBLE_OF).map(Name::Trouble))
    }

    /// Returns the host, if the name is one that we write.
    fn host(self) -> Option<Host> {
        let (name, has_path) = match self {
            Name::Speed(name) => (name, false),
            Name::Trouble(name) => (name, true),
        };
        let name = std::str::from_utf8(name).ok()?;
        let host = match name.split_once('/') {
            None => name,
            Some((host, path)) if has_path && path.len() == 16 => host,
            Some(_) => return None,
        };
        let url = match host.parse::<Ipv6Addr>() {
            Ok(address) => format!("http://[{address}]/"),
            Err(_) => format!("http://{host}/"),
        };
        let found = Mirror::parse(&url).host().cloned()?;
        (host_name(&found) == host).then_some(found)
    }
}

/// The values in a group.
#[derive(Debug, Default)]
struct Values<'a> {
    ts: Option<i64>,
    trouble: Option<Trouble>,
    network: Option<Network>,
    speeds: &'a [u8],
}

impl<'a> Values<'a> {
    fn of(group: Group<'a>) -> Values<'a> {
        let mut values = Values::default();
        for (key, value) in group.pairs() {
            values.set(key, value);
        }
        values
    }

    fn set(&mut self, key: &[u8], value: &'a [u8]) {
        match std::str::from_utf8(key) {
            Ok(TS) => self.ts = number::parse_int64(value),
            Ok(TROUBLE) => {
                self.trouble = Trouble::ALL.into_iter().find(|trouble| trouble.name().as_bytes() == value);
            }
            Ok(NETWORK) => self.network = std::str::from_utf8(value).ok().and_then(Network::from_text),
            Ok(SPEEDS) => self.speeds = value,
            _ => {}
        }
    }

    /// The trouble, if it still counts.
    fn trouble(&self, now: i64) -> Option<(i64, Trouble)> {
        self.ts.zip(self.trouble).filter(|&(at, _)| history::trouble_counts(at, now))
    }

    /// The observations that are kept, in the order of their times. A text that is too long is not
    /// ours, and so is not read to its end.
    fn observations(&self, now: i64) -> Vec<Observation> {
        let Ok(text) = std::str::from_utf8(self.speeds) else { return Vec::new() };
        let mut observations: Vec<Observation> = text
            .split(';')
            .take(history::OBSERVATIONS_KEPT)
            .filter_map(parse_observation)
            .filter(|it| history::observation_is_kept(it.at, now))
            .collect();
        observations.sort_by_key(|observation| observation.at);
        observations
    }
}

#[cfg(test)]
mod tests;
