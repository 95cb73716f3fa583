//! The library with real sockets on loopback, where the distance of the mirrors does not matter.

use fastestmirror::*;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use support::servers::{Server, Silent, closed_port};

/// Address number `n` of this machine.
fn ip(n: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x7f01_0000 + n as u32)
}

fn outcome_of<'a>(ranking: &'a Ranking, url: &str) -> &'a RankedMirror {
    ranking.mirrors.iter().find(|mirror| mirror.url == url).expect("every URL comes out")
}

#[test]
fn outcome_and_position_of_each_kind_of_mirror() {
    let open = Server::start(ip(1));
    let six = Server::start(std::net::Ipv6Addr::LOCALHOST);
    let silent = Silent::start(ip(2));
    let urls = [
        format!("http://{}/silent", silent.address),
        format!("http://127.1.0.3:{}/refused", closed_port()),
        "rsync://127.1.0.4/unsupported".to_string(),
        "file:///srv/mirror".to_string(),
        format!("HTTP://user:pw@{}/open", open.address),
        format!("https://{}/open6", six.address),
        "not a url".to_string(),
    ];
    let ranking = Ranker::new().fallbacks(Ranker::ALL).rank(&urls).unwrap();
    let outcomes: Vec<_> = urls.iter().map(|url| outcome_of(&ranking, url).outcome).collect();
    assert_eq!(outcomes[0], Outcome::Unanswered);
    assert_eq!(outcomes[1..4], [Outcome::Refused, Outcome::Unsupported, Outcome::Local]);
    assert_eq!(outcomes[6], Outcome::Unsupported);
    for (index, server) in [(4, &open), (5, &six)] {
        let mirror = outcome_of(&ranking, &urls[index]);
        let latency = mirror.outcome.latency().expect("measured");
        assert!(latency >= Duration::from_micros(1) && latency < Duration::from_secs(1), "{latency:?}");
        assert_eq!((mirror.address, mirror.imprecise), (Some(server.address), false));
    }
    let order: Vec<_> = ranking.mirrors.iter().map(|mirror| mirror.index).collect();
    assert_eq!((order[0], &order[3..]), (3, &[0, 1, 2, 6][..]), "local, measured, silent, failed");
    assert_eq!(ranking.stop_reason, StopReason::Quiet);
}

#[test]
fn endpoint_listed_many_times_gets_one_attempt_and_no_data() {
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let urls: Vec<_> =
        (0..600).map(|n| format!("https://127.2.0.{}:{}/{n}", n % 200, server.port())).collect();
    let ranking = Ranker::new().fallbacks(Ranker::ALL).rank(&urls).unwrap();
    assert_eq!((ranking.stop_reason, ranking.mirrors.len()), (StopReason::Complete, 600));
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.accepted.load(SeqCst) < 200 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((server.accepted.load(SeqCst), server.bytes.load(SeqCst)), (200, 0));
}

#[test]
fn idle_stop_if_nothing_needs_measuring() {
    for urls in [&[][..], &["file:///a", "rsync://mirror.example/", "http://[::1"]] {
        let ranking = Ranker::new().rank(urls.iter().copied()).unwrap();
        assert_eq!((ranking.stop_reason, ranking.mirrors.len()), (StopReason::Idle, urls.len()));
    }
}

#[test]
fn timeout_of_zero_sends_nothing_and_keeps_the_order() {
    let server = Server::start(ip(5));
    let urls = ["http://mirror.example/".to_string(), format!("http://{}/", server.address)];
    let ranking = Ranker::new().timeout(Duration::ZERO).unwrap().rank(&urls).unwrap();
    assert_eq!(ranking.stop_reason, StopReason::Timeout);
    assert!(
        ranking.mirrors.iter().enumerate().all(|(n, m)| m.index == n && m.outcome == Outcome::Unanswered)
    );
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(server.accepted.load(SeqCst), 0);
    // A cancel counts for more.
    let cancel = Cancel::new();
    cancel.cancel();
    let mut ranker = Ranker::new();
    ranker.timeout(Duration::ZERO).unwrap();
    assert_eq!(ranker.interrupt_check(|| true).rank(&urls).unwrap().stop_reason, StopReason::Cancelled);
    ranker.no_interrupt_check().cancel(&cancel);
    assert_eq!(ranker.rank(&urls).unwrap().stop_reason, StopReason::Cancelled);
}

