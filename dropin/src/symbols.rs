//! The functions of librepo, glib and libcurl that are used, found at run time in the librepo that
//! the process has loaded.
//!
//! Child processes inherit a preloaded library, so this one must not need any of the three: none is
//! linked or loaded here, only looked up where something else has loaded it.

use crate::layout::DownloadTarget;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// An object of librepo, glib or libcurl whose contents are theirs alone.
#[repr(C)]
#[derive(Debug)]
pub struct Opaque {
    _private: [u8; 0],
}

/// `GSList`.
#[repr(C)]
#[derive(Debug)]
pub struct GSList {
    pub(crate) data: *mut c_void,
    pub(crate) next: *mut GSList,
}

/// `LrFastestMirror`, allocated with g_malloc.
#[repr(C)]
#[derive(Debug)]
pub struct LrFastestMirror {
    /// The caller's string.
    pub(crate) url: *mut c_char,
    /// A libcurl handle in librepo's own results; always NULL in those of this library.
    pub(crate) curl: *mut Opaque,
    /// In seconds; negative if not measured.
    pub(crate) plain_connect_time: f64,
    pub(crate) cached: c_int,
}

/// `LrFastestMirrorCb`.
pub(crate) type Callback = unsafe extern "C" fn(data: *mut c_void, stage: c_int, ptr: *mut c_void);

/// `LrProgressCb`. As the other callbacks of a download, it may be left by an exception of C++ if
/// librepo itself allows that.
pub(crate) type ProgressCallback =
    unsafe extern "C-unwind" fn(data: *mut c_void, total: f64, downloaded: f64) -> c_int;
/// `LrEndCb`.
pub(crate) type EndCallback =
    unsafe extern "C-unwind" fn(data: *mut c_void, status: c_int, message: *const c_char) -> c_int;
/// `LrMirrorFailureCb`.
pub(crate) type FailureCallback =
    unsafe extern "C-unwind" fn(data: *mut c_void, message: *const c_char, url: *const c_char) -> c_int;
/// `lr_download`.
pub(crate) type Download = unsafe extern "C-unwind" fn(*mut GSList, c_int, *mut *mut Opaque) -> c_int;
/// `lr_downloadtarget_new`.
pub(crate) type NewTarget = unsafe extern "C" fn(
    handle: *mut Opaque,
    path: *const c_char,
    baseurl: *const c_char,
    fd: c_int,
    r#fn: *const c_char,
    checksums: *mut GSList,
    expectedsize: i64,
    resume: c_int,
    progresscb: Option<ProgressCallback>,
    cbdata: *mut c_void,
    endcb: Option<EndCallback>,
    mirrorfailurecb: Option<FailureCallback>,
    userdata: *mut c_void,
    byterangestart: i64,
    byterangeend: i64,
    range: *mut c_char,
    no_cache: c_int,
    is_zchunk: c_int,
    // Room for what later versions may add, as earlier ones have added arguments: a version that
    // takes more than these would otherwise find whatever is on the stack.
    _: usize,
    _: usize,
    _: usize,
    _: usize,
) -> *mut DownloadTarget;

type SetOption = unsafe extern "C" fn(*mut Opaque, *mut *mut Opaque, c_int, ...) -> c_int;
type CurlSetOption = unsafe extern "C" fn(*mut Opaque, c_int, ...) -> c_int;

/// The symbols of librepo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Librepo {
    pub(crate) handle_init: unsafe extern "C" fn() -> *mut Opaque,
    pub(crate) handle_free: unsafe extern "C" fn(*mut Opaque),
    pub(crate) setopt: SetOption,
    pub(crate) getinfo: SetOption,
    pub(crate) error_quark: unsafe extern "C" fn() -> c_uint,
    /// Fills the internal list of a handle from its options. Not in a public header.
    pub(crate) prepare_mirrors: Option<unsafe extern "C" fn(*mut Opaque, c_int, *mut *mut Opaque) -> c_int>,
    /// Frees the nodes of an internal list with their mirrors. Not in a public header.
    pub(crate) free_mirrors: Option<unsafe extern "C" fn(*mut GSList)>,
    pub(crate) interrupt: Option<InterruptFlag>,
}

/// `volatile sig_atomic_t lr_interrupt`, which librepo's signal handler sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InterruptFlag(*const c_int);

// SAFETY: a variable of librepo, which stays loaded. Any thread may read it.
unsafe impl Send for InterruptFlag {}

