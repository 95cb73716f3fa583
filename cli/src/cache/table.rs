//! What a cache remembers, for people: a table in two sections, and a summary.

use super::url;
use crate::text::{escape, period};
use fastestmirror::{Cache, CacheNetwork, CacheRecord, Remembered};
use std::io::{self, Write};
use std::time::Duration;

pub(super) fn write(out: &mut dyn Write, cache: &Cache) -> io::Result<()> {
    if !cache.records.is_empty() {
        writeln!(
            out,
            "{:>25}  {:>7}  {:>8}  {:8} {:14} mirror",
            "remembered", "age", "left", "network", "written by"
        )?;
    }
    let mut last_section = "";
    for record in &cache.records {
        let section = if record.counts {
            "in use here and now"
        } else {
            "not in use: outdated, of another network, or replaced by something newer"
        };
        if section != last_section {
            writeln!(out, "─── {section}")?;
            last_section = section;
        }
        write_record(out, record)?;
    }
    let counting = cache.records.iter().filter(|record| record.counts).count();
    let newline = if cache.records.is_empty() { "" } else { "\n" };
    match cache.records.len() {
        0 => writeln!(out, "Nothing is remembered of any mirror.")?,
        1 => writeln!(out, "{newline}1 record, {counting} in use.")?,
        records => writeln!(out, "{newline}{records} records, {counting} in use.")?,
    }
    if let Some(seed) = cache.seed {
        writeln!(out, "A seed of the shuffle is kept: {}, drawn {} ago.", seed.seed, period(seed.age))?;
    }
    Ok(())
}

fn write_record(out: &mut dyn Write, record: &CacheRecord) -> io::Result<()> {
    let remembered = match record.remembered {
        Remembered::Latency(latency) => milliseconds(latency),
        Remembered::Detoured(latency) => format!("{}, detoured", milliseconds(latency)),
        Remembered::Silent(waited) => format!("silent for {}", milliseconds(waited)),
        Remembered::Unresolved => "no address".into(),
        other => other.name().into(),
    };
    let left = if record.remaining.is_zero() { "outdated".into() } else { period(record.remaining) };
    let network = match record.network {
        CacheNetwork::This => "this",
        CacheNetwork::Another => "another",
        _ => "unknown",
    };
    let writer = if record.is_of_librepo { "librepo" } else { "fastestmirror" };
    let shared = record.shared_address.map_or(String::new(), |it| format!(" at {it}, as other names"));
    let (age, mirror) = (period(record.age), escape(&url(record)));
    writeln!(out, "{remembered:>25}  {age:>7}  {left:>8}  {network:8} {writer:14} {mirror}{shared}")
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
