//! Tests of the text, beside what librepo and other runs write.

use super::super::records;
use super::*;
use crate::cache::policy::Remembered;
use crate::cache::{RecordName, contents};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

const NOW: i64 = 1_790_000_000;
const HERE: Network = Network { ipv4: Some(0x1_0000_0001), ipv6: None };
const ELSEWHERE: Network = Network { ipv4: Some(0x2_0000_0001), ipv6: None };
const A: &str = "http://me:secret@a.example:8080/pub/os?token=secret";

fn time(at: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(at as u64)
}

fn host(name: &str) -> Host {
    Host::Name(name.into())
}

fn site(url: &str) -> Site {
    Site::of(url).expect("a mirror")
}

fn all() -> LearnedDownloads {
    LearnedDownloads {
        speeds: vec![(host("a.example"), 6_000_000), (Host::Address("2001:db8::1".parse().unwrap()), 5)],
        broken: vec![host("b.example")],
        troubles: vec![(site(A), Trouble::Missing), (site("http://[2001:db8::1]/"), Trouble::Stale)],
    }
}

fn merge(text: &[u8], at: i64, network: &Network, learned: &LearnedDownloads, process: u32) -> Vec<u8> {
    records::merge_downloads(text, time(at), network, learned, process).0
}

fn read_at(text: &[u8], at: i64, network: &Network) -> DownloadRecords {
    records::read_downloads(text, time(at), network).expect("a cache")
}

fn trouble(records: &DownloadRecords, url: &str) -> Option<&'static str> {
    records.trouble(url).map(|it| it.name())
}

#[test]
fn what_is_written_is_read_again_and_holds_no_secret() {
    let text = merge(b"", NOW, &HERE, &all(), 0x5f3a);
    let expected = "[:_librepo_:]\nversion=1\n\n\
         [:_fm_:speed:a.example]\nspeeds=1790000000 6000000 5f3a 100000001-x\n\n\
         [:_fm_:speed:2001:db8::1]\nspeeds=1790000000 5 5f3a 100000001-x\n\n\
         [:_fm_:trouble:b.example]\nts=1790000000\ntrouble=broken\nnetwork=100000001-x\n\n\
         [:_fm_:trouble:a.example/";
    let as_text = String::from_utf8(text.clone()).unwrap();
    assert!(as_text.starts_with(expected), "{as_text}");
    assert!(!as_text.contains("secret") && !as_text.contains("pub"));
    let records = read_at(&text, NOW + 60, &HERE);
    for (url, expected) in [
        ("https://a.example/pub/os/", Some("missing")),
        ("https://a.example/pub", None),
        ("https://[2001:db8:0::1]:1/", Some("stale")),
        ("http://b.example/", Some("broken")),
        ("ftp://b.example/any", Some("broken")),
        ("file:///srv", None),
    ] {
        assert_eq!(trouble(&records, url), expected, "{url}");
    }
    assert_eq!(records.trouble("http://b.example/"), Some(Demotion::Broken { age: Duration::from_secs(60) }));
    assert_eq!(records.observations(&host("a.example"))[0].speed, 6_000_000);
    assert_eq!(records.observations(&host("b.example")), []);
    // Of repository and host the newer trouble counts.
    let later = LearnedDownloads { broken: vec![host("a.example")], ..Default::default() };
    let records = read_at(&merge(&text, NOW + 9, &HERE, &later, 1), NOW + 10, &HERE);
    assert_eq!(trouble(&records, A), Some("broken"));
}

#[test]
fn trouble_is_forgotten_after_an_hour_and_broken_counts_in_its_network() {
    let text = merge(b"", NOW, &HERE, &all(), 1);
    let records = read_at(&text, NOW + 3601, &HERE);
    assert_eq!((trouble(&records, A), trouble(&records, "http://b.example/")), (None, None));
    let records = read_at(&text, NOW, &ELSEWHERE);
    assert_eq!((trouble(&records, A), trouble(&records, "http://b.example/")), (Some("missing"), None));
    // The next write removes it, whatever is written, and keeps the speeds for 60 days.
    let (later, _) = records::merge(&text, time(NOW + 3700), None, &[].into_iter().collect(), None);
    let later = String::from_utf8(later).unwrap();
    assert!(later.contains(":_fm_:speed:a.example") && !later.contains("trouble"), "{later}");
    let days = |days: i64| {
        records::merge(later.as_bytes(), time(NOW + days * 86400), None, &[].into_iter().collect(), None).0
    };
    assert!(String::from_utf8(days(60)).unwrap().contains("speeds"));
    assert!(!String::from_utf8(days(61)).unwrap().contains("speeds"));
}

#[test]
fn writes_of_rankings_and_of_librepo_preserve_it() {
    let text = merge(b"", NOW, &HERE, &all(), 1);
    let name = RecordName::for_url("http://a.example/");
    let learned = [(name, Remembered::Latency(Duration::from_millis(5)))].into_iter().collect();
    let (ranked, _) = records::merge(&text, time(NOW + 1), Some(&HERE), &learned, None);
    assert!(ranked.starts_with(&text), "it is the same, with the record behind it");
    let records = read_at(&ranked, NOW + 1, &HERE);
    assert_eq!(trouble(&records, A), Some("missing"));
    // And the other way around.
    let again = merge(&ranked, NOW + 2, &HERE, &LearnedDownloads::default(), 1);
    assert_eq!(again, ranked);
}

