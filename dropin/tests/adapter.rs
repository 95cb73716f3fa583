//! The adapter (contrib/librepo/fastestmirror_lib.c) in librepo 1.20.0, beside librepo's own code:
//! equal wherever librepo makes a promise, and pinned where it differs on purpose.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};
use support::build::{run, soname};
use support::dnf::{DEAD, POOL, Setup, Site, Task, have_all};
use support::downloads::{
    CALLS, FAILURES, Mirrors, NO_FAULT, REDIRECTED, command, comparable as comparable_downloads, downloader,
    learned,
};
use support::librepo_calls::{Call, World, caller, comparable, lines, order};
use support::librepo_source::RELEASES;
use support::librepo_source::built::Built;
use support::programs::{have, program, send_signal};
use support::servers::{Silent, closed_port};

/// Two builds of one librepo: with its own code, and with the adapter.
fn built() -> Option<&'static Built> {
    static BUILT: OnceLock<Option<Built>> = OnceLock::new();
    let release = &RELEASES[1];
    let build = || match lab::is_inside() {
        true => Some(Built::of_adapter(release)),
        false => caller().and_then(|_| Built::with_adapter(release)),
    };
    BUILT.get_or_init(build).as_ref()
}

/// A call of the functions of the librepo in this directory.
fn call(directory: &Path, function: &str, arguments: &[&str]) -> Call {
    let path = built().expect("built before").search_path(directory);
    Call::of("loaded", function, arguments).env("LD_LIBRARY_PATH", path.to_str().expect("UTF-8"))
}

fn ours(function: &str, arguments: &[&str]) -> Call {
    call(&built().expect("built before").ours(), function, arguments)
}

fn theirs(function: &str, arguments: &[&str]) -> Call {
    call(&built().expect("built before").original(), function, arguments)
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()
}

#[test]
fn adapter_calls_the_installed_library() {
    let Some(built) = built() else { return };
    let world = World::start();
    let trace = world.file("trace");
    let traced = ours("order", &[&world.refusing(), &world.live()]);
    let output = traced.env("LD_DEBUG", "bindings").env("LD_DEBUG_OUTPUT", &trace).output();
    assert_eq!(order(&output), [1, 0], "{output}");
    let directory = Path::new(&trace).parent().expect("a directory");
    let files = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let traces: String = files
        .filter(|path| path.display().to_string().starts_with(&trace))
        .map(|path| String::from_utf8_lossy(&fs::read(path).expect("a trace")).into_owned())
        .collect();
    let librepo = built.ours().join("librepo.so.0").display().to_string();
    let is_bound = |line: &str| {
        line.contains(&format!("binding file {librepo} "))
            && line.contains(&format!("/{} ", soname()))
            && line.contains("`fm_rank'")
    };
    assert!(traces.lines().any(is_bound), "{output}");
    // The library's version is in the first line, and its own lines follow.
    assert!(
        lines(&output, "log libfastestmirror 0.")[0].ends_with(": lr_fastestmirror: 2 mirrors"),
        "{output}"
    );
    assert!(output.contains("log libfastestmirror: measuring stopped after "), "{output}");
}