impl InterruptFlag {
    pub(crate) fn is_set(self) -> bool {
        // SAFETY: a `sig_atomic_t`, which is an int, of a library that stays loaded.
        unsafe { self.0.read_volatile() != 0 }
    }
}

/// The functions of glib.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glib {
    pub(crate) malloc0: unsafe extern "C" fn(usize) -> *mut c_void,
    pub(crate) free: unsafe extern "C" fn(*mut c_void),
    pub(crate) prepend: unsafe extern "C" fn(*mut GSList, *mut c_void) -> *mut GSList,
    pub(crate) log: unsafe extern "C" fn(*const c_char, c_int, *const c_char, ...),
    pub(crate) set_error: unsafe extern "C" fn(*mut *mut Opaque, c_uint, c_int, *const c_char),
}

/// The functions of libcurl: of the one that librepo is linked to, since a process may have two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curl {
    /// librepo's function that initializes libcurl, once per process.
    pub(crate) global_init: Option<unsafe extern "C" fn()>,
    pub(crate) init: unsafe extern "C" fn() -> *mut Opaque,
    pub(crate) duplicate: unsafe extern "C" fn(*mut Opaque) -> *mut Opaque,
    pub(crate) setopt: CurlSetOption,
    pub(crate) perform: unsafe extern "C" fn(*mut Opaque) -> c_int,
    pub(crate) cleanup: unsafe extern "C" fn(*mut Opaque),
    pub(crate) list_append: unsafe extern "C" fn(*mut Opaque, *const c_char) -> *mut Opaque,
    pub(crate) list_free: unsafe extern "C" fn(*mut Opaque),
}

/// Where to look symbols up: librepo and what it is linked to, or everything that is loaded.
#[derive(Debug, Clone, Copy)]
struct Scope(*mut c_void);

impl Scope {
    /// Returns the scope of librepo, which stays loaded from the first call on, so that what was
    /// found stays where it is.
    fn librepo() -> Scope {
        static FOUND: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
        let mut scope = FOUND.load(SeqCst);
        if scope.is_null() {
            // dnf's Python opens librepo with RTLD_LOCAL, so that only its name leads to it.
            scope = Scope::around_us().unwrap_or_else(|| Scope::loaded(c"librepo.so.0")).0;
            FOUND.store(scope, SeqCst);
        }
        // A program that librepo is linked into statically has no such library, and then this is
        // NULL, which is RTLD_DEFAULT: everything that is loaded.
        Scope(scope)
    }

    fn loaded(name: &CStr) -> Scope {
        // SAFETY: a string; with RTLD_NOLOAD nothing is loaded and no constructor runs.
        Scope(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) })
    }

    /// Returns the scope of the object that this code is part of, if that is a librepo or is linked
    /// to one. This code serves that one then, whatever its file is called and whichever others are
    /// loaded: built into a librepo, or in the drop-in directory, where the librepo that the
    /// process finds by name is this object itself. None of the functions that are looked up there
    /// is one of those that are exported here.
    fn around_us() -> Option<Scope> {
        let us = object_of(Scope::around_us as *const c_void)?;
        // SAFETY: the name of a loaded object.
        let us = Scope::loaded(unsafe { CStr::from_ptr(us.dli_fname) });
        // A program cannot be opened by its name. NULL would stand for everything that is loaded.
        (!us.0.is_null() && us.find(c"lr_handle_init").is_some()).then_some(us)
    }

    fn find(self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: a string, and a handle from dlopen that is never closed, or RTLD_DEFAULT.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    /// Returns the function of this name.
    ///
    /// # Safety
    /// `F` is the type of a pointer to it.
    unsafe fn function<F: Copy>(self, name: &CStr) -> Option<F> {
        const { assert!(mem::size_of::<F>() == mem::size_of::<*mut c_void>()) };
        // SAFETY: a pointer to a function, not NULL, of the type that the caller promises.
        self.find(name).map(|found| unsafe { mem::transmute_copy(&found) })
    }
}

impl Librepo {
    pub(crate) fn find() -> Option<Librepo> {
        let scope = Scope::librepo();
        // SAFETY: their types in the headers of all versions of librepo.
        unsafe {
            Some(Librepo {
                handle_init: scope.function(c"lr_handle_init")?,
                handle_free: scope.function(c"lr_handle_free")?,
                setopt: scope.function(c"lr_handle_setopt")?,
                getinfo: scope.function(c"lr_handle_getinfo")?,
                error_quark: scope.function(c"lr_fastestmirror_error_quark")?,
                prepare_mirrors: scope.function(c"lr_handle_prepare_internal_mirrorlist"),
                free_mirrors: scope.function(c"lr_lrmirrorlist_free"),
                interrupt: scope.find(c"lr_interrupt").map(|found| InterruptFlag(found.cast_const().cast())),
            })
        }
    }

