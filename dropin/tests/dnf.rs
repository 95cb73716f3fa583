//! Real, unchanged dnf in the lab, with this library preloaded and without: whom it asks, how evenly, and how long it takes.
//!
//! Times are compared side by side and in turns, the best or the middle of several, with wide room.

use lab::figure;
use std::collections::BTreeSet;
use support::build;
use support::dnf::{DEAD, MIRRORS, POOL, Run, Setup, Site, Task, have_all};

const SETUP: Setup =
    Setup { scheme: "http", list: "metalink", dead: true, fastestmirror: true, ours: true, environment: &[] };
/// What begins our lines in librepo's log.
const OURS: &str = "libfastestmirror ";
const SCHEMES: [&str; 2] = ["http", "https"];

fn in_a_site(test: &str, body: impl FnOnce(&Site)) {
    if have_all() {
        let library = build::dropin().join("libfastestmirror_librepo.so");
        lab::isolated(test, || body(&Site::start(&library)));
    }
}

/// What holds of every run with our library: everything comes from one mirror of the pool, which is returned.
#[track_caller]
fn one_of_the_pool(setup: Setup, run: &Run) -> &'static str {
    let asked = run.hosts("");
    let pool = POOL.into_iter().find(|name| asked == [*name]);
    let asked = pool.unwrap_or_else(|| panic!("{setup:?}: {asked:?} were asked\n{}", run.log));
    assert!(run.requests.iter().all(|request| request.scheme == setup.scheme), "{:?}", run.requests);
    // What was measured, from where, and why measuring ended: dnf has it in its own log.
    for part in [OURS, "(network, ", ", pool)", ": measuring ended "] {
        assert!(run.log.contains(part), "dnf's log does not have {part:?}:\n{}", run.log);
    }
    asked
}

