//! The real librepo reads what we write, and we read what librepo writes.

use super::*;
use std::net::{Ipv4Addr, TcpListener};

const HERE: Network = Network { ipv4: Some(1), ipv6: None };
const THERE: Network = Network { ipv4: Some(2), ipv6: None };

/// What librepo reported about a run.
#[derive(Debug)]
struct Run {
    cache: String,
    probes: u32,
    /// URL, latency in seconds, and whether it came from the cache; in librepo's order.
    mirrors: Vec<(String, f64, bool)>,
}

fn librepo(program: &Path, cache: &Path, max_age: u64, urls: &[String]) -> Run {
    let said = build::run(Command::new(program).arg(cache).arg(max_age.to_string()).args(urls));
    let mut run = Run { cache: String::new(), probes: 0, mirrors: Vec::new() };
    for line in said.lines() {
        match line.split_once(' ').unwrap() {
            ("cache", status) => run.cache = status.into(),
            ("probes", count) => run.probes = count.parse().unwrap(),
            (_, mirror) => {
                let words: Vec<&str> = mirror.split(' ').collect();
                let latency = f64::from_bits(words[1].parse().unwrap());
                run.mirrors.push((words[0].into(), latency, words[2] == "1"));
            }
        }
    }
    run
}

/// Mirrors on loopback, for which the kernel answers as long as the listeners exist.
fn mirrors(count: u8) -> (Vec<TcpListener>, Vec<String>) {
    let listeners: Vec<_> =
        (1..=count).map(|n| TcpListener::bind((Ipv4Addr::new(127, 0, 0, n), 0)).unwrap()).collect();
    let urls =
        listeners.iter().map(|listener| format!("http://{}", listener.local_addr().unwrap())).collect();
    (listeners, urls)
}

fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// The current time in whole seconds, as in the file.
fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[test]
fn librepo_uses_what_we_write_and_preserves_it() {
    let Some(program) = program("librepo_cache.c", "librepo") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let (_listeners, urls) = mirrors(5);
    let latencies = [31_415, 27_183, 16_180, 14_142, 17_321].map(Duration::from_micros);
    let learned: Vec<_> = urls
        .iter()
        .zip(latencies)
        .map(|(url, latency)| (record_name(&format!("{url}/pub/os/")), Remembered::Latency(latency)))
        .chain([
            (record_name(&closed()), Remembered::Refused),
            (record_name(&closed()), Remembered::Detoured(Duration::from_millis(5))),
            (record_name("http://far.example/"), Remembered::Silent(Duration::from_millis(5))),
            (record_name("http://nowhere.example/"), Remembered::Unresolved),
        ])
        .collect();
    let seed = KeptSeed { seed: 7, rotate_every: MONTH };
    let cache = CacheFile::new(&path);
    assert_eq!(cache.write(now(), Some(&HERE), learned.clone(), Some(seed)), Status::Fine);
    let before = fs::read_to_string(&path).unwrap();

    let run = librepo(&program, &path, 1000, &urls);
    assert_eq!((run.cache.as_str(), run.probes), ("read", 0), "{run:?}");
    let mut expected: Vec<_> =
        urls.iter().zip(latencies).map(|(url, latency)| (url.clone(), latency.as_secs_f64(), true)).collect();
    expected.sort_by(|a, b| a.1.total_cmp(&b.1));
    assert_eq!(run.mirrors, expected);
    assert_eq!(fs::read_to_string(&path).unwrap(), before, "librepo changed the file");

    // librepo does not use our notes but connects itself.
    for (noted, remembered) in &learned[5..7] {
        let noted = noted.as_str().to_string();
        let run = librepo(&program, &path, 1000, std::slice::from_ref(&noted));
        assert_eq!(run.probes, 1);
        // Nor do we use librepo's failures.
        let after = fs::read_to_string(&path).unwrap();
        assert!(after.contains(&format!("[{noted}]\nts=")) && after.contains("connectime=-1"), "{after}");
        let (records, _) = cache.read(now(), Some(&HERE), MONTH);
        assert_eq!(records.get(&endpoint(&noted)), Some(*remembered));
        assert!(after.starts_with(&before), "our groups did not survive: {after}");
    }
}

#[test]
fn file_of_librepo_is_used_and_is_what_we_would_write() {
    let Some(program) = program("librepo_cache.c", "librepo") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let (_listeners, urls) = mirrors(6);
    let run = librepo(&program, &path, 1000, &urls);
    assert_eq!(run.probes, 6);
    let (records, status) = read(&path);
    assert_eq!((records.len(), status), (6, Status::Fine));
    for (url, latency, _) in &run.mirrors {
        let expected = Duration::from_secs_f64(*latency).max(Duration::from_micros(1));
        assert_eq!(records.get(&endpoint(url)), Some(Remembered::Latency(expected)), "{url}");
    }
    // Byte for byte, given the same latencies in the same order and second. librepo's latencies are
    // differences of two doubles, whose last digit may be off; that digit is taken from librepo.
    let theirs = fs::read_to_string(&path).unwrap();
    let ts: u64 = theirs.split("ts=").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    let latency_of = |seconds: f64| Duration::from_secs_f64(seconds);
    let learned: Learned = run
        .mirrors
        .iter()
        .map(|(url, seconds, _)| (record_name(url), Remembered::Latency(latency_of(*seconds))))
        .collect();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(ts);
    let (ours, _) = records::merge(b"", then, None, &learned, None);
    let mut ours = String::from_utf8(ours).unwrap();
    for (_, seconds, _) in &run.mirrors {
        let line = |seconds| format!("\nconnectime={}\n", number::format_double(seconds));
        ours = ours.replace(&line(latency_of(*seconds).as_secs_f64()), &line(*seconds));
    }
    assert_eq!(ours, theirs);
    // When we write, records are added, and nothing else changes.
    let added = [(record_name("http://new.example/"), latency(5))];
    assert_eq!(CacheFile::new(&path).write(now(), None, added, None), Status::Fine);
    assert!(fs::read_to_string(&path).unwrap().starts_with(&theirs));
    assert_eq!(librepo(&program, &path, 1000, &urls).probes, 0);
}

