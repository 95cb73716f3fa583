//! A network without sockets or clocks, for the schedule to run in: which address answers when, and
//! what has been sent. And the promises that the schedule keeps in any such network, for random
//! tests and for the fuzz target `schedule`, which differ only in where their bytes come from.

use super::attempts::MAX_ATTEMPTS;
use super::pacing::BURST;
use super::*;
use crate::options::{ALL_FALLBACKS, Options};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What becomes of a SYN to one address.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path {
    Answers(u64),
    /// The first SYN is lost, the second answered.
    Loses(u64),
    Silent,
    Refuses(u64),
    Unreachable(u64),
}
pub(super) use Path::*;

#[derive(Debug, Clone)]
pub(super) struct Site {
    /// How long its lookup takes; `None` for a literal.
    pub(super) lookup: Option<u64>,
    /// In the resolver's order: (is IPv6, fate).
    pub(super) paths: Vec<(bool, Path)>,
    /// The site whose addresses it has; none if it has its own.
    pub(super) twin_of: Option<usize>,
}

pub(super) const HANGS: u64 = 1_000_000;

impl Site {
    fn address(&self, site: usize, n: usize) -> SocketAddr {
        let id = (self.twin_of.unwrap_or(site) * 4 + n) as u32;
        match self.paths[n].0 {
            true => (Ipv6Addr::from((0x2001_0db8 << 96) | u128::from(id)), 0).into(),
            false => (Ipv4Addr::from((10 << 24) + id), 0).into(),
        }
    }

    pub(super) fn all_addresses(&self, site: usize) -> Vec<SocketAddr> {
        (0..self.paths.len()).map(|n| self.address(site, n)).collect()
    }

    pub(super) fn addresses(&self, site: usize) -> Option<Addresses> {
        Addresses::choose(&self.all_addresses(site))
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Resolved(usize),
    Answer(Attempt, Duration),
    Failure(Attempt, AttemptFailure),
    Cancel,
}

/// A run over one endpoint per site.
#[derive(Debug)]
pub(super) struct World {
    pub(super) sites: Vec<Site>,
    pub(super) options: ScheduleOptions,
    pub(super) cached: Vec<Duration>,
    pub(super) cancel: Option<u64>,
    /// How many sockets the process can open, whatever the schedule believes.
    pub(super) descriptors: usize,
    /// How long it takes to send a SYN.
    pub(super) pace: Duration,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) stop_reason: StopReason,
    pub(super) elapsed: Duration,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) detoured: Vec<bool>,
    /// Every SYN: when, which, where to.
    pub(super) syns: Vec<(Duration, Attempt, SocketAddr)>,
    pub(super) most_in_flight: usize,
}

pub(super) fn world(sites: impl IntoIterator<Item = Site>) -> World {
    World {
        sites: sites.into_iter().collect(),
        options: ScheduleOptions {
            timeout: ms(2000),
            fallbacks: 16,
            is_check: false,
            rule: Options::default().rule,
            in_flight: 512,
            lookups: 64,
            descriptors: usize::MAX,
        },
        cached: Vec::new(),
        cancel: None,
        descriptors: usize::MAX,
        pace: Duration::ZERO,
    }
}

