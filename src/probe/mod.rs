//! Measuring: names are looked up, SYNs leave, answers are timed, until enough is known.
//!
//! This file only carries news between the three that do the work: `resolve` (names), `connect` (sockets) and
//! `schedule` (decisions). One thread, the caller's; the look-ups have their own.
#![forbid(unsafe_code)]

mod connect;
pub(crate) mod resolve;
pub(crate) mod schedule;

use crate::fault;
use crate::mirror::{Endpoint, Host};
use crate::rank::{Outcome, Rule};
use crate::sys::{self, Family, NotFound, Waker};
use connect::{Connector, Handshake, Started};
use resolve::Resolver;
use schedule::{Addresses, Attempt, Ended, Failure, Known, LOOK_UP_DESCRIPTORS, Schedule, Step};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// No more look-ups at once than this: what resolvers in homes and containers bear.
const LOOK_UPS: usize = 64;
/// No more attempts at once than this, so that a long list does not fill the connection table of a home router.
const IN_FLIGHT: usize = 512;
/// Who was late for longer than this first hears what has happened before it sends anything.
const LATE: Duration = Duration::from_millis(1);
/// How long a caller's wish to end may go unnoticed.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What a run found out about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probed {
    pub(crate) outcome: Outcome,
    pub(crate) imprecise: bool,
    /// Where the handshake went.
    pub(crate) address: Option<SocketAddr>,
    /// A SYN has left.
    pub(crate) asked: bool,
    /// A failure is the network's word, and not this machine's own.
    pub(crate) from_afar: bool,
}

impl Probed {
    /// Of an endpoint that was not asked in this run.
    pub(crate) fn unasked(outcome: Outcome) -> Probed {
        Probed { outcome, imprecise: false, address: None, asked: false, from_afar: false }
    }
}

/// How far a run has come; what the progress callback gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Endpoints that have an outcome.
    pub concluded: usize,
    /// Endpoints that are measured in this run.
    pub total: usize,
    /// The lowest latency so far.
    pub best: Option<Duration>,
}

/// Cancels a run from elsewhere: another thread, the progress callback, or a signal handler.
///
/// Clones cancel the same. Once cancelled it stays so: a later run that uses it ends before it begins.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<(AtomicBool, Waker)>);

impl Cancel {
    /// A handle to give to [`Ranker::cancel`](crate::Ranker::cancel).
    ///
    /// # Errors
    /// If the system has no descriptor left (`eventfd`(2)).
    pub fn new() -> io::Result<Cancel> {
        Ok(Cancel(Arc::new((AtomicBool::new(false), Waker::new()?))))
    }

    /// Ends measuring at once; the run returns what it knows. Async-signal-safe.
    pub fn cancel(&self) {
        self.0.0.store(true, SeqCst);
        self.0.1.wake();
    }

    /// Makes the handle new again.
    pub(crate) fn reset(&self) {
        self.0.0.store(false, SeqCst);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.0.load(SeqCst)
    }
}

/// What to measure and how.
pub(crate) struct Job<'a> {
    /// Each once.
    pub(crate) endpoints: &'a [&'a Endpoint],
    /// The lowest latency of each host that is remembered.
    pub(crate) cached: HashMap<&'a Host, Duration>,
    pub(crate) timeout: Duration,
    /// How many hosts outside the pool must have a latency before the run is settled.
    pub(crate) fallbacks: usize,
    pub(crate) rule: Rule,
    pub(crate) family: Family,
    pub(crate) cancel: Option<&'a Cancel>,
    /// Asked at every step, whether to end.
    pub(crate) interrupted: Option<fn() -> bool>,
    pub(crate) progress: Option<&'a mut dyn FnMut(&Progress)>,
}

/// How many look-ups at once, and how many descriptors for them and the sockets, leave the program we are loaded into
/// half its descriptors, and half of those that it has not opened yet.
fn shares(limit: usize, open: usize) -> (usize, usize) {
    let ours = (limit / 2).min(limit.saturating_sub(open) / 2);
    // At least half of ours is for sockets. The run itself takes three.
    (LOOK_UPS.min(ours / (2 * LOOK_UP_DESCRIPTORS)).max(1), ours.saturating_sub(3))
}

