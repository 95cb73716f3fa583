//! The calls that look into a ranking and a cache.

use super::{INVALID, OK, Player, c_string, error, index, strings};
use crate::call::{Call, Patterns, Slot};
use fastestmirror::capi::*;
use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::ptr;

impl Player {
    /// Checks a status that also depends on a file. Returns whether the call succeeded.
    fn is_cache_used(&mut self, slot: Slot, status: c_int, has_output: bool) -> bool {
        const UNREADABLE: c_int = fm_status::FM_UNREADABLE_CACHE as c_int;
        const UNWRITABLE: c_int = fm_status::FM_UNWRITABLE_CACHE as c_int;
        assert!([OK, INVALID, UNREADABLE, UNWRITABLE].contains(&status), "status {status}");
        let Some(held) = &mut self.rankers[index(slot)] else {
            assert_eq!(status, INVALID, "for a ranker that is NULL");
            return false;
        };
        held.has_error |= status != OK;
        assert!(status == OK || !error(held.ranker).is_empty());
        assert!(status != OK || (has_output && held.has_cache));
        status == OK
    }

    pub(super) fn read_cache(&mut self, slot: Slot, has_output: bool) {
        let untouched = ptr::without_provenance_mut::<fm_cache>(1);
        let mut cache = untouched;
        let output = if has_output { &raw mut cache } else { ptr::null_mut() };
        // SAFETY: the ranker and the output are NULL or valid.
        let status = unsafe { fm_cache_read(self.ranker(slot), output) };
        if !self.is_cache_used(slot, status, has_output) {
            return assert!(cache == untouched);
        }
        // SAFETY: a cache, which is freed once, and places for the outputs, read if written.
        unsafe {
            let mut record = MaybeUninit::<fm_cache_record>::uninit();
            for position in 0..fm_cache_size(cache) {
                assert_eq!(fm_cache_get(cache, position, record.as_mut_ptr()), OK);
                let record = record.assume_init();
                assert!(!CStr::from_ptr(record.host).is_empty() && !CStr::from_ptr(record.scheme).is_empty());
                assert!((0..=5).contains(&record.remembered) && (0..=2).contains(&record.network));
                assert!(record.age >= 0.0 && record.remaining >= 0.0 && record.time.is_finite());
                assert!(record.counts == 0 || record.network != fm_network::FM_NETWORK_ANOTHER as c_int);
            }
            assert_eq!(fm_cache_get(cache, fm_cache_size(cache), record.as_mut_ptr()), INVALID);
            let (mut seed, mut age) = (0, -1.0);
            assert_eq!(fm_cache_seed(cache, &mut seed, &mut age) == OK, age >= 0.0);
            fm_cache_free(cache);
        }
    }

    pub(super) fn forget(&mut self, call: &Call) {
        let mut forgotten = usize::MAX;
        let output = &raw mut forgotten;
        let place = |has_output| if has_output { output } else { ptr::null_mut() };
        let (slot, has_output, status) = match call {
            // SAFETY: the ranker and the output are NULL or valid.
            &Call::ForgetAll(slot, has_output) => unsafe {
                (slot, has_output, fm_cache_forget_all(self.ranker(slot), place(has_output)))
            },
            Call::Forget(slot, Patterns::Null(count), has_output) => unsafe {
                let (ranker, count) = (self.ranker(*slot), (*count).into());
                (*slot, *has_output, fm_cache_forget(ranker, ptr::null(), count, place(*has_output)))
            },
            Call::Forget(slot, Patterns::These(patterns), has_output) => {
                let texts: Vec<_> =
                    patterns.iter().map(|pattern| pattern.as_ref().map(|p| c_string(p.text()))).collect();
                let pointers = strings(texts.iter().map(Option::as_ref));
                // SAFETY: as above; an array of this length, of strings and NULL.
                let status = unsafe {
                    let (patterns, count) = (pointers.as_ptr(), pointers.len());
                    fm_cache_forget(self.ranker(*slot), patterns, count, place(*has_output))
                };
                (*slot, *has_output, status)
            }
            _ => unreachable!("it is in another match"),
        };
        assert_eq!(self.is_cache_used(slot, status, has_output), forgotten != usize::MAX);
    }

    pub(super) fn limit(&self, slot: Slot, has_output: bool) {
        let (mut best, mut limit) = (f64::NAN, f64::NAN);
        let output = if has_output { &raw mut limit } else { ptr::null_mut() };
        // SAFETY: NULL or a ranking; NULL or a place for the output.
        let status = unsafe { fm_ranking_limit(self.ranking(slot), &mut best, output) };
        assert_eq!(status == OK, has_output && !self.ranking(slot).is_null());
        assert_eq!((best.is_nan(), limit.is_nan()), (status != OK, status != OK));
        assert!(status != OK || (limit >= best && (best > 0.0 || limit < 0.0)));
    }

    pub(super) fn filter(&self, slot: Slot, position: usize, has_output: bool) {
        let (mut filter, mut pattern) = (-1, usize::MAX);
        let output = if has_output { &raw mut pattern } else { ptr::null_mut() };
        // SAFETY: NULL or a ranking; NULL or a place for the output.
        let status = unsafe { fm_ranking_filter(self.ranking(slot), position, &mut filter, output) };
        assert!(status == OK || status == INVALID);
        assert_eq!(status == OK, (0..=2).contains(&filter));
        assert_eq!(status == OK, pattern != usize::MAX);
    }

    /// Checks the reasons of the mirrors of a ranking.
    pub(super) fn check_reasons(&self, ranking: *const fm_ranking, mirrors: &[fm_mirror]) {
        for (position, mirror) in mirrors.iter().enumerate() {
            let (mut reason, mut tried) = (MaybeUninit::uninit(), MaybeUninit::<fm_tried>::uninit());
            // SAFETY: a ranking, and places for the outputs, read if written.
            let reason: fm_reason = unsafe {
                assert_eq!(fm_ranking_reason(ranking, position, reason.as_mut_ptr()), OK);
                reason.assume_init()
            };
            assert!(reason.tried <= 2 && (-1..=5).contains(&reason.remembered));
            assert_eq!(reason.remembered < 0, reason.remembered_age < 0.0);
            assert!(mirror.from_cache == 0 || reason.remembered >= 0);
            assert!(mirror.address.is_null() || reason.tried > 0);
            for number in 0..reason.tried {
                // SAFETY: as above; the string belongs to the ranking.
                unsafe {
                    assert_eq!(fm_ranking_tried(ranking, position, number, tried.as_mut_ptr()), OK);
                    let tried = tried.assume_init();
                    assert!(!CStr::from_ptr(tried.address).is_empty() && tried.waited >= 0.0);
                    assert_eq!(
                        tried.latency >= 0.0,
                        tried.outcome == fm_outcome::FM_OUTCOME_MEASURED as c_int
                    );
                }
            }
            // SAFETY: as above.
            let status = unsafe { fm_ranking_tried(ranking, position, reason.tried, tried.as_mut_ptr()) };
            assert_eq!(status, INVALID);
        }
    }
}
