//! The default seed of the shuffle: one for all lists of a process, another in every process and every hour.
#![forbid(unsafe_code)]

use rand::TryRng;
use rand::rngs::SysRng;
use siphasher::sip::SipHasher24;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);

/// The seed of this process and hour.
pub(crate) fn of_process() -> u64 {
    // Drawn once; zero means not yet. An atomic, because a lock could be held by another thread during a fork.
    static SECRET: AtomicU64 = AtomicU64::new(0);
    let secret = match SECRET.load(Relaxed) {
        0 => {
            let drawn = draw().max(1);
            SECRET.compare_exchange(0, drawn, Relaxed, Relaxed).map_or_else(|other| other, |_| drawn)
        }
        secret => secret,
    };
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    derive(secret, std::process::id(), since_epoch.as_secs() / HOUR.as_secs())
}

fn draw() -> u64 {
    // Where the system refuses, std's hasher keys are random enough to spread load.
    SysRng.try_next_u64().unwrap_or_else(|_| RandomState::new().build_hasher().finish())
}

/// A forked child has its parent's secret but another number, and so another seed.
fn derive(secret: u64, process: u32, hour: u64) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(secret, process.into());
    hasher.write_u64(hour);
    // 53 bits: what every reader of JSON takes without loss.
    hasher.finish() >> 11
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_and_hour_each_make_another_seed() {
        let seeds = [derive(1, 2, 3), derive(9, 2, 3), derive(1, 9, 3), derive(1, 2, 9)];
        for (n, seed) in seeds.iter().enumerate() {
            assert!(*seed < 1 << 53 && !seeds[..n].contains(seed));
        }
    }

    #[test]
    fn one_process_has_one_secret() {
        let seeds: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(of_process)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        // Two, if the hour changed just now.
        assert!(seeds.chunk_by(|a, b| a == b).count() <= 2, "{seeds:?}");
    }
}
