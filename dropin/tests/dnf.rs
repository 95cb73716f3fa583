//! Unchanged dnf in the lab, with this library preloaded and without: from which mirrors it
//! downloads, how evenly it uses them, and how long it takes.
//!
//! Times of both kinds are taken in turns. The best or the median of several is compared, and
//! limits are wide.

use lab::{Fate, figure};
use std::collections::BTreeSet;
use support::build;
use support::dnf::{DEAD, HALF_DEAD, MIRRORS, POOL, Run, Setup, Site, Task, have_all};

const SETUP: Setup = Setup {
    scheme: "http",
    list: "metalink",
    bad: Some(DEAD),
    fastestmirror: true,
    ours: true,
    environment: &[],
};
/// The beginning of this library's lines in librepo's log.
const OURS: &str = "libfastestmirror ";
const SCHEMES: [&str; 2] = ["http", "https"];

/// The file with the settings of the machine.
const SETTINGS: &str = "/etc/fastestmirror.conf";

fn in_a_site(test: &str, body: impl FnOnce(&Site)) {
    if have_all() {
        let library = build::dropin().join("libfastestmirror_librepo.so");
        lab::isolated(test, || {
            // An empty one, whatever this machine has.
            lab::own_file_in_etc(SETTINGS).expect("a file");
            body(&Site::start(&library));
        });
    }
}

/// Asserts what holds for every run with this library: all files come from one mirror of the pool,
/// which is returned.
#[track_caller]
fn assert_one_of_the_pool(setup: Setup, run: &Run) -> &'static str {
    assert_one_of_the_pool_is(": measured ", setup, run)
}

