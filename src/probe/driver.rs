//! The loop of a run: asks the schedule what to do, does it, and passes on what happened. No
//! decision is made here.
#![forbid(unsafe_code)]

use super::connect::{AttemptResult, Connector, Handshake, Started};
use super::journal::Journal;
use super::limits::{self, Share};
use super::resolve::{Resolver, WorkerLimits};
use super::schedule::{
    Addresses, Attempt, AttemptFailure, HostKnowledge, Schedule, ScheduleOptions, Step, TimedEndpoint,
};
use super::{Cancel, Job, Measured, ProbeResult, ProbeTarget};
use crate::event::Progress;
use crate::hosts::{HostId, ListedEndpoint, ListedHost};
use crate::outcome::{Outcome, StopReason};
use crate::sys::{self, NotFound, Waker};
use crate::url::{self, Family, Host};
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After this long without a look at the sockets, the driver looks before it sends more: an answer
/// may make the next SYN needless.
const LATE: Duration = Duration::from_millis(1);
/// How often the interrupt check is called, and the cancel handle looked at.
const INTERRUPT_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Measures the targets of a job. The results are in their order.
///
/// # Errors
/// If there is no descriptor even for the epoll set and its waker.
pub(crate) fn measure(job: Job<'_>) -> io::Result<Measured> {
    let Job { list, targets, latencies, options, timeout, fallbacks, attempts, .. } = job;
    let Job { is_check, cancel, mut interrupt_check, progress, .. } = job;
    let start = Instant::now();
    let Share { lookups, descriptors } = limits::share();
    let schedule_options = ScheduleOptions {
        timeout,
        fallbacks,
        is_check,
        rule: options.rule,
        in_flight: limits::IN_FLIGHT,
        lookups: lookups.run,
        descriptors,
    };
    let mut timed = Vec::with_capacity(targets.len());
    for &ProbeTarget { endpoint, is_tried, is_troubled } in targets {
        let ListedEndpoint { host, port } = list.endpoints[endpoint.0];
        timed.push(TimedEndpoint { host, port, is_tried, is_troubled });
    }
    let (hosts, names) = look_into(&list.hosts, &latencies, &timed);

    let connector = Connector::new(2 * targets.len())?;
    // A signal ends a wait early only if this thread is the one that receives it.
    let is_interruptible = cancel.is_some() || interrupt_check.is_some();
    let longest_wait = if is_interruptible { INTERRUPT_CHECK_INTERVAL } else { Duration::MAX };
    let mut is_cancelled =
        || cancel.is_some_and(Cancel::is_cancelled) || interrupt_check.as_mut().is_some_and(|check| check());
    let mut resolver = None;
    let (named, names): (Vec<HostId>, Vec<String>) = names.into_iter().unzip();
    if !names.is_empty() && !timeout.is_zero() && !is_cancelled() {
        resolver = Some(start_lookups(names, lookups, options.family, list.public_only, &connector)?);
    }
    let mut driver = Driver {
        schedule: Schedule::new(schedule_options, hosts, timed, mem::take(attempts), start),
        handshakes: vec![None; targets.len()],
        journal: Journal::new(targets.len(), start),
        connector,
        resolver,
        named,
        finished: Vec::new(),
        no_room: None,
        names_without_room: 0,
    };

    let (mut last_news, mut completed) = (start, 0);
    let stop_reason = loop {
        if driver.schedule.completed() > completed {
            completed = driver.schedule.completed();
            progress(driver.progress());
        }
        if is_cancelled() {
            driver.schedule.cancel();
        }
        let now = Instant::now();
        if now > last_news + LATE {
            last_news = now;
            driver.take_news(Duration::ZERO)?;
        }
        match driver.schedule.next(now) {
            Step::Connect(attempt, address) => match driver.connector.start(attempt, address, now) {
                Started::Connecting => driver.journal.sent(attempt, now),
                Started::Failed(failure) => {
                    driver.journal.sent(attempt, now);
                    driver.journal.failed(attempt, failure, now);
                    driver.schedule.failed(attempt, failure);
                }
                Started::NoRoom(errno) => {
                    driver.no_room = Some(errno);
                    driver.schedule.no_room(attempt, now);
                }
            },
            Step::Close(attempt) => {
                driver.journal.given_up(attempt, now);
                driver.connector.close(attempt);
            }
            Step::Wait(until) => {
                driver.take_news(until.saturating_duration_since(now).min(longest_wait))?;
                last_news = Instant::now();
            }
            // What has arrived while this was being decided still counts. It changes the decision
            // unless there is no time left.
            Step::Stop(stop_reason) => {
                let is_over = matches!(stop_reason, StopReason::Timeout | StopReason::Cancelled);
                if !driver.take_news(Duration::ZERO)? || is_over {
                    break stop_reason;
                }
            }
        }
    };
    // The last news may have come after progress was reported.
    if driver.schedule.completed() > completed {
        progress(driver.progress());
    }
    let stop = Instant::now();
    let results: Vec<ProbeResult> =
        (0..targets.len()).map(|endpoint| driver.result(endpoint, stop)).collect();
    let warnings = driver.warnings(&results);
    let Driver { schedule, handshakes, mut journal, connector, resolver, .. } = driver;
    // They take memory that is better used for what follows.
    drop((connector, resolver));
    let count = (0..targets.len()).map(|target| journal.count(schedule.owner(target))).sum();
    let mut tried = Vec::with_capacity(count);
    for (index, &ProbeTarget { endpoint, .. }) in targets.iter().enumerate() {
        let owner = schedule.owner(index);
        let latency = handshakes[owner].map(|(_, handshake)| handshake.latency);
        let of_owner = journal.tried(owner, |attempt| schedule.address(attempt), latency, stop);
        tried.extend(of_owner.map(|tried| (endpoint, tried)));
    }
    *attempts = schedule.into_attempts();
    Ok(Measured { stop_reason, results, tried, warnings })
}