impl World {
    pub(super) fn run(&self) -> Run {
        let start = Instant::now();
        let literal = |(n, site): (usize, &Site)| match site.lookup {
            None => HostKnowledge { is_measured: true, addresses: site.addresses(n), latency: None },
            Some(_) => HostKnowledge { is_measured: true, addresses: None, latency: None },
        };
        let cached = |&latency: &Duration| HostKnowledge {
            is_measured: false,
            addresses: None,
            latency: Some(latency),
        };
        let hosts = self.sites.iter().enumerate().map(literal).chain(self.cached.iter().map(cached));
        let endpoint =
            |site: usize| TimedEndpoint { host: HostId(site), port: 80, is_tried: false, is_troubled: false };
        let mut schedule = Schedule::new(
            self.options.clone(),
            hosts.collect(),
            (0..self.sites.len()).map(endpoint).collect(),
            AttemptCounts::default(),
            start,
        );
        let mut events: Vec<(Duration, Event)> = Vec::new();
        for (n, site) in self.sites.iter().enumerate() {
            events.extend(site.lookup.map(|time| (ms(time), Event::Resolved(n))));
        }
        events.extend(self.cancel.map(|time| (ms(time), Event::Cancel)));
        let mut in_flight: Vec<Attempt> = Vec::new();
        let mut run = Run {
            stop_reason: StopReason::Idle,
            elapsed: Duration::ZERO,
            outcomes: Vec::new(),
            detoured: Vec::new(),
            syns: Vec::new(),
            most_in_flight: 0,
        };
        let mut now = Duration::ZERO;
        let mut idle_steps = 0;
        loop {
            // By time; events at the same time in the order in which they arose.
            while let Some(position) =
                (0..events.len()).min_by_key(|&n| events[n].0).filter(|&n| events[n].0 <= now)
            {
                match events.remove(position).1 {
                    Event::Resolved(site) => {
                        let found = self.sites[site].addresses(site).ok_or(Outcome::Unresolved);
                        schedule.resolved(HostId(site), found, start + now);
                    }
                    Event::Answer(attempt, latency) if in_flight.contains(&attempt) => {
                        in_flight.retain(|&other| other.endpoint() != attempt.endpoint());
                        schedule.answered(attempt, latency, start + now);
                    }
                    Event::Failure(attempt, failure) if in_flight.contains(&attempt) => {
                        in_flight.retain(|&other| other != attempt);
                        schedule.failed(attempt, failure);
                    }
                    Event::Cancel => schedule.cancel(),
                    _ => {}
                }
            }
            match schedule.next(start + now) {
                Step::Connect(attempt, _) if in_flight.len() >= self.descriptors => {
                    schedule.no_room(attempt, start + now);
                }
                Step::Connect(attempt, address) => {
                    assert_eq!(address.port(), 80);
                    let n = attempt.endpoint();
                    let site = &self.sites[n];
                    let path = (0..site.paths.len())
                        .find(|&p| site.address(n, p).ip() == address.ip())
                        .map(|p| site.paths[p].1)
                        .expect("an address of the site");
                    let lost = run.syns.iter().all(|(_, earlier, _)| earlier.endpoint() != n);
                    let event = match path {
                        Loses(rtt) if !lost => Some((rtt, Event::Answer(attempt, ms(rtt)))),
                        Loses(_) | Silent => None,
                        Answers(rtt) => Some((rtt, Event::Answer(attempt, ms(rtt)))),
                        Refuses(rtt) => Some((rtt, Event::Failure(attempt, AttemptFailure::Refused))),
                        Unreachable(rtt) => Some((rtt, Event::Failure(attempt, AttemptFailure::Unreachable))),
                    };
                    events.extend(event.map(|(rtt, event)| (now + ms(rtt), event)));
                    run.syns.push((now, attempt, address));
                    in_flight.push(attempt);
                    run.most_in_flight = run.most_in_flight.max(in_flight.len());
                    now += self.pace;
                }
                Step::Close(attempt) => {
                    assert!(in_flight.contains(&attempt));
                    in_flight.retain(|&other| other != attempt);
                }
                Step::Wait(until) => {
                    let until = until - start;
                    assert!(until > now, "a wait until the past");
                    idle_steps += 1;
                    assert!(idle_steps < 100_000, "does not end");
                    now = events.iter().map(|event| event.0).fold(until, Duration::min);
                }
                Step::Stop(stop_reason) => {
                    run.stop_reason = stop_reason;
                    run.elapsed = now;
                    run.outcomes = (0..self.sites.len()).map(|n| schedule.outcome(n)).collect();
                    let owner = |n| schedule.owner(n);
                    run.detoured = (0..self.sites.len()).map(|n| schedule.is_detoured(owner(n))).collect();
                    return run;
                }
            }
        }
    }
}

