//! Statuses, and the guard that keeps a panic on this side of the interface and silent.

use super::ranker::Inner;
use crate::probe::resolve;
use crate::ranker::Error;
use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

/// What a function returns.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_status {
    /// It worked.
    FM_OK = 0,
    /// A NULL pointer, a number out of its range, an unknown enum value. Of a call with a ranker, fm_ranker_error() names
    /// it.
    FM_INVALID_ARGUMENT = 1,
    /// The filters exclude every mirror.
    FM_ALL_EXCLUDED = 2,
    /// The system has no descriptor left to measure with.
    FM_SYSTEM = 3,
    /// The ranker is in use: by another thread, or by the call whose callback this is.
    FM_BUSY = 4,
    /// A defect of this library was caught.
    FM_INTERNAL = 5,
}
use fm_status::*;

/// Why a function failed: its status, and a message for people.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) fm_status, pub(crate) String);

impl Failed {
    #[cfg(feature = "librepo")]
    pub(crate) fn message(&self) -> &str {
        &self.1
    }

    pub(crate) fn argument(message: impl Into<String>) -> Failed {
        Failed(FM_INVALID_ARGUMENT, message.into())
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        let status = match error {
            Error::InvalidOption { .. } | Error::InvalidWeight { .. } => FM_INVALID_ARGUMENT,
            Error::AllExcluded { .. } => FM_ALL_EXCLUDED,
            Error::System(_) => FM_SYSTEM,
        };
        Failed(status, error.to_string())
    }
}

thread_local! {
    /// This thread is inside a call from C.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs the body of a function. A panic becomes `FM_INTERNAL` and prints nothing.
///
/// std prints a panic's message before anybody can catch it, so the first call replaces its hook by one that
/// stays silent for our threads. In the C libraries that std is a private copy; a Rust program that calls these
/// functions keeps its own hook for all other threads.
pub(crate) fn guard<T>(body: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    // No lock: another thread could be holding it in a fork. A second thread's first call may come a moment before the
    // hook is in place.
    static HOOKED: AtomicBool = AtomicBool::new(false);
    if !HOOKED.swap(true, SeqCst) {
        let other = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let ours = INSIDE.get() || thread::current().name() == Some(resolve::THREAD_NAME);
            if !ours {
                other(info);
            }
        }));
    }
    let before = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    INSIDE.set(before);
    result.unwrap_or_else(|panic| Err(Failed(FM_INTERNAL, message(panic))))
}

/// What a panic said. Its payload may panic in its turn when dropped, so it is left undropped.
fn message(panic: Box<dyn Any + Send>) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "without a message",
    };
    let text = format!("a defect of libfastestmirror was caught: {text}");
    std::mem::forget(panic);
    text
}

/// Turns a body's result into a status, and keeps its message in the ranker.
pub(crate) fn status(result: Result<(), Failed>, inner: &mut Inner) -> c_int {
    match result {
        Ok(()) => FM_OK as c_int,
        Err(Failed(status, message)) => {
            inner.set_error(message);
            status as c_int
        }
    }
}

/// What a status means, in a few words. Never NULL, never to be freed; an unknown status has a text too.
#[unsafe(no_mangle)]
pub extern "C" fn fm_status_text(status: c_int) -> *const c_char {
    let text: &CStr = match status {
        0 => c"success",
        1 => c"invalid argument",
        2 => c"the filters exclude every mirror",
        3 => c"the system has no descriptor left",
        4 => c"the ranker is in use",
        5 => c"a defect of libfastestmirror was caught",
        _ => c"unknown status",
    };
    text.as_ptr()
}

/// The version of the library, "MAJOR.MINOR.PATCH". Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn fm_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
