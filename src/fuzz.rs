//! What the fuzz targets call. It is built only for them (`--cfg fuzzing`), since the crate exports
//! none of it otherwise.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

use crate::cache::RecordName;
use crate::cache::keyfile::KeyFile;
use crate::cache::policy::Remembered;
use crate::cache::records::{self, KeptSeed};
use crate::mirror::Mirror;
use crate::network::Network;
use std::time::{Duration, SystemTime};

const NOW: u64 = 1_790_000_000;
const HERE: Network = Network { ipv4: Some(1), ipv6: None };
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// The reader and the writer of the cache, on any bytes.
pub fn cache(text: &[u8]) {
    // Whatever can be read is preserved byte for byte.
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
    let learned = [
        (RecordName::new(url, &mirror).unwrap(), Remembered::Latency(Duration::from_millis(5))),
        (RecordName::new("http://[::1]/", &Mirror::parse("http://[::1]/")).unwrap(), Remembered::Refused),
    ];
    let seed = KeptSeed { seed: 7, rotate_every: MONTH };
    let (written, problem) = records::merge(text, now, Some(&HERE), &learned, Some(seed));
    assert_eq!(before.is_err() && !text.is_empty(), problem.is_some());
    // The result is a cache. It has what was written, unless the text has something newer, and
    // everything that was there before.
    let after = records::read(&written, now, Some(&HERE), MONTH).expect("a cache");
    assert!(after.get(endpoint).is_some());
    assert!(after.seed(MONTH, now).is_some());
    if let Ok(before) = before {
        assert!(after.len() >= before.len());
    }
    // Writing nothing more changes nothing more.
    let (again, problem) = records::merge(&written, now, Some(&HERE), &[], None);
    assert_eq!((String::from_utf8_lossy(&again), problem), (String::from_utf8_lossy(&written), None));
}

/// The reader of URLs, and the names of records, on any text.
pub fn url(url: &str) {
    let mirror = Mirror::parse(url);
    let Mirror::Remote(protocol, endpoint) = &mirror else {
        assert!(RecordName::new(url, &mirror).is_none());
        return;
    };
    assert!(endpoint.port > 0);
    assert_eq!(mirror.protocol(), Some(*protocol));
    // The name under which a URL's mirror is remembered leads back to the endpoint.
    let name = RecordName::new(url, &mirror).expect("it is connected to");
    let (now, latency) = (SystemTime::UNIX_EPOCH, Duration::from_millis(5));
    let (file, _) = records::merge(b"", now, None, &[(name, Remembered::Latency(latency))], None);
    assert!(!file.contains(&b'@'));
    let records = records::read(&file, now, None, Duration::ZERO).expect("a cache");
    assert_eq!(records.get(endpoint), Some(Remembered::Latency(latency)));
}
