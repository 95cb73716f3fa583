//! Who is tried when, and when to stop: a state machine without sockets or clocks; time is handed in.
//!
//! The driver asks `next` until it says to wait or to end, and tells what has happened in between. Three things
//! are decided here: when a SYN may leave (politeness), when a second one is worth it (another family, a lost
//! packet), and when what is known is enough (`Ended`).
#![forbid(unsafe_code)]

mod departure;
mod ending;

pub(crate) use departure::LOOK_UP_DESCRIPTORS;

use crate::outcome::{Outcome, StopReason};
use crate::rank::Rule;
use departure::{Admission, Cause};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// After a failure for want of room, when no attempt of ours can end and make some.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(5);

/// The options of a run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) timeout: Duration,
    /// How many hosts outside the pool must have a latency before the run is settled.
    pub(crate) fallbacks: usize,
    pub(crate) rule: Rule,
    /// How many attempts may be under way at once; at least 1.
    pub(crate) in_flight: usize,
    /// How many look-ups can be under way at once.
    pub(crate) look_ups: usize,
    /// How many descriptors all attempts and look-ups under way may take.
    pub(crate) descriptors: usize,
}

/// The addresses of a host that are worth trying, with port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) first: SocketAddr,
    /// The other family's first if there is one, else the next of the same.
    pub(crate) second: Option<SocketAddr>,
}

impl Addresses {
    /// Chooses from a look-up's list, which is in the system's order of preference.
    pub(crate) fn choose(list: &[SocketAddr]) -> Option<Addresses> {
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
pub(crate) struct Attempt(pub(crate) usize);

impl Attempt {
    fn new(endpoint: usize, second: bool) -> Attempt {
        Attempt(endpoint * 2 + usize::from(second))
    }

    pub(crate) fn endpoint(self) -> usize {
        self.0 / 2
    }

    pub(crate) fn is_second(self) -> bool {
        self.0 % 2 == 1
    }

    /// The other attempt to the same endpoint.
    pub(crate) fn sibling(self) -> Attempt {
        Attempt(self.0 ^ 1)
    }
}

/// Why an attempt failed; the graver one counts when both did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// No packet has left: this machine knows no way.
    NoRoute,
    Unreachable,
    Refused,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start this attempt.
    Connect(Attempt, SocketAddr),
    /// Give this attempt up.
    Close(Attempt),
    /// Wait for something to happen, until then at the latest.
    Wait(Instant),
    /// It is over.
    Stop(StopReason),
}

/// What is known of a host before the run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// Of a literal; a host without addresses is being looked up.
    pub(crate) addresses: Option<Addresses>,
    /// Of an endpoint that needs no measuring.
    pub(crate) latency: Option<Duration>,
}

/// A host: given by its address, or being looked up.
#[derive(Debug)]
struct Host {
    addresses: Option<Addresses>,
    /// The others follow by [`Endpoint::sibling`].
    first_endpoint: Option<usize>,
    latency: Option<Duration>,
}

#[derive(Debug)]
struct Endpoint {
    host: usize,
    /// The next one of the same host.
    sibling: Option<usize>,
    port: u16,
    tries: [Try; 2],
    /// The second attempt is a hedge.
    hedged: bool,
    failure: Option<Failure>,
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
    /// Tried over IPv4, over IPv6 too if need be.
    ipv4_first: VecDeque<usize>,
    ipv6_first: VecDeque<usize>,
    one_family: VecDeque<usize>,
}

/// One run.
#[derive(Debug)]
pub(crate) struct Schedule {
    options: Options,
    start: Instant,
    hosts: Vec<Host>,
    endpoints: Vec<Endpoint>,
    /// Endpoints without an outcome.
    open: usize,
    look_ups: usize,
    /// How long the finished look-ups took, time in the queue included; ascending, since all began at the start.
    look_up_times: Vec<Duration>,
    /// Endpoints whose first SYN may leave, and whose second is due because the first failed.
    ready: VecDeque<usize>,
    retry: VecDeque<usize>,
    waiting: Waiting,
    /// In the order of their SYNs; those at either end that are over are dropped when met.
    flights: VecDeque<Attempt>,
    in_flight: usize,
    /// How many may be in flight after a failure for want of room.
    room: usize,
    no_room_until: Option<Instant>,
    sent: usize,
    first_sent: Option<Instant>,
    /// One per host that has one, ascending.
    latencies: Vec<Duration>,
    /// Answers to hedges do not count beside others: that a packet was lost says nothing about how far the silent are.
    last_answer: Option<Instant>,
    slowest_answer: Duration,
    /// When an answer last came or a SYN left, second attempts upon silence excluded.
    last_event: Instant,
    answered_ipv4: bool,
    answered_ipv6: bool,
    cancelled: bool,
}

