//! Tests of looking into the text of a cache, and of removing records from it.

use super::*;

const NOW: i64 = 1_790_000_000;
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const HERE: Network = Network { ipv4: Some(1 << 32), ipv6: None };
const THERE: Network = Network { ipv4: Some(2 << 32), ipv6: None };

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs())
}

fn contents(text: &str) -> Cache {
    read(text.as_bytes(), now(), &HERE, MONTH).expect("a cache")
}

fn cache(groups: &str) -> String {
    format!("# a comment\n[:_librepo_:]\nversion=1\n\n{groups}")
}

fn record(name: &str, age: i64, latency: f64) -> String {
    format!("[{name}]\nts={}\nconnectime={latency}\n\n", NOW - age)
}

fn network_note(name: &str, age: i64, network: Network) -> String {
    format!("[:_fm_:network:{name}]\nts={}\nnetwork={}\n\n", NOW - age, network.to_text())
}

fn outcome_note(name: &str, age: i64, values: &str, network: Network) -> String {
    let network = network.to_text();
    format!("[:_fm_:outcome:{name}]\nts={}\noutcome={values}\nnetwork={network}\n\n", NOW - age)
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text).expect("a pattern")).collect()
}

/// What a record says: what is remembered, its age and for how much longer it counts (both in
/// seconds), its network, whether it is librepo's, and whether it counts.
type Found = (Remembered, i64, i64, CacheNetwork, bool, bool);

#[test]
fn contents_say_what_is_remembered_for_how_long_and_whether_it_counts() {
    use CacheNetwork::*;
    use Remembered::*;
    const HOUR: i64 = 3600;
    const DAYS: i64 = 24 * HOUR;
    let ms = Duration::from_millis;
    let unknown = Network::default();
    // For each: the groups, and what is found in them.
    let table: [(String, &[Found]); 12] = [
        (record("http://a.example", 60, 0.01), &[(Latency(ms(10)), 60, 30 * DAYS - 60, Unknown, true, true)]),
        (
            record("http://a.example", 60, 0.01) + &network_note("http://a.example", 60, HERE),
            &[(Latency(ms(10)), 60, 30 * DAYS - 60, This, false, true)],
        ),
        (
            record("http://a.example", 60, 0.01) + &network_note("http://a.example", 60, THERE),
            &[(Latency(ms(10)), 60, 30 * DAYS - 60, Another, false, false)],
        ),
        (
            record("http://a.example", 60, 0.01) + &network_note("http://a.example", 60, unknown),
            &[(Latency(ms(10)), 60, 30 * DAYS - 60, Unknown, false, true)],
        ),
        // librepo has renewed the record since.
        (
            record("http://a.example", 30, 0.01) + &network_note("http://a.example", 60, THERE),
            &[(Latency(ms(10)), 30, 30 * DAYS - 30, Unknown, true, true)],
        ),
        (
            record("http://a.example", 31 * DAYS, 0.01),
            &[(Latency(ms(10)), 31 * DAYS, 0, Unknown, true, false)],
        ),
        // From the future: a little, and too much.
        (record("http://a.example", -10, 0.01), &[(Latency(ms(10)), 0, 30 * DAYS, Unknown, true, true)]),
        (record("http://a.example", -1000, 0.01), &[(Latency(ms(10)), 0, 0, Unknown, true, false)]),
        (
            outcome_note("http://a.example", 600, "silent\nwaited=0.25", HERE),
            &[(Silent(ms(250)), 600, HOUR - 600, This, false, true)],
        ),
        (
            outcome_note("http://a.example", HOUR + 1, "refused", HERE),
            &[(Refused, HOUR + 1, 0, This, false, false)],
        ),
        // The newer fact about an endpoint counts, under whatever protocol and spelling.
        (
            record("http://A.example:443", 60, 0.01)
                + &outcome_note("https://a.example", 30, "detoured\nlatency=0.02", HERE),
            &[
                (Latency(ms(10)), 60, 30 * DAYS - 60, Unknown, true, false),
                (Detoured(ms(20)), 30, HOUR - 30, This, false, true),
            ],
        ),
        // librepo's note of a failure, a record of another protocol, and a latency that no mirror
        // has.
        (
            record("http://a.example", 60, -1.0)
                + &record("rsync://a.example", 60, 0.01)
                + &record("http://b.example", 60, 100.0),
            &[],
        ),
    ];
    for (groups, expected) in table {
        let records = contents(&cache(&groups)).records;
        let found: Vec<_> = records
            .iter()
            .map(|it| {
                let seconds = |time: Duration| i64::try_from(time.as_secs()).expect("not that long");
                let (age, remaining) = (seconds(it.age), seconds(it.remaining));
                (it.remembered, age, remaining, it.network, it.is_of_librepo, it.counts)
            })
            .collect();
        assert_eq!(found, expected, "{groups}");
    }
}

