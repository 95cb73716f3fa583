//! The simulator against what can be computed: closed forms of shares, each within five standard
//! errors.

use super::figures::Figures;
use super::policy::{Choice, Client, Policy};
use super::simulate::simulate;
use super::world::{Mirror, Place, Plan, View, World, demand};
use super::{mirrors, world};
use fastestmirror::PoolOrder;
use fastestmirror::internals::fleet::{Hosts, Rule, Seen};
use lab::Random;
use std::time::Duration;

const CLIENTS: u64 = 40_000;

fn ms(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds / 1e3)
}

fn given(latencies: &[f64], capacities: &[f64], dead: &[usize], noise: f64, clients: u64) -> World {
    let latencies: Vec<Duration> = latencies.iter().copied().map(ms).collect();
    World::with_latencies(&latencies, capacities, dead, 7, ms(noise), clients)
}

fn figures(world: &World, choice: Choice) -> Figures {
    let counts = simulate(world, &[choice], 2, &|_| ());
    Figures::new(&world.places[0], &world.mirrors, &counts[0][0], demand(1_400_000))
}

/// Five standard errors of a share of so many clients.
fn room(share: f64, clients: u64) -> f64 {
    5.0 * (share * (1.0 - share) / clients as f64).sqrt()
}

#[track_caller]
fn assert_shares(found: &[f64], expected: &[f64], clients: u64) {
    assert_eq!(found.len(), expected.len());
    for (found_share, share) in found.iter().zip(expected) {
        assert!(
            (found_share - share).abs() <= room(*share, clients) + 1e-12,
            "{found:?}, and not {expected:?}"
        );
    }
}

#[test]
fn pool_shares_the_load_equally() {
    let (third, quarter) = (1.0 / 3.0, 0.25);
    let five = [10.0, 12.0, 19.9, 20.0, 30.0];
    let four = [1.0, 3.0, 3.5, 8.0];
    let table: [(&[f64], f64, &[f64]); 8] = [
        (&five, 0.0, &[third, third, third, 0.0, 0.0]),
        (&five, 5.0, &[third, third, third, 0.0, 0.0]),
        (&five, 10.0, &[third, third, third, 0.0, 0.0]),
        (&five, 20.0, &[quarter, quarter, quarter, quarter, 0.0]),
        (&four, 0.0, &[1.0, 0.0, 0.0, 0.0]),
        (&four, 2.0, &[1.0, 0.0, 0.0, 0.0]),
        (&four, 2.5, &[0.5, 0.5, 0.0, 0.0]),
        (&four, 5.0, &[third, third, third, 0.0]),
    ];
    for (latencies, slack, expected) in table.into_iter().chain([(&four[..], 10.0, &[quarter; 4][..])]) {
        let world = given(latencies, &vec![1.0; latencies.len()], &[], 0.0, CLIENTS);
        for policy in [Policy::FactorSlack, Policy::Given] {
            assert_shares(&figures(&world, policy.choice(2.0, ms(slack))).shares, expected, CLIENTS);
        }
        let strict = figures(&world, Policy::Strict.choice(2.0, ms(slack)));
        assert_eq!(strict.busiest_share, 1.0);
    }
}

#[test]
fn capacities_divide_the_pool_as_weights_and_as_list() {
    let (latencies, capacities) = ([10.0, 12.0, 19.9, 20.0, 30.0], [1.0, 10.0, 40.0, 100.0, 100.0]);
    let all = [1.0 / 51.0, 10.0 / 51.0, 40.0 / 51.0, 0.0, 0.0];
    let without_second = [1.0 / 41.0, 0.0, 40.0 / 41.0, 0.0, 0.0];
    for (dead, expected) in [(&[][..], all), (&[1], without_second)] {
        let world = given(&latencies, &capacities, dead, 0.0, CLIENTS);
        for policy in [Policy::Weights, Policy::Given] {
            assert_shares(&figures(&world, policy.choice(2.0, Duration::ZERO)).shares, &expected, CLIENTS);
        }
    }
}

