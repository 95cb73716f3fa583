//! `fm_ranking`: the result of a call, in C's terms.

use super::history::OwnedDemotion;
use super::reason::OwnedReason;
use super::status::{fm_status, guard};
use crate::outcome::{Outcome, StopReason};
use crate::ranking::{RankedMirror, Ranking};
use std::ffi::{CString, c_char, c_int};
use std::ptr;
use std::time::Duration;

const INVALID: c_int = fm_status::FM_INVALID_ARGUMENT as c_int;

/// What became of a mirror.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_outcome {
    /// Its TCP handshake was timed in this call.
    FM_OUTCOME_MEASURED = 0,
    /// Its latency comes from the cache: it was measured in an earlier call.
    FM_OUTCOME_CACHED = 1,
    /// A file: URL, on this machine.
    FM_OUTCOME_LOCAL = 2,
    /// No reply came before measuring stopped: the mirror is far away or down, or was never tried.
    FM_OUTCOME_UNANSWERED = 3,
    /// The host refused the connection.
    FM_OUTCOME_REFUSED = 4,
    /// The network reported that the host cannot be reached.
    FM_OUTCOME_UNREACHABLE = 5,
    /// Its name has no address, or none of the requested family, or the lookup failed.
    FM_OUTCOME_UNRESOLVED = 6,
    /// Not the URL of a host to which a connection can be made.
    FM_OUTCOME_UNSUPPORTED = 7,
    /// Dropped by a filter.
    FM_OUTCOME_EXCLUDED = 8,
}

/// Why measuring stopped.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_stop_reason {
    /// Nothing had to be measured.
    FM_STOP_IDLE = 0,
    /// Every mirror has an outcome. (Mirrors beyond a limit count as unanswered.)
    FM_STOP_COMPLETE = 1,
    /// No mirror that is still silent can belong to the pool, unless its packet was lost, and
    /// enough fallbacks are known, or they have been waited for long enough.
    FM_STOP_SETTLED = 2,
    /// No reply came for longer than any mirror took to answer: the silent ones are down or far
    /// away.
    FM_STOP_QUIET = 3,
    /// The timeout was reached.
    FM_STOP_TIMEOUT = 4,
    /// fm_ranker_cancel() was called, or the interrupt check returned a value other than 0.
    FM_STOP_CANCELLED = 5,
}

/// A mirror in its place. The strings belong to the ranking.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fm_mirror {
    /// Its position in the given list, from 0.
    pub index: usize,
    /// Its URL, byte for byte as it was given.
    pub url: *const c_char,
    /// The address that answered in this call, as "192.0.2.7:443" or "[2001:db8::7]:443"; NULL if
    /// none did.
    pub address: *const c_char,
    /// Its latency in seconds; negative if unknown.
    pub latency: f64,
    /// What became of it: an fm_outcome.
    pub outcome: c_int,
    /// Not 0 if it is in the pool: its host is near enough to the best one to share the load with
    /// it.
    pub pool: c_int,
    /// Not 0 if the latency may be off by a millisecond or, after a lost SYN-ACK, by a second.
    pub imprecise: c_int,
    /// Not 0 if the outcome was read from the cache.
    pub from_cache: c_int,
    /// Not 0 if every connection of the client to this mirror waits: the address that it tries
    /// first is silent, although its family works, and another one answered.
    pub detoured: c_int,
}

/// The result as a whole.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fm_summary {
    /// How many mirrors are in the order: all that were given, except the excluded.
    pub mirrors: usize,
    /// How many a filter dropped.
    pub excluded: usize,
    /// How many have a latency.
    pub answered: usize,
    /// How many are in the pool.
    pub pool: usize,
    /// The seed of the shuffle.
    pub seed: u64,
    /// How long measuring and ranking took, in seconds.
    pub elapsed: f64,
    /// Why measuring stopped: an fm_stop_reason.
    pub stop_reason: c_int,
    /// Not 0 if nearly all of many hosts are equally near: a middlebox may be answering for all of
    /// them.
    pub ambiguous: c_int,
}

