//! The default seed of the shuffle: the same for all lists of a process, a different one in every
//! process and every hour.
#![forbid(unsafe_code)]

use crate::sys;
use rand::TryRng;
use rand::rngs::SysRng;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The low bits of a secret hold the minute in which it was drawn; the others are random.
const MINUTE_BITS: u32 = 24;

/// Returns an error where the system gives no random numbers: neither `getrandom`(2) nor
/// `/dev/urandom`.
pub(crate) fn check_random_numbers() -> io::Result<()> {
    draw().map(drop)
}

/// Returns the seed of this process and of its current hour.
pub(crate) fn for_process() -> io::Result<u64> {
    // Zero until it is drawn. It is an atomic number and not behind a lock: in a forked child, a
    // lock that another thread held would stay locked.
    static SECRET: AtomicU64 = AtomicU64::new(0);
    let minute = sys::uptime().as_secs() / 60;
    let secret = match SECRET.load(Relaxed) {
        0 => {
            let drawn = (draw()? | 1) << MINUTE_BITS | minute & ((1 << MINUTE_BITS) - 1);
            SECRET.compare_exchange(0, drawn, Relaxed, Relaxed).map_or_else(|other| other, |_| drawn)
        }
        secret => secret,
    };
    Ok(derive(secret, std::process::id(), minute))
}

/// Returns a number of this process and of its current hour that says nothing about the seed; 0
/// where the system has no random numbers.
pub(crate) fn process_number() -> u32 {
    let Ok(seed) = for_process() else { return 0 };
    let mut hasher = SipHasher24::new_with_keys(seed, 1);
    hasher.write(b"process");
    hasher.finish() as u32
}

/// Returns a new random seed.
pub(crate) fn fresh() -> io::Result<u64> {
    Ok(draw()? >> 11)
}

fn draw() -> io::Result<u64> {
    SysRng.try_next_u64().map_err(|error| io::Error::other(format!("no random numbers: {error}")))
}

/// Derives the seed from a secret. Hours count from when the secret was drawn, so a process that
/// runs for less than an hour keeps its seed. A forked child has its parent's secret but another
/// process id, and so another seed.
fn derive(secret: u64, process: u32, minute: u64) -> u64 {
    let age = minute.wrapping_sub(secret) & ((1 << MINUTE_BITS) - 1);
    let mut hasher = SipHasher24::new_with_keys(secret, process.into());
    hasher.write_u64(age / 60);
    // 53 bits, which every JSON parser reads without loss.
    hasher.finish() >> 11
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_changes_with_process_and_hour() {
        let secret = 7 << MINUTE_BITS | 1000;
        let seed = derive(secret, 2, 1000);
        assert!(seed < 1 << 53);
        assert_eq!(derive(secret, 2, 1059), seed, "within the hour");
        for other in
            [derive(secret, 3, 1000), derive(secret, 2, 1060), derive(secret + (1 << MINUTE_BITS), 2, 1000)]
        {
            assert_ne!(other, seed);
        }
    }

    #[test]
    fn seed_is_the_same_in_all_threads() {
        let seeds: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| for_process().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(seeds.iter().all(|seed| *seed == seeds[0]), "{seeds:?}");
    }
}
