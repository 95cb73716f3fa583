//! What is remembered from run to run, in one file that librepo reads and writes too.
//!
//! The rest of the crate uses [`CacheSession`] and [`to_remember`]. Below them, each file may use
//! those after it: `session` (one run's use of the cache), `file` (the file system), `contents`
//! (the whole file, to look into), `records` (the text of the file), `history` (the groups in it
//! that are about downloads), `groups` and `keyfile` (its parts), `number`, `policy` (what is
//! remembered and for how long).
//!
//! Small functions that are called for each record of a file are `#[inline]`. Without it, reading
//! takes up to 5 % longer, depending on how the compiler happens to divide the crate.
#![forbid(unsafe_code)]

pub(crate) mod contents;
pub(crate) mod file;
mod groups;
mod history;
pub(crate) mod keyfile;
pub(crate) mod number;
pub(crate) mod policy;
pub(crate) mod records;
mod session;

pub use contents::{Cache, CacheNetwork, CacheRecord, CachedSeed};
pub(crate) use file::CacheFile;
pub(crate) use groups::RecordName;
pub(crate) use policy::{Finding, to_remember};
pub use policy::{Recalled, Remembered};
pub(crate) use records::KeptSeed;
pub(crate) use session::{CacheOptions, CacheSession};

#[cfg(test)]
mod tests;
