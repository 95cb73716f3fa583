//! This library's functions and librepo's own, side by side: equal wherever librepo makes a
//! promise, and pinned where they differ on purpose.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::librepo_calls::*;
use support::servers::{Server, closed_port};

#[test]
fn results_stages_and_errors_are_those_of_librepo() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (live, refusing) = (world.live(), world.refusing());
    let nowhere = world.file("no-directory/cache");
    let foreign = world.file("foreign");
    fs::write(&foreign, "[something]\nelse=1\n").expect("a file");
    let old = world.file("old");
    fs::write(&old, "[:_librepo_:]\nversion=0\n").expect("a file");
    let kept = world.file("kept");
    let record = |url: &str, latency: &str| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        format!("[{url}]\nts={now}\nconnectime={latency}\n\n")
    };
    let three = [live.as_str(), "http://b.example", "http://c.example"];
    let records = record(three[0], "0.3") + &record(three[1], "0.004") + &record(three[2], "0.1");
    fs::write(&kept, format!("[:_librepo_:]\nversion=1\n\n{records}")).expect("a file");

    let cases: &[(&str, &[&str])] = &[
        // Contents, ownership, the sequence of stages.
        ("order", &[&refusing, &live]),
        ("detailed", &[&refusing, &live]),
        ("order", &["--no-callback", &refusing, &live]),
        ("detailed", &["--no-handle", &refusing, &live]),
        ("order", &["--no-handle", &refusing, &live]),
        ("order", &["--ip", "1", &refusing, &live]),
        ("order", &[]),
        // Caches: unwritable, not a cache, of another version.
        ("order", &["--cache", &nowhere, &refusing, &live]),
        ("detailed", &["--cache", &foreign, &refusing, &live]),
        ("detailed", &["--cache", &old, &refusing, &live]),
        // All from the cache: nothing is measured, and the order is strictly by latency.
        ("detailed", &["--cache", &kept, three[0], three[1], three[2]]),
        // Internal lists.
        ("internal", &[&refusing, &live]),
        ("internal", &["--one-by-one", &refusing, &live]),
        ("internal", &[&live]),
        ("internal", &["--offline", &refusing, &live]),
        ("internal", &["http://a.example/1/", "http://a.example/2/"]),
        ("internal", &[&refusing, "+", &live]),
        ("internal", &[&refusing, &live, "+", &live, &refusing, "+", &refusing]),
        ("internal", &["--no-list", &refusing, &live]),
    ];
    for (function, arguments) in cases {
        let restore = |name: &str, text: &str| {
            if arguments.contains(&name) {
                fs::write(name, text).expect("a file");
            }
        };
        let theirs = Call::of(THEIRS, function, arguments).output();
        restore(&foreign, "[something]\nelse=1\n");
        restore(&old, "[:_librepo_:]\nversion=0\n");
        let ours = call_ours(function, arguments);
        // The two outputs come from two libraries.
        assert_ne!(lines(&theirs, "library "), lines(&ours, "library "));
        assert!(lines(&theirs, "log ").is_empty());
        let has_version = |line: &&str| line.starts_with("libfastestmirror 0.");
        assert!(
            arguments.contains(&"--no-list") || lines(&ours, "log ").first().is_some_and(has_version),
            "{ours}"
        );
        assert_eq!(comparable(&theirs), comparable(&ours), "{function} {arguments:?}");
        assert!(
            !ours.contains("not sorted") && !ours.contains("was changed") && !ours.contains("contradict")
        );
    }
}

#[test]
fn empty_result_is_written_where_librepo_writes_none() {
    if caller().is_none() {
        return;
    }
    for arguments in [&[][..], &["--offline"]] {
        let theirs = Call::of(THEIRS, "detailed", arguments).output();
        let ours = call_ours("detailed", arguments);
        assert!(theirs.contains("no list was written\n"), "{theirs}");
        assert_eq!(
            comparable(&theirs).replace("no list was written\n", ""),
            comparable(&ours),
            "{arguments:?}"
        );
    }
}

