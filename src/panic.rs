//! A panic becomes an error: for layers that C code calls, where a panic must neither unwind nor
//! print.
#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

thread_local! {
    /// Whether panics of this thread print nothing.
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`. If it panics, nothing is printed, and the panic's message is returned as the error.
///
/// For code that is called from C. The standard library prints the message of a panic before it can
/// be caught, so the first call replaces the panic hook by one that is silent while `catch_panic`
/// runs, and in the threads of this library; all other panics go to the hook that was there before.
/// In a C library the hook is a private copy of that library's.
///
/// ```
/// assert_eq!(fastestmirror::catch_panic(|| 1), Ok(1));
/// let message = fastestmirror::catch_panic(|| panic!("oops")).unwrap_err();
/// assert_eq!(message, "internal error (a bug): oops");
/// # let _: () = ();
/// ```
///
/// # Errors
/// Returns the message of the panic.
pub fn catch_panic<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    // There is no lock, since another thread could hold it during a fork. The first call of a
    // second thread may come a moment before the hook is in place.
    static IS_HOOKED: AtomicBool = AtomicBool::new(false);
    if !IS_HOOKED.swap(true, SeqCst) {
        let other = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_SILENT.get() {
                other(info);
            }
        }));
    }
    let before = IS_SILENT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    IS_SILENT.set(before);
    result.map_err(message)
}

/// Makes panics of this thread print nothing, if [`catch_panic`] has ever been called. For the
/// library's own threads, whose panics are passed on to the thread that ranks.
pub(crate) fn silence_this_thread() {
    IS_SILENT.set(true);
}

/// Returns what a panic said. Its payload may panic in its turn when it is dropped, so it never is.
fn message(panic: Box<dyn Any + Send>) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "without a message",
    };
    let text = format!("internal error (a bug): {text}");
    std::mem::forget(panic);
    text
}
