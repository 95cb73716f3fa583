//! The command line of `fastestmirror fleet`.

use super::mirrors::{self, Site};
use super::policy::Policy;
use super::world::place_names;
use crate::exit::Exit;
use crate::options::values::{factor, seed, slack};
use crate::options::{base_command, exit};
use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use std::path::PathBuf;
use std::time::Duration;

/// What to simulate, and how to print it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) policies: Vec<Policy>,
    pub(crate) clients: u64,
    pub(crate) factor: f64,
    pub(crate) slack: Duration,
    pub(crate) seed: u64,
    pub(crate) worlds: u64,
    /// The mean of the delay in measurements.
    pub(crate) noise: Duration,
    pub(crate) dead: Vec<usize>,
    pub(crate) json: bool,
    pub(crate) svg: Option<Svg>,
}

/// Where the mirrors come from.
#[derive(Debug)]
pub(crate) enum Source {
    Geography { sites: Vec<Site>, places: Vec<String>, dead_share: f64 },
    Latencies { latencies: Vec<Duration>, capacities: Vec<f64> },
    Story,
}

/// A file for pictures, and which ones.
#[derive(Debug)]
pub(crate) struct Svg {
    pub(crate) file: PathBuf,
    pub(crate) load: bool,
    pub(crate) latency: bool,
}

const CLIENTS: u64 = 1_400_000;
const MOST_CLIENTS: u64 = 1_000_000_000;
const MOST_WORLDS: u64 = 1000;
const SLACK: Duration = Duration::from_millis(5);
/// The mean delay of a measurement that is not as quick as it could be.
const NOISE: Duration = Duration::from_micros(150);

const ABOUT: &str = "\
Simulates what a policy does to the load of mirrors: each of many clients measures and
chooses a mirror by the library's own rule, in data centers and in cities of the world.";

const USAGE: &str = "fastestmirror fleet [OPTIONS]";

const EXPLANATION: &str = "\
Policies, and what a client tries first:
  strict        the mirror with the lowest latency
  factor        any mirror of the pool: the rule (--factor)
  factor+slack  the same with --slack
  given         the pool's first in a list that a server shuffles by capacity for each client
  weights       as factor, with the capacities as weights
  server        any mirror of its country within 500 km, else of the ten nearest; not measured
  random        any mirror; not measured

A place is computed as if all clients stood there; the clients simulated in it are its equal
part of --clients. Those of one place share its latencies, and the delay of each measurement
is drawn, exponential with the mean --noise. A client downloads 100 MB a day, and three times
the mean at the worst time. A file of --mirrors has one mirror per line: the place, which begins
with the code of its country, latitude, longitude and optionally Gbit/s, separated by tabs.";