#[test]
fn cache_of_one_library_serves_the_other() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (live, other) = (world.live(), world.other().replace("https", "http"));
    for (index, (writer, reader)) in
        [(PathBuf::from(THEIRS), ours()), (ours(), PathBuf::from(THEIRS))].into_iter().enumerate()
    {
        let cache = world.file(&index.to_string());
        let arguments = ["--cache", &cache, &live, &other];
        let written = Call::of(&writer, "detailed", &arguments).output();
        let read = Call::of(&reader, "detailed", &arguments).output();
        assert_eq!(lines(&written, "stage ")[3], "3 2", "two are measured: {written}");
        let stages = lines(&read, "stage ");
        assert_eq!(stages, ["0 -", &format!("1 {cache}"), "2 fine", "4 -", "5 fine"], "none is measured");
        let latencies = |output: &str| {
            let mut items: Vec<(usize, f64)> = lines(output, "item ")
                .into_iter()
                .map(|line| {
                    let words: Vec<&str> = line.split(' ').collect();
                    (words[0].parse().expect("an index"), words[4].parse().expect("seconds"))
                })
                .collect();
            items.sort_by_key(|(index, _)| *index);
            items
        };
        for (written, read) in latencies(&written).into_iter().zip(latencies(&read)) {
            // librepo writes 17 digits, this library whole microseconds.
            assert!((written.1 - read.1).abs() < 2e-6, "{written:?}, {read:?}");
        }
        assert!(lines(&read, "item ").iter().all(|line| line.split(' ').nth(3) == Some("1")), "{read}");
    }
}

/// When librepo sorts, it passes whole hosts. Only a program that calls `lr_fastestmirror` itself
/// passes longer URLs.
#[test]
fn latency_of_a_url_with_a_path_is_remembered_for_its_host() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (cache, host) = (world.file("cache"), world.live());
    let with_path = format!("{host}/pub/linux/");
    call_ours("detailed", &["--cache", &cache, &with_path]);
    let probes = |library: &Path, url: &str| {
        let output = Call::of(library, "detailed", &["--cache", &cache, url]).output();
        lines(&output, "stage 3").len()
    };
    assert_eq!((probes(&ours(), &with_path), probes(&ours(), &host)), (0, 0));
    assert_eq!((probes(Path::new(THEIRS), &host), probes(Path::new(THEIRS), &with_path)), (0, 1));
    // What librepo has written for a path serves this library.
    assert_eq!(probes(&ours(), &with_path), 0);
}

