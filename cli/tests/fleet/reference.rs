//! The simulator beside another simulation of the same question, which was written apart from it:
//! mean figures of twenty worlds, each. The worlds, the cities and the model of the noise are not
//! the same, so neither are the figures. Each has to be within a fifth of the other's, or within
//! three standard errors of the difference between two such means.

use super::{json, number, place, text};
use serde_json::Value;

const WORLDS: usize = 20;

/// The share of the busiest mirror in percent, the highest load of a mirror in terms of its
/// capacity, and the median latency in milliseconds.
type Cell = [f64; 3];

const PLACES: [&str; 7] =
    ["Ashburn", "Frankfurt", "Frankfurt dense", "Singapore", "São Paulo", "Sydney", "68 cities"];

const STRICT: [Cell; 7] = [
    [86.0, 12.0, 2.3],
    [96.0, 8.2, 3.2],
    [90.0, 8.8, 0.7],
    [94.0, 7.7, 2.4],
    [99.0, 12.0, 9.5],
    [93.0, 17.0, 2.4],
    [8.9, 2.0, 2.8],
];
const FACTOR: [Cell; 7] = [
    [22.5, 6.8, 3.0],
    [28.9, 6.5, 5.1],
    [57.0, 9.8, 0.8],
    [25.6, 7.2, 3.2],
    [35.0, 7.7, 12.7],
    [35.0, 10.0, 3.2],
    [3.4, 0.96, 3.6],
];
const SLACK_5: [Cell; 7] = [
    [13.4, 4.7, 3.7],
    [7.9, 3.0, 6.7],
    [6.8, 2.6, 4.1],
    [16.9, 5.7, 3.8],
    [35.0, 7.7, 12.7],
    [27.0, 8.9, 3.5],
    [2.8, 0.77, 4.6],
];
const SLACK_10: [Cell; 7] = [
    [3.7, 1.4, 8.8],
    [1.9, 0.7, 9.3],
    [1.7, 0.7, 6.7],
    [9.8, 3.8, 6.7],
    [34.0, 7.8, 12.7],
    [25.0, 8.3, 3.9],
    [1.8, 0.63, 8.1],
];
const GIVEN: [Cell; 7] = [
    [43.0, 0.31, 4.0],
    [31.0, 0.30, 6.6],
    [32.0, 0.18, 4.1],
    [47.0, 0.45, 3.7],
    [61.0, 1.2, 11.8],
    [56.0, 1.3, 4.0],
    [5.8, 0.50, 4.6],
];
const SERVER: [Cell; 7] = [
    [3.6, 1.4, 8.9],
    [5.3, 2.1, 8.2],
    [5.3, 2.1, 5.0],
    [17.0, 5.3, 3.8],
    [50.0, 8.7, 10.4],
    [25.0, 8.4, 3.6],
    [2.0, 0.76, 6.2],
];
const RANDOM: [Cell; 2] = [[0.3, 0.1, 113.0], [0.3, 0.1, 107.0]];

/// Where the two differ by more, and why: a server that goes by geography sends each city to few
/// mirrors, so the busiest one is that of the largest city with few, and the cities are not the
/// same.
const DIFFERENT: [(&str, &str, usize); 1] = [("server", "68 cities", 0)];

/// The mean of the figures, and the standard error of a mean of twenty.
fn mean(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
    (mean, (variance / WORLDS as f64).sqrt())
}

/// Whether two means of twenty worlds are the same, as far as can be seen. The other one is rounded
/// to a tenth, or finer.
fn agrees(found: (f64, f64), other: f64) -> bool {
    let (mean, error) = found;
    let apart = (mean - other).abs();
    apart <= 0.2 * other + 0.05 || apart <= 3.0 * error * f64::sqrt(2.0)
}

/// Simulates each world by itself, which gives the spread between worlds, too.
fn worlds(clients: u32, arguments: &[&str]) -> Vec<Value> {
    let world = |seed: usize| {
        let (clients, seed) = (clients.to_string(), seed.to_string());
        json(&[&["--clients", &clients, "--seed", &seed], arguments].concat())
    };
    (1..=WORLDS).map(world).collect()
}

fn compare(worlds: &[Value], clients: u32, policy: &str, cells: &[Cell]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, cell) in PLACES.iter().zip(cells) {
        let figures = |get: fn(&Value) -> f64| -> Vec<f64> {
            worlds.iter().map(|world| get(place(world, policy, name))).collect()
        };
        let shares = figures(|figures| 100.0 * number(figures, "busiest_share"));
        // Fewer clients ask for less.
        let loads = figures(|figures| number(figures, "worst_load"));
        let loads: Vec<f64> = loads.iter().map(|load| load * 1.4e6 / f64::from(clients)).collect();
        let latencies = figures(|figures| number(&figures["rtt_ms"], "p50"));
        for (figure, values) in [shares, loads, latencies].iter().enumerate() {
            let found = mean(values);
            let is_different = DIFFERENT.contains(&(policy, name, figure));
            if agrees(found, cell[figure]) == is_different {
                wrong.push(format!("{policy}, {name}, {figure}: {found:?} and {}", cell[figure]));
            }
        }
    }
    wrong
}

#[test]
fn figures_agree_with_those_of_another_simulation() {
    let mut wrong = Vec::new();
    let all = worlds(70_000, &["--policy", "strict,factor,factor+slack,given,server"]);
    let rows = [
        ("strict", STRICT),
        ("factor", FACTOR),
        ("factor+slack", SLACK_5),
        ("given", GIVEN),
        ("server", SERVER),
    ];
    for (policy, cells) in rows {
        wrong.extend(compare(&all, 70_000, policy, &cells));
    }
    // Where many mirrors share, the busiest one of few clients is busy by chance.
    let slack_10 = worlds(280_000, &["--policy", "factor+slack", "--slack", "10"]);
    wrong.extend(compare(&slack_10, 280_000, "factor+slack", &SLACK_10));
    let random = worlds(400_000, &["--policy", "random", "--place", "Ashburn,Frankfurt"]);
    wrong.extend(compare(&random, 400_000, "random", &RANDOM));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The shares of the mirror of the story, in the order in which they are printed.
const STORY: [f64; 7] = [99.7, 98.0, 53.0, 18.5, 4.5, 97.0, 1.4];

#[test]
fn story_agrees_with_that_of_another_simulation() {
    let shares = |seed: usize| -> Vec<f64> {
        let story = text(&["--story", "--clients", "20000", "--seed", &seed.to_string()]);
        let rows = story.lines().skip_while(|line| !line.starts_with("policy")).skip(1);
        rows.map(|row| row[36..].split_whitespace().next().expect("a share").parse().expect("a number"))
            .collect()
    };
    let worlds: Vec<Vec<f64>> = (1..=WORLDS).map(shares).collect();
    for (row, other) in STORY.into_iter().enumerate() {
        let found = mean(&worlds.iter().map(|world| world[row]).collect::<Vec<_>>());
        assert!(agrees(found, other), "row {row}: {found:?}, and not {other}");
    }
}
