//! `fastestmirror cache`: what it shows, what it removes, and what it refuses.

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

fn run(arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastestmirror"));
    command.arg("cache").args(arguments).arg(file).output().expect("the command starts")
}

fn stdout(output: &Output) -> String {
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// The message of a run that ends with this status and prints nothing else.
fn refusal(output: &Output, status: i32) -> String {
    assert_eq!((output.status.code(), &*output.stdout), (Some(status), &b""[..]), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A cache with records of librepo and of this library, in this network and in another.
fn cache() -> String {
    let ago = |seconds: u64| now() - seconds;
    // In no network does any family have this identity.
    let another = "123456789abcdef0-123456789abcdef0";
    format!(
        "[:_librepo_:]\nversion=1\n\n\
         [http://far.example]\nts={}\nconnectime=0.0905\n\n\
         [http://user:secret@near.example:8080]\nts={}\nconnectime=0.01\n\n\
         [:_fm_:outcome:https://silent.example]\nts={}\noutcome=silent\nwaited=0.25\nnetwork=x-x\n\n\
         [:_fm_:outcome:http://none.example]\nts={}\noutcome=unresolved\nnetwork=x-x\n\n\
         [http://%5B2001:db8::1%5D]\nts={}\nconnectime=0.012\n\n\
         [:_fm_:network:http://%5B2001:db8::1%5D]\nts={}\nnetwork={another}\n\n\
         [http://old.example]\nts={}\nconnectime=0.002\n\n\
         # mine\n[other]\nkey=value\n\n\
         [:_fm_:]\nseed=7\ndrawn={}\n",
        ago(3 * 24 * 3600),
        ago(7300),
        ago(600),
        ago(30),
        ago(60),
        ago(60),
        ago(40 * 24 * 3600),
        ago(7300),
    )
}

#[test]
fn cache_is_shown_as_a_table() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cache");
    fs::write(&file, cache()).expect("a writable directory");
    let text = stdout(&run(&[], &file));
    let mut rest = &text[..];
    for part in [
        "─── in use here and now",
        "  10.00 ms      2 h   29 days  unknown  librepo        http://near.example:8080\n",
        "  90.50 ms   3 days   ",
        " unknown  librepo        http://far.example\n",
        "no address     30 s    59 min  unknown  fastestmirror  http://none.example\n",
        "silent for 250.00 ms   10 min  ",
        " unknown  fastestmirror  https://silent.example\n",
        "─── not in use: outdated, of another network, or replaced by something newer",
        "   2.00 ms  40 days  outdated  unknown  librepo        http://old.example\n",
        "  12.00 ms    1 min   29 days  another  fastestmirror  http://[2001:db8::1]\n",
        "6 records, 4 in use.\n",
        "A seed of the shuffle is kept: 7, drawn 2 h ago.\n",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is not in its place:\n{text}"));
        rest = &rest[at + part.len()..];
    }
    assert!(!text.contains("secret"), "{text}");
    // Nothing was written, and no lock was left.
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1);
}

#[test]
fn cache_is_shown_as_json() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cache");
    fs::write(&file, cache()).expect("a writable directory");
    let text = stdout(&run(&["--json"], &file));
    assert!(text.starts_with("{\"version\":1,\"seed\":{\"seed\":7,\"age_s\":73"), "{text}");
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let records = json["records"].as_array().expect("an array");
    let hosts: Vec<_> = records.iter().map(|record| record["host"].as_str().expect("a string")).collect();
    let expected =
        ["near.example", "far.example", "none.example", "silent.example", "old.example", "2001:db8::1"];
    assert_eq!(hosts, expected);
    let mut silent = records[3].clone();
    for (key, about) in [("age_s", 600), ("remaining_s", 3000)] {
        let seconds = silent[key].take().as_u64().expect("a number");
        assert!(seconds.abs_diff(about) < 60, "{key}: {seconds}");
    }
    assert_eq!(
        silent,
        json!({
            "protocol": "https", "host": "silent.example", "port": 443, "remembered": "silent",
            "latency_ms": null, "waited_ms": 250.0, "age_s": null, "remaining_s": null,
            "network": "unknown", "shared_address": null, "librepo": false, "counts": true
        })
    );
    let counts: Vec<_> = records.iter().map(|record| record["counts"] == true).collect();
    assert_eq!(counts, [true, true, true, true, false, false]);
    fs::write(&file, "[:_librepo_:]\nversion=1\n").expect("a writable file");
    assert_eq!(stdout(&run(&["--json"], &file)), "{\"version\":1,\"seed\":null,\"records\":[]}\n");
    assert_eq!(stdout(&run(&[], &file)), "Nothing is remembered of any mirror.\n");
}

