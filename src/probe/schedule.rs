//! Which endpoint is tried when, and when to stop: a state machine without sockets or clocks; time
//! is an argument.
//!
//! The driver calls `next` until it says to wait or to stop, and reports what has happened in
//! between. Three things are decided here: when a SYN may leave (`pacing`), when a second one is
//! worth it (another family, a lost packet; `pacing`), and when enough is known (`stop`).
#![forbid(unsafe_code)]

mod pacing;
mod stop;

pub(super) use pacing::LOOKUP_DESCRIPTORS;

use crate::hosts::HostId;
use crate::outcome::{Outcome, StopReason};
use crate::rank::Rule;
use pacing::{Admission, Cause};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long to wait when there is no room for an attempt, and no other one can finish and make
/// some.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(5);

/// The options of a schedule.
#[derive(Debug, Clone)]
pub(super) struct ScheduleOptions {
    pub(super) timeout: Duration,
    /// How many hosts outside the pool must have a latency before the run is settled.
    pub(super) fallbacks: usize,
    pub(super) rule: Rule,
    /// How many attempts may be under way at once; at least 1.
    pub(super) in_flight: usize,
    /// How many lookups can be under way at once.
    pub(super) lookups: usize,
    /// How many descriptors all attempts and lookups under way may take.
    pub(super) descriptors: usize,
}

/// The addresses of a host that are worth trying, with port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) first: SocketAddr,
    /// The first of the other family if there is one, else the next of the same family.
    pub(super) second: Option<SocketAddr>,
}

impl Addresses {
    /// Chooses from the result of a lookup, which is in the system's order of preference.
    pub(super) fn choose(list: &[SocketAddr]) -> Option<Addresses> {
        let first = *list.first()?;
        let other_family = list.iter().find(|a| a.is_ipv4() != first.is_ipv4());
        let second = other_family.or_else(|| list.iter().find(|a| **a != first)).copied();
        Some(Addresses { first, second })
    }

    fn other_family(&self) -> Option<SocketAddr> {
        self.second.filter(|second| second.is_ipv4() != self.first.is_ipv4())
    }
}

/// A connection attempt: the first or the second to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt(pub(super) usize);

impl Attempt {
    fn new(endpoint: usize, is_second: bool) -> Attempt {
        Attempt(endpoint * 2 + usize::from(is_second))
    }

    /// Returns the position of the endpoint among those that are measured.
    pub(super) fn endpoint(self) -> usize {
        self.0 / 2
    }

    pub(super) fn is_second(self) -> bool {
        self.0 % 2 == 1
    }

    /// Returns the other attempt to the same endpoint.
    pub(super) fn sibling(self) -> Attempt {
        Attempt(self.0 ^ 1)
    }
}

/// Why an attempt failed. If both attempts to an endpoint failed, the greater one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AttemptFailure {
    /// No packet has left: this machine has no route.
    NoRoute,
    Unreachable,
    Refused,
}

/// What the driver should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Start this attempt.
    Connect(Attempt, SocketAddr),
    /// Give this attempt up.
    Close(Attempt),
    /// Wait for something to happen, until then at the latest.
    Wait(Instant),
    /// Measuring is over.
    Stop(StopReason),
}

/// What is known of a host before the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostKnowledge {
    /// Whether any endpoint of it is to be measured. If so, and without addresses, its name is
    /// being looked up.
    pub(super) is_measured: bool,
    pub(super) addresses: Option<Addresses>,
    /// The lowest latency that is remembered of it.
    pub(super) latency: Option<Duration>,
}

/// An endpoint to measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimedEndpoint {
    pub(super) host: HostId,
    pub(super) port: u16,
}

#[derive(Debug)]
struct HostState {
    addresses: Option<Addresses>,
    /// Its other endpoints follow by [`EndpointState::sibling`].
    first_endpoint: Option<usize>,
    latency: Option<Duration>,
}

#[derive(Debug)]
struct EndpointState {
    host: HostId,
    port: u16,
    /// The next endpoint of the same host.
    sibling: Option<usize>,
    tries: [Try; 2],
    /// Whether the second attempt is a hedge.
    is_hedged: bool,
    failure: Option<AttemptFailure>,
    outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    Unused,
    InFlight(Instant),
    Over,
}

