//! Random worlds and random events: whatever happens, the schedule keeps its promises.

use super::*;
use proptest::prelude::*;

fn any_path() -> impl Strategy<Value = Path> {
    prop_oneof![
        4 => (1u64..400).prop_map(Answers),
        1 => (1u64..400).prop_map(Loses),
        1 => Just(Silent),
        1 => (0u64..300).prop_map(Refuses),
        1 => (0u64..300).prop_map(Unreachable),
    ]
}

fn any_site() -> impl Strategy<Value = Site> {
    let lookup = prop_oneof![4 => Just(None), 4 => (0u64..200).prop_map(Some), 1 => Just(Some(HANGS))];
    let paths = prop::collection::vec((any::<bool>(), any_path()), 0..4);
    (lookup, paths, any_path()).prop_map(|(lookup, mut paths, path)| {
        if lookup.is_none() && paths.is_empty() {
            paths.push((false, path));
        }
        Site { lookup, paths, twin_of: None }
    })
}

fn any_world() -> impl Strategy<Value = World> {
    // Some sites are names of another's addresses.
    let twin = prop::option::weighted(0.3, 0usize..4);
    let sites = prop::collection::vec((any_site(), twin), 0..60).prop_map(|sites| {
        let first: Vec<Site> = sites.iter().take(4).map(|(site, _)| site.clone()).collect();
        let mut named = Vec::new();
        for (index, (site, twin)) in sites.into_iter().enumerate() {
            named.push(match twin {
                Some(twin) if index >= first.len() => {
                    let paths = first[twin].paths.clone();
                    Site { lookup: site.lookup.or(Some(1)), paths, twin_of: Some(twin) }
                }
                _ => site,
            });
        }
        named
    });
    let cached = prop::collection::vec((1u64..300).prop_map(ms), 0..4);
    let fallbacks = prop_oneof![Just(0), Just(16), Just(usize::MAX)];
    let descriptors = prop_oneof![3 => Just(usize::MAX), 1 => 1usize..20];
    (sites, cached, fallbacks, prop::option::weighted(0.2, 0u64..600), 1u64..3000, 1usize..80, descriptors)
        .prop_map(|(sites, cached, fallbacks, cancel, timeout, in_flight, descriptors)| World {
            cached,
            cancel,
            descriptors,
            ..world(sites).fallbacks(fallbacks).timeout(timeout).in_flight(in_flight)
        })
}

