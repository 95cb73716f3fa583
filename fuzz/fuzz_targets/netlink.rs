//! The kernel's messages about routes, on any bytes. What is asserted stands in the library's
//! `src/network/kernel/fuzz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fastestmirror::internals::fuzz::netlink(bytes));
