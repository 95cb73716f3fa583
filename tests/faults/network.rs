//! The network goes away in the middle of a run, in the lab.

use fastestmirror::{Outcome, Ranker, Ranking, StopReason};
use lab::{Fate, Mirror, Spec, World, answer, ms};
use std::process::Command;
use std::thread;
use support::build::run;
use support::programs::{have, program};

/// Two near mirrors, which have answered when the network goes, and two that have not.
fn world() -> World {
    let mirror = |name: &str, fate: Fate| Mirror::new(&format!("{name}.lab.example")).both(fate);
    let mirrors = [
        mirror("far", answer(ms(400)).into()),
        mirror("near", answer(ms(10)).into()),
        mirror("silent", Fate::Silent),
        mirror("nearer", answer(ms(5)).into()),
    ];
    World::start(Spec::new().mirrors(mirrors)).expect("a world")
}

fn ip(arguments: &str) -> Command {
    let mut command = program("ip");
    command.args(arguments.split(' '));
    command
}

fn rank() -> Ranking {
    let urls = ["far", "near", "silent", "nearer"].map(|name| format!("http://{name}.lab.example/"));
    let mut ranker = Ranker::new();
    ranker.fallbacks(Ranker::ALL).timeout(ms(900)).expect("a timeout").rank(urls).expect("a ranking")
}

/// Runs these commands of ip(8) 60 ms after the start of a run.
fn rank_without_network(commands: &'static [&'static str]) {
    let _world = world();
    let breaker = thread::spawn(move || {
        thread::sleep(ms(60));
        commands.iter().for_each(|arguments| drop(run(&mut ip(arguments))));
    });
    let ranking = rank();
    breaker.join().expect("the commands succeed");
    assert!(ranking.elapsed < ms(5000), "{ranking:#?}");
    let order: Vec<usize> = ranking.mirrors.iter().map(|mirror| mirror.index).collect();
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(sorted, [0, 1, 2, 3]);
    let outcome = |index| ranking.mirrors.iter().find(|mirror| mirror.index == index).unwrap().outcome;
    // A busy machine may have been too late for them.
    let is_heard = [1, 3].map(|index| matches!(outcome(index), Outcome::Measured(_)));
    println!("heard: {is_heard:?}, {:?}", ranking.stop_reason);
    if is_heard == [true, true] {
        assert_eq!(order[2..], [0, 2], "{ranking:#?}");
    }
    for index in [0, 2] {
        assert!(matches!(outcome(index), Outcome::Unanswered | Outcome::Unreachable), "{ranking:#?}");
    }
    assert!(matches!(ranking.stop_reason, StopReason::Quiet | StopReason::Timeout | StopReason::Complete));

    // Nothing can be found or reached any more, and the given order stands.
    let ranking = rank();
    assert!(ranking.elapsed < ms(5000), "{ranking:#?}");
    assert!(ranking.mirrors.iter().enumerate().all(|(place, mirror)| place == mirror.index), "{ranking:#?}");
    assert!(ranking.mirrors.iter().all(|mirror| mirror.outcome.latency().is_none()), "{ranking:#?}");
}

#[test]
fn interface_that_goes_down_in_the_middle_of_a_run_leaves_an_order() {
    lab::isolated!(|| {
        if have("ip", &mut ip("-V")) {
            rank_without_network(&["link set lab down"]);
        }
    });
}

#[test]
fn routes_that_go_in_the_middle_of_a_run_leave_an_order() {
    lab::isolated!(|| {
        if have("ip", &mut ip("-V")) {
            rank_without_network(&["-4 route flush dev lab", "-6 route flush dev lab"]);
        }
    });
}

#[test]
fn addresses_that_go_in_the_middle_of_a_run_leave_an_order() {
    lab::isolated!(|| {
        if have("ip", &mut ip("-V")) {
            rank_without_network(&["address flush dev lab"]);
        }
    });
}
