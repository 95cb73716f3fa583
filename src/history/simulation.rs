//! A fleet of clients in virtual time, with the policy that the library runs: how soon a slow
//! mirror is avoided, how often a good one is, and what the mirrors get.
//!
//! The pool has five mirrors. Each client makes one run a day, at some hour, downloads from the
//! first of its order (shuffled, with the slow ones at the end) and remembers the speed. That
//! varies by a factor of two (log-normal, sigma 0.7). A disturbed run is slower for a reason that
//! has nothing to do with the mirror, and hits the client alone.

use super::policy::{Evidence, Observation, is_slow, remember, spread};
use crate::network::Network;
use crate::url::Host;

const POOL: usize = 5;
const CLIENTS: usize = 200;
const DAY: i64 = 24 * 3600;
/// The speed of a good mirror, in bytes per second.
const GOOD: f64 = 6e6;

#[derive(Debug, Clone, Copy)]
struct Fleet {
    clients: usize,
    days: i64,
    /// The speed of the first mirror, as a share of that of the others.
    first: f64,
    /// The share of the runs that are disturbed, and the speed that they are left with.
    disturbed: f64,
    left: f64,
}

#[derive(Debug, Default)]
struct Outcome {
    /// How many of its runs each client made with the first mirror until it was first demoted;
    /// without those where it never was.
    runs: Vec<usize>,
    /// The share of client-days on which some good mirror was demoted.
    false_days: f64,
    /// The share of the runs in which a good mirror became demoted.
    false_starts: f64,
    /// The share of the runs that each mirror led.
    shares: [f64; POOL],
}

impl Outcome {
    fn median_runs(&self) -> Option<usize> {
        let mut runs = self.runs.clone();
        runs.sort_unstable();
        runs.get(runs.len() / 2).copied()
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, without 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        (self.uniform() * end as f64) as usize
    }

    /// From the standard normal distribution (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let (a, b) = (self.uniform(), self.uniform());
        (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

impl Fleet {
    fn run(&self, seed: u64) -> Outcome {
        let random = &mut Random(seed);
        let hosts: Vec<Host> = (0..POOL).map(|n| Host::Name(format!("m{n}.example"))).collect();
        let (here, mut outcome) = (Network::default(), Outcome::default());
        let (mut led, mut false_days, mut false_starts) = ([0; POOL], 0, 0);
        for _ in 0..self.clients {
            let machine = (u128::from(random.next()) << 64 | u128::from(random.next())).to_le_bytes();
            let spreads: Vec<f64> = hosts.iter().map(|host| spread(&machine, host)).collect();
            let mut known: Vec<Vec<Observation>> = vec![Vec::new(); POOL];
            let (mut first_runs, mut is_found, mut was_false) = (0, false, [false; POOL]);
            for day in 0..self.days {
                let now = day * DAY + random.below(DAY as usize) as i64;
                let evidence: Vec<_> =
                    (0..POOL).map(|n| Evidence::of(&known[n], &here, now, spreads[n])).collect();
                let demoted: Vec<bool> = is_slow(&evidence).iter().map(Option::is_some).collect();
                let is_false = |n: usize| demoted[n] && (n > 0 || self.first == 1.0);
                false_days += usize::from((0..POOL).any(is_false));
                false_starts += (0..POOL).filter(|&n| is_false(n) && !was_false[n]).count();
                was_false = std::array::from_fn(is_false);
                if demoted[0] && !is_found {
                    is_found = true;
                    outcome.runs.push(first_runs);
                }
                let fine: Vec<usize> = (0..POOL).filter(|&n| !demoted[n]).collect();
                let leader = fine[random.below(fine.len())];
                led[leader] += 1;
                first_runs += usize::from(leader == 0);
                let share = if leader == 0 { self.first } else { 1.0 };
                let disturbance = if random.uniform() < self.disturbed { self.left } else { 1.0 };
                let speed = (GOOD * share * disturbance * (0.7 * random.normal()).exp()) as u64;
                let observation =
                    Observation { at: now, speed, process: random.next() as u32, network: here };
                remember(&mut known[leader], observation);
            }
        }
        let client_days = self.clients as f64 * self.days as f64;
        outcome.shares = led.map(|count| count as f64 / client_days);
        outcome.false_days = false_days as f64 / client_days;
        outcome.false_starts = false_starts as f64 / client_days;
        outcome
    }
}

#[test]
fn simulation_avoids_a_slow_mirror_after_two_runs_and_hardly_ever_a_good_one() {
    let clean = Fleet { clients: CLIENTS, days: 120, first: 1.0, disturbed: 0.0, left: 1.0 };
    let fleets = [
        clean,
        Fleet { first: 1.0 / 20.0, ..clean },
        Fleet { first: 1.0 / 10.0, ..clean },
        Fleet { disturbed: 0.05, left: 1.0 / 4.0, ..clean },
        Fleet { disturbed: 0.05, left: 1.0 / 10.0, ..clean },
        Fleet { disturbed: 0.05, left: 1.0 / 20.0, ..clean },
        Fleet { first: 1.0 / 20.0, disturbed: 0.05, left: 1.0 / 10.0, ..clean },
    ];
    println!("first mirror  disturbed  avoided after   good mirrors demoted on    share of the mirrors (%)");
    println!("  at speed       runs     (runs, median)  client-days (new ones)     first  others, from-to");
    let outcomes = fleets.map(|fleet| {
        let outcome = fleet.run(7);
        let disturbed = match fleet.disturbed {
            0.0 => "none".to_string(),
            share => format!("{:.0} % at 1/{:.0}", share * 100.0, 1.0 / fleet.left),
        };
        let others =
            |fold: fn(f64, f64) -> f64| outcome.shares[1..].iter().copied().fold(outcome.shares[1], fold);
        println!(
            "  1/{:<10.0} {disturbed:<12} {:<15} {:.3} % ({:.3} %)          {:.1}   {:.1}-{:.1}",
            1.0 / fleet.first,
            outcome
                .median_runs()
                .filter(|_| fleet.first < 1.0)
                .map_or("-".to_string(), |runs| runs.to_string()),
            outcome.false_days * 100.0,
            outcome.false_starts * 100.0,
            outcome.shares[0] * 100.0,
            others(f64::min) * 100.0,
            others(f64::max) * 100.0,
        );
        outcome
    });
    let [clean, slow, _, _, disturbed, strongly, slow_and_disturbed] = &outcomes;
    // All that are slow are found.
    assert_eq!((slow.median_runs(), slow.runs.len()), (Some(2), CLIENTS));
    assert_eq!(slow_and_disturbed.median_runs(), Some(2));
    assert!(clean.false_days < 0.001 && slow.false_days < 0.001);
    assert!(disturbed.false_days < 0.01 && slow_and_disturbed.false_days < 0.01);
    // Two disturbed runs that look just like those of a mirror at 1/20 are mistaken for them.
    assert!(strongly.false_starts < 0.01);
    for outcome in [clean, disturbed] {
        assert!(outcome.shares.iter().all(|share| (0.19..0.21).contains(share)), "{:?}", outcome.shares);
    }
    // What the slow one loses goes to all others alike.
    assert!(slow.shares[1..].iter().all(|share| (0.21..0.24).contains(share)), "{:?}", slow.shares);
}
