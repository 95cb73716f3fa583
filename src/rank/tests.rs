//! Tests of the ranking rule: a table of cases, properties, committed vectors, statistics of the
//! shuffle.

use super::*;
use Outcome::*;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const RULE: Rule = Rule { factor: 2.0, slack: Duration::ZERO, pool_order: PoolOrder::Shuffled };
const GIVEN: Rule = Rule { pool_order: PoolOrder::Given, ..RULE };

fn ms(latency: f64) -> Outcome {
    Measured(Duration::from_secs_f64(latency / 1e3))
}

fn host(name: &str) -> Host {
    Host::Name(name.into())
}

/// The input of the rule, with each host once.
#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
    hosts: Vec<ListedHost>,
}

impl Table {
    fn add(&mut self, host: Option<&Host>, outcome: Outcome, weight: f64) {
        let host = host.map(|host| {
            HostId(self.hosts.iter().position(|listed| listed.host == *host).unwrap_or_else(|| {
                let host = host.clone();
                let place = self.hosts.len();
                self.hosts.push(ListedHost { host, is_preferred: false, refused_as: None, place });
                place
            }))
        });
        let place = host.map_or(0, |HostId(host)| self.hosts[host].place);
        self.entries.push(Entry {
            host,
            outcome,
            is_detoured: false,
            is_troubled: false,
            is_slow: false,
            weight,
            place,
        });
    }

    fn detour(&mut self, name: &str, latency: f64) {
        self.add(Some(&host(name)), ms(latency), 1.0);
        self.entries.last_mut().expect("it was just added").is_detoured = true;
    }

    /// Gives the hosts the places that another list gives them.
    fn refer_to(&mut self, reference: &[Host]) {
        for entry in &mut self.entries {
            if let Some(HostId(host)) = entry.host {
                let named = reference.iter().position(|named| *named == self.hosts[host].host);
                entry.place = named.unwrap_or(reference.len() + host);
            }
        }
    }

    fn rank(&self, rule: &Rule, seed: u64) -> Ranked {
        rank(&self.entries, &self.hosts, rule, seed)
    }
}

/// Hosts in the pool with these weights.
fn weighted(hosts: &[Host], weights: &[f64]) -> Table {
    let mut table = Table::default();
    for (host, weight) in hosts.iter().zip(weights) {
        table.add(Some(host), ms(5.0), *weight);
    }
    table
}

/// Ranks mirrors named by their host; an empty name is a mirror without one.
fn ranked(mirrors: &[(&str, Outcome)], rule: &Rule, seed: u64) -> Ranked {
    let mut table = Table::default();
    for (name, outcome) in mirrors {
        table.add((!name.is_empty()).then(|| host(name)).as_ref(), *outcome, 1.0);
    }
    table.rank(rule, seed)
}

/// A case whose pool holds one host at the most, so that the seed does not matter.
#[track_caller]
fn case(mirrors: &[(&str, Outcome)], order: &[usize], pool: &[usize]) {
    for seed in 0..5 {
        let ranked = ranked(mirrors, &RULE, seed);
        let in_pool: Vec<_> = (0..mirrors.len()).filter(|&i| ranked.pool[i]).collect();
        assert_eq!((ranked.order.as_slice(), in_pool.as_slice()), (order, pool));
    }
}

#[test]
fn nearest_leads_and_the_others_follow_by_latency() {
    case(&[("far", ms(90.0)), ("mid", ms(50.0)), ("near", ms(10.0))], &[2, 1, 0], &[2]);
}

#[test]
fn pool_ends_below_twice_the_best() {
    case(&[("twice", ms(20.0)), ("near", ms(10.0))], &[1, 0], &[1]);
    let just = ranked(&[("just", ms(19.999)), ("near", ms(10.0))], &RULE, 1);
    assert_eq!(just.pool, [true, true]);
}

#[test]
fn cached_latency_counts_like_a_measured_one() {
    let cached = |latency: u64| Cached(Duration::from_millis(latency));
    case(&[("b", ms(40.0)), ("c", cached(90)), ("a", cached(10))], &[2, 0, 1], &[2]);
}