/// The result of fm_rank(). It never changes, so any number of threads may read it at once.
#[derive(Debug)]
pub struct fm_ranking {
    mirrors: Vec<OwnedMirror>,
    excluded: Vec<OwnedMirror>,
    /// In seconds; negative if no mirror has a latency.
    pub(super) best: f64,
    pub(super) limit: f64,
    warnings: Vec<CString>,
    summary: fm_summary,
    slack_would_add: usize,
}

/// What an `fm_mirror` is filled from.
#[derive(Debug)]
struct OwnedMirror {
    index: usize,
    url: CString,
    address: Option<CString>,
    latency: f64,
    outcome: fm_outcome,
    pool: bool,
    imprecise: bool,
    from_cache: bool,
    is_detoured: bool,
    reason: OwnedReason,
    demotion: Option<OwnedDemotion>,
}

impl fm_ranking {
    /// Copies a result, with the URLs byte for byte as they were given, by index.
    pub(crate) fn new(ranking: &Ranking, urls: Vec<CString>) -> fm_ranking {
        let mirror = |mirror: &RankedMirror| OwnedMirror {
            index: mirror.index,
            url: urls[mirror.index].clone(),
            // An address holds no NUL.
            address: mirror.address.and_then(|address| CString::new(address.to_string()).ok()),
            latency: mirror.outcome.latency().map_or(-1.0, |latency| latency.as_secs_f64()),
            outcome: outcome(mirror.outcome),
            pool: mirror.pool,
            imprecise: mirror.imprecise,
            from_cache: mirror.from_cache,
            is_detoured: mirror.is_detoured,
            reason: OwnedReason::new(ranking, mirror),
            demotion: mirror.demotion.map(OwnedDemotion::new),
        };
        let seconds = |latency: Option<Duration>| latency.map_or(-1.0, |latency| latency.as_secs_f64());
        let mirrors = &ranking.mirrors;
        fm_ranking {
            summary: fm_summary {
                mirrors: mirrors.len(),
                excluded: ranking.excluded.len(),
                answered: mirrors.iter().filter(|mirror| mirror.outcome.latency().is_some()).count(),
                pool: mirrors.iter().filter(|mirror| mirror.pool).count(),
                seed: ranking.seed,
                elapsed: ranking.elapsed.as_secs_f64(),
                stop_reason: stop_reason(ranking.stop_reason) as c_int,
                ambiguous: ranking.ambiguous.into(),
            },
            slack_would_add: ranking.slack_would_add,
            mirrors: mirrors.iter().map(mirror).collect(),
            excluded: ranking.excluded.iter().map(mirror).collect(),
            best: seconds(ranking.best),
            limit: seconds(ranking.limit),
            // A path holds no NUL, and so no warning does.
            warnings: ranking.warnings.iter().filter_map(|text| CString::new(text.as_str()).ok()).collect(),
        }
    }

    pub(super) fn reason(&self, position: usize) -> Option<&OwnedReason> {
        self.mirrors.get(position).map(|mirror| &mirror.reason)
    }

    pub(super) fn excluded_reason(&self, position: usize) -> Option<&OwnedReason> {
        self.excluded.get(position).map(|mirror| &mirror.reason)
    }

    pub(super) fn demotion(&self, position: usize) -> Option<&OwnedDemotion> {
        self.mirrors.get(position)?.demotion.as_ref()
    }
}

pub(super) fn outcome(outcome: Outcome) -> fm_outcome {
    match outcome {
        Outcome::Measured(_) => fm_outcome::FM_OUTCOME_MEASURED,
        Outcome::Cached(_) => fm_outcome::FM_OUTCOME_CACHED,
        Outcome::Local => fm_outcome::FM_OUTCOME_LOCAL,
        Outcome::Unanswered => fm_outcome::FM_OUTCOME_UNANSWERED,
        Outcome::Refused => fm_outcome::FM_OUTCOME_REFUSED,
        Outcome::Unreachable => fm_outcome::FM_OUTCOME_UNREACHABLE,
        Outcome::Unresolved => fm_outcome::FM_OUTCOME_UNRESOLVED,
        Outcome::Unsupported => fm_outcome::FM_OUTCOME_UNSUPPORTED,
        Outcome::Excluded => fm_outcome::FM_OUTCOME_EXCLUDED,
    }
}

