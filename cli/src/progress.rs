//! The progress line on standard error while the mirrors are measured, if that is a terminal and
//! measuring takes long enough for a person to wonder.

use crate::terminal;
use fastestmirror::{Event, Progress, Ranker};
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// The time before the line appears: what is done sooner needs none.
const DELAY: Duration = Duration::from_millis(200);
/// The time between two updates: more often than this they could not be read.
const INTERVAL: Duration = Duration::from_millis(100);

/// The line. Dropping it erases the line, so that the result can take its place.
pub(crate) struct Line {
    latest: Arc<Mutex<State>>,
    /// Dropping it ends the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the line shows.
#[derive(Debug, Clone)]
struct State {
    heading: Option<String>,
    start: Instant,
    progress: Option<Progress>,
}

impl Line {
    /// Shows progress if standard error is a terminal. A thread draws the line, so that the time in
    /// it goes on while no mirror answers and no progress is reported.
    pub(crate) fn show(ranker: &mut Ranker) -> Option<Line> {
        if terminal::is_dumb() || !io::stderr().is_terminal() {
            return None;
        }
        let state = State { heading: None, start: Instant::now(), progress: None };
        let latest = Arc::new(Mutex::new(state));
        let (stop, stopped) = mpsc::channel::<()>();
        let shown = latest.clone();
        let draw = move || {
            let mut wait = DELAY;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = INTERVAL;
                if let Ok(state) = shown.lock().map(|state| state.clone()) {
                    print(&format!("\r{}\x1b[K", text(&state)));
                }
            }
            if wait == INTERVAL {
                print("\r\x1b[K");
            }
        };
        let thread = Builder::new().spawn(draw).ok()?;
        let reported = latest.clone();
        ranker.observer(move |event| {
            if let (Event::Progress(progress), Ok(mut latest)) = (event, reported.lock()) {
                latest.progress = Some(*progress);
            }
        });
        Some(Line { latest, stop: Some(stop), thread: Some(thread) })
    }

    /// Begins the line with this for one of several runs, instead of the time.
    pub(crate) fn head(&self, heading: String) {
        if let Ok(mut latest) = self.latest.lock() {
            *latest = State { heading: Some(heading), start: Instant::now(), progress: None };
        }
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
fn text(state: &State) -> String {
    let known = match state.progress {
        Some(Progress { completed, total, best: Some(best), .. }) => {
            format!(": {completed} of {total} done, best {:.2} ms", best.as_secs_f64() * 1e3)
        }
        Some(progress) => format!(": {} of {} done", progress.completed, progress.total),
        None => String::new(),
    };
    match &state.heading {
        Some(heading) => format!("{heading}{known}"),
        None => format!("Measuring for {:.1} s{known}", state.start.elapsed().as_secs_f64()),
    }
}

/// Prints to standard error. Progress that cannot be shown is no reason to fail.
fn print(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