#[test]
fn classes_follow_each_other_and_keep_the_given_order() {
    case(
        &[
            ("r", Refused),
            ("a", Unanswered),
            ("", Unsupported),
            ("near", ms(10.0)),
            ("u", Unreachable),
            ("", Local),
            ("b", Unanswered),
            ("n", Unresolved),
            ("far", ms(30.0)),
            ("", Local),
        ],
        &[5, 9, 3, 8, 1, 6, 0, 2, 4, 7],
        &[3],
    );
}

#[test]
fn ties_keep_the_given_order() {
    case(&[("z", ms(50.0)), ("a", ms(50.0)), ("near", ms(10.0)), ("m", ms(50.0))], &[2, 0, 1, 3], &[2]);
}

#[test]
fn given_order_follows_local_mirrors_if_there_is_no_latency() {
    case(
        &[
            ("r", Refused),
            ("a", Unanswered),
            ("", Local),
            ("r", Unanswered),
            ("n", Unresolved),
            ("a", Refused),
        ],
        &[2, 0, 1, 3, 4, 5],
        &[],
    );
    case(&[], &[], &[]);
}

#[test]
fn excluded_mirrors_are_dropped_and_nothing_else() {
    case(&[("x", Excluded), ("far", ms(30.0)), ("near", ms(1.0)), ("y", Excluded)], &[2, 1], &[2]);
    case(&[("x", Excluded), ("a", Unanswered)], &[1], &[]);
}

#[test]
fn urls_of_one_host_stand_together_at_its_lowest_latency() {
    // By known latency: `twin` follows its faster endpoint past `mid`.
    case(
        &[("twin", ms(90.0)), ("mid", ms(50.0)), ("near", ms(10.0)), ("twin", ms(40.0))],
        &[2, 0, 3, 1],
        &[2],
    );
    // In the pool by one endpoint, in the pool with both.
    case(&[("far", ms(30.0)), ("twin", ms(90.0)), ("twin", ms(10.0))], &[1, 2, 0], &[1, 2]);
    // Failed and silent endpoints stay in their class, together.
    case(
        &[
            ("twin", Refused),
            ("a", Unanswered),
            ("x", Refused),
            ("twin", ms(1.0)),
            ("b", Unanswered),
            ("a", Unanswered),
            ("twin", Unreachable),
        ],
        &[3, 1, 5, 4, 0, 6, 2],
        &[3],
    );
}

#[test]
fn factor_and_slack_set_the_pool() {
    let mirrors = [("a", ms(1.0)), ("b", ms(3.0)), ("c", ms(6.0)), ("d", ms(6.1))];
    for (factor, slack, pool) in
        [(2.0, 0, 1), (1.0, 0, 0), (3.0, 0, 1), (3.1, 0, 2), (2.0, 5, 2), (6.05, 5, 3), (100.0, 0, 4)]
    {
        let rule = Rule { factor, slack: Duration::from_millis(slack), ..RULE };
        let ranked = ranked(&mirrors, &rule, 1);
        assert_eq!(ranked.pool.iter().filter(|&&p| p).count(), pool, "factor {factor}, slack {slack} ms");
    }
}

#[test]
fn pool_in_the_given_order_ignores_seed_weights_and_latencies() {
    let mut table = Table::default();
    table.add(Some(&host("far")), ms(40.0), 1.0);
    table.add(Some(&host("b")), ms(19.0), 1.0);
    table.add(Some(&host("failed-first")), Refused, 1.0);
    table.add(None, Local, 1.0);
    table.add(Some(&host("a")), ms(10.0), 1e6);
    table.add(Some(&host("liked")), ms(12.0), 1.0);
    table.add(Some(&host("failed-first")), ms(15.0), 1.0);
    table.add(Some(&host("b")), ms(30.0), 1.0);
    table.add(Some(&host("mid")), ms(30.0), 1.0);
    for seed in 0..20 {
        // The URLs of `b` stand together, and the first URL of `failed-first` decides its place.
        assert_eq!(table.rank(&GIVEN, seed).order, [3, 1, 7, 6, 4, 5, 8, 0, 2]);
    }
    let liked = table.hosts.iter_mut().find(|listed| listed.host == host("liked"));
    liked.expect("it was added").is_preferred = true;
    assert_eq!(table.rank(&GIVEN, 1).order, [3, 5, 1, 7, 6, 4, 8, 0, 2]);
    table.refer_to(&["a", "far", "b"].map(host));
    assert_eq!(table.rank(&GIVEN, 1).order, [3, 5, 4, 1, 7, 6, 8, 0, 2]);
}