#[test]
fn timeout_holds_when_no_mirror_answers() {
    let silent = Silent::start(ip(6));
    let url = format!("http://{}/", silent.address);
    let mut elapsed = (0..30).map(|_| {
        let ranking = Ranker::new().timeout(Duration::from_millis(300)).unwrap().rank([&url]).unwrap();
        assert_eq!(ranking.stop_reason, StopReason::Timeout);
        assert!(ranking.elapsed.as_millis() >= 300);
        ranking.elapsed
    });
    // A busy machine may be late, but not every time.
    assert!(elapsed.any(|elapsed| elapsed.as_millis() < 320));
}

#[test]
fn cancel_from_another_thread_stops_measuring() {
    let silent = Silent::start(ip(7));
    let cancel = Cancel::new();
    let mut ranker = Ranker::new();
    ranker.timeout(Duration::from_secs(600)).unwrap().cancel(&cancel);
    let url = format!("http://{}/", silent.address);
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
    });
    assert_eq!(ranker.rank([&url]).unwrap().stop_reason, StopReason::Cancelled);
    other.join().unwrap();
    // The ranker stays cancelled.
    assert_eq!(ranker.rank([&url, &url]).unwrap().stop_reason, StopReason::Cancelled);
}

#[test]
fn public_only_connects_to_no_other_address_unless_it_is_the_only_one() {
    let server = Server::start(ip(10));
    let own = format!("http://{}/", server.address);
    let port = server.port();
    let urls = [own.clone(), format!("http://localhost:{port}/"), format!("http://[::1]:{port}/")];
    let mut ranker = Ranker::new();
    ranker.public_only(true);
    let ranking = ranker.rank(&urls).unwrap();
    assert!(ranking.mirrors.iter().all(|mirror| mirror.outcome == Outcome::Unsupported), "{ranking:?}");
    assert_eq!(server.accepted.load(SeqCst), 0);
    // In any number of spellings.
    let ranking = ranker.rank([own.as_str(), &format!("{own}other"), "file:///srv/mirror"]).unwrap();
    assert!(matches!(ranking.mirrors[1].outcome, Outcome::Measured(_)), "{ranking:?}");
    assert!(matches!(
        ranker.public_only(false).rank(&urls).unwrap().mirrors[0].outcome,
        Outcome::Measured(_)
    ));
}

#[test]
fn rank_needs_no_more_stack_than_the_header_says() {
    let server = Server::start(ip(9));
    let url = format!("http://{}/", server.address);
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    let rank = move || {
        let mut ranker = Ranker::new();
        ranker.cache(Some(&cache)).exclude(&["*.other.example"]).unwrap();
        // Measured, and then read from the cache.
        (0..2)
            .map(|_| ranker.rank([url.as_str(), "http://localhost:1/"]).unwrap().mirrors.len())
            .sum::<usize>()
    };
    let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(rank).unwrap();
    assert_eq!(thread.join().unwrap(), 4);
}

#[test]
fn progress_counts_mirrors_and_may_cancel() {
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let silent = Silent::start(ip(8));
    let cancel = Cancel::new();
    let (sender, seen) = std::sync::mpsc::channel();
    let mut ranker = Ranker::new();
    let inner = cancel.clone();
    ranker.timeout(Duration::from_secs(600)).unwrap().fallbacks(Ranker::ALL).cancel(&cancel).observer(
        move |event| {
            if let Event::Progress(progress) = event {
                sender.send(*progress).unwrap();
                if progress.completed == 2 {
                    inner.cancel();
                }
            }
        },
    );
    let urls = [
        format!("http://127.1.0.9:{}/", server.port()),
        format!("http://{}/", silent.address),
        format!("http://127.1.0.10:{}/", server.port()),
    ];
    assert_eq!(ranker.rank(&urls).unwrap().stop_reason, StopReason::Cancelled);
    let last = seen.try_iter().last().expect("progress was reported");
    assert_eq!((last.completed, last.total), (2, 3));
    assert!(last.best.is_some());
}

#[test]
fn immediate_reset_after_the_handshake_counts_as_measured() {
    for with_fin in [false, true] {
        let listener = std::net::TcpListener::bind((ip(11), 0)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                if with_fin {
                    // The reset may have arrived already.
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                }
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        });
        for _ in 0..100 {
            let ranking = Ranker::new().rank([&url]).unwrap();
            let outcome = ranking.mirrors[0].outcome;
            assert!(matches!(outcome, Outcome::Measured(_)), "{outcome:?}, with FIN: {with_fin}");
        }
    }
}

