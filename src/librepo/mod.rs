//! librepo's fastestmirror functions, with its ABI and its promises: for librepo built with this library inside, and
//! for programs that load this library before librepo.
//!
//! Where librepo's own functions are at fault, these differ on purpose:
//! - Latency is the TCP handshake's, for https mirrors too; no TLS.
//! - A silent mirror is waited for as long as it could matter, not for the whole timeout. So a far live mirror may be
//!   reported as not measured, after all that are; the nearest 16 outside the pool never are.
//! - If nothing answers, and where latencies are equal, the order given stands.
//! - `lr_fastestmirror` shuffles the pool also in place of versions of librepo that did not, in one order for all lists
//!   of a process.
//! - Offline, `lr_fastestmirror` leaves the list as it is, and `lr_fastestmirror_detailed` returns it unmeasured; given an
//!   empty list, the latter sets its result to NULL.
//! - The URLs of one host stay together, a `file:` mirror is first and leaves the others shuffled, a single endpoint is
//!   not measured for an order that does not depend on it.
//! - An interrupt ends measuring at once, where librepo has a handler for it.
//! - Behind a proxy the order is kept.
//! - An error is reported for wrong arguments only: whatever else happens, the caller has an order and gets TRUE.
//!
//! # Safety
//! A C caller's pointers are what librepo's headers ask for: NULL or valid, handles of the librepo that is loaded, lists
//! of strings or handles that nobody changes meanwhile. Each `unsafe` function relies on that ("the caller's promise").
#![allow(clippy::missing_safety_doc)] // said above, once

mod found;
mod handle;
mod layout;
mod list;
mod log;
mod proxy;
mod settings;

use crate::capi::guard;
use crate::rank::Outcome;
use crate::ranker::{Candidate, RankedMirror, Ranker, Ranking, Run};
use found::{Curl, Glib, Librepo};
pub use found::{GSList, LrFastestMirror, Opaque};
use handle::{Handle, Listener};
use log::Log;
use settings::Settings;
use std::collections::HashSet;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

const TRUE: c_int = 1;
const FALSE: c_int = 0;

/// Puts a list of URLs in order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lr_fastestmirror(
    handle: *mut Opaque,
    list: *mut *mut GSList,
    error: *mut *mut Opaque,
) -> c_int {
    protected(|| {
        if list.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { fail(error, layout::LRE_BADFUNCARG, c"lr_fastestmirror: no list") };
        }
        // SAFETY: the caller's promise. The nodes are as many as the mirrors of a ranking.
        unsafe {
            let items = list::items(*list);
            let urls = items.iter().map(|url| list::text(url.cast::<c_char>())).collect();
            if let Some(ranking) = rank("lr_fastestmirror", handle, urls, Wanted::Order) {
                list::refill(*list, ranking.mirrors.iter().map(|mirror| items[mirror.index]));
            }
        }
        TRUE
    })
}

/// Makes a list of `LrFastestMirror` from a list of URLs, nearest first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lr_fastestmirror_detailed(
    handle: *mut Opaque,
    list: *mut GSList,
    result: *mut *mut GSList,
    error: *mut *mut Opaque,
) -> c_int {
    protected(|| {
        if result.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { fail(error, layout::LRE_BADFUNCARG, c"lr_fastestmirror_detailed: no result") };
        }
        // Without it there is nothing that a result could be made of.
        let Some(glib) = Glib::find() else { return FALSE };
        // SAFETY: the caller's promise; glib's functions are called as its headers say.
        unsafe {
            let items = list::items(list);
            let urls = items.iter().map(|url| list::text(url.cast::<c_char>())).collect();
            let ranking = rank("lr_fastestmirror_detailed", handle, urls, Wanted::Latencies);
            let mut made = ptr::null_mut();
            for (index, seconds, cached) in by_latency(ranking.as_ref(), items.len()).into_iter().rev() {
                let mirror: *mut LrFastestMirror = (glib.malloc0)(size_of::<LrFastestMirror>()).cast();
                mirror.write(LrFastestMirror {
                    url: items[index].cast(),
                    curl: ptr::null_mut(),
                    plain_connect_time: seconds,
                    cached: cached.into(),
                });
                made = (glib.prepend)(made, mirror.cast());
            }
            *result = made;
        }
        TRUE
    })
}