#[test]
fn pool_in_the_given_order_has_names_of_one_address_at_the_first_of_them() {
    // `z` and `b` are one host, for which `b` stands.
    let mut table = Table::default();
    table.add(Some(&host("z")), ms(10.0), 1.0);
    table.add(Some(&host("a")), ms(10.0), 1.0);
    table.add(Some(&host("b")), ms(10.0), 1.0);
    table.entries[0].host = table.entries[2].host;
    assert_eq!(table.rank(&GIVEN, 1).order, [0, 2, 1]);
}

#[test]
fn detoured_hosts_follow_the_direct_ones_and_set_no_limit() {
    let mut table = Table::default();
    table.detour("detoured", 10.0);
    table.add(Some(&host("far")), ms(60.0), 1.0);
    table.add(Some(&host("near")), ms(25.0), 1.0);
    table.detour("detoured-too", 5.0);
    table.add(Some(&host("silent")), Unanswered, 1.0);
    // One endpoint of a host is enough to reach it directly, and its URLs stand together.
    table.add(Some(&host("mixed")), ms(70.0), 1.0);
    table.detour("mixed", 8.0);
    let ranked = table.rank(&RULE, 1);
    assert_eq!(ranked.order, [2, 1, 5, 6, 3, 0, 4]);
    assert_eq!(ranked.pool, [false, false, true, false, false, false, false]);
    // Without a direct host the detoured take their place.
    let mut table = Table::default();
    table.detour("far", 30.0);
    table.add(Some(&host("silent")), Unanswered, 1.0);
    table.detour("near", 10.0);
    let ranked = table.rank(&RULE, 1);
    assert_eq!((ranked.order, ranked.pool), (vec![2, 0, 1], vec![false, false, true]));
}

#[test]
fn preferred_hosts_lead_pool_and_rest_unless_they_are_dead() {
    let mirrors = [
        ("near", ms(10.0), false),
        ("liked", ms(15.0), true),
        ("mid", ms(30.0), false),
        ("far-liked", ms(90.0), true),
        ("silent", Unanswered, false),
        ("silent-liked", Unanswered, true),
        ("refused", Refused, false),
        ("refused-liked", Refused, true),
    ];
    let mut table = Table::default();
    for (name, outcome, is_preferred) in mirrors {
        table.add(Some(&host(name)), outcome, 1.0);
        table.hosts.last_mut().expect("one for each mirror").is_preferred = is_preferred;
    }
    for seed in 0..20 {
        assert_eq!(table.rank(&RULE, seed).order, [1, 0, 3, 2, 4, 5, 6, 7]);
    }
    // Nor when no mirror has answered.
    table.entries.drain(..4);
    assert_eq!(table.rank(&RULE, 1).order, [0, 1, 2, 3]);
}

#[test]
fn ambiguous_if_nearly_all_of_many_hosts_are_in_the_pool() {
    let names: Vec<_> = (0..40).map(|i| format!("h{i}")).collect();
    let world = |near: usize, far: usize| -> Vec<(&str, Outcome)> {
        names
            .iter()
            .map(String::as_str)
            .zip((0..near).map(|_| ms(5.0)).chain((0..far).map(|_| ms(50.0))))
            .collect()
    };
    for (near, far, ambiguous) in
        [(19, 0, false), (20, 0, true), (18, 2, false), (19, 1, true), (36, 4, false), (37, 3, true)]
    {
        assert_eq!(ranked(&world(near, far), &RULE, 1).ambiguous, ambiguous, "{near} near, {far} far");
    }
    // Twenty URLs of one host are one host.
    let one: Vec<_> = (0..20).map(|_| ("h", ms(5.0))).collect();
    assert!(!ranked(&one, &RULE, 1).ambiguous);
}

