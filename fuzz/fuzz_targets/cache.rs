//! The reader and the writer of the cache, on any bytes, beside GLib's reader of key files where
//! GLib is installed. What else is asserted stands in the library's `src/internals/fuzz.rs`.
#![no_main]

#[path = "cache/glib.rs"]
mod glib;

use fastestmirror::internals::fuzz;
use glib::{Glib, Group};
use std::sync::OnceLock;

static GLIB: OnceLock<Option<Glib>> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let glib = GLIB.get_or_init(Glib::load);
        eprintln!("cache: GLib is {}", if glib.is_some() { "compared" } else { "not installed" });
    },
    |text: &[u8]| {
        let written = fuzz::cache(text);
        let Some(Some(glib)) = GLIB.get() else { return };
        compare(glib, text);
        assert!(compare(glib, &written), "GLib does not read what we have written");
    }
);

/// Checks that GLib reads what we read. Returns whether the text is a key file.
fn compare(glib: &Glib, text: &[u8]) -> bool {
    let ours = fuzz::key_file(text);
    if has_odd_locale(text) {
        return ours.is_some();
    }
    let theirs = glib.read(text);
    let names = |groups: &[Group]| -> Vec<fuzz::Group> {
        let pairs =
            |group: &Group| group.1.iter().map(|read| (read.key.clone(), read.value.clone())).collect();
        groups.iter().map(|group| (group.0.clone(), pairs(group))).collect()
    };
    assert_eq!(ours, theirs.as_deref().map(names));
    for read in theirs.iter().flatten().flat_map(|group| &group.1) {
        let (int64, integer, double) = fuzz::numbers(&read.value);
        assert_eq!((int64, integer), (read.int64, read.integer), "{:?}", read.value);
        match double.filter(|number| number.is_finite()) {
            Some(ours) => assert_eq!(Some(ours.to_bits()), read.double.map(f64::to_bits), "{:?}", read.value),
            // GLib also reads infinities, NaN, hexadecimal digits and a vertical tab, none of which
            // is in a latency.
            None => {
                let is_odd = read.value.iter().any(|byte| matches!(byte, b'x' | b'X' | 0x0b));
                assert!(is_odd || !read.double.is_some_and(f64::is_finite), "{:?}", read.value);
            }
        }
    }
    ours.is_some()
}

/// Whether a key may have a locale with a letter that is not ASCII: std's tables of letters differ
/// from GLib's.
fn has_odd_locale(text: &[u8]) -> bool {
    text.split(|&byte| byte == b'\n').any(|line| {
        let key = line.split(|&byte| byte == b'=').next().unwrap_or_default();
        key.iter().skip_while(|&&byte| byte != b'[').any(|byte| !byte.is_ascii())
    })
}
