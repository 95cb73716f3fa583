//! Tests of reading the text of a cache, and of what a run makes of it.

use super::policy::CLOCK_TOLERANCE;
use super::*;
use std::time::Instant;

const NOW: i64 = 1_790_000_000;
const DAY: i64 = 24 * 3600;
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const HERE: Network = Network { ipv4: Some(1), ipv6: Some(2) };
const THERE: Network = Network { ipv4: Some(9), ipv6: Some(2) };
const HALF_KNOWN: Network = Network { ipv4: None, ipv6: Some(2) };

fn at(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { SystemTime::UNIX_EPOCH - since } else { SystemTime::UNIX_EPOCH + since }
}

fn endpoint(url: &str) -> Endpoint {
    match Mirror::parse(url) {
        Mirror::Remote(_, endpoint) => endpoint,
        other => panic!("{url}: {other:?}"),
    }
}

fn record_name(url: &str) -> RecordName {
    RecordName::for_url(url)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn records(text: &[u8], now: i64, network: Option<&Network>) -> Records {
    read(text, at(now), network, MONTH).expect("a cache")
}

/// What is remembered of the only mirror in the file.
fn known(text: &str) -> Option<Remembered> {
    records(text.as_bytes(), NOW, Some(&HERE)).get(&endpoint("http://mirror.example/"))
}

fn record(ts: impl std::fmt::Display, latency: &str) -> String {
    format!("[:_librepo_:]\nversion=1\n\n[http://mirror.example]\nts={ts}\nconnectime={latency}\n")
}

fn write(text: &[u8], now: i64, network: Option<&Network>, learned: &[(&str, Remembered)]) -> Vec<u8> {
    let learned: Vec<_> = learned.iter().map(|(url, remembered)| (record_name(url), *remembered)).collect();
    merge(text, at(now), network, &learned, None).0
}

fn merge(
    text: &[u8],
    now: SystemTime,
    network: Option<&Network>,
    learned: &[(RecordName, Remembered)],
    seed: Option<KeptSeed>,
) -> (Vec<u8>, Option<NotACache>) {
    super::merge(text, now, network, &learned.iter().cloned().collect(), seed)
}

fn facts(learned: &[(RecordName, Remembered)]) -> impl Iterator<Item = Remembered> {
    learned.iter().map(|(_, remembered)| *remembered)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn merge_writes_records_as_librepo_does_and_our_notes() {
    let learned = [
        ("http://mirror.example/pub/", Remembered::Latency(Duration::from_micros(12_345))),
        ("https://Other.Example:8443/pub/", Remembered::Latency(ms(250))),
        ("http://shut.example/pub/", Remembered::Refused),
        ("http://slow.example/pub/", Remembered::Silent(ms(250))),
        ("http://around.example/pub/", Remembered::Detoured(Duration::from_micros(12_345))),
    ];
    let written = text(write(b"", NOW, Some(&HERE), &learned));
    let here = HERE.to_text();
    assert_eq!(
        written,
        format!(
            "[:_librepo_:]\nversion=1\n\n\
             [http://mirror.example]\nts={NOW}\nconnectime=0.012345\n\n\
             [:_fm_:network:http://mirror.example]\nts={NOW}\nnetwork={here}\n\n\
             [https://Other.Example:8443]\nts={NOW}\nconnectime=0.25\n\n\
             [:_fm_:network:https://Other.Example:8443]\nts={NOW}\nnetwork={here}\n\n\
             [:_fm_:outcome:http://shut.example]\nts={NOW}\noutcome=refused\nnetwork={here}\n\n\
             [:_fm_:outcome:http://slow.example]\nts={NOW}\noutcome=silent\nwaited=0.25\nnetwork={here}\n\n\
             [:_fm_:outcome:http://around.example]\nts={NOW}\noutcome=detoured\nlatency=0.012345\n\
             network={here}\n"
        )
    );
    let records = records(written.as_bytes(), NOW, Some(&HERE));
    assert_eq!(records.len(), 5);
    for (url, remembered) in learned {
        assert_eq!(records.get(&endpoint(url)), Some(remembered), "{url}");
    }
}

#[test]
fn spellings_and_protocols_of_an_endpoint_are_one() {
    let groups = [
        "http://mirror.example:443",
        "https://mirror.example",
        "HTTPS://Mirror.Example:443",
        "https://user:pw@mirror.example",
        "https://mirror.example/whole/url/as/a/direct/caller/asks",
    ];
    for group in groups {
        let file = record(NOW, "0.5").replace("http://mirror.example", group);
        let records = records(file.as_bytes(), NOW, None);
        let known = records.get(&endpoint("https://mirror.example/"));
        assert_eq!(known, Some(Remembered::Latency(ms(500))), "{group}");
    }
    // The newest counts, and of two from one second the better.
    let file = format!(
        "[:_librepo_:]\nversion=1\n[http://m.example]\nts={0}\nconnectime=0.1\n[http://m.example:80]\nts={NOW}\n\
         connectime=0.4\n[HTTP://m.example]\nts={NOW}\nconnectime=0.3\n",
        NOW - 1
    );
    let records = records(file.as_bytes(), NOW, None);
    assert_eq!(records.get(&endpoint("http://m.example/")), Some(Remembered::Latency(ms(300))));
    assert_eq!(records.len(), 1);
}

#[test]
fn latency_is_believed_only_if_it_can_be_one() {
    let latency = |micros| Some(Remembered::Latency(Duration::from_micros(micros)));
    let table = [
        ("0.012345", latency(12_345)),
        ("0.012345000000000001", latency(12_345)),
        ("1.2e-2", latency(12_000)),
        ("+.5", latency(500_000)),
        ("59.999", latency(59_999_000)),
        // Zero would leave no other mirror in the pool.
        ("1e-300", latency(1)),
        ("4.9e-324", latency(1)),
        ("60", None),
        ("1e308", None),
        ("1e999", None),
        ("0", None),
        ("-0.0", None),
        ("-1", None),
        ("-1.0", None),
        ("nan", None),
        ("-nan", None),
        ("inf", None),
        ("infinity", None),
        ("", None),
        ("0,5", None),
        ("0.5 ", None),
        ("0.5s", None),
        ("half", None),
        ("0x1p-3", None),
        ("\u{661}", None),
    ];
    for (value, expected) in table {
        assert_eq!(known(&record(NOW, value)), expected, "{value:?}");
    }
}

#[test]
fn record_counts_until_its_maximal_age() {
    let month = MONTH.as_secs() as i64;
    let table = [
        (NOW.to_string(), true),
        ((NOW - month).to_string(), true),
        ((NOW - month - 1).to_string(), false),
        ((NOW + CLOCK_TOLERANCE).to_string(), true),
        ((NOW + CLOCK_TOLERANCE + 1).to_string(), false),
        ("0".into(), false),
        ("-1".into(), false),
        (i64::MIN.to_string(), false),
        (i64::MAX.to_string(), false),
        ("99999999999999999999999".into(), false),
        ("-99999999999999999999999".into(), false),
        (format!("+{NOW}"), true),
        (format!("{NOW}.0"), false),
        (format!("{NOW} "), false),
        ("".into(), false),
        ("-".into(), false),
    ];
    for (ts, counts) in table {
        assert_eq!(known(&record(&ts, "0.5")).is_some(), counts, "{ts:?}");
    }
    // With an age of zero, what was written in this second counts, as for librepo.
    let file = record(NOW, "0.5");
    let left = |now| read(file.as_bytes(), at(now), None, Duration::ZERO).unwrap().len();
    assert_eq!((left(NOW), left(NOW + 1)), (1, 0));
    // A clock before 1970, and one far in the future.
    for now in [at(-5), at(i64::MAX / 2)] {
        assert!(read(file.as_bytes(), now, None, Duration::MAX).is_ok());
    }
}

#[test]
fn record_counts_unless_its_network_differs() {
    let url = "http://mirror.example/";
    let file = write(b"", NOW, Some(&HERE), &[(url, Remembered::Latency(ms(5)))]);
    let counts = |file: &[u8], network| records(file, NOW, network).get(&endpoint(url)).is_some();
    let table = [(Some(&HERE), true), (Some(&HALF_KNOWN), true), (None, true), (Some(&THERE), false)];
    for (network, expected) in table {
        assert_eq!(counts(&file, network), expected, "{network:?}");
    }
    // librepo renews the record and keeps our note, which no longer belongs to it.
    let renewed = text(file).replacen(&format!("ts={NOW}\n"), &format!("ts={}\n", NOW + 1), 1);
    assert!(counts(renewed.as_bytes(), Some(&THERE)), "{renewed}");
    // A note that cannot be read makes no difference either.
    let odd = renewed.replace(&format!("ts={}\n", NOW + 1), &format!("ts={NOW}\n"));
    let odd = odd.replace(&HERE.to_text(), "somewhere");
    assert!(counts(odd.as_bytes(), Some(&THERE)), "{odd}");
    // Where nothing is known of the network, no note is written, and an older one is removed.
    let file = write(odd.as_bytes(), NOW + 5, None, &[(url, Remembered::Latency(ms(5)))]);
    assert!(!text(file).contains("network"));
}

#[test]
fn noted_outcome_counts_for_an_hour_in_its_network_and_never_for_librepo() {
    let url = "http://mirror.example/";
    let works = ("http://works.example/", Remembered::Latency(ms(5)));
    for noted in [
        Remembered::Detoured(ms(5)),
        Remembered::Refused,
        Remembered::Unreachable,
        Remembered::Unresolved,
        Remembered::Silent(ms(5)),
    ] {
        let file = write(b"", NOW, Some(&HERE), &[(url, noted), works]);
        let then = |now, network| records(&file, now, network).get(&endpoint(url));
        assert_eq!(then(NOW + 3600, Some(&HERE)), Some(noted));
        assert_eq!(then(NOW + 3601, Some(&HERE)), None);
        assert_eq!(then(NOW - CLOCK_TOLERANCE - 1, Some(&HERE)), None);
        assert_eq!(then(NOW, Some(&THERE)), None);
        assert_eq!(then(NOW, None), Some(noted));
        assert!(!text(file).contains("[http://mirror.example]"));
    }
}

#[test]
fn newer_of_latency_and_failure_counts() {
    let url = "http://mirror.example/";
    let works = ("http://works.example/", Remembered::Latency(ms(5)));
    let known = |file: &[u8], now| records(file, now, Some(&HERE)).get(&endpoint(url));
    let good = write(b"", NOW, Some(&HERE), &[(url, Remembered::Latency(ms(7)))]);
    let failed = write(&good, NOW + 10, Some(&HERE), &[(url, Remembered::Refused), works]);
    assert_eq!(known(&failed, NOW + 10), Some(Remembered::Refused));
    // After the hour the older latency counts again.
    assert_eq!(known(&failed, NOW + 10 + 3601), Some(Remembered::Latency(ms(7))));
    let again = write(&failed, NOW + 20, Some(&HERE), &[(url, Remembered::Latency(ms(8)))]);
    assert_eq!(known(&again, NOW + 20), Some(Remembered::Latency(ms(8))));
    assert!(!text(again).contains("refused"));
    // librepo has measured it in the meantime.
    let file = text(failed).replacen(&format!("ts={NOW}\n"), &format!("ts={}\n", NOW + 11), 1);
    assert_eq!(known(file.as_bytes(), NOW + 12), Some(Remembered::Latency(ms(7))));
}

#[test]
fn newer_of_latency_and_detour_counts_and_removes_the_other() {
    let url = "http://mirror.example/";
    let known = |file: &[u8], now| records(file, now, Some(&HERE)).get(&endpoint(url));
    let direct = write(b"", NOW, Some(&HERE), &[(url, Remembered::Latency(ms(7)))]);
    // A detour counts also in the second of the latency.
    for then in [NOW, NOW + 10] {
        let detoured = write(&direct, then, Some(&HERE), &[(url, Remembered::Detoured(ms(8)))]);
        assert_eq!(known(&detoured, then), Some(Remembered::Detoured(ms(8))));
        assert!(!text(detoured.clone()).contains("[http://mirror.example]"));
        assert_eq!(known(&detoured, then + 3601), None);
        let again = write(&detoured, then + 20, Some(&HERE), &[(url, Remembered::Latency(ms(9)))]);
        assert_eq!(known(&again, then + 20), Some(Remembered::Latency(ms(9))));
        assert!(!text(again).contains("detoured"));
    }
}

#[test]
fn detour_beats_an_older_record_of_librepo_and_leaves_it_alone() {
    let url = "http://mirror.example/";
    let known = |file: &[u8], now| records(file, now, Some(&HERE)).get(&endpoint(url));
    for then in [NOW, NOW + 10] {
        let theirs = record(NOW, "0.5");
        let detoured = write(theirs.as_bytes(), then, Some(&HERE), &[(url, Remembered::Detoured(ms(8)))]);
        assert!(text(detoured.clone()).starts_with(&theirs));
        assert_eq!(known(&detoured, then), Some(Remembered::Detoured(ms(8))));
        // After the hour the older latency counts again.
        assert_eq!(known(&detoured, then + 3601), Some(Remembered::Latency(ms(500))));
        // librepo has measured it in the meantime.
        let renewed = text(detoured).replacen(&format!("ts={NOW}"), &format!("ts={}", then + 1), 1);
        assert_eq!(known(renewed.as_bytes(), then + 2), Some(Remembered::Latency(ms(500))));
    }
}

#[test]
fn note_with_an_odd_time_or_an_unknown_word_is_absent() {
    let table = [
        ("silent\nwaited=0.25", Some(Remembered::Silent(ms(250)))),
        ("silent\nlatency=0.25", None),
        ("silent", None),
        ("silent\nwaited=0", None),
        ("silent\nwaited=-1", None),
        ("silent\nwaited=60", None),
        ("silent\nwaited=nan", None),
        ("silent\nwaited=inf", None),
        ("silent\nwaited=long", None),
        ("detoured\nlatency=0.25", Some(Remembered::Detoured(ms(250)))),
        ("detoured\nconnectime=0.25", None),
        ("detoured\nwaited=0.25", None),
        ("detoured\nlatency=1e999", None),
        ("detoured\nlatency=0", None),
        ("unresolved", Some(Remembered::Unresolved)),
        // A word of earlier versions.
        ("outside", None),
        ("Refused", None),
        ("latency\nlatency=0.25", None),
        ("", None),
    ];
    for (outcome, expected) in table {
        let file = format!(
            "[:_librepo_:]\nversion=1\n[:_fm_:outcome:http://mirror.example]\nts={NOW}\noutcome={outcome}\n"
        );
        assert_eq!(known(&file), expected, "{outcome}");
        // What cannot be read is dropped.
        let (written, _) = merge(file.as_bytes(), at(NOW), None, &[], None);
        assert_eq!(text(written).contains("outcome"), expected.is_some(), "{outcome}");
    }
    // None is written that would not be read.
    let works = ("http://works.example/", Remembered::Latency(ms(5)));
    for time in [Duration::ZERO, Duration::from_secs(60)] {
        for odd in [Remembered::Silent(time), Remembered::Detoured(time), Remembered::Latency(time)] {
            let file = write(b"", NOW, None, &[("http://mirror.example/", odd), works]);
            assert!(!text(file).contains("mirror.example"), "{odd:?}");
        }
    }
}

#[test]
fn age_counts_from_the_record() {
    for (now, age) in [(NOW, 0), (NOW + 1, 1), (NOW + 3600, 3600), (NOW - CLOCK_TOLERANCE, 0)] {
        let learned = [
            ("http://mirror.example/", Remembered::Latency(ms(5))),
            ("http://silent.example/", Remembered::Silent(ms(5))),
        ];
        let file = write(b"", NOW, None, &learned);
        let records = records(&file, now, None);
        for (url, remembered) in learned {
            let recalled = records.recall(&endpoint(url));
            assert_eq!(recalled, Some(Recalled { remembered, age: Duration::from_secs(age) }), "{url} {now}");
        }
    }
}

#[test]
fn better_of_two_outcomes_in_one_second_counts_in_any_order() {
    let note = |outcome, name| format!("[:_fm_:outcome:http://{name}]\nts={NOW}\noutcome={outcome}\n");
    let outcomes = [
        ("detoured\nlatency=0.004", Remembered::Detoured(ms(4))),
        ("detoured\nlatency=0.005", Remembered::Detoured(ms(5))),
        ("refused", Remembered::Refused),
        ("unreachable", Remembered::Unreachable),
        ("unresolved", Remembered::Unresolved),
        ("silent\nwaited=0.004", Remembered::Silent(ms(4))),
        ("silent\nwaited=0.005", Remembered::Silent(ms(5))),
    ];
    for (better, (good, wanted)) in outcomes.into_iter().enumerate() {
        for (bad, _) in &outcomes[better..] {
            let (good, bad) = (note(good, "mirror.example"), note(bad, "mirror.example:80"));
            for notes in [[&good, &bad], [&bad, &good]] {
                let file = format!("[:_librepo_:]\nversion=1\n{}{}", notes[0], notes[1]);
                assert_eq!(known(&file), Some(wanted), "{file}");
            }
        }
    }
}

#[test]
fn newer_of_two_writers_wins() {
    let url = "http://mirror.example/";
    let known = |file: &[u8], now| records(file, now, None).get(&endpoint(url));
    let file = write(b"", NOW, None, &[(url, Remembered::Latency(ms(7)))]);
    let late = write(&file, NOW - 5, None, &[(url, Remembered::Latency(ms(9)))]);
    assert_eq!(known(&late, NOW), Some(Remembered::Latency(ms(7))));
    let same_second = write(&file, NOW, None, &[(url, Remembered::Latency(ms(9)))]);
    assert_eq!(known(&same_second, NOW), Some(Remembered::Latency(ms(9))));
    // Unless the clock of the newer one was wrong.
    let ahead = write(b"", NOW + DAY, None, &[(url, Remembered::Latency(ms(7)))]);
    assert_eq!(known(&ahead, NOW), None);
    let set_right = write(&ahead, NOW, None, &[(url, Remembered::Latency(ms(9)))]);
    assert_eq!(known(&set_right, NOW), Some(Remembered::Latency(ms(9))));
    // A failure written by librepo does not count as newer.
    let failed = record(NOW + 5, "-1");
    let file = write(failed.as_bytes(), NOW, None, &[(url, Remembered::Latency(ms(9)))]);
    assert_eq!(known(&file, NOW), Some(Remembered::Latency(ms(9))));
}

#[test]
fn only_a_seed_is_written_when_no_mirror_answered() {
    let failures = [
        (record_name("http://a.example/"), Remembered::Refused),
        (record_name("http://b.example/"), Remembered::Silent(ms(5))),
        (record_name("http://c.example/"), Remembered::Unresolved),
    ];
    let seed = KeptSeed { seed: 5, rotate_every: MONTH };
    assert!(!policy::is_worth_writing(facts(&failures), false));
    assert!(!policy::is_worth_writing([], false));
    assert!(policy::is_worth_writing(facts(&failures), true));
    let (file, _) = merge(b"", at(NOW), None, &failures, Some(seed));
    assert_eq!(text(file), format!("[:_librepo_:]\nversion=1\n\n[:_fm_:]\nseed=5\ndrawn={NOW}\n"));
}

#[test]
fn seed_is_kept_for_its_period_and_the_first_one_stays() {
    let kept = |seed| Some(KeptSeed { seed, rotate_every: Duration::from_secs(100) });
    let every = Duration::from_secs(100);
    let (file, _) = merge(b"", at(NOW), None, &[], kept(u64::MAX));
    let seed = |file: &[u8], now| records(file, now, None).seed(every, at(now));
    assert_eq!(seed(&file, NOW), Some(u64::MAX));
    assert_eq!(seed(&file, NOW + 99), Some(u64::MAX));
    assert_eq!(seed(&file, NOW + 100), None);
    assert_eq!(seed(&file, NOW - CLOCK_TOLERANCE - 1), None);
    let (second, _) = merge(&file, at(NOW + 99), None, &[], kept(7));
    assert_eq!(second, file);
    let (third, _) = merge(&file, at(NOW + 100), None, &[], kept(7));
    assert_eq!(seed(&third, NOW + 100), Some(7));
    for odd in ["seed=-1", "seed=1e3", "seed=", "seed=18446744073709551616", "seed=x"] {
        let file = format!("[:_librepo_:]\nversion=1\n[:_fm_:]\n{odd}\ndrawn={NOW}\n");
        assert_eq!(seed(file.as_bytes(), NOW), None, "{odd}");
    }
}

#[test]
fn file_that_is_not_a_cache_is_ignored_and_replaced() {
    let record = format!("[http://mirror.example]\nts={NOW}\nconnectime=0.5\n");
    let table = [
        (format!("[:_librepo_:]\nversion=1\n{record}"), None),
        // Where the header stands does not matter, and the last version counts.
        (format!("{record}[:_librepo_:]\nversion=2\nversion=1 or so\n"), None),
        (String::new(), Some("it has no group [:_librepo_:]")),
        (record.clone(), Some("it has no group [:_librepo_:]")),
        (format!("[:_librepo_:]\n{record}"), Some("its version is not 1")),
        (format!("[:_librepo_:]\nversion=2\n{record}"), Some("its version is not 1")),
        (format!("[:_librepo_:]\nversion=1.0\n{record}"), Some("its version is not 1")),
        (format!("[:_librepo_:]\nversion=4294967297\n{record}"), Some("its version is not 1")),
        (
            format!("version=1\n[:_librepo_:]\nversion=1\n{record}"),
            Some("line 1: a key before the first group"),
        ),
        (
            format!("[:_librepo_:]\nversion=1\nnonsense\n{record}"),
            Some("line 3: not a group, a key with a value, or a comment"),
        ),
        (format!("[:_librepo_:]\nversion=1\n[x[y]\n{record}"), Some("line 3: invalid group name")),
        (format!("[:_librepo_:]\nversion=1\na[=1\n{record}"), Some("line 3: invalid key")),
        (
            format!("[:_librepo_:]\nversion=1\nEncoding=latin1\n{record}"),
            Some("line 3: the encoding is not UTF-8"),
        ),
    ];
    for (file, expected) in table {
        let read = read(file.as_bytes(), at(NOW), None, MONTH);
        match expected {
            None => assert_eq!(read.map(|records| records.len()), Ok(1), "{file}"),
            Some(why) => assert_eq!(read.expect_err(&file).to_string(), why),
        }
        let (written, problem) = merge(file.as_bytes(), at(NOW), None, &[], None);
        // An empty file, or one that does not exist yet, is not worth a message.
        assert_eq!(problem.is_some(), expected.is_some() && !file.is_empty(), "{file}");
        if expected.is_some() {
            assert_eq!(written, b"[:_librepo_:]\nversion=1\n", "{file}");
        } else {
            assert_eq!(text(written), file);
        }
    }
    let large = [b"[:_librepo_:]\nversion=1\n", "#\n".repeat(MAX_SIZE / 2).as_bytes()].concat();
    assert_eq!(read(&large, at(NOW), None, MONTH).err(), Some(NotACache::TooLarge));
}

#[test]
fn other_text_is_preserved_byte_for_byte() {
    let file = format!(
        "# a comment\r\n\n  [:_librepo_:]  \n\tversion = 1\r\n# between\n[some group]\nkey=value\nName[de]=Wert\n\
         \n; no\u{e4}=comment\n[http://mirror.example]\r\n  ts =\t{0}\r\n# why\nconnectime=  0.5\nmine = 7\n\n# of the next\n\
         [foreign]\nts=hello\nx=\\n\\q\n\n\n[http://mirror.example]\nts = {0}\n",
        NOW - 9
    );
    let (same, problem) = merge(file.as_bytes(), at(NOW), None, &[], None);
    assert_eq!((text(same), problem), (file.clone(), None));
    let written =
        write(file.as_bytes(), NOW, None, &[("http://mirror.example/", Remembered::Latency(ms(250)))]);
    // Of a key that stands there twice the last one counts, so that one is changed, in its place.
    let expected = file.replace("connectime=  0.5", "connectime=  0.25");
    let last = expected.rfind(&format!("ts = {}", NOW - 9)).unwrap();
    let expected = format!("{}ts = {NOW}\n", &expected[..last]);
    assert_eq!(text(written), expected);
}

#[test]
fn outdated_records_and_notes_are_dropped() {
    let network = HERE.to_text();
    let header = "[:_librepo_:]\nversion=1\n";
    let record = |name: &str, ts: i64| format!("\n[{name}]\nts={ts}\nconnectime=0.5\n");
    let note = |name: &str, ts: i64| format!("\n[:_fm_:network:{name}]\nts={ts}\nnetwork={network}\n");
    let outcome = |name: &str, ts: i64| format!("\n[:_fm_:outcome:{name}]\nts={ts}\noutcome=refused\n");
    let kept = [
        record("http://a.example", NOW - 180 * DAY),
        note("http://a.example", NOW - 180 * DAY),
        record("http://ahead.example", NOW + CLOCK_TOLERANCE),
        note("http://ahead.example", NOW + CLOCK_TOLERANCE),
        outcome("http://ahead.example.", NOW + CLOCK_TOLERANCE),
        outcome("http://shut.example", NOW - 3600),
        record("http://since.example", NOW - 60),
        outcome("http://since.example", NOW - 50),
        "\n[:_fm_:]\nseed=5\ndrawn=1\n".into(),
        "\n[:_fm_:later]\nx=1\n".into(),
        "\n[:_other_:]\nx=1\n".into(),
        "\n[foreign]\nx=1\n".into(),
    ]
    .concat();
    let dropped = [
        record("http://b.example", NOW - 180 * DAY - 1),
        note("http://b.example", NOW - 180 * DAY - 1),
        record("http://future.example", NOW + CLOCK_TOLERANCE + 1),
        note("http://future.example", NOW + CLOCK_TOLERANCE + 1),
        record("http://end.example", i64::MAX),
        outcome("http://end.example", i64::MAX),
        note("http://a.example.", NOW),
        record("http://c.example", NOW - 5).replace(&format!("ts={}", NOW - 5), "ts=soon"),
        "\n[http://d.example]\nconnectime=0.5\n".into(),
        outcome("http://long.example", NOW - 3601),
        outcome("http://far.example", NOW + 9999),
        outcome("http://odd.example", NOW).replace("refused", "odd"),
        record("http://up.example", NOW - 5),
        outcome("http://up.example", NOW - 6),
    ];
    let up = record("http://up.example", NOW - 5);
    let file = format!("{header}{kept}{}", dropped.concat());
    let (written, _) = merge(file.as_bytes(), at(NOW), None, &[], None);
    assert_eq!(text(written), format!("{header}{kept}{up}"));
}

#[test]
fn removed_group_leaves_the_comments_of_the_next_one() {
    let file = format!(
        "[:_librepo_:]\nversion=1\n\n[http://old.example]\n# of old\nts=1\nconnectime=1\n\n# of new\n\n[http://new.example]\n\
         ts={NOW}\nconnectime=1\n"
    );
    let (written, _) = merge(file.as_bytes(), at(NOW), None, &[], None);
    let new = format!("[http://new.example]\nts={NOW}\nconnectime=1\n");
    assert_eq!(text(written), format!("[:_librepo_:]\nversion=1\n\n# of new\n{new}"));
}

#[test]
fn password_stored_by_librepo_is_removed() {
    let file = format!(
        "[:_librepo_:]\nversion=1\n\n[https://me:secret@mirror.example]\nts={NOW}\nconnectime=0.25\n\n\
         [:_fm_:network:https://me:secret@mirror.example]\nts={NOW}\nnetwork=x\n\n\
         [https://me:secret@[]=\n"
    );
    // With the last line it is not a key file at all; without it:
    let file = file.rsplit_once("\n[https").unwrap().0;
    let (written, _) = merge(file.as_bytes(), at(NOW + 1), None, &[], None);
    let written = text(written);
    assert!(!written.contains("secret"), "{written}");
    let known = records(written.as_bytes(), NOW, None).get(&endpoint("https://mirror.example/"));
    assert_eq!(known, Some(Remembered::Latency(ms(250))), "{written}");
    // Those that lead to no mirror are removed, and what is no record of librepo's is not.
    let useless = ["rsync://me:secret@a.example", "http://me:se#cret@a.example", "me:secret@", "http://@:0"];
    let useless: String = useless.iter().map(|name| format!("[{name}]\nts={NOW}\nconnectime=1\n")).collect();
    let foreign = "[:_foreign@:]\na=b\n";
    let both = format!("{written}\n{useless}{foreign}");
    assert_eq!(text(merge(both.as_bytes(), at(NOW), None, &[], None).0), format!("{written}\n{foreign}"));
    // One from the future replaces nothing.
    let future = written.replace(&format!("ts={NOW}"), &format!("ts={}", NOW + DAY));
    let future = future.replace("[https://mirror", "\n[https://me:secret@mirror").replace("=0.25", "=0.5");
    let both = format!("{written}{}", &future[future.find("\n[https").unwrap()..]);
    assert_eq!(text(merge(both.as_bytes(), at(NOW), None, &[], None).0), written, "{both}");
}

#[test]
fn half_written_file_is_read_as_far_as_it_goes() {
    let learned: Vec<(String, Remembered)> =
        (0..5).map(|n| (format!("http://m{n}.example/"), Remembered::Latency(ms(100 + n)))).collect();
    let mut learned: Vec<_> = learned.iter().map(|(url, remembered)| (url.as_str(), *remembered)).collect();
    learned.push(("http://silent.example/", Remembered::Silent(ms(123))));
    learned.push(("http://around.example/", Remembered::Detoured(ms(123))));
    let whole = write(b"", NOW, Some(&HERE), &learned);
    let all = records(&whole, NOW, None);
    for end in 0..whole.len() {
        match read(&whole[..end], at(NOW), None, MONTH) {
            // Not even the header is complete.
            Err(why) => assert!(end < 25, "{end}: {why}"),
            Ok(part) => {
                for (endpoint, fact) in &part.facts {
                    assert_eq!(all.facts.get(endpoint), Some(fact), "{end}");
                }
            }
        }
        // Writing then does not turn half a number into a whole one.
        if end >= 25 {
            let (written, problem) = merge(&whole[..end], at(NOW), None, &[], None);
            assert_eq!(problem, None, "{end}");
            for (endpoint, fact) in &records(&written, NOW, None).facts {
                assert_eq!(all.facts.get(endpoint), Some(fact), "{end}");
            }
        }
    }
    // A last line without a line break that is not ours is left as it is.
    let mine = "[:_librepo_:]\nversion=1\n[mine]\nkey=value";
    assert_eq!(text(merge(mine.as_bytes(), at(NOW), None, &[], None).0), mine);
}

#[test]
fn file_size_is_bounded() {
    let mut file = KeyFile::default();
    file.set(HEADER, VERSION, "1");
    for n in 0..60_000 {
        let name = format!("http://a-rather-long-name-of-a-mirror-{n}.example");
        file.set(name.as_bytes(), TS, &(NOW - n).to_string());
        file.set(name.as_bytes(), LATENCY, "0.012345000000000001");
    }
    let file = file.to_bytes();
    assert!(file.len() > MAX_WRITTEN && file.len() < MAX_SIZE, "{}", file.len());
    let written = write(&file, NOW, Some(&HERE), &[("http://new.example/", Remembered::Latency(ms(5)))]);
    assert!(written.len() < MAX_WRITTEN);
    let records = records(&written, NOW, None);
    assert_eq!(records.len(), 30_001);
    for url in ["http://new.example/", "http://a-rather-long-name-of-a-mirror-0.example/"] {
        assert!(records.get(&endpoint(url)).is_some(), "{url}");
    }
    // Notes on outcomes count too.
    let mut file = b"[:_librepo_:]\nversion=1\n".to_vec();
    for n in 0..60_000 {
        let name = format!("http://a-rather-long-name-of-a-mirror-{n}.example");
        file.extend(format!("[:_fm_:outcome:{name}]\nts={}\noutcome=refused\n", NOW - 1).bytes());
    }
    assert!(file.len() > MAX_WRITTEN && file.len() < MAX_SIZE, "{}", file.len());
    assert!(merge(&file, at(NOW), None, &[], None).0.len() < MAX_WRITTEN);
}

/// A file with this many records, the first of them `age` seconds old and the others one more each.
fn file_of(names: impl IntoIterator<Item = String>, age: i64) -> Vec<u8> {
    let mut text = b"[:_librepo_:]\nversion=1\n".to_vec();
    for (name, age) in names.into_iter().zip(age..) {
        text.extend(format!("\n[{name}]\nts={}\nconnectime=0.012345\n", NOW - age).bytes());
    }
    text
}

#[test]
fn one_endpoint_and_protocol_has_one_record_and_one_note() {
    let old = [
        ("http://Mirror.example:80/", Remembered::Latency(ms(1))),
        ("HTTP://mirror.example/", Remembered::Silent(ms(1))),
        ("https://mirror.example:80/", Remembered::Latency(ms(2))),
        ("http://mirror.example:8080/", Remembered::Latency(ms(3))),
        ("http://mirror.example./", Remembered::Latency(ms(4))),
    ];
    let file = old.iter().fold(Vec::new(), |file, learned| {
        let works = ("http://works.example/", Remembered::Latency(ms(5)));
        write(&file, NOW - 10, Some(&HERE), &[*learned, works])
    });
    let direct = "\n[http://mirror.example/a/direct/caller]\nts=1790000000\nconnectime=0.5\n";
    let file = [file, direct.into()].concat();
    let groups = |file: Vec<u8>| -> Vec<String> {
        let names = text(file);
        names.lines().filter(|line| line.starts_with('[')).map(str::to_string).collect()
    };
    let rest = [
        "[:_librepo_:]",
        "[http://works.example]",
        "[:_fm_:network:http://works.example]",
        "[https://mirror.example:80]",
        "[:_fm_:network:https://mirror.example:80]",
        "[http://mirror.example:8080]",
        "[:_fm_:network:http://mirror.example:8080]",
        "[http://mirror.example.]",
        "[:_fm_:network:http://mirror.example.]",
        "[http://mirror.example/a/direct/caller]",
    ];
    // Of several spellings in one run the first is the name.
    let run = |remembered| {
        let spellings =
            ["http://mirror.example:0080/", "http://MIRROR.example/", "HTTP://Mirror.example:80/"];
        write(&file, NOW, Some(&HERE), &spellings.map(|url| (url, remembered)))
    };
    let own = ["[http://mirror.example]", "[:_fm_:network:http://mirror.example]"];
    assert_eq!(groups(run(Remembered::Latency(ms(9)))), [&rest[..], &own].concat());
    // A detour removes our records only.
    let own = ["[:_fm_:outcome:http://mirror.example]"];
    assert_eq!(groups(run(Remembered::Detoured(ms(9)))), [&rest[..], &own].concat());
    // Of a mirror that fails, the latency stays, and counts again after an hour.
    let works = ("http://works.example/", Remembered::Latency(ms(5)));
    let failed = write(&file, NOW, Some(&HERE), &[("http://mirror.example/", Remembered::Refused), works]);
    let latency = ["[http://Mirror.example:80]", "[:_fm_:network:http://Mirror.example:80]"];
    assert_eq!(groups(failed.clone()).len(), rest.len() + latency.len() + own.len());
    assert!(latency.iter().chain(&own).all(|name| groups(failed.clone()).contains(&name.to_string())));
    // If another process has written a newer one under another name, that stays.
    for newer in [Remembered::Latency(ms(7)), Remembered::Silent(ms(7))] {
        let works = ("http://works.example/", Remembered::Latency(ms(5)));
        let file = write(b"", NOW + 5, None, &[("HTTP://mirror.example/", newer), works]);
        let written = write(&file, NOW, None, &[("http://mirror.example/", Remembered::Latency(ms(9)))]);
        assert_eq!(text(written), text(file));
    }
}

/// The CPU time that this thread has used.
fn cpu_time() -> Duration {
    let used = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts");
    let nanoseconds = used.split(' ').next().and_then(|used| used.parse().ok()).expect("a number");
    Duration::from_nanos(nanoseconds)
}

#[test]
fn thirty_thousand_spellings_cost_no_time_and_no_record_of_others() {
    const COUNT: usize = 30_000;
    const FEW: usize = COUNT / 10;
    let spelling = |n: usize| -> String {
        let host = "a-mirror-with-a-name.example"
            .chars()
            .enumerate()
            .map(|(at, letter)| if n >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter });
        format!("http://{}:{}80", host.collect::<String>(), "0".repeat(n % 7))
    };
    let mirror = |n: usize| format!("http://m{n}.example");
    let copy = |_| spelling(0);
    let other = |n: usize| format!("https://other-{n}.example");
    let notes = |file: &[u8]| -> Vec<u8> {
        let names = text(file.to_vec());
        let names = names.lines().filter_map(|line| line.strip_prefix("[http")).rev();
        names.flat_map(|name| format!("\n[:_fm_:network:http{name}\nts={NOW}\n").into_bytes()).collect()
    };
    let others = file_of((0..400).map(other), 1000);
    // Many spellings in the file, in both directions.
    let with_spellings = |count| {
        let spellings = file_of((0..count).map(spelling), 10);
        let spellings = [&spellings, &notes(&spellings)[..]].concat();
        [&others, &spellings["[:_librepo_:]\nversion=1\n".len()..]].concat()
    };
    // The file after a run with so many URLs, and the CPU time that writing it takes.
    let merged = |file: &[u8], count: usize, url: &dyn Fn(usize) -> String| {
        assert!(file.len() < MAX_SIZE);
        let urls: Vec<String> = (0..count).map(url).collect();
        let mut written = Vec::new();
        let mut least = Duration::MAX;
        // The quickest of several times, since other tests run at the same time.
        for _ in 0..3 {
            let start = cpu_time();
            let learned = urls.iter().map(|url| (record_name(url), Remembered::Latency(ms(5)))).collect();
            (written, _) = super::merge(file, at(NOW), Some(&HERE), &learned, None);
            least = least.min(cpu_time() - start);
        }
        (written, least)
    };
    let urls: [(&str, &dyn Fn(usize) -> String); 3] =
        [("spellings", &spelling), ("endpoints", &mirror), ("copies", &copy)];
    for (what, url) in urls {
        let file = |count| if what == "copies" { others.clone() } else { with_spellings(count) };
        let (_, few) = merged(&file(FEW), FEW, url);
        let (written, many) = merged(&file(COUNT), COUNT, url);
        eprintln!("measured: {FEW} {what} merged in {few:?}, {COUNT} in {many:?}");
        // Ten times as many would take a hundred times as long if each were compared with each.
        assert!(many < 30 * few, "{what}: {few:?}, {many:?}");
        let records = records(&written, NOW, Some(&HERE));
        for n in 0..400 {
            assert!(records.get(&endpoint(&other(n))).is_some(), "{what}: {n}");
        }
        if what != "endpoints" {
            assert_eq!(records.len(), 401, "{what}");
            assert!(written.len() < others.len() + 500, "{what}: {}", written.len());
        }
    }
}

/// Files in which one thing is as large or as frequent as it can be, or two are that are used
/// together: the time is under the lock, where no deadline counts.
#[test]
fn file_of_any_shape_takes_time_in_proportion_to_its_size() {
    let half = |size: usize, first: &str, line: &str, group: &dyn Fn(usize) -> String| {
        let mut file = first.to_string();
        while file.len() < size / 2 {
            file.push_str(line);
        }
        for n in 0.. {
            if file.len() >= size {
                break;
            }
            file.push_str(&group(n));
        }
        file
    };
    let group = |name: String, ts: i64| format!("[{name}]\nts={ts}\nconnectime=1\n");
    let secret = |n: usize| group(format!("http://u{n}@a.example"), NOW - 9 + n as i64 % 9);
    let secret_host = |n: usize| group(format!("http://u@m{n}.example"), NOW);
    let spelling = |n: usize| group(format!("http://a.example:{}80", "0".repeat(n % 99)), NOW - n as i64);
    let outdated = |n: usize| format!("{}\n# kept\n\n", group(format!("http://m{n}.example"), 1));
    let network = |n: usize| format!("[:_fm_:network:http://m{n}.example]\nts={NOW}\nnetwork=x\n");
    let outcome =
        |n: usize| format!("[:_fm_:outcome:http://m{n}.example]\nts={NOW}\noutcome=refused\n# {n}\n\n");
    let nested = |n: usize| format!("[{}http://a.example]\nts={NOW}\n", ":_fm_:network:".repeat(n % 99));
    let groups: [(&str, &dyn Fn(usize) -> String); 8] = [
        ("passwords", &secret),
        ("passwords and hosts", &secret_host),
        ("spellings", &spelling),
        ("outdated records", &outdated),
        ("notes on networks", &network),
        ("notes on outcomes", &outcome),
        ("nested notes", &nested),
        ("groups in turn", &|n| [outdated(n), secret(n), network(n), outcome(n + 1), spelling(n)].concat()),
    ];
    let lines = [
        ("pairs", "a=\n"),
        ("times", "ts=1\nconnectime=1\n"),
        ("comments", "#\n"),
        ("blank lines", "\n"),
        ("sections", "[http://a.example]\na=\n[b]\n"),
    ];
    type Shape<'s> = (String, Box<dyn Fn(usize) -> String + 's>);
    let mut shapes: Vec<Shape<'_>> = Vec::new();
    for (what, group) in groups {
        for (of, line) in lines {
            let first = "[http://a.example]\n";
            shapes.push((format!("{of}, {what}"), Box::new(move |size| half(size, first, line, group))));
        }
    }
    // One line is as long as the file.
    for (start, middle, end) in [
        ("a[", "a", "]=1"),
        ("a[", "\u{e4}", "]=1"),
        ("a", " ", "=1"),
        ("", " ", "#"),
        ("[", "[", "]"),
        ("ts=", "0", "1"),
        ("connectime=", "0", "1"),
        ("connectime=0.", "1", ""),
        ("[http://", "a.", "example]"),
        ("[http://", "u@", "a.example]"),
        ("[http://", "%5B", "]"),
        ("[http://", "\u{e4}", ".example]"),
        ("[http://a.example:", "0", "80]"),
        ("[", ":_fm_:outcome:", "http://a.example]"),
    ] {
        let line = move |size: usize| {
            let middle = middle.repeat(size / middle.len());
            format!("[http://a.example]\n{start}{middle}{end}\nts={NOW}\nconnectime=1\n")
        };
        shapes.push((format!("{start}{middle}{middle}...{end}"), Box::new(line)));
    }
    let learned: Learned = ["http://a.example/", "http://m1.example/", "http://new.example/"]
        .map(|url| (record_name(url), Remembered::Latency(ms(5))))
        .into_iter()
        .collect();
    let used = |text: &str| {
        let file = format!("[:_librepo_:]\nversion=1\n{text}");
        // The quickest of several times, since other tests run at the same time.
        let times = (0..3).map(|_| {
            let start = cpu_time();
            let _ = read(file.as_bytes(), at(NOW), Some(&HERE), MONTH);
            drop(super::merge(file.as_bytes(), at(NOW), Some(&HERE), &learned, None));
            cpu_time() - start
        });
        times.min().unwrap_or_default()
    };
    for (what, shape) in shapes {
        let (few, many) = (used(&shape(16 << 10)), used(&shape(160 << 10)));
        // Ten times as much would take a hundred times as long if each were compared with each. The
        // kernel may count in steps of a few milliseconds.
        assert!(many < 30 * few.max(ms(4)), "{what}: {few:?}, {many:?}");
    }
}

