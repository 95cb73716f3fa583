//! What a librepo handle holds: options through librepo's public getters, and the rest at offsets
//! that were proved first.

use crate::layout;
use crate::log::Log;
use crate::symbols::{Callback, GSList, Glib, Librepo, Opaque};
use fastestmirror::Family;
use std::ffi::{CStr, OsStr, c_char, c_int, c_long, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::Duration;

/// A handle and the librepo that made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handle {
    librepo: Librepo,
    handle: *mut Opaque,
}

/// The progress callback of a handle and its data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listener {
    callback: Callback,
    data: *mut c_void,
}

// SAFETY: the callback is called on the thread of librepo's caller only, during that call: a
// `Ranker` wants an observer that is Send, but calls it on the thread that ranks.
unsafe impl Send for Listener {}

impl Listener {
    /// Calls the callback.
    ///
    /// # Safety
    /// This is the thread of librepo's caller, during its call, and `pointer` is what librepo
    /// passes with this stage.
    pub(crate) unsafe fn call(self, stage: c_int, pointer: *mut c_void) {
        // SAFETY: the function that librepo would call here, with its data.
        unsafe { (self.callback)(self.data, stage, pointer) };
    }
}

impl Handle {
    /// # Safety
    /// `handle` is a handle of this librepo, and outlives the result.
    pub(crate) unsafe fn new(librepo: Librepo, handle: *mut Opaque) -> Handle {
        Handle { librepo, handle }
    }

    /// Returns what distinguishes it from other handles that are there.
    pub(crate) fn address(&self) -> usize {
        self.handle as usize
    }

    fn get<T: Copy>(&self, option: c_int, default: T) -> T {
        // SAFETY: a handle, by the promise of `new`; the callers below use the types of librepo's
        // headers.
        unsafe { self.librepo.get(self.handle, option, default) }
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.get::<c_long>(layout::LRI_OFFLINE, 0) != 0
    }

    /// Whether librepo puts its mirrors in order, with the functions of this library.
    pub(crate) fn has_fastestmirror(&self) -> bool {
        self.get::<c_long>(layout::LRI_FASTESTMIRROR, 0) != 0
    }

    /// Returns the timeout, limited to what a ranker accepts.
    pub(crate) fn timeout(&self) -> Duration {
        let seconds = self.get::<f64>(layout::LRI_FASTESTMIRRORTIMEOUT, 2.0);
        Duration::try_from_secs_f64(seconds.clamp(0.0, 3600.0)).unwrap_or(Duration::from_secs(2))
    }

    pub(crate) fn max_age(&self) -> Duration {
        let seconds = self.get::<c_long>(layout::LRI_FASTESTMIRRORMAXAGE, 30 * 24 * 3600);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }

    pub(crate) fn family(&self) -> Family {
        match self.get::<c_int>(layout::LRI_IPRESOLVE, 0) {
            layout::LR_IPRESOLVE_V4 => Family::Ipv4,
            layout::LR_IPRESOLVE_V6 => Family::Ipv6,
            _ => Family::Any,
        }
    }

    pub(crate) fn cache(&self) -> Option<PathBuf> {
        let path = self.get::<*const c_char>(layout::LRI_FASTESTMIRRORCACHE, ptr::null());
        if path.is_null() {
            return None;
        }
        // SAFETY: a string of the handle, which does not change during this call.
        let path = unsafe { CStr::from_ptr(path) };
        Some(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
    }

    /// Returns the callback, if there is one and the layout is proved.
    pub(crate) fn listener(&self) -> Option<Listener> {
        if !self.is_proved() {
            return None;
        }
        // SAFETY: the layout is proved: a function or NULL, and a pointer.
        unsafe {
            let callback: Option<Callback> = self.read(layout::CALLBACK);
            Some(Listener { callback: callback?, data: self.read(layout::DATA) })
        }
    }

    /// Returns the libcurl handle of which every transfer gets a copy, if the layout is proved.
    pub(crate) fn curl(&self) -> Option<*mut Opaque> {
        if !self.is_proved() {
            return None;
        }
        // SAFETY: the layout is proved: a pointer.
        let curl = unsafe { self.read::<*mut Opaque>(layout::CURL) };
        if curl.is_null() { None } else { Some(curl) }
    }

    /// Returns the internal list of mirrors, if the layout is proved.
    pub(crate) fn mirrors(&self) -> Option<*mut GSList> {
        // SAFETY: the layout is proved: a pointer.
        self.is_proved().then(|| unsafe { self.read(layout::MIRRORS) })
    }

    /// # Safety
    /// There is a `T` at this offset.
    unsafe fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: the caller's promise, and that of `new`.
        unsafe { self.handle.cast::<u8>().add(offset).cast::<T>().read() }
    }

