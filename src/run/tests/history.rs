//! What downloads have shown, from the report to the order of a later run. Latencies come from the
//! cache, so that nothing depends on the machine, except where it is said.

use super::*;
use crate::cache::{CacheFile, RecordName, Remembered};
use crate::history::{Demotion, DownloadOutcome, History, HistoryUse};
use crate::network;
use crate::url::{Mirror, Protocol};

const A: &str = "http://a.example/pub";
const B: &str = "http://b.example/os";
const C: &str = "http://c.example/os";
const D: &str = "http://d.example/os";
const FAR: &str = "http://far.example/os";
const MIB: u64 = 1 << 20;

/// Remembers a near mirror, three in a pool of twice 10 ms, and a far one.
fn remember(world: &World, after: Duration) {
    let latencies = [(A, 1), (B, 10), (C, 11), (D, 12), (FAR, 90)];
    let learned = latencies.map(|(url, latency)| {
        let Mirror::Remote(_, endpoint) = Mirror::parse(url) else { panic!("{url} is a mirror") };
        let name = RecordName::new(url, Protocol::Http, &endpoint);
        (name, Remembered::Latency(Duration::from_millis(latency)))
    });
    let cache = CacheFile::new(&world.cache());
    assert!(cache.write(world.begin + after, Some(&network::here()), learned, None).is_fine());
}

fn report(world: &World, after: Duration, process: u32, reports: &[(&str, DownloadOutcome, u64)]) {
    let mut history = History::new(&world.cache());
    for &(url, outcome, mebibytes) in reports {
        history.report(url, outcome, mebibytes * MIB, Duration::from_secs(1));
        // Else the bodies overlap: each began before the history did.
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(history.save_as(world.begin + after, process), None);
}

/// The order of the mirrors, and why some of them are demoted.
fn ranked(world: &World, after: Duration, used: HistoryUse) -> (Vec<String>, Vec<Option<&'static str>>) {
    remember(world, after);
    let ranking = world.rank(&[A, B, C, D, FAR].map(String::from), after, |ranker| {
        ranker.history(used).seed(1);
    });
    assert_eq!(ranking.stop_reason, StopReason::Idle);
    assert_eq!(ranking.warnings, Vec::<String>::new());
    let names = ranking.mirrors.iter().map(|mirror| mirror.demotion.map(|it| it.name()));
    (ranking.mirrors.iter().map(|mirror| mirror.url.clone()).collect(), names.collect())
}

#[test]
fn troubled_mirror_stands_behind_all_with_a_latency_for_an_hour() {
    use DownloadOutcome::*;
    for (outcome, name) in [(Missing, "missing"), (Stale, "stale"), (Broken, "broken")] {
        let world = World::new();
        let (order, demotions) = ranked(&world, Duration::ZERO, HistoryUse::All);
        assert!(order[0] == A && demotions == [None; 5]);
        report(&world, Duration::ZERO, 1, &[(A, outcome, 0), (B, Ok, 0)]);
        for used in [HistoryUse::Trouble, HistoryUse::All] {
            let (order, demotions) = ranked(&world, HOUR, used);
            assert_eq!(order[3..], [FAR, A]);
            assert_eq!(demotions, [None, None, None, None, Some(name)]);
        }
        assert_eq!(ranked(&world, HOUR, HistoryUse::Off).0[0], A);
        assert_eq!(ranked(&world, HOUR + Duration::from_secs(1), HistoryUse::All).0[0], A);
    }
}

#[test]
fn all_mirrors_broken_at_once_teach_nothing() {
    let world = World::new();
    let broken = [A, B, C, D, FAR].map(|url| (url, DownloadOutcome::Broken, 0));
    report(&world, Duration::ZERO, 1, &broken);
    assert!(!world.cache().exists());
    assert_eq!(ranked(&world, Duration::ZERO, HistoryUse::All).0[0], A);
}

#[test]
fn slow_member_goes_to_the_end_of_the_pool_and_returns() {
    let world = World::new();
    for run in 0..2u64 {
        let after = Duration::from_secs(60 * run);
        let reports = [(B, 100), (C, 1), (D, 100)];
        for (url, mebibytes) in reports {
            report(&world, after, run as u32, &[(url, DownloadOutcome::Ok, mebibytes)]);
        }
    }
    // The near one is a pool of its own; in trouble, it leaves it to the others.
    report(&world, HOUR, 9, &[(A, DownloadOutcome::Broken, 0), (B, DownloadOutcome::Ok, 0)]);
    let (order, demotions) = ranked(&world, HOUR, HistoryUse::All);
    assert_eq!(order[2..], [C, FAR, A]);
    assert_eq!(demotions, [None, None, Some("slow"), None, Some("broken")]);
    // For trouble alone it is where the shuffle puts it.
    let (_, demotions) = ranked(&world, HOUR, HistoryUse::Trouble);
    assert!(!demotions.contains(&Some("slow")));
    let weeks = HOUR * 24 * 18;
    report(&world, weeks, 9, &[(A, DownloadOutcome::Broken, 0), (B, DownloadOutcome::Ok, 0)]);
    assert_eq!(ranked(&world, weeks, HistoryUse::All).1, [None, None, None, None, Some("broken")]);
}

#[test]
fn demotion_of_a_slow_mirror_has_the_numbers() {
    let world = World::new();
    for run in 0..2 {
        for (url, mebibytes) in [(B, 100), (C, 1)] {
            report(&world, Duration::ZERO, run, &[(url, DownloadOutcome::Ok, mebibytes)]);
        }
    }
    remember(&world, Duration::ZERO);
    let ranking = world.rank(&[B, C].map(String::from), Duration::ZERO, |ranker| {
        ranker.history(HistoryUse::All);
    });
    assert!(ranking.mirrors.iter().all(|mirror| mirror.pool));
    let Some(Demotion::Slow { speed, others }) = ranking.mirrors[1].demotion else { panic!("{ranking:?}") };
    assert!((speed / MIB as f64 - 1.0).abs() < 0.01 && (others / MIB as f64 - 100.0).abs() < 1.0);
}

/// This one measures: on loopback, where the troubled one is as near as the others.
#[test]
fn troubled_mirror_is_measured_like_any_other() {
    let world = World::new();
    let other = TcpListener::bind("127.0.0.2:0").expect("loopback can be bound");
    let sound = format!("http://{}/pub", other.local_addr().expect("it is bound"));
    let urls = [world.good(), sound.clone()];
    report(
        &world,
        Duration::ZERO,
        1,
        &[(&urls[0], DownloadOutcome::Broken, 0), (&sound, DownloadOutcome::Ok, 0)],
    );
    for after in [Duration::ZERO, Duration::from_secs(1)] {
        let ranking = world.rank(&urls, after, |ranker| {
            ranker.history(HistoryUse::Trouble);
        });
        assert_eq!(ranking.mirrors[0].url, sound);
        let troubled = &ranking.mirrors[1];
        assert!(troubled.outcome.latency().is_some() && !troubled.pool, "{troubled:?}");
        assert!(matches!(troubled.demotion, Some(Demotion::Broken { .. })));
    }
    // If it is the only one that answers, it leads.
    let closed = world.bad();
    let ranking = world.rank(&[closed, urls[0].clone()], Duration::from_secs(2), |ranker| {
        ranker.history(HistoryUse::Trouble);
    });
    let leader = &ranking.mirrors[0];
    assert!(leader.url == urls[0] && leader.pool && leader.demotion.is_none(), "{ranking:?}");
}