/// Frees what `lr_fastestmirror_detailed` has made, this one or librepo's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lr_lrfastestmirror_free(mirror: *mut LrFastestMirror) {
    protected(|| {
        // SAFETY: the caller's promise. A handle of libcurl's can only be from librepo's own, and so of its libcurl.
        unsafe {
            if let (Some(given), Some(glib)) = (mirror.as_ref(), Glib::find()) {
                if let (false, Some(curl)) = (given.curl.is_null(), Curl::find()) {
                    (curl.cleanup)(given.curl);
                }
                (glib.free)(mirror.cast());
            }
        }
        TRUE
    });
}

/// Puts the internal list of a handle in order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lr_fastestmirror_sort_internalmirrorlist(
    handle: *mut Opaque,
    error: *mut *mut Opaque,
) -> c_int {
    protected(|| {
        const NAME: &str = "lr_fastestmirror_sort_internalmirrorlist";
        if handle.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { fail(error, layout::LRE_BADFUNCARG, c"lr_fastestmirror: no handle") };
        }
        // SAFETY: the caller's promise.
        unsafe { sort(NAME, &[handle]) };
        TRUE
    })
}

/// Puts the internal lists of several handles in one order; the options of the first handle count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lr_fastestmirror_sort_internalmirrorlists(
    handles: *mut GSList,
    _error: *mut *mut Opaque,
) -> c_int {
    protected(|| {
        const NAME: &str = "lr_fastestmirror_sort_internalmirrorlists";
        // SAFETY: the caller's promise.
        unsafe {
            let handles = list::items(handles).into_iter().filter(|handle| !handle.is_null());
            sort(NAME, &handles.map(<*mut c_void>::cast).collect::<Vec<_>>());
        }
        TRUE
    })
}

/// Runs the body of a function. If a defect of ours is caught, the caller has the order it gave.
fn protected(body: impl FnOnce() -> c_int) -> c_int {
    guard(|| Ok(body())).unwrap_or(TRUE)
}

/// Sets an error in librepo's terms, if there is a librepo and the caller wants one.
unsafe fn fail(error: *mut *mut Opaque, code: c_int, message: &CStr) -> c_int {
    if let (false, Some(librepo), Some(glib)) = (error.is_null(), Librepo::find(), Glib::find()) {
        // SAFETY: the caller's promise; the functions are called as their headers say.
        unsafe {
            let domain: c_uint = (librepo.error_quark)();
            (glib.set_error)(error, domain, code, message.as_ptr());
        }
    }
    FALSE
}

/// What a caller is after.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Order,
    Latencies,
}

/// Ranks, as far as handle, administrator and network let it; nothing means: keep the order given. Tells the
/// handle's callback of each stage.
unsafe fn rank(name: &str, handle: *mut Opaque, urls: Vec<String>, wanted: Wanted) -> Option<Ranking> {
    let log = Log(Glib::find());
    log.begin(name, urls.len());
    let handle = match (handle.is_null(), Librepo::find()) {
        (true, _) => None,
        // SAFETY: the caller's promise.
        (false, Some(librepo)) => Some(unsafe { Handle::new(librepo, handle) }),
        (false, None) => {
            log.debug("the order is kept: librepo, which made this handle, is not to be found");
            return None;
        }
    };
    if handle.is_some_and(|handle| handle.is_offline()) {
        log.debug("the order is kept: offline");
        return None;
    }
    let stages = Stages(handle.and_then(|handle| handle.listener()));
    stages.tell(layout::LR_FMSTAGE_INIT, ptr::null_mut());
    // Guarded by itself, so that the last stage is told whatever happens.
    match guard(|| Ok(measured(&log, handle, urls, wanted, &stages)?)) {
        Ok(ranking) => {
            stages.tell(layout::LR_FMSTAGE_STATUS, ptr::null_mut());
            ranking
        }
        Err(failed) => {
            log.debug(&format!("the order is kept: {}", failed.message()));
            stages.tell_text(layout::LR_FMSTAGE_STATUS, Some(failed.message()));
            None
        }
    }
}

