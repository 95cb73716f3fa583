//! A queue of items that are due at certain times, and a precise wait for the next.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::os::fd::RawFd;
use std::time::Instant;

/// Items by due time. The times are absolute, so one late item does not delay the next.
pub(crate) struct Timeline<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    pushed: u64,
}

struct Entry<T> {
    due: Instant,
    /// Items that are due at the same time come out in the order in which they were pushed.
    order: u64,
    item: T,
}

impl<T> Timeline<T> {
    pub(crate) fn new() -> Self {
        Timeline { heap: BinaryHeap::new(), pushed: 0 }
    }

    pub(crate) fn push(&mut self, due: Instant, item: T) {
        self.pushed += 1;
        self.heap.push(Reverse(Entry { due, order: self.pushed, item }));
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|next| next.0.due)
    }

    /// The number of items that are due before this time.
    pub(crate) fn due_before(&self, time: Instant) -> usize {
        self.heap.iter().filter(|entry| entry.0.due < time).count()
    }

    /// Takes the next item that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, T)> {
        self.next_due().filter(|&due| due <= now)?;
        self.heap.pop().map(|next| (next.0.due, next.0.item))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}

/// Why a wait returned.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Woken {
    /// There is input, or an item is due.
    Work,
    /// The other end of `stop` was closed.
    Stop,
}

/// Sleeps until `input` is readable, the time has come, or `stop` is closed at its other end.
pub(crate) fn wait(input: RawFd, stop: RawFd, until: Option<Instant>) -> Woken {
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now());
        libc::timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ }
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), |timeout| timeout as *const _);
    let mut polled = [input, stop].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: two pollfds, and a timeout that is null or alive.
    unsafe { libc::ppoll(polled.as_mut_ptr(), 2, timeout, std::ptr::null()) };
    if polled[1].revents != 0 { Woken::Stop } else { Woken::Work }
}