#[test]
fn slack_would_add_near_hosts_to_a_pool_of_few() {
    let added = |latencies: &[f64], slack: u64| {
        let mut table = Table::default();
        for (n, latency) in latencies.iter().enumerate() {
            table.add(Some(&host(&format!("h{n}"))), ms(*latency), 1.0);
        }
        // Neither is a direct host that has answered.
        table.detour("detoured", 2.0);
        table.add(Some(&host("silent")), Unanswered, 1.0);
        let ranked = table.rank(&Rule { slack: Duration::from_millis(slack), ..RULE }, 1);
        // The answer is what ranking with that slack comes to.
        let more = table.rank(&Rule { slack: SUGGESTED_SLACK.max(Duration::from_millis(slack)), ..RULE }, 1);
        let pool = |ranked: &Ranked| ranked.pool.iter().filter(|&&is_in| is_in).count();
        assert!([0, pool(&more) - pool(&ranked)].contains(&ranked.slack_would_add));
        ranked.slack_would_add
    };
    for (latencies, slack, expected) in [
        (&[0.8, 2.0, 3.0, 5.7, 5.8, 90.0][..], 0, 3),
        (&[0.8, 1.0, 3.0, 5.7], 0, 2),
        (&[0.8, 1.0, 1.2, 3.0], 0, 0),
        (&[0.8, 2.0, 3.0, 5.7], 1, 3),
        (&[0.8, 2.0, 3.0, 5.7], 2, 2),
        (&[0.8, 2.0, 3.0, 5.7], 3, 0),
        (&[0.8, 2.0], 5, 0),
        (&[0.8, 2.0, 5.9], 6, 0),
        (&[5.0, 10.0], 0, 0),
        (&[4.9, 9.8, 9.9], 0, 1),
        (&[30.0, 40.0], 0, 0),
        (&[0.8], 0, 0),
        (&[], 0, 0),
    ] {
        assert_eq!(added(latencies, slack), expected, "{latencies:?}, slack {slack} ms");
    }
    // Two URLs of one host are one host.
    let twice = [("near", ms(1.0)), ("next", ms(3.0)), ("next", ms(3.0)), ("next", ms(4.0))];
    assert_eq!(ranked(&twice, &RULE, 1).slack_would_add, 1);
}

/// The same seed gives the same order on every machine and in every version: these must never
/// change. Computed beforehand by a second implementation (SipHash-2-4 and the logarithm in
/// Python).
#[test]
fn shuffle_keeps_its_committed_vectors() {
    let names = ["a.example", "b.example", "c.example", "192.0.2.7", "2001:db8::7", "xn--mnchen-3ya.example"];
    let hosts: Vec<Host> = names.iter().map(|n| n.parse().map(Host::Address).unwrap_or(host(n))).collect();
    let order = |seed, weights: [f64; 6]| weighted(&hosts, &weights).rank(&RULE, seed).order;
    let vectors = [
        (0, [1, 4, 3, 0, 5, 2], [4, 0, 2, 3, 1, 5]),
        (1, [0, 1, 2, 4, 5, 3], [0, 4, 2, 3, 1, 5]),
        (7, [5, 4, 2, 1, 3, 0], [4, 2, 0, 3, 5, 1]),
        (u64::MAX, [1, 5, 0, 3, 4, 2], [0, 4, 2, 3, 5, 1]),
    ];
    for (seed, plain, weighted) in vectors {
        let found = (order(seed, [1.0; 6]), order(seed, [100.0, 1.0, 50.0, 10.0, 100.0, 2.0]));
        assert_eq!(found, (plain.to_vec(), weighted.to_vec()), "seed {seed}");
    }
}

/// The upper 0.1 % point of the chi-square distribution (Wilson and Hilferty's approximation).
fn chi_square_limit(degrees: f64) -> f64 {
    let z = 3.0902;
    degrees * (1.0 - 2.0 / (9.0 * degrees) + z * (2.0 / (9.0 * degrees)).sqrt()).powi(3)
}

#[test]
fn shuffle_makes_every_permutation_equally_likely() {
    const SEEDS: u64 = 24_000;
    let mirrors =
        [("a.example", ms(5.0)), ("b.example", ms(6.0)), ("c.example", ms(7.0)), ("d.example", ms(8.0))];
    let mut seen: HashMap<Vec<usize>, f64> = HashMap::new();
    for seed in 0..SEEDS {
        *seen.entry(ranked(&mirrors, &RULE, seed).order).or_default() += 1.0;
    }
    let expected = SEEDS as f64 / 24.0;
    let chi_square: f64 = seen.values().map(|n| (n - expected).powi(2) / expected).sum();
    assert_eq!(seen.len(), 24);
    assert!(chi_square < chi_square_limit(23.0), "chi-square {chi_square}");
}