fn measured(
    log: &Log,
    handle: Option<Handle>,
    urls: Vec<String>,
    wanted: Wanted,
    stages: &Stages,
) -> Result<Option<Ranking>, crate::Error> {
    if urls.is_empty() {
        return Ok(None);
    }
    let settings = Settings::of_environment(|complaint| log.debug(&complaint));
    if settings.off {
        log.debug("the order is kept: FASTESTMIRROR_OFF is set");
        return Ok(None);
    }
    if let Some(curl) = Curl::find() {
        let own = handle.and_then(|handle| handle.curl()).unwrap_or(ptr::null_mut());
        // SAFETY: the handle's own, and the handle is the caller's during this call.
        if let Some(index) = unsafe { proxy::first_behind_one(&curl, own, &urls) } {
            let url = log::without_user(&urls[index]);
            log.debug(&format!("the order is kept: {url} is reached through a proxy"));
            return Ok(None);
        }
    }

    let mut ranker = Ranker::new();
    ranker.interrupted(interrupted);
    if let Some(handle) = handle {
        ranker.timeout(handle.timeout())?.family(handle.family()).max_age(handle.max_age());
    }
    settings.apply(&mut ranker);
    let cache = handle.and_then(|handle| handle.cache());
    ranker.cache(cache.as_deref());
    if let Some(path) = &cache {
        // A path from C holds no NUL.
        let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        stages.tell(layout::LR_FMSTAGE_CACHELOADING, path.as_ptr().cast_mut().cast());
    }
    let list = ranker.read(urls.into_iter().map(Candidate::from).collect())?;
    let mut run = Run::begin(&ranker, &list);
    if cache.is_some() {
        stages.tell_text(layout::LR_FMSTAGE_CACHELOADINGSTATUS, run.cache_trouble());
    }
    if wanted == Wanted::Latencies || !run.is_decided() {
        if run.to_measure() > 0 {
            let mut number = run.to_measure() as c_long;
            stages.tell(layout::LR_FMSTAGE_DETECTION, (&raw mut number).cast());
        }
        run.measure(&mut ranker)?;
    }
    stages.tell(layout::LR_FMSTAGE_FINISHING, ptr::null_mut());
    let ranking = run.conclude(&ranker);
    log.ranking(&ranking);
    Ok(Some(ranking))
}

/// Who is told of the stages of a call, if anybody.
struct Stages(Option<Listener>);

impl Stages {
    /// With what librepo passes with this stage.
    fn tell(&self, stage: c_int, pointer: *mut c_void) {
        if let Some(listener) = &self.0 {
            // SAFETY: see the callers: NULL, a string or a number, as librepo's headers say of the stage.
            unsafe { listener.tell(stage, pointer) };
        }
    }

    fn tell_text(&self, stage: c_int, text: Option<&str>) {
        let text = text.map(|text| CString::new(text.replace('\0', "?")).unwrap_or_default());
        self.tell(stage, text.as_ref().map_or(ptr::null_mut(), |text| text.as_ptr().cast_mut().cast()));
    }
}

/// Whether librepo's signal handler was called.
fn interrupted() -> bool {
    static FLAG: AtomicPtr<c_int> = AtomicPtr::new(ptr::null_mut());
    let mut flag = FLAG.load(SeqCst);
    if flag.is_null() {
        let Some(librepo) = Librepo::find().filter(|librepo| !librepo.interrupt.is_null()) else {
            return false;
        };
        flag = librepo.interrupt.cast_mut();
        FLAG.store(flag, SeqCst);
    }
    // SAFETY: a `volatile sig_atomic_t` of librepo's, which stays loaded.
    unsafe { flag.read_volatile() != 0 }
}