/// Endpoints that wait for the answer to their first SYN, by what a second one could reach.
#[derive(Debug, Default)]
struct Waiting {
    /// Tried over IPv4; IPv6 could be tried too.
    ipv4_first: VecDeque<usize>,
    /// Tried over IPv6; IPv4 could be tried too.
    ipv6_first: VecDeque<usize>,
    one_family: VecDeque<usize>,
}

/// The state of one run.
#[derive(Debug)]
pub(super) struct Schedule {
    options: ScheduleOptions,
    start: Instant,
    /// By [`HostId`].
    hosts: Vec<HostState>,
    endpoints: Vec<EndpointState>,
    /// How many endpoints have no outcome yet.
    open: usize,
    /// How many lookups have not finished.
    lookups: usize,
    /// How long the finished lookups took, time in the queue included. Ascending, since all began
    /// at the start.
    lookup_times: Vec<Duration>,
    /// Endpoints whose first SYN may leave.
    ready: VecDeque<usize>,
    /// Endpoints whose second SYN is due because the first attempt failed.
    retry: VecDeque<usize>,
    waiting: Waiting,
    /// In the order of their SYNs. Those at either end that are over are dropped when they are met.
    flights: VecDeque<Attempt>,
    in_flight: usize,
    /// How many may be in flight after an attempt failed for want of room.
    room: usize,
    no_room_until: Option<Instant>,
    sent: usize,
    first_sent: Option<Instant>,
    /// One for each host that has one, ascending.
    latencies: Vec<Duration>,
    /// Answers to hedges do not count here while there are others: that a packet was lost says
    /// nothing about how far away the silent mirrors are.
    last_answer: Option<Instant>,
    slowest_answer: Duration,
    /// When an answer last came or a SYN left, second attempts upon silence excluded.
    last_event: Instant,
    answered_ipv4: bool,
    answered_ipv6: bool,
    is_cancelled: bool,
}

impl Schedule {
    /// Begins a run over `endpoints`. `hosts` are those of the whole list, by [`HostId`].
    pub(super) fn new(
        options: ScheduleOptions,
        hosts: Vec<HostKnowledge>,
        endpoints: Vec<TimedEndpoint>,
        now: Instant,
    ) -> Schedule {
        let mut latencies: Vec<Duration> = hosts.iter().filter_map(|host| host.latency).collect();
        latencies.sort_unstable();
        let lookups = hosts.iter().filter(|host| host.is_measured && host.addresses.is_none()).count();
        let has_address = |&index: &usize| hosts[endpoints[index].host.0].addresses.is_some();
        let ready = (0..endpoints.len()).filter(has_address).collect();
        let mut hosts: Vec<HostState> = hosts
            .into_iter()
            .map(|HostKnowledge { addresses, latency, .. }| HostState {
                addresses,
                latency,
                first_endpoint: None,
            })
            .collect();
        let mut endpoints: Vec<EndpointState> = endpoints
            .into_iter()
            .map(|TimedEndpoint { host, port }| EndpointState {
                host,
                port,
                sibling: None,
                tries: [Try::Unused; 2],
                is_hedged: false,
                failure: None,
                outcome: None,
            })
            .collect();
        for (index, endpoint) in endpoints.iter_mut().enumerate().rev() {
            endpoint.sibling = hosts[endpoint.host.0].first_endpoint.replace(index);
        }
        Schedule {
            start: now,
            open: endpoints.len(),
            lookups,
            lookup_times: Vec::new(),
            ready,
            retry: VecDeque::new(),
            waiting: Waiting::default(),
            flights: VecDeque::new(),
            in_flight: 0,
            room: usize::MAX,
            no_room_until: None,
            sent: 0,
            first_sent: None,
            last_answer: (!latencies.is_empty()).then_some(now),
            slowest_answer: latencies.last().copied().unwrap_or_default(),
            latencies,
            last_event: now,
            answered_ipv4: false,
            answered_ipv6: false,
            is_cancelled: false,
            endpoints,
            hosts,
            options,
        }
    }

