//! URLs of mirrors, on any text. What is asserted stands in the library's `src/internals/fuzz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fastestmirror::internals::fuzz::url(text));