#[test]
fn silent_mirror_costs_less_than_the_timeout_and_no_byte_is_sent() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (live, other, silent) = (world.live(), world.other(), world.silent());
    let time = |library: &Path| {
        let start = Instant::now();
        let output = Call::of(library, "order", &["--timeout", "5", &silent, &live, &other]).output();
        (start.elapsed(), output)
    };
    let (took, output) = time(&ours());
    assert_eq!(order(&output).last(), Some(&0), "the silent one is last: {output}");
    let (upstream, _) = time(Path::new(THEIRS));
    assert!(upstream > Duration::from_secs(4) && took * 4 < upstream, "{took:?} and {upstream:?}");
    // In another world, since librepo has begun TLS in the first one.
    let world = World::start();
    call_ours("order", &["--timeout", "5", &world.live(), &world.other()]);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(world.other.bytes.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn given_order_stands_offline_and_where_nothing_answers() {
    if caller().is_none() {
        return;
    }
    let ports: Vec<u16> = (0..8).map(|_| closed_port()).collect();
    let urls: Vec<String> =
        ports.iter().map(|port| format!("http://127.0.0.{}:{port}/x", port % 200 + 1)).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let given: Vec<usize> = (0..urls.len()).collect();
    for function in ["order", "detailed", "internal"] {
        let output = call_ours(function, &urls);
        assert_eq!(order(&output), given, "{function}");
        // Offline, librepo empties the list. Here no callback is called, and nothing is measured.
        let output = call_ours(function, &[&["--offline"], &urls[..]].concat());
        assert_eq!(order(&output), given, "{function}");
        assert!(
            lines(&output, "stage ").is_empty() && output.contains("keeping the given order: offline"),
            "{output}"
        );
    }
    // The same for equal latencies, from the cache.
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("cache");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let mut text = "[:_librepo_:]\nversion=1\n\n[http://near.example]\nts=1\nconnectime=0\n"
        .replace("ts=1", &format!("ts={now}"));
    let mut far = vec!["http://near.example".to_string()];
    for index in 0..8 {
        far.push(format!("http://far{index}.example"));
    }
    text = text.replace("connectime=0\n", "connectime=0.001\n");
    for url in &far[1..] {
        text += &format!("[{url}]\nts={now}\nconnectime=0.5\n");
    }
    fs::write(&cache, text).expect("a file");
    let mut arguments = vec!["--cache", cache.to_str().expect("UTF-8")];
    arguments.extend(far.iter().map(String::as_str));
    assert_eq!(order(&call_ours("order", &arguments)), (0..9).collect::<Vec<_>>());
}

#[test]
fn urls_of_one_host_stay_together_and_a_file_url_leaves_the_others_shuffled() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (live, refusing) = (world.live(), world.refusing());
    let (first, second) = (format!("{live}/1/"), format!("{live}/2/"));
    let urls = [first.as_str(), &refusing, &second];
    let output = call_ours("order", &urls);
    assert!(output.contains("stage 3 2\n"), "two endpoints, three URLs: {output}");
    // librepo itself puts the second one behind the dead one.
    assert_eq!(order(&call_ours("internal", &urls)), [0, 2, 1]);
    assert_eq!(order(&Call::of(THEIRS, "internal", &urls).output()), [0, 1, 2]);

    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let urls: Vec<String> = (1..=4).map(|host| format!("http://127.0.0.{host}:{}/", server.port())).collect();
    let arguments = ["file:///srv", &urls[0], &urls[1], &urls[2], &urls[3]];
    let orders: Vec<Vec<usize>> = (0..12)
        .map(|_| order(&Call::of(ours(), "order", &arguments).env("FASTESTMIRROR_SLACK", "1000").output()))
        .collect();
    assert!(orders.iter().all(|order| order[0] == 0), "{orders:?}");
    assert!(orders.iter().any(|order| *order != orders[0]), "{orders:?}");
}

#[test]
fn order_that_no_latency_can_change_is_not_measured() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let urls = ["file:///srv", &world.silent()];
    for function in ["order", "internal"] {
        let output = call_ours(function, &urls);
        assert!(!output.contains("stage 3") && output.contains("stage 4"), "{output}");
        assert!(output.contains("measuring nothing: no latency can change the order"), "{output}");
        assert_eq!(order(&output), [0, 1]);
    }
    // A latency that was asked for is measured.
    assert!(call_ours("detailed", &["file:///srv", &world.live()]).contains("stage 3 1\n"));
}

#[test]
fn offline_handle_keeps_its_order_among_others() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (live, refusing) = (world.live(), world.refusing());
    let output = call_ours("internal", &[&refusing, &live, "+", "--offline", &refusing, &live]);
    assert_eq!(order(&output), [1, 0, 0, 1], "{output}");
}

#[test]
fn shuffle_is_the_same_for_all_lists_of_a_process() {
    if caller().is_none() {
        return;
    }
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let url = |host: usize| format!("http://127.0.0.{host}:{}/", server.port());
    let urls: Vec<String> = (1..=6).map(url).collect();
    let mut arguments = vec!["--one-by-one"];
    arguments.extend(urls.iter().map(String::as_str));
    arguments.push("+");
    arguments.extend(urls.iter().rev().map(String::as_str));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..8 {
        let output = Call::of(ours(), "internal", &arguments).env("FASTESTMIRROR_SLACK", "1000").output();
        let items: Vec<String> = lines(&output, "item ")
            .iter()
            .map(|line| line.split(' ').nth(1).expect("a URL").to_string())
            .collect();
        // Two calls, for two handles with the same mirrors in opposite order.
        assert_eq!(items[..6], items[6..], "{output}");
        seen.insert(items[0].clone());
        // Both handles were there.
        assert!(output.contains("handle 1"));
    }
    assert!(seen.len() > 1, "every process prefers {seen:?}");
}