#[test]
fn weights_are_the_proportion_in_which_hosts_lead() {
    const SEEDS: u64 = 24_000;
    let weights = [1.0, 2.0, 4.0, 0.5];
    let hosts = ["a", "b", "c", "d"].map(host);
    let table = weighted(&hosts, &weights);
    let mut leads = [0.0; 4];
    for seed in 0..SEEDS {
        leads[table.rank(&RULE, seed).order[0]] += 1.0;
    }
    let expected = weights.map(|w| SEEDS as f64 * w / weights.iter().sum::<f64>());
    let chi_square: f64 = leads.iter().zip(expected).map(|(n, e)| (n - e).powi(2) / e).sum();
    assert!(chi_square < chi_square_limit(3.0), "chi-square {chi_square}: {leads:?} for {expected:?}");
}

#[test]
fn weights_may_have_any_size() {
    for weight in [f64::from_bits(1), f64::MIN_POSITIVE, 1e-300, 1.0, f64::MAX] {
        let hosts = ["a", "b", "c"].map(host);
        let table = weighted(&hosts, &[weight; 3]);
        let leads: HashSet<_> = (0..100).map(|seed| table.rank(&RULE, seed).order[0]).collect();
        assert_eq!(leads.len(), 3, "{weight}");
    }
}

#[test]
fn weights_of_a_host_are_the_highest_of_its_urls() {
    let (a, b) = (host("a"), host("b"));
    let mut table = weighted(&[a.clone(), b], &[1.0, 1.0]);
    table.add(Some(&a), Refused, 1e9);
    assert!((0..100).all(|seed| table.rank(&RULE, seed).order[0] == 0));
}

#[test]
fn listing_a_host_twice_earns_no_double_share() {
    const SEEDS: usize = 10_000;
    let mirrors = [("a", ms(5.0)), ("b", ms(5.0)), ("a", ms(6.0)), ("a", ms(7.0))];
    let leads = (0..SEEDS).filter(|&seed| ranked(&mirrors, &RULE, seed as u64).order[0] == 1).count();
    // Five standard deviations of a fair coin.
    assert!(leads.abs_diff(SEEDS / 2) < 250, "{leads} of {SEEDS}");
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let latency = || (1u64..200_000).prop_map(Duration::from_micros);
    prop_oneof![
        6 => latency().prop_map(Measured),
        2 => latency().prop_map(Cached),
        1 => Just(Unanswered),
        1 => Just(Refused),
        1 => Just(Unreachable),
        1 => Just(Unresolved),
        1 => Just(Excluded),
    ]
}

/// Entries of a few hosts, so that siblings are common, among some without a host.
fn any_world() -> impl Strategy<Value = Vec<(Option<Host>, Outcome, f64)>> {
    let remote = ((0u8..12).prop_map(|n| Some(host(&format!("h{n}")))), any_outcome());
    let other = (Just(None), prop_oneof![Just(Local), Just(Unsupported), Just(Excluded)]);
    prop::collection::vec(
        (prop_oneof![5 => remote, 1 => other], 0.5f64..100.0).prop_map(|((h, o), w)| (h, o, w)),
        0..40,
    )
}

fn table(world: &[(Option<Host>, Outcome, f64)]) -> Table {
    let mut table = Table::default();
    for (host, outcome, weight) in world {
        table.add(host.as_ref(), *outcome, *weight);
    }
    table
}

/// The hosts of the pool, in the order in which it names them.
fn pool_hosts(table: &Table, rule: &Rule, seed: u64) -> Vec<Host> {
    let Ranked { order, pool, .. } = table.rank(rule, seed);
    let in_pool = order.iter().filter(|&&index| pool[index]).filter_map(|&index| table.entries[index].host);
    let mut hosts: Vec<Host> = in_pool.map(|HostId(id)| table.hosts[id].host.clone()).collect();
    hosts.dedup();
    hosts
}