proptest! {
    #[test]
    fn promises_hold_in_any_world(world in any_world()) {
        // `conclude` asserts that no endpoint gets a second outcome.
        let run = world.run();
        prop_assert!(run.elapsed <= world.options.timeout, "past the timeout: {:?}", run.elapsed);
        prop_assert!(run.most_in_flight <= world.options.in_flight);
        for n in 0..world.sites.len() {
            let attempts: Vec<_> = run.syns.iter().filter(|(_, attempt, _)| attempt.endpoint() == n).collect();
            prop_assert!(attempts.len() <= 2, "more than two attempts");
            prop_assert!(attempts.is_empty() || !attempts[0].1.is_second());
            prop_assert!(attempts.len() < 2 || attempts[1].1.is_second());
            if run.stop_reason == StopReason::Complete && run.outcomes[n].latency().is_none() && world.in_flight_is_ample() {
                let has_enough = |address: &SocketAddr| {
                    run.syns.iter().filter(|syn| syn.2.ip() == address.ip()).count() >= MAX_ATTEMPTS as usize
                };
                let is_capped = world.sites[n].all_addresses(n).iter().any(has_enough);
                prop_assert!(is_capped || run.outcomes[n] != Outcome::Unanswered, "complete without an outcome");
            }
        }
        for (_, _, address) in &run.syns {
            let attempts = run.syns.iter().filter(|syn| syn.2.ip() == address.ip()).count();
            prop_assert!(attempts <= MAX_ATTEMPTS as usize, "{attempts} attempts to {address}");
        }
        // Names of one address and port share what is found there.
        for (n, site) in world.sites.iter().enumerate() {
            if let (Some(twin), None) = (site.twin_of, site.lookup.filter(|&time| time == HANGS)) {
                let latencies = [run.outcomes[n].latency(), run.outcomes[twin].latency()];
                prop_assert!(latencies[0].is_none() || latencies[1].is_none() || latencies[0] == latencies[1]);
            }
        }
        let in_the_first_burst = run.syns.iter().filter(|syn| syn.0 < run.syns[0].0 + ms(1)).count();
        prop_assert!(in_the_first_burst <= BURST);
        if run.stop_reason == StopReason::Cancelled {
            prop_assert_eq!(Some(run.elapsed), world.cancel.map(ms));
        }
    }

    /// Events come in an order and at times that no network would produce.
    #[test]
    fn no_sequence_of_events_breaks_the_promises(
        hosts in 1usize..12,
        in_flight in 1usize..9,
        events in prop::collection::vec((0u8..8, 0usize..24, 0u64..120), 0..120),
    ) {
        let start = Instant::now();
        let options = ScheduleOptions { in_flight, ..world([]).options };
        let address = |n: usize| both(Silent, Silent).addresses(n);
        let literal = (0..hosts)
            .map(|n| HostKnowledge {
                is_measured: true,
                addresses: address(n).filter(|_| n % 2 == 0),
                latency: None,
            })
            .collect();
        let mut schedule = Schedule::new(options, literal, (0..hosts).map(|n| endpoint((n, 80))).collect(), AttemptCounts::default(), start);
        let mut looking_up: Vec<_> = (0..hosts).filter(|n| n % 2 == 1).collect();
        let (mut flights, mut tried, mut now) = (Vec::<Attempt>::new(), vec![0; hosts], start);
        for (kind, which, wait) in events {
            let mut steps = 0;
            let ended = loop {
                steps += 1;
                prop_assert!(steps < 1000, "no end of steps without a wait");
                match schedule.next(now) {
                    Step::Connect(attempt, _) if kind == 0 => schedule.no_room(attempt, now),
                    Step::Connect(attempt, _) => {
                        prop_assert!(!flights.contains(&attempt));
                        flights.push(attempt);
                        tried[attempt.endpoint()] += 1;
                    }
                    Step::Close(attempt) => {
                        prop_assert!(flights.contains(&attempt));
                        flights.retain(|&a| a != attempt);
                    }
                    Step::Wait(until) => {
                        prop_assert!(until > now);
                        break false;
                    }
                    Step::Stop(_) => break true,
                }
            };
            if ended {
                break;
            }
            prop_assert!(flights.len() <= in_flight);
            now += ms(wait);
            let flight = (!flights.is_empty()).then(|| flights[which % flights.len()]);
            match (kind, flight) {
                (1..=3, Some(attempt)) => {
                    flights.retain(|a| a.endpoint() != attempt.endpoint());
                    schedule.answered(attempt, ms(wait), now);
                }
                (4, Some(attempt)) => {
                    flights.retain(|&a| a != attempt);
                    schedule.failed(attempt, AttemptFailure::Refused);
                }
                (5 | 6, _) if !looking_up.is_empty() => {
                    let host = looking_up.remove(which % looking_up.len());
                    let found = address(host).filter(|_| kind == 5).ok_or(Outcome::Unresolved);
                    schedule.resolved(HostId(host), found, now);
                }
                _ => {}
            }
        }
        prop_assert!(tried.iter().all(|&n| n <= 2));
        prop_assert!(now <= start + ms(2000) || matches!(schedule.next(now), Step::Stop(_)), "past the timeout");
    }
}

impl World {
    /// Whether no attempt has to be given up to make room.
    fn in_flight_is_ample(&self) -> bool {
        self.options.in_flight >= 2 * self.sites.len() && self.descriptors >= 2 * self.sites.len()
    }
}