#[test]
fn ipv6_literals_are_measured_and_remembered() {
    if caller().is_none() || std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let world = World::start();
    let six = Server::start(Ipv6Addr::LOCALHOST);
    let url = format!("http://{}/", six.address);
    let cache = world.file("cache");
    for stages in [5, 4] {
        // With librepo glib prints criticals here; `call_ours` asserts that nothing is printed.
        let output = call_ours("internal", &["--cache", &cache, &world.refusing(), &url]);
        assert_eq!(order(&output), [1, 0]);
        assert_eq!(lines(&output, "stage ").len(), stages + 1, "{output}");
    }
}

#[test]
fn errors_are_those_of_librepo_and_for_wrong_arguments_only() {
    if caller().is_none() {
        return;
    }
    for (function, arguments) in [
        ("order", &["--no-list", "http://a.example"][..]),
        ("detailed", &["--no-list", "http://a.example"]),
        ("internal", &["--no-handle", "--one-by-one", "http://a.example"]),
    ] {
        let output = call_ours(function, arguments);
        assert_eq!(lines(&output, "result "), ["0"], "{output}");
        assert_eq!(lines(&output, "error "), ["lr_fastestmirror_error 1"], "{output}");
    }
    // librepo fails for a string that is no URL.
    let output = call_ours("order", &["", "\u{1b}[2J", "http://[nonsense", "nonsense://x"]);
    assert_eq!((lines(&output, "result "), order(&output)), (vec!["1"], vec![0, 1, 2, 3]));
    assert!(!output.contains('\u{1b}') || lines(&output, "log ").iter().all(|line| !line.contains('\u{1b}')));
}

#[test]
fn different_caches_of_several_handles_cause_a_warning() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (a, b) = (world.file("a"), world.file("b"));
    let (live, refusing) = (world.live(), world.refusing());
    for arguments in
        [&["--cache", &a, &live, "+", "--cache", &b, &refusing][..], &[&live, "+", "--cache", &b, &refusing]]
    {
        let theirs = Call::of(THEIRS, "internal", arguments).output();
        let ours = call_ours("internal", arguments);
        assert_eq!(lines(&theirs, "warning ").len(), 1, "{theirs}");
        assert_eq!(lines(&ours, "warning ").len(), 1, "{ours}");
        assert!(lines(&ours, "warning ")[0].contains(&b), "{ours}");
    }
}

