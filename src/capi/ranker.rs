//! `fm_ranker`: making and freeing one, its error, and the call that ranks.

use super::callbacks::Callbacks;
use super::ranking::fm_ranking;
use super::status::{Failure, fm_status, guard};
use crate::fault;
use crate::probe::Cancel;
use crate::ranker::Ranker;
use crate::ranking::Candidate;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Options and callbacks for ranking. Made by fm_ranker_new(), freed by fm_ranker_free().
#[derive(Debug)]
pub struct fm_ranker {
    /// Outside the lock, for another thread or a signal handler.
    cancel: Cancel,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    cancel: Cancel,
    pub(super) ranker: Ranker,
    pub(super) callbacks: Callbacks,
    error: CString,
}

impl Inner {
    /// Turns the result of a function's body into a status, and keeps the message of a failure.
    fn status(&mut self, result: Result<(), Failure>) -> c_int {
        match result {
            Ok(()) => fm_status::FM_OK as c_int,
            Err(Failure { status, message }) => {
                // To a C reader a message ends at a NUL that it quotes.
                let text = message.split('\0').next().unwrap_or_default();
                self.error = CString::new(text).unwrap_or_default();
                status as c_int
            }
        }
    }
}

/// Makes a ranker with the defaults that each setter names. Returns NULL only after an internal
/// error (a bug). A ranker holds memory and nothing else.
#[unsafe(no_mangle)]
pub extern "C" fn fm_ranker_new() -> *mut fm_ranker {
    let new = guard(|| {
        let cancel = Cancel::new();
        let mut ranker = Ranker::new();
        ranker.cancel(&cancel);
        let inner = Inner {
            cancel: cancel.clone(),
            ranker,
            callbacks: Callbacks::default(),
            error: CString::default(),
        };
        Ok(Box::into_raw(Box::new(fm_ranker { cancel, inner: Mutex::new(inner) })))
    });
    new.unwrap_or(ptr::null_mut())
}

/// Frees a ranker. NULL is fine. No call may be using it; its results stay valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_free(ranker: *mut fm_ranker) {
    // A failure cannot be reported.
    let _ = guard(|| {
        if !ranker.is_null() {
            // SAFETY: the caller's promise; the box was made by fm_ranker_new().
            drop(unsafe { Box::from_raw(ranker) });
        }
        Ok(())
    });
}

/// Returns the message of the last failed call with this ranker: it names the argument and what is
/// wrong with it. Empty if none has failed; "the ranker is in use" while a call with it is under
/// way; "the ranker is NULL" for NULL. Never NULL; valid until the next call with this ranker, by
/// any thread.
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
        // Cannot happen: with_inner() catches panics while it holds the lock.
        Err(TryLockError::Poisoned(poisoned)) => Some(PoisonError::into_inner(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Runs a function's body on the ranker, unless it is NULL or in use.
///
/// # Safety
/// `ranker` is NULL or a valid ranker.
pub(super) unsafe fn with_inner(
    ranker: *const fm_ranker,
    body: impl FnOnce(&mut Inner) -> Result<(), Failure>,
) -> c_int {
    // SAFETY: the caller's promise. A shared reference only: a cancel may come at any time.
    let Some(ranker) = (unsafe { ranker.as_ref() }) else {
        return fm_status::FM_INVALID_ARGUMENT as c_int;
    };
    let Some(mut inner) = lock(ranker) else { return fm_status::FM_BUSY as c_int };
    let result = guard(|| body(&mut inner));
    inner.status(result)
}

/// As [`with_inner`], for those that need nothing but the ranker.
///
/// # Safety
/// `ranker` is NULL or a valid ranker.
pub(super) unsafe fn with_ranker(
    ranker: *const fm_ranker,
    body: impl FnOnce(&mut Ranker) -> Result<(), Failure>,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with_inner(ranker, |inner| body(&mut inner.ranker)) }
}

/// Stops the measuring of the call of fm_rank() that is under way in another thread, or that is
/// calling this callback; if none is, of the next one. That call still succeeds, with what is known
/// so far, and uses the cancel up; its stop reason is FM_STOP_CANCELLED unless measuring had
/// stopped already. May be called from a signal handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_cancel(ranker: *const fm_ranker) {
    // SAFETY: the caller's promise. No guard: an atomic store does not panic.
    if let Some(ranker) = unsafe { ranker.as_ref() } {
        ranker.cancel.cancel();
    }
}

/// Measures `count` mirrors and puts them in order. Blocks until measuring stops, at most for the
/// timeout and a few milliseconds; a list of many thousands, and the callbacks, take their own time
/// beside that.
///
/// `urls` holds `count` strings, which are copied; a URL to which no connection can be made is no
/// error but an outcome. `weights` holds as many positive, finite numbers, or is NULL for all
/// equal: a host of weight 2 leads the pool twice as often as one of weight 1. On success
/// `*ranking` is set, to be freed with fm_ranking_free(); on failure it is left as it was, and the
/// order to use is the caller's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_rank(
    ranker: *mut fm_ranker,
    urls: *const *const c_char,
    weights: *const f64,
    count: usize,
    ranking: *mut *mut fm_ranking,
) -> c_int {
    /// Makes the cancel handle usable again, however the call ends: a cancel that came too late for
    /// this call is not meant for the next.
    struct Reset(Cancel);
    impl Drop for Reset {
        fn drop(&mut self) {
            self.0.reset();
        }
    }
    let body = |inner: &mut Inner| {
        let _reset = Reset(inner.cancel.clone());
        fault::point("capi");
        if ranking.is_null() {
            return Err(Failure::argument("ranking is NULL"));
        }
        if urls.is_null() && count > 0 {
            return Err(Failure::argument("urls is NULL"));
        }
        let mut strings = Vec::new();
        let mut candidates = Vec::new();
        for index in 0..count {
            // SAFETY: `urls` holds `count` pointers, by the caller's promise.
            let url = unsafe { *urls.add(index) };
            if url.is_null() {
                return Err(Failure::argument(format!("urls[{index}] is NULL")));
            }
            // SAFETY: a string, by the caller's promise.
            let string = unsafe { CStr::from_ptr(url) }.to_owned();
            // SAFETY: `weights` holds `count` numbers, by the caller's promise.
            let weight = if weights.is_null() { 1.0 } else { unsafe { *weights.add(index) } };
            if !(weight > 0.0 && weight.is_finite()) {
                let message = format!("weights[{index}] is {weight}, not a positive, finite number");
                return Err(Failure::argument(message));
            }
            candidates.push(Candidate { url: string.to_string_lossy().into_owned(), weight });
            strings.push(string);
        }
        let result = inner.ranker.rank(candidates)?;
        let made = Box::into_raw(Box::new(fm_ranking::new(&result, strings)));
        // SAFETY: not NULL, and can be written, by the caller's promise.
        unsafe { *ranking = made };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { with_inner(ranker, body) }
}
