//! The functions of the caller that a run calls: progress, log lines, the interrupt check.

use super::ranker::{fm_ranker, with_inner};
use crate::event::{Event, LogLevel};
use std::ffi::{CString, c_char, c_int, c_void};

/// The severity of a log line, for fm_log_fn.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_log_level {
    /// Of interest when looking for the reason of a choice.
    FM_LOG_DEBUG = 0,
    /// Something did not work as it should, and somebody may want to mend it.
    FM_LOG_WARNING = 1,
}

/// Called whenever more endpoints have an outcome: `completed` of `total`, which need not become
/// equal; `best` is the lowest latency so far in seconds, negative while there is none. As every
/// callback it may call fm_ranker_cancel(), and nothing else with this ranker; it must return (no
/// longjmp, no C++ exception).
pub type fm_progress_fn =
    Option<unsafe extern "C" fn(completed: usize, total: usize, best: f64, userdata: *mut c_void)>;

/// Called with each line for a log: `level` is an fm_log_level, `message` a string in UTF-8 without
/// a line end, a control character or a password, valid during the call.
pub type fm_log_fn =
    Option<unsafe extern "C" fn(level: c_int, message: *const c_char, userdata: *mut c_void)>;

/// Called at least every 20 ms while measuring. Measuring stops when it returns a value other than
/// 0, as with fm_ranker_cancel().
pub type fm_interrupt_fn = Option<unsafe extern "C" fn(userdata: *mut c_void) -> c_int>;

/// The caller's pointer that goes with a function of the caller's.
#[derive(Debug, Clone, Copy)]
struct Userdata(*mut c_void);

// SAFETY: the pointer is only handed back to the caller's function, on the thread that calls
// fm_rank(). Whether the ranker may be used in another thread than the one that set the callback is
// the caller's decision.
unsafe impl Send for Userdata {}

impl Userdata {
    /// A method, so that closures capture the whole value and not the pointer in it.
    fn pointer(self) -> *mut c_void {
        self.0
    }
}

/// The callbacks of a ranker that are called with events. The C caller keeps function and data
/// valid, and callable on the thread that ranks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Callbacks {
    progress: Option<(unsafe extern "C" fn(usize, usize, f64, *mut c_void), Userdata)>,
    log: Option<(unsafe extern "C" fn(c_int, *const c_char, *mut c_void), Userdata)>,
}

impl Callbacks {
    fn call(&self, event: &Event<'_>) {
        if let (Event::Progress(progress), Some((function, userdata))) = (event, self.progress) {
            let best = progress.best.map_or(-1.0, |best| best.as_secs_f64());
            // SAFETY: the function and its data are what the caller passed together.
            unsafe { function(progress.completed, progress.total, best, userdata.pointer()) };
        }
        if let Some((function, userdata)) = self.log {
            event.log(&mut |level, line| {
                let level = match level {
                    LogLevel::Warning => fm_log_level::FM_LOG_WARNING,
                    LogLevel::Debug => fm_log_level::FM_LOG_DEBUG,
                };
                // A log line holds no control character, and so no NUL.
                let line = CString::new(line).unwrap_or_default();
                // SAFETY: the function and its data are what the caller passed together.
                unsafe { function(level as c_int, line.as_ptr(), userdata.pointer()) };
            });
        }
    }
}

/// Changes the callbacks of a ranker, and makes the changed ones its observer.
///
/// # Safety
/// `ranker` is NULL or a valid ranker.
unsafe fn change(ranker: *mut fm_ranker, change: impl FnOnce(&mut Callbacks)) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_inner(ranker, |inner| {
            change(&mut inner.callbacks);
            let callbacks = inner.callbacks;
            if callbacks.progress.is_none() && callbacks.log.is_none() {
                inner.ranker.no_observer();
            } else {
                inner.ranker.observer(move |event| callbacks.call(event));
            }
            Ok(())
        })
    }
}

/// Sets the function that is called with progress, on the thread that called fm_rank(), or none
/// with NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_progress(
    ranker: *mut fm_ranker,
    progress: fm_progress_fn,
    userdata: *mut c_void,
) -> c_int {
    let progress = progress.map(|function| (function, Userdata(userdata)));
    // SAFETY: the caller's promise.
    unsafe { change(ranker, |callbacks| callbacks.progress = progress) }
}

/// Sets the function that is called with lines for a log, on the thread that called fm_rank(), or
/// none with NULL: what became of each mirror, why measuring stopped, and warnings about the cache.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_log(
    ranker: *mut fm_ranker,
    log: fm_log_fn,
    userdata: *mut c_void,
) -> c_int {
    let log = log.map(|function| (function, Userdata(userdata)));
    // SAFETY: the caller's promise.
    unsafe { change(ranker, |callbacks| callbacks.log = log) }
}

/// Sets the function that is asked whether to stop measuring, on the thread that called fm_rank(),
/// or none with NULL: for a flag that the program's own signal handler sets. Where the handler can
/// call fm_ranker_cancel(), that is quicker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_interrupt_check(
    ranker: *mut fm_ranker,
    check: fm_interrupt_fn,
    userdata: *mut c_void,
) -> c_int {
    let userdata = Userdata(userdata);
    // SAFETY: the caller's promise.
    unsafe {
        with_inner(ranker, |inner| {
            match check {
                // SAFETY: the function and its data are what the caller passed together.
                Some(check) => inner.ranker.interrupt_check(move || check(userdata.pointer()) != 0),
                None => inner.ranker.no_interrupt_check(),
            };
            Ok(())
        })
    }
}
