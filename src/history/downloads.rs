//! What the reports of a run amount to: which failures are the fault of a mirror, and how fast each
//! host was. Pure: the time is an argument.
//!
//! A failure counts as the mirror's only if another host served the same repository *afterwards*: a
//! line that went down breaks all downloads, and a client with old metadata asks all mirrors for
//! files that none has any more. To show the latter, the other host must not lack files of that
//! repository itself, or have old ones. And a host that served a file after one broke off is not
//! broken.
//!
//! Which URLs belong to one repository only the caller knows. Those of which it says nothing count
//! as mirrors of one.
//!
//! The speed of a host is what it delivered of files of at least 1 MiB, over the time in which at
//! least one of their bodies was under way: several at once share its line, or the client's.
#![forbid(unsafe_code)]

use super::policy::{DownloadOutcome, Trouble};
use crate::url::{Host, Mirror, path};
use siphasher::sip::SipHasher24;
use std::collections::HashMap;
use std::hash::Hasher;

/// Smaller files say more about the way than about the mirror's speed, in bytes.
const LEAST_SIZE: u64 = 1 << 20;
/// The speeds that are believed, in bytes per second.
const SPEEDS: std::ops::RangeInclusive<f64> = 1.0..=1e12;
/// Mirrors that were reported after so many others are ignored.
const MAX_SITES: usize = 1024;
/// Of so many mirrors it is known to which repository they belong.
const MAX_NAMED: usize = 1 << 14;

/// A repository on a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Site {
    pub(crate) host: Host,
    /// A hash of the path, without slashes at its end. The path itself is not kept: it may hold
    /// anything, such as a token.
    pub(crate) path: u64,
}

impl Site {
    /// Returns what a mirror's URL leads to. User name, port, query and the like do not matter.
    pub(crate) fn of(url: &str) -> Option<Site> {
        let Mirror::Remote(_, endpoint) = Mirror::parse(url) else { return None };
        let mut hasher = SipHasher24::new();
        hasher.write(path(url).trim_matches('/').as_bytes());
        Some(Site { host: endpoint.host, path: hasher.finish() })
    }
}

/// What a run learned from downloads.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LearnedDownloads {
    /// The speed of each host, in bytes per second.
    pub(crate) speeds: Vec<(Host, u64)>,
    /// Hosts that broke off.
    pub(crate) broken: Vec<Host>,
    /// Repositories on hosts that lacked files, or had old ones.
    pub(crate) troubles: Vec<(Site, Trouble)>,
}

impl LearnedDownloads {
    pub(crate) fn is_empty(&self) -> bool {
        self.speeds.is_empty() && self.broken.is_empty() && self.troubles.is_empty()
    }
}

/// The reports of a run.
#[derive(Debug, Default)]
pub(super) struct Downloads {
    /// In the order of their first report.
    sites: Vec<SiteReports>,
    by_site: HashMap<Site, usize>,
    hosts: HashMap<Host, HostReports>,
    /// The repositories that the caller has named, by one of their mirrors.
    repositories: HashMap<Site, usize>,
    named: usize,
    /// How many reports there were. The number of a report stands for its time.
    count: u64,
}

#[derive(Debug)]
struct SiteReports {
    site: Site,
    served: Option<u64>,
    /// The last file that it lacked, or had an old version of.
    lacked: Option<(u64, Trouble)>,
    broke: Option<u64>,
}

#[derive(Debug, Default)]
struct HostReports {
    served: Option<u64>,
    bytes: u64,
    /// When bodies were under way, in seconds: apart from each other and ascending.
    busy: Vec<(f64, f64)>,
}

impl Downloads {
    /// Says that these URLs are mirrors of one repository.
    pub(super) fn repository(&mut self, urls: &[&str]) {
        self.named += 1;
        for site in urls.iter().filter_map(|url| Site::of(url)) {
            let number = self.named;
            if self.repositories.len() < MAX_NAMED || self.repositories.contains_key(&site) {
                self.repositories.insert(site, number);
            }
        }
    }

