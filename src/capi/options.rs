//! The options and callbacks of a ranker. Each setter checks its argument and hands it on.

use super::callbacks::{Callbacks, Userdata, fm_interrupt_fn, fm_log_fn, fm_progress_fn};
use super::ranker::{fm_ranker, with_inner, with_ranker};
use super::status::Failure;
use crate::rank::PoolOrder;
use crate::ranker::Ranker;
use crate::ranking::Error;
use crate::url::{Family, Protocol};
use std::borrow::Cow;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Address families, for fm_ranker_set_family().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_family {
    /// IPv4 and IPv6, as the system prefers.
    FM_FAMILY_ANY = 0,
    /// IPv4 only.
    FM_FAMILY_IPV4 = 4,
    /// IPv6 only.
    FM_FAMILY_IPV6 = 6,
}

/// Protocols, for fm_ranker_set_protocols(): values to be combined with |.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_protocol {
    /// http:
    FM_PROTOCOL_HTTP = 1,
    /// https:
    FM_PROTOCOL_HTTPS = 2,
    /// ftp:
    FM_PROTOCOL_FTP = 4,
    /// file:
    FM_PROTOCOL_FILE = 8,
}

/// Orders of the hosts in the pool, for fm_ranker_set_pool_order().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_pool_order {
    /// Shuffled by seed and weights, so that they share the load.
    FM_POOL_SHUFFLED = 0,
    /// As the list has them: for lists that a server has shuffled by the capacity of the mirrors.
    FM_POOL_GIVEN = 1,
}

/// Returns a duration. What is none (negative, not a number) becomes one that is too long, so that
/// the option's own check refuses it.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Returns a duration of any length; one that has no room in a `Duration` becomes the longest.
fn period(option: &str, seconds: f64) -> Result<Duration, Failure> {
    if seconds >= 0.0 && seconds.is_finite() {
        return Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    Err(Failure::argument(format!(
        "the option {option} cannot be {seconds} s: it must be 0 or more, and finite"
    )))
}

/// The message of a refused duration, in the unit and the value that the caller used.
fn refused(option: &str, value: f64, most: u32) -> Failure {
    Failure::argument(format!("the option {option} cannot be {value} s: it must be from 0 to {most} s"))
}

/// Sets how long fm_rank() may take in all, lookups included: 0 to 3600 seconds, default 2. With 0
/// nothing is measured.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_timeout(ranker: *mut fm_ranker, timeout: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.timeout(seconds(timeout)).map_err(|_| refused("timeout", timeout, 3600))?;
            Ok(())
        })
    }
}

/// Sets how many hosts outside the pool are enough, so that a client whose pool fails has somewhere
/// to go; default 16. Once the pool is proved (no other mirror can belong to it), measuring stops
/// as soon as so many have a latency, or when as long again as proving it took has passed, at least
/// 10 and at most 50 ms. Mirrors that are silent until then follow in the given order. With
/// FM_FALLBACKS_ALL neither counts: measuring goes on until every mirror has answered or no further
/// replies come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_fallbacks(ranker: *mut fm_ranker, fallbacks: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.fallbacks(fallbacks);
            Ok(())
        })
    }
}

/// Sets the address family to connect over: an fm_family, default FM_FAMILY_ANY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_family(ranker: *mut fm_ranker, family: c_int) -> c_int {
    const ANY: c_int = fm_family::FM_FAMILY_ANY as c_int;
    const IPV4: c_int = fm_family::FM_FAMILY_IPV4 as c_int;
    const IPV6: c_int = fm_family::FM_FAMILY_IPV6 as c_int;
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.family(match family {
                ANY => Family::Any,
                IPV4 => Family::Ipv4,
                IPV6 => Family::Ipv6,
                _ => return Err(Failure::argument(format!("{family} is not an fm_family"))),
            });
            Ok(())
        })
    }
}

/// Sets the factor of the pool: mirrors nearer than this many times the best latency belong to it;
/// 1 to 1000, default 2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_factor(ranker: *mut fm_ranker, factor: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.factor(factor)?;
            Ok(())
        })
    }
}

