//! Panics on demand, to test what becomes of a panic: at the entry from C, at the start of a run,
//! and in a lookup thread. Without the private feature `__fault-injection` there is nothing here.
#![forbid(unsafe_code)]

/// Panics if the environment variable `FASTESTMIRROR_FAULT` names this place.
#[cfg(feature = "__fault-injection")]
pub(crate) fn point(place: &str) {
    if std::env::var("FASTESTMIRROR_FAULT").is_ok_and(|fault| fault == place) {
        panic!("a fault was injected: {place}");
    }
}

#[cfg(not(feature = "__fault-injection"))]
pub(crate) fn point(_place: &str) {}
