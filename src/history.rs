//! What downloads show of a mirror and a handshake does not: that it hangs, lacks files, has old
//! ones, or is much slower than others.
//!
//! It is evidence beside the latency. It puts a mirror further back, never further in front, and
//! passes by itself. Each file may use those after it: `report` (what a program reports, from run
//! to cache), `downloads` (what the reports of a run amount to), `policy` (what counts, for how
//! long, and what follows).
#![forbid(unsafe_code)]

mod downloads;
mod policy;
mod report;

pub(crate) use downloads::{LearnedDownloads, Site};
pub use policy::{Demotion, DownloadOutcome, HistoryUse};
pub(crate) use policy::{Evidence, OBSERVATIONS_KEPT, Observation, Trouble, is_slow, remember, spread};
pub(crate) use policy::{observation_is_kept, trouble_counts};
pub use report::History;

#[cfg(test)]
mod simulation;
