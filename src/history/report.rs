//! `History`: what a program reports of its downloads, and writing it into the cache.
#![forbid(unsafe_code)]

use super::downloads::Downloads;
use super::policy::DownloadOutcome;
use crate::cache::CacheFile;
use crate::network::{self, Network};
use crate::seed;
use std::mem;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// What downloads show, reported by the program that makes them, for rankings that come after
/// ([`Ranker::history`](crate::Ranker::history)).
///
/// ```
/// use fastestmirror::{DownloadOutcome, History};
/// use std::time::Duration;
///
/// # let directory = std::env::temp_dir().join(format!("fastestmirror-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let mut history = History::new(&directory.join("mirrors.cache"));
/// let [a, b] = ["http://a.example/pub/os", "http://b.example/os"];
/// history.repository(&[a, b]);
/// history.report(a, DownloadOutcome::Missing, 0, Duration::ZERO);
/// history.report(b, DownloadOutcome::Ok, 30_000_000, Duration::from_secs(3));
/// if let Some(warning) = history.save() {
///     eprintln!("{warning}");
/// }
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct History {
    cache: CacheFile,
    downloads: Downloads,
    start: Instant,
    /// The network in which the first report was made.
    network: Option<Network>,
}

impl History {
    /// Begins with nothing, and opens nothing yet. A relative path counts from the directory that
    /// the process is in now.
    pub fn new(cache: &Path) -> History {
        History {
            cache: CacheFile::new(cache),
            downloads: Downloads::default(),
            start: Instant::now(),
            network: None,
        }
    }

    /// Says that these URLs are mirrors of one repository, the base URLs as in its list. A failure
    /// counts only if another mirror of the repository served a file afterwards. All mirrors of
    /// which nothing is said here count as those of one repository, which errs where several
    /// repositories are downloaded and one of them is out of date on the client.
    pub fn repository(&mut self, urls: &[&str]) {
        self.downloads.repository(urls);
    }

    /// Reports a download that ended just now. It is kept in memory, in the order of the reports.
    ///
    /// `url` is that of the mirror as in the list, to which the path of the file is added: its host
    /// and path identify the repository there. `bytes` and `time` are those of the body, without
    /// lookup, connection, TLS and the time to the first byte; they count for successful downloads
    /// of at least 1 MiB. Do not report a download that was cancelled, or that came from a cache;
    /// nor that a file is missing or stale before another mirror has served the same file: with old
    /// metadata no mirror has it.
    ///
    /// A URL that leads to no host is ignored.
    pub fn report(&mut self, url: &str, outcome: DownloadOutcome, bytes: u64, time: Duration) {
        self.network.get_or_insert_with(network::here);
        let now = self.start.elapsed().as_secs_f64();
        self.downloads.report(url, outcome, bytes, time.as_secs_f64(), now);
    }

    /// Writes what the reports amount to into the cache, and begins anew. If they show nothing, no
    /// file is touched. Returns a warning if it could not be written: one sentence. Waits for up to
    /// 100 ms for another process that is writing.
    ///
    /// All that a process writes within an hour counts as one run: of a host's speeds in it the
    /// last one is kept.
    pub fn save(&mut self) -> Option<String> {
        self.save_as(SystemTime::now(), seed::process_number())
    }

    /// Writes at this time, as a process of this number.
    pub(crate) fn save_as(&mut self, now: SystemTime, process: u32) -> Option<String> {
        let learned = mem::take(&mut self.downloads).learned();
        let begun_in = self.network.take().unwrap_or_default();
        if learned.is_empty() {
            return None;
        }
        let here = network::here();
        if here.differs(&begun_in) {
            return Some("nothing was learned from the downloads: the network changed meanwhile".into());
        }
        self.cache.write_downloads(now, &here, &learned, process).problem()
    }
}