proptest! {
    #[test]
    fn pool_in_the_given_order_stands_as_list_and_reference_say(
        world in any_world(), other in any_world(), names in prop::collection::vec(0u8..14, 0..20), seed: u64
    ) {
        let reference: Vec<Host> = names.iter().map(|n| host(&format!("h{n}"))).collect();
        let (mut here, mut there) = (table(&world), table(&other));
        let without = pool_hosts(&here, &GIVEN, seed);
        let listed: Vec<Host> = here.hosts.iter().map(|listed| listed.host.clone()).collect();
        prop_assert!(without.is_sorted_by_key(|host| listed.iter().position(|it| it == host)), "as listed");

        let (shuffled, plain) = (here.rank(&RULE, seed), here.rank(&GIVEN, seed));
        here.refer_to(&reference);
        there.refer_to(&reference);
        let referred = here.rank(&GIVEN, seed);
        let mut order = referred.order.clone();
        order.sort();
        let kept: Vec<_> = (0..world.len()).filter(|&i| world[i].1 != Excluded).collect();
        prop_assert_eq!(order, kept, "each once");
        let rest = |ranked: &Ranked| ranked.order.iter().copied().filter(|&i| !ranked.pool[i]).collect::<Vec<_>>();
        prop_assert_eq!(rest(&referred), rest(&shuffled), "the rest is untouched");
        prop_assert_eq!(rest(&referred), rest(&plain));
        prop_assert_eq!(&referred.pool, &shuffled.pool, "the same pool");
        prop_assert_eq!(here.rank(&RULE, seed).order, shuffled.order, "no effect on a shuffled one");

        let (mut here, mut there) = (pool_hosts(&here, &GIVEN, seed), pool_hosts(&there, &GIVEN, seed));
        let named = |host: &Host| reference.iter().position(|named| named == host);
        prop_assert!(here.is_sorted_by_key(|host| named(host).unwrap_or(usize::MAX)), "as in the reference");
        let unnamed: Vec<_> = here.iter().filter(|host| named(host).is_none()).cloned().collect();
        let expected: Vec<_> = without.into_iter().filter(|host| named(host).is_none()).collect();
        prop_assert_eq!(unnamed, expected, "then as listed");
        // Two lists agree on what the reference names.
        let common: Vec<_> = here.iter().filter(|h| there.contains(h) && named(h).is_some()).cloned().collect();
        here.retain(|host| common.contains(host));
        there.retain(|host| common.contains(host));
        prop_assert_eq!(here, there);
    }

    /// `fastestmirror fleet` relies on this: it ranks only the hosts that can be in the pool.
    #[test]
    fn pool_does_not_depend_on_hosts_outside_it(world in any_world(), seed: u64) {
        let all = table(&world);
        for rule in [RULE, GIVEN] {
            let ranked = all.rank(&rule, seed);
            let host = |index: usize| all.entries[index].host;
            let is_near = |index: &usize| (0..world.len()).any(|i| ranked.pool[i] && host(i) == host(*index));
            let near: Vec<usize> = (0..world.len()).filter(is_near).collect();
            let entries: Vec<Entry> = near.iter().map(|&index| all.entries[index]).collect();
            let alone = rank(&entries, &all.hosts, &rule, seed);
            let of_all: Vec<usize> = ranked.order.iter().copied().filter(|&i| ranked.pool[i]).collect();
            let of_near: Vec<usize> =
                alone.order.iter().filter(|&&i| alone.pool[i]).map(|&i| near[i]).collect();
            prop_assert_eq!(of_near, of_all);
        }
    }

    #[test]
    fn order_is_a_permutation_of_all_but_the_excluded(world in any_world(), seed: u64) {
        let mut order = table(&world).rank(&RULE, seed).order;
        order.sort();
        let kept: Vec<_> = (0..world.len()).filter(|&i| world[i].1 != Excluded).collect();
        prop_assert_eq!(order, kept);
    }

    #[test]
    fn pool_comes_before_the_rest_and_the_rest_ascends(world in any_world(), seed: u64) {
        let Ranked { order, pool, .. } = table(&world).rank(&RULE, seed);
        let lowest = |host: &Option<Host>| world.iter().filter(|e| e.0 == *host).filter_map(|e| e.1.latency()).min();
        let known: Vec<_> = order.iter().copied().filter(|&i| world[i].1.latency().is_some()).collect();
        let best = known.iter().filter_map(|&i| world[i].1.latency()).min();
        prop_assert!(known.is_sorted_by_key(|&i| !pool[i]), "pool first");
        for &i in &known {
            prop_assert_eq!(pool[i], lowest(&world[i].0) < best.map(|b| b * 2), "pool membership is the host's");
        }
        let rest: Vec<_> = known.iter().filter(|&&i| !pool[i]).map(|&i| lowest(&world[i].0)).collect();
        prop_assert!(rest.is_sorted());
        if best.is_some() {
            let class = |&i: &usize| match world[i].1 { Local => 0, Measured(_) | Cached(_) => 1, Unanswered => 2, _ => 3 };
            prop_assert!(order.is_sorted_by_key(class));
            for class_members in order.chunk_by(|a, b| class(a) == class(b)) {
                let hosts: Vec<_> = class_members.chunk_by(|&a, &b| world[a].0.is_some() && world[a].0 == world[b].0)
                    .filter_map(|siblings| world[siblings[0]].0.clone()).collect();
                let mut distinct = hosts.clone();
                distinct.sort_by_key(Host::to_string);
                distinct.dedup();
                prop_assert_eq!(hosts.len(), distinct.len(), "siblings stand together");
            }
        }
    }

    #[test]
    fn seed_gives_two_hosts_the_same_order_in_every_list(world in any_world(), other in any_world(), seed: u64) {
        // Equal weights; in each list the hosts in the order in which its pool names them.
        let leaders = |world: &[(Option<Host>, Outcome, f64)]| -> Vec<Host> {
            let mut table = table(world);
            table.entries.iter_mut().for_each(|entry| entry.weight = 1.0);
            pool_hosts(&table, &RULE, seed)
        };
        let (mut here, mut there) = (leaders(&world), leaders(&other));
        let common: Vec<_> = here.iter().filter(|h| there.contains(h)).cloned().collect();
        here.retain(|h| common.contains(h));
        there.retain(|h| common.contains(h));
        prop_assert_eq!(here, there);
    }

    /// Trouble takes an entry out of what the others are ranked by, and speed changes no
    /// membership.
    #[test]
    fn demoted_entries_change_nothing_for_the_others(
        world in any_world(), flags in prop::collection::vec((0..4u8, 0..4u8), 40), seed: u64
    ) {
        let plain = table(&world);
        let (mut demoted, mut without, mut slow) = (table(&world), table(&world), table(&world));
        for (index, &(troubled, is_slow)) in flags.iter().take(world.len()).enumerate() {
            let is_troubled = troubled == 0 && world[index].0.is_some();
            demoted.entries[index].is_troubled = is_troubled;
            if is_troubled && world[index].1.latency().is_some() {
                without.entries[index].outcome = Excluded;
            }
            slow.entries[index].is_slow = is_slow == 0;
        }
        let (ranked, sound) = (demoted.rank(&RULE, seed), without.rank(&RULE, seed));
        let mut order = ranked.order.clone();
        order.sort_unstable();
        prop_assert_eq!(order, (0..world.len()).filter(|&i| world[i].1 != Excluded).collect::<Vec<_>>());
        let has_sound = (0..world.len()).any(|i| without.entries[i].outcome.latency().is_some());
        if has_sound {
            let rest: Vec<_> = ranked.order.iter().copied().filter(|&i| !ranked.demoted[i]).collect();
            prop_assert_eq!(rest, sound.order);
            prop_assert_eq!(ranked.pool, sound.pool);
            let class = |&i: &usize| match world[i].1 {
                Local => 0,
                Measured(_) | Cached(_) => 1 + usize::from(ranked.demoted[i]),
                Unanswered => 3,
                _ => 4,
            };
            prop_assert!(ranked.order.is_sorted_by_key(class));
        } else {
            prop_assert_eq!(ranked, plain.rank(&RULE, seed));
        }
        let (plain, slow) = (plain.rank(&RULE, seed), slow.rank(&RULE, seed));
        prop_assert_eq!(&plain.pool, &slow.pool);
        let outside = |ranked: &Ranked| -> Vec<usize> {
            ranked.order.iter().copied().filter(|&i| !ranked.pool[i]).collect()
        };
        prop_assert_eq!(outside(&plain), outside(&slow));
    }

    #[test]
    fn ranking_again_gives_the_same_order(world in any_world(), seed: u64) {
        prop_assert_eq!(table(&world).rank(&RULE, seed), table(&world).rank(&RULE, seed));
    }
}

