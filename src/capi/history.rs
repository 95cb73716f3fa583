//! `fm_history`: what downloads show of mirrors, reported and saved; and which mirrors of a ranking
//! are demoted for it.

use super::options::read_strings;
use super::ranker::{fm_ranker, with_ranker};
use super::ranking::fm_ranking;
use super::status::{Failure, fm_status, guard};
use crate::history::{Demotion, DownloadOutcome, History, HistoryUse};
use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const INVALID: c_int = fm_status::FM_INVALID_ARGUMENT as c_int;

/// What became of the download of a file, for fm_history_report().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_download {
    /// The file arrived, and is the right one.
    FM_DOWNLOAD_OK = 0,
    /// The mirror does not have the file: 404 or 410 over HTTP.
    FM_DOWNLOAD_MISSING = 1,
    /// The file has another checksum or size than expected: the mirror is not up to date.
    FM_DOWNLOAD_STALE = 2,
    /// The download failed in another way that may be the mirror's fault: a timeout, a connection
    /// that was reset, a status of 5xx, or a transfer too slow to go on with.
    FM_DOWNLOAD_BROKEN = 3,
}

/// What a ranking makes of the downloads before it, for fm_ranker_set_history().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_history_use {
    /// Nothing.
    FM_HISTORY_OFF = 0,
    /// Mirrors whose downloads failed in the last hour stand behind all others that have a latency.
    FM_HISTORY_TROUBLE = 1,
    /// That, and members of the pool that are much slower than the others stand at its end.
    FM_HISTORY_ALL = 2,
}

/// Why a mirror stands further back than its latency would put it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_demotion_reason {
    /// It lacked a file of this repository that another mirror had.
    FM_DEMOTION_MISSING = 0,
    /// It had another version of a file of this repository than was expected, and another mirror
    /// had the right one.
    FM_DEMOTION_STALE = 1,
    /// A download from its host failed, and one from another host succeeded.
    FM_DEMOTION_BROKEN = 2,
    /// Downloads from its host are much slower than from others of the pool.
    FM_DEMOTION_SLOW = 3,
}

/// Why a mirror stands further back. The string belongs to the ranking.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fm_demotion {
    /// The reason with its numbers, for people: part of a sentence.
    pub text: *const c_char,
    /// The time since the failure, in seconds; negative for FM_DEMOTION_SLOW.
    pub age: f64,
    /// For FM_DEMOTION_SLOW its mean speed, in bytes per second; else negative.
    pub speed: f64,
    /// For FM_DEMOTION_SLOW the median speed of the others of the pool, in bytes per second; else
    /// negative.
    pub others: f64,
    /// An fm_demotion_reason.
    pub reason: c_int,
}

/// A demotion with its text, from which [`fm_demotion`] is filled.
#[derive(Debug)]
pub(super) struct OwnedDemotion {
    text: CString,
    demotion: Demotion,
}

impl OwnedDemotion {
    pub(super) fn new(demotion: Demotion) -> OwnedDemotion {
        OwnedDemotion { text: CString::new(demotion.to_string()).unwrap_or_default(), demotion }
    }

    fn copy(&self) -> fm_demotion {
        use fm_demotion_reason::*;
        let age = |age: Duration| (age.as_secs_f64(), -1.0, -1.0);
        let (reason, (age, speed, others)) = match self.demotion {
            Demotion::Missing { age: since } => (FM_DEMOTION_MISSING, age(since)),
            Demotion::Stale { age: since } => (FM_DEMOTION_STALE, age(since)),
            Demotion::Broken { age: since } => (FM_DEMOTION_BROKEN, age(since)),
            Demotion::Slow { speed, others } => (FM_DEMOTION_SLOW, (-1.0, speed, others)),
        };
        fm_demotion { text: self.text.as_ptr(), age, speed, others, reason: reason as c_int }
    }
}

/// What downloads show, kept in memory until it is saved. Made by fm_history_new(), freed by
/// fm_history_free(). May be used by several threads at once: they wait for each other.
#[derive(Debug)]
pub struct fm_history(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    history: History,
    error: CString,
}

