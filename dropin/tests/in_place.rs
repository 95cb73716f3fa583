//! This library in librepo's place: linked or preloaded, behind proxies, with an administrator's
//! settings, interrupted, without a librepo or with an unknown one; and what it leaves behind.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::build::{dropin, root, run};
use support::librepo_calls::*;
use support::programs::{have, module, program, send_signal};
use support::servers::{Silent, closed_port};

#[test]
fn proxy_keeps_the_given_order() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (live, refusing, other) = (world.live(), world.refusing(), world.other());
    let proxy = format!("http://127.0.0.1:{}", closed_port());
    let urls = [refusing.as_str(), &live, "http://foo.example:8080/x"];
    let is_kept = |output: &str| {
        assert_eq!(lines(output, "stage "), ["0 -", "5 fine"], "{output}");
        let is_logged = lines(output, "log ").iter().any(|line| line.contains("is reached through a proxy"));
        assert!(is_logged, "{output}");
    };
    for function in ["order", "detailed", "internal"] {
        let output = call_ours(function, &[&["--proxy", &proxy], &urls[..]].concat());
        is_kept(&output);
        assert_eq!(order(&output), [0, 1, 2], "{output}");
    }
    is_kept(&Call::of(ours(), "order", &urls).env("http_proxy", &proxy).output());
    is_kept(&Call::of(ours(), "order", &urls).env("ALL_PROXY", "socks5h://127.0.0.1:1").output());
    let alone = Call::of(ours(), "order", &[&["--no-handle"], &urls[..]].concat()).env("http_proxy", &proxy);
    assert!(alone.output().contains("is reached through a proxy"));
    // A proxy for https alone; exceptions for some hosts.
    let both = [live.as_str(), &other];
    is_kept(&Call::of(ours(), "order", &both).env("https_proxy", &proxy).output());
    let partly = ["http://127.0.0.2:1/", "http://foo.example:1/"];
    is_kept(
        &Call::of(ours(), "order", &partly).env("http_proxy", &proxy).env("no_proxy", "127.0.0.2").output(),
    );
    // A proxy for none of the URLs; exceptions for all.
    let is_measured = |output: &str| assert!(output.contains("stage 3"), "{output}");
    assert_eq!(world.live.accepted.load(std::sync::atomic::Ordering::SeqCst), 0, "nothing was connected to");
    is_measured(&Call::of(ours(), "order", &both).env("ftp_proxy", &proxy).output());
    let here = [live.as_str(), &refusing];
    is_measured(
        &Call::of(ours(), "order", &here).env("http_proxy", &proxy).env("no_proxy", "127.0.0.1").output(),
    );
    is_measured(&Call::of(ours(), "order", &here).env("http_proxy", &proxy).env("no_proxy", "*").output());
}

/// The list is from the network, and the questions are as many as its hosts.
#[test]
fn proxy_check_of_a_long_list_takes_no_longer_than_the_timeout() {
    if caller().is_none() {
        return;
    }
    let proxy = format!("http://127.0.0.1:{}", closed_port());
    let urls: Vec<String> = (0..20_000).map(|n| format!("http://[::1]:1/{n}")).collect();
    let hosts: Vec<String> = (0..20_000).map(|n| format!("http://m{n}.example/")).collect();
    for list in [urls, hosts] {
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let call = |proxy: &str| {
            let start = std::time::Instant::now();
            let arguments = [&["--timeout", "0.2"], &list[..]].concat();
            let call = Call::of(ours(), "order", &arguments).env("no_proxy", ".example,::1,[::1]");
            let output = if proxy.is_empty() { call } else { call.env("http_proxy", proxy) }.output();
            assert_eq!(order(&output).len(), list.len());
            start.elapsed()
        };
        let (without, with) = (call(""), call(&proxy));
        // 20,000 questions take five seconds.
        assert!(with < 3 * without + std::time::Duration::from_secs(2), "{without:?}, {with:?}");
    }
}

