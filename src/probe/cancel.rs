//! Stops a run from elsewhere.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Cancels a run from elsewhere: another thread, the observer, or a signal handler.
///
/// Clones cancel the same run. A cancelled handle stays cancelled: a later run that uses it stops
/// before it measures anything.
///
/// It holds no descriptor, which the program could close, and which would have to be open before
/// and after a run. So a run looks at it at least every 20 ms.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Makes a handle to give to [`Ranker::cancel`](crate::Ranker::cancel).
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Stops measuring within 20 ms; the run returns what it knows. Async-signal-safe.
    pub fn cancel(&self) {
        self.0.store(true, SeqCst);
    }

    /// Makes the handle usable again.
    pub(crate) fn reset(&self) {
        self.0.store(false, SeqCst);
    }

    /// Returns whether the handle was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(SeqCst)
    }
}
