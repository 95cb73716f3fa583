//! The simulator `fastestmirror fleet`: what it prints, and its figures beside those of the C
//! library, of another simulation, and of the documentation.
#![cfg(feature = "fleet")]

mod c_library;
mod documented;
mod reference;

use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use support::build;

/// Runs `fastestmirror fleet`, which need not succeed.
fn output(arguments: &[&str]) -> Output {
    Command::new(build::fleet()).arg("fleet").args(arguments).output().expect("the command starts")
}

/// What a run that has to succeed prints.
fn text(arguments: &[&str]) -> String {
    build::run(Command::new(build::fleet()).arg("fleet").args(arguments))
}

fn json(arguments: &[&str]) -> Value {
    let text = text(&[&["--json"], arguments].concat());
    assert_eq!(text.matches('\n').count(), 1, "one line");
    serde_json::from_str(&text).expect("JSON")
}

/// The figures of a place under a policy.
fn place<'a>(json: &'a Value, policy: &str, place: &str) -> &'a Value {
    let found = |list: &'a Value, key: &str, name: &str| {
        let list = list.as_array().expect("an array");
        list.iter().find(|item| item[key] == name).unwrap_or_else(|| panic!("no {name} in {json}"))
    };
    found(&found(&json["policies"], "policy", policy)["places"], "place", place)
}

fn shares(figures: &Value) -> Vec<f64> {
    figures["shares"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|share| share.as_f64().expect("a number"))
        .collect()
}

fn number(figures: &Value, key: &str) -> f64 {
    figures[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {figures}"))
}

/// Five standard errors of a share, as counted among so many clients.
fn room(share: f64, clients: f64) -> f64 {
    5.0 * (share * (1.0 - share) / clients).sqrt()
}

#[test]
fn fleet_json_has_its_keys_and_the_shares_of_each_mirror() {
    let arguments = ["--latencies", "10,12,19.9,20,30", "--capacities", "1,10,40,1,1", "--clients", "200000"];
    let found = json(&arguments);
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&found), ["clients", "policies"]);
    assert_eq!(found["clients"], 200_000);
    let policies = found["policies"].as_array().expect("an array");
    let names: Vec<_> = policies.iter().map(|policy| policy["policy"].as_str().expect("a name")).collect();
    assert_eq!(names, ["strict", "factor", "factor+slack", "given", "weights", "server", "random"]);
    for policy in policies {
        assert_eq!(keys(policy), ["places", "policy"]);
        assert_eq!(policy["places"].as_array().expect("an array").len(), 1);
        let figures = &policy["places"][0];
        let mut expected =
            ["place", "shares", "busiest_share", "worst_load", "half_load_mirrors", "gini"].to_vec();
        expected.extend(["rtt_ms", "overloaded", "hit_if_busiest_dies"]);
        expected.sort_unstable();
        assert_eq!(keys(figures), expected);
        assert_eq!(keys(&figures["rtt_ms"]), ["p50", "p95"]);
        let shares = shares(figures);
        assert!(shares.len() == 5 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
        assert_eq!(shares.iter().copied().fold(0.0, f64::max), number(figures, "busiest_share"));
        assert_eq!(number(figures, "hit_if_busiest_dies"), number(figures, "busiest_share"));
    }
    let strict = place(&found, "strict", "as given");
    assert_eq!(shares(strict), [1.0, 0.0, 0.0, 0.0, 0.0]);
    // 200,000 clients ask for 5.6 Gbit/s at the worst time.
    assert!((number(strict, "worst_load") - 5.5556).abs() < 1e-3, "{strict}");
    assert_eq!((number(strict, "overloaded"), number(strict, "half_load_mirrors")), (1.0, 1.0));
    assert!((number(strict, "gini") - 0.8).abs() < 1e-9, "{strict}");
    assert_eq!((&strict["rtt_ms"]["p50"], &strict["rtt_ms"]["p95"]), (&10.0.into(), &10.0.into()));
    for (policy, expected) in
        [("weights", [1.0 / 51.0, 10.0 / 51.0, 40.0 / 51.0]), ("factor", [1.0 / 3.0; 3])]
    {
        for (found, expected) in shares(place(&found, policy, "as given")).iter().zip(expected) {
            assert!(
                (found - expected).abs() <= room(expected, 200_000.0),
                "{policy}: {found}, not {expected}"
            );
        }
    }
    // The same again; another seed, another world.
    assert_eq!(json(&arguments), found);
    assert_ne!(json(&[&arguments[..], &["--seed", "2"]].concat()), found);
}