/// The order of these mirrors, of which some are troubled or slow.
fn order(mirrors: &[(&str, Outcome, &str)], preferred: &str, rule: &Rule, seed: u64) -> Vec<usize> {
    let mut table = Table::default();
    for &(name, outcome, demoted) in mirrors {
        table.add(Some(&host(name)), outcome, 1.0);
        let entry = table.entries.last_mut().expect("it was just added");
        entry.is_troubled = demoted == "troubled";
        entry.is_slow = demoted == "slow";
    }
    for listed in &mut table.hosts {
        listed.is_preferred = listed.host == host(preferred);
    }
    table.rank(rule, seed).order
}

#[test]
fn troubled_mirrors_stand_behind_all_that_have_a_latency() {
    let mirrors = [
        ("near", ms(1.0), "troubled"),
        ("nearer", ms(0.5), "troubled"),
        ("silent", Unanswered, ""),
        ("refused", Refused, "troubled"),
        ("a", ms(10.0), ""),
        ("b", ms(15.0), ""),
        ("far", ms(300.0), ""),
        ("silent too", Unanswered, "troubled"),
    ];
    for seed in 0..20 {
        let mut found = order(&mirrors, "near", &RULE, seed);
        // They neither make the pool nor leave it empty, and are not lifted by preference.
        assert_eq!(found.split_off(2), [6, 1, 0, 2, 7, 3]);
        found.sort_unstable();
        assert_eq!(found, [4, 5]);
    }
}

