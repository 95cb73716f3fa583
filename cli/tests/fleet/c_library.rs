//! The simulator and the C library: `fm_rank()`, called by a C program once for each of many
//! clients, gives the shares that the simulator says.

use super::{json, place, room, shares};
use std::fs;
use std::process::Command;
use support::build::{libraries, root, run, scratch};
use support::files;

const CALLS: u32 = 100_000;
const CLIENTS: u32 = 1_000_000;
const LATENCIES: [f64; 5] = [10.0, 12.0, 19.9, 20.0, 30.0];

#[test]
fn c_library_gives_the_shares_that_the_simulator_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let (program, cache) = (scratch("c").join("fleet"), directory.path().join("cache"));
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-I"]).arg(root().join("include"));
    cc.arg(root().join("tests/c/fleet.c")).arg("-o").arg(&program).arg("-L").arg(libraries());
    run(cc.arg(format!("-Wl,-rpath,{}", libraries().display())).arg("-lfastestmirror"));
    let urls: Vec<String> = (0..LATENCIES.len()).map(|n| format!("http://m{n}.example")).collect();
    let latencies: Vec<(&str, f64)> =
        urls.iter().map(String::as_str).zip(LATENCIES.map(|milliseconds| milliseconds / 1000.0)).collect();
    fs::write(&cache, files::cache(&latencies)).expect("a writable directory");

    // The policy, the slack in milliseconds, and the weights.
    let cases = [("factor", 0, [1; 5]), ("factor+slack", 20, [1; 5]), ("weights", 0, [1, 10, 40, 1, 1])];
    for (policy, slack, weights) in cases {
        let mut c = Command::new(&program);
        c.arg(&cache).arg(CALLS.to_string()).arg(format!("0.{slack:03}"));
        for (url, weight) in urls.iter().zip(weights) {
            c.arg(url).arg(weight.to_string());
        }
        let printed = run(&mut c);
        let counts: Vec<f64> = printed.lines().map(|line| line.parse().expect("a number")).collect();
        assert_eq!(counts.iter().sum::<f64>(), f64::from(CALLS));

        let list = |values: &[String]| values.join(",");
        let simulated = json(&[
            "--latencies",
            &list(&LATENCIES.map(|latency| latency.to_string())),
            "--capacities",
            &list(&weights.map(|weight| weight.to_string())),
            "--policy",
            policy,
            "--slack",
            &slack.to_string(),
            "--clients",
            &CLIENTS.to_string(),
        ]);
        for (count, share) in counts.iter().zip(shares(place(&simulated, policy, "as given"))) {
            let found = count / f64::from(CALLS);
            // Both are counted; the errors of the simulator are small beside those of the calls.
            let room = room(share, f64::from(CALLS)).hypot(room(share, f64::from(CLIENTS)));
            assert!((found - share).abs() <= room, "{policy}: {counts:?}, and not {simulated}");
        }
    }
}
