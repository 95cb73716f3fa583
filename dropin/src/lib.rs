//! librepo's fastestmirror functions, with librepo's ABI and promises, on top of the crate
//! `fastestmirror`. For programs that load this library before librepo, by themselves or because
//! it is in the drop-in directory, and for a librepo that is built with it inside.
//!
//! It exports six functions and nothing else:
//! - [`lr_fastestmirror`], [`lr_fastestmirror_detailed`] and [`lr_lrfastestmirror_free`], which are
//!   declared in `librepo/fastestmirror.h`;
//! - [`lr_fastestmirror_sort_internalmirrorlist`] and
//!   [`lr_fastestmirror_sort_internalmirrorlists`], which librepo itself calls;
//! - [`lr_download`], declared in `librepo/downloader.h`, which calls librepo's own and learns from
//!   what it shows of the mirrors.
//!
//! # Deviations from librepo
//! All are on purpose, and tests pin them:
//! - The latency is that of the TCP handshake, for https mirrors too; there is no TLS.
//! - A silent mirror is waited for as long as it could matter, not for the whole timeout. The
//!   functions that put mirrors in order may leave a far mirror that is alive unmeasured, after all
//!   those that answered. `lr_fastestmirror_detailed` measures all: it waits until no reply has
//!   come for as long as the slowest one took, and at least 100 ms.
//! - A mirror whose first address is silent while another one answers stands behind the others.
//!   (Tests of the library.)
//! - A latency from the cache is checked before it decides, unless the mirror was heard a short
//!   while ago.
//! - If no mirror answers, and where latencies are equal, the given order stands.
//! - `lr_fastestmirror` shuffles the pool in place of every version of librepo, also of those that
//!   did not, and in the same order for all lists of a process.
//! - Of several handles, every list that has a mirror known to answer begins with one. A handle
//!   that is offline or behind a proxy keeps its order, and the others are ranked.
//! - Offline, `lr_fastestmirror` leaves the list as it is, and `lr_fastestmirror_detailed` returns
//!   it unmeasured. For an empty list, the latter sets its result to NULL.
//! - The URLs of one host stay together. A `file:` mirror is first, and the others are shuffled
//!   nevertheless. A single endpoint is not measured for an order that does not depend on it.
//! - An interrupt stops measuring at once, where librepo has a handler for it.
//! - Old spellings of IPv4 addresses (`127.1`), IPv6 addresses with a zone (`[fe80::1%25eth0]`),
//!   and what leads to 0.0.0.0 or `::` alone are not measured. (Tests of the crate
//!   `fastestmirror`.)
//! - What the settings exclude is removed from the internal lists. The other two functions return
//!   every URL, and those at the end. A list of which all is excluded stays as it is.
//! - Behind a proxy the given order stands. (A handle's own proxy is noticed only where its layout
//!   is proved.)
//! - The stage DETECTION counts the endpoints that are measured, not the URLs.
//! - A latency is remembered for the URL up to its path, which is what librepo itself looks for,
//!   also if a path was asked for.
//! - An error is reported for wrong arguments only: whatever else happens, the caller has an order
//!   and gets TRUE. (Without glib in the process, `lr_fastestmirror_detailed` cannot make a list or
//!   an error, and returns FALSE.)
//! - A callback of the fastest mirror must return: a C++ exception or a longjmp that leaves it ends
//!   the program. (No test.)
//! - While `lr_download` runs, the targets have other callbacks and other data for them. Its caller
//!   sees them only if it looks at its targets from inside a callback. (No test.)
//!
//! # Safety
//! Pointers must be what librepo's headers ask for: NULL or valid, handles of the librepo that is
//! loaded, lists of strings, of handles or of targets that do not change meanwhile. All six
//! functions rely on that ("the caller's promise").
#![allow(clippy::missing_safety_doc)] // once, above, for all six

mod download;
mod filter;
mod handle;
mod layout;
mod list;
mod log;
mod proxy;
mod reference;
mod settings;
mod sort;
mod symbols;

use download::Watched;
use fastestmirror::{Outcome, RankedMirror, Ranking, catch_panic};
use filter::{Filtered, filter};
use handle::Handle;
use log::Log;
use settings::Settings;
use sort::{Wanted, rank};
use std::collections::HashSet;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ops::Range;
use std::ptr;
use symbols::{Curl, Glib, Librepo};
pub use symbols::{GSList, LrFastestMirror, Opaque};