/// Decisions read from bytes, which are random or a fuzzer's. After the last byte all are zero.
#[derive(Debug)]
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    /// A number from 0 to `end` - 1, of at most 65,536 numbers.
    fn below(&mut self, end: u64) -> u64 {
        let wide = if end > 256 { u64::from(self.byte()) << 8 } else { 0 };
        (wide | u64::from(self.byte())) % end
    }

    fn index(&mut self, end: usize) -> usize {
        self.below(end as u64) as usize
    }

    /// Whether something is so that is so once in `times`, but not after the last byte.
    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == times - 1
    }

    fn fallbacks(&mut self) -> usize {
        [16, 0, ALL_FALLBACKS][self.index(3)]
    }

    fn path(&mut self) -> Path {
        match self.below(8) {
            0..4 => Answers(1 + self.below(399)),
            4 => Loses(1 + self.below(399)),
            5 => Silent,
            6 => Refuses(self.below(300)),
            _ => Unreachable(self.below(300)),
        }
    }

    fn site(&mut self, first_sites: &[Site]) -> Site {
        let lookup = match self.below(9) {
            0..4 => None,
            4..8 => Some(self.below(200)),
            _ => Some(HANGS),
        };
        // Some sites are names of another's addresses.
        if first_sites.len() == 4 && self.once_in(3) {
            let twin = self.index(4);
            let paths = first_sites[twin].paths.clone();
            return Site { lookup: lookup.or(Some(1)), paths, twin_of: Some(twin) };
        }
        let least = u64::from(lookup.is_none());
        let paths = (0..least + self.below(4 - least)).map(|_| (self.once_in(2), self.path())).collect();
        Site { lookup, paths, twin_of: None }
    }

    fn world(&mut self) -> World {
        let mut world = world([]);
        world.options.fallbacks = self.fallbacks();
        world.options.is_check = self.once_in(8);
        world.options.timeout = ms(1 + self.below(3000));
        world.options.in_flight = 1 + self.index(80);
        world.descriptors = if self.once_in(4) { 1 + self.index(20) } else { usize::MAX };
        world.cached = (0..self.below(4)).map(|_| ms(1 + self.below(300))).collect();
        world.cancel = self.once_in(5).then(|| self.below(600));
        world.pace = Duration::from_micros(if self.once_in(4) { self.below(1000) } else { 0 });
        for _ in 0..self.below(60) {
            let site = self.site(&world.sites[..world.sites.len().min(4)]);
            world.sites.push(site);
        }
        world
    }
}

/// Runs a network that the bytes describe, and checks what holds in each.
pub(crate) fn any_world(bytes: &[u8]) {
    let world = Choices(bytes).world();
    // `conclude` asserts that no endpoint gets a second outcome.
    let run = world.run();
    let late = run.elapsed.saturating_sub(world.options.timeout);
    assert!(late <= world.pace, "past the timeout: {:?}", run.elapsed);
    assert!(run.most_in_flight <= world.options.in_flight);
    let is_ample = world.options.in_flight.min(world.descriptors) >= 2 * world.sites.len();
    for (n, site) in world.sites.iter().enumerate() {
        let attempts: Vec<_> = run.syns.iter().filter(|(_, attempt, _)| attempt.endpoint() == n).collect();
        assert!(attempts.len() <= 2, "more than two attempts");
        assert!(attempts.is_empty() || !attempts[0].1.is_second());
        assert!(attempts.len() < 2 || attempts[1].1.is_second());
        if run.stop_reason == StopReason::Complete && is_ample {
            let has_enough = |address: &SocketAddr| {
                run.syns.iter().filter(|syn| syn.2.ip() == address.ip()).count() >= MAX_ATTEMPTS as usize
            };
            let is_capped = site.all_addresses(n).iter().any(has_enough);
            assert!(is_capped || run.outcomes[n] != Outcome::Unanswered, "complete without an outcome");
        }
        // Names of one address and port share what is found there.
        if let (Some(twin), None) = (site.twin_of, site.lookup.filter(|&time| time == HANGS)) {
            let latencies = [run.outcomes[n].latency(), run.outcomes[twin].latency()];
            assert!(latencies[0].is_none() || latencies[1].is_none() || latencies[0] == latencies[1]);
        }
    }
    for (_, _, address) in &run.syns {
        let attempts = run.syns.iter().filter(|syn| syn.2.ip() == address.ip()).count();
        assert!(attempts <= MAX_ATTEMPTS as usize, "{attempts} attempts to {address}");
    }
    let in_the_first_burst = run.syns.iter().filter(|syn| syn.0 < run.syns[0].0 + ms(1)).count();
    assert!(in_the_first_burst <= BURST);
    match run.stop_reason {
        StopReason::Cancelled => {
            let late = run.elapsed.checked_sub(ms(world.cancel.expect("a cancel")));
            assert!(late.is_some_and(|late| late <= world.pace), "cancelled at {:?}", run.elapsed);
        }
        StopReason::Settled | StopReason::Quiet => {
            let is_heard = run.outcomes.iter().any(|outcome| outcome.latency().is_some());
            assert!(is_heard || !world.cached.is_empty(), "{:?} after no answer", run.stop_reason);
        }
        StopReason::Idle => assert!(world.sites.is_empty()),
        StopReason::Complete | StopReason::Timeout => {}
    }
}