/// A fallback of one repository is of no use to another, and a mirror that was outside the pool
/// among others is measured again.
#[test]
fn batch_leaves_no_list_without_a_mirror_that_answers() {
    if caller().is_none() {
        return;
    }
    lab::isolated!(|| {
        let mut mirrors = vec![
            lab::Mirror::new("near.lab.example").ipv4(lab::answer(lab::ms(1.0))),
            lab::Mirror::new("dead.lab.example").ipv4(lab::Fate::Silent),
            lab::Mirror::new("far.lab.example").ipv4(lab::answer(lab::ms(250.0))),
            lab::Mirror::new("mid.lab.example").ipv4(lab::answer(lab::ms(200.0))),
        ];
        let many: Vec<String> = (0..20).map(|n| format!("m{n}.lab.example")).collect();
        let rtt = |n: usize| lab::answer(lab::ms(20.0 + 2.0 * n as f64));
        mirrors.extend(many.iter().enumerate().map(|(n, name)| lab::Mirror::new(name).ipv4(rtt(n))));
        let _world = lab::World::start(lab::Spec::new().mirrors(mirrors)).expect("a world");
        let directory = tempfile::tempdir().expect("a directory");
        let cache = directory.path().join("cache").display().to_string();
        let url = |name: &str| format!("http://{name}/");
        let few = ["dead", "far", "mid"].map(|name| url(&format!("{name}.lab.example")));
        let (near, many): (String, Vec<String>) =
            (url("near.lab.example"), many.iter().map(|name| url(name)).collect());
        // One list first, in which these are outside the pool and too far away to be waited for.
        let mut all = vec!["--cache", cache.as_str(), &near];
        all.extend(many.iter().map(String::as_str));
        all.extend(few.iter().map(String::as_str));
        let first = call_ours("internal", &all);
        let unanswered = first.lines().filter(|line| line.ends_with(": unanswered")).count();
        assert!(unanswered >= 3, "measuring stopped before they answered: {first}");
        // Then the batch, twice.
        let mut batch = vec!["--cache", cache.as_str(), &near, "+"];
        batch.extend(many.iter().map(String::as_str));
        batch.push("+");
        batch.extend(few.iter().map(String::as_str));
        for arguments in [&batch[..], &batch[..], &batch[2..]] {
            let output = call_ours("internal", arguments);
            // The other two are near enough to each other to be shuffled.
            assert_eq!(order(&output).last(), Some(&0), "the dead one is last: {output}");
            // Measuring a list once more repeats no stage.
            assert!(lines(&output, "stage 3").len() <= 1, "{output}");
            assert_eq!(lines(&output, "stage 5").len(), 1, "{output}");
        }
    });
}

/// One list is measured after the first pass, and the farthest after the second: the answers of the
/// nearer ones end the wait for it.
#[test]
fn batch_measures_far_lists_after_near_ones() {
    if caller().is_none() {
        return;
    }
    lab::isolated!(|| {
        let mirror = |name: &str, rtt: f64| {
            lab::Mirror::new(&format!("{name}.lab.example")).ipv4(lab::answer(lab::ms(rtt)))
        };
        let dead = |name: &str| lab::Mirror::new(&format!("{name}.lab.example")).ipv4(lab::Fate::Silent);
        let mirrors = [
            mirror("near", 1.0),
            dead("first"),
            mirror("middle", 80.0),
            dead("second"),
            mirror("far", 400.0),
        ];
        let _world = lab::World::start(lab::Spec::new().mirrors(mirrors)).expect("a world");
        let url = |name: &str| format!("http://{name}.lab.example/");
        let [near, first, middle, second, far] = ["near", "first", "middle", "second", "far"].map(url);
        let output = call_ours("internal", &[&near, "+", &first, &middle, "+", &second, &far]);
        for line in ["middle", "far"] {
            let measured = |found: &&str| found.contains(&url(line)) && found.contains(": measured");
            assert!(lines(&output, "log ").iter().any(measured), "{line}: {output}");
        }
    });
}

