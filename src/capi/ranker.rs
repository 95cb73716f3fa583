//! `fm_ranker`: options, callbacks, and the call that ranks.

use super::guard::{Failed, fm_status, guard, status};
use super::ranking::fm_ranking;
use crate::mirror::Protocol;
use crate::probe::{Cancel, Progress};
use crate::ranker::{Candidate, Error, Ranker};
use crate::sys::Family;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// Address families, for fm_ranker_set_family().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_family {
    /// IPv4 and IPv6, as the system prefers.
    FM_FAMILY_ANY = 0,
    /// IPv4 only.
    FM_FAMILY_IPV4 = 4,
    /// IPv6 only.
    FM_FAMILY_IPV6 = 6,
}

/// Protocols, for fm_ranker_set_protocols(): values to be combined with |.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_protocol {
    /// http:
    FM_PROTOCOL_HTTP = 1,
    /// https:
    FM_PROTOCOL_HTTPS = 2,
    /// ftp:
    FM_PROTOCOL_FTP = 4,
    /// file:
    FM_PROTOCOL_FILE = 8,
}

/// How far a call of fm_rank() has come, told whenever more endpoints have an outcome: `concluded` of `total`, which need
/// not become equal; `best` is the lowest latency so far in seconds, negative while there is none. It may call fm_ranker_cancel(), and nothing else with
/// this ranker; it must return (no longjmp, no C++ exception).
pub type fm_progress_fn =
    Option<unsafe extern "C" fn(userdata: *mut c_void, concluded: usize, total: usize, best: f64)>;

/// Options and callbacks for ranking. Made by fm_ranker_new(), freed by fm_ranker_free().
#[derive(Debug)]
pub struct fm_ranker {
    /// Outside the lock, for another thread or a signal handler.
    cancel: Cancel,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    ranker: Ranker,
    error: CString,
}

impl Inner {
    pub(crate) fn set_error(&mut self, message: String) {
        // A message that quotes a NUL would have to be cut there anyway.
        let text = message.split('\0').next().unwrap_or_default();
        self.error = CString::new(text).unwrap_or_default();
    }
}

/// A callback and its data, which the C caller keeps valid and callable on the thread that ranks.
struct Callback {
    function: unsafe extern "C" fn(*mut c_void, usize, usize, f64),
    userdata: *mut c_void,
}

// SAFETY: the pointer is only handed back to the caller's function, on the thread that calls fm_rank(); that the
// ranker may be used from another thread than the one that set the callback is the caller's decision.
unsafe impl Send for Callback {}

impl Callback {
    fn call(&self, progress: &Progress) {
        let best = progress.best.map_or(-1.0, |best| best.as_secs_f64());
        // SAFETY: the function and its data are what the caller passed together.
        unsafe { (self.function)(self.userdata, progress.concluded, progress.total, best) };
    }
}

/// Makes a ranker with the defaults that each setter names. NULL if the system has no descriptor left: a
/// ranker keeps one, for fm_ranker_cancel(), until it is freed.
#[unsafe(no_mangle)]
pub extern "C" fn fm_ranker_new() -> *mut fm_ranker {
    let new = guard(|| {
        crate::fault::point("fm_ranker_new");
        let cancel = Cancel::new().map_err(Error::System)?;
        let mut ranker = Ranker::new();
        ranker.cancel(&cancel);
        let inner = Inner { ranker, error: CString::default() };
        Ok(Box::into_raw(Box::new(fm_ranker { cancel, inner: Mutex::new(inner) })))
    });
    new.unwrap_or(ptr::null_mut())
}

/// Frees a ranker. NULL is fine. No call may be using it; results that it gave stay valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_free(ranker: *mut fm_ranker) {
    // There is nobody to tell of a failure.
    let _ = guard(|| {
        if !ranker.is_null() {
            // SAFETY: the caller's promise; the box was made by fm_ranker_new().
            drop(unsafe { Box::from_raw(ranker) });
        }
        Ok(())
    });
}

/// What the last failed call with this ranker had to say, for people: it names the argument and what is wrong
/// with it. Empty if none has failed; "the ranker is in use" while a call with it is under way; "the ranker is NULL"
/// for NULL. Never NULL; valid until the next call with this ranker, by any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_error(ranker: *const fm_ranker) -> *const c_char {
    // SAFETY: the caller's promise.
    let Some(ranker) = (unsafe { ranker.as_ref() }) else { return c"the ranker is NULL".as_ptr() };
    match lock(ranker) {
        // Stays where it is until another error takes its place.
        Some(inner) => inner.error.as_ptr(),
        None => c"the ranker is in use".as_ptr(),
    }
}

