//! What may be believed, in the lab: a latency must be one that the client will see, and what is
//! remembered is checked before it decides.
//!
//! A run "later" is one after the times in the cache file were moved into the past.

use fastestmirror::*;
use lab::geography::{Geography, Place, Sites};
use lab::{Fate, Lookup, Mirror, Spec, World, answer, figure, ms, refuse};
use std::collections::BTreeSet;
use std::fs;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// After this time what is remembered is checked, but notes on outcomes still count.
const LATER: u64 = 700;
/// After this time notes on outcomes do not count any more.
const OVER_AN_HOUR: u64 = 3700;

fn named(name: &str) -> Mirror {
    Mirror::new(&format!("{name}.lab.example"))
}

/// Mirrors m0, m1, ... with these round-trip times, in both families; a negative one never answers.
fn mirrors(rtts: &[f64]) -> Vec<Mirror> {
    let fate = |rtt| if rtt < 0.0 { Fate::Silent } else { answer(ms(rtt)).into() };
    rtts.iter().enumerate().map(|(n, &rtt)| named(&format!("m{n}")).both(fate(rtt))).collect()
}

fn start(mirrors: impl IntoIterator<Item = Mirror>) -> World {
    World::start(Spec::new().mirrors(mirrors)).expect("a world")
}

fn url(mirror: &str) -> String {
    format!("http://{mirror}.lab.example/pub")
}

fn urls(mirrors: &[&str]) -> Vec<String> {
    mirrors.iter().map(|mirror| url(mirror)).collect()
}

/// The URLs of m0, m1, ...
fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| url(&format!("m{n}"))).collect()
}

fn rank(cache: &Path, urls: &[String]) -> Ranking {
    rank_with(cache, urls, |ranker| ranker)
}

fn rank_with(cache: &Path, urls: &[String], set: impl FnOnce(&mut Ranker) -> &mut Ranker) -> Ranking {
    let mut ranker = Ranker::new();
    ranker.cache(Some(cache)).seed(7);
    set(&mut ranker);
    let ranking = ranker.rank(urls).expect("a ranking");
    assert_eq!(ranking.warnings, Vec::<String>::new());
    ranking
}

fn mirror(ranking: &Ranking, index: usize) -> &RankedMirror {
    ranking.mirrors.iter().find(|mirror| mirror.index == index).expect("every mirror comes out")
}

fn outcome(ranking: &Ranking, index: usize) -> Outcome {
    mirror(ranking, index).outcome
}

fn order(ranking: &Ranking) -> Vec<usize> {
    ranking.mirrors.iter().map(|mirror| mirror.index).collect()
}

