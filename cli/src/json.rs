//! The result for programs: one JSON object in one line.
//!
//! Its keys are an interface: they keep their names, types and order, and new ones come last. They
//! are named as in the library's `Ranking` and `RankedMirror`; a duration has its unit in its name.
//!
//! - `version`: number; 1. It becomes another one if a key is renamed or removed, or changes its
//!   meaning.
//! - `stop_reason`: string; why measuring stopped. `idle` (nothing had to be measured), `complete`,
//!   `settled`, `quiet`, `timeout` or `cancelled`.
//! - `elapsed_ms`: number; how long the run took.
//! - `seed`: number; the value of `--seed` that repeats the order. It has 53 bits at most, which
//!   every reader of JSON takes without loss, unless a longer one was given.
//! - `ambiguous`: boolean; nearly all mirrors are equally near, so the order may mean little.
//! - `warnings`: array of strings; what could not be done as it should.
//! - `mirrors`: array of objects; the mirrors in the order in which to try them, without those that
//!   filters leave out. Of each:
//!   - `index`: number; its position in the order given, from 0.
//!   - `url`: string; its URL as given.
//!   - `outcome`: string; `measured`, `cached`, `local`, `unanswered`, `refused`, `unreachable`,
//!     `unresolved` or `unsupported`.
//!   - `latency_ms`: number to the microsecond, or null; its latency.
//!   - `imprecise`: boolean; a packet was lost, so the latency may be too long.
//!   - `pool`: boolean; it is near enough to the best to share the load.
//!   - `address`: string or null; the address and port that answered in this run.
//!   - `from_cache`: boolean; the outcome is that of an earlier run, read from the cache.
//!   - `detoured`: boolean; every connection of the client to this mirror waits, because the
//!     address that it tries first is silent, although its family works, and another one answered.
//!   - `demotion`: string or null; why it stands further back than its latency would put it, if
//!     downloads have shown that (`--history`): `missing`, `stale`, `broken` or `slow`.
//! - `notes`: array of strings; the sentences that the table has below its summary, for people.
//!   Their words may change: all that they say is in other keys, too.
//! - `excluded`: array of objects; the mirrors that filters leave out, in the order given: of each
//!   its `index` and `url`, and the `filter`: `protocol`, `include` or `exclude`.
//! - `omitted`: number; how many mirrors are missing at the end of `mirrors` because of `--top`.
//! - `slack_would_add`: number; how many hosts `--slack 5` would add to the pool, if that has fewer
//!   than three; else 0.

use crate::table;
use crate::text::is_plain;
use fastestmirror::{Filter, RankedMirror, Ranking};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::ser::Formatter;
use std::io::{self, Write};
use std::time::Duration;

/// Writes the object; `omitted` are the mirrors that `--top` leaves out.
pub(crate) fn write(out: &mut impl Write, ranking: &Ranking, omitted: &[RankedMirror]) -> io::Result<()> {
    let object = Object { ranking, omitted };
    serialize(out, &object)?;
    writeln!(out)
}

/// Writes a value in one line without its end, and without what is not plain.
pub(crate) fn serialize(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, Plain))?;
    Ok(())
}

/// The version of the format.
const VERSION: u32 = 1;

struct Object<'a> {
    ranking: &'a Ranking,
    omitted: &'a [RankedMirror],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Object { ranking, omitted } = self;
        let mut object = serializer.serialize_struct("Ranking", 11)?;
        let excluded = |mirror| Excluded(mirror, ranking.filter(mirror));
        object.serialize_field("version", &VERSION)?;
        object.serialize_field("stop_reason", ranking.stop_reason.name())?;
        object.serialize_field("elapsed_ms", &milliseconds(ranking.elapsed))?;
        object.serialize_field("seed", &ranking.seed)?;
        object.serialize_field("ambiguous", &ranking.ambiguous)?;
        object.serialize_field("warnings", &ranking.warnings)?;
        object.serialize_field("mirrors", &ranking.mirrors.iter().map(Mirror).collect::<Vec<_>>())?;
        object.serialize_field("notes", &table::notes(ranking, omitted))?;
        object.serialize_field("excluded", &ranking.excluded.iter().map(excluded).collect::<Vec<_>>())?;
        object.serialize_field("omitted", &omitted.len())?;
        object.serialize_field("slack_would_add", &ranking.slack_would_add)?;
        object.end()
    }
}