#[test]
fn equal_mirrors_have_the_figures_of_their_number() {
    for (pool, count) in [(3, 10), (4, 10), (10, 10), (20, 421)] {
        let latencies: Vec<f64> = (0..count).map(|n| if n < pool { 10.0 } else { 30.0 }).collect();
        let world = given(&latencies, &vec![1.0; count], &[], 0.0, CLIENTS);
        let found = figures(&world, Policy::Factor.choice(2.0, Duration::ZERO));
        let share = 1.0 / pool as f64;
        assert!(found.busiest_share <= share + room(share, CLIENTS), "{found:?}");
        assert!((found.gini - (1.0 - pool as f64 / count as f64)).abs() < 0.02, "{found:?}");
        // With an even number, the busier half serves a little more than half.
        let half = pool.div_ceil(2) as f64;
        assert_eq!(found.half_load_mirrors, half, "{found:?}");
        assert_eq!((found.p50, found.p95), (10.0, 10.0));
        assert!((found.worst_load - demand(1_400_000) * found.busiest_share).abs() < 1e-9);
    }
}

#[test]
fn clients_with_different_views_add_up() {
    let (few, many) = (CLIENTS * 4 / 10, CLIENTS);
    let mirrors: Vec<Mirror> =
        (0..4).map(|n| Mirror { name: format!("m{n}.example"), capacity: 1.0, is_dead: false }).collect();
    let view =
        |clients, latencies: [f64; 4]| View::new(clients, latencies.map(ms).to_vec(), &mirrors, vec![0]);
    let views = vec![view(many, [10.0, 10.0, 90.0, 90.0]), view(few, [90.0, 10.0, 10.0, 10.0])];
    let places = vec![Place { name: "two".into(), views }];
    let world = World { seed: 3, mirrors: mirrors.clone(), places, noise: Duration::ZERO };
    let found = figures(&world, Policy::Factor.choice(2.0, Duration::ZERO));
    assert_shares(&found.shares, &[0.5 / 1.4, (0.5 + 0.4 / 3.0) / 1.4, 0.4 / 4.2, 0.4 / 4.2], many + few);
}

#[test]
fn two_lists_agree_as_often_as_their_pools_overlap() {
    // Pools of {0, 1, 2} and {1, 2, 3}, by position in the table of hosts.
    let weights = [1.0, 2.0, 5.0, 4.0];
    let hosts = Hosts::new(["a.example", "b.example", "c.example", "d.example"]);
    let list = |pool: [usize; 3]| pool.map(|host| Seen { host, latency: ms(10.0), weight: weights[host] });
    let (a, b) = (list([0, 1, 2]), list([1, 2, 3]));
    let rule = Rule::new(2.0, Duration::ZERO, PoolOrder::Shuffled);
    let first = |list: &[Seen], seed| list[hosts.rank(4, list, &rule, seed)[0]].host;
    let agreed = (0..CLIENTS).filter(|&seed| first(&a, seed) == first(&b, seed)).count();
    let expected = (2.0 + 5.0) / (1.0 + 2.0 + 5.0 + 4.0);
    let found = agreed as f64 / CLIENTS as f64;
    assert!((found - expected).abs() <= room(expected, CLIENTS), "{found}, and not {expected}");
}

#[test]
fn noise_moves_a_mirror_into_the_pool_and_out_of_it() {
    const BEST: f64 = 100.0;
    const MEAN: f64 = 2.0;
    for beyond in [-4.0, -1.0, -0.2, 0.0, 0.2, 1.0, 4.0, 10.0] {
        let expected: f64 = if beyond < 0.0 {
            1.0 - f64::exp(beyond / MEAN) / 3.0
        } else {
            2.0 / 3.0 * f64::exp(-beyond / (2.0 * MEAN))
        };
        let world = given(&[BEST, 2.0 * BEST + beyond], &[1.0, 1.0], &[], MEAN, CLIENTS);
        // In the pool it leads for every second client.
        let found = figures(&world, Policy::Factor.choice(2.0, Duration::ZERO));
        assert_shares(&found.shares, &[1.0 - expected / 2.0, expected / 2.0], CLIENTS);
    }
}

#[test]
fn policies_that_do_not_measure_go_on_to_the_next_mirror() {
    let world = given(&[1.0, 2.0, 3.0, 4.0], &[1.0; 4], &[0, 2], 0.0, CLIENTS);
    for policy in [Policy::Server, Policy::Random] {
        let found = figures(&world, policy.choice(2.0, Duration::ZERO));
        assert_shares(&found.shares, &[0.0, 0.5, 0.0, 0.5], CLIENTS);
    }
    // All that the server names may be dead.
    let mirrors = &world.mirrors;
    let view = View::new(CLIENTS, vec![ms(1.0); 4], mirrors, vec![0, 2]);
    let places = vec![Place { name: "dead".into(), views: vec![view] }];
    let world = World { seed: 3, mirrors: mirrors.clone(), places, noise: Duration::ZERO };
    let found = figures(&world, Policy::Server.choice(2.0, Duration::ZERO));
    assert_shares(&found.shares, &[0.0, 0.5, 0.0, 0.5], CLIENTS);
}

