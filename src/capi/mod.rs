//! The C interface: checks and copies arguments, calls the ranker, writes results; no logic of its own.
//!
//! Its contract and the description of each function are in `include/fastestmirror.h`, which cbindgen makes from
//! these files.
//!
//! # Safety
//! A C caller's pointers are what the header asks for: NULL or valid where it says so, strings that end in NUL,
//! arrays of the length passed beside them, objects that came from here and were not freed. Each `unsafe` function
//! relies on that ("the caller's promise").
#![allow(non_camel_case_types)] // as C spells them
#![allow(rustdoc::broken_intra_doc_links)] // and are written for C readers
#![allow(clippy::missing_safety_doc)] // said above, once: the comments on functions are the header's

mod guard;
mod ranker;
mod ranking;

#[cfg(feature = "librepo")]
pub(crate) use guard::guard;
pub use guard::{fm_status, fm_status_text, fm_version};
pub use ranker::*;
pub use ranking::*;