/// Returns what is known of each host of the list before the run, and the names to look up: those
/// of the hosts to be measured that are not given by address.
fn look_into(
    hosts: &[ListedHost],
    latencies: &[Option<Duration>],
    endpoints: &[TimedEndpoint],
) -> (Vec<HostKnowledge>, Vec<(HostId, String)>) {
    let mut known: Vec<HostKnowledge> = latencies
        .iter()
        .map(|&latency| HostKnowledge { latency, addresses: None, is_measured: false })
        .collect();
    let mut names = Vec::new();
    for &TimedEndpoint { host, .. } in endpoints {
        let knowledge = &mut known[host.0];
        if knowledge.is_measured {
            continue;
        }
        knowledge.is_measured = true;
        match &hosts[host.0].host {
            Host::Address(ip) => knowledge.addresses = Addresses::choose(&[SocketAddr::new(*ip, 0)]),
            Host::Name(name) => names.push((host, name.clone())),
        }
    }
    (known, names)
}

/// Starts to look names up; `connector` wakes when some are known.
fn start_lookups(
    names: Vec<String>,
    limits: WorkerLimits,
    family: Family,
    public_only: bool,
    connector: &Connector,
) -> io::Result<Resolver> {
    let waker = Waker::new()?;
    connector.watch(waker.as_fd())?;
    let family = sys::family_in_use(family);
    let lookup = move |name: &str| {
        let addresses = sys::lookup(name, family)?;
        if public_only && addresses.iter().any(|address| !url::is_public(address.ip())) {
            return Err(NotFound::NotPublic);
        }
        Addresses::choose(&addresses).ok_or(NotFound::NoAddress)
    };
    Ok(Resolver::start(names, limits, waker, Arc::new(lookup)))
}

