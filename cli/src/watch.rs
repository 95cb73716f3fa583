//! `--watch`: ranks again and again, and shows how the pool changes. On a terminal the table is
//! redrawn below the changes; elsewhere there are the changes alone, or one object of JSON a run.
//!
//! Such an object has the keys `time` (string: the end of the run, as in `2026-11-29T23:10:05Z`),
//! `changes` (array of objects: `change`, which is `joined`, `left`, `best` or `empty`, and the
//! `host` and its `latency_ms`, or null) and `ranking` (the object of `--json`).

mod changes;
mod screen;

use crate::exit::Exit;
use crate::options::Format;
use crate::progress;
use crate::repeat::Repeater;
use crate::terminal::{self, Colors, Palette};
use crate::{json, not_ranked, table};
use changes::{Change, Hosts, Kind, changes};
use fastestmirror::Ranking;
use screen::Screen;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Ranks until Ctrl-C, with this pause between two runs.
pub(crate) fn run(
    mut repeater: Repeater,
    pause: Duration,
    format: Format,
    colors: Colors,
) -> Result<ExitCode, Exit> {
    let is_terminal = io::stdout().is_terminal();
    let palette = colors.palette(is_terminal);
    let mut screen = match format {
        Format::Table if is_terminal && !terminal::is_dumb() => Some(Screen::default()),
        _ => None,
    };
    let mut before = None;
    for run in 1.. {
        let progress = progress::Line::show(&mut repeater.ranker);
        let ranked = repeater.rank();
        drop(progress);
        let ranking = ranked.map_err(not_ranked)?;
        if repeater.is_interrupted() {
            break;
        }
        // What is remembered is old: it may be the first thing to show, and nothing to watch.
        repeater.ranker.cache(None);
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let after = Hosts::of(&ranking);
        let changes = changes(before.as_ref(), &after);
        before = Some(after);

        let mut text = Vec::new();
        let written = match (&mut screen, format) {
            (Some(screen), _) => {
                // Warnings take the place of the old table.
                screen.erase(&mut text);
                print(&text).and_then(|()| {
                    repeater.warn(&ranking);
                    text.clear();
                    lines(&mut text, &changes, &time, &palette)?;
                    let status =
                        format!("Run {run}; the next one in {} s. Ctrl-C ends.", pause.as_secs_f64());
                    screen.draw(&mut text, &status, |out, width| {
                        table::write(out, &ranking, &[], Some(width), &palette)
                    })
                })
            }
            (None, Format::Json) => {
                repeater.warn(&ranking);
                object(&mut text, &changes, &time, &ranking)
            }
            (None, _) => {
                repeater.warn(&ranking);
                lines(&mut text, &changes, &time, &palette)
            }
        };
        written.and_then(|()| print(&text)).map_err(|failure| Exit::unwritable(&failure))?;
        if !repeater.pause(pause) {
            break;
        }
    }
    if screen.is_some() {
        // The terminal has shown ^C here.
        let _ = print(b"\r\x1b[K");
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a line for each change.
fn lines(out: &mut Vec<u8>, changes: &[Change], time: &str, palette: &Palette) -> io::Result<()> {
    for change in changes {
        let style = match change.kind {
            Kind::Joined => palette.good,
            Kind::Left | Kind::Empty => palette.bad,
            Kind::Best => palette.header,
        };
        let dim = palette.dim;
        writeln!(out, "{dim}{time}{dim:#} {style}{change}{style:#}")?;
    }
    Ok(())
}

/// Writes the object of a run, in one line.
fn object(out: &mut Vec<u8>, changes: &[Change], time: &str, ranking: &Ranking) -> io::Result<()> {
    write!(out, "{{\"time\":\"{time}\",\"changes\":")?;
    json::serialize(out, &changes)?;
    write!(out, ",\"ranking\":")?;
    json::write(out, ranking, &[])?;
    out.truncate(out.trim_ascii_end().len());
    writeln!(out, "}}")
}

fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}