fn plan<'a>(sites: &'a [mirrors::Site], places: &'a [String], clients: u64) -> Plan<'a> {
    let noise = Duration::from_micros(150);
    Plan { sites, places, seed: 5, noise, dead_share: 0.05, dead: &[], clients }
}

/// The shortcut of the simulator: a client that stops measuring where no further mirror can matter
/// chooses as one that measures all of them.
#[test]
fn client_that_measures_every_mirror_chooses_the_same() {
    let (sites, places) = (mirrors::table(), vec!["Ashburn".to_owned(), "Frankfurt dense".to_owned()]);
    let world = World::draw(&plan(&sites, &places, 2));
    for view in world.places.iter().flat_map(|place| &place.views) {
        let (mut short, mut full) = (Client::new(&world, view), Client::new(&world, view));
        for seed in 0..300 {
            for (factor, slack) in [(1.0, 0.0), (2.0, 0.0), (2.0, 5.0), (3.0, 1.0)] {
                let seed = Random::new(seed, 0).next_u64();
                short.reset(seed);
                full.reset(seed);
                let choice = Choice::uniform(factor, ms(slack));
                // A factor this high needs them all.
                full.choose(&Choice::uniform(1000.0, Duration::ZERO));
                assert!(full.measured() == view.nearest.len() && short.measured() == 0);
                assert_eq!(short.choose(&choice), full.choose_of_all(&choice), "{factor} {slack}");
                assert!(short.measured() < 60, "{}", short.measured());
            }
        }
    }
}

#[test]
fn result_depends_neither_on_threads_nor_on_other_policies() {
    let (sites, places) = (mirrors::table(), vec!["Sydney".to_owned(), world::ALL_CITIES.to_owned()]);
    let world = World::draw(&plan(&sites, &places, 20_001));
    let choices = Policy::ALL.map(|policy| policy.choice(2.0, ms(5.0)));
    let all = simulate(&world, &choices, 3, &|_| ());
    assert_eq!(simulate(&world, &choices, 1, &|_| ()), all);
    let total: u64 = all.iter().flat_map(|place| place[0].iter().flatten()).sum();
    assert_eq!(total, 20_001);
    for (number, choice) in choices.iter().enumerate() {
        let alone = simulate(&world, &[*choice], 2, &|_| ());
        for (alone, all) in alone.iter().zip(&all) {
            assert_eq!(alone[0], all[number], "{choice:?}");
        }
    }
}

#[test]
fn world_is_as_planned() {
    let (sites, places) = (mirrors::table(), vec!["Frankfurt dense".to_owned(), "Ashburn".to_owned()]);
    let mut capacities = Vec::new();
    for seed in 0..20 {
        let world = World::draw(&Plan { seed, dead: &[3], ..plan(&sites, &places, 2) });
        assert_eq!(world.mirrors.len(), 421);
        let dead = world.mirrors.iter().filter(|mirror| mirror.is_dead).count();
        assert!((21..=22).contains(&dead) && world.mirrors[3].is_dead, "{dead}");
        let nearest = world.places[0].views[0].latencies.iter().min().expect("mirrors");
        assert!((ms(0.5)..=ms(0.8)).contains(nearest), "{nearest:?}");
        // Mirrors of the United States within 500 km.
        assert_eq!(world.places[1].views[0].server.len(), 28);
        capacities.extend(world.mirrors.iter().map(|mirror| mirror.capacity));
    }
    for (capacity, share) in [(1.0, 0.30), (10.0, 0.50), (40.0, 0.12), (100.0, 0.08)] {
        let found = capacities.iter().filter(|it| **it == capacity).count() as f64 / capacities.len() as f64;
        assert!((found - share).abs() <= room(share, capacities.len() as u64), "{capacity}: {found}");
    }
    assert!((demand(1_400_000) - 38.9).abs() < 0.05);
}
