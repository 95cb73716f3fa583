//! Unchanged dnf in the lab with mirrors that answer as quickly as the others, and then fail or are
//! slow: what it learns from one run to the next.
//!
//! With `pool = given` the pool leads in the order of the list, so that a run goes to the mirror
//! with the fault unless something puts it further back.

use lab::figure;
use support::build;
use support::dnf::{Faults, Run, Setup, Site, Task, have_all};

/// The member of the pool that stands first in the list of the first repository.
const FIRST: &str = "near3.lab.example";
/// The one that does in the list of both if that one is not used.
const NEXT: &str = "near1.lab.example";

const SETUP: Setup = Setup {
    scheme: "http",
    list: "metalink",
    bad: None,
    fastestmirror: true,
    ours: true,
    environment: &[("FASTESTMIRROR_POOL", "given")],
};
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn in_a_site(test: &str, faults: Faults, sections: &str, body: impl FnOnce(&Site)) {
    if have_all() {
        let library = build::dropin().join("libfastestmirror_librepo.so");
        lab::isolated(test, || {
            lab::own_file_in_etc("/etc/fastestmirror.conf").expect("a file");
            body(&Site::start_with(&library, faults, sections));
        });
    }
}

/// Runs dnf with the cache of the runs before it.
fn run(site: &Site, task: Task, setup: Setup, cache: &mut Option<Vec<u8>>) -> Run {
    let run = site.run_remembering(task, setup, cache);
    assert!(run.succeeded, "{}", run.log);
    println!("{:.2} s: asked {:?}", run.elapsed.as_secs_f64(), run.asked());
    run
}

/// Makes a cache look as if this many seconds had passed.
fn age(cache: &mut Option<Vec<u8>>, seconds: u64) {
    let text = String::from_utf8(cache.take().expect("a cache")).expect("a cache is text");
    let earlier = |time: &str| (time.parse::<u64>().expect("a time") - seconds).to_string();
    let line = |line: &str| match line.split_once('=') {
        Some(("ts", time)) => format!("ts={}\n", earlier(time)),
        Some(("speeds", speeds)) => {
            let speeds = speeds.split(';').map(|speed| {
                let (time, rest) = speed.split_once(' ').expect("a time and more");
                format!("{} {rest}", earlier(time))
            });
            format!("speeds={}\n", speeds.collect::<Vec<_>>().join(";"))
        }
        _ => format!("{line}\n"),
    };
    *cache = Some(text.lines().map(line).collect::<String>().into_bytes());
}

fn has_history(cache: &Option<Vec<u8>>) -> bool {
    let text = String::from_utf8_lossy(cache.as_deref().unwrap_or_default());
    text.contains(":_fm_:trouble:") || text.contains(":_fm_:speed:")
}

#[test]
fn mirror_that_accepts_and_hangs_is_not_asked_again_for_an_hour() {
    // A byte in a second is as good as none.
    in_a_site(lab::test_name!(), &[(FIRST, "limit_rate 1;")], "", |site| {
        let mut cache = None;
        let first = run(site, Task::Makecache, SETUP, &mut cache);
        assert!(first.asked().contains(&FIRST) && first.elapsed.as_secs_f64() > 1.0, "{first:?}");
        let second = run(site, Task::Makecache, SETUP, &mut cache);
        assert_eq!(second.asked(), [NEXT], "{}", second.log);
        assert!(second.log.contains("a download from it failed"), "{}", second.log);
        figure(&format!(
            "dnf makecache with a mirror in front that accepts and hangs: {:.2} s, and {:.2} s the next time",
            first.elapsed.as_secs_f64(),
            second.elapsed.as_secs_f64()
        ));
        assert!(second.elapsed < first.elapsed / 2, "{second:?}");
        let off = Setup {
            environment: &[("FASTESTMIRROR_POOL", "given"), ("FASTESTMIRROR_HISTORY", "off")],
            ..SETUP
        };
        assert!(run(site, Task::Makecache, off, &mut cache.clone()).asked().contains(&FIRST));
        age(&mut cache, 2 * HOUR);
        assert!(run(site, Task::Makecache, SETUP, &mut cache).asked().contains(&FIRST));
    });
}