pub(crate) fn command() -> Command {
    let option = |name: &'static str, value: &'static str| {
        Arg::new(name).long(name).value_name(value).allow_negative_numbers(true)
    };
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let list = |name, value| option(name, value).action(ArgAction::Append).value_delimiter(',');
    base_command("fleet")
        .about(ABOUT)
        .override_usage(USAGE)
        .after_help(EXPLANATION)
        .arg(
            option("clients", "N")
                .value_parser(whole(1, MOST_CLIENTS))
                .help("Simulate N clients in all [default: 1400000]"),
        )
        .arg(
            list("policy", "NAME")
                .value_parser(policy)
                .help("Simulate this policy; repeatable [default: all]"),
        )
        .arg(option("factor", "F").value_parser(factor).help("The rule's factor [default: 2]"))
        .arg(
            option("slack", "MS")
                .value_parser(slack)
                .help("The slack of factor+slack and given, in milliseconds [default: 5]"),
        )
        .arg(
            option("seed", "N")
                .value_parser(seed)
                .help("Draw the world and all clients from this seed [default: 1]"),
        )
        .arg(
            option("worlds", "N")
                .value_parser(whole(1, MOST_WORLDS))
                .help("Average N worlds, of the seeds from --seed on [default: 1]"),
        )
        .arg(list("place", "NAME").value_parser(place).help("Simulate this place; repeatable [default: all]"))
        .arg(
            option("mirrors", "FILE")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .help("Read the places of the mirrors from this file [default: 421 places]"),
        )
        .arg(
            option("noise", "MS")
                .value_parser(noise)
                .help("The mean delay of a measurement [default: 0.15; 0 with --latencies]"),
        )
        .arg(
            option("dead-share", "SHARE")
                .value_parser(share)
                .help("Let this share of the mirrors be dead, from 0 to 1 [default: 0]"),
        )
        .arg(
            list("dead", "N,...")
                .value_parser(whole(0, u64::from(u32::MAX)))
                .help("Let these mirrors be dead; the first one is 0"),
        )
        .arg(
            list("latencies", "MS,...")
                .value_parser(latency)
                .help("Simulate one place, with a mirror at each of these latencies"),
        )
        .arg(
            list("capacities", "GBIT,...")
                .value_parser(capacity)
                .help("Their capacities in Gbit/s [default: 1 each]"),
        )
        .arg(flag("story").help("Show what is asked of one near mirror of 1 Gbit/s, by policy"))
        .arg(flag("json").help("Print one JSON object instead of the table"))
        .arg(
            option("svg", "FILE")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .help("Also draw the first place into this file, as an SVG"),
        )
        .arg(
            option("picture", "NAME")
                .value_parser(["load", "latency"])
                .hide_possible_values(true)
                .help("Draw one picture alone: load, or latency [default: both]"),
        )
}

/// Reads what clap has found.
pub(crate) fn read(matches: &ArgMatches) -> Result<Options, Exit> {
    let given = |name: &str| matches.contains_id(name);
    if given("latencies") {
        refuse(matches, "latencies", &["mirrors", "place", "worlds", "dead-share", "story"])?;
    } else if given("capacities") {
        return Err(conflict("--capacities needs --latencies: a file of --mirrors has its own"));
    }
    if matches.get_flag("story") {
        refuse(matches, "story", &["mirrors", "place", "policy", "dead", "dead-share", "json", "svg"])?;
    }
    if given("picture") && !given("svg") {
        return Err(conflict("--picture needs --svg FILE, the file to draw it into"));
    }

    let values = |name: &str| -> Vec<f64> { matches.get_many(name).unwrap_or_default().copied().collect() };
    let source = if given("latencies") {
        let latencies: Vec<Duration> = matches.get_many("latencies").unwrap_or_default().copied().collect();
        let capacities = if given("capacities") { values("capacities") } else { vec![1.0; latencies.len()] };
        if capacities.len() != latencies.len() {
            return Err(conflict(&format!(
                "--capacities has {} values, and --latencies {}: each mirror needs one",
                capacities.len(),
                latencies.len()
            )));
        }
        Source::Latencies { latencies, capacities }
    } else if matches.get_flag("story") {
        Source::Story
    } else {
        let sites = match matches.get_one::<PathBuf>("mirrors") {
            Some(file) => mirrors::read(file)?,
            None => mirrors::table(),
        };
        let places = unique(matches.get_many::<String>("place").unwrap_or_default().cloned());
        let all = place_names().map(str::to_owned).collect();
        Source::Geography {
            sites,
            places: if places.is_empty() { all } else { places },
            dead_share: matches.get_one("dead-share").copied().unwrap_or(0.0),
        }
    };
    let policies = unique(matches.get_many::<Policy>("policy").unwrap_or_default().copied());
    let default_noise = if given("latencies") { Duration::ZERO } else { NOISE };
    let picture = matches.get_one::<String>("picture").map(String::as_str);
    let options = Options {
        policies: if policies.is_empty() { Policy::ALL.into() } else { policies },
        clients: matches.get_one("clients").copied().unwrap_or(CLIENTS),
        factor: matches.get_one("factor").copied().unwrap_or(2.0),
        slack: matches.get_one("slack").copied().unwrap_or(SLACK),
        seed: matches.get_one("seed").copied().unwrap_or(1),
        worlds: matches.get_one("worlds").copied().unwrap_or(1),
        noise: matches.get_one("noise").copied().unwrap_or(default_noise),
        dead: unique(matches.get_many::<u64>("dead").unwrap_or_default().map(|&dead| dead as usize)),
        json: matches.get_flag("json"),
        svg: matches.get_one::<PathBuf>("svg").map(|file| Svg {
            file: file.clone(),
            load: picture != Some("latency"),
            latency: picture != Some("load"),
        }),
        source,
    };
    check(&options)?;
    Ok(options)
}