#[test]
fn new_endpoints_of_a_run_are_left_out_before_records_of_others() {
    let name = |n: usize| format!("http://a-mirror-of-another-repository-{n}.example");
    let mut count = MAX_WRITTEN / file_of([name(10_000)], 0).len();
    while file_of((0..count).map(name), 100).len() < MAX_WRITTEN - MIN_ROOM / 2 {
        count += 100;
    }
    let full = file_of((0..count).map(name), 100);
    assert!(full.len() <= MAX_WRITTEN);
    // One that is known, the oldest one, and many that are not.
    let run = |file: &[u8], host: &str| {
        let new = (0..10_000)
            .map(|n| (record_name(&format!("http://{host}{n}.example")), Remembered::Latency(ms(5))));
        let known = (record_name(&name(count - 1)), Remembered::Latency(ms(5)));
        merge(file, at(NOW), Some(&HERE), &new.chain([known]).collect::<Vec<_>>(), None).0
    };
    let written = run(&full, "new");
    assert!(written.len() <= MAX_WRITTEN + MIN_ROOM, "{}", written.len());
    let after = records(&written, NOW, None);
    for n in 0..count - 1 {
        assert_eq!(after.get(&endpoint(&name(n))), Some(Remembered::Latency(Duration::from_micros(12_345))));
    }
    assert_eq!(after.get(&endpoint(&name(count - 1))), Some(Remembered::Latency(ms(5))));
    // A list of usual length finds room, and then the next run makes some.
    assert!(after.len() > count + 400, "{} {count}", after.len());
    let next = run(&written, "newer");
    assert!(next.len() <= MAX_WRITTEN);
    let after = records(&next, NOW, None);
    assert!(after.get(&endpoint(&name(0))).is_some() && after.get(&endpoint(&name(count - 2))).is_none());
    assert!(after.get(&endpoint("http://newer5000.example")).is_some());
}

