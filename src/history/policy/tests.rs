//! Tests of what counts, and of what follows from it.

use super::*;
use proptest::prelude::*;

const DAY: i64 = 24 * 3600;
const NOW: i64 = 1_790_000_000;
const HERE: Network = Network { ipv4: Some(0x1_0000_0001), ipv6: None };
const ELSEWHERE: Network = Network { ipv4: Some(0x2_0000_0001), ipv6: None };

/// The observation of a run of its own.
fn observation(at: i64, speed: u64, network: Network) -> Observation {
    Observation { at, speed, process: at as u32, network }
}

/// What is known of a host with these speeds, each observed this many days ago.
fn evidence(observed: &[(f64, i64)]) -> Option<Evidence> {
    let mut observations = Vec::new();
    for &(speed, days) in observed {
        observations.push(observation(NOW - days * DAY, speed as u64, HERE));
    }
    Evidence::of(&observations, &HERE, NOW, 0.5)
}

fn slow(members: &[Option<Evidence>]) -> Vec<usize> {
    let demotions = is_slow(members);
    (0..members.len()).filter(|&index| demotions[index].is_some()).collect()
}

#[test]
fn slow_host_is_demoted_after_two_runs_and_returns_by_ageing() {
    let fast = evidence(&[(6e6, 1), (6e6, 2)]);
    let others = [fast, fast, fast, None];
    let pool = |first: &[(f64, i64)]| [&[evidence(first)], &others[..]].concat();
    // A twentieth of the speed.
    assert_eq!(slow(&pool(&[(3e5, 0)])), [0; 0], "a single run never suffices");
    assert_eq!(slow(&pool(&[(3e5, 0), (3e5, 1)])), [0]);
    let demotions = is_slow(&pool(&[(3e5, 0), (3e5, 1)]));
    let Some(Demotion::Slow { speed, others: median }) = demotions[0] else { panic!("{demotions:?}") };
    assert!((speed - 3e5).abs() < 1.0 && (median - 6e6).abs() < 1.0);
    assert_eq!(
        demotions[0].map(|it| it.to_string()).as_deref(),
        Some("it delivers 0.300 MB/s, and the others of the pool 6.000 MB/s")
    );
    // Half of the speed is no reason, nor is a quarter.
    assert_eq!(slow(&pool(&[(3e6, 0), (3e6, 1)])), [0; 0]);
    assert_eq!(slow(&pool(&[(1.5e6, 0), (1.5e6, 1)])), [0; 0]);
    // It returns after the half-life: then two runs weigh no more than one.
    assert_eq!(slow(&pool(&[(1e5, 12), (1e5, 12)])), [0]);
    assert_eq!(slow(&pool(&[(1e5, 14), (1e5, 14)])), [0; 0]);
    // One more slow run, and it is back.
    assert_eq!(slow(&pool(&[(1e5, 0), (1e5, 14)])), [0]);
}

#[test]
fn slow_needs_others_to_compare_with() {
    let (slow_one, fast) = (evidence(&[(1e5, 0), (1e5, 1)]), evidence(&[(6e6, 0), (6e6, 1)]));
    let once = evidence(&[(6e6, 0)]);
    assert_eq!(slow(&[slow_one]), [0; 0]);
    assert_eq!(slow(&[slow_one, None, None]), [0; 0]);
    assert_eq!(slow(&[slow_one, once, None]), [0; 0], "one run of others is not more than 1");
    assert_eq!(slow(&[slow_one, once, once]), [0]);
    assert_eq!(slow(&[slow_one, fast]), [0]);
    // If all are equally slow, it is the client's line.
    assert_eq!(slow(&[slow_one; 5]), [0; 0]);
}

#[test]
fn slow_hosts_are_at_most_half_of_the_pool_the_slowest_first() {
    let fast = evidence(&[(6e6, 0), (6e6, 1)]);
    let at = |speed: f64| evidence(&[(speed, 0), (speed, 1)]);
    assert_eq!(slow(&[at(2e4), at(1e4), fast, fast, fast]), [0, 1]);
    assert_eq!(slow(&[at(2e4), at(1e4), fast, fast, fast, None]), [0, 1]);
    // The median of the others is the lower of two in the middle, which demotes less.
    assert_eq!(slow(&[at(1e4), at(1e4), fast]), [0; 0]);
    assert_eq!(slow(&[at(1e4), at(1e4), fast, fast]), [0, 1]);
    assert_eq!(slow(&[at(1e3), at(1e4), at(6e6), at(6e6), at(6e6), at(1e3), None]), [0, 1, 5]);
    assert_eq!(slow(&[at(1e3), at(1e4), at(6e6), at(6e6), at(6e6), at(1e2)]), [0, 1, 5]);
}