fn pool(ranking: &Ranking) -> BTreeSet<usize> {
    ranking.mirrors.iter().filter(|mirror| mirror.pool).map(|mirror| mirror.index).collect()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A directory for caches.
struct Caches(tempfile::TempDir);

impl Caches {
    fn new() -> Caches {
        Caches(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn text(cache: &Path) -> String {
    fs::read_to_string(cache).expect("a cache")
}

/// Moves the times of all that is remembered into the past.
fn age(cache: &Path, seconds: u64) {
    let older = |line: &str| match line.strip_prefix("ts=").and_then(|ts| ts.parse::<u64>().ok()) {
        Some(ts) => format!("ts={}\n", ts - seconds),
        None => format!("{line}\n"),
    };
    fs::write(cache, text(cache).lines().map(older).collect::<String>()).expect("a writable cache");
}

/// The number of attempts at a mirror during a call.
fn attempts_during<T>(world: &World, mirror: &str, call: impl FnOnce() -> T) -> (usize, T) {
    let name = format!("{mirror}.lab.example");
    let before = world.report().of(&name).attempts;
    let result = call();
    (world.report().of(&name).attempts - before, result)
}

/// Tries something up to `most` times, until it says that it was right: a pause of a few
/// milliseconds at the wrong moment may spoil a run, but not all of them.
#[track_caller]
fn some_time(most: usize, mut is_right: impl FnMut(usize) -> Result<(), String>) {
    let mut failures = Vec::new();
    for attempt in 0..most {
        match is_right(attempt) {
            Ok(()) => return,
            Err(why) => failures.push(why),
        }
    }
    panic!("{most} times: {failures:#?}");
}

fn right(is_right: bool, otherwise: impl std::fmt::Debug) -> Result<(), String> {
    if is_right { Ok(()) } else { Err(format!("{otherwise:?}")) }
}

// What is measured is what the client will see.

#[test]
fn silent_first_address_makes_a_host_unanswered_however_near_the_second_is() {
    lab::isolated!(|| {
        let (silent, near): (Fate, Fate) = (Fate::Silent, answer(ms(10)).into());
        let two = named("two").ipv4(silent.clone()).ipv4(near.clone());
        let two_of_six = named("six").ipv6(silent).ipv6(near.clone());
        let refusing = named("refusing").ipv4(refuse(ms(3))).ipv4(answer(ms(30)));
        let world = start([two, two_of_six, refusing, named("other").both(answer(ms(25)))]);
        for name in ["two", "six"] {
            let host = format!("{name}.lab.example");
            let found: Vec<_> = (host.as_str(), 80).to_socket_addrs().unwrap().map(|it| it.ip()).collect();
            assert_eq!(found, world.addresses(&host), "the system gives the silent address first");
        }
        let list = urls(&["two", "six", "refusing", "other"]);
        let caches = Caches::new();
        for (name, fallbacks) in [("defaults", 16), ("all", Ranker::ALL)] {
            let cache = caches.path(name);
            let check = |ranking: &Ranking| {
                let unanswered = [outcome(ranking, 0), outcome(ranking, 1)];
                assert_eq!(unanswered, [Outcome::Unanswered; 2], "{ranking:#?}");
                // The client goes from an address that refuses to the next one at once.
                assert_eq!(pool(ranking), [2, 3].into());
                assert!(ranking.mirrors.iter().all(|mirror| !mirror.is_detoured));
                assert_eq!(order(ranking)[2..], [0, 1]);
                for name in ["two", "six"] {
                    assert!(!text(&cache).contains(&format!("[http://{name}.lab.example]")));
                }
            };
            let run = || rank_with(&cache, &list, |ranker| ranker.fallbacks(fallbacks));
            check(&run());
            check(&run());
            age(&cache, LATER);
            check(&run());
        }
        let report = world.report();
        for name in ["two.lab.example", "six.lab.example"] {
            assert_eq!(report.at(world.addresses(name)[1]).attempts, 0, "an address that no client reaches");
            assert_eq!(report.of(name).attempts, 3, "one at the defaults, two if all are wanted");
        }
    });
}

#[test]
fn silent_ipv6_address_makes_a_host_detoured_while_ipv6_works_elsewhere() {
    lab::isolated!(|| {
        let detour = named("detour").ipv6(Fate::Silent).ipv4(answer(ms(10)));
        let refusing = named("refusing").ipv6(refuse(ms(3))).ipv4(answer(ms(30)));
        let world =
            start([detour, refusing, named("other").both(answer(ms(25))), named("far").both(answer(ms(60)))]);
        let list = urls(&["detour", "refusing", "other", "far"]);
        let caches = Caches::new();
        let cache = caches.path("all");
        let all = |urls: &[String]| rank_with(&cache, urls, |ranker| ranker.fallbacks(Ranker::ALL));
        for (from_cache, ranking) in [(false, all(&list)), (true, all(&list))] {
            assert_eq!(order(&ranking)[2..], [3, 0], "{ranking:#?}");
            assert_eq!(pool(&ranking), [1, 2].into());
            let detoured = ranking.mirrors.iter().filter(|mirror| mirror.is_detoured);
            assert_eq!(detoured.map(|mirror| mirror.index).collect::<Vec<_>>(), [0]);
            let latency = milliseconds(outcome(&ranking, 0).latency().expect("it has answered"));
            assert!((10.0..25.0 + 50.0).contains(&latency), "{latency} ms");
            assert_eq!(mirror(&ranking, 0).from_cache, from_cache);
            assert!(!text(&cache).contains("[http://detour.lab.example]"), "librepo would believe that");
        }
        // Where no direct host is left, the detoured one takes their place.
        let alone = all(&list[..1]);
        assert!(alone.mirrors[0].pool && alone.mirrors[0].is_detoured && alone.mirrors[0].from_cache);
        // An hour later it is measured again.
        age(&cache, OVER_AN_HOUR);
        let (attempts, ranking) = attempts_during(&world, "detour", || all(&list));
        assert_eq!((attempts, order(&ranking)[3]), (2, 0), "{ranking:#?}");

        // With the defaults it is no better, whether it is waited for or not.
        let ranking = rank(&caches.path("defaults"), &list);
        assert_eq!((pool(&ranking), order(&ranking)[3]), ([1, 2].into(), 0), "{ranking:#?}");
        let report = world.report();
        assert!(report.each().iter().all(|(_, counts)| counts.attempts <= 2 * 3));
    });
}

#[test]
fn ipv6_that_is_dead_everywhere_detours_no_host() {
    lab::isolated!(|| {
        let broken = |(n, rtt)| named(&format!("m{n}")).ipv6(Fate::Silent).ipv4(answer(ms(rtt)));
        let world = start([10, 15, 25, 60].into_iter().enumerate().map(broken));
        let cache = Caches::new();
        let cache = cache.path("cache");
        for _ in 0..2 {
            let ranking = rank_with(&cache, &numbered(4), |ranker| ranker.fallbacks(Ranker::ALL));
            assert_eq!(pool(&ranking), [0, 1].into(), "{ranking:#?}");
            assert_eq!(order(&ranking)[2..], [2, 3]);
            assert!(ranking.mirrors.iter().all(|mirror| !mirror.is_detoured));
        }
        assert!(text(&cache).contains("[http://m0.lab.example]"));
        assert_eq!(world.report().total().attempts, 8, "two each, and none in the second run");
    });
}

#[test]
fn pool_is_right_where_ipv6_is_dead_and_all_mirrors_are_far() {
    lab::isolated!(|| {
        // The limit of the pool, 160 ms, is longer than the time after which a hedge leaves.
        let mut all = vec![named("m0").ipv4(answer(ms(80)))];
        all.extend((1..8).map(|n| named(&format!("m{n}")).ipv6(Fate::Silent).ipv4(answer(ms(90 + n)))));
        // Fallbacks that answer while the others are waited for.
        all.extend((8..30).map(|n| named(&format!("m{n}")).ipv4(answer(ms(165 + n)))));
        let _world = start(all);
        for count in [8, 30] {
            for fallbacks in [0, 16, Ranker::ALL] {
                some_time(3, |_| {
                    let ranking =
                        Ranker::new().fallbacks(fallbacks).rank(numbered(count)).expect("a ranking");
                    right(pool(&ranking) == (0..8).collect(), &ranking)
                });
            }
        }
    });
}

// What is remembered is checked before it is believed.

#[test]
fn remembered_mirror_that_died_leaves_the_pool_within_the_predicted_limit() {
    lab::isolated!(|| {
        let caches = Caches::new();
        let (warm, cache) = (caches.path("warm"), caches.path("cache"));
        let mut rtts = [10.0, 10.2, 14.0, 17.0, 40.0, 60.0];
        let list = numbered(rtts.len());
        {
            let _world = start(mirrors(&rtts));
            some_time(5, |_| {
                let _ = fs::remove_file(&warm);
                let ranking = rank_with(&warm, &list, |ranker| ranker.fallbacks(Ranker::ALL));
                right(
                    ranking.stop_reason == StopReason::Complete && pool(&ranking) == (0..4).collect(),
                    &ranking,
                )
            });
        }
        age(&warm, LATER);
        rtts[0] = -1.0;
        let world = start(mirrors(&rtts));
        let mut shortest = f64::INFINITY;
        some_time(10, |_| {
            fs::copy(&warm, &cache).expect("a copy");
            let (attempts, ranking) = attempts_during(&world, "m0", || rank(&cache, &list));
            // However busy the machine is.
            assert_eq!(outcome(&ranking, 0), Outcome::Unanswered, "{ranking:#?}");
            assert!(!mirror(&ranking, 0).pool && !mirror(&ranking, 0).from_cache && attempts <= 2);
            right(attempts == 1 && order(&ranking)[5] == 0, &ranking)?;
            shortest = shortest.min(milliseconds(ranking.elapsed));
            // A lookup, the predicted limit and the grace.
            right(milliseconds(ranking.elapsed) < 5.0 + 22.0 + 12.0, &ranking)?;
            right(pool(&ranking) == (1..4).collect(), &ranking)?;
            right((4..6).all(|n| mirror(&ranking, n).from_cache), &ranking)?;

            // It was silent for as long as a mirror of this list may take.
            for later in [0, LATER, LATER, LATER] {
                age(&cache, later);
                let (attempts, ranking) = attempts_during(&world, "m0", || rank(&cache, &list));
                assert_eq!(outcome(&ranking, 0), Outcome::Unanswered, "{ranking:#?}");
                right(attempts == 0 && mirror(&ranking, 0).from_cache, &ranking)?;
            }
            age(&cache, OVER_AN_HOUR);
            let (attempts, ranking) = attempts_during(&world, "m0", || rank(&cache, &list));
            assert!((1..=2).contains(&attempts), "{attempts} attempts when the hour is over");
            assert_eq!(outcome(&ranking, 0), Outcome::Unanswered, "{ranking:#?}");
            Ok(())
        });
        figure(&format!(
            "the nearest mirror has died since: {shortest:.1} ms (lookup 5 + predicted limit 20 + grace 2)"
        ));
        assert!(world.report().total().payload == 0);
    });
}

#[test]
fn mirror_that_died_is_asked_once_more_if_the_limit_has_risen_and_then_not_for_an_hour() {
    lab::isolated!(|| {
        let caches = Caches::new();
        let cache = caches.path("cache");
        let list = numbered(3);
        drop({
            let world = start(mirrors(&[10.0, 30.0, 35.0]));
            rank(&cache, &list);
            world
        });
        age(&cache, LATER);
        let world = start(mirrors(&[-1.0, 30.0, 35.0]));
        let (attempts, ranking) = attempts_during(&world, "m0", || rank(&cache, &list));
        assert!(attempts <= 2, "{attempts} attempts");
        assert_eq!(outcome(&ranking, 0), Outcome::Unanswered);
        assert_eq!((pool(&ranking), order(&ranking)[2]), ([1, 2].into(), 0), "{ranking:#?}");
        let (attempts, _) = attempts_during(&world, "m0", || {
            for later in [0, LATER, LATER] {
                age(&cache, later);
                let ranking = rank(&cache, &list);
                assert_eq!((pool(&ranking), order(&ranking)[2]), ([1, 2].into(), 0), "{ranking:#?}");
            }
        });
        assert!(attempts <= 2, "{attempts} attempts in three later runs");
        age(&cache, LATER);
        let (attempts, _) = attempts_during(&world, "m0", || rank(&cache, &list));
        assert_eq!(attempts, 0);
    });
}

#[test]
fn ambiguous_run_teaches_nothing() {
    lab::isolated!(|| {
        let caches = Caches::new();
        let list = numbered(25);
        {
            let world = start(mirrors(&[0.5; 25]));
            some_time(10, |attempt| {
                let cache = caches.path(&attempt.to_string());
                let ranking = rank(&cache, &list);
                right(ranking.ambiguous, &ranking)?;
                assert!(!cache.exists(), "{}", text(&cache));
                let before = world.report().total().attempts;
                let next = rank(&cache, &list);
                assert_eq!(world.report().total().attempts - before, 25, "the next run measures");
                assert!(next.mirrors.iter().all(|mirror| !mirror.from_cache));
                Ok(())
            });
        }
        // After the log-in.
        let rtts: Vec<f64> = (0..25).map(|n| 20.0 + 3.0 * f64::from(n)).collect();
        let world = start(mirrors(&rtts));
        some_time(3, |attempt| {
            let cache = caches.path(&attempt.to_string());
            let _ = fs::remove_file(&cache);
            let before = world.report().total().attempts;
            let ranking = rank(&cache, &list);
            assert!(world.report().total().attempts - before >= 25);
            right(pool(&ranking) == (0..7).collect() && !ranking.ambiguous, &ranking)
        });
    });
}

#[test]
fn captive_portal_that_answers_the_checks_teaches_nothing() {
    lab::isolated!(|| {
        let caches = Caches::new();
        let (warm, cache) = (caches.path("warm"), caches.path("cache"));
        let list = numbered(25);
        let rtts: Vec<f64> = (0..25).map(|n| 20.0 + 3.0 * f64::from(n)).collect();
        {
            let _world = start(mirrors(&rtts));
            some_time(5, |_| {
                let _ = fs::remove_file(&warm);
                let ranking = rank_with(&warm, &list, |ranker| ranker.fallbacks(Ranker::ALL));
                right(pool(&ranking) == (0..7).collect(), &ranking)
            });
        }
        age(&warm, LATER);
        {
            let world = start(mirrors(&[0.5; 25]));
            some_time(10, |_| {
                fs::copy(&warm, &cache).expect("a copy");
                let before = world.report().total().attempts;
                let ranking = rank(&cache, &list);
                right(ranking.ambiguous, &ranking)?;
                assert_eq!(world.report().total().attempts - before, 25);
                assert!(ranking.mirrors.iter().all(|mirror| !mirror.from_cache));
                assert_eq!(text(&cache), text(&warm));
                Ok(())
            });
        }
        // After the log-in the cache is as good as before.
        let world = start(mirrors(&rtts));
        some_time(5, |_| {
            fs::copy(&warm, &cache).expect("a copy");
            let before = world.report().total().attempts;
            let ranking = rank(&cache, &list);
            right(pool(&ranking) == (0..7).collect() && !ranking.ambiguous, &ranking)?;
            right(world.report().total().attempts - before == 7, &ranking)
        });
    });
}

#[test]
fn everything_is_measured_if_no_checked_mirror_is_where_the_cache_says() {
    lab::isolated!(|| {
        let caches = Caches::new();
        let (warm, cache) = (caches.path("warm"), caches.path("cache"));
        let here = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 60.0, 61.0, 62.0, 63.0, 90.0, 95.0];
        let there = [150.0, 151.0, 152.0, 153.0, 154.0, -1.0, 20.0, 22.0, 24.0, 26.0, 60.0, 65.0];
        let list = numbered(here.len());
        {
            let _world = start(mirrors(&here));
            some_time(5, |_| {
                let _ = fs::remove_file(&warm);
                let ranking = rank_with(&warm, &list, |ranker| ranker.fallbacks(Ranker::ALL));
                right(pool(&ranking) == (0..6).collect(), &ranking)
            });
        }
        age(&warm, LATER);
        let mut shortest = f64::INFINITY;
        for fallbacks in [0, 16, Ranker::ALL] {
            some_time(5, |_| {
                let world = start(mirrors(&there));
                fs::copy(&warm, &cache).expect("a copy");
                let ranking = rank_with(&cache, &list, |ranker| ranker.fallbacks(fallbacks));
                // However busy the machine is.
                let report = world.report();
                for (name, counts) in report.each() {
                    assert!((1..=2).contains(&counts.attempts), "{} at {name}", counts.attempts);
                    assert_eq!(counts.payload, 0);
                }
                assert!(ranking.mirrors.iter().all(|mirror| !mirror.from_cache), "{ranking:#?}");
                assert_eq!(outcome(&ranking, 5), Outcome::Unanswered);
                right(pool(&ranking) == (6..10).collect(), &ranking)?;
                if fallbacks == 16 {
                    shortest = shortest.min(milliseconds(ranking.elapsed));
                }
                // It is remembered.
                let next = rank_with(&cache, &list, |ranker| ranker.fallbacks(fallbacks));
                assert_eq!((next.stop_reason, pool(&next)), (StopReason::Idle, pool(&ranking)), "{next:#?}");
                Ok(())
            });
        }
        figure(&format!(
            "another place behind the same gateway: {shortest:.1} ms (lookup 5 + predicted limit 20 + grace 2, then \
             lookup 5 + first answer 20 + limit 40 + grace 2 + wait 40)"
        ));
    });
}

#[test]
fn checks_work_where_ipv6_is_dead() {
    lab::isolated!(|| {
        let broken = |(n, rtt)| named(&format!("m{n}")).ipv6(Fate::Silent).ipv4(answer(ms(rtt)));
        let world = start([10, 12, 15, 30, 60].into_iter().enumerate().map(broken));
        let caches = Caches::new();
        let cache = caches.path("cache");
        let list = numbered(5);
        some_time(5, |_| {
            let _ = fs::remove_file(&cache);
            let ranking = rank_with(&cache, &list, |ranker| ranker.fallbacks(Ranker::ALL));
            right(pool(&ranking) == [0, 1, 2].into(), &ranking)
        });
        for fallbacks in [16, Ranker::ALL] {
            age(&cache, LATER);
            some_time(5, |_| {
                let before = world.report().total().attempts;
                let ranking = rank_with(&cache, &list, |ranker| {
                    ranker.fallbacks(fallbacks).check_after(Duration::ZERO)
                });
                let attempts = world.report().total().attempts - before;
                assert!(attempts <= 2 * list.len(), "{attempts} attempts");
                right(pool(&ranking) == [0, 1, 2].into(), &ranking)?;
                right(ranking.mirrors.iter().all(|mirror| !mirror.is_detoured), &ranking)
            });
        }
        // Nothing was taken for silent.
        let ranking = rank(&cache, &list);
        assert_eq!(
            (ranking.stop_reason, pool(&ranking)),
            (StopReason::Idle, [0, 1, 2].into()),
            "{ranking:#?}"
        );
    });
}

#[test]
fn new_mirror_is_waited_for_until_it_cannot_belong_to_the_pool_of_far_ones() {
    lab::isolated!(|| {
        let world = start(mirrors(&[80.0, 85.0, 130.0]));
        let caches = Caches::new();
        for check_after in [0, 600] {
            some_time(3, |attempt| {
                let cache = caches.path(&format!("{check_after} {attempt}"));
                rank(&cache, &numbered(2));
                // The first two are checked, or one of them is the control.
                let ranking = rank_with(&cache, &numbered(3), |ranker| {
                    ranker.check_after(Duration::from_secs(check_after))
                });
                right(pool(&ranking) == (0..3).collect(), &ranking)
            });
        }
        assert!(world.report().each().iter().all(|(_, counts)| counts.payload == 0));
    });
}

#[test]
fn silence_in_one_list_says_nothing_about_another_list_with_a_higher_limit() {
    lab::isolated!(|| {
        // All but m0 are silent when the first list is settled.
        let rtts = [1.0, 40.0, 50.0, 60.0, 70.0, 77.0, 150.0];
        let a: Vec<String> = numbered(6);
        let b: Vec<String> = numbered(7)[1..].to_vec();
        let world = start(mirrors(&rtts));
        let caches = Caches::new();
        for knows_far_one in [false, true] {
            some_time(5, |attempt| {
                let cache = caches.path(&format!("{knows_far_one} {attempt}"));
                if knows_far_one {
                    let ranking = rank(&cache, &[url("m6")]);
                    assert_eq!(pool(&ranking), [0].into());
                }
                let first = rank(&cache, &a);
                right(pool(&first) == [0].into(), &first)?;
                right((1..6).all(|n| outcome(&first, n) == Outcome::Unanswered), &first)?;
                // For the same list it counts.
                let before = world.report().total().attempts;
                let again = rank(&cache, &a);
                assert_eq!(
                    (again.stop_reason, order(&again)),
                    (StopReason::Idle, order(&first)),
                    "{again:#?}"
                );
                assert_eq!(world.report().total().attempts, before);

                let second = rank(&cache, &b);
                right(pool(&second) == (0..5).collect(), &second)?;
                // It knows more now, but the first list has the same pool.
                let again = rank(&cache, &a);
                right(pool(&again) == [0].into() && again.stop_reason == StopReason::Idle, &again)
            });
        }
    });
}

#[test]
fn name_without_an_address_and_hung_lookup_are_not_repeated_for_an_hour() {
    lab::isolated!(|| {
        let mut all = mirrors(&[10.0, 12.0, 14.0, 20.0, 22.0]);
        all.push(named("nowhere").lookup(Lookup::NxDomain));
        all.push(named("empty"));
        all.push(named("blocked").lookup(Lookup::Blocked));
        all.push(named("hung").both(answer(ms(1))).lookup(Lookup::Silent));
        let world = start(all);
        const BAD: [&str; 4] = ["nowhere", "empty", "blocked", "hung"];
        let caches = Caches::new();
        let cache = caches.path("cache");
        let queries = || {
            BAD.map(|name| world.report().lookups.get(&format!("{name}.lab.example")).map_or(0, |it| it.a))
        };
        // A lookup that hangs takes two seconds, and asks again after the first.
        let wait_for_hung = || std::thread::sleep(Duration::from_millis(2500));
        let list = |good: &[&str]| urls(&[good, &BAD].concat());

        let first = rank(&cache, &list(&["m0", "m1", "m2"]));
        let outcomes = [Outcome::Unresolved, Outcome::Unresolved, Outcome::Unresolved, Outcome::Unanswered];
        assert_eq!([3, 4, 5, 6].map(|n| outcome(&first, n)), outcomes, "{first:#?}");
        wait_for_hung();
        let asked = queries();
        assert!(asked.iter().all(|&queries| queries > 0), "{asked:?}");
        // Another list with mirrors that are to be measured, at once and later.
        let mut shortest = f64::INFINITY;
        for (later, good) in [(0, vec!["m3", "m4"]), (LATER, vec!["m0", "m3", "m4"])] {
            age(&cache, later);
            let ranking = rank(&cache, &list(&good));
            assert!(order(&ranking)[..good.len()].iter().all(|&n| n < good.len()), "{ranking:#?}");
            for n in good.len()..good.len() + BAD.len() {
                assert_eq!(
                    (outcome(&ranking, n), mirror(&ranking, n).from_cache),
                    (Outcome::Unresolved, true)
                );
            }
            assert_eq!(queries(), asked, "a name was looked up again");
            shortest = shortest.min(milliseconds(ranking.elapsed));
        }
        figure(&format!("another list with four names that are known to fail: {shortest:.1} ms"));
        age(&cache, OVER_AN_HOUR);
        rank(&cache, &list(&["m0", "m1", "m2"]));
        wait_for_hung();
        assert!(queries().iter().zip(asked).all(|(now, then)| *now > then), "{:?}", queries());
    });
}

// One address is one mirror, whatever leads to it.

fn aliases(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("alias{n}.lab.example")).collect()
}

#[test]
fn names_of_one_silent_address_cost_two_attempts() {
    lab::isolated!(|| {
        let names = aliases(600);
        let world = start([named("one").ipv4(Fate::Silent).aliases(names.clone())]);
        let urls: Vec<_> = names.iter().map(|name| format!("http://{name}/")).collect();
        let ranking = Ranker::new().rank(&urls).expect("a ranking");
        assert!(ranking.mirrors.iter().enumerate().all(|(n, mirror)| mirror.index == n));
        assert!(ranking.mirrors.iter().all(|mirror| mirror.outcome == Outcome::Unanswered));
        let counts = world.report().total();
        figure(&format!(
            "600 names of one silent address: {} attempts, {} SYNs",
            counts.attempts, counts.syns
        ));
        assert!(counts.attempts <= 2 && counts.syns <= 16, "{counts:?}");
    });
}

#[test]
fn names_of_one_address_cost_one_attempt() {
    lab::isolated!(|| {
        let names = aliases(2000);
        let world = start([
            named("one").ipv4(answer(ms(20))).aliases(names.clone()),
            named("other").ipv4(answer(ms(21))),
        ]);
        let urls: Vec<_> = names.iter().map(|name| format!("http://{name}/")).chain([url("other")]).collect();
        let ranking =
            Ranker::new().fallbacks(Ranker::ALL).max_endpoints(3000).rank(&urls).expect("a ranking");
        assert_eq!((ranking.stop_reason, pool(&ranking).len()), (StopReason::Complete, 2001), "{ranking:#?}");
        let address = Some(world.ipv4("one.lab.example"));
        let is_one = |mirror: &RankedMirror| mirror.address.map(|it| it.ip()) == address;
        assert_eq!(ranking.mirrors.iter().filter(|mirror| is_one(mirror)).count(), 2000);
        let report = world.report();
        assert_eq!((report.of("one.lab.example").syns, report.of("other.lab.example").syns), (1, 1));
        assert!(!ranking.ambiguous, "2,000 names are not 2,000 hosts that answer");
        figure(&format!("2,000 names of one address: {:.1} ms", milliseconds(ranking.elapsed)));
    });
}

/// Asserts that ten names of one address and another mirror share the load, with the cache or
/// without.
fn assert_equal_shares(cache: Option<&Path>) {
    let names = aliases(10);
    let _world = start([
        named("one").ipv4(answer(ms(20))).aliases(names.clone()),
        named("other").ipv4(answer(ms(21))),
    ]);
    let mut urls: Vec<_> = names.iter().map(|name| format!("http://{name}/")).collect();
    urls.push(url("other"));
    let leads = (0..60).filter(|&seed| {
        let mut ranker = Ranker::new();
        ranker.seed(seed).cache(cache).fallbacks(Ranker::ALL).slack(Duration::from_secs(60)).unwrap();
        let ranking = ranker.rank(&urls).expect("a ranking");
        assert_eq!(pool(&ranking).len(), 11, "{ranking:#?}");
        ranking.mirrors[0].index == 10
    });
    // The shuffle depends on nothing but names and seeds, so this is no matter of luck.
    let leads = leads.count();
    assert!((18..=42).contains(&leads), "the other mirror leads {leads} of 60 times");
}

#[test]
fn names_of_one_address_share_one_turn() {
    lab::isolated!(|| assert_equal_shares(None));
}

#[test]
fn names_of_one_address_share_one_turn_when_they_are_remembered() {
    lab::isolated!(|| assert_equal_shares(Some(&Caches::new().path("cache"))));
}

#[test]
fn address_gets_eight_attempts_whatever_names_and_ports_lead_to_it() {
    lab::isolated!(|| {
        let names = aliases(512);
        for fate in [Fate::Silent, answer(ms(10)).into(), refuse(ms(10))] {
            for same_ports in [true, false] {
                let world = start([
                    named("one").ipv4(fate.clone()).aliases(names.clone()),
                    named("other").both(answer(ms(20))),
                ]);
                let port = |n: usize, port: usize| 1000 + port + if same_ports { 0 } else { 4 * n };
                let mut urls: Vec<_> = (0..512)
                    .flat_map(|n| (0..4).map(move |p| (n, p)))
                    .map(|(n, p)| format!("http://{}:{}/", names[n], port(n, p)))
                    .collect();
                urls.push(url("other"));
                let ranking =
                    Ranker::new().fallbacks(Ranker::ALL).max_endpoints(3000).rank(&urls).expect("a ranking");
                assert_eq!(ranking.mirrors.len(), 2049);
                let attempts = world.report().of("one.lab.example").attempts;
                assert!((1..=8).contains(&attempts), "{attempts} attempts, {fate:?}, {same_ports}");
                assert!(outcome(&ranking, 2048).latency().is_some());
            }
        }
    });
}

// What it costs.

/// A world seen from a place, a cache that knows it well, and the list of its URLs.
fn warm_world(place: Place, cache: &Path) -> (World, Sites, Vec<String>) {
    let sites = Geography::seen_from(place, 11).with_clear_edge().draw();
    let world = World::start(sites.spec()).expect("a world");
    let urls = sites.urls();
    some_time(8, |_| {
        let _ = fs::remove_file(cache);
        let ranking = rank_with(cache, &urls, |ranker| ranker.fallbacks(Ranker::ALL));
        let truth: BTreeSet<usize> = sites.pool().iter().map(|site| position(&sites, site.host)).collect();
        right(ranking.stop_reason == StopReason::Complete && pool(&ranking) == truth, pool(&ranking))?;
        right(ranking.mirrors.iter().all(|mirror| !mirror.imprecise), "imprecise")
    });
    (world, sites, urls)
}

fn position(sites: &Sites, host: &str) -> usize {
    sites.0.iter().position(|site| site.host == host).expect("a host of the world")
}

#[test]
fn warm_cache_costs_nothing_for_a_while_and_then_eight_syns() {
    lab::isolated!(|| {
        let caches = Caches::new();
        let (warm, cache) = (caches.path("warm"), caches.path("cache"));
        let (world, sites, urls) = warm_world(Place::FRANKFURT, &warm);
        let seen = || {
            let report = world.report();
            let lookups: usize = report.lookups.values().map(|queries| queries.a).sum();
            (report.total().syns, lookups)
        };
        let before = seen();
        let mut shortest = f64::INFINITY;
        for _ in 0..10 {
            let ranking = rank(&warm, &urls);
            assert_eq!(ranking.stop_reason, StopReason::Idle);
            shortest = shortest.min(milliseconds(ranking.elapsed));
        }
        assert_eq!(seen(), before, "a packet was sent");
        figure(&format!(
            "{} mirrors, all remembered and heard a short while ago: {shortest:.2} ms",
            urls.len()
        ));
        assert!(shortest < 200.0, "{shortest} ms");

        age(&warm, LATER);
        let allowed = 5.0 + 2.0 * milliseconds(sites.best()) + 5.0;
        let (mut shortest, mut fewest) = (f64::INFINITY, usize::MAX);
        for _ in 0..15 {
            fs::copy(&warm, &cache).expect("a copy");
            let before = seen();
            let ranking = rank(&cache, &urls);
            let (syns, lookups) = (seen().0 - before.0, seen().1 - before.1);
            assert!(ranking.mirrors[0].pool && !ranking.mirrors[0].from_cache, "the first was not checked");
            shortest = shortest.min(milliseconds(ranking.elapsed));
            fewest = fewest.min(syns.max(lookups));
            // A latency that is wrong by a millisecond leads to further checks, but not to more.
            assert!(syns <= 2 * urls.len(), "{syns} SYNs");
        }
        figure(&format!(
            "the same, to be checked: {shortest:.1} ms and {fewest} SYNs (lookup 5 + twice the best {:.1} + 5 would be {allowed:.1})",
            milliseconds(sites.best()),
        ));
        assert!(fewest <= 8, "{fewest} SYNs or lookups");
        assert!(shortest < allowed + 100.0, "{shortest} ms");
        // Others that use the same cache need not check again.
        let before = seen();
        let next = rank(&cache, &urls);
        assert!(next.stop_reason == StopReason::Idle && seen() == before, "{:?}", next.stop_reason);
    });
}

#[test]
fn far_from_most_mirrors_the_defaults_do_not_wait_for_fallbacks() {
    lab::isolated!(|| {
        let sites = Geography::seen_from(Place::SYDNEY, 5).with_clear_edge().draw();
        let world = World::start(sites.spec()).expect("a world");
        let urls = sites.urls();
        let truth: BTreeSet<usize> = sites.pool().iter().map(|site| position(&sites, site.host)).collect();
        let (mut shortest, mut proved) = (f64::INFINITY, f64::INFINITY);
        some_time(30, |_| {
            let ranking = Ranker::new().rank(&urls).expect("a ranking");
            assert_eq!(ranking.stop_reason, StopReason::Settled);
            right(pool(&ranking) == truth, pool(&ranking))?;
            shortest = shortest.min(milliseconds(ranking.elapsed));
            // The pool is proved as soon without any. The wait is 10 ms, and longer if more names
            // become known meanwhile.
            let ranking = Ranker::new().fallbacks(0).rank(&urls).expect("a ranking");
            proved = proved.min(milliseconds(ranking.elapsed));
            right(shortest < proved + 60.0, (shortest, proved))
        });
        figure(&format!(
            "seen from Sydney, the best {:.1} ms away, {} in the pool: {shortest:.1} ms, {proved:.1} without fallbacks",
            milliseconds(sites.best()),
            truth.len()
        ));
        assert!(world.report().each().iter().all(|(_, counts)| counts.payload == 0));
    });
}