/// Makes a history that will be written into this cache file, the one that fm_ranker_set_cache()
/// names. Opens nothing yet; a relative path counts from the current directory of this call. NULL
/// for a NULL or empty path, or after an internal error (a bug).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_history_new(cache: *const c_char) -> *mut fm_history {
    let new = guard(|| {
        if cache.is_null() {
            return Ok(ptr::null_mut());
        }
        // SAFETY: a string, by the caller's promise.
        let path = unsafe { CStr::from_ptr(cache) }.to_bytes();
        if path.is_empty() {
            return Ok(ptr::null_mut());
        }
        let history = History::new(Path::new(OsStr::from_bytes(path)));
        let inner = Inner { history, error: CString::default() };
        Ok(Box::into_raw(Box::new(fm_history(Mutex::new(inner)))))
    });
    new.unwrap_or(ptr::null_mut())
}

/// Frees a history; what was not saved is lost. NULL is fine. No call may be using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_history_free(history: *mut fm_history) {
    // A failure cannot be reported.
    let _ = guard(|| {
        if !history.is_null() {
            // SAFETY: the caller's promise; the box was made by fm_history_new().
            drop(unsafe { Box::from_raw(history) });
        }
        Ok(())
    });
}

/// Returns the message of the last failed call with this history. Empty if none has failed; "the
/// history is NULL" for NULL. Never NULL; valid until the next call with this history, by any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_history_error(history: *const fm_history) -> *const c_char {
    // SAFETY: the caller's promise.
    match unsafe { history.as_ref() } {
        // Stays where it is until another error takes its place.
        Some(history) => lock(history).error.as_ptr(),
        None => c"the history is NULL".as_ptr(),
    }
}

fn lock(history: &fm_history) -> MutexGuard<'_, Inner> {
    // with_history() catches panics while it holds the lock.
    history.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a function's body on the history, unless it is NULL.
///
/// # Safety
/// `history` is NULL or a valid history.
unsafe fn with_history(
    history: *const fm_history,
    body: impl FnOnce(&mut History) -> Result<(), Failure>,
) -> c_int {
    // SAFETY: the caller's promise.
    let Some(history) = (unsafe { history.as_ref() }) else { return INVALID };
    let mut inner = lock(history);
    match guard(|| body(&mut inner.history)) {
        Ok(()) => fm_status::FM_OK as c_int,
        Err(Failure { status, message }) => {
            let text = message.split('\0').next().unwrap_or_default();
            inner.error = CString::new(text).unwrap_or_default();
            status as c_int
        }
    }
}

/// Says that `count` URLs are mirrors of one repository, the base URLs as in its list. A failure
/// counts only if another mirror of the repository served a file afterwards. All mirrors of which
/// nothing is said here count as those of one repository, which errs where several repositories are
/// downloaded and one of them is out of date on the client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_history_repository(
    history: *mut fm_history,
    urls: *const *const c_char,
    count: usize,
) -> c_int {
    let body = |history: &mut History| {
        // SAFETY: the caller's promise.
        let texts = unsafe { read_strings("urls", urls, count) }?;
        history.repository(&texts.iter().map(|text| &**text).collect::<Vec<_>>());
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_history(history, body) }
}