impl Schedule {
    /// A run over `endpoints` (the position of a host, and a port) that begins `now`. `cached` are the known latencies
    /// of hosts that need no measuring at all.
    pub(crate) fn new(
        options: Options,
        hosts: Vec<Known>,
        endpoints: Vec<(usize, u16)>,
        cached: Vec<Duration>,
        now: Instant,
    ) -> Schedule {
        let mut cached = cached;
        cached.extend(hosts.iter().filter_map(|host| host.latency));
        cached.sort_unstable();
        let known = |&index: &usize| hosts[endpoints[index].0].addresses.is_some();
        let ready = (0..endpoints.len()).filter(known).collect();
        let mut hosts: Vec<Host> = hosts
            .into_iter()
            .map(|Known { addresses, latency }| Host { addresses, latency, first_endpoint: None })
            .collect();
        let mut endpoints: Vec<Endpoint> = endpoints
            .into_iter()
            .map(|(host, port)| Endpoint {
                host,
                port,
                sibling: None,
                tries: [Try::Unused; 2],
                hedged: false,
                failure: None,
                outcome: None,
            })
            .collect();
        for (index, endpoint) in endpoints.iter_mut().enumerate().rev() {
            endpoint.sibling = hosts[endpoint.host].first_endpoint.replace(index);
        }
        Schedule {
            start: now,
            open: endpoints.len(),
            look_ups: hosts.iter().filter(|host| host.addresses.is_none()).count(),
            look_up_times: Vec::new(),
            ready,
            retry: VecDeque::new(),
            waiting: Waiting::default(),
            flights: VecDeque::new(),
            in_flight: 0,
            room: usize::MAX,
            no_room_until: None,
            sent: 0,
            first_sent: None,
            last_answer: (!cached.is_empty()).then_some(now),
            slowest_answer: cached.last().copied().unwrap_or_default(),
            latencies: cached,
            last_event: now,
            answered_ipv4: false,
            answered_ipv6: false,
            cancelled: false,
            endpoints,
            hosts,
            options,
        }
    }

