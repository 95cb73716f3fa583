//! `fm_cache`: what a cache file says, in C's terms, and removing records from it.

use super::options::read_strings;
use super::ranker::{fm_ranker, with_ranker};
use super::status::{Failure, fm_status, guard};
use crate::cache::{Cache, CacheNetwork, CacheRecord, CachedSeed, Remembered};
use crate::url::Protocol;
use std::ffi::{CString, c_char, c_int, c_uint};
use std::ptr;
use std::time::Duration;

const INVALID: c_int = fm_status::FM_INVALID_ARGUMENT as c_int;

/// What is remembered of a mirror.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_remembered {
    /// It answered.
    FM_REMEMBERED_LATENCY = 0,
    /// It answered, but at an address that the client tries only after it has waited for another
    /// one.
    FM_REMEMBERED_DETOURED = 1,
    /// It refused the connection.
    FM_REMEMBERED_REFUSED = 2,
    /// The network reported that it cannot be reached.
    FM_REMEMBERED_UNREACHABLE = 3,
    /// Its name has no address, or the lookup did not finish.
    FM_REMEMBERED_UNRESOLVED = 4,
    /// It did not reply within some time.
    FM_REMEMBERED_SILENT = 5,
}

/// In which network something was found out.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fm_network {
    /// The one that this machine is in.
    FM_NETWORK_THIS = 0,
    /// Another one: it does not count here.
    FM_NETWORK_ANOTHER = 1,
    /// Not known, as with all records of librepo: it counts everywhere.
    FM_NETWORK_UNKNOWN = 2,
}

/// One fact in a cache file. The strings belong to the fm_cache.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fm_cache_record {
    /// The scheme of the URLs that it is about: "http", "https" or "ftp".
    pub scheme: *const c_char,
    /// The host name, or an IP address without brackets.
    pub host: *const c_char,
    /// The address of the host, if other names of its list led to it, too; NULL otherwise.
    pub shared_address: *const c_char,
    /// The latency in seconds, or for FM_REMEMBERED_SILENT the time without a reply; negative if
    /// there is none.
    pub time: f64,
    /// The time since it was found out, in seconds.
    pub age: f64,
    /// For how much longer it counts, in seconds; 0 if it is outdated.
    pub remaining: f64,
    /// The port.
    pub port: c_uint,
    /// What is remembered: an fm_remembered.
    pub remembered: c_int,
    /// Where it was found out: an fm_network.
    pub network: c_int,
    /// Not 0 if librepo wrote it, rather than this library.
    pub of_librepo: c_int,
    /// Not 0 if a call of fm_rank() here and now would use it: it is not outdated, not of another
    /// network, and no better one about the same endpoint is in the file.
    pub counts: c_int,
}

/// What a cache file says. It never changes, so any number of threads may read it at once.
#[derive(Debug)]
pub struct fm_cache {
    records: Vec<OwnedRecord>,
    seed: Option<CachedSeed>,
}

/// What an `fm_cache_record` is filled from.
#[derive(Debug)]
struct OwnedRecord {
    record: CacheRecord,
    host: CString,
    shared_address: Option<CString>,
}

impl fm_cache {
    fn new(cache: Cache) -> fm_cache {
        let own = |record: CacheRecord| OwnedRecord {
            // Neither a host nor an address holds a NUL.
            host: CString::new(record.endpoint.host.to_string()).unwrap_or_default(),
            shared_address: record.shared_address.and_then(|it| CString::new(it.to_string()).ok()),
            record,
        };
        fm_cache { records: cache.records.into_iter().map(own).collect(), seed: cache.seed }
    }
}

impl OwnedRecord {
    fn copy(&self) -> fm_cache_record {
        use fm_network::*;
        let record = &self.record;
        let (remembered, time) = remembered(record.remembered);
        let network = match record.network {
            CacheNetwork::This => FM_NETWORK_THIS,
            CacheNetwork::Another => FM_NETWORK_ANOTHER,
            CacheNetwork::Unknown => FM_NETWORK_UNKNOWN,
        };
        let scheme = match record.protocol {
            Protocol::Http => c"http",
            Protocol::Https => c"https",
            Protocol::Ftp => c"ftp",
            Protocol::File => c"file",
        };
        fm_cache_record {
            scheme: scheme.as_ptr(),
            host: self.host.as_ptr(),
            shared_address: self.shared_address.as_ref().map_or(ptr::null(), |address| address.as_ptr()),
            time: time.map_or(-1.0, |time| time.as_secs_f64()),
            age: record.age.as_secs_f64(),
            remaining: record.remaining.as_secs_f64(),
            port: record.endpoint.port.into(),
            remembered: remembered as c_int,
            network: network as c_int,
            of_librepo: record.is_of_librepo.into(),
            counts: record.counts.into(),
        }
    }
}

