//! The progress line on standard error while the mirrors are measured, if that is a terminal.

use fastestmirror::{Event, Progress, Ranker};
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// The time between two updates: more often than this they could not be read.
const INTERVAL: Duration = Duration::from_millis(100);

/// The line. Dropping it erases the line, so that the result can take its place.
pub(crate) struct Line {
    /// Dropping it ends the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Shows progress if standard error is a terminal. A thread draws the line, so that the time in
    /// it goes on while no mirror answers and no progress is reported.
    pub(crate) fn show(ranker: &mut Ranker) -> Option<Line> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_dumb || !io::stderr().is_terminal() {
            return None;
        }
        let latest = Arc::new(Mutex::new(None));
        let (stop, stopped) = mpsc::channel::<()>();
        let start = Instant::now();
        let shown = latest.clone();
        let draw = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let progress = shown.lock().map_or(None, |latest| *latest);
                print(&format!("\r{}\x1b[K", text(progress, start.elapsed())));
            }
            print("\r\x1b[K");
        };
        let thread = Builder::new().spawn(draw).ok()?;
        ranker.observer(move |event| {
            if let (Event::Progress(progress), Ok(mut latest)) = (event, latest.lock()) {
                *latest = Some(*progress);
            }
        });
        Some(Line { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The result matters, not whether the thread has panicked.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The text of the line, short enough for any terminal: a line that wraps could not be erased.
fn text(progress: Option<Progress>, elapsed: Duration) -> String {
    let known = match progress {
        Some(Progress { completed, total, best: Some(best), .. }) => {
            format!(": {completed} of {total} done, best {:.2} ms", best.as_secs_f64() * 1e3)
        }
        Some(progress) => format!(": {} of {} done", progress.completed, progress.total),
        None => String::new(),
    };
    format!("Measuring for {:.1} s{known}", elapsed.as_secs_f64())
}

/// Prints to standard error. Progress that cannot be shown is no reason to fail.
fn print(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