    /// What to do now. The driver should have told all that has happened until `now`.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        let deadline = self.start + self.options.timeout;
        if self.endpoints.is_empty() {
            return Step::Stop(StopReason::Idle);
        } else if self.open == 0 {
            return Step::Stop(StopReason::Complete);
        } else if self.cancelled {
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
            for (time, ended) in
                [(self.settled_at(), StopReason::Settled), (self.quiet_at(), StopReason::Quiet)]
            {
                match time {
                    Some(time) if time <= now => return Step::Stop(ended),
                    Some(time) => wake = wake.min(time),
                    None => {}
                }
            }
        }
        Step::Wait(wake)
    }

    /// A look-up has found addresses, or why there are none.
    pub(crate) fn resolved(&mut self, host: usize, addresses: Result<Addresses, Outcome>, now: Instant) {
        self.look_ups -= 1;
        self.look_up_times.push(now - self.start);
        self.hosts[host].addresses = addresses.ok();
        let mut next = self.hosts[host].first_endpoint;
        while let Some(endpoint) = next {
            next = self.endpoints[endpoint].sibling;
            match addresses {
                Ok(_) => self.ready.push_back(endpoint),
                Err(outcome) => self.conclude(endpoint, outcome),
            }
        }
    }

    /// A handshake is done.
    pub(crate) fn answered(&mut self, attempt: Attempt, latency: Duration, now: Instant) {
        self.leave_flight(attempt);
        self.leave_flight(attempt.sibling());
        match self.address(attempt) {
            SocketAddr::V4(_) => self.answered_ipv4 = true,
            SocketAddr::V6(_) => self.answered_ipv6 = true,
        }
        let to_hedge = attempt.is_second() && self.endpoints[attempt.endpoint()].hedged;
        if !to_hedge || self.last_answer.is_none() {
            self.last_answer = Some(now);
        }
        self.last_event = now;
        self.slowest_answer = self.slowest_answer.max(latency);
        self.conclude(attempt.endpoint(), Outcome::Measured(latency));

        let host = &mut self.hosts[self.endpoints[attempt.endpoint()].host];
        let before = host.latency.replace(host.latency.map_or(latency, |before| before.min(latency)));
        if before.is_none_or(|before| latency < before) {
            if let Some(position) = before.and_then(|before| self.latencies.binary_search(&before).ok()) {
                self.latencies.remove(position);
            }
            let position = self.latencies.partition_point(|&other| other < latency);
            self.latencies.insert(position, latency);
        }
    }

    /// An attempt was refused or could not be delivered.
    pub(crate) fn failed(&mut self, attempt: Attempt, failure: Failure) {
        self.leave_flight(attempt);
        let endpoint = &mut self.endpoints[attempt.endpoint()];
        endpoint.failure = endpoint.failure.max(Some(failure));
        if matches!(endpoint.tries[usize::from(!attempt.is_second())], Try::InFlight(_)) {
            return;
        }
        // An address that has refused once is not bothered again.
        let has_another = self.hosts[endpoint.host].addresses.is_some_and(|a| a.second.is_some());
        if !attempt.is_second() && endpoint.tries[1] == Try::Unused && has_another {
            self.retry.push_back(attempt.endpoint());
            return;
        }
        let outcome = match endpoint.failure {
            Some(Failure::Refused) => Outcome::Refused,
            _ => Outcome::Unreachable,
        };
        self.conclude(attempt.endpoint(), outcome);
    }

    /// There was no room for this attempt in the process or the system (descriptors, buffers): it has not left,
    /// and fewer are tried at once from now on.
    pub(crate) fn no_room(&mut self, attempt: Attempt, now: Instant) {
        self.leave_flight(attempt);
        self.flights.pop_back();
        self.sent -= 1;
        self.first_sent = self.first_sent.filter(|_| self.sent > 0);
        let tries = &mut self.endpoints[attempt.endpoint()].tries;
        tries[usize::from(attempt.is_second())] = Try::Unused;
        match tries[0] {
            Try::Unused => self.ready.push_front(attempt.endpoint()),
            Try::Over => self.retry.push_front(attempt.endpoint()),
            // A hedge: its endpoint waits in its queue still.
            Try::InFlight(_) => {}
        }
        self.room = self.in_flight.max(1);
        self.no_room_until = (self.in_flight == 0).then_some(now + NO_ROOM_PAUSE);
    }

    pub(crate) fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// An endpoint's outcome; unanswered while it has none.
    pub(crate) fn outcome(&self, endpoint: usize) -> Outcome {
        self.endpoints[endpoint].outcome.unwrap_or(Outcome::Unanswered)
    }

    /// Why an endpoint's attempts failed, if any has.
    pub(crate) fn failure(&self, endpoint: usize) -> Option<Failure> {
        self.endpoints[endpoint].failure
    }

    /// Whether a SYN has left for an endpoint.
    pub(crate) fn was_asked(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].tries[0] != Try::Unused
    }

    /// The address that an attempt goes to.
    pub(crate) fn address(&self, attempt: Attempt) -> SocketAddr {
        let endpoint = &self.endpoints[attempt.endpoint()];
        let addresses = self.hosts[endpoint.host].addresses.expect("only resolved hosts are tried");
        let second = attempt.is_second().then_some(addresses.second).flatten();
        let mut address = second.unwrap_or(addresses.first);
        address.set_port(endpoint.port);
        address
    }

    /// How many endpoints have an outcome.
    pub(crate) fn concluded(&self) -> usize {
        self.endpoints.len() - self.open
    }

    /// The lowest latency of a host, measured or cached.
    pub(crate) fn best(&self) -> Option<Duration> {
        self.latencies.first().copied()
    }

    fn conclude(&mut self, endpoint: usize, outcome: Outcome) {
        debug_assert!(self.endpoints[endpoint].outcome.is_none(), "one outcome each");
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
            // Leaves its queue when met there.
            Cause::Family | Cause::Hedge => None,
        };
        let attempt = Attempt::new(index, cause != Cause::First);
        self.endpoints[index].tries[usize::from(attempt.is_second())] = Try::InFlight(now);
        self.endpoints[index].hedged = cause == Cause::Hedge;
        if cause == Cause::First {
            let addresses = self.hosts[self.endpoints[index].host].addresses;
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
        // A second attempt upon silence does not prolong it: what remains of the quiet time, half of it after a
        // hedge, must do for its answer.
        if cause == Cause::First || self.endpoints[index].failure.is_some() {
            self.last_event = now;
        }
        Step::Connect(attempt, self.address(attempt))
    }

    /// Makes room for `next`.
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
