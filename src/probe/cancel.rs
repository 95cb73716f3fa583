//! Stops a run from elsewhere.
#![forbid(unsafe_code)]

use crate::sys::Waker;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Cancels a run from elsewhere: another thread, the observer, or a signal handler.
///
/// Clones cancel the same run. A cancelled handle stays cancelled: a later run that uses it stops
/// before it measures anything.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_cancelled: AtomicBool,
    waker: Waker,
}

impl Cancel {
    /// Makes a handle to give to [`Ranker::cancel`](crate::Ranker::cancel).
    ///
    /// # Errors
    /// If the system has no file descriptor left (`eventfd`(2)).
    pub fn new() -> io::Result<Cancel> {
        Ok(Cancel(Arc::new(Shared { is_cancelled: AtomicBool::new(false), waker: Waker::new()? })))
    }

    /// Stops measuring at once; the run returns what it knows. Async-signal-safe.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, SeqCst);
        self.0.waker.wake();
    }

    /// Makes the handle usable again.
    pub(crate) fn reset(&self) {
        self.0.is_cancelled.store(false, SeqCst);
    }

    /// Returns whether the handle was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(SeqCst)
    }

    /// Returns the descriptor that becomes readable when the handle is cancelled.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.waker.as_fd()
    }
}
