//! URLs of mirrors, on any text: what they lead to, and under what they are remembered.
#![no_main]

#[path = "../../src/fault.rs"]
mod fault;
#[path = "../../src/cache/keyfile.rs"]
mod keyfile;
#[path = "../../src/mirror.rs"]
mod mirror;
#[path = "../../src/network.rs"]
mod network;
#[path = "../../src/cache/records.rs"]
mod records;

use libfuzzer_sys::fuzz_target;
use mirror::Mirror;
use records::{Key, Known, Update};
use std::time::{Duration, SystemTime};

fuzz_target!(|url: &str| {
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
});