    /// Takes a report. `time` is how long the body took, and `now` when it ended, in seconds.
    pub(super) fn report(&mut self, url: &str, outcome: DownloadOutcome, bytes: u64, time: f64, now: f64) {
        let Some(site) = Site::of(url) else { return };
        let index = match self.by_site.get(&site) {
            Some(index) => *index,
            None if self.sites.len() >= MAX_SITES => return,
            None => {
                self.by_site.insert(site.clone(), self.sites.len());
                let site = site.clone();
                self.sites.push(SiteReports { site, served: None, lacked: None, broke: None });
                self.sites.len() - 1
            }
        };
        self.count += 1;
        let (reports, count) = (&mut self.sites[index], self.count);
        match outcome {
            DownloadOutcome::Ok => {
                reports.served = Some(count);
                let host = self.hosts.entry(site.host).or_default();
                host.served = Some(count);
                if bytes >= LEAST_SIZE && time > 0.0 && time.is_finite() {
                    host.bytes = host.bytes.saturating_add(bytes);
                    host.was_busy(now - time, now);
                }
            }
            DownloadOutcome::Missing => reports.lacked = Some((count, Trouble::Missing)),
            DownloadOutcome::Stale => reports.lacked = Some((count, Trouble::Stale)),
            DownloadOutcome::Broken => reports.broke = Some(count),
        }
    }

    /// Returns what the reports amount to.
    pub(super) fn learned(&self) -> LearnedDownloads {
        let mut learned = LearnedDownloads::default();
        let repositories: Vec<Option<usize>> =
            self.sites.iter().map(|it| self.repositories.get(&it.site).copied()).collect();
        for (reports, repository) in self.sites.iter().zip(&repositories) {
            if reports.lacked.is_none() && reports.broke.is_none() {
                continue;
            }
            let mut others = LastServed { any: None, whole: None };
            for (other, other_repository) in self.sites.iter().zip(&repositories) {
                if other_repository == repository && other.site.host != reports.site.host {
                    others.add(other);
                }
            }
            if let Some((_, trouble)) = reports.lacked.filter(|&(lacked, _)| others.whole > Some(lacked)) {
                learned.troubles.push((reports.site.clone(), trouble));
            }
            let host = &reports.site.host;
            let served = self.hosts.get(host).and_then(|host| host.served);
            let is_broken =
                reports.broke.is_some_and(|broke| others.any > Some(broke) && served < Some(broke));
            if is_broken && !learned.broken.contains(host) {
                learned.broken.push(host.clone());
            }
        }
        let mut speeds: Vec<_> =
            self.hosts.iter().filter_map(|(host, reports)| Some((host.clone(), reports.speed()?))).collect();
        speeds.sort_by_cached_key(|(host, _)| host.to_string());
        learned.speeds = speeds;
        learned
    }
}

/// When another host last served a repository.
struct LastServed {
    any: Option<u64>,
    /// The same, of hosts that were not found to lack files of it.
    whole: Option<u64>,
}

impl LastServed {
    fn add(&mut self, other: &SiteReports) {
        self.any = self.any.max(other.served);
        if other.lacked.is_none() {
            self.whole = self.whole.max(other.served);
        }
    }
}

impl HostReports {
    /// Adds a time in which a body was under way. Reports come when bodies end, so that only the
    /// last times can overlap it.
    fn was_busy(&mut self, mut start: f64, end: f64) {
        while let Some(&(last_start, _)) = self.busy.last().filter(|&&(_, last_end)| last_end >= start) {
            start = start.min(last_start);
            self.busy.pop();
        }
        self.busy.push((start, end));
    }

    fn speed(&self) -> Option<u64> {
        let time: f64 = self.busy.iter().map(|(start, end)| end - start).sum();
        let speed = self.bytes as f64 / time;
        // Also false for NaN.
        SPEEDS.contains(&speed).then_some(speed as u64)
    }
}

#[cfg(test)]
mod tests;