/// An endpoint of [`any_events`], and what is known of it in all passes.
#[derive(Debug)]
struct Tried {
    host: usize,
    port: u16,
    attempts: usize,
    latency: Option<Duration>,
}

/// Reports events in an order and at times that no network would produce, in one or two passes of a
/// run, and checks what holds whatever happens.
pub(crate) fn any_events(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut options = world([]).options;
    options.in_flight = 1 + choices.index(9);
    options.fallbacks = choices.fallbacks();
    options.is_check = choices.once_in(4);
    options.lookups = 1 + choices.index(8);
    let sites: Vec<Site> = (0..1 + choices.below(12)).fold(Vec::new(), |mut sites, _| {
        let site = choices.site(&sites[..sites.len().min(4)]);
        sites.push(site);
        sites
    });
    let cached: Vec<Option<Duration>> =
        sites.iter().map(|_| choices.once_in(4).then(|| ms(1 + choices.below(400)))).collect();
    let mut endpoints: Vec<Tried> = Vec::new();
    for host in 0..sites.len() {
        let ports = 80..81 + u16::from(choices.once_in(4));
        endpoints.extend(ports.map(|port| Tried { host, port, attempts: 0, latency: None }));
    }
    let (mut counts, mut now) = (AttemptCounts::default(), Instant::now());
    let mut by_address = HashMap::new();
    for _ in 0..1 + choices.below(2) {
        let open: Vec<usize> = (0..endpoints.len())
            .filter(|&n| endpoints[n].latency.is_none() && endpoints[n].attempts < 2)
            .collect();
        let is_measured = |host: usize| open.iter().any(|&n| endpoints[n].host == host);
        let known = |(host, site): (usize, &Site)| HostKnowledge {
            is_measured: is_measured(host),
            addresses: site.addresses(host).filter(|_| site.lookup.is_none()),
            latency: cached[host],
        };
        let timed = |&n: &usize| TimedEndpoint {
            host: HostId(endpoints[n].host),
            port: endpoints[n].port,
            is_tried: endpoints[n].attempts > 0,
            is_troubled: false,
        };
        let mut looking_up: Vec<usize> =
            (0..sites.len()).filter(|&host| is_measured(host) && sites[host].lookup.is_some()).collect();
        let schedule = Schedule::new(
            options.clone(),
            sites.iter().enumerate().map(known).collect(),
            open.iter().map(timed).collect(),
            mem::take(&mut counts),
            now,
        );
        let mut pass = Pass { schedule, sites: &sites, flights: Vec::new(), by_address: &mut by_address };
        let deadline = now + options.timeout;
        for _ in 0..choices.below(120) {
            let has_room = !choices.once_in(8);
            let is_over = pass.steps(&mut endpoints, &open, has_room, now).is_some();
            assert!(pass.flights.len() <= options.in_flight);
            if is_over {
                break;
            }
            now += Duration::from_micros(choices.below(1000) * choices.below(120));
            let flight = (!pass.flights.is_empty()).then(|| choices.index(pass.flights.len()));
            match (choices.below(8), flight) {
                (0..3, Some(flight)) => {
                    let attempt = pass.flights[flight];
                    pass.flights.retain(|other| other.endpoint() != attempt.endpoint());
                    let latency = Duration::from_micros(1 + choices.below(65_535));
                    pass.schedule.answered(attempt, latency, now);
                    endpoints[open[attempt.endpoint()]].latency = Some(latency);
                }
                (3, Some(flight)) => {
                    let failure =
                        [AttemptFailure::Refused, AttemptFailure::Unreachable, AttemptFailure::NoRoute];
                    pass.schedule.failed(pass.flights.remove(flight), failure[choices.index(3)]);
                }
                (4..6, _) if !looking_up.is_empty() => {
                    let host = looking_up.remove(choices.index(looking_up.len()));
                    let found = sites[host].addresses(host).ok_or(Outcome::Unresolved);
                    pass.schedule.resolved(HostId(host), found, now);
                }
                (6, _) if choices.once_in(16) => pass.schedule.cancel(),
                _ => {}
            }
        }
        // Whatever has happened, the timeout stops it, and what is known does not change after.
        now = now.max(deadline);
        let stop = pass.steps(&mut endpoints, &open, true, now).expect("past the timeout");
        let all = (0..open.len()).map(|n| pass.schedule.outcome(n));
        assert_eq!(
            pass.schedule.completed() == open.len(),
            matches!(stop, StopReason::Complete | StopReason::Idle)
        );
        assert!(
            stop == StopReason::Timeout
                || stop == StopReason::Cancelled
                || all.len() == pass.schedule.completed()
        );
        for n in 0..open.len() {
            let waited = pass.schedule.waited(n, now);
            assert!(waited.is_none() || pass.schedule.outcome(n) == Outcome::Unanswered);
            assert!(pass.schedule.owner(n) <= n || pass.schedule.owner(n) < open.len());
        }
        counts = pass.schedule.into_attempts();
    }
    assert!(endpoints.iter().all(|endpoint| endpoint.attempts <= 2), "more than two attempts");
}