#[test]
fn results_stages_and_errors_are_those_of_librepo() {
    if built().is_none() {
        return;
    }
    let world = World::start();
    let (live, refusing) = (world.live(), world.refusing());
    let nowhere = world.file("no-directory/cache");
    let kept = world.file("kept");
    let three = [live.as_str(), "http://b.example", "http://c.example"];
    let record = |url: &str, latency: &str| format!("[{url}]\nts={}\nconnectime={latency}\n\n", now());
    let records = record(three[0], "0.3") + &record(three[1], "0.004") + &record(three[2], "0.1");
    fs::write(&kept, format!("[:_librepo_:]\nversion=1\n\n{records}")).expect("a file");
    let cases: &[(&str, &[&str])] = &[
        ("order", &[&refusing, &live]),
        ("detailed", &[&refusing, &live]),
        ("order", &["--no-callback", &refusing, &live]),
        ("detailed", &["--no-handle", &refusing, &live]),
        ("order", &["--no-handle", &refusing, &live]),
        ("order", &["--ip", "1", &refusing, &live]),
        ("order", &[]),
        ("order", &["--cache", &nowhere, &refusing, &live]),
        // All from the cache: nothing is measured, and the order is strictly by latency.
        ("detailed", &["--cache", &kept, three[0], three[1], three[2]]),
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
        let theirs = theirs(function, arguments).output();
        let ours = ours(function, arguments).output();
        assert_ne!(lines(&theirs, "library "), lines(&ours, "library "));
        assert!(lines(&theirs, "log ").is_empty());
        assert_eq!(comparable(&theirs), comparable(&ours), "{function} {arguments:?}");
        for problem in ["not sorted", "was changed", "contradict"] {
            assert!(!ours.contains(problem), "{ours}");
        }
    }
    // librepo itself writes no list.
    assert!(!ours("detailed", &[]).output().contains("no list was written"));
    // Settings of the drop-in are none of the adapter's.
    let output = ours("order", &[&refusing, &live]).env("FASTESTMIRROR_OFF", "1").output();
    assert_eq!(order(&output), [1, 0], "{output}");
    // The URLs of one host stay together, and local mirrors are first.
    let (first, second) = (format!("{live}/1/"), format!("{live}/2/"));
    let output = ours("internal", &[&first, &refusing, &second, "file:///srv"]).output();
    assert_eq!(order(&output), [3, 0, 2, 1], "{output}");
    assert!(output.contains("stage 3 2\n"), "two endpoints: {output}");
    // librepo itself crashes.
    for (function, arguments) in [
        ("order", &["--no-list", "http://a.example"][..]),
        ("detailed", &["--no-list", "http://a.example"]),
        ("internal", &["--no-handle", "--one-by-one", "http://a.example"]),
    ] {
        let output = ours(function, arguments).output();
        assert_eq!(lines(&output, "result "), ["0"], "{output}");
        assert_eq!(lines(&output, "error "), ["lr_fastestmirror_error 1"], "{output}");
    }
    // The other cache of a batch is not used.
    let (a, b) = (world.file("a"), world.file("b"));
    for arguments in
        [&["--cache", &a, &live, "+", "--cache", &b, &refusing][..], &[&live, "+", "--cache", &b, &refusing]]
    {
        let (theirs, ours) = (theirs("internal", arguments).output(), ours("internal", arguments).output());
        assert_eq!((lines(&theirs, "warning ").len(), lines(&ours, "warning ").len()), (1, 1), "{ours}");
        assert!(lines(&ours, "warning ")[0].contains(&b), "{ours}");
    }
}

#[test]
fn cache_is_librepos_own_and_only_an_unreadable_one_is_reported_as_a_stage() {
    if built().is_none() {
        return;
    }
    let world = World::start();
    let (live, other) = (world.live(), world.other().replace("https", "http"));
    for (index, (writer, reader)) in
        [(ours as fn(&str, &[&str]) -> Call, theirs as fn(&str, &[&str]) -> Call), (theirs, ours)]
            .into_iter()
            .enumerate()
    {
        let cache = world.file(&index.to_string());
        let arguments = ["--cache", &cache, &live, &other];
        let written = writer("detailed", &arguments).output();
        assert_eq!(lines(&written, "stage ")[1..4], [&format!("1 {cache}"), "2 message", "3 2"], "{written}");
        let read = reader("detailed", &arguments).output();
        let stages = lines(&read, "stage ");
        assert_eq!(stages, ["0 -", &format!("1 {cache}"), "2 fine", "4 -", "5 fine"], "none is measured");
        assert!(lines(&read, "item ").iter().all(|line| line.split(' ').nth(3) == Some("1")), "{read}");
    }
    // librepo itself calls the stage with a message.
    let foreign = world.file("foreign");
    fs::write(&foreign, "[something]\nelse=1\n").expect("a file");
    let output = ours("detailed", &["--cache", &foreign, &live, &other]).output();
    assert!(output.contains("stage 2 fine\nstage 3 2\n"), "{output}");
    let is_logged = |line: &&str| line.contains(&foreign) && line.contains("a new one will be written");
    assert!(lines(&output, "log ").iter().any(is_logged), "{output}");
}

