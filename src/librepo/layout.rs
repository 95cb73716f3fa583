//! Where librepo keeps what its public interface does not tell: offsets in `struct _LrHandle` and
//! `LrInternalMirror`, in bytes. The same in every version from 1.7.14 (2015) to 1.21 on 64-bit machines; a test
//! compares them with the sources it fetches, and `handle.rs` proves them anew in every process.
#![forbid(unsafe_code)]
#![allow(dead_code)] // the test of the offsets includes this file, too

/// `CURL *curl_handle`.
pub(crate) const CURL: usize = 0;
/// `GSList *internal_mirrorlist`, of `LrInternalMirror`.
pub(crate) const MIRRORS: usize = 16;
/// `gchar *fastestmirror_cache`, which has a public getter as well.
pub(crate) const CACHE: usize = 48;
/// `LrFastestMirrorCb fastestmirrorcb`.
pub(crate) const CALLBACK: usize = 64;
/// `void *fastestmirrordata`.
pub(crate) const DATA: usize = 72;

/// `char *url` in `LrInternalMirror`.
pub(crate) const MIRROR_URL: usize = 0;
/// `sizeof(LrInternalMirror)`; its other fields are left alone.
pub(crate) const MIRROR_SIZE: usize = 16;
