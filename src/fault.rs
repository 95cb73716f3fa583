//! Panics on demand, to test what becomes of a panic; nothing at all without the feature `fault-injection`.
#![forbid(unsafe_code)]

/// Panics if the environment's `FASTESTMIRROR_FAULT` names this place.
#[cfg(feature = "fault-injection")]
pub(crate) fn point(place: &str) {
    if std::env::var("FASTESTMIRROR_FAULT").is_ok_and(|fault| fault == place) {
        panic!("a fault was injected: {place}");
    }
}

#[cfg(not(feature = "fault-injection"))]
pub(crate) fn point(_place: &str) {}