#[test]
fn given_order_stands_offline_and_where_nothing_answers() {
    if built().is_none() {
        return;
    }
    let urls: Vec<String> = (1..9).map(|host| format!("http://127.0.0.{host}:{}/x", closed_port())).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let given: Vec<usize> = (0..urls.len()).collect();
    for function in ["order", "detailed", "internal"] {
        assert_eq!(order(&ours(function, &urls).output()), given, "{function}");
        let output = ours(function, &[&["--offline"], &urls[..]].concat()).output();
        assert_eq!(order(&output), given, "{function}");
        assert!(lines(&output, "stage ").is_empty(), "{output}");
        assert!(output.contains("keeping the given order: offline"), "{output}");
    }
    // Of a batch, only the handle that is offline keeps its order.
    let world = World::start();
    let (live, refusing) = (world.live(), world.refusing());
    let output = ours("internal", &[&refusing, &live, "+", "--offline", &refusing, &live]).output();
    assert_eq!(order(&output), [1, 0, 0, 1], "{output}");
    // librepo fails for what is no URL.
    let output = ours("order", &["", "\u{1b}[2J", "http://[nonsense", "nonsense://x"]).output();
    assert_eq!((lines(&output, "result "), order(&output)), (vec!["1"], vec![0, 1, 2, 3]));
    assert!(!lines(&output, "log ").concat().contains('\u{1b}'), "{output}");
    // Of an order that no latency can change, nothing is measured.
    let output = ours("order", &["file:///srv", &world.silent()]).output();
    assert!(!output.contains("stage 3") && output.contains("stage 4"), "{output}");
    assert!(ours("detailed", &["file:///srv", &live]).output().contains("stage 3 1\n"));
}

