//! A network without sockets or clocks, for the schedule to run in: which address answers when, and
//! what has been sent.

use super::super::*;
use super::ms;
use std::net::{Ipv4Addr, Ipv6Addr};

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

pub(super) fn v4(path: Path) -> Site {
    Site { lookup: None, paths: vec![(false, path)], twin_of: None }
}

pub(super) fn both(ipv6: Path, ipv4: Path) -> Site {
    Site { lookup: None, paths: vec![(true, ipv6), (false, ipv4)], twin_of: None }
}

impl Site {
    pub(super) fn named(self, lookup: u64) -> Site {
        Site { lookup: Some(lookup), ..self }
    }

    pub(super) fn twin_of(self, site: usize) -> Site {
        Site { twin_of: Some(site), ..self }
    }

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
            rule: Rule { factor: 2.0, slack: Duration::ZERO },
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
    pub(super) fn fallbacks(mut self, fallbacks: usize) -> World {
        self.options.fallbacks = fallbacks;
        self
    }

    pub(super) fn timeout(mut self, timeout: u64) -> World {
        self.options.timeout = ms(timeout);
        self
    }

    pub(super) fn in_flight(mut self, in_flight: usize) -> World {
        self.options.in_flight = in_flight;
        self
    }

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
        let endpoint = |site: usize| TimedEndpoint { host: HostId(site), port: 80, is_tried: false };
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

impl Run {
    #[track_caller]
    pub(super) fn ends(&self, stop_reason: StopReason, at: u64) -> &Run {
        assert_eq!((self.stop_reason, self.elapsed), (stop_reason, ms(at)), "{self:#?}");
        self
    }

    pub(super) fn outcomes(&self, outcomes: &[Outcome]) -> &Run {
        assert_eq!(self.outcomes, outcomes);
        self
    }

    /// When SYNs left for a site.
    pub(super) fn syns_to(&self, site: usize) -> Vec<u64> {
        let mine = self.syns.iter().filter(|(_, attempt, _)| attempt.endpoint() == site);
        mine.map(|(time, ..)| time.as_millis() as u64).collect()
    }
}
