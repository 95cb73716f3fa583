//! The one door to the inside of the crate, for its benches and fuzz targets, and for the simulator
//! of the command. Not part of the interface: built only with the private feature `__internals`,
//! and changed without notice.
#![forbid(unsafe_code)]
#![allow(missing_docs, missing_debug_implementations)] // Each item is used in one place, which says why.

pub mod bench;
pub mod fleet;
pub mod fuzz;
