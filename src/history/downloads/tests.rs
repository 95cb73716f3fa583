//! Tests of what reports amount to.

use super::*;
use DownloadOutcome::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

/// Reports about mirrors, in this order: each of host `a` to `z`, and a path.
fn learned(repositories: &[&[&str]], reports: &[(&str, DownloadOutcome)]) -> LearnedDownloads {
    let mut downloads = Downloads::default();
    for urls in repositories {
        downloads.repository(urls);
    }
    for (n, &(url, outcome)) in reports.iter().enumerate() {
        downloads.report(url, outcome, 1000, 0.1, n as f64);
    }
    downloads.learned()
}

fn site(url: &str) -> Site {
    Site::of(url).expect("a mirror")
}

const A: &str = "http://a.example/pub/os";
const B: &str = "http://b.example/os";
const C: &str = "http://c.example/os";

#[test]
fn failure_counts_if_another_host_served_the_repository_afterwards() {
    for (outcome, trouble) in [(Missing, Trouble::Missing), (Stale, Trouble::Stale)] {
        let found = learned(&[], &[(A, outcome), (B, Ok)]);
        assert_eq!((found.troubles, found.broken), (vec![(site(A), trouble)], vec![]));
    }
    let found = learned(&[], &[(A, Broken), (B, Ok)]);
    assert_eq!((found.troubles, found.broken), (vec![], vec![site(A).host]));
    // A port or a scheme does not make another host.
    for other in ["https://a.example:8443/pub/os", "http://me:pw@A.example/other"] {
        for outcome in [Missing, Stale, Broken] {
            assert!(learned(&[], &[(A, outcome), (other, Ok)]).is_empty(), "{other} {outcome:?}");
        }
    }
}

#[test]
fn nothing_is_learned_if_all_mirrors_fail() {
    for outcome in [Missing, Stale, Broken] {
        let all = [(A, outcome), (B, outcome), (C, outcome)];
        assert!(learned(&[], &all).is_empty());
        // The line goes down in the middle of the run.
        let after = [&[(A, Ok), (B, Ok), (C, Ok)][..], &all].concat();
        assert!(learned(&[], &after).is_empty(), "{outcome:?}");
    }
}

#[test]
fn mirror_that_lacks_files_itself_shows_nothing_about_others() {
    // Old metadata: no mirror has the one file any more, and all have the others.
    let reports = [(A, Missing), (B, Missing), (C, Missing), (A, Ok), (B, Ok), (C, Ok)];
    assert!(learned(&[], &reports).is_empty());
    // One of them is whole.
    let found = learned(&[], &[&reports[..], &[("http://d.example/os", Ok)]].concat());
    assert_eq!(found.troubles.len(), 3);
}

#[test]
fn host_that_served_a_file_after_it_broke_off_is_not_broken() {
    assert!(learned(&[], &[(A, Broken), (B, Ok), (A, Ok)]).is_empty());
    assert!(learned(&[], &[(A, Broken), (B, Ok), ("http://a.example/another", Ok)]).is_empty());
    let found = learned(&[], &[(A, Ok), (A, Broken), (A, Broken), (B, Ok)]);
    assert_eq!(found.broken, [site(A).host]);
    // What it lacks it still lacks.
    let found = learned(&[], &[(A, Missing), (B, Ok), (A, Ok)]);
    assert_eq!(found.troubles, [(site(A), Trouble::Missing)]);
}

#[test]
fn other_repository_shows_nothing_if_the_caller_names_them() {
    let (a2, b2) = ("http://a.example/updates", "http://b.example/updates");
    let named: [&[&str]; 2] = [&[A, B], &[a2, b2]];
    for outcome in [Missing, Stale, Broken] {
        assert!(learned(&named, &[(A, outcome), (b2, Ok)]).is_empty());
        assert!(!learned(&[], &[(A, outcome), (b2, Ok)]).is_empty());
        assert!(!learned(&named, &[(A, outcome), (b2, Ok), (B, Ok)]).is_empty());
        // Of one of them nothing was said.
        assert!(learned(&named[..1], &[(A, outcome), (b2, Ok)]).is_empty());
    }
}