#[test]
fn family_selects_the_addresses() {
    let four = Server::start(ip(12));
    let six = Server::start(std::net::Ipv6Addr::LOCALHOST);
    let urls = [format!("http://{}/", four.address), format!("http://{}/", six.address)];
    for (family, reached) in
        [(Family::Ipv4, [true, false]), (Family::Ipv6, [false, true]), (Family::Any, [true; 2])]
    {
        let ranking = Ranker::new().family(family).rank(&urls).unwrap();
        for (url, reached) in urls.iter().zip(reached) {
            let outcome = outcome_of(&ranking, url).outcome;
            assert_eq!(outcome.latency().is_some(), reached, "{family:?} {url}");
            assert!(reached || outcome == Outcome::Unresolved);
        }
    }
}

#[test]
fn protocols_exclude_and_report_other_mirrors() {
    let server = Server::start(ip(13));
    let urls = [
        format!("http://{}/", server.address),
        format!("https://{}/", server.address),
        "rsync://mirror.example/".to_string(),
        "file:///srv/mirror".to_string(),
    ];
    let ranking = Ranker::new().protocols(&[Protocol::Https]).rank(&urls).unwrap();
    assert_eq!(ranking.mirrors.iter().map(|m| m.index).collect::<Vec<_>>(), [1]);
    assert_eq!(ranking.excluded.iter().map(|m| m.index).collect::<Vec<_>>(), [0, 2, 3]);
    assert!(ranking.excluded.iter().all(|m| m.outcome == Outcome::Excluded && m.address.is_none()));
    let error = Ranker::new().protocols(&[Protocol::Ftp]).rank(&urls).unwrap_err();
    assert_eq!(error.to_string(), "the filters exclude all 4 mirrors");
}

#[test]
fn patterns_include_exclude_and_prefer_before_anything_is_sent() {
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let urls: Vec<_> = (1..=9).map(|n| format!("http://127.1.7.{n}:{}/", server.port())).collect();
    let mut ranker = Ranker::new();
    ranker.slack(Duration::from_secs(60)).unwrap().fallbacks(Ranker::ALL);
    ranker.include(&["127.1.7.?"]).unwrap();
    ranker.exclude(&["*.5", "*.6"]).unwrap().prefer(&["*.9"]).unwrap();
    for seed in 0..8 {
        let ranking =
            ranker.seed(seed).rank(urls.iter().chain([&"http://127.1.8.1:1/".to_string()])).unwrap();
        assert_eq!(ranking.mirrors[0].index, 8);
        assert_eq!(ranking.excluded.iter().map(|m| m.index).collect::<Vec<_>>(), [4, 5, 9]);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.accepted.load(SeqCst) < 8 * 7 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.accepted.load(SeqCst), 8 * 7, "seven of nine, eight times");
    let error = ranker.exclude(&["*.example", "http://x"]).unwrap_err().to_string();
    assert!(error.contains("exclude") && error.contains("\"http://x\""), "{error}");
}

#[test]
fn hostile_list_does_not_cause_a_flood() {
    let server = Server::start(ip(14));
    // A thousand ports of one host, of which one is open; and more hosts than are measured.
    let ports =
        (0..1000).map(|n| format!("http://{}:{}/", ip(14), if n == 3 { server.port() } else { 9000 + n }));
    let ranking = Ranker::new().rank(ports.collect::<Vec<_>>()).unwrap();
    let count = |ranking: &Ranking, outcome| ranking.mirrors.iter().filter(|m| m.outcome == outcome).count();
    assert_eq!(count(&ranking, Outcome::Unanswered), 996);
    let hosts: Vec<_> = (0..50).map(|n| format!("http://{}:{}/", ip(3000 + n), closed_port())).collect();
    let ranking = Ranker::new().max_endpoints(10).rank(&hosts).unwrap();
    assert_eq!((count(&ranking, Outcome::Refused), count(&ranking, Outcome::Unanswered)), (10, 40));
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let mut ranker = Ranker::new();
    let error = |result: Result<&mut Ranker, Error>| result.unwrap_err().to_string();
    assert_eq!(error(ranker.factor(0.5)), "the option factor cannot be 0.5: it must be from 1 to 1000");
    assert_eq!(error(ranker.factor(f64::NAN)), "the option factor cannot be NaN: it must be from 1 to 1000");
    let week = Duration::from_secs(604_800);
    assert_eq!(
        error(ranker.timeout(week)),
        "the option timeout cannot be 604800s: it must be at most 3600 s"
    );
    assert_eq!(error(ranker.slack(week)), "the option slack cannot be 604800s: it must be at most 60 s");
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = ranker.rank([("http://mirror.example/", weight)]).unwrap_err().to_string();
        assert!(error.contains("http://mirror.example/") && error.contains(&weight.to_string()), "{error}");
    }
}

