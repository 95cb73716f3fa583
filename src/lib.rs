//! Decides in which order a package manager tries its mirrors, by TCP connect latency.
//!
//! [`Ranker`] takes URLs and returns a [`Ranking`]: local mirrors first, then the *pool* (every
//! host nearer than twice the best) in random order, so that its mirrors share the load, then all
//! others with a latency, nearest first (those last that a client reaches only after waiting for
//! another address, and those from which downloads have failed lately), then the mirrors that did
//! not reply or failed. Each URL comes out exactly once, except those that a filter excludes.
//!
//! ```
//! let urls = ["http://127.0.0.1:9/pub", "file:///srv/mirror"];
//! let ranking = fastestmirror::Ranker::new().rank(urls)?;
//! for mirror in &ranking.mirrors {
//!     println!("{} {}", mirror.outcome.name(), mirror.url);
//! }
//! # Ok::<(), fastestmirror::Error>(())
//! ```
//!
//! # How a run goes
//!
//! ```text
//! URLs --> mirrors, hosts --> cache? --> resolve --> schedule <--> connect
//!                               |         names,      when a SYN    sockets, the
//!                               |         on threads  leaves, when  kernel's
//!                               |                     to stop       times
//!                               v                        |
//!                            outcomes <------------------+
//!                               |
//!                               +--> cache!  (what this run has learned)
//!                               v
//!                             rank --> order
//! ```
//!
//! Each endpoint (host and port) is measured once, however many mirrors share it, by the time from
//! SYN to SYN-ACK that the kernel reports. Of several addresses the one counts that a client such
//! as curl reaches. No data is sent. An endpoint gets at most two connection attempts in a run, an
//! address at most eight.
//!
//! # What blocks
//!
//! [`Ranker::rank`] blocks until measuring stops: when every mirror has an outcome, when no
//! mirror that is still silent can belong to the pool, when nothing is heard any more, at the
//! timeout (2 s by default), or when it is cancelled; see [`StopReason`]. Name lookups run on
//! threads, since the system's resolver may hang; a lookup that does is left behind, and its
//! thread and a descriptor with it, until it returns. If another process is writing the cache,
//! a run waits for it for up to 100 ms.
//!
//! Callbacks run on the thread that called [`Ranker::rank`]. [`Cancel`] stops measuring from
//! another thread or from a signal handler.
//!
//! # What is remembered
//!
//! Nothing, unless [`Ranker::cache`] names a file. Then latencies count for 30 days
//! ([`Ranker::max_age`]); that a mirror refused, was unreachable, had no address or did not reply
//! in time, for an hour. The mirrors that would lead by what is remembered are asked again, unless
//! they were heard in the last ten minutes ([`Ranker::check_after`]). Records of another network do
//! not count. What a program reports of its downloads ([`History`]) is there too, and counts if
//! [`Ranker::history`] says so. The file has the format of librepo's own cache; neither user names
//! nor passwords are ever in it. A file that cannot be used is a warning in the [`Ranking`], never
//! an error.
//!
//! [`Ranker::read_cache`] shows what a file remembers, and [`Ranker::forget`] removes it. Why a
//! mirror stands where it stands is in the [`Ranking`] too: [`Ranking::tried`],
//! [`Ranking::recalled`], [`Ranking::limit`].
//!
//! The seed of the shuffle is fresh in every process and hour, unless [`Ranker::seed`] sets it
//! or [`Ranker::rotate_every`] keeps it in the cache. With one seed, two hosts of equal weight
//! stand in the same order in every list.
//!
//! # Side effects
//!
//! The library never prints, exits, installs a signal handler or reads the environment (the
//! system's resolver may).
//! If there is an error, the list as it was given is the order to use.
//!
//! # Platforms
//!
//! Linux, with 64-bit atomics. Tested on x86_64 with glibc; tried by hand on i686, and on
//! x86_64 with musl. Rust 1.85 or newer.

mod cache;
#[doc(hidden)]
pub mod capi;
mod event;
mod fault;
mod history;
mod hosts;
#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod internals;
mod list;
mod network;
mod options;
mod outcome;
mod panic;
mod probe;
mod rank;
mod ranker;
mod ranking;
mod run;
mod seed;
mod sys;
mod url;

pub use cache::{Cache, CacheNetwork, CacheRecord, CachedSeed, Recalled, Remembered};
pub use event::{Event, LogLevel, Progress};
pub use history::{Demotion, DownloadOutcome, History, HistoryUse};
pub use outcome::{Filter, Outcome, StopReason, TriedAddress};
pub use panic::catch_panic;
pub use probe::Cancel;
pub use rank::PoolOrder;
pub use ranker::Ranker;
pub use ranking::{Candidate, Error, RankedMirror, Ranking};
pub use url::{Endpoint, Family, Host, Mirror, Protocol};
