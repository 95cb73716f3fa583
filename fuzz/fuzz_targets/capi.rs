//! The C interface as a sequence of calls: any function with any argument, in any order, with
//! callbacks that call back. Checked is what the header promises: the status of each call, outputs
//! that are left alone on failure, and that every URL comes out exactly once.
//!
//! Nothing is sent to any other machine. Where something is measured, every URL is one of a
//! loopback address or of no host at all, as the library itself reads it, so that no name is looked
//! up; and the process is in a network namespace of its own that has a loopback interface and
//! nothing else. Where there can be none, the timeout is 0, with which the library sends nothing.
#![no_main]

#[path = "capi/call.rs"]
mod call;
#[path = "capi/isolation.rs"]
mod isolation;
#[path = "capi/player.rs"]
mod player;

use isolation::Surroundings;
use std::sync::OnceLock;

static SURROUNDINGS: OnceLock<Surroundings> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let surroundings = SURROUNDINGS.get_or_init(Surroundings::new);
        eprintln!("capi: {}", if surroundings.is_isolated() { "isolated" } else { "nothing is measured" });
    },
    |calls: Vec<call::Call>| {
        if let Some(surroundings) = SURROUNDINGS.get() {
            player::play(&calls, surroundings);
        }
    }
);
