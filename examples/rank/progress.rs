//! The progress line on standard error, while the mirrors are measured; only for people who sit at a terminal.

use fastestmirror::{Progress, Ranker};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// No more often than a person can follow.
const INTERVAL: Duration = Duration::from_millis(100);

/// The line; it goes when this does, so that the result can take its place.
pub(crate) struct Line(());

impl Line {
    /// Shows progress if somebody can see it.
    pub(crate) fn show(ranker: &mut Ranker) -> Option<Line> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_dumb || !io::stderr().is_terminal() {
            return None;
        }
        print("\rMeasuring");
        let mut last = Instant::now();
        ranker.on_progress(move |progress| {
            if last.elapsed() >= INTERVAL {
                last = Instant::now();
                print(&format!("\r{}\x1b[K", text(progress)));
            }
        });
        Some(Line(()))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        print("\r\x1b[K");
    }
}

/// Short enough for any terminal: a line that wraps cannot be erased.
fn text(progress: &Progress) -> String {
    let best = match progress.best {
        Some(best) => format!(", best {:.2} ms", best.as_secs_f64() * 1e3),
        None => String::new(),
    };
    format!("Measuring: {} of {} done{best}", progress.concluded, progress.total)
}

/// Progress that cannot be shown is no reason to fail.
fn print(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