#[test]
fn weight_halves_in_two_weeks_varied_by_a_quarter() {
    let half_life = |spread: f64| {
        (1..).find(|&hours| weight(hours * 3600, spread) <= 0.5).map(|hours| hours as f64 / 24.0)
    };
    assert_eq!([0.0, 0.5, 1.0].map(half_life), [Some(10.5), Some(14.0), Some(17.5)]);
    assert_eq!(weight(-5, 0.5), 1.0);
    // It is the same for a machine and a host, and spread evenly over them.
    let host = |n: usize| Host::Name(format!("m{n}.example"));
    let spreads: Vec<f64> = (0..1000).map(|n| spread(&[7; 16], &host(n))).collect();
    assert_eq!(spreads[3], spread(&[7; 16], &host(3)));
    assert_ne!(spreads[3], spread(&[8; 16], &host(3)));
    let mean = spreads.iter().sum::<f64>() / 1000.0;
    assert!((0.45..0.55).contains(&mean) && spreads.iter().all(|it| (0.0..1.0).contains(it)));
}

#[test]
fn last_two_runs_of_each_network_are_remembered() {
    let mut known = Vec::new();
    for n in 0..6 {
        remember(&mut known, observation(NOW + n, 10 + n as u64, if n % 3 == 0 { ELSEWHERE } else { HERE }));
    }
    let speeds = |known: &[Observation]| known.iter().map(|it| it.speed).collect::<Vec<_>>();
    assert_eq!(speeds(&known), [10, 13, 14, 15].map(|it| it as u64));
    // Of a third one there is room for two, which push out the oldest.
    let third = Network { ipv4: Some(0x3_0000_0001), ipv6: None };
    remember(&mut known, observation(NOW + 7, 17, third));
    assert_eq!(speeds(&known), [13, 14, 15, 17].map(|it| it as u64));
    // Elsewhere they do not count.
    assert_eq!(Evidence::of(&known[..1], &HERE, NOW, 0.5), None);
    assert!(Evidence::of(&known[..1], &ELSEWHERE, NOW, 0.5).is_some());
}

#[test]
fn later_observation_of_a_process_replaces_the_earlier_one() {
    let of_process = |at: i64, speed: u64| Observation { process: 9, ..observation(at, speed, HERE) };
    let mut known = vec![observation(NOW - 5, 1, HERE)];
    for n in 0..3 {
        remember(&mut known, of_process(NOW + n, 100 + n as u64));
    }
    assert_eq!(known, [observation(NOW - 5, 1, HERE), of_process(NOW + 2, 102)]);
}

#[test]
fn trouble_counts_for_an_hour() {
    for (at, counts) in
        [(NOW, true), (NOW - 3600, true), (NOW - 3601, false), (NOW + 300, true), (NOW + 301, false)]
    {
        assert_eq!(trouble_counts(at, NOW), counts);
    }
}

#[test]
fn demotion_says_why_in_a_sentence() {
    let age = Duration::from_secs(150);
    for (demotion, name, text) in [
        (Demotion::Missing { age }, "missing", "it lacked a file 2 min ago, and another mirror had it"),
        (
            Demotion::Stale { age },
            "stale",
            "it had an outdated file 2 min ago, and another mirror had the right one",
        ),
        (
            Demotion::Broken { age: Duration::ZERO },
            "broken",
            "a download from it failed less than a minute ago, and one from another mirror did not",
        ),
    ] {
        assert_eq!((demotion.name(), demotion.to_string().as_str()), (name, text));
    }
}

proptest! {
    /// Whatever was observed, at most half are slow, none is faster than one that is not, and a
    /// common factor changes nothing.
    #[test]
    fn slow_ones_are_few_and_the_slowest(
        speeds in prop::collection::vec((0..4usize, 1e3..1e7f64, 1e3..1e7f64, 0..40i64), 0..9),
    ) {
        let pool = |factor: f64| -> Vec<Option<Evidence>> {
            let member = |&(runs, a, b, days): &(usize, f64, f64, i64)| {
                evidence(&[(a * factor, days), (b * factor, 0)][..runs.min(2)])
            };
            speeds.iter().map(member).collect()
        };
        let members = pool(1e3);
        let demoted = slow(&members);
        prop_assert!(demoted.len() * 2 <= members.len());
        for &index in &demoted {
            let evidence = members[index].expect("it is known");
            prop_assert!(evidence.weight > 1.0);
            let is_faster = |other: &Option<Evidence>| other.is_some_and(|other| other.mean > evidence.mean);
            prop_assert!(members.iter().any(is_faster));
        }
        prop_assert_eq!(demoted, slow(&pool(4e3)));
    }

    #[test]
    fn remembered_observations_are_bounded_and_in_order(
        runs in prop::collection::vec((0..100i64, 1..9u64, 0..4u64, 0..5u32), 0..40),
    ) {
        let mut known = Vec::new();
        for (at, speed, place, process) in runs {
            let network = Network { ipv4: Some(place << 32 | 1), ipv6: None };
            let new = Observation { at, speed, process, network };
            remember(&mut known, new);
            prop_assert!(known.len() <= OBSERVATIONS_KEPT);
            prop_assert!(known.is_sorted_by_key(|it| it.at));
            for it in &known {
                prop_assert!(known.iter().filter(|other| other.network == it.network).count() <= OBSERVATIONS);
            }
        }
    }
}