const TRUE: c_int = 1;
const FALSE: c_int = 0;

/// Puts a list of URLs in order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lr_fastestmirror(
    handle: *mut Opaque,
    list: *mut *mut GSList,
    error: *mut *mut Opaque,
) -> c_int {
    protected(TRUE, || {
        if list.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { fail(error, layout::LRE_BADFUNCARG, c"lr_fastestmirror: no list") };
        }
        // SAFETY: the caller's promise. Each node has one place.
        unsafe {
            let items = list::items(*list);
            let urls = items.iter().map(|url| list::text(url.cast::<c_char>())).collect();
            let order = rank_list("lr_fastestmirror", handle, urls, Wanted::Order).order(&(0..items.len()));
            list::refill(*list, order.into_iter().map(|index| items[index]));
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
    const NAME: &str = "lr_fastestmirror_detailed";
    // There is no list to return after a panic.
    protected(FALSE, || {
        if result.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { fail(error, layout::LRE_BADFUNCARG, c"lr_fastestmirror_detailed: no result") };
        }
        // A list cannot be made without it.
        let Some(glib) = Glib::find() else { return FALSE };
        // SAFETY: the caller's promise; glib's functions are called as its headers say.
        unsafe {
            let items = list::items(list);
            let urls = items.iter().map(|url| list::text(url.cast::<c_char>())).collect();
            let ranked = rank_list(NAME, handle, urls, Wanted::Latencies);
            let mut made = ptr::null_mut();
            for timing in by_latency(&ranked, items.len()).into_iter().rev() {
                let mirror: *mut LrFastestMirror = (glib.malloc0)(size_of::<LrFastestMirror>()).cast();
                mirror.write(LrFastestMirror {
                    url: items[timing.index].cast(),
                    curl: ptr::null_mut(),
                    plain_connect_time: timing.seconds,
                    cached: timing.from_cache.into(),
                });
                made = (glib.prepend)(made, mirror.cast());
            }
            *result = made;
        }
        TRUE
    })
}

/// Frees an item of a list that `lr_fastestmirror_detailed` has made, this one or librepo's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lr_lrfastestmirror_free(mirror: *mut LrFastestMirror) {
    protected(TRUE, || {
        // SAFETY: the caller's promise. Only librepo's own function sets a libcurl handle, and then
        // it is one of librepo's libcurl.
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
    protected(TRUE, || {
        if handle.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { fail(error, layout::LRE_BADFUNCARG, c"lr_fastestmirror: no handle") };
        }
        // SAFETY: the caller's promise.
        unsafe { sort_internal_lists("lr_fastestmirror_sort_internalmirrorlist", &[handle]) };
        TRUE
    })
}

/// Puts the internal lists of several handles in one order. The options of the first handle count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lr_fastestmirror_sort_internalmirrorlists(
    handles: *mut GSList,
    _error: *mut *mut Opaque,
) -> c_int {
    protected(TRUE, || {
        // SAFETY: the caller's promise.
        unsafe {
            let handles = list::items(handles).into_iter().filter(|handle| !handle.is_null());
            let handles: Vec<*mut Opaque> = handles.map(<*mut c_void>::cast).collect();
            sort_internal_lists("lr_fastestmirror_sort_internalmirrorlists", &handles);
        }
        TRUE
    })
}

/// Downloads the targets of a list, as librepo does it, and notes what that shows of their mirrors.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn lr_download(
    targets: *mut GSList,
    fail_fast: c_int,
    error: *mut *mut Opaque,
) -> c_int {
    // Without a librepo there are no targets either.
    let Some(download) = symbols::real_download() else { return FALSE };
    // SAFETY: the caller's promise. Finding out whether anything is to be watched may fail, but not
    // the download.
    let watched = catch_panic(|| unsafe { Watched::begin(targets) }).unwrap_or_else(|problem| {
        Log(Glib::find()).debug(&format!("downloads are not watched: {problem}"));
        None
    });
    // SAFETY: the caller's promise, to librepo.
    let result = unsafe { download(targets, fail_fast, error) };
    drop(watched);
    result
}