/// Sets the slack of the pool: mirrors nearer than the best latency plus this many seconds belong
/// to it, too; 0 to 60, default 0. In a data center 1 ms from its nearest mirror, a factor alone
/// leaves the whole load to that mirror.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_slack(ranker: *mut fm_ranker, slack: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.slack(seconds(slack)).map_err(|_| refused("slack", slack, 60))?;
            Ok(())
        })
    }
}

/// Sets the order of the hosts in the pool: an fm_pool_order, default FM_POOL_SHUFFLED. Preferred
/// hosts are first in either (fm_ranker_set_prefer()), and the URLs of a host stay together.
///
/// FM_POOL_GIVEN is for lists that a server shuffles by the capacity of the mirrors, anew for each
/// request, as MirrorManager does: the nearest mirrors then share the load in proportion to their
/// capacity. The place of a host is that of its first URL; seed and weights have no effect. With a
/// list that stays the same, all clients would go to the same mirror.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_pool_order(ranker: *mut fm_ranker, order: c_int) -> c_int {
    const SHUFFLED: c_int = fm_pool_order::FM_POOL_SHUFFLED as c_int;
    const GIVEN: c_int = fm_pool_order::FM_POOL_GIVEN as c_int;
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.pool_order(match order {
                SHUFFLED => PoolOrder::Shuffled,
                GIVEN => PoolOrder::Given,
                _ => return Err(Failure::argument(format!("{order} is not an fm_pool_order"))),
            });
            Ok(())
        })
    }
}

/// Sets another list of `count` URLs by which a pool in the given order is put in order, so that
/// several lists agree on it: the hosts stand as this list has them, followed by those that it
/// lacks, as their own list has them. Default, and with no URL: none. Has no effect on a shuffled
/// pool (fm_ranker_set_pool_order()), nor on mirrors outside the pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_pool_reference(
    ranker: *mut fm_ranker,
    urls: *const *const c_char,
    count: usize,
) -> c_int {
    let set = |ranker: &mut Ranker, urls: &[&str]| {
        ranker.pool_reference(urls);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { set_strings(ranker, "urls", urls, count, set) }
}

/// Sets the seed of the shuffle: with one seed, two hosts of equal weight stand in the same order
/// in every list and on every machine. Default: from the operating system, fresh in every process,
/// after a fork, and every hour, so that all lists of a transaction agree and the load is spread
/// over the pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_seed(ranker: *mut fm_ranker, seed: u64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.seed(seed);
            Ok(())
        })
    }
}

/// Keeps only mirrors of these protocols: fm_protocol values combined with |. Default, and with 0:
/// all, including URLs of no known protocol.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_protocols(ranker: *mut fm_ranker, protocols: c_uint) -> c_int {
    const ALL: [(c_uint, Protocol); 4] = [
        (fm_protocol::FM_PROTOCOL_HTTP as c_uint, Protocol::Http),
        (fm_protocol::FM_PROTOCOL_HTTPS as c_uint, Protocol::Https),
        (fm_protocol::FM_PROTOCOL_FTP as c_uint, Protocol::Ftp),
        (fm_protocol::FM_PROTOCOL_FILE as c_uint, Protocol::File),
    ];
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            let known = ALL.iter().fold(0, |known, (bit, _)| known | bit);
            if protocols & !known != 0 {
                return Err(Failure::argument(format!(
                    "{protocols:#x} is not a combination of fm_protocol values"
                )));
            }
            let wanted: Vec<_> =
                ALL.iter().filter(|(bit, _)| protocols & bit != 0).map(|(_, p)| *p).collect();
            ranker.protocols(&wanted);
            Ok(())
        })
    }
}

/// Reads an array of strings, the argument of this name.
///
/// # Safety
/// `strings` is NULL or holds `count` pointers, each NULL or a string.
pub(super) unsafe fn read_strings<'a>(
    name: &str,
    strings: *const *const c_char,
    count: usize,
) -> Result<Vec<Cow<'a, str>>, Failure> {
    let read = |index: usize| {
        // SAFETY: within the array, by the caller's promise.
        let string = unsafe { *strings.add(index) };
        if string.is_null() {
            return Err(Failure::argument(format!("{name}[{index}] is NULL")));
        }
        // SAFETY: a string, by the caller's promise.
        Ok(unsafe { CStr::from_ptr(string) }.to_string_lossy())
    };
    if strings.is_null() && count > 0 {
        return Err(Failure::argument(format!("{name} is NULL")));
    }
    (0..count).map(read).collect()
}

