//! The C interface: checks and copies arguments, calls the ranker, writes results; no logic of its
//! own.
//!
//! Its contract and the description of each function are in `include/fastestmirror.h`, which
//! cbindgen makes from these files.
//!
//! # Safety
//! A C caller's pointers are what the header asks for: NULL or valid where it says so, strings that
//! end in NUL, arrays of the length passed beside them, objects that came from here and were not
//! freed. Each `unsafe` function relies on that ("the caller's promise").
#![allow(non_camel_case_types)] // The names are C's.
#![allow(rustdoc::broken_intra_doc_links)] // The comments are written for readers of the header.
#![allow(clippy::missing_safety_doc)] // The promise is stated above, once.

mod cache;
mod callbacks;
mod history;
mod options;
mod ranker;
mod ranking;
mod reason;
mod status;

pub use cache::*;
pub use callbacks::*;
pub use history::*;
pub use options::*;
pub use ranker::*;
pub use ranking::*;
pub use reason::{
    fm_filter, fm_ranking_filter, fm_ranking_limit, fm_ranking_reason, fm_ranking_tried, fm_reason, fm_tried,
};
pub use status::{fm_status, fm_status_text, fm_version};
