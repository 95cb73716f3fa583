//! `--explain` in the lab: a mirror of each kind.

use lab::{Fate, Lookup, Mirror, Spec, World, answer, ms, refuse};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the command prints, which is one paragraph.
fn explain(host: &str, list: &Path, options: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastestmirror"));
    let output = command.args(options).args(["--explain", host]).arg(list).output().expect("it starts");
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    text
}

/// Checks that the text has these parts, in this order.
fn check(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is not in its place: {text}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn mirrors_of_each_kind_are_explained() {
    lab::isolated!(|| {
        let named = |name: &str| Mirror::new(&format!("{name}.lab.example"));
        let spec = Spec::new().mirrors([
            named("near").both(answer(ms(20))),
            named("next").both(answer(ms(30))),
            named("far").ipv4(answer(ms(90))),
            named("silent").ipv4(Fate::Silent),
            named("refusing").ipv4(refuse(ms(7))),
            named("nowhere").lookup(Lookup::NxDomain),
            named("around").ipv6(Fate::Silent).ipv4(answer(ms(25))),
            named("out").ipv4(answer(ms(20))),
        ]);
        let world = World::start(spec).expect("a world");
        let directory = tempfile::tempdir().expect("a directory");
        let list = directory.path().join("list");
        let mut urls: String =
            world.spec().mirrors.iter().map(|mirror| format!("http://{}/pub\n", mirror.name)).collect();
        urls += "file:///srv/pub\n";
        fs::write(&list, urls).expect("a writable directory");
        let explain = |host: &str, options: &[&str]| {
            let options =
                [&["--fallbacks", "all", "--exclude", "x.*", "--exclude", "out.*"], options].concat();
            explain(host, &list, &options)
        };
        // What a mirror is in most runs: a process that is stopped at the wrong moment may find
        // something else.
        let expect = |host: &str, options: &[&str], parts: &[&str]| {
            for _ in 0..4 {
                let text = explain(host, options);
                if parts.iter().all(|part| text.contains(part)) {
                    return check(&text, parts);
                }
            }
            check(&explain(host, options), parts);
        };
        const LIMIT: &str = "The limit of the pool is 4";
        const BEST: &str = " ms: twice the best, near.lab.example with 2";
        expect(
            "next.lab.example",
            &[],
            &[
                "http://next.lab.example/pub is number ",
                " of 8: it is in the pool, whose 2 mirrors are in random order. Its latency is 3",
                "ms, measured in this run. Tried: [2001:db8:",
                "]:80 answered in 3",
                LIMIT,
                BEST,
                " ms; it is ",
                " ms below.\n",
            ],
        );
        expect("near.lab.example", &[], &[LIMIT, " ms: twice its own latency of 2", "the best.\n"]);
        expect(
            "near.lab.example",
            &["--factor", "1"],
            &["it is outside the pool", "The limit of the pool is 2", " ms: 1 times its own latency of 2"],
        );
        expect(
            "http://far.lab.example/pub",
            &["--slack", "30"],
            &[
                "it is outside the pool, and stands by its latency. Its latency is 9",
                "The limit of the pool is 5",
                " ms: 30.00 ms above the best, near.lab.example with 2",
                " ms; it is ",
                " ms above.\n",
            ],
        );
        expect(
            "silent.lab.example",
            &[],
            &[
                "it did not reply, and stands behind all that have a latency, in the given order. Tried: 198.18.",
                ":80 was silent for ",
                LIMIT,
                BEST,
                " ms. Measuring stopped after ",
            ],
        );
        expect(
            "refusing.lab.example",
            &[],
            &[
                "it refused the connection, and such mirrors are last, in the given order. Tried: ",
                " refused after ",
            ],
        );
        expect("nowhere.lab.example", &[], &["its name has no address that can be used", "given order.\n"]);
        expect(
            "around.lab.example",
            &[],
            &[
                "it is detoured: each connection first waits for an address that is silent",
                "Tried: [2001:db8:",
                "]:80 was silent for ",
                " ms; then 198.18.",
                "the wait for the silent address comes on top.\n",
            ],
        );
        expect(
            "OUT.lab.example",
            &[],
            &["http://out.lab.example/pub is not in the order: --exclude out.* leaves it out.\n"],
        );
        expect("file:///srv/pub", &[], &["is number 1 of 8: it is on this machine"]);
        // A cache: first written, then used, then asked again.
        let cache = directory.path().join("cache");
        let cached = ["--cache", cache.to_str().expect("UTF-8")];
        explain("next.lab.example", &cached);
        expect(
            "next.lab.example",
            &cached,
            &[
                "Its latency is 3",
                " ms, measured ",
                " s ago: it is remembered, and was not asked again. The limit",
            ],
        );
        expect(
            "silent.lab.example",
            &cached,
            &["The cache remembers that it was silent for at least ", " s ago; it was not asked again."],
        );
        expect(
            "next.lab.example",
            &[&cached[..], &["--check-after", "0"]].concat(),
            &[" ms, checked in this run; the cache remembered a latency of 3", " s ago. Tried: "],
        );
        drop(world);
    });
}

#[test]
fn mirror_that_is_not_in_the_list_is_an_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastestmirror"));
    command.args(["--explain", "b.example", "http://a.example/", "file:///srv"]);
    let output = command.output().expect("the command starts");
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "fastestmirror: --explain b.example: the list has no such mirror; name a host or a URL of it\n"
    );
}

#[test]
fn list_without_an_answer_is_explained_with_its_status() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastestmirror"));
    command.args(["--timeout", "0", "--explain", "127.0.0.1", "http://127.0.0.1:1/", "https://127.0.0.1:2/"]);
    let output = command.output().expect("the command starts");
    assert_eq!((output.status.code(), &*output.stderr), (Some(3), &b""[..]));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let paragraphs: Vec<_> = text.split("\n\n").collect();
    assert_eq!(paragraphs.len(), 2, "{text}");
    for (paragraph, url) in
        paragraphs.iter().zip(["http://127.0.0.1:1/ is number 1", "https://127.0.0.1:2/ is number 2"])
    {
        check(
            paragraph,
            &[url, " of 2: no mirror answered, so the order is the given one. Nothing was sent to it: "],
        );
    }
}
