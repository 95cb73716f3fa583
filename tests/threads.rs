//! What the threads of a process share: the seed, the number of lookup workers, a cancel handle, a
//! cache file. `tests/sanitize` runs this with ThreadSanitizer.

use fastestmirror::{Cancel, Ranker, StopReason};
use std::net::Ipv4Addr;
use std::thread;
use support::servers::{Server, closed_port};

#[test]
fn rankings_in_many_threads_do_not_disturb_each_other() {
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let urls = [
        "http://localhost:1/".to_string(),
        format!("http://127.0.0.1:{}/", server.port()),
        format!("http://127.0.0.2:{}/", closed_port()),
        "nonsense".to_string(),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("cache");
    let rank = |round: usize| {
        let cancel = Cancel::new();
        let mut ranker = Ranker::new();
        ranker.cancel(&cancel).cache((round % 3 == 0).then_some(cache.as_path()));
        let other = (round % 2 == 1).then(|| thread::spawn(move || cancel.cancel()));
        let ranking = ranker.rank(&urls).expect("a ranking");
        if let Some(other) = other {
            other.join().expect("no panic");
        }
        let mut indices: Vec<usize> = ranking.mirrors.iter().map(|mirror| mirror.index).collect();
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2, 3]);
        assert!(round % 2 == 1 || ranking.stop_reason != StopReason::Cancelled);
        ranking.seed
    };
    let seeds: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..12).map(rank).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(seeds.iter().all(|seed| *seed == seeds[0]), "{seeds:?}");
}