fn lock(ranker: &fm_ranker) -> Option<MutexGuard<'_, Inner>> {
    match ranker.inner.try_lock() {
        Ok(inner) => Some(inner),
        // A panic was caught meanwhile; options are still options.
        Err(TryLockError::Poisoned(poisoned)) => Some(PoisonError::into_inner(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Runs a function's body on the ranker, unless it is NULL or in use.
///
/// # Safety
/// `ranker` is NULL or a valid ranker.
unsafe fn with_ranker(
    ranker: *const fm_ranker,
    body: impl FnOnce(&mut Ranker, &Cancel) -> Result<(), Failed>,
) -> c_int {
    // SAFETY: the caller's promise. A shared reference only: a cancel may come at any time.
    let Some(ranker) = (unsafe { ranker.as_ref() }) else {
        return fm_status::FM_INVALID_ARGUMENT as c_int;
    };
    let Some(mut inner) = lock(ranker) else { return fm_status::FM_BUSY as c_int };
    let result = guard(|| body(&mut inner.ranker, &ranker.cancel));
    status(result, &mut inner)
}

/// What is no duration (negative, not a number) is sent to the option's own check as one that is too long.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// A duration of any length.
fn period(option: &str, seconds: f64) -> Result<Duration, Failed> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        Failed::argument(format!(
            "the option {option} cannot be {seconds} s: it must be 0 or more, and finite"
        ))
    })
}

/// The message of a refused duration, in the unit and the value that the caller used.
fn refused(option: &str, value: f64, most: u32) -> Failed {
    Failed::argument(format!("the option {option} cannot be {value} s: it must be from 0 to {most} s"))
}

/// How long fm_rank() may take in all, look-ups included: 0 to 3600 seconds, default 2. With 0 nothing is measured.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_timeout(ranker: *mut fm_ranker, timeout: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            ranker.timeout(seconds(timeout)).map_err(|_| refused("timeout", timeout, 3600))?;
            Ok(())
        })
    }
}

/// How many hosts outside the pool to measure before ending early, so that a client whose pool fails has somewhere
/// to go; default 16. With FM_FALLBACKS_ALL measuring goes on until every mirror has answered or nothing is heard
/// any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_fallbacks(ranker: *mut fm_ranker, fallbacks: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            ranker.fallbacks(fallbacks);
            Ok(())
        })
    }
}

/// The address family to connect over: an fm_family, default FM_FAMILY_ANY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_family(ranker: *mut fm_ranker, family: c_int) -> c_int {
    const ANY: c_int = fm_family::FM_FAMILY_ANY as c_int;
    const IPV4: c_int = fm_family::FM_FAMILY_IPV4 as c_int;
    const IPV6: c_int = fm_family::FM_FAMILY_IPV6 as c_int;
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            ranker.family(match family {
                ANY => Family::Any,
                IPV4 => Family::Ipv4,
                IPV6 => Family::Ipv6,
                _ => return Err(Failed::argument(format!("{family} is not an fm_family"))),
            });
            Ok(())
        })
    }
}

/// The pool holds what is nearer than this many times the best: 1 to 1000, default 2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_factor(ranker: *mut fm_ranker, factor: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            ranker.factor(factor)?;
            Ok(())
        })
    }
}

/// The pool also holds what is nearer than the best plus this: 0 to 60 seconds, default 0. In a data centre 1 ms
/// from its nearest mirror a factor alone leaves that mirror alone with the load.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_slack(ranker: *mut fm_ranker, slack: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            ranker.slack(seconds(slack)).map_err(|_| refused("slack", slack, 60))?;
            Ok(())
        })
    }
}

/// The seed of the shuffle: one seed gives two hosts of equal weight the same order in every list and on every
/// machine. Default: from the operating system, fresh in every process, after a fork, and every hour, so that all
/// lists of a transaction agree and the load is spread over the pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_seed(ranker: *mut fm_ranker, seed: u64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            ranker.seed(seed);
            Ok(())
        })
    }
}

