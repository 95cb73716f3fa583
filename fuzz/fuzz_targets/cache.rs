//! The reader and the writer of the cache, on any bytes. What is asserted stands in the library's
//! `src/internals/fuzz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| fastestmirror::internals::fuzz::cache(text));
