//! Decides in which order a package manager tries its mirrors.
//!
//! It measures the TCP connect latency of each mirror, shuffles those nearer than twice the best, so that they
//! share the load, and appends the rest by latency. [`Ranker`] does it all; [`Outcome`] and [`StopReason`] say what it
//! found.
//!
//! ```
//! let ranking = fastestmirror::Ranker::new().rank(["http://127.0.0.1:9/pub", "http://[::1]:9/pub"])?;
//! for mirror in &ranking.mirrors {
//!     println!("{:?} {}", mirror.outcome, mirror.url);
//! }
//! # Ok::<(), fastestmirror::Error>(())
//! ```
//!
//! What it promises:
//! - Every URL that goes in comes out exactly once, except those that a filter of the caller's excludes.
//! - A mirror gets at most two connection attempts in a run, and not a byte on them.
//! - It never prints, exits, installs a handler or reads the environment, and leaves no descriptor and no thread
//!   behind, except of a name look-up that hangs.

mod cache;
#[doc(hidden)]
pub mod capi;
mod event;
mod fault;
mod filter;
#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod internals;
mod network;
mod outcome;
mod panic;
mod probe;
mod rank;
mod ranker;
mod ranking;
mod seed;
mod sys;
mod url;

pub use event::{Event, LogLevel, Progress};
pub use outcome::{Outcome, StopReason};
pub use panic::catch_panic;
pub use probe::Cancel;
pub use ranker::Ranker;
pub use ranking::{Candidate, Error, RankedMirror, Ranking};
pub use sys::Family;
pub use url::{Endpoint, Host, Mirror, Protocol};