    /// Returns an option of a handle, or `default` where librepo has no value.
    ///
    /// # Safety
    /// The handle is one of this librepo, and `T` is the type of the option.
    pub(crate) unsafe fn get<T: Copy>(&self, handle: *mut Opaque, option: c_int, default: T) -> T {
        let mut value = default;
        // SAFETY: the caller's promise; librepo writes one `T`. A NULL error is allowed.
        let is_known = unsafe { (self.getinfo)(handle, ptr::null_mut(), option, &raw mut value) };
        if is_known == 0 { default } else { value }
    }
}

/// Returns librepo's own `lr_download`. In a librepo that this code is built into, it has another
/// name. Elsewhere it has that of ours, and so it is looked for in the object that has librepo's
/// other functions.
pub(crate) fn real_download() -> Option<Download> {
    let librepo = object_of(Scope::librepo().find(c"lr_handle_init")?)?;
    // SAFETY: the name of a loaded object.
    let scope = Scope::loaded(unsafe { CStr::from_ptr(librepo.dli_fname) });
    // NULL would stand for everything that is loaded, ours included.
    if scope.0.is_null() {
        return None;
    }
    let us = object_of(object_of as *const c_void)?.dli_fbase;
    let is_ours = |function: &*mut c_void| object_of(*function).is_none_or(|object| object.dli_fbase == us);
    let found = scope.find(c"lr_download_itself");
    let found = found.or_else(|| scope.find(c"lr_download").filter(|function| !is_ours(function)))?;
    // SAFETY: its type in the headers of all versions of librepo.
    Some(unsafe { mem::transmute::<*mut c_void, Download>(found) })
}

/// Returns which loaded object this address is in.
fn object_of(address: *const c_void) -> Option<libc::Dl_info> {
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: any address is allowed; `info` is filled if the result is not 0, and has the name of
    // a loaded object then.
    unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init()) }
}

/// The functions that make targets of downloads. The second is not in a public header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TargetFunctions {
    pub(crate) new: NewTarget,
    pub(crate) set_usedmirror: unsafe extern "C" fn(*mut DownloadTarget, *const c_char),
    pub(crate) free: unsafe extern "C" fn(*mut DownloadTarget),
}

impl TargetFunctions {
    pub(crate) fn find() -> Option<TargetFunctions> {
        let scope = Scope::librepo();
        // SAFETY: their types in the headers of all versions of librepo.
        unsafe {
            Some(TargetFunctions {
                new: scope.function(c"lr_downloadtarget_new")?,
                set_usedmirror: scope.function(c"lr_downloadtarget_set_usedmirror")?,
                free: scope.function(c"lr_downloadtarget_free")?,
            })
        }
    }
}

impl Glib {
    pub(crate) fn find() -> Option<Glib> {
        let scope = Scope::librepo();
        // SAFETY: their types in the headers of all versions of glib 2.
        unsafe {
            Some(Glib {
                malloc0: scope.function(c"g_malloc0")?,
                free: scope.function(c"g_free")?,
                prepend: scope.function(c"g_slist_prepend")?,
                log: scope.function(c"g_log")?,
                set_error: scope.function(c"g_set_error_literal")?,
            })
        }
    }
}

impl Curl {
    pub(crate) fn find() -> Option<Curl> {
        let scope = Scope::librepo();
        // SAFETY: their types in the headers of all versions of libcurl 7 and 8.
        unsafe {
            Some(Curl {
                global_init: scope.function(c"lr_global_init"),
                init: scope.function(c"curl_easy_init")?,
                duplicate: scope.function(c"curl_easy_duphandle")?,
                setopt: scope.function(c"curl_easy_setopt")?,
                perform: scope.function(c"curl_easy_perform")?,
                cleanup: scope.function(c"curl_easy_cleanup")?,
                list_append: scope.function(c"curl_slist_append")?,
                list_free: scope.function(c"curl_slist_free_all")?,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_exported_function_is_looked_up() {
        // In the drop-in directory, the first that is found of that name would be ours.
        for symbol in include_str!("../tests/symbols.txt").lines() {
            // `real_download` takes care of it.
            let expected = usize::from(symbol == "lr_download");
            let found = include_str!("symbols.rs").matches(&format!("(c\"{symbol}\")")).count();
            assert_eq!(found, expected, "{symbol}");
        }
    }
}