#[test]
fn seed_determines_the_order_and_defaults_to_one_per_process() {
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let urls: Vec<_> = (0..12).map(|n| format!("http://{}:{}/", ip(100 + n), server.port())).collect();
    let order = |seed: Option<u64>| {
        let mut ranker = Ranker::new();
        // All mirrors are in the pool, however noisy the machine is.
        ranker.slack(Duration::from_secs(60)).unwrap().fallbacks(Ranker::ALL);
        if let Some(seed) = seed {
            ranker.seed(seed);
        }
        let ranking = ranker.rank(&urls).unwrap();
        (ranking.seed, ranking.mirrors.iter().map(|m| m.index).collect::<Vec<_>>())
    };
    assert_eq!(order(Some(7)), order(Some(7)));
    assert_ne!(order(Some(7)).1, order(Some(8)).1);
    assert_eq!(order(None), order(None));
    assert!(order(None).0 < 1 << 53);
}

/// Runs the body of a test in a child process with this limit of open files.
fn with_descriptor_limit(test: &str, limit: libc::rlim_t, body: impl FnOnce()) {
    const INSIDE: &str = "FASTESTMIRROR_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(INSIDE, "1");
    // SAFETY: only a system call between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn entries(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[test]
fn descriptor_limit_of_256_is_enough_for_1500_endpoints_and_none_leaks() {
    with_descriptor_limit(lab::test_name!(), 256, || {
        let server = Server::start(Ipv4Addr::UNSPECIFIED);
        let closed = closed_port();
        let url =
            |n: usize| format!("http://{}:{}/", ip(n), if n % 10 == 9 { closed } else { server.port() });
        let urls: Vec<_> = (0..1500).map(url).chain(["http://localhost:1/".into()]).collect();
        let open = || (entries("/proc/self/fd"), entries("/proc/self/task"));
        let before = open();
        for _ in 0..3 {
            let ranking = Ranker::new()
                .fallbacks(Ranker::ALL)
                .timeout(Duration::from_secs(30))
                .unwrap()
                .rank(&urls)
                .unwrap();
            assert_eq!(ranking.stop_reason, StopReason::Complete);
            let measured = ranking.mirrors.iter().filter(|m| m.outcome.latency().is_some()).count();
            assert_eq!(measured, 1350);
            // The server may close its side of the last connections later.
            let deadline = Instant::now() + Duration::from_secs(5);
            let mut after = open();
            while after != before && Instant::now() < deadline {
                std::thread::yield_now();
                after = open();
            }
            assert_eq!(after, before);
        }
    });
}

#[test]
fn descriptor_shortage_is_an_error_but_a_few_are_enough() {
    with_descriptor_limit(lab::test_name!(), 64, || {
        let server = Server::start(Ipv4Addr::UNSPECIFIED);
        let urls: Vec<_> = (0..50).map(|n| format!("http://{}:{}/", ip(n), server.port())).collect();
        let mut taken = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        let error = Ranker::new().rank(&urls).unwrap_err();
        assert!(
            matches!(error, Error::System(_)) && error.to_string().starts_with("cannot measure: "),
            "{error}"
        );
        // Two for the library, and two for the sockets at both ends of a connection.
        taken.truncate(taken.len() - 5);
        let mut ranker = Ranker::new();
        ranker.fallbacks(Ranker::ALL).timeout(Duration::from_secs(30)).unwrap();
        let ranking = ranker.rank(&urls).unwrap();
        assert!(ranking.mirrors.iter().all(|m| m.outcome.latency().is_some()), "{ranking:#?}");
    });
}

/// Such a process still learns which mirrors its filters drop.
#[test]
fn timeout_of_zero_needs_no_descriptor() {
    with_descriptor_limit(lab::test_name!(), 64, || {
        while let Ok(file) = std::fs::File::open("/dev/null") {
            std::mem::forget(file);
        }
        let urls = ["http://a.example/", "http://127.0.0.1:1/", "http://b.example/"];
        let mut ranker = Ranker::new();
        ranker.exclude(&["a.*"]).unwrap().timeout(Duration::ZERO).unwrap();
        let ranking = ranker.rank(urls).unwrap();
        assert_eq!((ranking.stop_reason, ranking.excluded.len()), (StopReason::Timeout, 1));
        assert_eq!(ranking.warnings, Vec::<String>::new());
    });
}
