//! What the fuzz targets call.

use crate::cache::keyfile::KeyFile;
use crate::cache::records::{self, KeptSeed, Key, Known, Update};
use crate::network::Network;
use crate::url::Mirror;
use std::time::{Duration, SystemTime};

const NOW: u64 = 1_790_000_000;
const HERE: Network = Network { ipv4: Some(1), ipv6: None };
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// The reader and the writer of the cache, on any bytes.
pub fn cache(text: &[u8]) {
    // Whatever can be read can be kept, byte for byte.
    if let Ok(file) = KeyFile::parse(text) {
        assert_eq!(file.to_bytes(), text);
        for group in file.groups() {
            assert!(group.pairs().all(|(key, _)| !key.is_empty()));
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let before = records::read(text, now, Some(&HERE), MONTH);
    let url = "http://new.example:81/";
    let mirror = Mirror::parse(url);
    let Mirror::Remote(_, endpoint) = &mirror else { unreachable!() };
    let updates = [
        (Key::new(url, &mirror).unwrap(), Update::Latency(Duration::from_millis(5))),
        (Key::new("http://[::1]/", &Mirror::parse("http://[::1]/")).unwrap(), Update::Refused),
    ];
    let seed = KeptSeed { seed: 7, rotate_every: MONTH };
    let (written, foreign) = records::merge(text, now, Some(&HERE), &updates, Some(seed));
    assert_eq!(before.is_err() && !text.is_empty(), foreign.is_some());
    // It is a cache afterwards, knows what was written (unless the text has newer news) and forgets nothing else.
    let after = records::read(&written, now, Some(&HERE), MONTH).expect("a cache");
    assert!(matches!(
        after.of(endpoint),
        Some(Known::Latency(_) | Known::Refused | Known::Unreachable | Known::OutsidePool)
    ));
    assert!(after.seed(MONTH, now).is_some());
    if let Ok(before) = before {
        assert!(after.len() >= before.len());
    }
    // To write nothing more changes nothing more.
    let (again, foreign) = records::merge(&written, now, Some(&HERE), &[], None);
    assert_eq!((String::from_utf8_lossy(&again), foreign), (String::from_utf8_lossy(&written), None));
}

/// URLs of mirrors, on any text: what they lead to, and under what they are remembered.
pub fn url(url: &str) {
    let mirror = Mirror::parse(url);
    let Mirror::Remote(protocol, endpoint) = &mirror else {
        assert!(Key::new(url, &mirror).is_none());
        return;
    };
    assert!(endpoint.port > 0);
    assert_eq!(mirror.protocol(), Some(*protocol));
    // What a URL is remembered as leads back to its endpoint.
    let key = Key::new(url, &mirror).expect("it is connected to");
    let (now, latency) = (SystemTime::UNIX_EPOCH, Duration::from_millis(5));
    let (file, _) = records::merge(b"", now, None, &[(key, Update::Latency(latency))], None);
    assert!(!file.contains(&b'@'));
    let memory = records::read(&file, now, None, Duration::ZERO).expect("a cache");
    assert_eq!(memory.of(endpoint), Some(Known::Latency(latency)));
}
