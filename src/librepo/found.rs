//! The functions of librepo, glib and libcurl, found at run time in the librepo that is there.
//!
//! A preloaded library is inherited by every child process, so this one must not need them: nothing of theirs is
//! linked or loaded here, only looked up where somebody else has loaded it.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// An object of librepo's, glib's or libcurl's that only they look into.
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

/// `LrFastestMirrorCb`.
pub(crate) type Callback = unsafe extern "C" fn(data: *mut c_void, stage: c_int, ptr: *mut c_void);

type SetOption = unsafe extern "C" fn(*mut Opaque, *mut *mut Opaque, c_int, ...) -> c_int;
type CurlSetOption = unsafe extern "C" fn(*mut Opaque, c_int, ...) -> c_int;

/// `LrFastestMirror`, allocated with g_malloc.
#[repr(C)]
#[derive(Debug)]
pub struct LrFastestMirror {
    /// The caller's string.
    pub(crate) url: *mut c_char,
    /// A handle of libcurl's, in librepo's own; always NULL in ours.
    pub(crate) curl: *mut Opaque,
    /// In seconds; negative if not measured.
    pub(crate) plain_connect_time: f64,
    pub(crate) cached: c_int,
}

/// What is used of librepo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Librepo {
    pub(crate) handle_init: unsafe extern "C" fn() -> *mut Opaque,
    pub(crate) handle_free: unsafe extern "C" fn(*mut Opaque),
    pub(crate) setopt: SetOption,
    pub(crate) getinfo: SetOption,
    pub(crate) error_quark: unsafe extern "C" fn() -> c_uint,
    /// Fills the internal list of a handle from its options; not in a public header.
    pub(crate) prepare_mirrors: Option<unsafe extern "C" fn(*mut Opaque, c_int, *mut *mut Opaque) -> c_int>,
    /// `volatile sig_atomic_t lr_interrupt`, set by its signal handler.
    pub(crate) interrupt: *const c_int,
}

/// What is used of glib.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glib {
    pub(crate) malloc0: unsafe extern "C" fn(usize) -> *mut c_void,
    pub(crate) free: unsafe extern "C" fn(*mut c_void),
    pub(crate) prepend: unsafe extern "C" fn(*mut GSList, *mut c_void) -> *mut GSList,
    pub(crate) log: unsafe extern "C" fn(*const c_char, c_int, *const c_char, ...),
    pub(crate) set_error: unsafe extern "C" fn(*mut *mut Opaque, c_uint, c_int, *const c_char),
}

/// What is used of libcurl: the one that librepo is linked to, for there may be two in a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curl {
    /// librepo's way to begin with libcurl, once and by one thread.
    pub(crate) begin: Option<unsafe extern "C" fn()>,
    pub(crate) init: unsafe extern "C" fn() -> *mut Opaque,
    pub(crate) duplicate: unsafe extern "C" fn(*mut Opaque) -> *mut Opaque,
    pub(crate) setopt: CurlSetOption,
    pub(crate) perform: unsafe extern "C" fn(*mut Opaque) -> c_int,
    pub(crate) cleanup: unsafe extern "C" fn(*mut Opaque),
    pub(crate) list_append: unsafe extern "C" fn(*mut Opaque, *const c_char) -> *mut Opaque,
    pub(crate) list_free: unsafe extern "C" fn(*mut Opaque),
}

/// Where to look: librepo and what it is linked to, or everything that is loaded.
#[derive(Debug, Clone, Copy)]
struct Place(*mut c_void);

impl Place {
    /// librepo stays loaded from the first time on, so that what was found stays where it is.
    fn librepo() -> Place {
        static FOUND: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
        let mut place = FOUND.load(SeqCst);
        if place.is_null() {
            // dnf's Python has opened it with RTLD_LOCAL, so that only its name leads to it.
            place = Place::around_us().unwrap_or_else(|| Place::loaded(c"librepo.so.0")).0;
            FOUND.store(place, SeqCst);
        }
        // In a program that librepo is linked into statically there is no such file: RTLD_DEFAULT is NULL, too.
        Place(place)
    }

    fn loaded(name: &CStr) -> Place {
        // SAFETY: a string; with RTLD_NOLOAD nothing is loaded and no constructor runs.
        Place(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) })
    }

    /// The object that this code is in, if it is librepo: built into one, it works for that one, whatever its file is called
    /// and whichever else is loaded.
    fn around_us() -> Option<Place> {
        let object_of = |address: *const c_void| {
            let mut info = MaybeUninit::<libc::Dl_info>::uninit();
            // SAFETY: any address may be asked for; it is filled if the answer is not 0.
            unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init()) }
        };
        let us = object_of(Place::around_us as *const c_void)?;
        // SAFETY: the name of a loaded object.
        let place = Place::loaded(unsafe { CStr::from_ptr(us.dli_fname) });
        let found = place.find(c"lr_handle_init")?;
        (!place.0.is_null() && object_of(found)?.dli_fbase == us.dli_fbase).then_some(place)
    }

    fn find(self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: a string, and a place that dlopen gave and nobody closes, or RTLD_DEFAULT.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    /// The function of this name.
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
        let place = Place::librepo();
        // SAFETY: these are their types in librepo's headers, in all versions.
        unsafe {
            Some(Librepo {
                handle_init: place.function(c"lr_handle_init")?,
                handle_free: place.function(c"lr_handle_free")?,
                setopt: place.function(c"lr_handle_setopt")?,
                getinfo: place.function(c"lr_handle_getinfo")?,
                error_quark: place.function(c"lr_fastestmirror_error_quark")?,
                prepare_mirrors: place.function(c"lr_handle_prepare_internal_mirrorlist"),
                interrupt: place.find(c"lr_interrupt").map_or(ptr::null(), |found| found.cast_const().cast()),
            })
        }
    }

    /// Asks a handle for an option whose value has the type `T`.
    ///
    /// # Safety
    /// The handle is one of librepo's, and `T` is the option's type.
    pub(crate) unsafe fn get<T: Copy>(&self, handle: *mut Opaque, option: c_int, otherwise: T) -> T {
        let mut value = otherwise;
        // SAFETY: the caller's promise; librepo writes one `T`. Errors are not asked for.
        let fine = unsafe { (self.getinfo)(handle, ptr::null_mut(), option, &raw mut value) };
        if fine == 0 { otherwise } else { value }
    }
}

impl Glib {
    pub(crate) fn find() -> Option<Glib> {
        let place = Place::librepo();
        // SAFETY: these are their types in glib's headers, in all versions of glib 2.
        unsafe {
            Some(Glib {
                malloc0: place.function(c"g_malloc0")?,
                free: place.function(c"g_free")?,
                prepend: place.function(c"g_slist_prepend")?,
                log: place.function(c"g_log")?,
                set_error: place.function(c"g_set_error_literal")?,
            })
        }
    }
}

impl Curl {
    pub(crate) fn find() -> Option<Curl> {
        let place = Place::librepo();
        // SAFETY: these are their types in libcurl's headers, in all versions of libcurl 7 and 8.
        unsafe {
            Some(Curl {
                begin: place.function(c"lr_global_init"),
                init: place.function(c"curl_easy_init")?,
                duplicate: place.function(c"curl_easy_duphandle")?,
                setopt: place.function(c"curl_easy_setopt")?,
                perform: place.function(c"curl_easy_perform")?,
                cleanup: place.function(c"curl_easy_cleanup")?,
                list_append: place.function(c"curl_slist_append")?,
                list_free: place.function(c"curl_slist_free_all")?,
            })
        }
    }
}