/// The measured times are for the reader. The assertions leave room for a build without
/// optimization on a busy machine.
#[test]
fn reading_is_quick() {
    let learned: Vec<(RecordName, Remembered)> = (0..400)
        .map(|n| {
            (record_name(&format!("https://mirror-{n}.example.org/pub/")), Remembered::Latency(ms(1 + n)))
        })
        .collect();
    let (file, _) = merge(b"", at(NOW), Some(&HERE), &learned, None);
    let best = |run: &dyn Fn()| {
        let time = |_| {
            let start = Instant::now();
            run();
            start.elapsed()
        };
        (0..50).map(time).min().unwrap()
    };
    let reading = best(&|| assert_eq!(records(&file, NOW, Some(&HERE)).len(), 400));
    let merging = best(&|| drop(merge(&file, at(NOW + 1), Some(&HERE), &learned, None)));
    eprintln!("measured: 400 records ({} bytes): read in {reading:?}, merged in {merging:?}", file.len());
    assert!(reading < ms(30), "{reading:?}");
    // The worst that a hostile file can cost.
    for line in [
        "\n",
        "[a]\n",
        "[x\n",
        "a[a=\n",
        "[a]=\n",
        "\0",
        "[a\0]",
        "\u{e4}[\u{e4}=",
        " = ",
        "[:_librepo_:]\nversion=1\n",
    ] {
        let file = line.repeat((4 << 20) / line.len());
        let start = Instant::now();
        let _ = read(file.as_bytes(), at(NOW), None, MONTH);
        assert!(start.elapsed() < Duration::from_secs(30), "{line:?}: {:?}", start.elapsed());
    }
}

mod random;
