//! The proof that `LrDownloadTarget` is laid out in this librepo as in those that are known.

use crate::layout::DownloadTarget;
use crate::log::Log;
use crate::symbols::{EndCallback, FailureCallback, Glib, Librepo, ProgressCallback, TargetFunctions};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

/// Whether the fields of this librepo's targets are where they are expected: checked once per
/// process.
pub(super) fn is_proved(librepo: Librepo) -> bool {
    const UNKNOWN: u8 = 0;
    const YES: u8 = 1;
    const NO: u8 = 2;
    // No lock, which a fork could leave locked: two threads may both do the check.
    static PROVED: AtomicU8 = AtomicU8::new(UNKNOWN);
    if PROVED.load(SeqCst) == UNKNOWN {
        let is_proved = TargetFunctions::find().is_some_and(|functions| prove(librepo, functions));
        if !is_proved {
            Log(Glib::find())
                .debug("downloads are not watched: the layout of this librepo's targets is unknown");
        }
        PROVED.store(if is_proved { YES } else { NO }, SeqCst);
    }
    PROVED.load(SeqCst) == YES
}

unsafe extern "C-unwind" fn on_progress(_: *mut c_void, _: f64, _: f64) -> c_int {
    0
}

unsafe extern "C-unwind" fn on_end(_: *mut c_void, _: c_int, _: *const c_char) -> c_int {
    0
}

unsafe extern "C-unwind" fn on_failure(_: *mut c_void, _: *const c_char, _: *const c_char) -> c_int {
    0
}

/// Makes a target through the public interface, and checks that everything appears at the expected
/// offsets.
fn prove(librepo: Librepo, functions: TargetFunctions) -> bool {
    const PATH: &CStr = c"sentinel/path";
    const BASE: &CStr = c"http://sentinel.example/";
    const FILE: &CStr = c"/nonexistent/fastestmirror";
    const USED: &CStr = c"http://used.example/";
    // Not NULL, and never followed.
    let data = ptr::dangling_mut::<c_void>();
    let user_data = PATH.as_ptr().cast_mut().cast();
    let progress: ProgressCallback = on_progress;
    let end: EndCallback = on_end;
    let failure: FailureCallback = on_failure;
    // SAFETY: takes nothing, returns a handle or NULL.
    let handle = unsafe { (librepo.handle_init)() };
    if handle.is_null() {
        return false;
    }
    // SAFETY: the type in librepo's header. A file that is not opened needs no descriptor. Versions
    // that have fewer arguments ignore the others, and those of a later one are 0 or NULL.
    let target = unsafe {
        (functions.new)(
            handle,
            PATH.as_ptr(),
            BASE.as_ptr(),
            -1,
            FILE.as_ptr(),
            ptr::null_mut(),
            0x1234_5678_9abc,
            0,
            Some(progress),
            data,
            Some(end),
            Some(failure),
            user_data,
            0x2345_6789_abcd,
            0x3456_789a_bcde,
            ptr::null_mut(),
            1,
            1,
            0,
            0,
            0,
            0,
        )
    };
    let text = |pointer: *const c_char| {
        // SAFETY: NULL or a string, if everything before it was as expected.
        (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
    };
    // SAFETY: what is read is within the memory of the target, and a pointer is followed only if
    // everything before it was as expected.
    let is_as_expected = unsafe {
        !target.is_null() && libc::malloc_usable_size(target.cast()) >= size_of::<DownloadTarget>() && {
            let made = target.read();
            let is_there = made.handle == handle
                && made.fd == -1
                && made.checksums.is_null()
                && made.expectedsize == 0x1234_5678_9abc
                && made.origsize == 0x1234_5678_9abc
                && made.resume == 0
                && made.progresscb.map(|it| it as usize) == Some(progress as usize)
                && made.cbdata == data
                && made.endcb.map(|it| it as usize) == Some(end as usize)
                && made.mirrorfailurecb.map(|it| it as usize) == Some(failure as usize)
                && made.byterangestart == 0x2345_6789_abcd
                && made.byterangeend == 0x3456_789a_bcde
                && made.no_cache == 1
                && made.usedmirror.is_null()
                && made.effectiveurl.is_null()
                && made.err.is_null()
                && made.userdata == user_data
                && made.is_zchunk == 1;
            is_there
                && text(made.path) == Some(PATH)
                && text(made.baseurl) == Some(BASE)
                && text(made.r#fn) == Some(FILE)
                && {
                    (functions.set_usedmirror)(target, USED.as_ptr());
                    let set = target.read();
                    text(set.usedmirror) == Some(USED) && set.effectiveurl.is_null()
                }
        }
    };
    // SAFETY: nothing else uses them.
    unsafe {
        if !target.is_null() {
            (functions.free)(target);
        }
        (librepo.handle_free)(handle);
    }
    is_as_expected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::{GSList, Opaque};
    use std::sync::atomic::AtomicUsize;

    /// What a later version finds in the arguments that it has added.
    static MORE: AtomicUsize = AtomicUsize::new(usize::MAX);

    unsafe extern "C" fn new(
        _: *mut Opaque,
        _: *const c_char,
        _: *const c_char,
        _: c_int,
        _: *const c_char,
        _: *mut GSList,
        _: i64,
        _: c_int,
        _: Option<ProgressCallback>,
        _: *mut c_void,
        _: Option<EndCallback>,
        _: Option<FailureCallback>,
        _: *mut c_void,
        _: i64,
        _: i64,
        _: *mut c_char,
        _: c_int,
        _: c_int,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
    ) -> *mut DownloadTarget {
        MORE.store(a | b | c | d, SeqCst);
        ptr::null_mut()
    }

    unsafe extern "C" fn make() -> *mut Opaque {
        ptr::dangling_mut()
    }

    unsafe extern "C" fn free(_: *mut Opaque) {}

    unsafe extern "C" fn free_target(_: *mut DownloadTarget) {}

    unsafe extern "C" fn set_usedmirror(_: *mut DownloadTarget, _: *const c_char) {}

    unsafe extern "C" fn quark() -> std::ffi::c_uint {
        0
    }

    unsafe extern "C" {
        /// Stands for librepo's function, and is not called.
        #[link_name = "printf"]
        fn option(_: *mut Opaque, _: *mut *mut Opaque, _: c_int, ...) -> c_int;
    }

    #[test]
    fn target_of_a_later_librepo_gets_no_garbage() {
        let librepo = Librepo {
            handle_init: make,
            handle_free: free,
            setopt: option,
            getinfo: option,
            error_quark: quark,
            prepare_mirrors: None,
            free_mirrors: None,
            interrupt: None,
        };
        assert!(!prove(librepo, TargetFunctions { new, set_usedmirror, free: free_target }));
        assert_eq!(MORE.load(SeqCst), 0);
    }
}
