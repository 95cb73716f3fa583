//! The cache in the lab: a second run in the same network sends nothing for a while. What happens
//! after that is in `lab_checked`.

use fastestmirror::*;
use lab::gateway::Link;
use lab::geography::{Geography, Place};
use lab::{Fate, Mirror, Spec, World, answer, figure, ms, refuse};
use std::path::Path;

fn rank(cache: &Path, urls: &[String]) -> Ranking {
    rank_with(cache, urls, 16)
}

fn rank_with(cache: &Path, urls: &[String], fallbacks: usize) -> Ranking {
    let mut ranker = Ranker::new();
    let ranking = ranker.cache(Some(cache)).seed(7).fallbacks(fallbacks).rank(urls).expect("a ranking");
    assert_eq!(ranking.warnings, Vec::<String>::new());
    ranking
}

fn order(ranking: &Ranking) -> Vec<(usize, bool)> {
    ranking.mirrors.iter().map(|mirror| (mirror.index, mirror.pool)).collect()
}

#[test]
fn run_is_remembered_even_if_the_network_is_new() {
    lab::isolated!(|| {
        let directory = tempfile::tempdir().expect("a directory");
        for attempt in 0..20 {
            let world = World::start(Spec::new().mirror(Mirror::new("a.lab.example").both(answer(ms(2)))))
                .expect("a world");
            // The run starts immediately, while the routes of the world are new.
            let cache = directory.path().join(attempt.to_string());
            rank(&cache, &["http://a.lab.example/".to_owned()]);
            assert_eq!(world.report().total().handshakes, 1);
            assert!(cache.exists());
        }
    });
}

#[test]
fn second_run_sends_nothing_and_only_reads_the_cache() {
    lab::isolated!(|| {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, all) in [("defaults", false), ("all", true)] {
            let cache = directory.path().join(name);
            let sites = Geography::seen_from(Place::FRANKFURT, 3).with_trouble().with_clear_edge().draw();
            let world = World::start(sites.spec()).expect("a world");
            let urls = sites.urls();
            let mut first = Ranker::new();
            first.cache(Some(&cache)).seed(7).fallbacks(if all { Ranker::ALL } else { 16 });
            let first = first.rank(&urls).expect("a ranking");
            let sent = (world.report().total().attempts, world.report().lookups.len());
            let mut best = f64::INFINITY;
            for _ in 0..5 {
                let second = rank(&cache, &urls);
                assert_eq!(second.stop_reason, StopReason::Idle);
                assert!(second.mirrors.iter().all(|mirror| !matches!(mirror.outcome, Outcome::Measured(_))));
                // Not worse than the first run: the same pool, and the same order of mirrors with a
                // latency.
                let known = |ranking: &Ranking| {
                    ranking.mirrors.iter().filter(|m| m.outcome.latency().is_some()).count()
                };
                let precise = first.mirrors.iter().all(|mirror| !mirror.imprecise);
                assert!(!precise || order(&first)[..known(&first)] == order(&second)[..known(&second)]);
                best = best.min(second.elapsed.as_secs_f64() * 1e3);
            }
            assert_eq!(
                (world.report().total().attempts, world.report().lookups.len()),
                sent,
                "the second run sends something"
            );
            let records = std::fs::read_to_string(&cache).expect("a cache").matches("\n[").count();
            figure(&format!(
                "a second run over {} mirrors ({name}, {records} groups in the file): {best:.2} ms",
                urls.len()
            ));
            // Much room, for a debug build on a busy machine.
            assert!(best < 200.0, "{best} ms");
        }
    });
}