/// Reports a download that ended just now. It is kept in memory, in the order of the reports.
///
/// `url` is that of the mirror as in the list, to which the path of the file is added: its host and
/// path identify the repository there; one that leads to no host is ignored. `outcome` is an
/// fm_download. `bytes` and `seconds` are those of the body, without lookup, connection, TLS and
/// the time to the first byte; they count for successful downloads of at least 1 MiB. Do not report
/// a download that was cancelled, or that came from a cache; nor that a file is missing or stale
/// before another mirror has served the same file: with old metadata no mirror has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_history_report(
    history: *mut fm_history,
    url: *const c_char,
    outcome: c_int,
    bytes: u64,
    seconds: f64,
) -> c_int {
    const OK: c_int = fm_download::FM_DOWNLOAD_OK as c_int;
    const MISSING: c_int = fm_download::FM_DOWNLOAD_MISSING as c_int;
    const STALE: c_int = fm_download::FM_DOWNLOAD_STALE as c_int;
    const BROKEN: c_int = fm_download::FM_DOWNLOAD_BROKEN as c_int;
    let body = |history: &mut History| {
        if url.is_null() {
            return Err(Failure::argument("url is NULL"));
        }
        // SAFETY: a string, by the caller's promise.
        let url = unsafe { CStr::from_ptr(url) }.to_string_lossy();
        let outcome = match outcome {
            OK => DownloadOutcome::Ok,
            MISSING => DownloadOutcome::Missing,
            STALE => DownloadOutcome::Stale,
            BROKEN => DownloadOutcome::Broken,
            _ => return Err(Failure::argument(format!("{outcome} is not an fm_download"))),
        };
        let time = Duration::try_from_secs_f64(seconds).map_err(|_| {
            Failure::argument(format!("seconds cannot be {seconds}: it must be 0 or more, and finite"))
        })?;
        history.report(&url, outcome, bytes, time);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_history(history, body) }
}

/// Writes what the reports amount to into the cache, and begins anew. If they show nothing, no file
/// is touched. Waits for up to 100 ms for another process that is writing. FM_UNWRITABLE_CACHE with
/// a warning, one sentence, in fm_history_error(): the file cannot be written, was no cache and was
/// replaced, or the network changed meanwhile. The reports are gone even so.
///
/// All that a process writes within an hour counts as one run: of a host's speeds in it the last
/// one is kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_history_save(history: *mut fm_history) -> c_int {
    let body = |history: &mut History| match history.save() {
        None => Ok(()),
        Some(message) => Err(Failure { status: fm_status::FM_UNWRITABLE_CACHE, message }),
    };
    // SAFETY: the caller's promise.
    unsafe { with_history(history, body) }
}

/// Sets what is made of what downloads have shown, as fm_history_save() has written it into the
/// cache: an fm_history_use, default FM_HISTORY_OFF. Has no effect without a cache.
///
/// With FM_HISTORY_TROUBLE a mirror whose downloads failed in the last hour, although another one
/// served that repository, stands behind all others that have a latency. It does not count for the
/// best latency, so that the pool is made by the others. With FM_HISTORY_ALL a member of the pool
/// with less than a quarter of the speed of the others, as far as two of its runs can tell, goes to
/// the end of the pool, and returns after about two weeks. Preferred hosts stay in front of the
/// others of the pool. Nothing is ever dropped, or moved to the front; fm_ranking_demotion() says
/// which mirrors these are, and why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_history(ranker: *mut fm_ranker, history: c_int) -> c_int {
    const OFF: c_int = fm_history_use::FM_HISTORY_OFF as c_int;
    const TROUBLE: c_int = fm_history_use::FM_HISTORY_TROUBLE as c_int;
    const ALL: c_int = fm_history_use::FM_HISTORY_ALL as c_int;
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.history(match history {
                OFF => HistoryUse::Off,
                TROUBLE => HistoryUse::Trouble,
                ALL => HistoryUse::All,
                _ => return Err(Failure::argument(format!("{history} is not an fm_history_use"))),
            });
            Ok(())
        })
    }
}

/// Writes why the mirror at a position, as in fm_ranking_mirror(), stands further back than its
/// latency would put it, to `*demotion`. FM_INVALID_ARGUMENT if it does not, for a NULL pointer,
/// and for a position beyond the last; then `*demotion` is left as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_demotion(
    ranking: *const fm_ranking,
    position: usize,
    demotion: *mut fm_demotion,
) -> c_int {
    // SAFETY: the caller's promise.
    let found = unsafe { ranking.as_ref() }.and_then(|ranking| ranking.demotion(position));
    let (Some(found), false) = (found, demotion.is_null()) else { return INVALID };
    // SAFETY: not NULL, so it can be written, by the caller's promise.
    unsafe { demotion.write(found.copy()) };
    fm_status::FM_OK as c_int
}