fn times<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<f64> {
    let mut times: Vec<_> = runs.into_iter().map(|run| run.elapsed.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn median(runs: &[Run]) -> f64 {
    let times = times(runs);
    times[times.len() / 2]
}

fn best(runs: &[Run]) -> f64 {
    times(runs)[0]
}

/// The shortest time that the library itself has taken in a run, by its own word.
fn best_measuring(runs: &[Run]) -> f64 {
    runs.iter().map(Run::measuring).fold(f64::INFINITY, f64::min)
}

#[test]
fn whatever_the_scheme_and_the_list_one_mirror_of_the_pool_is_asked() {
    in_a_site(lab::test_name!(), |site| {
        let complaint = site.complaint_about_an_unknown_authority(SETUP);
        assert!(complaint.contains("certificate"), "{complaint}");
        for (scheme, list) in SCHEMES.iter().flat_map(|s| ["mirrorlist", "metalink"].map(|list| (s, list))) {
            for task in [Task::Makecache, Task::Download, Task::Download] {
                let setup = Setup { scheme, list, ..SETUP };
                one_of_the_pool(setup, &site.run(task, setup));
            }
        }
    });
}

#[test]
fn forty_runs_share_the_load_evenly() {
    in_a_site(lab::test_name!(), |site| {
        const RUNS: usize = 40;
        let mut leads = POOL.map(|_| 0);
        for _ in 0..RUNS {
            let leader = one_of_the_pool(SETUP, &site.run(Task::Download, SETUP));
            leads[POOL.iter().position(|name| *name == leader).expect("of the pool")] += 1;
        }
        let expected = RUNS as f64 / POOL.len() as f64;
        let chi_square: f64 = leads.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        figure(&format!(
            "dnf, {RUNS} downloads: the mirrors at 8, 10, 12, 14 ms were asked in {leads:?} of them (chi-square {chi_square:.1})"
        ));
        // With three degrees of freedom, a fair shuffle is above this once in ten thousand times.
        assert!(chi_square < 21.1, "{leads:?}");
    });
}

#[test]
fn a_dead_mirror_costs_a_fraction_of_what_it_costs_without_us() {
    in_a_site(lab::test_name!(), |site| {
        // What a dead mirror adds: to the whole run, and to measuring.
        let cost = |what: &str, setup: Setup, runs: usize| {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for _ in 0..runs {
                for (runs, dead) in [(&mut with, true), (&mut without, false)] {
                    let setup = Setup { dead, ..setup };
                    let run = site.run(Task::Makecache, setup);
                    if setup.ours {
                        one_of_the_pool(setup, &run);
                    }
                    runs.push(run);
                }
            }
            let [with_it, without_it] = [best(&with), best(&without)];
            let measuring = [best_measuring(&with), best_measuring(&without)];
            let mut line = format!(
                "dnf makecache {what}: {without_it:.2} s; with a dead mirror in the lists {with_it:.2} s"
            );
            if setup.ours {
                line += &format!("; of that for measuring {:.3} and {:.3} s", measuring[1], measuring[0]);
            }
            figure(&line);
            (with_it - without_it, measuring[0] - measuring[1])
        };
        let (theirs, _) = cost("without us", Setup { ours: false, ..SETUP }, 3);
        let (ours, _) = cost("with us", SETUP, 5);
        let environment = &[("FASTESTMIRROR_FALLBACKS", "0")];
        let (_, no_fallbacks) = cost("with us, no fallbacks wanted", Setup { environment, ..SETUP }, 5);
        assert!(theirs > 1.0, "{theirs}");
        // All mirrors are wanted here, since there are fewer than the fallbacks: the silent one is given the time that the
        // farthest one took. Where only the pool matters it is not waited for.
        assert!(ours < theirs / 3.0, "{ours} against {theirs}");
        assert!(no_fallbacks < theirs / 20.0, "{no_fallbacks} against {theirs}");
    });
}

#[test]
fn what_one_process_has_measured_is_known_to_the_next_and_to_librepo() {
    in_a_site(lab::test_name!(), |site| {
        let mut latencies = None;
        let first = site.run_remembering(Task::Makecache, SETUP, &mut latencies);
        one_of_the_pool(SETUP, &first);
        let probed =
            first.attempts.iter().map(|attempt| attempt.mirror).filter(|&mirror| mirror < MIRRORS.len());
        assert_eq!(probed.collect::<BTreeSet<_>>().len(), MIRRORS.len());
        for ours in [true, false, true] {
            let setup = Setup { ours, ..SETUP };
            let run = site.run_remembering(Task::Makecache, setup, &mut latencies);
            let asked = run.hosts("");
            assert!(asked.iter().all(|host| POOL.contains(host)), "{asked:?}");
            assert_eq!(run.log.contains(OURS), ours);
            let connected = run.attempts.iter().filter_map(|attempt| MIRRORS.get(attempt.mirror));
            let mut others = connected.map(|(name, _)| *name).filter(|name| !asked.contains(name));
            // Of a dead mirror librepo is told nothing, and so it tries that one itself.
            let other = others.find(|name| ours || *name != DEAD);
            assert_eq!(other, None, "{setup:?} connected to it although its latency was known\n{}", run.log);
        }
    });
}

#[test]
fn it_is_quicker_than_without_us() {
    in_a_site(lab::test_name!(), |site| {
        const RUNS: usize = 3;
        for scheme in SCHEMES {
            for (task, what) in [(Task::Makecache, "makecache"), (Task::Download, "install --downloadonly")] {
                // With us, without us, without any fastest mirror, in turns.
                let modes = [(true, true), (false, true), (false, false)]
                    .map(|(ours, fastestmirror)| Setup { scheme, ours, fastestmirror, ..SETUP });
                let mut runs = modes.map(|_| Vec::new());
                for _ in 0..RUNS {
                    for (setup, runs) in modes.into_iter().zip(&mut runs) {
                        let run = site.run(task, setup);
                        if setup.ours {
                            one_of_the_pool(setup, &run);
                        }
                        runs.push(run);
                    }
                }
                let [with, without, off] = runs.each_ref().map(|runs| median(runs));
                let share = with / without;
                figure(&format!(
                    "dnf {what}, {scheme}: {with:.2} s with us, {without:.2} s without ({share:.2} of it), \
                     {off:.2} s with fastestmirror=0"
                ));
                assert!(
                    runs[1..].iter().flatten().all(|run| !run.log.contains(OURS)),
                    "it was there all the same"
                );
                let theirs = runs[1].iter().flat_map(|run| run.hosts("")).collect::<BTreeSet<_>>();
                println!("without us {theirs:?} were asked");
                // What finding the fastest mirror costs, whatever dnf itself takes on this machine: 0.4 s against two.
                let [with, without, off] = runs.each_ref().map(|runs| best(runs));
                assert!(with - off < (without - off) * 0.75, "{with:.2}, {without:.2}, {off:.2} s");
            }
        }
        println!("{}", site.world.report().error);
    });
}
