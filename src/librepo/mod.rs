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
//! - Several handles at once: no list is left without a mirror that is known to answer, if it has one; a handle that is
//!   offline or behind a proxy keeps its order, and the others are ranked all the same.
//! - Offline, `lr_fastestmirror` leaves the list as it is, and `lr_fastestmirror_detailed` returns it unmeasured; given an
//!   empty list, the latter sets its result to NULL.
//! - The URLs of one host stay together, a `file:` mirror is first and leaves the others shuffled, a single endpoint is
//!   not measured for an order that does not depend on it.
//! - An interrupt ends measuring at once, where librepo has a handler for it.
//! - Behind a proxy the order is kept. (A handle's own proxy is seen only where its layout is proved.)
//! - The stage DETECTION tells how many endpoints are measured, not how many URLs.
//! - What is measured for a URL with a path is remembered for its host and port; librepo's own finds it under the URL up to the
//!   path, which is what it asks for itself.
//! - An error is reported for wrong arguments only: whatever else happens, the caller has an order and gets TRUE. (Where
//!   there is no glib, `lr_fastestmirror_detailed` has nothing to make a list of, or an error, and returns FALSE.)
//! - A callback has to return: an exception that leaves it ends the program (no test: who would throw through C).
//!
//! # Safety
//! A C caller's pointers are what librepo's headers ask for: NULL or valid, handles of the librepo that is loaded, lists
//! of strings or handles that nobody changes meanwhile. Each `unsafe` function relies on that ("the caller's promise").
#![allow(clippy::missing_safety_doc)] // said above, once

mod flow;
mod found;
mod handle;
mod layout;
mod list;
mod log;
mod proxy;
mod settings;

use crate::outcome::Outcome;
use crate::panic::catch_panic;
use crate::ranking::{RankedMirror, Ranking};
use flow::{Part, Wanted, rank};
use found::{Curl, Glib, Librepo};
pub use found::{GSList, LrFastestMirror, Opaque};
use handle::Handle;
use log::Log;
use settings::Settings;
use std::collections::HashSet;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

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
            if let Some(ranking) = rank_list("lr_fastestmirror", handle, urls, Wanted::Order) {
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
            let ranking = rank_list("lr_fastestmirror_detailed", handle, urls, Wanted::Latencies);
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
    catch_panic(body).unwrap_or(TRUE)
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

/// What every call begins with: its log, and what the administrator wants; nothing if that is nothing.
fn begin(name: &str, count: usize, what: &str) -> Option<(Log, Settings)> {
    let log = Log(Glib::find());
    log.begin(name, count, what);
    let settings = Settings::of_environment(|complaint| log.debug(&complaint));
    if settings.off {
        log.debug("the order is kept: FASTESTMIRROR_OFF is set");
        return None;
    }
    Some((log, settings))
}

/// Ranks the URLs of one list.
unsafe fn rank_list(name: &str, handle: *mut Opaque, urls: Vec<String>, wanted: Wanted) -> Option<Ranking> {
    let (log, settings) = begin(name, urls.len(), "mirror")?;
    let handle = match (handle.is_null(), Librepo::find()) {
        (true, _) => None,
        // SAFETY: the caller's promise.
        (false, Some(librepo)) => Some(unsafe { Handle::new(librepo, handle) }),
        (false, None) => {
            log.debug("the order is kept: librepo, which made this handle, is not to be found");
            return None;
        }
    };
    rank(&log, &settings, vec![Part { handle, urls }], wanted)
}

/// Puts the internal lists of handles in order.
unsafe fn sort(name: &str, handles: &[*mut Opaque]) {
    let Some((log, settings)) = begin(name, handles.len(), "handle") else { return };
    let Some(librepo) = Librepo::find() else { return };
    // SAFETY: the caller's promise.
    let handles: Vec<Handle> =
        handles.iter().map(|&handle| unsafe { Handle::new(librepo, handle) }).collect();
    let Some(first) = handles.first() else { return };
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
        log.debug("the order is kept: this librepo is not known well enough to be changed");
        return;
    };
    let part = |(&handle, (_, items)): (&Handle, &(_, Vec<*mut c_void>))| {
        // SAFETY: the layout is proved; each is a mirror of librepo's.
        let url = |&mirror: &*mut c_void| unsafe { list::text(handle::url_of(mirror.cast_const())) };
        Part { handle: Some(handle), urls: items.iter().map(url).collect() }
    };
    let parts: Vec<Part> = handles.iter().zip(&lists).map(part).collect();
    let hosts: HashSet<&str> =
        parts.iter().flat_map(|part| &part.urls).map(|url| without_path(url)).collect();
    if hosts.len() <= 1 {
        log.debug("the order is kept: there is one host");
        return;
    }

    let mut place = vec![usize::MAX; parts.iter().map(|part| part.urls.len()).sum()];
    let Some(ranking) = rank(&log, &settings, parts, Wanted::Order) else { return };
    for (position, mirror) in ranking.mirrors.iter().enumerate() {
        place[mirror.index] = position;
    }
    let mut begin = 0;
    for (handle, (list, items)) in handles.iter().zip(lists) {
        // Stable: a handle that keeps its order has no places.
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
        (mirror.index, seconds, mirror.from_cache)
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