#[test]
fn speeds_of_several_runs_follow_each_other() {
    let speed = |speed| LearnedDownloads { speeds: vec![(host("a.example"), speed)], ..Default::default() };
    let mut text = Vec::new();
    for n in 0..5 {
        let network = if n == 2 { &ELSEWHERE } else { &HERE };
        text = merge(&text, NOW + n, network, &speed(n as u64 + 1), n as u32);
    }
    let speeds: Vec<u64> =
        read_at(&text, NOW, &HERE).observations(&host("a.example")).iter().map(|it| it.speed).collect();
    assert_eq!(speeds, [3, 4, 5]);
    // The same process again.
    text = merge(&text, NOW + 9, &HERE, &speed(9), 4);
    let last = read_at(&text, NOW, &HERE).observations(&host("a.example")).last().map(|it| it.speed);
    assert_eq!(last, Some(9));
}

#[test]
fn groups_are_limited_in_number_and_the_newest_stay() {
    let mut text = Vec::new();
    for n in 0..40 {
        let hosts: Vec<Host> = (0..10).map(|m| host(&format!("m{n}-{m}.example"))).collect();
        let learned = LearnedDownloads {
            speeds: hosts.iter().map(|host| (host.clone(), 7)).collect(),
            broken: hosts,
            troubles: vec![],
        };
        text = merge(&text, NOW + n, &HERE, &learned, n as u32);
    }
    let count = |text: &[u8], group: &str| String::from_utf8_lossy(text).matches(group).count();
    assert_eq!(count(&text, "[:_fm_:speed:"), MAX_SPEEDS);
    assert_eq!(count(&text, "[:_fm_:trouble:"), MAX_TROUBLES);
    let records = read_at(&text, NOW + 40, &HERE);
    assert_eq!(trouble(&records, "http://m39-9.example/"), Some("broken"));
    assert_eq!(trouble(&records, "http://m0-0.example/"), None);
    assert_eq!(records.observations(&host("m39-9.example")).len(), 1);
}

#[test]
fn forgetting_a_host_removes_its_history() {
    let text = merge(b"", NOW, &HERE, &all(), 1);
    let forget = |hosts: &[&str]| {
        let patterns: Vec<Pattern> = hosts.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let (text, count) = contents::forget(&text, Some(&patterns), time(NOW)).expect("a cache");
        (String::from_utf8(text).unwrap(), count)
    };
    let (rest, count) = forget(&["a.example"]);
    assert!(count == 2 && !rest.contains("a.example") && rest.contains("b.example"), "{rest}");
    assert_eq!(forget(&["*:*"]).1, 2, "an IPv6 address");
    assert_eq!(forget(&["c.example"]), (String::from_utf8(text.clone()).unwrap(), 0));
    let (rest, count) = contents::forget(&text, None, time(NOW)).expect("a cache");
    assert_eq!((String::from_utf8(rest).unwrap().as_str(), count), ("[:_librepo_:]\nversion=1\n", 5));
}

#[test]
fn odd_groups_count_for_nothing_and_are_removed_by_the_next_write() {
    let odd = "[:_librepo_:]\nversion=1\n\n[:_fm_:speed:]\nspeeds=1790000000 5 1 x-x\n\n\
         [:_fm_:speed:me:pw@a.example]\nspeeds=1790000000 5 1 x-x\n\n\
         [:_fm_:speed:b.example]\nspeeds=1790000000 0 1 x-x;5;1790000000 5 1 x-x y;99999999999 5 1 x-x\n\n\
         [:_fm_:speed:c.example/0123456789abcdef]\nspeeds=1790000000 5 1 x-x\n\n\
         [:_fm_:trouble:d.example/pub/os]\nts=1790000000\ntrouble=missing\n\n\
         [:_fm_:trouble:e.example]\nts=1790000000\ntrouble=tired\n\n\
         [:_fm_:trouble:f.example]\ntrouble=broken\n\n\
         [:_fm_:trouble:g.example]\nts=1790009999\ntrouble=broken\n";
    let records = read_at(odd.as_bytes(), NOW, &HERE);
    for name in ["d.example/pub/os", "e.example", "f.example", "g.example"] {
        assert_eq!(trouble(&records, &format!("http://{name}")), None);
    }
    assert_eq!(records.observations(&host("b.example")), []);
    let text = merge(odd.as_bytes(), NOW, &HERE, &LearnedDownloads::default(), 1);
    assert_eq!(String::from_utf8(text).unwrap(), "[:_librepo_:]\nversion=1\n");
}

proptest! {
    #[test]
    fn any_text_is_read_and_changed_without_a_panic(
        lines in prop::collection::vec(
            prop_oneof![
                Just("[:_fm_:speed:a.example]".to_string()),
                Just("[:_fm_:trouble:a.example]".to_string()),
                "\\[:_fm_:(speed|trouble):[a-z./:@0-9]{0,24}\\]",
                "speeds=[-0-9a-fx ;]{0,60}",
                "ts=17900000[0-9]{2}",
                "trouble=(missing|stale|broken|x)",
            ],
            0..30,
        ),
    ) {
        let text = format!("[:_librepo_:]\nversion=1\n{}\n", lines.join("\n"));
        let before = read_at(text.as_bytes(), NOW, &HERE);
        let _ = (before.trouble(A), before.observations(&host("a.example")).len());
        let after = merge(text.as_bytes(), NOW, &HERE, &all(), 1);
        let read = read_at(&after, NOW, &HERE);
        prop_assert!(trouble(&read, A).is_some());
        prop_assert!(!after.contains(&b'@'));
        // Nothing to learn changes nothing.
        prop_assert_eq!(merge(&after, NOW, &HERE, &LearnedDownloads::default(), 1), after);
    }
}