#[test]
fn trouble_of_all_mirrors_counts_for_nothing() {
    let mirrors =
        |demoted| [("far", ms(50.0), demoted), ("near", ms(1.0), demoted), ("silent", Unanswered, "")];
    for seed in 0..5 {
        let found = order(&mirrors("troubled"), "", &RULE, seed);
        assert_eq!(found, order(&mirrors(""), "", &RULE, seed));
        assert_eq!(found, [1, 0, 2]);
    }
}

#[test]
fn troubled_url_leaves_the_others_of_its_host_where_they_are() {
    let mirrors =
        [("a", ms(1.0), "troubled"), ("b", ms(30.0), ""), ("a", ms(1.0), ""), ("a", ms(1.5), "troubled")];
    assert_eq!(order(&mirrors, "", &RULE, 1), [2, 1, 0, 3]);
}

#[test]
fn slow_hosts_stand_at_the_end_of_the_pool() {
    let mirrors = [
        ("slow", ms(1.0), "slow"),
        ("a", ms(1.1), ""),
        ("b", ms(1.2), ""),
        ("outside", ms(5.0), "slow"),
        ("slow", ms(1.0), "slow"),
        ("farther", ms(6.0), ""),
    ];
    for rule in [RULE, GIVEN] {
        for seed in 0..20 {
            let mut found = order(&mirrors, "", &rule, seed);
            // Outside the pool it does not matter.
            assert_eq!(found.split_off(2), [0, 4, 3, 5]);
            found.sort_unstable();
            assert_eq!(found, [1, 2]);
            // What the administrator prefers stays in front.
            assert_eq!(order(&mirrors, "slow", &rule, seed)[..2], [0, 4]);
        }
    }
}

#[test]
fn result_says_which_mirrors_are_demoted() {
    let mut table = Table::default();
    for (name, latency, is_troubled, is_slow) in [
        ("a", ms(1.0), false, false),
        ("b", ms(1.0), false, true),
        ("c", ms(1.0), true, true),
        ("d", ms(9.0), false, true),
        ("e", Unanswered, true, true),
    ] {
        table.add(Some(&host(name)), latency, 1.0);
        let entry = table.entries.last_mut().expect("it was just added");
        (entry.is_troubled, entry.is_slow) = (is_troubled, is_slow);
    }
    let ranked = table.rank(&RULE, 1);
    assert_eq!(ranked.demoted, [false, true, true, false, false]);
    assert_eq!(ranked.pool, [true, true, false, false, false]);
}
