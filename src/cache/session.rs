//! One run's use of the cache: read at its beginning, written at its end.
#![forbid(unsafe_code)]

use super::file::{CacheFile, Status};
use super::groups::RecordName;
use super::history::DownloadRecords;
use super::policy::{Recalled, Remembered};
use super::records::{KeptSeed, Learned, Records};
use crate::history::HistoryUse;
use crate::network::{self, Network};
use crate::seed;
use crate::url::Endpoint;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The options of the cache.
#[derive(Debug, Clone)]
pub(crate) struct CacheOptions {
    /// The file; without one nothing is remembered.
    pub(crate) path: Option<PathBuf>,
    /// How old a latency may be.
    pub(crate) max_age: Duration,
    /// How long a seed is kept; with zero, none is.
    pub(crate) rotate_every: Duration,
}

impl Default for CacheOptions {
    fn default() -> CacheOptions {
        // The maximal age is that of librepo's LRO_FASTESTMIRRORMAXAGE.
        let max_age = Duration::from_secs(30 * 24 * 3600);
        CacheOptions { path: None, max_age, rotate_every: Duration::ZERO }
    }
}

/// The cache during one run, with what it contained at the beginning.
#[derive(Debug)]
pub(crate) struct CacheSession {
    file: Option<CacheFile>,
    now: SystemTime,
    network: Network,
    rotate_every: Duration,
    records: Records,
    downloads: DownloadRecords,
    /// Why nothing was read from the file.
    problem: Option<String>,
    /// Whether the reason is that the file does not exist yet.
    is_missing: bool,
}

impl CacheSession {
    /// Reads the file, if there is one, and of downloads what is used.
    pub(crate) fn open(options: &CacheOptions, history: HistoryUse, now: SystemTime) -> CacheSession {
        let mut session = CacheSession {
            file: options.path.as_deref().map(CacheFile::new),
            now,
            network: Network::default(),
            rotate_every: options.rotate_every,
            records: Records::default(),
            downloads: DownloadRecords::default(),
            problem: None,
            is_missing: false,
        };
        if let Some(file) = &session.file {
            session.network = network::here();
            let status = if history == HistoryUse::Off {
                let (records, status) = file.read(now, Some(&session.network), options.max_age);
                session.records = records;
                status
            } else {
                let (found, status) = file.read_with_downloads(now, &session.network, options.max_age);
                (session.records, session.downloads) = found;
                status
            };
            session.problem = status.problem();
            session.is_missing = matches!(status, Status::Missing { .. });
        }
        session
    }

    /// Why nothing was read from the file; a file that does not exist yet is a reason, too.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// What is remembered of an endpoint.
    pub(crate) fn recall(&self, endpoint: &Endpoint) -> Option<Recalled> {
        self.records.recall(endpoint)
    }

    /// The address of an endpoint that shared it with other names when it was measured.
    pub(crate) fn shared_address(&self, endpoint: &Endpoint) -> Option<IpAddr> {
        self.records.shared_address(endpoint)
    }

    /// What downloads have shown.
    pub(crate) fn downloads(&self) -> &DownloadRecords {
        &self.downloads
    }

    /// The seed of this run: the kept one, or a new one that is to be kept, or the process's.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn seed(&self) -> io::Result<(u64, Option<KeptSeed>)> {
        if self.rotate_every.is_zero() || self.file.is_none() {
            return Ok((seed::for_process()?, None));
        }
        match self.records.seed(self.rotate_every, self.now) {
            Some(seed) => Ok((seed, None)),
            None => {
                let seed = seed::fresh()?;
                Ok((seed, Some(KeptSeed { seed, rotate_every: self.rotate_every })))
            }
        }
    }

    /// Writes what was learned, and the seed to keep; returns the warnings about the cache.
    pub(crate) fn store(
        &self,
        learned: impl IntoIterator<Item = (RecordName, Remembered)>,
        seed: Option<KeptSeed>,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        // Every cache begins with a file that does not exist, so that is not worth a warning.
        if !self.is_missing {
            warnings.extend(self.problem.clone());
        }
        let Some(file) = &self.file else { return warnings };
        let mut learned: Learned = learned.into_iter().collect();
        if learned.is_empty() && seed.is_none() {
            return warnings;
        }
        // Identified again: by now the gateway's link-layer address is known. If the machine has
        // moved in the meantime, what was measured is true of neither network.
        let network = network::here();
        if network.differs(&self.network) {
            learned = Learned::default();
            warnings
                .push("the results of this run were not cached: the network changed while measuring".into());
        }
        let problem = file.write(self.now, Some(&network), learned, seed).problem();
        // Reading may have warned of the same.
        warnings.extend(problem.filter(|problem| self.problem.as_ref() != Some(problem)));
        warnings
    }
}