/// However many repositories have no mirror that answers, there is one deadline for all.
#[test]
fn batch_without_answers_takes_one_timeout() {
    if caller().is_none() {
        return;
    }
    lab::isolated!(|| {
        let name = |list: usize, n: usize| format!("m{n}.list{list}.lab.example");
        let dead = |list| (0..4).map(move |n| lab::Mirror::new(&name(list, n)).ipv4(lab::Fate::Silent));
        let near = |list| lab::Mirror::new(&name(list, 0)).ipv4(lab::answer(lab::ms(20.0)));
        let mirrors = (0..10).flat_map(dead).chain((10..13).map(near));
        let _world = lab::World::start(lab::Spec::new().mirrors(mirrors)).expect("a world");
        let list =
            |list| (0..if list < 10 { 4 } else { 1 }).map(move |n| format!("http://{}/", name(list, n)));
        let batch = |lists: &[usize]| {
            let mut arguments = Vec::new();
            for &number in lists {
                if !arguments.is_empty() {
                    arguments.push("+".to_string());
                }
                arguments.extend(list(number));
            }
            let start = std::time::Instant::now();
            let output = call_ours("internal", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
            (start.elapsed(), output)
        };
        // The first call may have to wait for the library to be built.
        batch(&[10]);
        let (one, _) = batch(&[0]);
        let (elapsed, output) = batch(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        lab::figure(&format!("ten repositories on a black-holed network: {elapsed:.2?}; one: {one:.2?}"));
        assert!(elapsed < 3 * one, "{one:?}, {elapsed:?}: {output}");
        assert!(!output.contains("measuring once more"), "{output}");
        let (elapsed, output) = batch(&[10, 11, 12, 6, 7, 8, 9]);
        lab::figure(&format!("three good repositories, four dead ones: {elapsed:.2?}"));
        assert!(elapsed < 3 * one, "{one:?}, {elapsed:?}: {output}");
        assert_eq!(
            lines(&output, "log ").iter().filter(|line| line.contains("measuring once more")).count(),
            1
        );
    });
}

/// For an order, measuring stops as soon as the pool and 16 more are known, or a moment after the
/// pool is. For the latencies themselves, all are measured. librepo waits for all, up to the
/// timeout.
#[test]
fn order_leaves_far_mirrors_unmeasured_and_latencies_are_those_of_all() {
    if caller().is_none() {
        return;
    }
    lab::isolated!(|| {
        let far = [150.0; 5].map(|rtt| lab::answer(lab::ms(rtt)).into());
        let near = [20.0, 24.0].into_iter().chain((60..80).map(f64::from));
        let near = near.map(|rtt| lab::answer(lab::ms(rtt)).into());
        let fates: Vec<lab::Fate> = far.into_iter().chain(near).chain([lab::Fate::Silent]).collect();
        let (pool, silent) = ([5, 6], fates.len() - 1);
        let name = |index: usize| format!("m{index}.lab.example");
        let mirrors =
            fates.iter().enumerate().map(|(index, fate)| lab::Mirror::new(&name(index)).ipv4(fate.clone()));
        let _world = lab::World::start(lab::Spec::new().mirrors(mirrors)).expect("a world");
        let urls: Vec<String> = (0..fates.len()).map(|index| format!("http://{}", name(index))).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let unmeasured = |output: &str| output.lines().filter(|line| line.ends_with(": unanswered")).count();

        let output = call_ours("order", &urls);
        let (all, count) = (order(&output), unmeasured(&output));
        assert!(all.iter().take(2).all(|index| pool.contains(index)), "{output}");
        let last = &all[all.len() - count..];
        assert!(last.starts_with(&[0, 1, 2, 3, 4]) && last.is_sorted(), "last, in the order given: {output}");
        assert!((6..=10).contains(&count), "the silent one, the far ones and at most four: {output}");

        // The same for several lists together. Each has a mirror that answers, and so there is no
        // second run.
        let output = call_ours("internal", &[&urls[..], &["+"], &urls[5..8]].concat());
        let runs = output.lines().filter(|line| line.contains(": measuring stopped after ")).count();
        assert!(runs == 1 && (6..=10).contains(&unmeasured(&output)), "{output}");

        // What was silent when an order was wanted is measured for its latency.
        let directory = tempfile::tempdir().expect("a directory");
        let cache = directory.path().join("cache").display().to_string();
        let with_cache = [&["--cache", &cache], &urls[..]].concat();
        for (function, expected) in [("order", 6..=10), ("order", 6..=10), ("detailed", 1..=1)] {
            let output = call_ours(function, &with_cache);
            let count = output.lines().filter(|line| line.contains(": unanswered")).count();
            assert!(expected.contains(&count), "{output}");
        }

        for (function, fallbacks) in
            [("detailed", ""), ("detailed", "0"), ("order", "all"), ("internal", "all")]
        {
            let output = Call::of(ours(), function, &urls).env("FASTESTMIRROR_FALLBACKS", fallbacks).output();
            assert!(!output.contains("not sorted"), "{output}");
            assert_eq!((unmeasured(&output), order(&output).last()), (1, Some(&silent)), "{output}");
        }
    });
}