#[test]
fn dead_mirrors_serve_no_client() {
    let arguments = ["--latencies=10,12,19.9,20", "--capacities=1,10,40,1", "--dead=1", "--clients=100000"];
    let found = json(&arguments);
    for (policy, expected) in [("weights", [1.0 / 41.0, 0.0, 40.0 / 41.0]), ("factor", [0.5, 0.0, 0.5])] {
        for (found, expected) in shares(place(&found, policy, "as given")).iter().zip(expected) {
            assert!(
                (found - expected).abs() <= room(expected, 100_000.0),
                "{policy}: {found}, not {expected}"
            );
        }
    }
    let found = json(&["--dead-share=0.2", "--clients=70000", "--place=Ashburn", "--policy=random,factor"]);
    let served =
        |policy| shares(place(&found, policy, "Ashburn")).iter().filter(|share| **share > 0.0).count();
    assert_eq!(served("random"), 421 - 84);
    assert!((1..20).contains(&served("factor")));
}

#[test]
fn table_of_mirrors_replaces_the_geography() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("mirrors.tsv");
    let name = file.to_str().expect("UTF-8");
    // Two in Frankfurt and one in Sydney.
    fs::write(
        &file,
        "DE Frankfurt\t50.11\t8.68\t40\nDE Frankfurt\t50.12\t8.69\t1\nAU Sydney\t-33.87\t151.21\n",
    )
    .expect("a file");
    let arguments = ["--mirrors", name, "--clients", "20000", "--place", "Sydney,Frankfurt"];
    let found = json(&arguments);
    assert_eq!(shares(place(&found, "strict", "Sydney")), [0.0, 0.0, 1.0]);
    let server = shares(place(&found, "server", "Frankfurt"));
    assert!((server[0] - 0.5).abs() <= room(0.5, 10_000.0) && server[2] == 0.0, "{server:?}");

    fs::write(&file, "# mirrors\nDE Frankfurt\t50.11\t8.68\nDE Berlin\t52.5\n").expect("a file");
    let refused = output(&arguments);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2));
    assert!(message.contains(&format!("--mirrors {name}: line 3: 2 columns")), "{message}");
}

#[test]
fn fleet_prints_a_table_with_the_policies_side_by_side() {
    let found = text(&["--clients", "70000", "--policy", "strict,given", "--place", "Singapore,68 cities"]);
    let lines: Vec<&str> = found.lines().collect();
    for place in ["Singapore", "68 cities"] {
        let heading = lines.iter().position(|line| line.starts_with(place)).expect("a heading");
        assert!(lines[heading].ends_with("  strict   given"), "{found}");
        assert!(lines[heading + 1].starts_with("  busiest share, % "), "{found}");
        let width = lines[heading].chars().count();
        assert!(lines[heading..heading + 8].iter().all(|line| line.chars().count() == width), "{found}");
    }
    assert!(lines.iter().all(|line| line.chars().count() <= 90), "{found}");
    // The widest one, too.
    let widest = text(&["--clients", "700", "--seed", "9"]);
    assert!(widest.lines().all(|line| line.chars().count() <= 90), "{widest}");
}

#[test]
fn picture_that_cannot_be_written_is_an_error_with_its_name() {
    let refused = output(&["--clients=700", "--place=Sydney", "--svg=/nonexistent/a.svg", "--picture=load"]);
    assert_eq!(refused.status.code(), Some(1));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("--svg /nonexistent/a.svg: cannot be written: No such file"), "{message}");
}
