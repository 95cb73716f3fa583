//! The schedule in virtual time, on any network and on any events. What is asserted stands in the
//! library's `src/probe/schedule/simulation.rs`, which its own random tests use too.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fastestmirror::internals::fuzz::schedule(bytes));