#[test]
fn silent_mirror_costs_less_than_the_timeout_and_only_silent_ones_no_more() {
    if built().is_none() {
        return;
    }
    let world = World::start();
    let (live, other, silent) = (world.live(), world.other(), world.silent());
    let time = |call: Call| {
        let start = Instant::now();
        let output = call.output();
        (start.elapsed(), output)
    };
    let arguments = ["--timeout", "5", &silent, &live, &other];
    let (took, output) = time(ours("order", &arguments));
    assert_eq!(order(&output).last(), Some(&0), "the silent one is last: {output}");
    let (upstream, _) = time(theirs("order", &arguments));
    assert!(upstream > Duration::from_secs(4) && took * 4 < upstream, "{took:?} and {upstream:?}");
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let (took, upstream) = (seconds(took), seconds(upstream));
    lab::figure(&format!(
        "one of three mirrors is silent, timeout 5 s: {took} with the adapter, {upstream} without"
    ));

    let black_hole = [Ipv4Addr::new(127, 0, 0, 3), Ipv4Addr::new(127, 0, 0, 4)].map(Silent::start);
    let urls = black_hole.each_ref().map(|silent| format!("http://{}/", silent.address));
    let arguments = ["--timeout", "1.5", &urls[0], &urls[1], "+", &urls[1], &urls[0]];
    let (took, output) = time(ours("internal", &arguments));
    // One timeout for all handles of a batch. The stages have been called nevertheless.
    assert!((1400..4000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(order(&output), [0, 1, 0, 1], "{output}");
    assert_eq!(lines(&output, "stage "), ["0 -", "3 2", "4 -", "5 fine"], "{output}");
}

#[test]
fn proxy_keeps_the_given_order() {
    if built().is_none() {
        return;
    }
    lab::isolated!(|| {
        let lab = lab::World::start(lab::Spec::new()).expect("a world");
        let world = World::start();
        let (live, refusing, other) = (world.live(), world.refusing(), world.other());
        let is_kept = |output: &str| {
            assert_eq!(lines(output, "stage "), ["0 -", "5 fine"], "{output}");
            assert!(
                output.contains("they are reached through a proxy") && !output.contains("secret"),
                "{output}"
            );
        };
        let urls = [refusing.as_str(), &live, "http://foo.example:8080/x"];
        let proxy = format!("http://me:secret@127.0.0.1:{}", closed_port());
        for function in ["order", "detailed", "internal"] {
            let output = ours(function, &[&["--proxy", &proxy], &urls[..]].concat()).output();
            is_kept(&output);
            assert_eq!(order(&output), [0, 1, 2], "{output}");
        }
        for proxy in [
            proxy.as_str(),
            "http://proxy.example:3128",
            "socks5h://proxy.example",
            "socks5h://127.0.0.1:1",
            "foo://127.0.0.1:9",
            "198.51.100.1",
        ] {
            is_kept(&ours("order", &urls).env("http_proxy", proxy).output());
            let alone =
                ours("order", &[&["--no-handle"], &urls[..]].concat()).env("ALL_PROXY", proxy).output();
            assert!(alone.contains("they are reached through a proxy"), "{alone}");
        }
        // One for https alone; exceptions for some hosts.
        is_kept(&ours("order", &[&live, &other]).env("https_proxy", &proxy).output());
        let partly = ["http://127.0.0.2:1/", "http://foo.example:1/"];
        is_kept(&ours("order", &partly).env("http_proxy", &proxy).env("no_proxy", "127.0.0.2").output());
        assert_eq!(
            world.live.accepted.load(std::sync::atomic::Ordering::SeqCst),
            0,
            "nothing was connected to"
        );

        // One for none of the URLs; exceptions for all; none for this handle.
        let is_measured = |call: Call| {
            let output = call.output();
            assert!(output.contains("stage 3 2\n") && order(&output) == [1, 0], "{output}");
        };
        let here = [refusing.as_str(), &live];
        is_measured(ours("order", &here).env("ftp_proxy", &proxy));
        for exceptions in ["127.0.0.1", "*"] {
            is_measured(ours("order", &here).env("http_proxy", &proxy).env("no_proxy", exceptions));
        }
        is_measured(ours("internal", &["--proxy", "", &refusing, &live]).env("http_proxy", &proxy));
        // Each handle has its own.
        let through = ["--proxy", &proxy, "http://127.0.0.3:1/", "http://127.0.0.4:1/"];
        let output = ours("internal", &[&through[..], &["+"], &here].concat()).output();
        assert_eq!(order(&output), [0, 1, 1, 0], "{output}");
        assert!(output.contains("stage 3 2\n") && !output.contains("127.0.0.3:1/: refused"), "{output}");

        // Finding out has looked up no name, and no packet has left.
        let report = lab.report();
        let is_asked = |name: &String| name.contains("proxy") || name.contains("foo");
        assert!(!report.lookups.keys().any(is_asked) && report.attempts.is_empty(), "{:?}", report.lookups);
    });
}

#[test]
fn interrupt_stops_measuring_at_once() {
    if built().is_none() {
        return;
    }
    let silent = [Ipv4Addr::new(127, 0, 0, 5), Ipv4Addr::new(127, 0, 0, 6)].map(Silent::start);
    let urls = silent.each_ref().map(|silent| format!("http://{}/", silent.address));
    let mut call = ours("perform", &["--timeout", "20", &urls[0], &urls[1]]).0;
    let mut child = call.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while line != "begin\n" {
        line.clear();
        assert!(output.read_line(&mut line).expect("a pipe") > 0, "the program is gone");
    }
    std::thread::sleep(Duration::from_secs(1));
    send_signal(child.id(), libc::SIGINT);
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("UTF-8");
    assert!(child.wait().expect("a child").success());
    // LRE_INTERRUPTED.
    assert!(lines(&rest, "error ")[0].ends_with(" 27"), "{rest}");
    assert!(rest.contains(" s (cancelled: "), "{rest}");
}

#[test]
fn batch_agrees_on_an_order_and_leaves_no_list_without_a_mirror_that_answers() {
    if built().is_none() {
        return;
    }
    lab::isolated!(|| {
        let mirror = |name: &str, rtt: f64| lab::Mirror::new(name).ipv4(lab::answer(lab::ms(rtt)));
        let many: Vec<String> = (0..20).map(|n| format!("m{n}.lab.example")).collect();
        let mut mirrors = vec![
            mirror("near.lab.example", 1.0),
            mirror("far.lab.example", 250.0),
            mirror("mid.lab.example", 200.0),
            lab::Mirror::new("dead.lab.example").ipv4(lab::Fate::Silent),
        ];
        mirrors.extend(many.iter().enumerate().map(|(n, name)| mirror(name, 20.0 + 2.0 * n as f64)));
        let _world = lab::World::start(lab::Spec::new().mirrors(mirrors)).expect("a world");
        let url = |name: &str| format!("http://{name}/");
        let near = url("near.lab.example");
        let few = ["dead", "far", "mid"].map(|name| url(&format!("{name}.lab.example")));
        let many: Vec<String> = many.iter().map(|name| url(name)).collect();
        let mut batch = vec![near.as_str(), "+"];
        batch.extend(many.iter().map(String::as_str));
        batch.push("+");
        batch.extend(few.iter().map(String::as_str));
        let output = ours("internal", &batch).output();
        assert_eq!(order(&output).last(), Some(&0), "the dead one is last: {output}");
        assert!(output.contains("measuring 3 mirrors once more"), "{output}");
        // Of these runs no stage is called.
        for stage in ["stage 3", "stage 4", "stage 5"] {
            assert_eq!(lines(&output, stage).len(), 1, "{output}");
        }

        // Where an order is wanted, far mirrors are not waited for. Where latencies are, they are.
        let mut urls = vec![near.as_str()];
        urls.extend(many.iter().map(String::as_str));
        let unanswered = |output: &str| output.lines().filter(|line| line.ends_with(": unanswered")).count();
        let output = ours("order", &urls).output();
        assert!(unanswered(&output) >= 3 && order(&output)[0] == 0, "{output}");
        let output = ours("detailed", &urls).output();
        assert!(unanswered(&output) == 0 && !output.contains("not sorted"), "{output}");

        // All lists of a process prefer the same mirrors, and other processes others.
        let (there, back): (Vec<&str>, Vec<&str>) = (
            many[..6].iter().map(String::as_str).collect(),
            many[..6].iter().rev().map(String::as_str).collect(),
        );
        let arguments = [&["--one-by-one"], &there[..], &["+"], &back[..]].concat();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..8 {
            let output = ours("internal", &arguments).output();
            let urls: Vec<&str> =
                lines(&output, "item ").iter().map(|line| line.split(' ').nth(1).expect("a URL")).collect();
            assert_eq!(urls[..6], urls[6..], "{output}");
            seen.insert(urls[0].to_owned());
        }
        assert!(seen.len() > 1, "every process prefers {seen:?}");
    });
}

#[test]
fn calls_leave_nothing_behind_and_a_callback_may_change_its_handle() {
    let Some(built) = built() else { return };
    let world = World::start();
    let (live, refusing, other) = (world.live(), world.refusing(), world.other());
    let cache = world.file("cache");
    let calls: &[(&str, &[&str])] = &[
        ("order", &["--cache", &cache, &refusing, &live]),
        ("order", &["--no-list"]),
        ("order", &["--proxy", &refusing, &live, &other]),
        ("detailed", &[&refusing, &live, "file:///srv"]),
        ("internal", &["--meddle", &refusing, &live]),
        ("internal", &["--meddle", "--cache", &cache, &refusing, &live, "+", &other, &refusing]),
    ];
    let has_valgrind = have("valgrind", program("valgrind").arg("--version"));
    for (function, arguments) in calls {
        let output = ours(function, &[&["--repeat", "50"], *arguments].concat()).output();
        assert_eq!(lines(&output, "left behind: "), ["0 descriptors, 0 threads"]);
        if has_valgrind {
            let mut valgrind = program("valgrind");
            valgrind.args(["--quiet", "--leak-check=full", "--track-fds=no", "--error-exitcode=9"]);
            // What glib and libcrypto keep for good is still reachable, and no leak.
            let kinds = "definite,indirect,possible";
            valgrind.args([format!("--errors-for-leak-kinds={kinds}"), format!("--show-leak-kinds={kinds}")]);
            valgrind.env("LD_LIBRARY_PATH", built.search_path(&built.ours()));
            let caller: PathBuf = caller().expect("compiled before").into();
            valgrind.arg(caller).args(["loaded", function, "--repeat", "3"]).args(*arguments);
            let output = valgrind.output().expect("valgrind runs");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && stderr.is_empty(), "{function} {arguments:?}: {stderr}");
        }
    }
}

/// The system's dnf, libdnf and Python binding, with the two builds in place of the system's
/// librepo.
#[test]
fn dnf_downloads_from_one_near_mirror_and_does_not_wait_for_a_dead_one() {
    if !have_all() {
        return;
    }
    let Some(built) = built() else { return };
    lab::isolated!(|| {
        // Nothing is preloaded.
        let site = Site::start(Path::new(""));
        let setup_with = |directory: PathBuf, scheme| {
            let path = built.search_path(&directory).into_string().expect("UTF-8");
            let environment = vec![("LD_LIBRARY_PATH", &*path.leak())].leak();
            Setup { scheme, list: "metalink", bad: Some(DEAD), fastestmirror: true, ours: false, environment }
        };
        for scheme in ["http", "https"] {
            let [mut with, mut without] = [Vec::new(), Vec::new()];
            for _ in 0..3 {
                let run = site.run(Task::Makecache, setup_with(built.ours(), scheme));
                assert!(run.log.contains("libfastestmirror 0."), "{}", run.log);
                assert!(POOL.iter().any(|name| run.hosts("") == [*name]), "{:?}\n{}", run.hosts(""), run.log);
                with.push(run.elapsed);
                let run = site.run(Task::Makecache, setup_with(built.original(), scheme));
                assert!(!run.log.contains("libfastestmirror"), "{}", run.log);
                without.push(run.elapsed);
            }
            with.sort();
            without.sort();
            assert!(with[0] + Duration::from_secs(1) < without[0], "{with:?} {without:?}");
            let [with, without] = [with, without].map(|times| times[1].as_secs_f64());
            lab::figure(&format!(
                "dnf makecache, {scheme}, 12 mirrors, one of them dead: {with:.2} s with the adapter, {without:.2} s without"
            ));
        }
    });
}

/// For the caller of lr_download() nothing changes, and the failures of mirrors are learned.
#[test]
fn downloads_are_those_of_librepo_and_failures_are_learned() {
    let Some(built) = built() else { return };
    let Some(downloader) = downloader() else { return };
    let world = Mirrors::start();
    let with = |directory: &Path, kinds: &[&str], arguments: &[&str]| {
        let mut command = command(downloader, &world.arguments(kinds, arguments));
        command.env("LD_LIBRARY_PATH", built.search_path(directory));
        command
    };
    for (kinds, arguments) in CALLS {
        let [same, expected] =
            [built.ours(), built.original()].map(|directory| run(&mut with(&directory, kinds, arguments)));
        let is_parallel = arguments.contains(&"--parallel");
        assert_eq!(
            comparable_downloads(&same, is_parallel),
            comparable_downloads(&expected, is_parallel),
            "{arguments:?}"
        );
    }
    let _ = fs::remove_file(world.cache());
    for (kind, word) in FAILURES {
        let mut command = with(&built.ours(), &[kind, "good"], &["download", "A-100"]);
        let learned = learned(&world, &mut command);
        assert_eq!(learned, (word.map(String::from).into_iter().collect(), false), "{kind}");
    }
    let (kinds, arguments) = REDIRECTED;
    run(&mut with(&built.ours(), kinds, arguments));
    let text = fs::read_to_string(world.cache()).expect("a cache");
    let _ = fs::remove_file(world.cache());
    assert_eq!(lines(&text, "[:_fm_:trouble:").len(), 1, "{text}");
    assert!(text.contains("[:_fm_:trouble:127.0.0.2/"), "{text}");
    for (kinds, arguments) in NO_FAULT {
        let learned = learned(&world, &mut with(&built.ours(), kinds, arguments));
        assert_eq!(learned, (Vec::new(), false), "{kinds:?} {arguments:?}");
    }
}