#[test]
fn mirror_that_lacks_a_package_is_not_asked_again_for_an_hour() {
    in_a_site(lab::test_name!(), &[(FIRST, r"location ~ \.rpm$ { return 404; }")], "", |site| {
        let mut cache = None;
        let first = run(site, Task::Download, SETUP, &mut cache);
        let missing: Vec<_> = first.requests.iter().filter(|request| request.status == 404).collect();
        assert!(missing.len() == 2 && missing.iter().all(|request| request.host == FIRST), "{first:?}");
        let second = run(site, Task::Download, SETUP, &mut cache);
        assert_eq!(second.asked(), [NEXT], "{}", second.log);
        assert!(second.log.contains("it lacked a file"), "{}", second.log);
        age(&mut cache, 2 * HOUR);
        assert!(run(site, Task::Download, SETUP, &mut cache).asked().contains(&FIRST));
    });
}

/// It is out of date for one repository; for the other one it serves as before.
#[test]
fn mirror_with_old_metadata_is_not_asked_again_for_that_repository() {
    const OLD: &str = r#"location = /one/repodata/repomd.xml { return 200 "<repomd/>"; }"#;
    in_a_site(lab::test_name!(), &[(FIRST, OLD)], "", |site| {
        let mut cache = None;
        let first = run(site, Task::Makecache, SETUP, &mut cache);
        assert!(first.hosts("one").contains(&FIRST) && first.hosts("one").len() > 1, "{first:?}");
        assert_eq!(first.hosts("two"), [FIRST], "{first:?}");
        let second = run(site, Task::Makecache, SETUP, &mut cache);
        assert_eq!(second.hosts("one"), [NEXT], "{}", second.log);
        assert_eq!(second.hosts("two"), [FIRST], "{}", second.log);
        assert!(second.log.contains("it had an outdated file"), "{}", second.log);
        age(&mut cache, 2 * HOUR);
        assert!(run(site, Task::Makecache, SETUP, &mut cache).hosts("one").contains(&FIRST));
    });
}

/// As with an uplink that is down, nothing is the fault of a mirror.
#[test]
fn nothing_is_learned_if_all_mirrors_fail() {
    const BROKEN: &str = "location ~ ^/(one|two)/ { return 503; }";
    in_a_site(lab::test_name!(), &[("~^(near|fair|mid|far).*", BROKEN)], "", |site| {
        let mut cache = None;
        let failed = site.run_remembering(Task::Makecache, SETUP, &mut cache);
        assert!(!failed.succeeded && failed.asked().len() > 3, "{failed:?}");
        assert!(cache.is_some() && !has_history(&cache), "{cache:?}");
    });
}

#[test]
fn slow_mirror_is_avoided_after_four_runs_and_returns_after_weeks() {
    // More than a mebibyte that cannot be compressed.
    const BIG: &str = "%install\nmkdir -p %{buildroot}/srv\nhead -c 1060000 /dev/urandom > %{buildroot}/srv/%{name}\n\
        %files\n/srv/*";
    const OTHERS: &str = "~^(near[124]|fair|mid|far).*";
    in_a_site(lab::test_name!(), &[(FIRST, "limit_rate 100k;"), (OTHERS, "limit_rate 2m;")], BIG, |site| {
        const ALL: (&str, &str) = ("FASTESTMIRROR_HISTORY", "all");
        let setup = Setup { environment: &[("FASTESTMIRROR_POOL", "given"), ALL], ..SETUP };
        let without = Setup {
            environment: &[("FASTESTMIRROR_POOL", "given"), ALL, ("FASTESTMIRROR_EXCLUDE", FIRST)],
            ..SETUP
        };
        let mut cache = None;
        // The pool shares the load: half of the runs go to others.
        let mut slow = 0.0;
        for setup in [setup, without, setup, without] {
            let run = run(site, Task::Download, setup, &mut cache);
            let host = if setup.environment.len() == 2 { FIRST } else { NEXT };
            assert_eq!(run.asked(), [host], "{}", run.log);
            if host == FIRST {
                slow = run.elapsed.as_secs_f64();
            }
        }
        let avoided = run(site, Task::Download, setup, &mut cache);
        assert_eq!(avoided.asked(), [NEXT], "{}", avoided.log);
        assert!(avoided.log.contains("it delivers"), "{}", avoided.log);
        figure(&format!(
            "dnf install --downloadonly, 2.1 MB: {slow:.2} s with a mirror at 1/20 of the others' speed, and \
             {:.2} s as soon as it is avoided",
            avoided.elapsed.as_secs_f64()
        ));
        // It stays in the pool all the time, and comes first again.
        age(&mut cache, 20 * DAY);
        assert_eq!(run(site, Task::Download, setup, &mut cache).asked(), [FIRST]);
    });
}