    /// Returns what to do now. Everything that has happened until `now` should have been reported.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        let deadline = self.start + self.options.timeout;
        if self.endpoints.is_empty() {
            return Step::Stop(StopReason::Idle);
        } else if self.open == 0 {
            return Step::Stop(StopReason::Complete);
        } else if self.is_cancelled {
            return Step::Stop(StopReason::Cancelled);
        } else if now >= deadline {
            return Step::Stop(StopReason::Timeout);
        }
        let mut wake = deadline;
        if let Some((endpoint, cause)) = self.due(now, &mut wake) {
            match self.admit(endpoint, now) {
                Admission::Now => return self.launch(endpoint, cause, now),
                Admission::InPlaceOf(attempt) => {
                    self.give_up(attempt, endpoint);
                    return Step::Close(attempt);
                }
                Admission::Later(time) => wake = wake.min(time),
            }
        } else {
            let stops = [(self.settled_at(), StopReason::Settled), (self.quiet_at(), StopReason::Quiet)];
            for (time, reason) in stops {
                match time {
                    Some(time) if time <= now => return Step::Stop(reason),
                    Some(time) => wake = wake.min(time),
                    None => {}
                }
            }
        }
        Step::Wait(wake)
    }

    /// Reports that a lookup has found addresses, or why there are none.
    pub(super) fn resolved(&mut self, host: HostId, addresses: Result<Addresses, Outcome>, now: Instant) {
        self.lookups -= 1;
        self.lookup_times.push(now - self.start);
        self.hosts[host.0].addresses = addresses.ok();
        let mut next = self.hosts[host.0].first_endpoint;
        while let Some(endpoint) = next {
            next = self.endpoints[endpoint].sibling;
            match addresses {
                Ok(_) => self.ready.push_back(endpoint),
                Err(outcome) => self.conclude(endpoint, outcome),
            }
        }
    }

    /// Reports that a handshake is complete.
    pub(super) fn answered(&mut self, attempt: Attempt, latency: Duration, now: Instant) {
        self.leave_flight(attempt);
        self.leave_flight(attempt.sibling());
        match self.address(attempt) {
            SocketAddr::V4(_) => self.answered_ipv4 = true,
            SocketAddr::V6(_) => self.answered_ipv6 = true,
        }
        let is_hedge = attempt.is_second() && self.endpoints[attempt.endpoint()].is_hedged;
        if !is_hedge || self.last_answer.is_none() {
            self.last_answer = Some(now);
        }
        self.last_event = now;
        self.slowest_answer = self.slowest_answer.max(latency);
        self.conclude(attempt.endpoint(), Outcome::Measured(latency));

        let host = &mut self.hosts[self.endpoints[attempt.endpoint()].host.0];
        let before = host.latency.replace(host.latency.map_or(latency, |before| before.min(latency)));
        if before.is_none_or(|before| latency < before) {
            if let Some(position) = before.and_then(|before| self.latencies.binary_search(&before).ok()) {
                self.latencies.remove(position);
            }
            let position = self.latencies.partition_point(|&other| other < latency);
            self.latencies.insert(position, latency);
        }
    }

    /// Reports that an attempt was refused or could not be delivered.
    pub(super) fn failed(&mut self, attempt: Attempt, failure: AttemptFailure) {
        self.leave_flight(attempt);
        let endpoint = &mut self.endpoints[attempt.endpoint()];
        endpoint.failure = endpoint.failure.max(Some(failure));
        if matches!(endpoint.tries[usize::from(!attempt.is_second())], Try::InFlight(_)) {
            return;
        }
        // An address that has refused once is not tried again.
        let has_another = self.hosts[endpoint.host.0].addresses.is_some_and(|a| a.second.is_some());
        if !attempt.is_second() && endpoint.tries[1] == Try::Unused && has_another {
            self.retry.push_back(attempt.endpoint());
            return;
        }
        let outcome = match endpoint.failure {
            Some(AttemptFailure::Refused) => Outcome::Refused,
            _ => Outcome::Unreachable,
        };
        self.conclude(attempt.endpoint(), outcome);
    }

    /// Reports that there was no room for this attempt in the process or the system (descriptors,
    /// buffers). Nothing has been sent, and fewer are tried at once from now on.
    pub(super) fn no_room(&mut self, attempt: Attempt, now: Instant) {
        self.leave_flight(attempt);
        self.flights.pop_back();
        self.sent -= 1;
        self.first_sent = self.first_sent.filter(|_| self.sent > 0);
        let tries = &mut self.endpoints[attempt.endpoint()].tries;
        tries[usize::from(attempt.is_second())] = Try::Unused;
        match tries[0] {
            Try::Unused => self.ready.push_front(attempt.endpoint()),
            Try::Over => self.retry.push_front(attempt.endpoint()),
            // A hedge: its endpoint is still in its queue.
            Try::InFlight(_) => {}
        }
        self.room = self.in_flight.max(1);
        self.no_room_until = (self.in_flight == 0).then_some(now + NO_ROOM_PAUSE);
    }

    pub(super) fn cancel(&mut self) {
        self.is_cancelled = true;
    }

    /// Returns an endpoint's outcome, which is unanswered until it has another.
    pub(super) fn outcome(&self, endpoint: usize) -> Outcome {
        self.endpoints[endpoint].outcome.unwrap_or(Outcome::Unanswered)
    }

    /// Returns why an endpoint's attempts failed, if any has.
    pub(super) fn failure(&self, endpoint: usize) -> Option<AttemptFailure> {
        self.endpoints[endpoint].failure
    }

    /// Returns whether a SYN has left for an endpoint.
    pub(super) fn syn_sent(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].tries[0] != Try::Unused
    }

    /// Returns the address that an attempt goes to.
    pub(super) fn address(&self, attempt: Attempt) -> SocketAddr {
        let endpoint = &self.endpoints[attempt.endpoint()];
        let addresses = self.hosts[endpoint.host.0].addresses.expect("only hosts with addresses are tried");
        let mut address = addresses.first;
        if let (true, Some(second)) = (attempt.is_second(), addresses.second) {
            address = second;
        }
        address.set_port(endpoint.port);
        address
    }

    /// Returns how many endpoints have an outcome.
    pub(super) fn completed(&self) -> usize {
        self.endpoints.len() - self.open
    }

    /// Returns the lowest latency of a host, measured or cached.
    pub(super) fn best(&self) -> Option<Duration> {
        self.latencies.first().copied()
    }

    fn conclude(&mut self, endpoint: usize, outcome: Outcome) {
        debug_assert!(self.endpoints[endpoint].outcome.is_none(), "each has one outcome");
        self.endpoints[endpoint].outcome = Some(outcome);
        self.open -= 1;
    }

    fn sent_at(&self, attempt: Attempt) -> Option<Instant> {
        match self.endpoints[attempt.endpoint()].tries[usize::from(attempt.is_second())] {
            Try::InFlight(sent) => Some(sent),
            _ => None,
        }
    }

    fn leave_flight(&mut self, attempt: Attempt) {
        if self.sent_at(attempt).is_some() {
            self.endpoints[attempt.endpoint()].tries[usize::from(attempt.is_second())] = Try::Over;
            self.in_flight -= 1;
            self.room = self.room.saturating_add(1);
            self.no_room_until = None;
        }
    }

    fn launch(&mut self, index: usize, cause: Cause, now: Instant) -> Step {
        match cause {
            Cause::First => self.ready.pop_front(),
            Cause::Failure => self.retry.pop_front(),
            // The endpoint leaves its queue when it is met there.
            Cause::Family | Cause::Hedge => None,
        };
        let attempt = Attempt::new(index, cause != Cause::First);
        self.endpoints[index].tries[usize::from(attempt.is_second())] = Try::InFlight(now);
        self.endpoints[index].is_hedged = cause == Cause::Hedge;
        if cause == Cause::First {
            let addresses = self.hosts[self.endpoints[index].host.0].addresses;
            match addresses.map(|addresses| (addresses.first, addresses.other_family())) {
                Some((SocketAddr::V4(_), Some(_))) => self.waiting.ipv4_first.push_back(index),
                Some((SocketAddr::V6(_), Some(_))) => self.waiting.ipv6_first.push_back(index),
                _ => self.waiting.one_family.push_back(index),
            }
        }
        self.flights.push_back(attempt);
        self.in_flight += 1;
        self.sent += 1;
        self.first_sent.get_or_insert(now);
        // A second attempt upon silence does not prolong the quiet time: what remains of it, half
        // after a hedge, must be enough for its answer.
        if cause == Cause::First || self.endpoints[index].failure.is_some() {
            self.last_event = now;
        }
        Step::Connect(attempt, self.address(attempt))
    }

    /// Gives an attempt up to make room for one to `next`.
    fn give_up(&mut self, attempt: Attempt, next: usize) {
        self.leave_flight(attempt);
        if attempt.endpoint() == next {
            self.retry.push_front(next);
        } else if self.sent_at(attempt.sibling()).is_none() {
            self.conclude(attempt.endpoint(), Outcome::Unanswered);
        }
    }
}

#[cfg(test)]
mod tests;