/// One pass of [`any_events`].
#[derive(Debug)]
struct Pass<'a> {
    schedule: Schedule,
    sites: &'a [Site],
    flights: Vec<Attempt>,
    /// How many attempts each address got in all passes.
    by_address: &'a mut HashMap<IpAddr, u32>,
}

impl Pass<'_> {
    /// Does what the schedule says until it waits or stops.
    fn steps(
        &mut self,
        endpoints: &mut [Tried],
        open: &[usize],
        has_room: bool,
        now: Instant,
    ) -> Option<StopReason> {
        let before = self.schedule.completed();
        for _ in 0..1000 {
            match self.schedule.next(now) {
                Step::Connect(attempt, _) if !has_room => self.schedule.no_room(attempt, now),
                Step::Connect(attempt, address) => {
                    assert!(!self.flights.contains(&attempt), "twice the same attempt");
                    let endpoint = &mut endpoints[open[attempt.endpoint()]];
                    endpoint.attempts += 1;
                    assert_eq!(attempt.is_second(), endpoint.attempts == 2);
                    let possible = self.sites[endpoint.host].all_addresses(endpoint.host);
                    assert!(possible.iter().any(|other| other.ip() == address.ip()));
                    assert_eq!(address.port(), endpoint.port);
                    let attempts = self.by_address.entry(address.ip()).or_default();
                    *attempts += 1;
                    assert!(*attempts <= MAX_ATTEMPTS, "{attempts} attempts to {address}");
                    self.flights.push(attempt);
                }
                Step::Close(attempt) => {
                    assert!(self.flights.contains(&attempt));
                    self.flights.retain(|&other| other != attempt);
                }
                Step::Wait(until) => {
                    assert!(until > now, "a wait until the past");
                    assert!(self.schedule.completed() >= before);
                    return None;
                }
                Step::Stop(reason) => {
                    assert_eq!(
                        self.schedule.next(now),
                        Step::Stop(reason),
                        "it goes on after it has stopped"
                    );
                    return Some(reason);
                }
            }
        }
        panic!("no end of steps without a wait");
    }
}