/// The same for a run that need not have measured anything, since the latencies are in the cache.
#[track_caller]
fn assert_one_of_the_pool_is(known: &str, setup: Setup, run: &Run) -> &'static str {
    let asked = run.hosts("");
    let pool = POOL.into_iter().find(|name| asked == [*name]);
    let asked = pool.unwrap_or_else(|| panic!("{setup:?}: files came from {asked:?}\n{}", run.log));
    assert!(run.requests.iter().all(|request| request.scheme == setup.scheme), "{:?}", run.requests);
    // dnf's own log says what was measured, and why measuring stopped.
    for part in [OURS, known, ", pool", ": measuring stopped after "] {
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

/// Returns the shortest and the median time that the library itself has taken in a run, from its
/// log lines.
fn measuring(runs: &[Run]) -> (f64, f64) {
    let mut times: Vec<_> = runs.iter().map(Run::measuring).collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
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

/// A server such as MirrorManager gives each request another list, shuffled by bandwidth.
#[test]
fn pool_in_the_given_order_shares_the_load_by_capacity() {
    in_a_site(lab::test_name!(), |site| {
        const RUNS: usize = 100;
        const CAPACITIES: [f64; POOL.len()] = [100.0, 10.0, 40.0, 20.0];
        let place = |host: &str| POOL.iter().position(|name| *name == host);
        // Most lists begin with a mirror that is not near, or dead.
        let manager = site.start_mirror_manager(|host| place(host).map_or(60.0, |at| CAPACITIES[at]));
        let setup = Setup { environment: &[("FASTESTMIRROR_POOL", "given")], ..SETUP };
        let mut leads = POOL.map(|_| 0);
        let mut differing = 0;
        for run in 0..RUNS {
            manager.begin(run as u64);
            // Both repositories load from one mirror ...
            let leader = assert_one_of_the_pool(setup, &site.run(Task::Makecache, setup));
            // ... which is the first of the pool in the list that was ranked first.
            let firsts = ["one", "two"].map(|repository| {
                let list = manager.list(repository).expect("a list");
                list.into_iter().find(|host| place(host).is_some()).expect("all lists have the pool")
            });
            assert_eq!(leader, firsts[0], "{firsts:?}");
            differing += usize::from(firsts[0] != firsts[1]);
            leads[place(leader).expect("of the pool")] += 1;
        }
        // By themselves, the lists would not agree.
        assert!(differing > RUNS / 3, "{differing}");
        let total: f64 = CAPACITIES.iter().sum();
        let expected = CAPACITIES.map(|capacity| RUNS as f64 * capacity / total);
        let chi_square: f64 = leads.iter().zip(expected).map(|(&n, e)| (f64::from(n) - e).powi(2) / e).sum();
        figure(&format!(
            "dnf, {RUNS} times makecache with pool = given: mirrors of capacities {CAPACITIES:?} served \
             {leads:?} of them (expected {expected:.0?}, chi-square {chi_square:.1}); for {differing} the \
             lists of the repositories would have led to different mirrors"
        ));
        // With three degrees of freedom, such lists exceed this once in ten thousand times; these
        // are the same in every run of this test.
        assert!(chi_square < 21.1, "{leads:?}");
    });
}

/// dnf needs no other setting than its own `fastestmirror=1`.
#[test]
fn dnf_follows_the_settings_of_the_file() {
    in_a_site(lab::test_name!(), |site| {
        let run = |text: &str, setup: Setup| {
            std::fs::write(SETTINGS, format!("[main]\n{text}\n")).expect("our own file");
            let run = site.run(Task::Download, setup);
            let in_effect = text.replace(" = ", "=").replace('\n', " (/etc/fastestmirror.conf), ");
            for part in [OURS, &format!("settings: {in_effect} (/etc/fastestmirror.conf), the others")] {
                assert!(run.log.contains(part), "{part:?} is not in dnf's log:\n{}", run.log);
            }
            run
        };
        // The pool is one of those that are left, and the others are not asked.
        let excluded = run("exclude = near* mid2.lab.example", SETUP);
        let asked = excluded.hosts("");
        assert!(
            asked == ["fair.lab.example"] || asked == ["mid1.lab.example"],
            "{asked:?}\n{}",
            excluded.log
        );
        let mut mirrors = excluded.attempts.iter().filter_map(|attempt| MIRRORS.get(attempt.mirror));
        assert!(mirrors.all(|(name, _)| !name.contains("near") && *name != "mid2.lab.example"));
        let counts = excluded.log.contains("exclude 5 of 12 mirrors")
            && excluded.log.contains("exclude 5 of 11 mirrors");
        assert!(counts, "{}", excluded.log);
        // One of the pool leads it in each run, and so does one that slack alone puts into it.
        for (text, leader) in
            [("prefer = near3.*", "near3.lab.example"), ("slack = 30\nprefer = fair.*", "fair.lab.example")]
        {
            for _ in 0..3 {
                let run = run(text, SETUP);
                assert_eq!(run.hosts(""), [leader], "{text}: {}", run.log);
            }
        }
        assert_one_of_the_pool(SETUP, &run("prefer = fair.*", SETUP));
        // All that there is, since there is nothing else.
        let run = run("https_only = yes", SETUP);
        assert!(run.log.contains("mirrors: the settings exclude each of them"), "{}", run.log);
        assert_eq!(run.hosts("one"), ["fair.lab.example"], "the first of the list: {}", run.log);
    });
}

#[test]
fn dead_mirror_costs_next_to_nothing() {
    in_a_site(lab::test_name!(), |site| {
        // Returns what a dead mirror adds to the whole run, and to measuring.
        let cost = |what: &str, setup: Setup, runs: usize| {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for _ in 0..runs {
                for (runs, bad) in [(&mut with, Some(DEAD)), (&mut without, None)] {
                    let setup = Setup { bad, ..setup };
                    let run = site.run(Task::Makecache, setup);
                    if setup.ours {
                        assert_one_of_the_pool(setup, &run);
                    }
                    runs.push(run);
                }
            }
            let [with_it, without_it] = [best(&with), best(&without)];
            let measuring = [measuring(&with).0, measuring(&without).0];
            let mut line = format!(
                "dnf makecache {what}: {without_it:.2} s; with a dead mirror in the lists {with_it:.2} s"
            );
            if setup.ours {
                line += &format!("; of that for measuring {:.3} and {:.3} s", measuring[1], measuring[0]);
            }
            figure(&line);
            (with_it - without_it, measuring[0] - measuring[1])
        };
        let (theirs, _) = cost("without the library", Setup { ours: false, ..SETUP }, 2);
        let (ours, measuring) = cost("with the library", SETUP, 5);
        assert!(theirs > 1.0, "{theirs}");
        // There are fewer mirrors than fallbacks, and still the silent one is not waited for.
        assert!(ours < theirs / 5.0, "{ours} against {theirs}");
        assert!(measuring < theirs / 100.0, "{measuring} against {theirs}");
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
        let mut remembered = with_a_record(&latencies);
        assert!(POOL.iter().all(|name| remembered.contains(name)) && !remembered.contains(&DEAD));
        for ours in [true, false, true] {
            let setup = Setup { ours, ..SETUP };
            let run = site.run_remembering(Task::Makecache, setup, &mut latencies);
            let asked = run.hosts("");
            assert!(asked.iter().all(|host| POOL.contains(host)), "{asked:?}");
            assert_eq!(run.log.contains(OURS), ours);
            let connected = run.attempts.iter().filter_map(|attempt| MIRRORS.get(attempt.mirror));
            let mut others = connected.map(|(name, _)| *name).filter(|name| !asked.contains(name));
            // The cache says nothing that librepo could read of a mirror that has not answered in
            // time, and so librepo tries it.
            let other = others.find(|name| ours || remembered.contains(name));
            assert_eq!(
                other, None,
                "{setup:?}: a connection to it although its latency was known\n{}",
                run.log
            );
            remembered = with_a_record(&latencies);
        }
        // librepo has measured those that this library did not wait for.
        assert_eq!(remembered.len(), MIRRORS.len(), "{remembered:?}");
    });
}

/// A latency is checked before it decides.
#[test]
fn mirror_that_has_died_since_is_asked_for_no_file() {
    in_a_site(lab::test_name!(), |site| {
        let mut latencies = None;
        let first = site.run_remembering(Task::Makecache, SETUP, &mut latencies);
        assert_one_of_the_pool(SETUP, &first);
        assert!(with_a_record(&latencies).contains(&POOL[0]));

        // dnf runs again after a quarter of an hour, several times from the same cache.
        let cache = aged(latencies.as_deref().expect("a cache"), 900);
        let again = |what: &str, setup: Setup| {
            let mut runs = Vec::new();
            for _ in 0..5 {
                let run = site.run_remembering(Task::Makecache, setup, &mut Some(cache.clone()));
                let leader = assert_one_of_the_pool(setup, &run);
                let asked = run.attempts.iter().filter_map(|attempt| MIRRORS.get(attempt.mirror));
                let asked: BTreeSet<&str> = asked.map(|(name, _)| *name).collect();
                assert_eq!(asked, BTreeSet::from(POOL), "{what}: only the pool is asked: {}", run.log);
                runs.push((leader, run));
            }
            let (leaders, runs): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
            let (least, median) = measuring(&runs);
            figure(&format!(
                "dnf makecache, {what}: {:.2} s, of that for measuring {least:.3} s (median {median:.3})",
                best(&runs)
            ));
            (leaders, least)
        };
        let (_, least) = again("with remembered latencies that are checked", SETUP);
        assert!(least < 0.030, "{least} s");
        // For each of the two repositories, which dnf sorts one after the other.
        let setup = Setup { environment: &[("FASTESTMIRROR_CHECK_AFTER", "0")], ..SETUP };
        let (_, least) = again("with remembered latencies that are checked each time", setup);
        assert!(least < 0.060, "{least} s");

        site.world.change(POOL[0], Fate::Silent);
        let (leaders, least) = again("after the nearest of the remembered mirrors has died", SETUP);
        assert!(!leaders.contains(&POOL[0]), "{leaders:?}");
        assert!(least < 0.080, "{least} s");
    });
}

/// libcurl tries a second address of the same family only after many seconds.
#[test]
fn host_whose_first_address_is_dead_costs_nothing() {
    in_a_site(lab::test_name!(), |site| {
        let second = site.world.addresses(HALF_DEAD)[1];
        // With an empty cache, and again with what was remembered.
        let mut with = [Vec::new(), Vec::new()];
        let mut without = [Vec::new(), Vec::new()];
        for _ in 0..3 {
            for (runs, bad) in [(&mut with, Some(HALF_DEAD)), (&mut without, None)] {
                let setup = Setup { bad, ..SETUP };
                let mut latencies = None;
                for (runs, known) in runs.iter_mut().zip([": measured ", ": cached "]) {
                    let run = site.run_remembering(Task::Makecache, setup, &mut latencies);
                    assert_one_of_the_pool_is(known, setup, &run);
                    assert!(run.attempts.iter().all(|attempt| attempt.to.ip() != second), "{}", run.log);
                    runs.push(run);
                }
            }
        }
        for (what, with, without) in [("", &with[0], &without[0]), (" again", &with[1], &without[1])] {
            let [with, without] = [best(with), best(without)];
            figure(&format!(
                "dnf makecache{what}: {without:.2} s; with a host in the lists whose first address is dead \
                 {with:.2} s"
            ));
            assert!(with < without + 0.5, "{with} against {without}");
        }
    });
}

#[test]
fn dnf_is_faster_than_without_the_library_and_as_fast_as_without_a_choice() {
    in_a_site(lab::test_name!(), |site| {
        // In turns: with the library, without fastestmirror, and, which takes long, without the
        // library.
        const THEIRS: usize = 2;
        for (scheme, task, what, rounds) in [
            ("http", Task::Makecache, "makecache", 20),
            ("https", Task::Makecache, "makecache", 12),
            ("http", Task::Download, "install --downloadonly", 3),
            ("https", Task::Download, "install --downloadonly", 3),
        ] {
            let modes = [(true, true), (false, false), (false, true)].map(|(ours, fastestmirror)| Setup {
                scheme,
                ours,
                fastestmirror,
                ..SETUP
            });
            let mut runs = modes.map(|_| Vec::new());
            for round in 0..rounds {
                for (setup, runs) in modes.into_iter().zip(&mut runs) {
                    if !setup.ours && setup.fastestmirror && round >= THEIRS {
                        continue;
                    }
                    let run = site.run(task, setup);
                    if setup.ours {
                        assert_one_of_the_pool(setup, &run);
                    }
                    runs.push(run);
                }
            }
            let [with, off, without] = runs.each_ref().map(|runs| median(runs));
            let (least, usual) = measuring(&runs[0]);
            figure(&format!(
                "dnf {what}, {scheme}, {rounds} rounds: {with:.2} s with the library, {off:.2} s with \
                 fastestmirror=0, {without:.2} s with librepo's own ({:.2} of it); measuring took \
                 {usual:.3} s (at best {least:.3})",
                with / without
            ));
            assert!(
                runs[1..].iter().flatten().all(|run| !run.log.contains(OURS)),
                "the library was loaded all the same"
            );
            let theirs = runs[2].iter().flat_map(|run| run.hosts("")).collect::<BTreeSet<_>>();
            println!("without the library, files came from {theirs:?}");
            // What choosing a mirror costs, whatever dnf itself takes on this machine: nothing that
            // one notices against 2 s.
            let [with, off, without] = runs.each_ref().map(|runs| best(runs));
            assert!(with - off < (without - off) * 0.25, "{with:.2}, {without:.2}, {off:.2} s");
            if rounds > 10 {
                assert!(with < off + 0.15, "{with:.2}, {off:.2} s");
            }
            assert!(least < 0.060, "{least} s");
        }
        println!("{}", site.world.report().error);
    });
}

/// The mirrors whose latency is in a cache in such a way that librepo reads it.
fn with_a_record(cache: &Option<Vec<u8>>) -> BTreeSet<&'static str> {
    let text = String::from_utf8_lossy(cache.as_deref().unwrap_or_default());
    let has_record = |name: &&str| text.contains(&format!("[http://{name}]"));
    MIRRORS.into_iter().map(|(name, _)| name).filter(has_record).collect()
}

/// A cache as it would have been written this many seconds earlier.
fn aged(cache: &[u8], seconds: u64) -> Vec<u8> {
    let text = std::str::from_utf8(cache).expect("a cache is text");
    let earlier = |line: &str| match line.strip_prefix("ts=") {
        Some(time) => format!("ts={}\n", time.parse::<u64>().expect("a time") - seconds),
        None => format!("{line}\n"),
    };
    text.lines().map(earlier).collect::<String>().into_bytes()
}
