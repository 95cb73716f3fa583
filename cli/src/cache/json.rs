//! What a cache remembers, for programs: one JSON object in one line.
//!
//! Its keys keep their names, types and order, and new ones come last.
//!
//! - `version`: number; 1.
//! - `seed`: the seed of the shuffle that the cache keeps, or null. An object:
//!   - `seed`: number; the value of `--seed`.
//!   - `age_s`: number; the time since it was drawn, in seconds.
//! - `records`: array of objects; what counts here and now first, nearest first. Of each:
//!   - `protocol`: string; `http`, `https` or `ftp`.
//!   - `host`: string; its name or address.
//!   - `port`: number.
//!   - `remembered`: string; `latency`, `detoured`, `refused`, `unreachable`, `unresolved` or
//!     `silent`.
//!   - `latency_ms`: number or null; its latency.
//!   - `waited_ms`: number or null; for how long it was silent, at least.
//!   - `age_s`: number; the time since that was found out, in seconds.
//!   - `remaining_s`: number; for how much longer it counts; 0 if it is outdated.
//!   - `network`: string; `this`, `another` or `unknown`.
//!   - `shared_address`: string or null; its address, if other names of its list led to it, too.
//!   - `librepo`: boolean; librepo wrote it.
//!   - `counts`: boolean; a run here and now would use it.

use crate::json::{Plain, milliseconds};
use fastestmirror::{Cache, CacheRecord, CachedSeed, Remembered};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::io::{self, Write};

pub(super) fn write(out: &mut dyn Write, cache: &Cache) -> io::Result<()> {
    Object(cache).serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Plain))?;
    writeln!(out)
}

struct Object<'a>(&'a Cache);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Cache", 3)?;
        object.serialize_field("version", &1)?;
        object.serialize_field("seed", &self.0.seed.as_ref().map(Seed))?;
        object.serialize_field("records", &self.0.records.iter().map(Record).collect::<Vec<_>>())?;
        object.end()
    }
}

struct Seed<'a>(&'a CachedSeed);

impl Serialize for Seed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Seed", 2)?;
        object.serialize_field("seed", &self.0.seed)?;
        object.serialize_field("age_s", &self.0.age.as_secs())?;
        object.end()
    }
}

struct Record<'a>(&'a CacheRecord);

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let waited = match record.remembered {
            Remembered::Silent(waited) => Some(milliseconds(waited)),
            _ => None,
        };
        let mut object = serializer.serialize_struct("Record", 12)?;
        object.serialize_field("protocol", record.protocol.scheme())?;
        object.serialize_field("host", &record.endpoint.host.to_string())?;
        object.serialize_field("port", &record.endpoint.port)?;
        object.serialize_field("remembered", record.remembered.name())?;
        object.serialize_field("latency_ms", &record.remembered.latency().map(milliseconds))?;
        object.serialize_field("waited_ms", &waited)?;
        object.serialize_field("age_s", &record.age.as_secs())?;
        object.serialize_field("remaining_s", &record.remaining.as_secs())?;
        object.serialize_field("network", record.network.name())?;
        object.serialize_field("shared_address", &record.shared_address.map(|it| it.to_string()))?;
        object.serialize_field("librepo", &record.is_of_librepo)?;
        object.serialize_field("counts", &record.counts)?;
        object.end()
    }
}