#[test]
fn log_lines_hold_no_password() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let with_password = |url: String| url.replace("://", "://me:secret@");
    let urls = [with_password(world.refusing()), with_password(world.live())];
    let urls = urls.each_ref().map(String::as_str);
    let proxy = format!("http://me:secret@127.0.0.1:{}", closed_port());
    for (proxy, expected) in [("", ": measured "), (&proxy, "127.0.0.1 is reached through a proxy")] {
        let output = Call::of(ours(), "order", &urls).env("http_proxy", proxy).output();
        let log = lines(&output, "log ").join("\n");
        assert!(log.contains(expected) && !log.contains("secret"), "{output}");
    }
}

#[test]
fn proxy_check_looks_up_no_name_and_connects_to_nothing() {
    if caller().is_none() {
        return;
    }
    lab::isolated!(|| {
        let world = lab::World::start(lab::Spec::new()).expect("a world");
        let urls = ["http://127.0.0.1:1/", "http://foo.example/"];
        for proxy in
            ["http://proxy.example:3128", "socks5h://proxy.example", "foo://127.0.0.1:9", "198.51.100.1"]
        {
            let output = Call::of(ours(), "order", &urls).env("http_proxy", proxy).output();
            assert!(output.contains("is reached through a proxy") && !output.contains("stage 3"), "{output}");
        }
        let report = world.report();
        let is_tested = |name: &String| name.contains("proxy") || name.contains("foo");
        assert!(!report.lookups.keys().any(is_tested) && report.attempts.is_empty(), "{:?}", report.lookups);
    });
}

#[test]
fn proxy_of_each_handle_counts() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (live, refusing) = (world.live(), world.refusing());
    let proxy = format!("http://127.0.0.1:{}", closed_port());
    // 127.0.0.3 and 127.0.0.4 are reached through it, and must not be measured.
    let behind = ["http://127.0.0.3:1/", "http://127.0.0.4:1/"];
    let plain = [refusing.as_str(), &live];
    let through = [&["--proxy", proxy.as_str()], &behind[..]].concat();
    for (arguments, plain_first) in [
        ([&plain[..], &["+"], &through[..]].concat(), true),
        ([&through[..], &["+"], &plain[..]].concat(), false),
    ] {
        let output = call_ours("internal", &arguments);
        let expected = if plain_first { [1, 0, 0, 1] } else { [0, 1, 1, 0] };
        assert_eq!(order(&output), expected, "{output}");
        assert!(!output.contains("127.0.0.3:1/: refused"), "{output}");
        assert!(output.contains("stage 3 2\n"), "{output}");
    }
    // A handle with an empty proxy has none, whatever the environment says: dnf's proxy=_none_.
    let none = [&["--proxy", ""], &plain[..]].concat();
    let output = Call::of(ours(), "internal", &none).env("http_proxy", &proxy).output();
    assert_eq!(order(&output), [1, 0], "{output}");
}

#[test]
fn settings_are_read_from_the_environment() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let urls = [world.refusing(), world.live()];
    let urls = [urls[0].as_str(), &urls[1]];
    let with = |name: &str, value: &str| Call::of(ours(), "order", &urls).env(name, value).output();
    let off = with("FASTESTMIRROR_OFF", "1");
    assert_eq!((order(&off), lines(&off, "stage ").len()), (vec![0, 1], 0));
    let off = Call::of(ours(), "internal", &urls).env("FASTESTMIRROR_OFF", "1").output();
    assert_eq!((order(&off), lines(&off, "stage ").len()), (vec![0, 1], 0));
    assert!(off.contains("keeping the given order: off=1 (FASTESTMIRROR_OFF)"));
    for (name, value) in [
        ("FASTESTMIRROR_OFF", "0"),
        ("FASTESTMIRROR_OFF", ""),
        ("FASTESTMIRROR_FALLBACKS", "all"),
        ("FASTESTMIRROR_FACTOR", "1.5"),
        ("FASTESTMIRROR_SLACK", "5"),
        ("FASTESTMIRROR_CHECK_AFTER", "0"),
    ] {
        let output = with(name, value);
        assert_eq!(order(&output), [1, 0], "{name}={value}");
        assert!(!output.contains("ignoring"), "{output}");
    }
    for (name, value) in
        [("FASTESTMIRROR_OFF", "maybe"), ("FASTESTMIRROR_FACTOR", "0"), ("FASTESTMIRROR_SLACK", "x")]
    {
        let output = with(name, value);
        assert_eq!(order(&output), [1, 0], "{name}={value}");
        let expected = format!("ignoring {name}=");
        assert!(lines(&output, "log ").iter().any(|line| line.contains(&expected)), "{output}");
    }
}

