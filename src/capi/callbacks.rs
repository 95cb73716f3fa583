//! The functions of the caller that a run calls: progress, log lines, the interrupt check.

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

/// Called with `completed` 0 when measuring begins, and whenever more endpoints have an outcome:
/// `completed` of `total`, which need not become equal; `best` is the lowest latency so far in
/// seconds, negative while there is none. Not called if there is nothing to measure. As every
/// callback it may call fm_ranker_cancel(), and nothing else with this ranker; it must return (no
/// longjmp, no C++ exception).
pub type fm_progress_fn =
    Option<unsafe extern "C" fn(completed: usize, total: usize, best: f64, userdata: *mut c_void)>;

/// Called with each line for a log: `level` is an fm_log_level, `message` a string in UTF-8,
/// without line end or other control characters and without the user names and passwords of URLs,
/// valid during the call.
pub type fm_log_fn =
    Option<unsafe extern "C" fn(level: c_int, message: *const c_char, userdata: *mut c_void)>;

/// Called at least every 20 ms while measuring. Measuring stops when it returns a value other than
/// 0, as with fm_ranker_cancel().
pub type fm_interrupt_fn = Option<unsafe extern "C" fn(userdata: *mut c_void) -> c_int>;

/// The caller's pointer that goes with a function of the caller's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Userdata(pub(super) *mut c_void);

// SAFETY: the pointer is only handed back to the caller's function, on the thread that calls
// fm_rank(). Whether the ranker may be used in another thread than the one that set the callback is
// the caller's decision.
unsafe impl Send for Userdata {}

impl Userdata {
    /// A method, so that closures capture the whole value and not the pointer in it.
    pub(super) fn pointer(self) -> *mut c_void {
        self.0
    }
}

/// The callbacks of a ranker that are called with events. The C caller keeps function and data
/// valid, and callable on the thread that ranks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Callbacks {
    pub(super) progress: Option<(unsafe extern "C" fn(usize, usize, f64, *mut c_void), Userdata)>,
    pub(super) log: Option<(unsafe extern "C" fn(c_int, *const c_char, *mut c_void), Userdata)>,
}

impl Callbacks {
    pub(super) fn call(&self, event: &Event<'_>) {
        let progress = match event {
            Event::Measuring { endpoints } => Some((0, *endpoints, None)),
            Event::Progress(progress) => Some((progress.completed, progress.total, progress.best)),
            _ => None,
        };
        if let (Some((completed, total, best)), Some((function, userdata))) = (progress, self.progress) {
            let best = best.map_or(-1.0, |best| best.as_secs_f64());
            // SAFETY: the function and its data are what the caller passed together.
            unsafe { function(completed, total, best, userdata.pointer()) };
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