fn stop_reason(reason: StopReason) -> fm_stop_reason {
    match reason {
        StopReason::Idle => fm_stop_reason::FM_STOP_IDLE,
        StopReason::Complete => fm_stop_reason::FM_STOP_COMPLETE,
        StopReason::Settled => fm_stop_reason::FM_STOP_SETTLED,
        StopReason::Quiet => fm_stop_reason::FM_STOP_QUIET,
        StopReason::Timeout => fm_stop_reason::FM_STOP_TIMEOUT,
        StopReason::Cancelled => fm_stop_reason::FM_STOP_CANCELLED,
    }
}

/// Frees a result, and with it the strings that came from it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_free(ranking: *mut fm_ranking) {
    // A failure cannot be reported.
    let _ = guard(|| {
        if !ranking.is_null() {
            // SAFETY: the caller's promise; the box was made by fm_rank().
            drop(unsafe { Box::from_raw(ranking) });
        }
        Ok(())
    });
}

/// Writes the result as a whole to `*summary`. On failure (a NULL pointer) `*summary` is left as it
/// was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_summary(ranking: *const fm_ranking, summary: *mut fm_summary) -> c_int {
    // SAFETY: the caller's promise.
    let Some(ranking) = (unsafe { ranking.as_ref() }) else { return INVALID };
    if summary.is_null() {
        return INVALID;
    }
    // SAFETY: not NULL, so it can be written, by the caller's promise.
    unsafe { summary.write(ranking.summary) };
    fm_status::FM_OK as c_int
}

/// Returns how many hosts a slack of 5 ms would add to the pool, if that has fewer than three
/// hosts; else 0, and for NULL. Only hosts count whose latency is known. See fm_ranker_set_slack().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_slack_would_add(ranking: *const fm_ranking) -> usize {
    // SAFETY: the caller's promise.
    unsafe { ranking.as_ref() }.map_or(0, |ranking| ranking.slack_would_add)
}

/// Writes the mirror at a position in the order in which to try them, from 0 to `mirrors` - 1, to
/// `*mirror`. On failure (a NULL pointer, a position beyond the last) `*mirror` is left as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_mirror(
    ranking: *const fm_ranking,
    position: usize,
    mirror: *mut fm_mirror,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { write_mirror(ranking.as_ref().and_then(|ranking| ranking.mirrors.get(position)), mirror) }
}

/// Writes a mirror that a filter dropped to `*mirror`: by its position among them, in the order
/// given, from 0 to `excluded` - 1. On failure `*mirror` is left as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_excluded(
    ranking: *const fm_ranking,
    position: usize,
    mirror: *mut fm_mirror,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { write_mirror(ranking.as_ref().and_then(|ranking| ranking.excluded.get(position)), mirror) }
}

/// # Safety
/// `mirror` is NULL or can be written.
unsafe fn write_mirror(found: Option<&OwnedMirror>, mirror: *mut fm_mirror) -> c_int {
    let (Some(found), false) = (found, mirror.is_null()) else { return INVALID };
    let copy = fm_mirror {
        index: found.index,
        url: found.url.as_ptr(),
        address: found.address.as_ref().map_or(ptr::null(), |address| address.as_ptr()),
        latency: found.latency,
        outcome: found.outcome as c_int,
        pool: found.pool.into(),
        imprecise: found.imprecise.into(),
        from_cache: found.from_cache.into(),
        detoured: found.is_detoured.into(),
    };
    // SAFETY: not NULL, so it can be written, by the caller's promise.
    unsafe { mirror.write(copy) };
    fm_status::FM_OK as c_int
}

/// Returns a warning, by position from 0; NULL beyond the last: a sentence for a log on what could
/// not be done as it should. The cache was not used or not written, or mirrors were not tried for
/// want of descriptors, threads or memory. Usually there is none. The strings belong to the
/// ranking.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_warning(ranking: *const fm_ranking, position: usize) -> *const c_char {
    // SAFETY: the caller's promise.
    let ranking = unsafe { ranking.as_ref() };
    ranking.and_then(|ranking| ranking.warnings.get(position)).map_or(ptr::null(), |text| text.as_ptr())
}
