//! Which endpoint is tried when, and when to stop: a state machine without sockets or clocks; time
//! is an argument.
//!
//! The driver calls `next` until it says to wait or to stop, and reports what has happened in
//! between. Four things are decided here: which address is tried (as curl does it), when a SYN may
//! leave (`pacing`), when a second one is worth it (another family, a lost packet; `pacing`), and
//! when enough is known (`stop`).
//!
//! A latency must be one that the client will see. The client tries the addresses of a host in the
//! order in which the system gives them. It waits for seconds before it tries a second address of
//! the same family, so a host whose first address is silent counts as silent. It waits for a
//! fraction of a second before it tries the other family; a host that is reached only in that way
//! is *detoured*.
#![forbid(unsafe_code)]

mod attempts;
mod latencies;
mod pacing;
#[cfg(any(test, feature = "__internals"))]
pub(crate) mod simulation;
mod stop;

pub(crate) use attempts::AttemptCounts;
pub(super) use pacing::LOOKUP_DESCRIPTORS;
pub(crate) use stop::{GRACE, LEAST_QUIET_TIME};

use crate::hosts::HostId;
use crate::outcome::{Outcome, StopReason};
use crate::rank::Rule;
use latencies::Latencies;
use pacing::{Admission, Cause};
use std::collections::HashMap;
use std::collections::VecDeque;
use std::mem;
use std::net::{IpAddr, SocketAddr};
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
    /// Whether this is to confirm remembered latencies, those of the endpoints among them. No hedge
    /// leaves then.
    pub(super) is_check: bool,
    pub(super) rule: Rule,
    /// How many attempts may be under way at once; at least 1.
    pub(super) in_flight: usize,
    /// How many lookups can be under way at once.
    pub(super) lookups: usize,
    /// How many descriptors all attempts and lookups under way may take.
    pub(super) descriptors: usize,
}

/// The addresses of a host that may be tried, with port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) first: SocketAddr,
    /// The one after it, which the client tries at once if the first fails.
    pub(super) next: Option<SocketAddr>,
    /// The first one of the other family, which the client tries after a while if the first is
    /// silent.
    pub(super) other_family: Option<SocketAddr>,
}

impl Addresses {
    /// Chooses from the result of a lookup, which is in the system's order of preference.
    pub(super) fn choose(list: &[SocketAddr]) -> Option<Addresses> {
        let first = *list.first()?;
        let next = list.iter().find(|&&address| address != first).copied();
        let other_family = list.iter().find(|address| address.is_ipv4() != first.is_ipv4()).copied();
        Some(Addresses { first, next, other_family })
    }
}

/// A connection attempt: the first or the second to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt(pub(super) usize);