    /// Whether the fields of this librepo's handles are at the expected offsets: checked once per
    /// process.
    fn is_proved(&self) -> bool {
        const UNKNOWN: u8 = 0;
        const YES: u8 = 1;
        const NO: u8 = 2;
        // No lock, which a fork could leave locked: two threads may both do the check.
        static PROVED: AtomicU8 = AtomicU8::new(UNKNOWN);
        if PROVED.load(SeqCst) == UNKNOWN {
            Log(Glib::find()).debug("checking the layout of this librepo's handles with a scratch handle");
            PROVED.store(if prove(self.librepo) { YES } else { NO }, SeqCst);
        }
        PROVED.load(SeqCst) == YES
    }
}

/// Returns the URL of a mirror in an internal list.
///
/// # Safety
/// The layout is proved, and this is the data of a node of [`Handle::mirrors`].
pub(crate) unsafe fn url_of(mirror: *const c_void) -> *const c_char {
    // SAFETY: an `LrInternalMirror`, by the caller's promise.
    unsafe { mirror.cast::<u8>().add(layout::MIRROR_URL).cast::<*const c_char>().read() }
}

unsafe extern "C" fn sentinel(_: *mut c_void, _: c_int, _: *mut c_void) {}

/// Sets options of a scratch handle through the public interface, and checks that they appear at
/// the expected offsets.
fn prove(librepo: Librepo) -> bool {
    // SAFETY: takes nothing, returns a handle or NULL.
    let handle = unsafe { (librepo.handle_init)() };
    if handle.is_null() {
        return false;
    }
    // SAFETY: a fresh handle of this librepo, freed below.
    let proved = unsafe { is_as_expected(&Handle { librepo, handle }) };
    // SAFETY: nothing else uses it.
    unsafe { (librepo.handle_free)(handle) };
    proved
}

/// # Safety
/// The handle is a fresh one.
unsafe fn is_as_expected(fresh: &Handle) -> bool {
    const PATH: &CStr = c"/nonexistent/fastestmirror";
    const URL: &CStr = c"http://sentinel.example/";
    let (librepo, handle) = (fresh.librepo, fresh.handle);
    let text = |pointer: *const c_char| {
        // SAFETY: NULL or a string, if everything before it was as expected.
        (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
    };
    let callback: Callback = sentinel;
    let mut data = 0u8;
    let data: *mut c_void = (&raw mut data).cast();
    let urls = [URL.as_ptr(), ptr::null()];
    let no_error: *mut *mut Opaque = ptr::null_mut();
    // SAFETY: the options have these types in librepo's headers; all reads are within the memory of
    // the handle, and a pointer is followed only if everything before it was as expected.
    unsafe {
        if libc::malloc_usable_size(handle.cast()) < layout::DATA + size_of::<*mut c_void>() {
            return false;
        }
        let is_set = (librepo.setopt)(handle, no_error, layout::LRO_FASTESTMIRRORCB, callback) != 0
            && (librepo.setopt)(handle, no_error, layout::LRO_FASTESTMIRRORDATA, data) != 0
            && (librepo.setopt)(handle, no_error, layout::LRO_FASTESTMIRRORCACHE, PATH.as_ptr()) != 0
            && (librepo.setopt)(handle, no_error, layout::LRO_URLS, urls.as_ptr()) != 0;
        let is_there = fresh.read::<usize>(layout::CALLBACK) == callback as usize
            && fresh.read::<*mut c_void>(layout::DATA) == data
            && fresh.read::<*const c_char>(layout::CACHE)
                == fresh.get::<*const c_char>(layout::LRI_FASTESTMIRRORCACHE, ptr::null())
            && fresh.read::<*const c_void>(layout::MIRRORS).is_null()
            && !fresh.read::<*const c_void>(layout::CURL).is_null();
        if !(is_set && is_there && text(fresh.read(layout::CACHE)) == Some(PATH)) {
            return false;
        }
        // Once the internal list is filled, the mirror must be in it. Without a way to fill it, the
        // place of the list would be a guess.
        let Some(prepare) = librepo.prepare_mirrors else { return false };
        if prepare(handle, 0, no_error) == 0 {
            return false;
        }
        let list = fresh.read::<*const GSList>(layout::MIRRORS);
        !list.is_null()
            && (*list).next.is_null()
            && libc::malloc_usable_size((*list).data) >= layout::MIRROR_SIZE
            && text(url_of((*list).data)) == Some(URL)
    }
}