/// Runs the body of a function, and returns `otherwise` if it panics. The caller has the order that
/// it gave then.
fn protected(otherwise: c_int, body: impl FnOnce() -> c_int) -> c_int {
    catch_panic(body).unwrap_or_else(|message| {
        // Finding glib's functions and calling them does not panic.
        Log(Glib::find()).debug(&format!("keeping the given order: {message}"));
        otherwise
    })
}

/// Sets an error as librepo does, if there is a librepo and the caller wants one.
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

/// Begins a call: writes its first log line and reads the settings. Returns nothing if they say
/// that nothing is to be done.
fn begin(function: &str, count: usize, what: &str) -> Option<(Log, Settings)> {
    let log = Log(Glib::find());
    log.call(function, count, what);
    let settings = Settings::read();
    settings.log(log);
    if let Some(off) = settings.off() {
        log.debug(&format!("keeping the given order: {off}"));
        return None;
    }
    Some((log, settings))
}

/// What is known of the mirrors of all lists of a call. Their positions are those of all lists in a
/// row.
#[derive(Debug, Default)]
struct Ranked {
    /// Has no mirror of a list that keeps its order.
    ranking: Option<Ranking>,
    /// By position; empty if every list stays as it is.
    places: Vec<Place>,
}

/// What decides the place of a mirror in its list. Those of equal places keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// By the settings.
    is_excluded: bool,
    rank: usize,
}

impl Ranked {
    fn new(
        log: Log,
        settings: &Settings,
        lists: Vec<(Option<Handle>, Vec<String>)>,
        wanted: Wanted,
    ) -> Ranked {
        let count = lists.iter().map(|(_, urls)| urls.len()).sum();
        let mut places = vec![Place { is_excluded: false, rank: usize::MAX }; count];
        let Filtered { lists, excluded } = filter(log, settings, lists);
        for position in excluded {
            places[position].is_excluded = true;
        }
        let ranking = rank(log, settings, lists, wanted);
        for (rank, mirror) in ranking.iter().flat_map(|ranking| &ranking.mirrors).enumerate() {
            places[mirror.index].rank = rank;
        }
        Ranked { ranking, places }
    }

    /// Returns the order of the list with these positions, as indices in the list.
    fn order(&self, positions: &Range<usize>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..positions.len()).collect();
        // The sort is stable.
        order.sort_by_key(|index| self.places.get(positions.start + index));
        order
    }

    /// Returns how many mirrors of the list with these positions are excluded.
    fn excluded(&self, positions: &Range<usize>) -> usize {
        let places = self.places.get(positions.clone()).unwrap_or_default();
        places.iter().filter(|place| place.is_excluded).count()
    }
}

/// Ranks the URLs of one list.
unsafe fn rank_list(function: &str, handle: *mut Opaque, urls: Vec<String>, wanted: Wanted) -> Ranked {
    let Some((log, settings)) = begin(function, urls.len(), "mirror") else { return Ranked::default() };
    let handle = match (handle.is_null(), Librepo::find()) {
        (true, _) => None,
        // SAFETY: the caller's promise.
        (false, Some(librepo)) => Some(unsafe { Handle::new(librepo, handle) }),
        (false, None) => {
            log.debug("keeping the given order: the librepo that made this handle is not in this process");
            return Ranked::default();
        }
    };
    Ranked::new(log, &settings, vec![(handle, urls)], wanted)
}

/// The internal list of a handle, as it was found.
#[derive(PartialEq)]
struct InternalList {
    head: *mut GSList,
    items: Vec<*mut c_void>,
}

impl InternalList {
    /// Reads the list, if the layout of the handle is known.
    fn read(handle: &Handle) -> Option<InternalList> {
        let head = handle.mirrors()?;
        // SAFETY: the layout is proved, and the list is the handle's.
        Some(InternalList { head, items: unsafe { list::items(head) } })
    }

    fn urls(&self) -> Vec<String> {
        // SAFETY: the layout is proved; each item is one of librepo's mirrors.
        let url = |&mirror: &*mut c_void| unsafe { list::text(handle::url_of(mirror.cast_const())) };
        self.items.iter().map(url).collect()
    }
}

