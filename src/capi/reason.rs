//! Why a mirror stands where it stands, in C's terms: what was tried, what was remembered, the
//! limit of the pool, the filter.

use super::cache::remembered;
use super::ranking::{fm_ranking, outcome};
use super::status::fm_status;
use crate::outcome::{Filter, TriedAddress};
use crate::ranking::{RankedMirror, Ranking};
use std::ffi::{CString, c_char, c_int};

const INVALID: c_int = fm_status::FM_INVALID_ARGUMENT as c_int;

/// The filter that dropped a mirror.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_filter {
    /// fm_ranker_set_protocols().
    FM_FILTER_PROTOCOL = 0,
    /// fm_ranker_set_include(): its host matches none of the patterns.
    FM_FILTER_INCLUDE = 1,
    /// fm_ranker_set_exclude().
    FM_FILTER_EXCLUDE = 2,
}

/// Why a mirror stands where it stands, beside its fm_mirror.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fm_reason {
    /// The remembered latency in seconds, or for FM_REMEMBERED_SILENT the time without a reply;
    /// negative if there is none.
    pub remembered_time: f64,
    /// The time since that was found out, in seconds; negative if nothing was remembered.
    pub remembered_age: f64,
    /// How many addresses were tried in this call: 0 to 2.
    pub tried: usize,
    /// What the cache remembered before this call, if it was believed: an fm_remembered; negative
    /// if nothing. It is the reason of the outcome if that is from the cache; otherwise the mirror
    /// was asked again.
    pub remembered: c_int,
    /// Not 0 if its host matches a pattern of fm_ranker_set_prefer().
    pub preferred: c_int,
    /// Not 0 if its name was still being looked up when measuring stopped.
    pub lookup_unfinished: c_int,
}

/// An address that was tried, and what came of it. The string belongs to the ranking.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fm_tried {
    /// The address, as "192.0.2.7:443" or "[2001:db8::7]:443".
    pub address: *const c_char,
    /// The latency in seconds; negative if it did not answer.
    pub latency: f64,
    /// The time in seconds from the SYN until the outcome, or until it was not waited for any more.
    pub waited: f64,
    /// FM_OUTCOME_MEASURED, FM_OUTCOME_UNANSWERED, FM_OUTCOME_REFUSED or FM_OUTCOME_UNREACHABLE.
    pub outcome: c_int,
}

/// What an `fm_reason` is filled from.
#[derive(Debug)]
pub(super) struct OwnedReason {
    reason: fm_reason,
    tried: Vec<(CString, TriedAddress)>,
    excluded_by: Option<Filter>,
}

impl OwnedReason {
    pub(super) fn new(ranking: &Ranking, mirror: &RankedMirror) -> OwnedReason {
        let recalled = ranking.recalled(mirror);
        let (memory, time) = match recalled.map(|recalled| remembered(recalled.remembered)) {
            Some((memory, time)) => (memory as c_int, time),
            None => (-1, None),
        };
        // An address holds no NUL.
        let text = |tried: &TriedAddress| CString::new(tried.address.to_string()).unwrap_or_default();
        let tried: Vec<_> = ranking.tried(mirror).map(|tried| (text(tried), *tried)).collect();
        OwnedReason {
            reason: fm_reason {
                remembered_time: time.map_or(-1.0, |time| time.as_secs_f64()),
                remembered_age: recalled.map_or(-1.0, |recalled| recalled.age.as_secs_f64()),
                tried: tried.len(),
                remembered: memory,
                preferred: mirror.is_preferred.into(),
                lookup_unfinished: mirror.is_lookup_unfinished.into(),
            },
            tried,
            excluded_by: ranking.filter(mirror),
        }
    }
}

/// Writes the lowest latency, by which the pool is judged, to `*best`, and the one below which a
/// host belongs to the pool to `*limit`, both in seconds. They are negative if no mirror has a
/// latency. On failure (a NULL pointer) both are left as they were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_limit(
    ranking: *const fm_ranking,
    best: *mut f64,
    limit: *mut f64,
) -> c_int {
    // SAFETY: the caller's promise.
    let Some(ranking) = (unsafe { ranking.as_ref() }) else { return INVALID };
    if best.is_null() || limit.is_null() {
        return INVALID;
    }
    // SAFETY: not NULL, so both can be written, by the caller's promise.
    unsafe {
        best.write(ranking.best);
        limit.write(ranking.limit);
    }
    fm_status::FM_OK as c_int
}

/// Writes why the mirror at a position stands there, from 0 to `mirrors` - 1, to `*reason`. On
/// failure (a NULL pointer, a position beyond the last) `*reason` is left as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_reason(
    ranking: *const fm_ranking,
    position: usize,
    reason: *mut fm_reason,
) -> c_int {
    // SAFETY: the caller's promise.
    let found = unsafe { ranking.as_ref() }.and_then(|ranking| ranking.reason(position));
    let (Some(found), false) = (found, reason.is_null()) else { return INVALID };
    // SAFETY: not NULL, so it can be written, by the caller's promise.
    unsafe { reason.write(found.reason) };
    fm_status::FM_OK as c_int
}

/// Writes an address that was tried for the mirror at a position to `*tried`: `number` counts from
/// 0, in the order of the attempts. On failure (a NULL pointer, a position or number beyond the
/// last) `*tried` is left as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_tried(
    ranking: *const fm_ranking,
    position: usize,
    number: usize,
    tried: *mut fm_tried,
) -> c_int {
    // SAFETY: the caller's promise.
    let found = unsafe { ranking.as_ref() }.and_then(|ranking| ranking.reason(position));
    let found = found.and_then(|reason| reason.tried.get(number));
    let (Some((address, found)), false) = (found, tried.is_null()) else { return INVALID };
    let copy = fm_tried {
        address: address.as_ptr(),
        latency: found.outcome.latency().map_or(-1.0, |latency| latency.as_secs_f64()),
        waited: found.waited.as_secs_f64(),
        outcome: outcome(found.outcome) as c_int,
    };
    // SAFETY: not NULL, so it can be written, by the caller's promise.
    unsafe { tried.write(copy) };
    fm_status::FM_OK as c_int
}

/// Writes which filter dropped an excluded mirror, by its position among them as in
/// fm_ranking_excluded(), to `*filter`: an fm_filter; and for FM_FILTER_EXCLUDE the position of the
/// pattern to `*pattern`, otherwise 0. On failure both are left as they were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranking_filter(
    ranking: *const fm_ranking,
    position: usize,
    filter: *mut c_int,
    pattern: *mut usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let found = unsafe { ranking.as_ref() }.and_then(|ranking| ranking.excluded_reason(position));
    let Some(excluded_by) = found.and_then(|reason| reason.excluded_by) else { return INVALID };
    if filter.is_null() || pattern.is_null() {
        return INVALID;
    }
    let (name, number) = match excluded_by {
        Filter::Protocol => (fm_filter::FM_FILTER_PROTOCOL, 0),
        Filter::Include => (fm_filter::FM_FILTER_INCLUDE, 0),
        Filter::Exclude(number) => (fm_filter::FM_FILTER_EXCLUDE, number),
    };
    // SAFETY: not NULL, so both can be written, by the caller's promise.
    unsafe {
        filter.write(name as c_int);
        pattern.write(number);
    }
    fm_status::FM_OK as c_int
}
