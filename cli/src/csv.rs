//! The result for spreadsheets and databases: comma-separated values (RFC 4180), a row for each
//! mirror below a row with the names of the columns. These keep their names and their order, and
//! new ones come last. They are the fields of a mirror in `json`; a field without a value is empty.

use crate::json::milliseconds;
use crate::text::percent_encode;
use fastestmirror::{Mirror, RankedMirror, Ranking};
use std::io::{self, Write};

const COLUMNS: [&str; 11] = [
    "position",
    "url",
    "host",
    "outcome",
    "latency_ms",
    "pool",
    "address",
    "imprecise",
    "from_cache",
    "detoured",
    "index",
];

pub(crate) fn write(out: &mut impl Write, ranking: &Ranking) -> io::Result<()> {
    write_row(out, &COLUMNS.map(String::from))?;
    for (position, mirror) in (1..).zip(&ranking.mirrors) {
        write_row(out, &fields(position, mirror))?;
    }
    Ok(())
}

fn fields(position: usize, mirror: &RankedMirror) -> [String; 11] {
    let host = Mirror::parse(&mirror.url).host().map(ToString::to_string);
    let latency = mirror.outcome.latency().map(|latency| milliseconds(latency).to_string());
    let address = mirror.address.map(|address| address.to_string());
    [
        position.to_string(),
        harmless(&mirror.url),
        harmless(&host.unwrap_or_default()),
        mirror.outcome.name().to_string(),
        latency.unwrap_or_default(),
        mirror.pool.to_string(),
        address.unwrap_or_default(),
        mirror.imprecise.to_string(),
        mirror.from_cache.to_string(),
        mirror.is_detoured.to_string(),
        mirror.index.to_string(),
    ]
}

/// The text without control characters, and without a first character at which a spreadsheet takes
/// a field for a formula. Percent-encoded it is still the same URL or host.
fn harmless(text: &str) -> String {
    let encoded = percent_encode(text);
    match encoded.chars().next() {
        Some(first @ ('=' | '+' | '-' | '@')) => format!("%{:02X}{}", u32::from(first), &encoded[1..]),
        _ => encoded,
    }
}

/// Writes a row. A field with a comma or a quote in it stands in quotes; no field has a line break.
fn write_row(out: &mut impl Write, fields: &[String]) -> io::Result<()> {
    let quoted = fields.iter().map(|field| match field.contains(['"', ',']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.clone(),
    });
    write!(out, "{}\r\n", quoted.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_never_a_formula() {
        let table = [
            ("http://a.example/", "http://a.example/"),
            ("http://a.example/x,y", "\"http://a.example/x,y\""),
            ("http://a.example/\"x\"", "\"http://a.example/\"\"x\"\"\""),
            ("http://a.example/\r\n\x1b", "http://a.example/%0D%0A%1B"),
            ("=1+1://a", "%3D1+1://a"),
            ("+1", "%2B1"),
            ("-1", "%2D1"),
            ("@A1", "%40A1"),
            ("\t=1", "%09=1"),
            ("", ""),
        ];
        for (text, expected) in table {
            let mut out = Vec::new();
            write_row(&mut out, &[harmless(text), "end".into()]).expect("memory takes all");
            assert_eq!(String::from_utf8(out).expect("UTF-8"), format!("{expected},end\r\n"));
        }
    }
}
