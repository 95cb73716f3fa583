//! What a function returns: a status, and a message for people that the ranker keeps.

use crate::panic::catch_panic;
use crate::ranking::Error;
use std::ffi::{CStr, c_char, c_int};

/// What a function returns.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_status {
    /// The call succeeded.
    FM_OK = 0,
    /// A NULL pointer, a number out of its range, or an unknown enum value. If the call has a
    /// ranker, fm_ranker_error() names the argument.
    FM_INVALID_ARGUMENT = 1,
    /// The filters exclude every mirror.
    FM_ALL_EXCLUDED = 2,
    /// The system has no file descriptor left to measure with, or no random numbers.
    FM_SYSTEM = 3,
    /// The ranker is in use: by another thread, or by the call that is calling this callback.
    FM_BUSY = 4,
    /// Internal error (a bug in this library), which was caught.
    FM_INTERNAL = 5,
    /// The cache does not exist, may not be read, or is no cache.
    FM_UNREADABLE_CACHE = 6,
    /// The cache cannot be written.
    FM_UNWRITABLE_CACHE = 7,
}
use fm_status::*;

/// Why a function failed: its status, and a message for people.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: fm_status,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn argument(message: impl Into<String>) -> Failure {
        Failure { status: FM_INVALID_ARGUMENT, message: message.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let status = match error {
            Error::InvalidOption { .. } | Error::InvalidWeight { .. } => FM_INVALID_ARGUMENT,
            Error::AllExcluded { .. } => FM_ALL_EXCLUDED,
            Error::System(_) => FM_SYSTEM,
            Error::UnreadableCache { .. } => FM_UNREADABLE_CACHE,
            Error::UnwritableCache { .. } => FM_UNWRITABLE_CACHE,
        };
        Failure { status, message: error.to_string() }
    }
}

/// Runs the body of a function. A panic becomes `FM_INTERNAL` and prints nothing.
pub(super) fn guard<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_panic(body).unwrap_or_else(|message| Err(Failure { status: FM_INTERNAL, message }))
}

/// Returns what a status means, in a few words. Never NULL, never to be freed; an unknown status
/// has a text too.
#[unsafe(no_mangle)]
pub extern "C" fn fm_status_text(status: c_int) -> *const c_char {
    let text: &CStr = match status {
        0 => c"success",
        1 => c"invalid argument",
        2 => c"the filters exclude every mirror",
        3 => c"the system has no file descriptor left, or no random numbers",
        4 => c"the ranker is in use",
        5 => c"internal error (a bug in libfastestmirror)",
        6 => c"the cache cannot be read, or is no cache",
        7 => c"the cache cannot be written",
        _ => c"unknown status",
    };
    text.as_ptr()
}

/// Returns the version of the library, "MAJOR.MINOR.PATCH". Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn fm_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
