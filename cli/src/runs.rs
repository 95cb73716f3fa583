//! `--runs`: ranks several times and says how much the results differ: in how many runs a mirror
//! answered and was in the pool, and its shortest, median and longest latency.
//!
//! The object of `--json` has these keys, which keep their names, types and order; new ones come
//! last:
//!
//! - `version`: number; 1.
//! - `runs`: number; how many runs there were. Ctrl-C may have ended them early.
//! - `elapsed_ms`: number; how long they took, pauses included.
//! - `seed`: number; the seed of the shuffle in each run.
//! - `warnings`: array of strings; each warning once.
//! - `mirrors`: array of objects; the mirrors in the order of the table. Of each:
//!   - `index`, `url`, `outcome`: as without `--runs`; the outcome is that of the last run.
//!   - `answered`, `pool`, `imprecise`, `detoured`: numbers; in how many runs that was so.
//!   - `min_ms`, `median_ms`, `max_ms`: numbers, or null; of the runs in which it answered.

mod statistics;
mod table;

use crate::exit::Exit;
use crate::options::Format;
use crate::repeat::Repeater;
use crate::terminal::Colors;
use crate::text::escape;
use crate::{json, not_ranked, progress};
use rustix::termios::tcgetwinsize;
use statistics::Statistics;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Ranks so many times, with this pause between two runs.
pub(crate) fn run(
    mut repeater: Repeater,
    count: usize,
    pause: Duration,
    format: Format,
    colors: Colors,
) -> Result<ExitCode, Exit> {
    let start = Instant::now();
    let progress = progress::Line::show(&mut repeater.ranker);
    let mut statistics = Statistics::default();
    for run in 1..=count {
        if run > 1 && !repeater.pause(pause) {
            break;
        }
        if let Some(line) = &progress {
            line.head(format!("Run {run} of {count}"));
        }
        let ranking = repeater.rank().map_err(not_ranked)?;
        // A run that was cut short says little, but more than nothing.
        if repeater.is_interrupted() && run > 1 {
            break;
        }
        // Only the latencies are to differ.
        repeater.ranker.seed(ranking.seed);
        statistics.add(&ranking);
    }
    drop(progress);
    statistics.finish(start.elapsed());
    for warning in &statistics.warnings {
        let _ = writeln!(io::stderr(), "fastestmirror: warning: {}", escape(warning));
    }
    match print(&statistics, format, colors) {
        Err(failure) if failure.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Exit::unwritable(&failure));
        }
        _ => {}
    }
    if statistics.any_answered() { Ok(ExitCode::SUCCESS) } else { Err(Exit::no_answer("")) }
}

fn print(statistics: &Statistics, format: Format, colors: Colors) -> io::Result<()> {
    let mut text = Vec::new();
    if format == Format::Json {
        json::serialize(&mut text, statistics)?;
        text.push(b'\n');
    } else {
        let columns = tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col.into());
        let width = Some(columns).filter(|&columns| columns > 0);
        table::write(&mut text, statistics, width, &colors.palette(io::stdout().is_terminal()))?;
    }
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}