#[test]
fn interrupt_stops_measuring_at_once() {
    if caller().is_none() {
        return;
    }
    let silent: Vec<Silent> =
        [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)].map(Silent::start).into();
    let urls: Vec<String> = silent.iter().map(|silent| format!("http://{}/", silent.address)).collect();
    let time = |preload: Option<PathBuf>| {
        let mut call = Call::of("loaded", "perform", &["--timeout", "4", &urls[0], &urls[1]]).0;
        if let Some(library) = preload {
            call.env("LD_PRELOAD", library);
        }
        let mut child = call.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        while line != "begin\n" {
            line.clear();
            assert!(output.read_line(&mut line).expect("a pipe") > 0, "the program is gone");
        }
        std::thread::sleep(Duration::from_millis(400));
        send_signal(child.id(), libc::SIGINT);
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("UTF-8");
        assert!(child.wait().expect("a child").success());
        // LRE_INTERRUPTED.
        assert!(lines(&rest, "error ")[0].ends_with(" 27"), "{rest}");
        let milliseconds: u64 = lines(&rest, "milliseconds ")[0].parse().expect("a number");
        (milliseconds, rest)
    };
    let (took, output) = time(Some(ours()));
    assert!(output.contains(" s (cancelled: "), "{output}");
    assert!(took < 2500, "{took} ms: {output}");
    let (theirs, _) = time(None);
    assert!(theirs > 3900, "{theirs} ms");
}

#[test]
fn library_linked_before_librepo_or_preloaded_takes_its_place() {
    if caller().is_none() {
        return;
    }
    make_soname();
    let directory = dropin().display().to_string();
    let before = [
        "-Wl,--no-as-needed",
        &format!("-L{directory}"),
        "-lfastestmirror_librepo",
        &format!("-Wl,-rpath,{directory}"),
    ];
    let linked = compile("dropin/tests/c/call.c", "call-linked", &before, &["librepo", "glib-2.0"]);
    let world = World::start();
    let arguments = ["loaded", "perform", &world.refusing(), &format!("{}1", world.refusing())];
    let runs = [
        (run(Command::new(linked).args(arguments)), true),
        (run(Command::new(caller().expect("checked above")).args(arguments).env("LD_PRELOAD", ours())), true),
        (run(Command::new(caller().expect("checked above")).args(arguments)), false),
    ];
    for (output, is_ours) in runs {
        assert_eq!(lines(&output, "library ")[0].contains("libfastestmirror"), is_ours, "{output}");
        // The call is one that librepo itself makes.
        let called = output.contains("lr_fastestmirror_sort_internalmirrorlist: 1 handle");
        assert_eq!(called, is_ours, "{output}");
    }
}

#[test]
fn example_works_as_the_page_builds_it() {
    if !have_librepo() {
        return;
    }
    make_soname();
    let page = fs::read_to_string(root().join("docs/librepo.md")).expect("the page");
    let mut lines = page.lines().map(str::trim);
    let line = lines.find(|line| line.starts_with("cc examples/through_librepo.c"));
    let program = scratch().join("through_librepo");
    let line = line.expect("the page says how to build it").replace("$PWD/", "");
    let line = line.replace("target/release", &dropin().display().to_string());
    let line = line.replace("target/through_librepo", &program.display().to_string());
    run(Command::new("sh").current_dir(root()).args(["-ec", &format!("{line} -Wall -Wextra -Werror")]));
    let world = World::start();
    let urls = [world.refusing(), world.live()];
    let output = run(Command::new(&program).args(&urls).env("G_MESSAGES_DEBUG", "librepo"));
    assert!(output.contains("libfastestmirror 0."), "{output}");
    let order: Vec<&str> = output.lines().filter(|line| line.starts_with("http")).collect();
    assert_eq!(order, [urls[1].as_str(), &urls[0]]);
}