#[test]
fn record_renewed_by_librepo_counts_and_outdates_our_note() {
    let Some(program) = program("librepo_cache.c", "librepo") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let (_listeners, urls) = mirrors(2);
    let cache = CacheFile::new(&path);
    let failed = closed();
    let learned = [
        (record_name(&urls[0]), latency(900)),
        (record_name(&urls[1]), latency(800)),
        (record_name(&failed), Remembered::Unreachable),
    ];
    let seed = KeptSeed { seed: 7, rotate_every: MONTH };
    let earlier = now() - Duration::from_secs(500);
    assert_eq!(cache.write(earlier, Some(&HERE), learned, Some(seed)), Status::Fine);
    let ours = |text: String| -> Vec<String> {
        text.split("\n\n")
            .map(|group| group.trim_end().to_string())
            .filter(|group| group.starts_with("[:_fm_:"))
            .collect()
    };
    let notes = ours(fs::read_to_string(&path).unwrap());
    assert_eq!(notes.len(), 4);
    // In another network none of it counts.
    let (records, _) = cache.read(now(), Some(&THERE), MONTH);
    assert_eq!(records.len(), 0);

    // For librepo both are too old.
    assert_eq!(librepo(&program, &path, 100, &urls).probes, 2);
    assert_eq!(ours(fs::read_to_string(&path).unwrap()), notes, "librepo changed our groups");
    // Its records count in any network, since the notes are older.
    let (records, _) = cache.read(now(), Some(&THERE), MONTH);
    for url in &urls {
        let Some(Remembered::Latency(latency)) = records.get(&endpoint(url)) else { panic!("{records:?}") };
        assert!(latency < Duration::from_millis(800), "{latency:?}");
    }
    assert_eq!(records.seed(MONTH, now()), Some(7));
    // Our next write removes the notes that no longer belong to a record.
    assert_eq!(
        cache.write(now(), None, [(record_name("http://new.example/"), latency(5))], None),
        Status::Fine
    );
    assert_eq!(ours(fs::read_to_string(&path).unwrap()).len(), 2);
}

#[test]
fn record_that_librepo_cannot_write_does_not_disturb_it() {
    let Some(program) = program("librepo_cache.c", "librepo") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let urls = ["http://[::1]:1/pub", "https://user:secret@127.0.0.1:1/pub"];
    let cache = CacheFile::new(&path);
    assert_eq!(cache.write(now(), None, urls.map(|url| (record_name(url), latency(5))), None), Status::Fine);
    let before = fs::read_to_string(&path).unwrap();
    assert!(!before.contains("secret") && before.contains("[http://%5B::1%5D:1]\n"), "{before}");
    let (_listeners, other) = mirrors(1);
    assert_eq!(librepo(&program, &path, 1000, &other).cache, "read");
    assert!(fs::read_to_string(&path).unwrap().starts_with(&before));
    let (records, _) = read(&path);
    for url in urls {
        assert_eq!(records.get(&endpoint(url)), Some(Remembered::Latency(Duration::from_millis(5))), "{url}");
    }
}

#[test]
fn file_is_a_cache_to_both_or_to_neither() {
    let Some(program) = program("librepo_cache.c", "librepo") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let url = "http://127.0.0.1:1".to_string();
    let ts = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let record = format!("[{url}]\nts={ts}\nconnectime=0.5\n");
    let table = [
        (format!("[:_librepo_:]\nversion=1\n\n{record}"), true),
        (format!("# comment\n\n  [:_librepo_:]  \r\n version =\t1\r\n{record}"), true),
        (format!("{record}[:_librepo_:]\nversion=0\n[x]\n[:_librepo_:]\nversion=1 \n"), true),
        (format!("[:_librepo_:]\nversion=1\n[{url}]\nts=1\nts={ts}\n[{url}]\nconnectime=0.5\n"), true),
        (format!("[:_librepo_:]\nversion=2\n{record}"), false),
        (format!("[:_librepo_:]\nversion=one\n{record}"), false),
        (format!("[:_librepo_:]\n{record}"), false),
        (format!("[:_LIBREPO_:]\nversion=1\n{record}"), false),
        (record.clone(), false),
        (format!("version=1\n{record}"), false),
        (format!("[:_librepo_:]\nversion=1\n{record}rubbish\n"), false),
        ("\0\0\0\0".into(), false),
        (String::new(), false),
    ];
    for (file, is_cache) in table {
        fs::write(&path, &file).unwrap();
        let (records, status) = read(&path);
        assert_eq!((status == Status::Fine, records.len()), (is_cache, usize::from(is_cache)), "{file}");
        let run = librepo(&program, &path, 1000, std::slice::from_ref(&url));
        assert_eq!((run.cache == "read", run.probes), (is_cache, u32::from(!is_cache)), "{file} {run:?}");
    }
}
