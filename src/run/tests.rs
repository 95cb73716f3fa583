//! Tests of what runs remember. They set the time of day, which only the inside of the crate can.

mod history;

use crate::outcome::{Outcome, StopReason};
use crate::ranker::Ranker;
use crate::ranking::Ranking;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);

/// A directory of the test's own, a mirror that answers, and one that refuses.
struct World {
    directory: tempfile::TempDir,
    open: TcpListener,
    closed: u16,
    begin: SystemTime,
}

impl World {
    fn new() -> World {
        let free = || TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
        let closed = free().local_addr().expect("it is bound").port();
        let directory = tempfile::tempdir().expect("a directory");
        World { directory, open: free(), closed, begin: SystemTime::now() }
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn good(&self) -> String {
        format!("http://{}/pub", self.open.local_addr().expect("it is bound"))
    }

    fn bad(&self) -> String {
        format!("http://127.0.0.1:{}/pub", self.closed)
    }

    /// Ranks this long after the first run.
    fn rank(&self, urls: &[String], after: Duration, set: impl FnOnce(&mut Ranker)) -> Ranking {
        let mut ranker = Ranker::new();
        ranker.cache(Some(&self.cache()));
        ranker.now(self.begin + after);
        set(&mut ranker);
        ranker.rank(urls).expect("a ranking")
    }

    fn outcomes(&self, urls: &[String], after: Duration) -> Vec<Outcome> {
        let mut mirrors = self.rank(urls, after, |_| ()).mirrors;
        mirrors.sort_by_key(|mirror| mirror.index);
        mirrors.into_iter().map(|mirror| mirror.outcome).collect()
    }
}

fn is_measured(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Measured(_))
}

fn is_cached(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Cached(_))
}

#[test]
fn second_run_sends_nothing_and_gives_the_same_result() {
    let world = World::new();
    let urls = [world.good(), world.bad()];
    let first = world.outcomes(&urls, Duration::ZERO);
    assert!(is_measured(&first[0]) && first[1] == Outcome::Refused);
    world.open.set_nonblocking(true).expect("it can be");
    assert!(world.open.accept().is_ok());
    for after in [Duration::from_secs(1), Duration::from_secs(599)] {
        let ranking = world.rank(&urls, after, |_| ());
        assert_eq!((ranking.stop_reason, ranking.mirrors[0].index), (StopReason::Idle, 0));
        assert!(is_cached(&ranking.mirrors[0].outcome) && ranking.mirrors[0].pool);
        assert_eq!(ranking.mirrors[0].outcome.latency(), first[0].latency());
        assert_eq!(ranking.mirrors[1].outcome, Outcome::Refused);
        assert!(world.open.accept().is_err(), "the mirror was asked again");
        assert_eq!(ranking.warnings, Vec::<String>::new());
    }
    // After ten minutes the latency is checked before it is believed; or when the caller says so.
    for (after, check_after) in [(600, 600), (610, 0)] {
        let ranking = world.rank(&urls, Duration::from_secs(after), |ranker| {
            ranker.check_after(Duration::from_secs(check_after));
        });
        assert_eq!((ranking.stop_reason, ranking.mirrors[0].index), (StopReason::Complete, 0));
        assert!(is_measured(&ranking.mirrors[0].outcome) && !ranking.mirrors[0].from_cache);
        assert!(ranking.mirrors[1].outcome == Outcome::Refused && ranking.mirrors[1].from_cache);
        assert!(world.open.accept().is_ok() && world.open.accept().is_err());
    }
    // A check counts for ten minutes more.
    let ranking = world.rank(&urls, Duration::from_secs(1200), |_| ());
    assert_eq!(ranking.stop_reason, StopReason::Idle);
}

#[test]
fn failure_counts_for_an_hour_and_a_latency_for_its_maximal_age() {
    let world = World::new();
    let urls = [world.good(), world.bad()];
    world.outcomes(&urls, Duration::ZERO);
    let _opened = TcpListener::bind(("127.0.0.1", world.closed)).expect("the port is free still");
    let late = world.outcomes(&urls, HOUR + Duration::from_secs(1));
    // The one that is still remembered is the control.
    assert!(late.iter().all(is_measured), "{late:?}");
    let month = world.outcomes(&urls, 31 * 24 * HOUR);
    assert!(month.iter().all(is_measured), "{month:?}");
    let never = world.rank(&urls, 31 * 24 * HOUR, |ranker| {
        ranker.max_age(Duration::ZERO);
    });
    assert!(never.mirrors.iter().all(|mirror| is_measured(&mirror.outcome) || is_cached(&mirror.outcome)));
}