/// Hands an array of strings, the argument of this name, to one of the ranker's options.
///
/// # Safety
/// `ranker` is NULL or a valid ranker; `strings` is NULL or holds `count` pointers, each NULL or a
/// string.
unsafe fn set_strings(
    ranker: *mut fm_ranker,
    name: &str,
    strings: *const *const c_char,
    count: usize,
    set: impl FnOnce(&mut Ranker, &[&str]) -> Result<(), Error>,
) -> c_int {
    let body = |ranker: &mut Ranker| {
        // SAFETY: the caller's promise.
        let texts = unsafe { read_strings(name, strings, count) }?;
        Ok(set(ranker, &texts.iter().map(|text| &**text).collect::<Vec<_>>())?)
    };
    // SAFETY: the caller's promise.
    unsafe { with_ranker(ranker, body) }
}

/// Keeps only mirrors whose host matches one of `count` patterns; default, and with none: all. A
/// pattern is a glob over the whole name (* any text, ? any character) or a domain's suffix
/// (".gov"), of at most 1,024 characters. A URL without a host matches none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_include(
    ranker: *mut fm_ranker,
    patterns: *const *const c_char,
    count: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        set_strings(ranker, "patterns", patterns, count, |ranker, hosts| ranker.include(hosts).map(drop))
    }
}

/// Drops the mirrors whose host matches one of `count` patterns, even if they are included; default
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_exclude(
    ranker: *mut fm_ranker,
    patterns: *const *const c_char,
    count: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        set_strings(ranker, "patterns", patterns, count, |ranker, hosts| ranker.exclude(hosts).map(drop))
    }
}

/// Moves mirrors whose host matches one of `count` patterns to the front of the pool, and to the
/// front of the other mirrors that have a latency; default none. A mirror that has not answered
/// stays where it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_prefer(
    ranker: *mut fm_ranker,
    patterns: *const *const c_char,
    count: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        set_strings(ranker, "patterns", patterns, count, |ranker, hosts| ranker.prefer(hosts).map(drop))
    }
}

/// Sets the cache file, in librepo's format, or none with NULL; default none.
///
/// A latency is remembered for the maximal age (fm_ranker_set_max_age()). For one hour the file
/// remembers that a mirror refused or was unreachable, that its name has no address or that looking
/// it up took too long, that it is detoured, and for how long it was silent. Such a silence counts
/// in another list only where it is at least as long as the limit of that list's pool. Nothing is
/// remembered if no mirror answered, or if the result is ambiguous.
///
/// What is remembered is not measured again, but it is checked before it is believed: the first
/// mirrors of the pool that it predicts are asked again (fm_ranker_set_check_after()). One that is
/// silent counts as unanswered, and a new latency replaces the old one. If none of them answers
/// within the limit of that pool, or all that answer take less than half the remembered time,
/// nothing that is remembered counts, and every mirror is measured.
///
/// A file that cannot be used is no error but a warning: fm_ranking_warning(). A relative path
/// counts from the current directory of the call of fm_rank().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_cache(ranker: *mut fm_ranker, path: *const c_char) -> c_int {
    // SAFETY: the caller's promise, of the string too.
    unsafe {
        with_ranker(ranker, |ranker| {
            let path = (!path.is_null()).then(|| CStr::from_ptr(path).to_bytes());
            if path == Some(b"") {
                return Err(Failure::argument("the option cache cannot be an empty path"));
            }
            ranker.cache(path.map(|path| Path::new(OsStr::from_bytes(path))));
            Ok(())
        })
    }
}

/// Sets how old a remembered latency may be, in seconds from 0, default 30 days. With 0 nothing
/// from before the current second counts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_max_age(ranker: *mut fm_ranker, age: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.max_age(period("max_age", age)?);
            Ok(())
        })
    }
}