impl Attempt {
    pub(super) fn new(endpoint: usize, is_second: bool) -> Attempt {
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
    /// Whether its first attempt was made before, in another pass of this run.
    pub(super) is_tried: bool,
    /// Whether its latency counts neither for the pool nor as a fallback.
    pub(super) is_troubled: bool,
}

#[derive(Debug)]
struct HostState {
    addresses: Option<Addresses>,
    /// Its other endpoints follow by [`EndpointState::sibling`].
    first_endpoint: Option<usize>,
    /// What was known of it before the run.
    cached: Option<Duration>,
    /// The first host that has the same first address: names of one address are one host to the
    /// pool and the fallbacks.
    group: HostId,
}

#[derive(Debug)]
struct EndpointState {
    host: HostId,
    port: u16,
    is_troubled: bool,
    /// The next endpoint of the same host.
    sibling: Option<usize>,
    tries: [Try; 2],
    /// Why the second attempt was made.
    second: Option<Cause>,
    last_sent: Option<Instant>,
    /// When it was given up to make room for others.
    given_up: Option<Instant>,
    failure: Option<AttemptFailure>,
    outcome: Option<Outcome>,
    /// Whether only the other family answered, while the first address was silent.
    other_family_answered: bool,
    /// The endpoint of another name that has the same address and port: what is measured there
    /// counts here, too.
    owner: Option<usize>,
    /// The next endpoint with the same owner, or the first one if this is the owner.
    next_alias: Option<usize>,
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
    /// Endpoints whose second SYN is due, and why: mostly because the first attempt failed.
    retry: VecDeque<(usize, Cause)>,
    /// Endpoints with addresses of both families whose first one was silent in an earlier pass.
    /// Which family their second SYN goes to depends on which of them has answered.
    undecided: Vec<usize>,
    /// The endpoint that is tried for each address and port.
    owners: HashMap<SocketAddr, usize>,
    /// The first host of each address.
    groups: HashMap<IpAddr, HostId>,
    attempts: AttemptCounts,
    waiting: Waiting,
    /// In the order of their SYNs. Those at either end that are over are dropped when they are met.
    flights: VecDeque<Attempt>,
    /// The same without hedges, whose answers are not waited for.
    waited_for: VecDeque<Attempt>,
    in_flight: usize,
    /// How many may be in flight after an attempt failed for want of room.
    room: usize,
    no_room_until: Option<Instant>,
    sent: usize,
    first_sent: Option<Instant>,
    latencies: Latencies,
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
    /// Begins a run over `endpoints`. `hosts` are those of the whole list, by [`HostId`];
    /// `attempts` are those made before, in another pass of this run.
    pub(super) fn new(
        options: ScheduleOptions,
        hosts: Vec<HostKnowledge>,
        endpoints: Vec<TimedEndpoint>,
        attempts: AttemptCounts,
        now: Instant,
    ) -> Schedule {
        let lookups = hosts.iter().filter(|host| host.is_measured && host.addresses.is_none()).count();
        let known: Vec<(HostId, Addresses)> =
            hosts.iter().enumerate().filter_map(|(id, host)| Some((HostId(id), host.addresses?))).collect();
        let mut hosts: Vec<HostState> = hosts
            .into_iter()
            .enumerate()
            .map(|(id, HostKnowledge { latency, .. })| HostState {
                addresses: None,
                first_endpoint: None,
                cached: latency,
                group: HostId(id),
            })
            .collect();
        let mut endpoints: Vec<EndpointState> = endpoints
            .into_iter()
            .map(|TimedEndpoint { host, port, is_tried, is_troubled }| EndpointState {
                host,
                port,
                is_troubled,
                sibling: None,
                tries: [if is_tried { Try::Over } else { Try::Unused }, Try::Unused],
                second: None,
                last_sent: None,
                given_up: None,
                failure: None,
                outcome: None,
                other_family_answered: false,
                owner: None,
                next_alias: None,
            })
            .collect();
        for (index, endpoint) in endpoints.iter_mut().enumerate().rev() {
            endpoint.sibling = hosts[endpoint.host.0].first_endpoint.replace(index);
        }
        let latencies = Latencies::new(hosts.iter().map(|host| host.cached));
        let mut schedule = Schedule {
            start: now,
            open: endpoints.len(),
            lookups,
            lookup_times: Vec::new(),
            ready: VecDeque::new(),
            retry: VecDeque::new(),
            undecided: Vec::new(),
            owners: HashMap::new(),
            groups: HashMap::new(),
            waiting: Waiting::default(),
            answered_ipv4: attempts.answered_ipv4,
            answered_ipv6: attempts.answered_ipv6,
            attempts,
            flights: VecDeque::new(),
            waited_for: VecDeque::new(),
            in_flight: 0,
            room: usize::MAX,
            no_room_until: None,
            sent: 0,
            first_sent: None,
            last_answer: latencies.best().map(|_| now),
            slowest_answer: latencies.slowest().unwrap_or_default(),
            latencies,
            last_event: now,
            is_cancelled: false,
            endpoints,
            hosts,
            options,
        };
        for (host, addresses) in known {
            schedule.set_addresses(host, addresses);
        }
        schedule
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
                    self.give_up(attempt, endpoint, cause, now);
                    return Step::Close(attempt);
                }
                Admission::Later(time) => wake = wake.min(time),
            }
        } else if self.open == 0 {
            // The last endpoints were aliases, or their addresses had enough attempts.
            return Step::Stop(StopReason::Complete);
        } else if self.undecided.is_empty() {
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
        match addresses {
            Ok(addresses) => self.set_addresses(host, addresses),
            Err(outcome) => {
                let mut next = self.hosts[host.0].first_endpoint;
                while let Some(endpoint) = next {
                    next = self.endpoints[endpoint].sibling;
                    self.conclude(endpoint, outcome);
                }
            }
        }
    }

    /// Makes the endpoints of a host ready, now that its addresses are known.
    fn set_addresses(&mut self, host: HostId, addresses: Addresses) {
        self.hosts[host.0].addresses = Some(addresses);
        let group = *self.groups.entry(addresses.first.ip().to_canonical()).or_insert(host);
        if group != host {
            self.hosts[host.0].group = group;
            self.latencies.move_to(host, group);
        }
        let mut next = self.hosts[host.0].first_endpoint;
        while let Some(endpoint) = next {
            next = self.endpoints[endpoint].sibling;
            match self.endpoints[endpoint].tries[0] {
                Try::Unused => self.ready.push_back(endpoint),
                _ if addresses.other_family.is_some() => self.undecided.push(endpoint),
                _ => self.retry.push_back((endpoint, Cause::Again)),
            }
        }
    }

    /// Reports that a handshake is complete.
    pub(super) fn answered(&mut self, attempt: Attempt, latency: Duration, now: Instant) {
        self.leave_flight(attempt);
        self.leave_flight(attempt.sibling());
        let address = self.address(attempt);
        let is_news_of_family = match address {
            SocketAddr::V4(_) => !mem::replace(&mut self.answered_ipv4, true),
            SocketAddr::V6(_) => !mem::replace(&mut self.answered_ipv6, true),
        };
        let index = attempt.endpoint();
        let is_hedge = attempt.is_second() && self.endpoints[index].second == Some(Cause::Hedge);
        if !is_hedge || self.last_answer.is_none() {
            self.last_answer = Some(now);
        }
        self.last_event = now;
        self.slowest_answer = self.slowest_answer.max(latency);
        self.endpoints[index].other_family_answered = attempt.is_second()
            && self.endpoints[index].failure.is_none()
            && self.address(attempt.sibling()).is_ipv4() != address.is_ipv4();
        self.conclude(index, Outcome::Measured(latency));
        if is_news_of_family {
            // Hosts that this family was silent for are detoured from now on.
            self.refresh_latencies();
        } else if !self.endpoints[index].is_troubled {
            let group = self.hosts[self.endpoints[index].host.0].group;
            self.latencies.add(group, latency, self.is_detoured(index));
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
        // The client goes on to the next address at once. One that has refused is not tried again.
        let has_next = self.hosts[endpoint.host.0].addresses.is_some_and(|a| a.next.is_some());
        if !attempt.is_second() && endpoint.tries[1] == Try::Unused && has_next {
            self.retry.push_back((attempt.endpoint(), Cause::Failure));
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
        if self.waited_for.back() == Some(&attempt) {
            self.waited_for.pop_back();
        }
        self.sent -= 1;
        self.first_sent = self.first_sent.filter(|_| self.sent > 0);
        self.attempts.take_back(self.address(attempt).ip());
        let endpoint = &mut self.endpoints[attempt.endpoint()];
        endpoint.tries[usize::from(attempt.is_second())] = Try::Unused;
        match (endpoint.tries[0], endpoint.second.take()) {
            (Try::Unused, _) => self.ready.push_front(attempt.endpoint()),
            (Try::Over, Some(cause)) => self.retry.push_front((attempt.endpoint(), cause)),
            // The endpoint of a hedge is still in its queue.
            (Try::Over | Try::InFlight(_), _) => {}
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

    /// Returns whether a SYN has left for an endpoint in this pass.
    pub(super) fn syn_sent(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].last_sent.is_some()
    }

    /// Returns whether both attempts to an endpoint were made, one of them maybe in an earlier
    /// pass.
    pub(super) fn is_tried_twice(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].tries.iter().all(|&attempt| attempt != Try::Unused)
    }

    /// Returns the endpoint that was measured in place of this one: itself, or the one of another
    /// name with the same address and port.
    pub(super) fn owner(&self, endpoint: usize) -> usize {
        self.endpoints[endpoint].owner.unwrap_or(endpoint)
    }

    /// Returns whether the client waits for another address before it reaches this endpoint's: the
    /// first one is silent although its family has answered elsewhere. A family that is dead
    /// everywhere is no fault of the mirror's.
    pub(super) fn is_detoured(&self, endpoint: usize) -> bool {
        let Some(addresses) = self.hosts[self.endpoints[endpoint].host.0].addresses else { return false };
        let family_has_answered =
            if addresses.first.is_ipv4() { self.answered_ipv4 } else { self.answered_ipv6 };
        self.endpoints[endpoint].other_family_answered && family_has_answered
    }

    /// Returns for how long a silent endpoint was waited for since its last SYN that was not a
    /// hedge.
    pub(super) fn waited(&self, endpoint: usize, stop: Instant) -> Option<Duration> {
        let EndpointState { last_sent, given_up, outcome, .. } = self.endpoints[endpoint];
        match outcome {
            None | Some(Outcome::Unanswered) => Some(given_up.unwrap_or(stop) - last_sent?),
            Some(_) => None,
        }
    }

    /// Returns whether the lookup of an endpoint's host has not finished.
    pub(super) fn is_looking_up(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].outcome.is_none()
            && self.hosts[self.endpoints[endpoint].host.0].addresses.is_none()
    }

    /// Returns what the next pass of the run needs to know.
    pub(super) fn into_attempts(self) -> AttemptCounts {
        let mut attempts = self.attempts;
        attempts.answered_ipv4 = self.answered_ipv4;
        attempts.answered_ipv6 = self.answered_ipv6;
        attempts
    }

    /// Returns the address that an attempt goes to.
    pub(super) fn address(&self, attempt: Attempt) -> SocketAddr {
        let endpoint = &self.endpoints[attempt.endpoint()];
        let addresses = self.hosts[endpoint.host.0].addresses.expect("only hosts with addresses are tried");
        let mut address = addresses.first;
        if let (true, Some(cause)) = (attempt.is_second(), endpoint.second) {
            address = cause.address(&addresses);
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
        self.latencies.best()
    }

    fn conclude(&mut self, endpoint: usize, outcome: Outcome) {
        debug_assert!(self.endpoints[endpoint].outcome.is_none(), "each has one outcome");
        self.endpoints[endpoint].outcome = Some(outcome);
        self.open -= 1;
        let mut next = self.endpoints[endpoint].next_alias;
        while let Some(alias) = next {
            next = self.endpoints[alias].next_alias;
            self.endpoints[alias].outcome = Some(outcome);
            self.open -= 1;
        }
    }

    /// Returns the next endpoint whose first SYN may leave. On the way to it, leaves out those
    /// whose address and port is tried under another name, and those whose address has had enough.
    fn next_ready(&mut self) -> Option<usize> {
        while let Some(&endpoint) = self.ready.front() {
            let mut address = self.address(Attempt::new(endpoint, false));
            address.set_ip(address.ip().to_canonical());
            let owner = *self.owners.entry(address).or_insert(endpoint);
            if owner != endpoint {
                self.ready.pop_front();
                self.endpoints[endpoint].owner = Some(owner);
                match self.endpoints[owner].outcome {
                    Some(outcome) => self.conclude(endpoint, outcome),
                    None => {
                        let next = self.endpoints[owner].next_alias.replace(endpoint);
                        self.endpoints[endpoint].next_alias = next;
                    }
                }
            } else if self.attempts.is_enough(address.ip()) {
                self.ready.pop_front();
                self.conclude(endpoint, Outcome::Unanswered);
            } else {
                return Some(endpoint);
            }
        }
        None
    }

    /// Computes the latencies of all hosts anew.
    fn refresh_latencies(&mut self) {
        let mut latencies = Latencies::new(vec![None; self.hosts.len()].into_iter());
        // Once anything has answered, a latency that is being checked counts only if it is
        // confirmed. The others are waited for as long as they could belong to the pool without it.
        let has_answer = self.answered_ipv4 || self.answered_ipv6;
        for host in &self.hosts {
            let is_unconfirmed = self.options.is_check && has_answer && host.first_endpoint.is_some();
            if let (Some(latency), false) = (host.cached, is_unconfirmed) {
                latencies.add(host.group, latency, false);
            }
        }
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let is_counted = endpoint.owner.is_none() && !endpoint.is_troubled;
            if let (Some(Outcome::Measured(latency)), true) = (endpoint.outcome, is_counted) {
                latencies.add(self.hosts[endpoint.host.0].group, latency, self.is_detoured(index));
            }
        }
        self.latencies = latencies;
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
        let addresses = self.hosts[self.endpoints[index].host.0].addresses;
        let addresses = addresses.expect("only hosts with addresses are tried");
        if cause == Cause::First {
            self.ready.pop_front();
            match (addresses.first, addresses.other_family) {
                (SocketAddr::V4(_), Some(_)) => self.waiting.ipv4_first.push_back(index),
                (SocketAddr::V6(_), Some(_)) => self.waiting.ipv6_first.push_back(index),
                (_, None) => self.waiting.one_family.push_back(index),
            }
        } else if self.retry.front().is_some_and(|&(endpoint, _)| endpoint == index) {
            // Other second attempts are in another queue, which they leave when they are met there.
            self.retry.pop_front();
        }
        let attempt = Attempt::new(index, cause != Cause::First);
        let endpoint = &mut self.endpoints[index];
        endpoint.tries[usize::from(attempt.is_second())] = Try::InFlight(now);
        // A hedge takes nothing from the time for which the first SYN was waited for.
        if cause != Cause::Hedge {
            endpoint.last_sent = Some(now);
        }
        endpoint.second = (cause != Cause::First).then_some(cause);
        self.attempts.add(self.address(attempt).ip());
        self.flights.push_back(attempt);
        if cause != Cause::Hedge {
            self.waited_for.push_back(attempt);
        }
        self.in_flight += 1;
        self.sent += 1;
        self.first_sent.get_or_insert(now);
        // A second attempt upon silence does not prolong the quiet time: what remains of it, half
        // after a hedge, must be enough for its answer. But where the first family may be dead
        // everywhere, it is the attempt that counts.
        let family_has_answered =
            if addresses.first.is_ipv4() { self.answered_ipv4 } else { self.answered_ipv6 };
        let counts = match cause {
            Cause::First | Cause::Failure | Cause::Again => true,
            Cause::Family => !family_has_answered,
            Cause::Hedge => false,
        };
        if counts {
            self.last_event = now;
        }
        Step::Connect(attempt, self.address(attempt))
    }

    /// Gives an attempt up to make room for one to `next`.
    fn give_up(&mut self, attempt: Attempt, next: usize, cause: Cause, now: Instant) {
        self.leave_flight(attempt);
        if attempt.endpoint() == next {
            self.retry.push_front((next, cause));
        } else if self.sent_at(attempt.sibling()).is_none() {
            self.endpoints[attempt.endpoint()].given_up = Some(now);
            self.conclude(attempt.endpoint(), Outcome::Unanswered);
        }
    }
}

#[cfg(test)]
mod tests;