#[test]
fn records_of_hosts_are_forgotten_and_the_rest_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cache");
    let before = cache();
    fs::write(&file, &before).expect("a writable directory");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("it is ours");
    let without = |text: &str, start: &str, end: &str| {
        let (first, rest) = text.split_once(start).expect("it is there");
        format!("{first}{}", &rest[rest.find(end).expect("so is that")..])
    };
    // Once something is written, so are the names without the password.
    assert_eq!(stdout(&run(&["--forget", "NEAR.example"], &file)), "1 record forgotten.\n");
    let expected = without(&before, "[http://user:secret@", "[:_fm_:outcome:https://silent");
    assert_eq!(fs::read_to_string(&file).expect("a cache"), expected);
    assert_eq!(stdout(&run(&["--forget", "2001:db8::1"], &file)), "1 record forgotten.\n");
    let expected = without(&expected, "[http://%5B2001", "[http://old");
    assert_eq!(fs::read_to_string(&file).expect("a cache"), expected);
    let message = refusal(&run(&["--forget", "near.example"], &file), 2);
    let path = file.display();
    assert_eq!(message, format!("fastestmirror: {path}: nothing is remembered of near.example\n"));
    assert_eq!(stdout(&run(&["--forget", "all"], &file)), "4 records forgotten.\n");
    let text = fs::read_to_string(&file).expect("a cache");
    assert!(
        text.starts_with("[:_librepo_:]\nversion=1\n\n# mine\n[other]\nkey=value\n\n[:_fm_:]\nseed=7\n"),
        "{text}"
    );
    assert_eq!(stdout(&run(&["--forget", "all"], &file)), "0 records forgotten.\n");
    assert_eq!(fs::metadata(&file).expect("a cache").permissions().mode() & 0o777, 0o640);
}

#[test]
fn what_is_no_cache_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    fs::write(path("list"), "http://a.example/\n").expect("a writable directory");
    fs::write(path("ini"), "[main]\nkey=value\n").expect("a writable directory");
    fs::write(path("version"), "[:_librepo_:]\nversion=2\n").expect("a writable directory");
    fs::write(path("cache"), cache()).expect("a writable directory");
    symlink(path("cache"), path("link")).expect("a writable directory");
    for (name, reason) in [
        ("missing", "there is no such file"),
        ("list", "it is not a cache: line 1: "),
        ("ini", "it is not a cache: it has no group [:_librepo_:]"),
        ("version", "it is not a cache: its version is not 1"),
        ("link", "it is a symbolic link, which is not followed"),
        (".", "it is a directory"),
    ] {
        let before = fs::read(path(name)).ok();
        for arguments in [&[][..], &["--json"], &["--forget", "all"], &["--forget", "a.example"]] {
            let message = refusal(&run(arguments, &path(name)), 2);
            assert!(message.starts_with("fastestmirror: cannot read cache /"), "{message}");
            assert!(message.contains(reason), "{message}");
        }
        assert_eq!(fs::read(path(name)).ok(), before);
    }
    let message = refusal(
        &Command::new(env!("CARGO_BIN_EXE_fastestmirror")).arg("cache").output().expect("it starts"),
        2,
    );
    assert!(message.contains("<FILE>") && message.contains("Usage: fastestmirror cache"), "{message}");
}
