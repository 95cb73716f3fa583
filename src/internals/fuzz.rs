//! What the fuzz targets call.

use crate::cache::contents;
use crate::cache::keyfile::KeyFile;
use crate::cache::policy::Remembered;
use crate::cache::records::{self, KeptSeed, Learned};
use crate::cache::{RecordName, number};
use crate::history::{LearnedDownloads, Site, Trouble};
use crate::network::{self, Network};
use crate::probe::simulation;
use crate::url::{Endpoint, Mirror};
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

const NOW: u64 = 1_790_000_000;
const HERE: Network = Network { ipv4: Some(1), ipv6: None };
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// A group of a key file: its name, and its keys with their values.
pub type Group = (Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

/// Our reading of a key file, as GLib's functions show theirs; none if it is malformed.
pub fn key_file(text: &[u8]) -> Option<Vec<Group>> {
    let file = KeyFile::parse(text).ok()?;
    let group = |group: crate::cache::keyfile::Group<'_>| {
        // Of a key that stands there twice, GLib lists the last value twice.
        let last: HashMap<&[u8], &[u8]> = group.pairs().collect();
        let pairs = group.pairs().map(|(key, _)| (key.to_vec(), last[key].to_vec()));
        (group.name.to_vec(), pairs.collect())
    };
    Some(file.groups().map(group).collect())
}

/// Our reading of a value as GLib's `get_int64`, `get_integer` and `get_double` read it.
pub fn numbers(value: &[u8]) -> (Option<i64>, Option<i32>, Option<f64>) {
    (number::parse_int64(value), number::parse_int(value), number::parse_double(value))
}

/// The reader and the writer of the cache, on any bytes. Returns what was written.
pub fn cache(text: &[u8]) -> Vec<u8> {
    // What can be read comes out again, byte for byte.
    if let Ok(file) = KeyFile::parse(text) {
        assert_eq!(file.to_bytes(), text);
        for group in file.groups() {
            assert!(group.pairs().all(|(key, _)| !key.is_empty()));
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let before = records::read(text, now, Some(&HERE), MONTH);
    let (name, endpoint) = record("http://new.example:81/").expect("a URL");
    let (refused, _) = record("http://[::1]/").expect("a URL");
    let (detoured, _) = record("https://other.example/").expect("a URL");
    let time = Duration::from_millis(5);
    let learned: Learned = [
        (name, Remembered::Latency(time)),
        (refused, Remembered::Refused),
        (detoured, Remembered::Detoured(time)),
    ]
    .into_iter()
    .collect();
    let seed = KeptSeed { seed: 7, rotate_every: MONTH };
    let (written, problem) = records::merge(text, now, Some(&HERE), &learned, Some(seed));
    assert_eq!(before.is_err() && !text.is_empty(), problem.is_some());
    // It is a cache afterwards, knows what was written (unless the text is newer), and has lost
    // nothing.
    let after = records::read(&written, now, Some(&HERE), MONTH).expect("a cache");
    assert!(after.get(&endpoint).is_some());
    assert!(after.seed(MONTH, now).is_some());
    if let Ok(before) = before {
        assert!(after.len() >= before.len());
    }
    // So it is with what downloads have shown.
    let site = Site::of("http://new.example/pub").expect("a URL");
    let downloads = LearnedDownloads {
        speeds: vec![(endpoint.host, 7)],
        broken: Vec::new(),
        troubles: vec![(site, Trouble::Missing)],
    };
    let (written, _) = records::merge_downloads(&written, now, &HERE, &downloads, 1);
    let read = records::read_downloads(&written, now, &HERE).expect("a cache");
    assert!(read.trouble("http://new.example/pub").is_some() && read.has_speeds());
    look_into(text, now);
    look_into(&written, now);
    // Writing nothing changes nothing.
    let (again, problem) = records::merge(&written, now, Some(&HERE), &Learned::default(), None);
    assert_eq!((String::from_utf8_lossy(&again), problem), (String::from_utf8_lossy(&written), None));
    written
}

/// Looking into a cache, and removing all from it.
fn look_into(text: &[u8], now: SystemTime) {
    let records = records::read(text, now, Some(&HERE), MONTH);
    let contents = contents::read(text, now, &HERE, MONTH);
    assert_eq!(records.is_ok(), contents.is_ok());
    let (Ok(records), Ok(contents)) = (records, contents) else { return };
    // What counts is what a run reads.
    let counts: Vec<_> = contents.records.iter().filter(|record| record.counts).collect();
    assert_eq!(counts.len(), records.len());
    assert!(counts.iter().all(|record| records.get(&record.endpoint) == Some(record.remembered)));
    let (rest, forgotten) = contents::forget(text, None, now).expect("it is a cache");
    let rest_of = contents::read(&rest, now, &HERE, MONTH).expect("it stays one");
    assert!(
        forgotten >= contents.records.len() && rest_of.records.is_empty() && rest_of.seed == contents.seed
    );
    assert_eq!(contents::forget(&rest, None, now), Ok((rest, 0)));
}

/// The record of a URL's endpoint, and the endpoint.
fn record(url: &str) -> Option<(RecordName, Endpoint)> {
    let Mirror::Remote(protocol, endpoint) = Mirror::parse(url) else { return None };
    Some((RecordName::new(url, protocol, &endpoint), endpoint))
}

/// URLs of mirrors, on any text: what they lead to, and under what they are remembered.
pub fn url(url: &str) {
    let Some((name, endpoint)) = record(url) else { return };
    assert!(endpoint.port > 0);
    // The record of a URL leads back to its endpoint.
    let (now, latency) = (SystemTime::UNIX_EPOCH, Duration::from_millis(5));
    let learned = Learned::from_iter([(name, Remembered::Latency(latency))]);
    let (file, _) = records::merge(b"", now, None, &learned, None);
    assert!(!file.contains(&b'@'));
    let records = records::read(&file, now, None, Duration::ZERO).expect("a cache");
    assert_eq!(records.get(&endpoint), Some(Remembered::Latency(latency)));
}

/// Messages of the kernel about routes, on any bytes.
pub fn netlink(bytes: &[u8]) {
    network::fuzz::any_datagram(bytes);
}

/// The schedule in virtual time: the first byte chooses between a network and events of any kind,
/// the others describe it.
pub fn schedule(bytes: &[u8]) {
    match bytes.split_first() {
        Some((first, rest)) if first % 2 == 1 => simulation::any_events(rest),
        Some((_, rest)) => simulation::any_world(rest),
        None => {}
    }
}