/// Refuses what is each fine by itself.
fn check(options: &Options) -> Result<(), Exit> {
    let (count, dead_share, places) = match &options.source {
        Source::Geography { sites, places, dead_share } => (sites.len(), *dead_share, places.len()),
        Source::Latencies { latencies, .. } => (latencies.len(), 0.0, 1),
        Source::Story => (1, 0.0, 1),
    };
    let least = options.worlds * places as u64;
    if options.clients < least {
        return Err(conflict(&format!(
            "--clients {}: each place of each world needs one at least, and so there must be {least}",
            options.clients
        )));
    }
    if let Some(dead) = options.dead.iter().find(|dead| **dead >= count) {
        return Err(conflict(&format!(
            "--dead {dead}: there are {count} mirrors, and the last one is {}",
            count - 1
        )));
    }
    if options.dead.len() + (dead_share * count as f64).round() as usize >= count {
        return Err(conflict("--dead and --dead-share leave no mirror: one has to be alive"));
    }
    Ok(())
}

/// Refuses options that mean nothing beside this one.
fn refuse(matches: &ArgMatches, option: &str, others: &[&str]) -> Result<(), Exit> {
    // A flag always has a value, but then not from the command line.
    let is_there = |name: &&&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    match others.iter().find(is_there) {
        Some(other) => Err(conflict(&format!("--{option} cannot be used with --{other}"))),
        None => Ok(()),
    }
}

/// The end for arguments that cannot be used together.
fn conflict(reason: &str) -> Exit {
    exit(command().error(ErrorKind::ArgumentConflict, reason))
}

/// The values without repetitions, in the order of their first ones.
fn unique<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut unique = Vec::new();
    for value in values {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    unique
}

fn whole(least: u64, most: u64) -> ValueParser {
    ValueParser::new(move |text: &str| match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("it must be a whole number from {least} to {most}")),
    })
}

fn policy(text: &str) -> Result<Policy, String> {
    Policy::ALL.into_iter().find(|policy| policy.name() == text).ok_or_else(|| {
        format!("it must be {}", Policy::ALL.map(Policy::name).join(", ").replace(", random", " or random"))
    })
}

fn place(text: &str) -> Result<String, String> {
    match place_names().find(|name| *name == text) {
        Some(name) => Ok(name.to_owned()),
        None => Err(format!("it must be one of: {}", place_names().collect::<Vec<_>>().join(", "))),
    }
}

fn latency(text: &str) -> Result<Duration, String> {
    let error = "it must be numbers of milliseconds from 0.001 to 60000, separated by commas";
    in_range(text, 0.001, 60_000.0, error).map(|number| Duration::from_secs_f64(number / 1e3))
}

fn capacity(text: &str) -> Result<f64, String> {
    let (least, most) = (*mirrors::CAPACITIES.start(), *mirrors::CAPACITIES.end());
    let error = "it must be numbers of Gbit/s from 0.001 to 1000000, separated by commas";
    in_range(text, least, most, error)
}

fn noise(text: &str) -> Result<Duration, String> {
    let number = in_range(text, 0.0, 1000.0, "it must be a number of milliseconds from 0 to 1000")?;
    Ok(Duration::from_secs_f64(number / 1e3))
}

fn share(text: &str) -> Result<f64, String> {
    in_range(text, 0.0, 1.0, "it must be a number from 0 to 1")
}

