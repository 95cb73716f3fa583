//! What a second run costs, in the lab: nothing, as long as it is in the same network.

use fastestmirror::*;
use lab::gateway::Link;
use lab::geography::{Geography, Place};
use lab::{Fate, Mirror, Spec, World, answer, figure, ms, refuse};
use std::path::Path;

fn rank(cache: &Path, urls: &[String]) -> Ranking {
    let ranking = Ranker::new().cache(Some(cache)).seed(7).rank(urls).expect("a ranking");
    assert_eq!(ranking.warnings, Vec::<String>::new());
    ranking
}

fn order(ranking: &Ranking) -> Vec<(usize, bool)> {
    ranking.mirrors.iter().map(|mirror| (mirror.index, mirror.pool)).collect()
}

#[test]
fn a_run_in_a_world_that_has_just_begun_is_remembered() {
    lab::isolated!(|| {
        let folder = tempfile::tempdir().expect("a folder");
        for attempt in 0..20 {
            let world = World::start(Spec::new().mirror(Mirror::new("a.lab.example").both(answer(ms(2)))))
                .expect("a world");
            // The run begins at once, when the world's routes are newest.
            let cache = folder.path().join(attempt.to_string());
            rank(&cache, &["http://a.lab.example/".to_owned()]);
            assert_eq!(world.report().total().handshakes, 1);
            assert!(cache.exists());
        }
    });
}

#[test]
fn the_second_run_sends_nothing_and_takes_the_time_of_reading_the_file() {
    lab::isolated!(|| {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, all) in [("defaults", false), ("all", true)] {
            let cache = folder.path().join(name);
            let sites = Geography::seen_from(Place::FRANKFURT, 3).with_trouble().with_clear_edge().draw();
            let world = World::start(sites.spec()).expect("a world");
            let urls = sites.urls();
            let mut first = Ranker::new();
            first.cache(Some(&cache)).seed(7).fallbacks(if all { Ranker::ALL } else { 16 });
            let first = first.rank(&urls).expect("a ranking");
            let asked = (world.report().total().attempts, world.report().lookups.len());
            let mut best = f64::INFINITY;
            for _ in 0..5 {
                let second = rank(&cache, &urls);
                assert_eq!(second.stop_reason, StopReason::Idle);
                assert!(second.mirrors.iter().all(|mirror| !matches!(mirror.outcome, Outcome::Measured(_))));
                // Never worse than the first: the same pool, and the same order of what has a latency.
                let known = |ranking: &Ranking| {
                    ranking.mirrors.iter().filter(|m| m.outcome.latency().is_some()).count()
                };
                let precise = first.mirrors.iter().all(|mirror| !mirror.imprecise);
                assert!(!precise || order(&first)[..known(&first)] == order(&second)[..known(&second)]);
                best = best.min(second.elapsed.as_secs_f64() * 1e3);
            }
            assert_eq!(
                (world.report().total().attempts, world.report().lookups.len()),
                asked,
                "nobody is asked"
            );
            let records = std::fs::read_to_string(&cache).expect("a cache").matches("\n[").count();
            figure(&format!(
                "a second run over {} mirrors ({name}, {records} groups in the file): {best:.2} ms",
                urls.len()
            ));
            // Wide room: in a debug build, on a busy machine.
            assert!(best < 200.0, "{best} ms");
        }
    });
}

#[test]
fn in_another_network_all_are_measured_anew_and_at_home_again_none() {
    lab::isolated!(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
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
        // Seven mirrors, the refusing one over both families.
        const ALL: usize = 8;

        let home = Link::ethernet("home").address("192.168.1.7/24").default_via("192.168.1.1", 100);
        home.neighbor("192.168.1.1", [2, 0, 0, 0, 0, 1]);
        assert_eq!((attempts(&run), attempts(&run)), (ALL, 0));
        // Another router of the same address.
        home.neighbor("192.168.1.1", [2, 0, 0, 0, 0, 2]);
        assert_eq!((attempts(&run), attempts(&run)), (ALL, 0));
        // One that has not been heard of yet is not known to be another.
        home.forget_neighbor("192.168.1.1");
        assert_eq!(attempts(&run), 0);
        // A tunnel is another network, up and down.
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

/// Five mirrors that answer and one that never does, and their URLs.
fn five_and_a_dead_one() -> (World, Vec<String>) {
    let mut mirrors: Vec<_> =
        (0..5).map(|n| Mirror::new(&format!("m{n}.lab.example")).ipv4(answer(ms(10 + n)))).collect();
    mirrors.push(Mirror::new("dead.lab.example").ipv4(Fate::Silent));
    let world = World::start(Spec::new().mirrors(mirrors)).expect("a world");
    let urls: Vec<_> = world.spec().mirrors.iter().map(|m| format!("http://{}/", m.name)).collect();
    (world, urls)
}

#[test]
fn a_silent_mirror_is_left_alone_for_its_hour_and_does_not_cost_the_next_run() {
    lab::isolated!(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        let (world, urls) = five_and_a_dead_one();
        assert_eq!(rank(&cache, &urls).stop_reason, StopReason::Quiet);
        assert_eq!(rank(&cache, &urls).stop_reason, StopReason::Idle);
        assert_eq!(world.report().of("dead.lab.example").attempts, 2);
        // librepo would believe no word of it.
        let text = std::fs::read_to_string(&cache).expect("a cache");
        assert!(!text.contains("[http://dead.lab.example]"), "{text}");
    });
}

#[test]
fn a_dead_mirror_whose_hour_is_over_costs_one_run_and_not_each() {
    lab::isolated!(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        let (world, urls) = five_and_a_dead_one();
        rank(&cache, &urls);
        let forget_the_dead = || {
            let text = std::fs::read_to_string(&cache).expect("a cache");
            let groups = text.split_inclusive("\n\n").filter(|group| !group.contains(":_fm_:outcome:"));
            std::fs::write(&cache, groups.collect::<String>()).expect("a writable cache");
        };
        for _ in 0..2 {
            forget_the_dead();
            let before = world.report().total().attempts;
            let ranking = rank(&cache, &urls);
            assert_eq!(ranking.stop_reason, StopReason::Quiet);
            let measured =
                ranking.mirrors.iter().filter(|m| matches!(m.outcome, Outcome::Measured(_))).count();
            assert_eq!(measured, 1, "one of those remembered is the witness");
            assert_eq!(
                world.report().total().attempts - before,
                3,
                "two at the dead one, one at the witness"
            );
            assert_eq!(rank(&cache, &urls).stop_reason, StopReason::Idle);
        }
    });
}