#[test]
fn failures_are_forgotten_when_nothing_else_is_left_to_try() {
    let world = World::new();
    world.outcomes(&[world.good(), world.bad()], Duration::ZERO);
    let _opened = TcpListener::bind(("127.0.0.1", world.closed)).expect("the port is free still");
    assert!(is_measured(&world.outcomes(&[world.bad()], Duration::from_secs(1))[0]));
}

#[test]
fn nothing_is_written_if_nothing_answers() {
    let world = World::new();
    assert_eq!(world.outcomes(&[world.bad()], Duration::ZERO), [Outcome::Refused]);
    assert!(!world.cache().exists());
}

#[test]
fn records_from_the_future_do_not_count_after_the_clock_was_set_back() {
    let world = World::new();
    world.outcomes(&[world.good()], 48 * HOUR);
    assert!(is_measured(&world.outcomes(&[world.good()], Duration::ZERO)[0]));
    // What was learned after the clock was set back counts.
    assert!(is_cached(&world.outcomes(&[world.good()], Duration::from_secs(1))[0]));
}

#[test]
fn kept_seed_serves_for_its_period_and_another_follows() {
    let world = World::new();
    let seed = |after| {
        world
            .rank(&[world.good()], after, |ranker| {
                ranker.rotate_every(24 * HOUR);
            })
            .seed
    };
    let first = seed(Duration::ZERO);
    assert_eq!([seed(HOUR), seed(23 * HOUR)], [first; 2]);
    let second = seed(25 * HOUR);
    assert_ne!(second, first);
    assert_eq!(seed(26 * HOUR), second);
    // It does not count without the option, nor with a seed from the caller.
    assert_ne!(world.rank(&[world.good()], HOUR, |_| ()).seed, second);
    let own = world.rank(&[world.good()], HOUR, |ranker| {
        ranker.rotate_every(24 * HOUR).seed(7);
    });
    assert_eq!(own.seed, 7);
}

#[test]
fn unusable_cache_is_a_warning_and_the_run_goes_on() {
    let world = World::new();
    fs::create_dir(world.cache()).expect("a directory");
    let ranking = world.rank(&[world.good()], Duration::ZERO, |_| ());
    assert!(is_measured(&ranking.mirrors[0].outcome));
    assert!(ranking.warnings.iter().all(|it| it.contains("it is a directory")), "{:?}", ranking.warnings);
    assert!(!ranking.warnings.is_empty());
}

#[test]
fn file_written_by_librepo_is_believed_and_kept() {
    let world = World::new();
    let ts = world.begin.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() - 60;
    let theirs = format!(
        "[:_librepo_:]\nversion=1\n\n[http://127.0.0.1:{}]\nts={ts}\nconnectime=0.012345\n",
        world.open.local_addr().expect("it is bound").port()
    );
    fs::write(world.cache(), &theirs).expect("a file");
    let outcome = world.outcomes(&[world.good()], Duration::ZERO)[0];
    assert_eq!(outcome, Outcome::Cached(Duration::from_micros(12_345)));
    assert_eq!(fs::read_to_string(world.cache()).expect("a file"), theirs);
}

#[test]
fn remembered_mirror_that_refuses_now_is_not_first() {
    let world = World::new();
    let gone = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    let url = format!("http://{}/pub", gone.local_addr().expect("it is bound"));
    assert!(is_measured(&world.outcomes(std::slice::from_ref(&url), Duration::ZERO)[0]));
    drop(gone);
    // It is measured as the control, because the other one has to be measured.
    let outcomes = world.outcomes(&[url, world.good()], Duration::from_secs(1));
    assert!(outcomes[0] == Outcome::Refused && is_measured(&outcomes[1]), "{outcomes:?}");
}