#[test]
fn hundred_calls_leave_nothing_behind_and_valgrind_finds_no_error() {
    if caller().is_none() {
        return;
    }
    let world = World::start();
    let (live, refusing, other) = (world.live(), world.refusing(), world.other());
    let cache = world.file("cache");
    let calls: &[(&str, &[&str])] = &[
        ("order", &["--cache", &cache, &refusing, &live, &other, "http://127.0.0.1:1/a/", "file:///srv"]),
        ("detailed", &["--cache", &cache, &refusing, &live, &other, "nonsense"]),
        ("detailed", &["--no-handle", &refusing, &live]),
        ("internal", &["--cache", &cache, &refusing, &live, "+", &other, &live]),
        ("internal", &["--one-by-one", "--no-callback", &refusing, &live, "+", &other, &live]),
        ("order", &["--no-list"]),
        // The mirrors of librepo's own function have a libcurl handle to free.
        ("detailed", &["--free-by", THEIRS, &refusing, &live]),
        ("internal", &["--meddle", &refusing, &live]),
        ("internal", &["--meddle", "--cache", &cache, &refusing, &live, "+", &other, &refusing]),
    ];
    for (function, arguments) in calls {
        let output = call_ours(function, &[&["--repeat", "100"], *arguments].concat());
        assert_eq!(lines(&output, "left behind: "), ["0 descriptors, 0 threads"]);
    }
    if !have("valgrind", program("valgrind").arg("--version")) {
        return;
    }
    let library = ours().display().to_string();
    let theirs = ("detailed", &["--free-by", library.as_str(), &refusing, &live][..]);
    for (index, (function, arguments)) in calls.iter().chain([&theirs]).enumerate() {
        let library = if index == calls.len() { PathBuf::from(THEIRS) } else { ours() };
        let mut valgrind = program("valgrind");
        valgrind.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible"]);
        // What glib and libcrypto keep for good is still reachable, and no leak.
        valgrind.args([
            "--show-leak-kinds=definite,indirect,possible",
            "--error-exitcode=9",
            "--track-fds=no",
        ]);
        let caller = caller().expect("checked above");
        let output =
            valgrind.arg(caller).arg(library).arg(function).args(["--repeat", "3"]).args(*arguments).output();
        let output = output.expect("valgrind runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{function} {arguments:?}: {stderr}");
    }
}

#[test]
fn functions_work_without_librepo_as_far_as_they_can() {
    let program = scratch().join("absent");
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g"]);
    run(cc.arg(root().join("dropin/tests/c/absent.c")).arg("-o").arg(&program).arg("-ldl"));
    assert_eq!(run(Command::new(&program).arg(ours())), "ok\n");
    assert_eq!(run(Command::new(&program).env("LD_PRELOAD", ours())), "ok\n");
}

#[test]
fn unknown_layout_leaves_the_public_interface() {
    if !have("glib", &mut module("glib-2.0")) {
        return;
    }
    for (name, define) in [("grown", &["-DLAYOUT=1"][..]), ("small", &["-DLAYOUT=0", "-DSMALL"])] {
        let directory = scratch().join(name);
        fs::create_dir_all(&directory).expect("the target directory can be written");
        let shared = [define, &["-shared", "-fPIC", "-Wl,-soname,librepo.so.0"]].concat();
        compile("dropin/tests/c/other.c", &format!("{name}/librepo.so.0"), &shared, &["glib-2.0"]);
        let libraries = [ours(), directory.join("librepo.so.0")].map(|path| path.display().to_string());
        let rpath = format!("-Wl,--no-as-needed,-rpath,{}:{}", dropin().display(), directory.display());
        let more = [libraries[0].as_str(), &libraries[1], &rpath];
        let caller = compile("dropin/tests/c/other_call.c", &format!("{name}/call"), &more, &["glib-2.0"]);
        make_soname();
        // Measured, with the options from the getters. No callback; the internal list keeps its
        // order.
        let output = run(Command::new(caller).env("G_MESSAGES_DEBUG", "librepo"));
        assert!(output.ends_with("file:///srv\n") && !output.contains("stage"), "{output}");
        assert!(output.contains("the layout of this librepo's handles is unknown"), "{output}");
        assert!(output.contains("the layout of this librepo's targets is unknown"), "{output}");
    }
}