#[test]
fn repository_is_told_by_host_and_path_alone() {
    let same =
        ["https://a.example:444/pub/os/", "HTTP://me:pw@A.EXAMPLE/pub/os?x=1#y", "ftp://a.example//pub/os"];
    for url in same {
        assert_eq!(site(url), site(A), "{url}");
    }
    for url in ["http://a.example/pub/OS", "http://a.example/", "http://a.example./pub/os"] {
        assert_ne!(site(url), site(A), "{url}");
    }
    for url in ["", "file:///srv", "rsync://a.example/pub/os", "http://"] {
        assert_eq!(Site::of(url), None);
    }
}

#[test]
fn speed_is_bytes_over_the_union_of_body_times() {
    let speed = |reports: &[(u64, f64, f64)]| {
        let mut downloads = Downloads::default();
        for &(mebibytes, time, now) in reports {
            downloads.report(A, Ok, mebibytes * MIB, time, now);
        }
        downloads.learned().speeds.first().map(|(_, speed)| *speed as f64 / MIB as f64)
    };
    assert_eq!(speed(&[(8, 2.0, 10.0)]), Some(4.0));
    // One after the other, with a pause; both at once; one within the other; a chain.
    assert_eq!(speed(&[(8, 2.0, 10.0), (8, 2.0, 20.0)]), Some(4.0));
    assert_eq!(speed(&[(8, 2.0, 10.0), (8, 2.0, 10.0)]), Some(8.0));
    assert_eq!(speed(&[(2, 1.0, 8.0), (8, 5.0, 10.0)]), Some(2.0));
    assert_eq!(speed(&[(8, 2.0, 10.0), (8, 2.0, 11.0), (8, 2.0, 12.0)]), Some(6.0));
    // Begun before the history was.
    assert_eq!(speed(&[(8, 2.0, 0.0)]), Some(4.0));
    // Too small, or without a time.
    assert_eq!(speed(&[(0, 2.0, 10.0)]), None);
    for time in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(speed(&[(8, time, 10.0)]), None);
    }
    let mut downloads = Downloads::default();
    downloads.report(A, Ok, MIB - 1, 1.0, 1.0);
    downloads.report(B, Broken, 8 * MIB, 1.0, 1.0);
    assert!(downloads.learned().is_empty());
}

#[test]
fn mirrors_of_a_run_are_limited_in_number() {
    let mut downloads = Downloads::default();
    let urls: Vec<String> = (0..MAX_NAMED + 10).map(|n| format!("http://m{n}.example/")).collect();
    downloads.repository(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    for (n, url) in urls.iter().take(MAX_SITES + 10).enumerate() {
        downloads.report(url, if n % 2 == 0 { Missing } else { Ok }, MIB, 1.0, n as f64);
    }
    assert_eq!((downloads.sites.len(), downloads.repositories.len()), (MAX_SITES, MAX_NAMED));
    let learned = downloads.learned();
    assert_eq!((learned.speeds.len(), learned.troubles.len()), (MAX_SITES / 2, MAX_SITES / 2));
}

proptest! {
    /// Whatever is reported, trouble needs a failure of that host and a file from another one, and
    /// no host is slower than its slowest nor faster than the sum of its files.
    #[test]
    fn any_reports_amount_to_something_sensible(
        reports in prop::collection::vec((0..4usize, 0..3usize, 0..4usize, 0..9u64, 0.0..9.0f64), 0..60),
    ) {
        let mut downloads = Downloads::default();
        let url = |host: usize, path: usize| format!("http://m{host}.example/{path}");
        for (n, &(host, path, outcome, size, time)) in reports.iter().enumerate() {
            let outcome = [Ok, Missing, Stale, Broken][outcome];
            downloads.report(&url(host, path), outcome, size * MIB / 2, time, n as f64);
        }
        let found = downloads.learned();
        let served = |host: &Host| {
            reports.iter().any(|it| it.2 == 0 && site(&url(it.0, 0)).host != *host)
        };
        let failed = |host: &Host| reports.iter().any(|it| it.2 > 0 && site(&url(it.0, 0)).host == *host);
        for host in found.broken.iter().chain(found.troubles.iter().map(|(site, _)| &site.host)) {
            prop_assert!(served(host) && failed(host));
        }
        for (host, speed) in &found.speeds {
            let total: f64 = reports
                .iter()
                .filter(|it| it.2 == 0 && it.3 >= 2 && it.4 > 0.0 && site(&url(it.0, 0)).host == *host)
                .map(|it| (it.3 * MIB / 2) as f64 / it.4)
                .sum();
            prop_assert!(*speed as f64 <= total * 1.000_001 + 1.0);
        }
    }
}