fn in_range(text: &str, least: f64, most: f64, error: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, Exit> {
        let matches = command().try_get_matches_from(["fleet"].iter().chain(arguments)).map_err(exit)?;
        read(&matches)
    }

    #[test]
    fn help_of_the_simulation_fits_a_terminal() {
        command().debug_assert();
        let help = command().render_help().to_string();
        assert!(help.lines().count() <= 50, "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        for policy in Policy::ALL {
            assert!(help.contains(&format!("\n  {} ", policy.name())), "{help}");
        }
    }

    #[test]
    fn options_of_the_simulation_have_their_defaults() {
        let options = parsed(&[]).expect("usable");
        assert_eq!((options.clients, options.seed, options.worlds), (1_400_000, 1, 1));
        assert_eq!((options.factor, options.slack, options.noise), (2.0, SLACK, NOISE));
        assert_eq!(options.policies, Policy::ALL);
        let Source::Geography { sites, places, dead_share } = options.source else { panic!("a geography") };
        assert_eq!((sites.len(), places.len(), dead_share), (421, 7, 0.0));

        let arguments = ["--latencies", "10,12,19.9", "--capacities=1,10,40", "--dead=1,2", "--policy"];
        let options =
            parsed(&[&arguments[..], &["given,strict", "--policy=given"]].concat()).expect("usable");
        assert_eq!(options.policies, [Policy::Given, Policy::Strict]);
        assert_eq!((options.dead.as_slice(), options.noise), (&[1, 2][..], Duration::ZERO));
        let Source::Latencies { latencies, capacities } = options.source else { panic!("latencies") };
        assert_eq!((latencies[2], capacities), (Duration::from_micros(19_900), vec![1.0, 10.0, 40.0]));
    }

    #[test]
    fn wrong_values_of_the_simulation_are_reported_with_their_option() {
        let cases: [(&[&str], &str); 25] = [
            (&["--clients", "0"], "it must be a whole number from 1 to 1000000000"),
            (&["--clients", "-1"], "'--clients <N>'"),
            (&["--clients", "6"], "--clients 6: each place of each world needs one"),
            (&["--worlds", "0"], "it must be a whole number from 1 to 1000"),
            (&["--worlds", "x"], "'--worlds <N>'"),
            (
                &["--policy", "best"],
                "it must be strict, factor, factor+slack, given, weights, server or random",
            ),
            (&["--place", "Paris"], "it must be one of: Ashburn, Frankfurt, "),
            (&["--factor", "0.5"], "'--factor <F>'"),
            (&["--slack", "-1"], "'--slack <MS>'"),
            (&["--seed", "x"], "'--seed <N>'"),
            (&["--noise", "nan"], "it must be a number of milliseconds from 0 to 1000"),
            (&["--latencies", "10,,12"], "'--latencies <MS,...>'"),
            (&["--latencies", "0"], "it must be numbers of milliseconds from 0.001 to 60000"),
            (&["--latencies", ""], "'--latencies <MS,...>'"),
            (&["--latencies", "1", "--capacities", "0"], "it must be numbers of Gbit/s"),
            (&["--latencies", "1,2", "--capacities", "1"], "--capacities has 1 values, and --latencies 2"),
            (&["--capacities", "1"], "--capacities needs --latencies"),
            (&["--latencies", "1,2", "--dead", "2"], "--dead 2: there are 2 mirrors, and the last one is 1"),
            (&["--latencies", "1,2", "--dead", "0,1"], "leave no mirror"),
            (&["--dead-share", "1"], "leave no mirror"),
            (&["--dead-share", "1.5"], "it must be a number from 0 to 1"),
            (&["--latencies", "1", "--story"], "--latencies cannot be used with --story"),
            (&["--story", "--json"], "--story cannot be used with --json"),
            (&["--picture", "load"], "--picture needs --svg"),
            (
                &["--mirrors", "/nonexistent/list"],
                "--mirrors /nonexistent/list: cannot be read: No such file",
            ),
        ];
        for (arguments, reason) in cases {
            let exit = parsed(arguments).expect_err(reason);
            assert_eq!(exit.status, 2, "{arguments:?}");
            assert!(exit.message.starts_with("fastestmirror: "), "{}", exit.message);
            assert!(exit.message.contains(reason), "{arguments:?}: {}", exit.message);
        }
    }
}