#[test]
fn network_change_makes_all_mirrors_measured_again() {
    lab::isolated!(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = directory.path().join("cache");
        let mirrors = (0..6).map(|n| Mirror::new(&format!("m{n}.lab.example")).both(answer(ms(10 + n))));
        let refusing = Mirror::new("refusing.lab.example").both(refuse(ms(9)));
        let world = World::start(Spec::new().mirrors(mirrors).mirror(refusing)).expect("a world");
        let urls: Vec<_> = world.spec().mirrors.iter().map(|m| format!("http://{}/", m.name)).collect();
        let attempts = |run: &dyn Fn()| {
            let before = world.report().total().attempts;
            run();
            world.report().total().attempts - before
        };
        let run = || drop(rank(&cache, &urls));
        // Seven mirrors; the refusing one is tried in both families.
        const ALL: usize = 8;

        let home = Link::ethernet("home").address("192.168.1.7/24").default_via("192.168.1.1", 100);
        home.neighbor("192.168.1.1", [2, 0, 0, 0, 0, 1]);
        assert_eq!((attempts(&run), attempts(&run)), (ALL, 0));
        // Another router with the same address.
        home.neighbor("192.168.1.1", [2, 0, 0, 0, 0, 2]);
        assert_eq!((attempts(&run), attempts(&run)), (ALL, 0));
        // A router whose link-layer address is unknown is not taken for another one.
        home.forget_neighbor("192.168.1.1");
        assert_eq!(attempts(&run), 0);
        // A tunnel makes another network, both when it comes up and when it goes down.
        let tunnel = Link::tunnel("tunnel").address("10.8.0.2/24").route("0.0.0.0/1", None, 0).route(
            "128.0.0.0/1",
            None,
            0,
        );
        home.neighbor("192.168.1.1", [2, 0, 0, 0, 0, 2]);
        assert_eq!((attempts(&run), attempts(&run)), (ALL, 0));
        drop(tunnel);
        assert_eq!(attempts(&run), ALL);
    });
}

/// A world of five mirrors that answer and one that never does, and their URLs.
fn five_and_a_dead_one() -> (World, Vec<String>) {
    let mut mirrors: Vec<_> =
        (0..5).map(|n| Mirror::new(&format!("m{n}.lab.example")).ipv4(answer(ms(10 + n)))).collect();
    mirrors.push(Mirror::new("dead.lab.example").ipv4(Fate::Silent));
    let world = World::start(Spec::new().mirrors(mirrors)).expect("a world");
    let urls: Vec<_> = world.spec().mirrors.iter().map(|m| format!("http://{}/", m.name)).collect();
    (world, urls)
}

#[test]
fn silent_mirror_is_not_tried_again_for_an_hour() {
    lab::isolated!(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = directory.path().join("cache");
        let (world, urls) = five_and_a_dead_one();
        for (fallbacks, stop_reason, attempts) in
            [(16, StopReason::Settled, 1), (Ranker::ALL, StopReason::Quiet, 2)]
        {
            let _ = std::fs::remove_file(&cache);
            let before = world.report().of("dead.lab.example").attempts;
            assert_eq!(rank_with(&cache, &urls, fallbacks).stop_reason, stop_reason);
            assert_eq!(rank_with(&cache, &urls, fallbacks).stop_reason, StopReason::Idle);
            assert_eq!(world.report().of("dead.lab.example").attempts - before, attempts);
            // librepo would not understand such a group.
            let text = std::fs::read_to_string(&cache).expect("a cache");
            assert!(!text.contains("[http://dead.lab.example]"), "{text}");
        }
    });
}

#[test]
fn dead_mirror_costs_one_run_when_its_hour_is_over() {
    lab::isolated!(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = directory.path().join("cache");
        let (world, urls) = five_and_a_dead_one();
        rank_with(&cache, &urls, Ranker::ALL);
        let forget_dead_mirror = || {
            let text = std::fs::read_to_string(&cache).expect("a cache");
            let groups = text.split_inclusive("\n\n").filter(|group| !group.contains(":_fm_:outcome:"));
            std::fs::write(&cache, groups.collect::<String>()).expect("a writable cache");
        };
        let defaults = (16, StopReason::Settled, 1);
        let all = (Ranker::ALL, StopReason::Quiet, 2);
        for (fallbacks, stop_reason, attempts) in [defaults, all, defaults, all] {
            for round in 1.. {
                forget_dead_mirror();
                let before = world.report().total().attempts;
                let ranking = rank_with(&cache, &urls, fallbacks);
                let measured =
                    ranking.mirrors.iter().filter(|m| matches!(m.outcome, Outcome::Measured(_))).count();
                if measured == 0 && round < 5 {
                    // The control's answer was late, on a busy machine.
                    continue;
                }
                assert_eq!(measured, 1, "one remembered mirror is measured again as the control");
                assert_eq!(ranking.stop_reason, stop_reason);
                assert_eq!(
                    world.report().total().attempts - before,
                    attempts + 1,
                    "attempts at the dead mirror, and one at the control"
                );
                break;
            }
            assert_eq!(rank_with(&cache, &urls, fallbacks).stop_reason, StopReason::Idle);
        }
    });
}
