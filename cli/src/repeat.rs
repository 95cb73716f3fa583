//! Ranking again and again: what `--watch` and `--runs` share. Each run is a handshake with every
//! mirror, so there is a pause between two.

use crate::exit::{Exit, reason};
use crate::text::escape;
use fastestmirror::{Candidate, Error, Ranker, Ranking};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGINT;
use std::collections::HashSet;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How often to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    Once,
    /// Until Ctrl-C, with this pause between two runs.
    Watch(Duration),
    Runs {
        count: usize,
        pause: Duration,
    },
}

/// The same mirrors, to be ranked again and again.
pub(crate) struct Repeater {
    pub(crate) ranker: Ranker,
    candidates: Vec<Candidate>,
    /// Warnings that have been printed: a run has mostly those of the one before.
    warned: HashSet<String>,
    interrupted: Arc<AtomicBool>,
    /// Readable after Ctrl-C, so that it ends a pause.
    signaled: UnixStream,
}

impl Repeater {
    /// Prepares to rank these. From now on Ctrl-C ends the run and the pause that it meets.
    pub(crate) fn new(mut ranker: Ranker, candidates: Vec<Candidate>) -> Result<Repeater, Exit> {
        let prepare = |ranker: &mut Ranker| -> io::Result<_> {
            let interrupted = crate::cancel_on_interrupt(ranker)?;
            let (signaled, signal) = UnixStream::pair()?;
            signal_hook::low_level::pipe::register(SIGINT, signal)?;
            Ok((interrupted, signaled))
        };
        let prepared = prepare(&mut ranker);
        let (interrupted, signaled) = prepared
            .map_err(|error| Exit::failed(&format!("cannot wait for signals: {}", reason(&error))))?;
        Ok(Repeater { ranker, candidates, warned: HashSet::new(), interrupted, signaled })
    }

    pub(crate) fn rank(&mut self) -> Result<Ranking, Error> {
        self.ranker.rank(self.candidates.iter().cloned())
    }

    /// Whether Ctrl-C has been pressed.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(SeqCst)
    }

    /// Prints the warnings of a run that no run before had.
    pub(crate) fn warn(&mut self, ranking: &Ranking) {
        for warning in &ranking.warnings {
            if self.warned.insert(warning.clone()) {
                let _ = writeln!(io::stderr(), "fastestmirror: warning: {}", escape(warning));
            }
        }
    }

    /// Waits for this time. Returns whether to go on: not after Ctrl-C, and not without a reader of
    /// standard output, for which mirrors would be bothered in vain.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let stdout = io::stdout();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.is_interrupted() {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            let timeout = Timespec::try_from(left).ok();
            // Without events that are asked for, poll(2) reports that the reader is gone.
            let mut waited =
                [PollFd::new(&self.signaled, PollFlags::IN), PollFd::new(&stdout, PollFlags::empty())];
            // A signal or a time that is too long makes it fail, and the time is looked at again.
            let _ = poll(&mut waited, timeout.as_ref());
            if waited[1].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                return false;
            }
        }
    }
}