/// How many descriptors this process has open, as far as it can know.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Measures the endpoints of a job.
///
/// # Errors
/// If there is no descriptor even for the epoll set and its waker.
pub(crate) fn measure(mut job: Job<'_>) -> io::Result<(Ended, Vec<Probed>)> {
    fault::point("measure");
    let start = Instant::now();
    let hosts = Hosts::of(job.endpoints, job.cached);
    let (look_ups, descriptors) = shares(sys::descriptor_limit(), open_descriptors());
    let Job { timeout, fallbacks, rule, .. } = job;
    let options = schedule::Options { timeout, fallbacks, rule, in_flight: IN_FLIGHT, look_ups, descriptors };
    let connector = Connector::new(2 * job.endpoints.len())?;
    if let Some(cancel) = job.cancel {
        connector.watch(cancel.0.1.as_fd())?;
    }
    let cancelled =
        || job.cancel.is_some_and(Cancel::is_cancelled) || job.interrupted.is_some_and(|ask| ask());
    // A signal ends a wait early only if this thread is the one that gets it.
    let patience = if job.interrupted.is_some() { ASK_AGAIN } else { Duration::MAX };
    let looks_up = !hosts.names.is_empty() && !timeout.is_zero() && !cancelled();
    let resolver = looks_up.then(|| look_up(hosts.names, look_ups, job.family, &connector)).transpose()?;
    let mut run = Run {
        schedule: Schedule::new(options, hosts.known, hosts.endpoints, hosts.cached, start),
        handshakes: vec![None; job.endpoints.len()],
        connector,
        resolver,
        named: hosts.named,
        ended: Vec::new(),
    };

    let (mut heard, mut told) = (start, 0);
    let ended = loop {
        if run.schedule.concluded() > told {
            told = run.schedule.concluded();
            if let Some(progress) = &mut job.progress {
                progress(&run.progress());
            }
        }
        if cancelled() {
            run.schedule.cancel();
        }
        let now = Instant::now();
        if now > heard + LATE {
            heard = now;
            run.hear(Duration::ZERO)?;
        }
        match run.schedule.next(now) {
            Step::Connect(attempt, address) => match run.connector.start(attempt, address, now) {
                Started::Connecting => {}
                Started::Failed(failure) => run.schedule.failed(attempt, failure),
                Started::NoRoom => run.schedule.no_room(attempt, now),
            },
            Step::Close(attempt) => run.connector.close(attempt),
            Step::Wait(until) => {
                run.hear(until.saturating_duration_since(now).min(patience))?;
                heard = Instant::now();
            }
            // What has arrived while this was being decided still counts.
            Step::End(ended) => {
                if !run.hear(Duration::ZERO)? {
                    break ended;
                }
            }
        }
    };
    Ok((ended, (0..job.endpoints.len()).map(|endpoint| run.probed(endpoint)).collect()))
}

/// Begins to look names up; `connector` wakes when some are known.
fn look_up(
    names: Vec<String>,
    workers: usize,
    family: Family,
    connector: &Connector,
) -> io::Result<Resolver> {
    let waker = Waker::new()?;
    connector.watch(waker.as_fd())?;
    let family = family.in_use();
    let look_up = move |name: &str| {
        sys::lookup(name, family).and_then(|list| Addresses::choose(&list).ok_or(NotFound::NoAddress))
    };
    Ok(Resolver::start(names, workers, waker, Arc::new(look_up)))
}

/// A run under way.
struct Run {
    schedule: Schedule,
    /// The handshake of each endpoint that has answered.
    handshakes: Vec<Option<(Attempt, Handshake)>>,
    connector: Connector,
    resolver: Option<Resolver>,
    /// The host of each name that is looked up.
    named: Vec<usize>,
    /// What `hear` hears, kept for its room.
    ended: Vec<(Attempt, connect::Ended)>,
}