/// Keeps only mirrors of these protocols: fm_protocol values combined with |. Default, and with 0: all, and what is of
/// no known protocol too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_protocols(ranker: *mut fm_ranker, protocols: c_uint) -> c_int {
    const ALL: [(c_uint, Protocol); 4] = [
        (fm_protocol::FM_PROTOCOL_HTTP as c_uint, Protocol::Http),
        (fm_protocol::FM_PROTOCOL_HTTPS as c_uint, Protocol::Https),
        (fm_protocol::FM_PROTOCOL_FTP as c_uint, Protocol::Ftp),
        (fm_protocol::FM_PROTOCOL_FILE as c_uint, Protocol::File),
    ];
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            let known = ALL.iter().fold(0, |known, (bit, _)| known | bit);
            if protocols & !known != 0 {
                return Err(Failed::argument(format!(
                    "{protocols:#x} is not a combination of fm_protocol values"
                )));
            }
            let wanted: Vec<_> =
                ALL.iter().filter(|(bit, _)| protocols & bit != 0).map(|(_, p)| *p).collect();
            ranker.protocols(&wanted);
            Ok(())
        })
    }
}

/// Hands an array of patterns to one of the ranker's options.
///
/// # Safety
/// `ranker` is NULL or a valid ranker; `patterns` is NULL or holds `count` pointers, each NULL or a string.
unsafe fn set_patterns(
    ranker: *mut fm_ranker,
    patterns: *const *const c_char,
    count: usize,
    set: impl FnOnce(&mut Ranker, &[&str]) -> Result<(), Error>,
) -> c_int {
    let read = |index: usize| {
        // SAFETY: within the array, by the caller's promise.
        let pattern = unsafe { *patterns.add(index) };
        if pattern.is_null() {
            return Err(Failed::argument(format!("patterns[{index}] is NULL")));
        }
        // SAFETY: a string, by the caller's promise.
        Ok(unsafe { CStr::from_ptr(pattern) }.to_string_lossy())
    };
    let body = |ranker: &mut Ranker, _: &Cancel| {
        if patterns.is_null() && count > 0 {
            return Err(Failed::argument("patterns is NULL"));
        }
        let texts = (0..count).map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(set(ranker, &texts.iter().map(|text| &**text).collect::<Vec<_>>())?)
    };
    // SAFETY: the caller's promise.
    unsafe { with_ranker(ranker, body) }
}

/// Keeps only mirrors whose host matches one of `count` patterns; default, and with none: all. A pattern is a glob
/// over the whole name (* any text, ? any character) or a domain's suffix (".gov"). A URL without a host matches
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_include(
    ranker: *mut fm_ranker,
    patterns: *const *const c_char,
    count: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { set_patterns(ranker, patterns, count, |ranker, patterns| ranker.include(patterns).map(|_| ())) }
}

/// Drops the mirrors whose host matches one of `count` patterns, included or not; default none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_exclude(
    ranker: *mut fm_ranker,
    patterns: *const *const c_char,
    count: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { set_patterns(ranker, patterns, count, |ranker, patterns| ranker.exclude(patterns).map(|_| ())) }
}

/// Moves mirrors whose host matches one of `count` patterns to the front, within the pool and within the rest that
/// has a latency; default none. A mirror that has not answered stays where it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_prefer(
    ranker: *mut fm_ranker,
    patterns: *const *const c_char,
    count: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { set_patterns(ranker, patterns, count, |ranker, patterns| ranker.prefer(patterns).map(|_| ())) }
}

/// The file in which latencies are remembered, in librepo's format, or none with NULL; default none. What is remembered
/// is not measured again: a latency for the maximal age; for an hour that a mirror failed, or was outside the pool. Where
/// others have to be measured, the nearest one of those remembered is measured with them: if it answers, the network
/// is up, and who is silent is down. A file that cannot be used is no error: fm_ranking_note() tells.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_cache(ranker: *mut fm_ranker, path: *const c_char) -> c_int {
    // SAFETY: the caller's promise, of the string too.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            let path = (!path.is_null()).then(|| CStr::from_ptr(path).to_bytes());
            if path == Some(b"") {
                return Err(Failed::argument("the option cache cannot be an empty path"));
            }
            ranker.cache(path.map(|path| Path::new(OsStr::from_bytes(path))));
            Ok(())
        })
    }
}