/// A run under way.
struct Driver {
    schedule: Schedule,
    /// The handshake of each endpoint that has answered.
    handshakes: Vec<Option<(Attempt, Handshake)>>,
    journal: Journal,
    connector: Connector,
    resolver: Option<Resolver>,
    /// The host of each name that is looked up.
    named: Vec<HostId>,
    /// The attempts that have just finished; kept between calls for its memory.
    finished: Vec<(Attempt, AttemptResult)>,
    /// Why there was no room for an attempt: the last `errno`(3).
    no_room: Option<i32>,
    /// How many names were not looked up for want of room.
    names_without_room: usize,
}

impl Driver {
    /// Waits for news for at most `timeout` and passes it on. Returns whether there was any.
    fn take_news(&mut self, timeout: Duration) -> io::Result<bool> {
        self.connector.wait(timeout, |attempt, result| self.finished.push((attempt, result)))?;
        let mut is_news = !self.finished.is_empty();
        let now = Instant::now();
        for (attempt, result) in self.finished.drain(..) {
            match result {
                // Both attempts may have finished at once.
                _ if self.handshakes[attempt.endpoint()].is_some() => {}
                Ok(handshake) => {
                    self.journal.answered(attempt, now);
                    self.connector.close(attempt.sibling());
                    self.handshakes[attempt.endpoint()] = Some((attempt, handshake));
                    self.schedule.answered(attempt, handshake.latency, now);
                }
                Err(failure) => {
                    self.journal.failed(attempt, failure, now);
                    self.schedule.failed(attempt, failure);
                }
            }
        }
        if let Some(resolver) = &self.resolver {
            for (name, found) in resolver.finished() {
                // A panic is an internal error (a bug), and no news about the name.
                let addresses = match found.unwrap_or_else(|panic| resume_unwind(panic)) {
                    Ok(addresses) => Ok(addresses),
                    Err(NotFound::NoAddress) => Err(Outcome::Unresolved),
                    Err(NotFound::NotPublic) => Err(Outcome::Unsupported),
                    Err(NotFound::NoRoom) => {
                        self.names_without_room += 1;
                        Err(Outcome::Unanswered)
                    }
                };
                self.schedule.resolved(self.named[name], addresses, now);
                is_news = true;
            }
        }
        Ok(is_news)
    }

    fn progress(&self) -> Progress {
        Progress {
            completed: self.schedule.completed(),
            total: self.handshakes.len(),
            best: self.schedule.best(),
        }
    }

    /// Returns what this process or the system kept from being measured: one sentence each.
    fn warnings(&self, results: &[ProbeResult]) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.names_without_room > 0 {
            let why = match self.resolver.as_ref().and_then(Resolver::no_worker) {
                Some(why) => why.to_string(),
                None => "the process or the system has no descriptor or memory left".into(),
            };
            warnings.push(match self.names_without_room {
                1 => format!("a name could not be looked up: {why}"),
                names => format!("{names} names could not be looked up: {why}"),
            });
        }
        let is_left = |result: &ProbeResult| {
            result.outcome == Outcome::Unanswered && !result.syn_sent && !result.is_lookup_unfinished
        };
        if let Some(errno) = self.no_room.filter(|_| results.iter().any(is_left)) {
            let error = io::Error::from_raw_os_error(errno);
            warnings.push(format!("not all mirrors could be tried: {error}"));
        }
        warnings
    }

    fn result(&self, endpoint: usize, stop: Instant) -> ProbeResult {
        let schedule = &self.schedule;
        let owner = schedule.owner(endpoint);
        let handshake = self.handshakes[owner];
        ProbeResult {
            outcome: schedule.outcome(endpoint),
            imprecise: handshake.is_some_and(|(_, handshake)| handshake.imprecise),
            address: handshake.map(|(attempt, _)| schedule.address(attempt)),
            syn_sent: schedule.syn_sent(owner),
            is_tried_twice: schedule.is_tried_twice(owner),
            reported_by_network: schedule.failure(owner) > Some(AttemptFailure::NoRoute),
            is_detoured: schedule.is_detoured(owner),
            waited: schedule.waited(owner, stop),
            is_lookup_unfinished: schedule.is_looking_up(endpoint),
        }
    }
}
