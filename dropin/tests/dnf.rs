//! Unchanged dnf in the lab, with this library preloaded and without: from which mirrors it
//! downloads, how evenly it uses them, and how long it takes.
//!
//! Times of both kinds are taken in turns. The best or the median of several is compared, and
//! limits are wide.

use lab::figure;
use std::collections::BTreeSet;
use support::build;
use support::dnf::{DEAD, MIRRORS, POOL, Run, Setup, Site, Task, have_all};

const SETUP: Setup =
    Setup { scheme: "http", list: "metalink", dead: true, fastestmirror: true, ours: true, environment: &[] };
/// The beginning of this library's lines in librepo's log.
const OURS: &str = "libfastestmirror ";
const SCHEMES: [&str; 2] = ["http", "https"];

fn in_a_site(test: &str, body: impl FnOnce(&Site)) {
    if have_all() {
        let library = build::dropin().join("libfastestmirror_librepo.so");
        lab::isolated(test, || body(&Site::start(&library)));
    }
}

/// Asserts what holds for every run with this library: all files come from one mirror of the pool,
/// which is returned.
#[track_caller]
fn assert_one_of_the_pool(setup: Setup, run: &Run) -> &'static str {
    let asked = run.hosts("");
    let pool = POOL.into_iter().find(|name| asked == [*name]);
    let asked = pool.unwrap_or_else(|| panic!("{setup:?}: files came from {asked:?}\n{}", run.log));
    assert!(run.requests.iter().all(|request| request.scheme == setup.scheme), "{:?}", run.requests);
    // dnf's own log says what was measured, and why measuring stopped.
    for part in [OURS, ": measured ", ", pool", ": measuring stopped after "] {
        assert!(run.log.contains(part), "{part:?} is not in dnf's log:\n{}", run.log);
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

/// Returns the shortest time that the library itself has taken in a run, from its log lines.
fn best_measuring(runs: &[Run]) -> f64 {
    runs.iter().map(Run::measuring).fold(f64::INFINITY, f64::min)
}

#[test]
fn dnf_downloads_from_one_mirror_of_the_pool_with_every_scheme_and_list() {
    in_a_site(lab::test_name!(), |site| {
        let error = site.complaint_about_an_unknown_authority(SETUP);
        assert!(error.contains("certificate"), "{error}");
        for (scheme, list) in SCHEMES.iter().flat_map(|s| ["mirrorlist", "metalink"].map(|list| (s, list))) {
            for task in [Task::Makecache, Task::Download, Task::Download] {
                let setup = Setup { scheme, list, ..SETUP };
                assert_one_of_the_pool(setup, &site.run(task, setup));
            }
        }
    });
}

#[test]
fn pool_shares_the_load_of_forty_runs_evenly() {
    in_a_site(lab::test_name!(), |site| {
        const RUNS: usize = 40;
        let mut leads = POOL.map(|_| 0);
        for _ in 0..RUNS {
            let leader = assert_one_of_the_pool(SETUP, &site.run(Task::Download, SETUP));
            leads[POOL.iter().position(|name| *name == leader).expect("of the pool")] += 1;
        }
        let expected = RUNS as f64 / POOL.len() as f64;
        let chi_square: f64 = leads.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        figure(&format!(
            "dnf, {RUNS} downloads: the mirrors at 8, 10, 12, 14 ms served {leads:?} of them \
             (chi-square {chi_square:.1})"
        ));
        // With three degrees of freedom, a fair shuffle exceeds this once in ten thousand times.
        assert!(chi_square < 21.1, "{leads:?}");
    });
}

#[test]
fn dead_mirror_costs_a_fraction_of_what_it_costs_without_the_library() {
    in_a_site(lab::test_name!(), |site| {
        // Returns what a dead mirror adds to the whole run, and to measuring.
        let cost = |what: &str, setup: Setup, runs: usize| {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for _ in 0..runs {
                for (runs, dead) in [(&mut with, true), (&mut without, false)] {
                    let setup = Setup { dead, ..setup };
                    let run = site.run(Task::Makecache, setup);
                    if setup.ours {
                        assert_one_of_the_pool(setup, &run);
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
        let (theirs, _) = cost("without the library", Setup { ours: false, ..SETUP }, 3);
        let (ours, _) = cost("with the library", SETUP, 5);
        let environment = &[("FASTESTMIRROR_FALLBACKS", "0")];
        let (_, no_fallbacks) = cost("with the library, no fallbacks", Setup { environment, ..SETUP }, 5);
        assert!(theirs > 1.0, "{theirs}");
        // There are fewer mirrors than fallbacks, so that all are wanted: the silent one is waited
        // for as long as the farthest one took. Where only the pool matters it is not waited for.
        assert!(ours < theirs / 3.0, "{ours} against {theirs}");
        assert!(no_fallbacks < theirs / 20.0, "{no_fallbacks} against {theirs}");
    });
}

#[test]
fn cache_serves_the_next_process_and_librepo() {
    in_a_site(lab::test_name!(), |site| {
        let mut latencies = None;
        let first = site.run_remembering(Task::Makecache, SETUP, &mut latencies);
        assert_one_of_the_pool(SETUP, &first);
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
            // The cache says nothing of a dead mirror that librepo could read, and so librepo tries
            // it.
            let other = others.find(|name| ours || *name != DEAD);
            assert_eq!(
                other, None,
                "{setup:?}: a connection to it although its latency was known\n{}",
                run.log
            );
        }
    });
}

#[test]
fn dnf_is_faster_than_without_the_library() {
    in_a_site(lab::test_name!(), |site| {
        const RUNS: usize = 3;
        for scheme in SCHEMES {
            for (task, what) in [(Task::Makecache, "makecache"), (Task::Download, "install --downloadonly")] {
                // In turns: with the library, without it, without fastestmirror.
                let modes = [(true, true), (false, true), (false, false)]
                    .map(|(ours, fastestmirror)| Setup { scheme, ours, fastestmirror, ..SETUP });
                let mut runs = modes.map(|_| Vec::new());
                for _ in 0..RUNS {
                    for (setup, runs) in modes.into_iter().zip(&mut runs) {
                        let run = site.run(task, setup);
                        if setup.ours {
                            assert_one_of_the_pool(setup, &run);
                        }
                        runs.push(run);
                    }
                }
                let [with, without, off] = runs.each_ref().map(|runs| median(runs));
                let share = with / without;
                figure(&format!(
                    "dnf {what}, {scheme}: {with:.2} s with the library, {without:.2} s without \
                     ({share:.2} of it), {off:.2} s with fastestmirror=0"
                ));
                assert!(
                    runs[1..].iter().flatten().all(|run| !run.log.contains(OURS)),
                    "the library was loaded all the same"
                );
                let theirs = runs[1].iter().flat_map(|run| run.hosts("")).collect::<BTreeSet<_>>();
                println!("without the library, files came from {theirs:?}");
                // What choosing a mirror costs, whatever dnf itself takes on this machine: 0.4 s
                // against 2.
                let [with, without, off] = runs.each_ref().map(|runs| best(runs));
                assert!(with - off < (without - off) * 0.75, "{with:.2}, {without:.2}, {off:.2} s");
            }
        }
        println!("{}", site.world.report().error);
    });
}