/// Puts the internal lists of handles in order.
unsafe fn sort_internal_lists(function: &str, handles: &[*mut Opaque]) {
    let Some((log, settings)) = begin(function, handles.len(), "handle") else { return };
    let Some(librepo) = Librepo::find() else { return };
    if handles.is_empty() {
        return;
    }
    // SAFETY: the caller's promise.
    let handles: Vec<Handle> =
        handles.iter().map(|&handle| unsafe { Handle::new(librepo, handle) }).collect();
    warn_of_other_caches(log, &handles);
    let Some(lists) = handles.iter().map(InternalList::read).collect::<Option<Vec<_>>>() else {
        log.debug("keeping the given order: the layout of this librepo's handles is unknown");
        return;
    };
    let to_rank: Vec<(Option<Handle>, Vec<String>)> =
        handles.iter().zip(&lists).map(|(&handle, list)| (Some(handle), list.urls())).collect();
    let hosts: HashSet<&str> =
        to_rank.iter().flat_map(|(_, urls)| urls).map(|url| without_path(url)).collect();
    if hosts.len() <= 1 {
        log.debug("keeping the given order: there is only one host");
        return;
    }

    let ranked = Ranked::new(log, &settings, to_rank, Wanted::Order);
    let mut begin = 0;
    for (handle, list) in handles.iter().zip(lists) {
        let positions = begin..begin + list.items.len();
        begin = positions.end;
        let (order, excluded) = (ranked.order(&positions), ranked.excluded(&positions));
        // The callback may have changed the handle's options, and so its list.
        if InternalList::read(handle).as_ref() != Some(&list) {
            continue;
        }
        // SAFETY: the list is as it was, with a node for each item.
        unsafe { list::refill(list.head, order.into_iter().map(|index| list.items[index])) };
        match librepo.free_mirrors {
            _ if excluded == 0 => {}
            // SAFETY: the list begins with mirrors that are not excluded, at least one. The rest is
            // the handle's, as the whole is, and librepo would free it with this function. librepo
            // itself has other pointers to these mirrors only while it downloads.
            Some(free) => unsafe { free(list::cut_after(list.head, list.items.len() - excluded)) },
            None => log.debug("the excluded mirrors are last: this librepo has no function to free them"),
        }
    }
}

/// Warns of each cache that is not used, since that of the first handle is.
fn warn_of_other_caches(log: Log, handles: &[Handle]) {
    let Some(first) = handles.first() else { return };
    let cache = first.cache();
    for other in handles.iter().filter_map(Handle::cache) {
        match &cache {
            Some(used) if *used == other => {}
            Some(used) => {
                let (used, other) = (used.display(), other.display());
                log.warn(&format!("ignoring the cache {other}: the first handle has the cache {used}"));
            }
            None => {
                log.warn(&format!("ignoring the cache {}: the first handle has none", other.display()));
            }
        }
    }
}

/// Returns what librepo takes for a mirror's host: the URL up to its path.
fn without_path(url: &str) -> &str {
    if url.starts_with("file:/") {
        return "file://";
    }
    let host = url.find("://").map_or(0, |at| at + 3);
    &url[..url[host..].find('/').map_or(url.len(), |end| host + end)]
}

/// What `lr_fastestmirror_detailed` reports of a mirror.
#[derive(Clone, Copy)]
struct Timing {
    index: usize,
    /// Negative if not measured.
    seconds: f64,
    from_cache: bool,
}

impl Timing {
    fn of(mirror: &RankedMirror) -> Timing {
        let seconds = match mirror.outcome {
            Outcome::Local => 0.0,
            outcome => outcome.latency().map_or(-1.0, |latency| latency.as_secs_f64()),
        };
        Timing { index: mirror.index, seconds, from_cache: mirror.from_cache }
    }
}

/// Returns the timings strictly by latency, in the given order where latencies are equal. Mirrors
/// without a latency follow in the order of the ranking.
fn by_latency(ranked: &Ranked, count: usize) -> Vec<Timing> {
    let mut timings: Vec<Timing> =
        (0..count).map(|index| Timing { index, seconds: -1.0, from_cache: false }).collect();
    for mirror in ranked.ranking.iter().flat_map(|ranking| &ranking.mirrors) {
        timings[mirror.index] = Timing::of(mirror);
    }
    let (mut measured, unmeasured): (Vec<usize>, Vec<usize>) =
        ranked.order(&(0..count)).into_iter().partition(|&index| timings[index].seconds >= 0.0);
    measured.sort_by(|&a, &b| timings[a].seconds.total_cmp(&timings[b].seconds).then(a.cmp(&b)));
    measured.into_iter().chain(unmeasured).map(|index| timings[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_the_url_up_to_its_path() {
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