#[test]
fn contents_are_in_the_order_of_the_file_and_hide_passwords() {
    let groups = record("https://user:secret@b.example:8443", 60, 0.01)
        + &record("http://%5B2001:db8::1%5D", 60, 0.02)
        + "[:_fm_:]\nseed=7\ndrawn=1789999000\n";
    let cache = contents(&cache(&groups));
    let names: Vec<_> =
        cache.records.iter().map(|it| format!("{} {}", it.protocol.scheme(), it.endpoint.host)).collect();
    assert_eq!(names, ["https b.example", "http 2001:db8::1"]);
    assert_eq!(cache.records[0].endpoint.port, 8443);
    assert!(!format!("{cache:?}").contains("secret"), "{cache:?}");
    assert_eq!(cache.seed, Some(CachedSeed { seed: 7, age: Duration::from_secs(1000) }));
}

#[test]
fn forget_removes_all_of_a_host_and_leaves_everything_else_as_it_is() {
    let before = record("http://keep.example", 60, 0.01)
        + &network_note("http://keep.example", 60, THERE)
        + "# about the next\n"
        + "[other]\nodd = 1 \n\n"
        + "[:_fm_:]\nseed=7\ndrawn=1\n\n"
        + "[:_new_:thing]\na=b\n";
    let gone = record("http://Gone.example", 60, 0.01)
        + &network_note("http://Gone.example", 60, HERE)
        + &outcome_note("https://gone.example:8443", 60, "refused", HERE)
        + &record("ftp://gone.example", 60, -1.0);
    let text = cache(&(gone + &before));
    let (after, forgotten) =
        forget(text.as_bytes(), Some(&patterns(&["gone.example"])), now()).expect("a cache");
    assert_eq!(String::from_utf8(after).expect("UTF-8"), cache(&before));
    assert_eq!(forgotten, 3);
    // One more pattern, that of a domain, and an address.
    let text = cache(&(record("http://192.0.2.1", 1, 0.01) + &record("http://a.dom.example", 1, 0.01)));
    for (pattern, expected) in [("192.0.2.1", 1), (".dom.example", 1), ("*", 2), ("dom.example", 0)] {
        let (after, forgotten) =
            forget(text.as_bytes(), Some(&patterns(&[pattern])), now()).expect("a cache");
        assert_eq!(forgotten, expected, "{pattern}");
        assert_eq!(after == text.as_bytes(), expected == 0, "{pattern}");
        read(&after, now(), &HERE, MONTH).expect("still a cache");
    }
}

#[test]
fn forget_all_leaves_a_cache_without_records() {
    let kept = "[other]\nodd=1\n\n[:_fm_:]\nseed=7\ndrawn=1\n\n[:_new_:thing]\na=b\n";
    let gone = record("http://a.example", 60, 0.01)
        + &network_note("http://a.example", 60, HERE)
        + &outcome_note("http://b.example", 60, "unresolved", THERE)
        + &record("rsync://c.example", 60, 0.01)
        + &record("http://user:secret@d.example", 60, 0.01);
    let (after, forgotten) = forget(cache(&(gone + kept)).as_bytes(), None, now()).expect("a cache");
    assert_eq!(String::from_utf8(after).expect("UTF-8"), cache(kept));
    assert_eq!(forgotten, 4);
}

#[test]
fn forget_leaves_no_password_behind() {
    let groups = record("http://user:secret@a.example", 60, 0.01) + &record("http://b.example", 60, 0.01);
    let (after, forgotten) =
        forget(cache(&groups).as_bytes(), Some(&patterns(&["b.example"])), now()).expect("a cache");
    let after = String::from_utf8(after).expect("UTF-8");
    assert!(forgotten == 1 && !after.contains("secret") && after.contains("[http://a.example]"), "{after}");
}

#[test]
fn other_files_are_refused() {
    for text in ["", "a list\n", "[:_librepo_:]\nversion=2\n", "[a]\n"] {
        assert!(read(text.as_bytes(), now(), &HERE, MONTH).is_err(), "{text}");
        assert!(forget(text.as_bytes(), None, now()).is_err(), "{text}");
    }
}