/// Returns the constant, and the latency or the time without a reply, if there is one.
pub(super) fn remembered(remembered: Remembered) -> (fm_remembered, Option<Duration>) {
    use fm_remembered::*;
    match remembered {
        Remembered::Latency(latency) => (FM_REMEMBERED_LATENCY, Some(latency)),
        Remembered::Detoured(latency) => (FM_REMEMBERED_DETOURED, Some(latency)),
        Remembered::Refused => (FM_REMEMBERED_REFUSED, None),
        Remembered::Unreachable => (FM_REMEMBERED_UNREACHABLE, None),
        Remembered::Unresolved => (FM_REMEMBERED_UNRESOLVED, None),
        Remembered::Silent(waited) => (FM_REMEMBERED_SILENT, Some(waited)),
    }
}

/// Reads the cache file of a ranker (fm_ranker_set_cache()): everything in it, and whether it
/// counts here and now, with latencies up to the maximal age (fm_ranker_set_max_age()). Nothing is
/// written. If a process is writing the file in place, this waits for up to 100 ms.
///
/// On success `*cache` is set, to be freed with fm_cache_free(). A file that does not exist, may
/// not be read or is no cache is FM_UNREADABLE_CACHE, and fm_ranker_error() says why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_cache_read(ranker: *mut fm_ranker, cache: *mut *mut fm_cache) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            if cache.is_null() {
                return Err(Failure::argument("cache is NULL"));
            }
            let made = Box::into_raw(Box::new(fm_cache::new(ranker.read_cache()?)));
            // Not NULL, and can be written, by the caller's promise.
            *cache = made;
            Ok(())
        })
    }
}

/// Frees what fm_cache_read() has made, and with it the strings that came from it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_cache_free(cache: *mut fm_cache) {
    // A failure cannot be reported.
    let _ = guard(|| {
        if !cache.is_null() {
            // SAFETY: the caller's promise; the box was made by fm_cache_read().
            drop(unsafe { Box::from_raw(cache) });
        }
        Ok(())
    });
}

/// Returns how many records there are; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_cache_size(cache: *const fm_cache) -> usize {
    // SAFETY: the caller's promise.
    unsafe { cache.as_ref() }.map_or(0, |cache| cache.records.len())
}

/// Writes the record at a position, in the order of the file, from 0 to fm_cache_size() - 1, to
/// `*record`. An endpoint may have several: a latency and a newer note on an outcome, for example.
/// On failure (a NULL pointer, a position beyond the last) `*record` is left as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_cache_get(
    cache: *const fm_cache,
    position: usize,
    record: *mut fm_cache_record,
) -> c_int {
    // SAFETY: the caller's promise.
    let found = unsafe { cache.as_ref() }.and_then(|cache| cache.records.get(position));
    let (Some(found), false) = (found, record.is_null()) else { return INVALID };
    // SAFETY: not NULL, so it can be written, by the caller's promise.
    unsafe { record.write(found.copy()) };
    fm_status::FM_OK as c_int
}

/// Writes the seed that the cache keeps (fm_ranker_set_rotate_every()) to `*seed`, and the time in
/// seconds since it was drawn to `*age`. FM_INVALID_ARGUMENT if there is none, or for a NULL
/// pointer; then both are left as they were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_cache_seed(cache: *const fm_cache, seed: *mut u64, age: *mut f64) -> c_int {
    // SAFETY: the caller's promise.
    let Some(kept) = unsafe { cache.as_ref() }.and_then(|cache| cache.seed) else { return INVALID };
    if seed.is_null() || age.is_null() {
        return INVALID;
    }
    // SAFETY: not NULL, so both can be written, by the caller's promise.
    unsafe {
        seed.write(kept.seed);
        age.write(kept.age.as_secs_f64());
    }
    fm_status::FM_OK as c_int
}

/// Removes from the cache file of a ranker what is remembered of the hosts that match one of
/// `count` patterns (fm_ranker_set_include()): latencies, librepo's own among them, and failures.
/// Writes how many records that were to `*forgotten`; if none, the file is not written. All else in
/// the file stays as it is, except that librepo's records of URLs with a password lose that.
///
/// FM_UNREADABLE_CACHE for a file that does not exist or is no cache, FM_UNWRITABLE_CACHE if it
/// cannot be written; fm_ranker_error() says why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_cache_forget(
    ranker: *mut fm_ranker,
    patterns: *const *const c_char,
    count: usize,
    forgotten: *mut usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            let patterns = read_strings("patterns", patterns, count)?;
            if forgotten.is_null() {
                return Err(Failure::argument("forgotten is NULL"));
            }
            *forgotten = ranker.forget(&patterns.iter().map(|text| &**text).collect::<Vec<_>>())?;
            Ok(())
        })
    }
}

/// Removes all records from the cache file of a ranker. It stays a cache, with its mode and owner,
/// and keeps the seed if it has one. Otherwise as fm_cache_forget().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fm_cache_forget_all(ranker: *mut fm_ranker, forgotten: *mut usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_ranker(ranker, |ranker| {
            if forgotten.is_null() {
                return Err(Failure::argument("forgotten is NULL"));
            }
            *forgotten = ranker.forget_all()?;
            Ok(())
        })
    }
}