impl Run {
    /// Waits for news for at most `timeout` and passes it on; false if there was none.
    fn hear(&mut self, timeout: Duration) -> io::Result<bool> {
        self.connector.wait(timeout, |attempt, result| self.ended.push((attempt, result)))?;
        let mut news = !self.ended.is_empty();
        let now = Instant::now();
        for (attempt, result) in self.ended.drain(..) {
            match result {
                // Both attempts may have come to an end at once.
                _ if self.handshakes[attempt.endpoint()].is_some() => {}
                Ok(handshake) => {
                    self.connector.close(attempt.sibling());
                    self.handshakes[attempt.endpoint()] = Some((attempt, handshake));
                    self.schedule.answered(attempt, handshake.latency, now);
                }
                Err(failure) => self.schedule.failed(attempt, failure),
            }
        }
        for (name, found) in self.resolver.iter().flat_map(Resolver::finished) {
            // A panic is a bug of ours, and no news about the name.
            let addresses = found.unwrap_or_else(|panic| resume_unwind(panic)).map_err(|why| match why {
                NotFound::NoAddress => Outcome::Unresolved,
                NotFound::NoRoom => Outcome::Unanswered,
            });
            self.schedule.resolved(self.named[name], addresses, now);
            news = true;
        }
        Ok(news)
    }

    fn progress(&self) -> Progress {
        Progress {
            concluded: self.schedule.concluded(),
            total: self.handshakes.len(),
            best: self.schedule.best(),
        }
    }

    fn probed(&self, endpoint: usize) -> Probed {
        let handshake = self.handshakes[endpoint];
        Probed {
            outcome: self.schedule.outcome(endpoint),
            imprecise: handshake.is_some_and(|(_, handshake)| handshake.imprecise),
            address: handshake.map(|(attempt, _)| self.schedule.address(attempt)),
            asked: self.schedule.was_asked(endpoint),
            from_afar: self.schedule.failure(endpoint) > Some(Failure::NoRoute),
        }
    }
}

/// The hosts of a job: each once, though it may have several endpoints.
struct Hosts {
    known: Vec<Known>,
    /// The names to look up, and the position of the host of each.
    names: Vec<String>,
    named: Vec<usize>,
    /// The host and port of each endpoint.
    endpoints: Vec<(usize, u16)>,
    /// The latencies of all other hosts.
    cached: Vec<Duration>,
}

impl Hosts {
    fn of(endpoints: &[&Endpoint], mut cached: HashMap<&Host, Duration>) -> Hosts {
        let mut hosts = Hosts {
            known: Vec::with_capacity(endpoints.len()),
            names: Vec::new(),
            named: Vec::new(),
            endpoints: Vec::with_capacity(endpoints.len()),
            cached: Vec::new(),
        };
        let mut positions = HashMap::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let add = || hosts.add(&endpoint.host, cached.remove(&endpoint.host));
            let host = *positions.entry(&endpoint.host).or_insert_with(add);
            hosts.endpoints.push((host, endpoint.port));
        }
        hosts.cached = cached.into_values().collect();
        hosts
    }

    fn add(&mut self, host: &Host, latency: Option<Duration>) -> usize {
        let position = self.known.len();
        let addresses = match host {
            Host::Address(ip) => Some(Addresses { first: SocketAddr::new(*ip, 0), second: None }),
            Host::Name(name) => {
                self.names.push(name.clone());
                self.named.push(position);
                None
            }
        };
        self.known.push(Known { addresses, latency });
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_descriptors_are_enough_for_all() {
        for limit in [20, 64, 256, 1024, 20_000, usize::MAX] {
            for open in [0, 3, limit / 2, limit - 14] {
                let (look_ups, descriptors) = shares(limit, open);
                let ours = (limit / 2).min((limit - open) / 2).max(7);
                assert!(descriptors + 3 <= ours, "{limit}, {open}: {descriptors}");
                // Where there are fewer than four, there is one look-up and one socket nevertheless.
                let for_sockets = descriptors.max(4) - look_ups * LOOK_UP_DESCRIPTORS;
                assert!(for_sockets * 2 + 3 >= descriptors, "{limit}, {open}: {look_ups} of {descriptors}");
                assert!((1..=LOOK_UPS).contains(&look_ups));
            }
        }
        assert_eq!(shares(1024, 1022), (1, 0), "one look-up at least; the schedule has one socket at least");
        assert_eq!(shares(1024, 10), (64, 504), "an ordinary process");
    }
}
