//! `fastestmirror cache`: shows what a cache remembers, as a table or as JSON, and removes records
//! from it.

mod json;
mod options;
mod table;

use crate::exit::Exit;
use crate::text::escape;
use fastestmirror::{Cache, CacheRecord, Error, Host, Ranker};
pub(crate) use options::{Action, Options, command};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn run(options: &Options) -> Result<ExitCode, Exit> {
    let mut ranker = Ranker::new();
    ranker.cache(Some(&options.file));
    let forgotten = match &options.action {
        Action::ShowTable => return show(&ranker, table::write),
        Action::ShowJson => return show(&ranker, json::write),
        Action::ForgetAll => ranker.forget_all().map_err(exit)?,
        Action::Forget(hosts) => match ranker.forget(&[hosts]).map_err(exit)? {
            0 => {
                let file = escape(&options.file.to_string_lossy());
                return Err(Exit::unusable(&format!("{file}: nothing is remembered of {}", escape(hosts))));
            }
            forgotten => forgotten,
        },
    };
    let records = if forgotten == 1 { "record" } else { "records" };
    print(|out| writeln!(out, "{forgotten} {records} forgotten."))
}

fn show(
    ranker: &Ranker,
    write: impl FnOnce(&mut dyn Write, &Cache) -> io::Result<()>,
) -> Result<ExitCode, Exit> {
    let mut cache = ranker.read_cache().map_err(exit)?;
    cache.records.sort_by_cached_key(place);
    print(|out| write(out, &cache))
}

/// What counts first, and of that the mirrors that answered, nearest first.
fn place(record: &CacheRecord) -> (bool, bool, Option<Duration>, String) {
    let latency = record.remembered.latency();
    (!record.counts, latency.is_none(), latency, url(record))
}

/// The URL of the mirror up to its path.
fn url(record: &CacheRecord) -> String {
    let host = match &record.endpoint.host {
        Host::Address(address) if address.is_ipv6() => format!("[{address}]"),
        host => host.to_string(),
    };
    let (scheme, port) = (record.protocol.scheme(), record.endpoint.port);
    if port == record.protocol.default_port() {
        format!("{scheme}://{host}")
    } else {
        format!("{scheme}://{host}:{port}")
    }
}

fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<ExitCode, Exit> {
    let mut out = BufWriter::new(io::stdout().lock());
    write(&mut out).and_then(|()| out.flush()).map_err(|failure| Exit::unwritable(&failure))?;
    Ok(ExitCode::SUCCESS)
}

fn exit(error: Error) -> Exit {
    let message = escape(&error.to_string());
    match error {
        Error::UnwritableCache { .. } => Exit::failed(&message),
        _ => Exit::unusable(&message),
    }
}
