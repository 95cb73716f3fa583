//! What a run reports while it is under way, to the one observer that a caller may set.
#![forbid(unsafe_code)]

mod log;

use crate::ranking::Ranking;
use std::path::Path;
use std::time::Duration;

/// A step of a run, for the callback set with [`Ranker::observer`](crate::Ranker::observer).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The cache file was read. Sent only if there is a cache.
    CacheRead {
        /// The file's path.
        path: &'a Path,
        /// Why it could not be used, if so: one sentence. A file that does not exist yet is among
        /// the reasons.
        problem: Option<&'a str>,
    },
    /// Measuring is about to begin. Sent only if there is something to measure.
    Measuring {
        /// How many endpoints (host and port) will be measured.
        endpoints: usize,
    },
    /// More endpoints have an outcome.
    Progress(Progress),
    /// The run is over; this is its result. Sent last.
    Ranked(&'a Ranking),
}

/// How far measuring has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many endpoints have an outcome. Need not reach `total`.
    pub completed: usize,
    /// How many endpoints are measured in this run.
    pub total: usize,
    /// The lowest latency so far.
    pub best: Option<Duration>,
}

/// The severity of a line for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LogLevel {
    /// Of interest when looking for the reason of a choice.
    Debug,
    /// Something did not work as it should, and somebody may want to mend it.
    Warning,
}

impl Event<'_> {
    /// Passes the event to `write` as lines for a log, without line ends. There may be none.
    ///
    /// A user name and password before the host of a URL are left out, and control characters are
    /// replaced. Of a long result the first mirrors have a line each, in 100 lines at most, and the
    /// others are counted; a long URL is cut.
    pub fn log(&self, write: &mut dyn FnMut(LogLevel, &str)) {
        match self {
            Event::CacheRead { path, problem: None } => {
                log::write_line(write, LogLevel::Debug, &format!("read the cache {}", path.display()));
            }
            // A problem is among the warnings of the result.
            Event::CacheRead { problem: Some(_), .. } | Event::Progress(_) => {}
            Event::Measuring { endpoints } => {
                let s = if *endpoints == 1 { "" } else { "s" };
                log::write_line(write, LogLevel::Debug, &format!("measuring {endpoints} endpoint{s}"));
            }
            Event::Ranked(ranking) => log::write_ranking(write, ranking),
        }
    }
}