/// How old a remembered latency may be, in seconds from 0, default 30 days. With 0 nothing from before this
/// second counts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_max_age(ranker: *mut fm_ranker, age: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            ranker.max_age(period("max_age", age)?);
            Ok(())
        })
    }
}

/// Keeps the seed in the cache for this long, in seconds, so that a machine keeps its order of mirrors across processes,
/// and has another one afterwards. Default, and with 0: a fresh seed in every process and hour. Without a cache, or
/// with a seed of the caller's, it has no effect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_rotate_every(ranker: *mut fm_ranker, seconds: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            ranker.rotate_every(period("rotate_every", seconds)?);
            Ok(())
        })
    }
}

/// How many endpoints (hosts and ports) to measure in a call at most, so that a hostile list does not turn clients
/// into a flood, and how many of one host; defaults 2048 and 4. Those beyond, in the order given, count as
/// unanswered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_limits(
    ranker: *mut fm_ranker,
    endpoints: usize,
    endpoints_per_host: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            ranker.max_endpoints(endpoints).max_endpoints_per_host(endpoints_per_host);
            Ok(())
        })
    }
}

/// Sets the function that is told of progress, on the thread that called fm_rank(), or none with NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_progress(
    ranker: *mut fm_ranker,
    progress: fm_progress_fn,
    userdata: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker, _| {
            match progress {
                Some(function) => {
                    let callback = Callback { function, userdata };
                    ranker.on_progress(move |progress| callback.call(progress));
                }
                None => {
                    ranker.no_progress();
                }
            }
            Ok(())
        })
    }
}

/// Ends the call of fm_rank() that is under way in another thread, or around the callback that calls this; if none
/// is, the next one. That call still succeeds, with what is known so far, and uses the cancel up; it tells
/// FM_ENDED_CANCELLED unless it was over already. May be called from a signal handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_cancel(ranker: *const fm_ranker) {
    // SAFETY: the caller's promise. No guard: an atomic store and a write(2) do not panic.
    if let Some(ranker) = unsafe { ranker.as_ref() } {
        ranker.cancel.cancel();
    }
}

/// Measures `count` mirrors and puts them in order. Blocks until measuring ends, at most for the timeout and a few
/// milliseconds, what a list of many thousands takes by itself and the time in the progress function not counted.
///
/// `urls` holds `count` strings, which are copied; what is not a URL that can be connected to is no error but an
/// outcome. `weights` holds as many positive, finite numbers, or is NULL for all equal: a host of weight 2 leads the
/// pool twice as often as one of weight 1. On success `*ranking` is set, to be freed by fm_ranking_free(); on failure
/// it is left as it was, and the order to use is the one that the caller has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_rank(
    ranker: *mut fm_ranker,
    urls: *const *const c_char,
    weights: *const f64,
    count: usize,
    ranking: *mut *mut fm_ranking,
) -> c_int {
    let body = |ranker: &mut Ranker, cancel: &Cancel| {
        crate::fault::point("fm_rank");
        if ranking.is_null() {
            return Err(Failed::argument("ranking is NULL"));
        }
        if urls.is_null() && count > 0 {
            return Err(Failed::argument("urls is NULL"));
        }
        let mut strings = Vec::new();
        let mut candidates = Vec::new();
        for index in 0..count {
            // SAFETY: `urls` holds `count` pointers, by the caller's promise.
            let url = unsafe { *urls.add(index) };
            if url.is_null() {
                return Err(Failed::argument(format!("urls[{index}] is NULL")));
            }
            // SAFETY: a string, by the caller's promise.
            let string = unsafe { CStr::from_ptr(url) }.to_owned();
            // SAFETY: `weights` holds `count` numbers, by the caller's promise.
            let weight = if weights.is_null() { 1.0 } else { unsafe { *weights.add(index) } };
            if !(weight > 0.0 && weight.is_finite()) {
                let message = format!("weights[{index}] is {weight}, not a positive, finite number");
                return Err(Failed::argument(message));
            }
            candidates.push(Candidate { url: string.to_string_lossy().into_owned(), weight });
            strings.push(string);
        }
        let result = ranker.rank(candidates);
        // Whatever the end: a cancel that came too late for this call is not meant for the next.
        cancel.reset();
        let result = result?;
        let made = Box::into_raw(Box::new(fm_ranking::new(&result, strings)));
        // SAFETY: not NULL, and can be written, by the caller's promise.
        unsafe { *ranking = made };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_ranker(ranker, body) }
}