struct Mirror<'a>(&'a RankedMirror);

impl Serialize for Mirror<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Mirror", 10)?;
        object.serialize_field("index", &self.0.index)?;
        object.serialize_field("url", &self.0.url)?;
        object.serialize_field("outcome", self.0.outcome.name())?;
        object.serialize_field("latency_ms", &self.0.outcome.latency().map(milliseconds))?;
        object.serialize_field("imprecise", &self.0.imprecise)?;
        object.serialize_field("pool", &self.0.pool)?;
        object.serialize_field("address", &self.0.address.map(|address| address.to_string()))?;
        object.serialize_field("from_cache", &self.0.from_cache)?;
        object.serialize_field("detoured", &self.0.is_detoured)?;
        object.serialize_field("demotion", &self.0.demotion.map(|demotion| demotion.name()))?;
        object.end()
    }
}

struct Excluded<'a>(&'a RankedMirror, Option<Filter>);

impl Serialize for Excluded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Excluded", 3)?;
        object.serialize_field("index", &self.0.index)?;
        object.serialize_field("url", &self.0.url)?;
        let filter = self.1.map(|filter| match filter {
            Filter::Protocol => "protocol",
            Filter::Include => "include",
            _ => "exclude",
        });
        object.serialize_field("filter", &filter)?;
        object.end()
    }
}

/// A duration in milliseconds, to the microsecond: the kernel's times are no finer.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Compact, and with every character escaped that is not plain. JSON itself allows some that
/// control a terminal (DEL, the C1 controls, writing directions), and people read JSON on
/// terminals.
pub(crate) struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| !is_plain(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastestmirror::Ranker;

    fn json(url: &str) -> String {
        let ranking = Ranker::new().seed(7).timeout(Duration::ZERO).expect("in range").rank([url]);
        let mut out = Vec::new();
        write(&mut out, &ranking.expect("a ranking"), &[]).expect("memory takes all");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn keys_keep_their_order_in_one_line() {
        let line = json("http://a.example/");
        let (start, end) = line.split_once(",\"seed\"").expect("a seed");
        assert!(start.starts_with("{\"version\":1,\"stop_reason\":\"timeout\",\"elapsed_ms\":"), "{start}");
        let mirror = r#"{"index":0,"url":"http://a.example/","outcome":"unanswered","latency_ms":null,"imprecise":false,"pool":false,"address":null,"from_cache":false,"detoured":false,"demotion":null}"#;
        let rest = r#""notes":[],"excluded":[],"omitted":0,"slack_would_add":0"#;
        let expected = format!(":7,\"ambiguous\":false,\"warnings\":[],\"mirrors\":[{mirror}],{rest}}}\n");
        assert_eq!(end, expected);
    }

    #[test]
    fn control_characters_are_escaped_and_not_lost() {
        let url = "x:\u{0}\u{1b}[31m\t\"\\\u{7f}\u{85}\u{9b}\u{202e}\u{feff}\u{e0001}é镜";
        let line = json(url);
        assert!(line.trim_end().chars().all(is_plain), "{line}");
        assert!(line.contains("\\u007f\\u0085\\u009b\\u202e\\ufeff\\udb40\\udc01é镜"), "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["mirrors"][0]["url"], url);
    }

    #[test]
    fn milliseconds_have_a_resolution_of_one_microsecond() {
        let table = [(1, 0.0), (1_000, 0.001), (4_310_999, 4.31), (1_000_000_000, 1000.0)];
        for (nanoseconds, expected) in table {
            assert_eq!(milliseconds(Duration::from_nanos(nanoseconds)), expected);
        }
    }
}