/// Sets how long a mirror that has answered is believed without being asked again, in seconds from
/// 0: the first eight hosts of the pool that the remembered latencies predict are asked again,
/// unless each was heard within this time, in this process or another one that uses the same cache.
/// Default 600 (10 minutes); with 0 they are asked in each call. Has no effect without a cache.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_check_after(ranker: *mut fm_ranker, seconds: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.check_after(period("check_after", seconds)?);
            Ok(())
        })
    }
}

/// Measures public addresses only, unless `public_only` is 0, which is the default, since private
/// mirrors are common. For lists from others: they could otherwise make this machine connect to its
/// own network, or ask the metadata service of a cloud.
///
/// A mirror that is given by an address that is private, link-local, loopback, reserved or the like
/// is FM_OUTCOME_UNSUPPORTED then. So is one whose name leads to such an address, among others or
/// alone. The list's only endpoint is measured nevertheless.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_public_only(ranker: *mut fm_ranker, public_only: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.public_only(public_only != 0);
            Ok(())
        })
    }
}

/// Keeps the seed in the cache for this long, in seconds, so that a machine keeps its order of
/// mirrors across processes, and has another one afterwards. Default, and with 0: a fresh seed in
/// every process and hour. Has no effect without a cache, or with fm_ranker_set_seed().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_rotate_every(ranker: *mut fm_ranker, seconds: f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.rotate_every(period("rotate_every", seconds)?);
            Ok(())
        })
    }
}

/// Sets how many endpoints (host and port) to measure in a call at most, so that a hostile list
/// does not turn clients into a flood, and how many of one host; defaults 2048 and 4. Endpoints
/// beyond a limit, in the order given, count as unanswered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_limits(
    ranker: *mut fm_ranker,
    endpoints: usize,
    endpoints_per_host: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            ranker.max_endpoints(endpoints).max_endpoints_per_host(endpoints_per_host);
            Ok(())
        })
    }
}

/// Changes the callbacks of a ranker, and makes the changed ones its observer.
///
/// # Safety
/// `ranker` is NULL or a valid ranker.
unsafe fn change(ranker: *mut fm_ranker, change: impl FnOnce(&mut Callbacks)) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_inner(ranker, |inner| {
            change(&mut inner.callbacks);
            let callbacks = inner.callbacks;
            if callbacks.progress.is_none() && callbacks.log.is_none() {
                inner.ranker.no_observer();
            } else {
                inner.ranker.observer(move |event| callbacks.call(event));
            }
            Ok(())
        })
    }
}

/// Sets the function that is called with progress, on the thread that called fm_rank(), or none
/// with NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_progress(
    ranker: *mut fm_ranker,
    progress: fm_progress_fn,
    userdata: *mut c_void,
) -> c_int {
    let progress = progress.map(|function| (function, Userdata(userdata)));
    // SAFETY: the caller's promise.
    unsafe { change(ranker, |callbacks| callbacks.progress = progress) }
}

/// Sets the function that is called with lines for a log, on the thread that called fm_rank(), or
/// none with NULL: what became of each mirror, why measuring stopped, and warnings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_log(
    ranker: *mut fm_ranker,
    log: fm_log_fn,
    userdata: *mut c_void,
) -> c_int {
    let log = log.map(|function| (function, Userdata(userdata)));
    // SAFETY: the caller's promise.
    unsafe { change(ranker, |callbacks| callbacks.log = log) }
}

/// Sets the function that is asked whether to stop measuring, on the thread that called fm_rank(),
/// or none with NULL: for a flag that the program's own signal handler sets. It is called at least
/// every 20 ms.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_ranker_set_interrupt_check(
    ranker: *mut fm_ranker,
    check: fm_interrupt_fn,
    userdata: *mut c_void,
) -> c_int {
    let userdata = Userdata(userdata);
    // SAFETY: the caller's promise.
    unsafe {
        with_inner(ranker, |inner| {
            match check {
                // SAFETY: the function and its data are what the caller passed together.
                Some(check) => inner.ranker.interrupt_check(move || check(userdata.pointer()) != 0),
                None => inner.ranker.no_interrupt_check(),
            };
            Ok(())
        })
    }
}
