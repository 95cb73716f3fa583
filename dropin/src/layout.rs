//! librepo's ABI in numbers: the values of its public enums, the offsets in bytes (in
//! `struct _LrHandle` and `LrInternalMirror`) of what its public interface does not give, and the
//! public struct of a download.
//!
//! They are the same in every version from 1.7.14 (2015) to 1.21. A test compares them with
//! librepo's sources on the machine it runs on, and `handle.rs` and `download/target.rs` prove the
//! offsets again in every process.
#![forbid(unsafe_code)]

use crate::symbols::{EndCallback, FailureCallback, GSList, Opaque, ProgressCallback};
use std::ffi::{c_char, c_int, c_void};

/// The size of a pointer and of a `long`.
const WORD: usize = size_of::<usize>();

/// `CURL *curl_handle`.
pub(crate) const CURL: usize = 0;
/// `GSList *internal_mirrorlist`, of `LrInternalMirror`.
pub(crate) const MIRRORS: usize = 2 * WORD;
/// `gchar *fastestmirrorcache`, which has a public getter too.
pub(crate) const CACHE: usize = 6 * WORD;
/// `LrFastestMirrorCb fastestmirrorcb`.
pub(crate) const CALLBACK: usize = 8 * WORD;
/// `void *fastestmirrordata`.
pub(crate) const DATA: usize = 9 * WORD;

/// `char *url` in `LrInternalMirror`.
pub(crate) const MIRROR_URL: usize = 0;
/// `sizeof(LrInternalMirror)`: the URL, and two integers that are not used here.
pub(crate) const MIRROR_SIZE: usize = WORD + 8;

/// The beginning of `LrDownloadTarget`, up to the last field that is used here.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct DownloadTarget {
    pub(crate) handle: *mut Opaque,
    pub(crate) path: *const c_char,
    pub(crate) baseurl: *const c_char,
    pub(crate) fd: c_int,
    pub(crate) r#fn: *const c_char,
    pub(crate) checksums: *mut GSList,
    pub(crate) expectedsize: i64,
    pub(crate) origsize: i64,
    pub(crate) resume: c_int,
    pub(crate) progresscb: Option<ProgressCallback>,
    pub(crate) cbdata: *mut c_void,
    pub(crate) endcb: Option<EndCallback>,
    pub(crate) mirrorfailurecb: Option<FailureCallback>,
    pub(crate) chunk: *mut Opaque,
    pub(crate) byterangestart: i64,
    pub(crate) byterangeend: i64,
    pub(crate) no_cache: c_int,
    pub(crate) usedmirror: *const c_char,
    pub(crate) effectiveurl: *const c_char,
    pub(crate) rcode: c_int,
    pub(crate) err: *const c_char,
    pub(crate) userdata: *mut c_void,
    pub(crate) is_zchunk: c_int,
}

pub(crate) const LRO_URLS: i32 = 1;
pub(crate) const LRO_FASTESTMIRRORCACHE: i32 = 28;
pub(crate) const LRO_FASTESTMIRRORCB: i32 = 30;
pub(crate) const LRO_FASTESTMIRRORDATA: i32 = 31;

pub(crate) const LRI_FASTESTMIRROR: i32 = 18;
pub(crate) const LRI_FASTESTMIRRORCACHE: i32 = 19;
pub(crate) const LRI_FASTESTMIRRORMAXAGE: i32 = 20;
pub(crate) const LRI_IPRESOLVE: i32 = 24;
pub(crate) const LRI_FASTESTMIRRORTIMEOUT: i32 = 28;
pub(crate) const LRI_OFFLINE: i32 = 30;

pub(crate) const LR_IPRESOLVE_V4: i32 = 1;
pub(crate) const LR_IPRESOLVE_V6: i32 = 2;

pub(crate) const LRE_BADFUNCARG: i32 = 1;

pub(crate) const LR_FMSTAGE_INIT: i32 = 0;
pub(crate) const LR_FMSTAGE_CACHELOADING: i32 = 1;
pub(crate) const LR_FMSTAGE_CACHELOADINGSTATUS: i32 = 2;
pub(crate) const LR_FMSTAGE_DETECTION: i32 = 3;
pub(crate) const LR_FMSTAGE_FINISHING: i32 = 4;
pub(crate) const LR_FMSTAGE_STATUS: i32 = 5;

pub(crate) const LR_TRANSFER_SUCCESSFUL: i32 = 0;

pub(crate) const LR_CB_OK: i32 = 0;

#[cfg(test)]
mod tests;