/// Puts the internal lists of handles in order.
unsafe fn sort(name: &str, handles: &[*mut Opaque]) {
    let log = Log(Glib::find());
    let Some(librepo) = Librepo::find() else { return };
    // SAFETY: the caller's promise.
    let handles: Vec<Handle> =
        handles.iter().map(|&handle| unsafe { Handle::new(librepo, handle) }).collect();
    let Some(&first) = handles.first() else { return };
    let cache = first.cache();
    for other in handles.iter().filter_map(Handle::cache) {
        match &cache {
            Some(used) if *used != other => {
                log.warn(&format!("the cache is {}; {} is not used", used.display(), other.display()));
            }
            Some(_) => {}
            None => log.warn(&format!(
                "the first handle has no cache, so that of another one is not used: {}",
                other.display()
            )),
        }
    }
    let read = |handle: &Handle| {
        let list = handle.mirrors()?;
        // SAFETY: the layout is proved, and the list the handle's own.
        Some((list, unsafe { list::items(list) }))
    };
    let Some(lists) = handles.iter().map(read).collect::<Option<Vec<_>>>() else {
        log.debug(&format!("{name}: the order is kept: this librepo is not known well enough to be changed"));
        return;
    };
    let items = lists.iter().flat_map(|(_, items)| items);
    // SAFETY: the layout is proved; each is a mirror of librepo's.
    let urls: Vec<String> =
        items.map(|&mirror| unsafe { list::text(handle::url_of(mirror.cast_const())) }).collect();
    if urls.iter().map(|url| without_path(url)).collect::<HashSet<_>>().len() <= 1 {
        log.begin(name, urls.len());
        log.debug("the order is kept: there is one host");
        return;
    }

    let count = urls.len();
    // SAFETY: the caller's promise.
    let Some(ranking) = (unsafe { rank(name, first.raw(), urls, Wanted::Order) }) else { return };
    let mut place = vec![0; count];
    for (position, mirror) in ranking.mirrors.iter().enumerate() {
        place[mirror.index] = position;
    }
    let mut begin = 0;
    for (handle, (list, items)) in handles.iter().zip(lists) {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|index| place[begin + index]);
        begin += items.len();
        // The callback may have changed the handle's options, and so its list.
        if read(handle).as_ref() == Some(&(list, items.clone())) {
            // SAFETY: the list is as it was, with a node for each item.
            unsafe { list::refill(list, order.into_iter().map(|index| items[index])) };
        }
    }
}

/// What librepo takes for a mirror's host: the URL up to its path.
fn without_path(url: &str) -> &str {
    if url.starts_with("file:/") {
        return "file://";
    }
    let host = url.find("://").map_or(0, |at| at + 3);
    &url[..url[host..].find('/').map_or(url.len(), |end| host + end)]
}

/// Index, seconds (negative if not measured) and whether remembered, of each mirror: strictly by latency, the order given
/// for ties; what has none follows as it is ranked.
fn by_latency(ranking: Option<&Ranking>, count: usize) -> Vec<(usize, f64, bool)> {
    let Some(ranking) = ranking else { return (0..count).map(|index| (index, -1.0, false)).collect() };
    let entry = |mirror: &RankedMirror| {
        let seconds = match mirror.outcome {
            Outcome::Local => 0.0,
            outcome => outcome.latency().map_or(-1.0, |latency| latency.as_secs_f64()),
        };
        (mirror.index, seconds, mirror.remembered)
    };
    let (mut known, unknown): (Vec<_>, Vec<_>) =
        ranking.mirrors.iter().map(entry).partition(|(_, seconds, _)| *seconds >= 0.0);
    known.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    known.extend(unknown);
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_librepo_takes_for_one() {
        for (url, host) in [
            ("http://a.example/pub/", "http://a.example"),
            ("https://a.example:8443/pub", "https://a.example:8443"),
            ("http://a.example", "http://a.example"),
            ("file:///srv/a", "file://"),
            ("file:/srv/a", "file://"),
            ("a/b", "a"),
            ("", ""),
        ] {
            assert_eq!(without_path(url), host);
        }
    }
}
