//! The command line: what may stand on it, what it means, and the help.

use super::text::escape_lines;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgGroup, Command, value_parser};
use fastestmirror::{Error, Family, Protocol, Ranker};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Json,
    Urls,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Options {
    /// Has all options but the input's.
    pub(crate) ranker: Ranker,
    pub(crate) format: Format,
    pub(crate) weights: bool,
    /// A file's name, or URLs, or nothing.
    pub(crate) input: Vec<OsString>,
}

/// A message that ends the program, and its exit status.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) message: String,
    pub(crate) status: u8,
}

const EXAMPLES: &str = "\
Examples:
  rank                                  a demonstration, in a simulated internet
  rank mirrorlist                       a table: who is near, and in which order to try
  rank --urls mirrorlist > sorted       only the URLs, in that order: a mirrorlist for dnf
  curl -s URL | rank --weights -        a metalink; mirrors it prefers lead more often
  rank --json https://a.example/ ftp://b.example/ | jq -r '.mirrors[0].url'

A mirrorlist has a URL a line, and comments after #; any other line is an error. A
metalink's URLs end in repodata/repomd.xml, which --urls cuts off. Ctrl-C ends
measuring and prints what is known.

Exit status: 0; 2 if arguments or input cannot be used; 3 if no mirror answered (the
order given is printed all the same); 1 if the system fails, with a full disk, say.";

fn command() -> Command {
    let option = |name: &'static str, value: &'static str| {
        Arg::new(name).long(name).value_name(value).allow_negative_numbers(true)
    };
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let several = |name, value| option(name, value).action(ArgAction::Append);
    Command::new("rank")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "Ranks package mirrors: times a TCP handshake with each, shuffles those nearer than twice\n\
             the best, so that they share the load, and appends the rest by latency.",
        )
        .override_usage("rank [OPTIONS] FILE | - | URL...")
        .help_template("{about}\n\n{usage-heading} {usage}\n\n{all-args}{after-help}")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("input")
                .value_name("INPUT")
                .help("A mirrorlist or a metalink: a FILE, or - for standard input; or the URLs themselves")
                .value_parser(value_parser!(OsString))
                .num_args(0..),
        )
        .arg(flag("json").help("Print one JSON object instead of the table"))
        .arg(flag("urls").help("Print just the URLs in order, ready to be a mirrorlist again"))
        .arg(
            option("timeout", "SECONDS")
                .value_parser(timeout)
                .help("End measuring after this time [default: 2]"),
        )
        .arg(
            option("fallbacks", "N|all")
                .value_parser(fallbacks)
                .help("Go on until N hosts outside the pool have answered, too [default: 16]"),
        )
        .arg(
            option("factor", "F")
                .value_parser(factor)
                .help("The pool is what is nearer than F times the best ... [default: 2]"),
        )
        .arg(
            option("slack", "MS")
                .value_parser(slack)
                .help("... or within MS milliseconds of the best [default: 0]"),
        )
        .arg(flag("weights").help("Let a metalink's preferences decide how often a mirror leads the pool"))
        .arg(option("seed", "N").value_parser(seed).help("Shuffle by this seed: the same order every time"))
        .arg(
            option("cache", "FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Remember latencies in this file, in librepo's format"),
        )
        .arg(
            option("max-age", "SECONDS")
                .value_parser(period)
                .help("Believe remembered latencies for so long [default: 30 days]"),
        )
        .arg(
            option("rotate", "SECONDS")
                .value_parser(period)
                .help("Keep the order of the pool for so long; needs a cache"),
        )
        .arg(flag("https-only").help("Leave out every mirror that is not https"))
        .arg(
            several("protocol", "NAME")
                .value_parser(["http", "https", "ftp", "file"])
                .hide_possible_values(true)
                .help("Keep only http, https, ftp or file; repeatable"),
        )
        .arg(
            several("include", "HOSTS")
                .value_parser(pattern)
                .help("Keep only hosts like *.de or .gov; repeatable"),
        )
        .arg(several("exclude", "HOSTS").value_parser(pattern).help("Leave out such hosts; repeatable"))
        .arg(
            several("prefer", "HOSTS")
                .value_parser(pattern)
                .help("Put such hosts first in the pool, and in the rest"),
        )
        .arg(flag("ipv4").help("Connect over IPv4 only"))
        .arg(flag("ipv6").help("Connect over IPv6 only"))
        .group(ArgGroup::new("format").args(["json", "urls"]))
        .group(ArgGroup::new("family").args(["ipv4", "ipv6"]))
        .group(ArgGroup::new("remembering").arg("rotate").requires("cache"))
        .group(ArgGroup::new("protocols").args(["https-only", "protocol"]))
}

/// Reads the command line; the first argument is the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, Exit> {
    let mut matches = command().try_get_matches_from(arguments).map_err(exit)?;
    let mut ranker = Ranker::new();
    // The values are in range: their parsers have asked the library.
    let set = |ranker: &mut Ranker| -> Result<(), Error> {
        if let Some(timeout) = matches.get_one::<Duration>("timeout") {
            ranker.timeout(*timeout)?;
        }
        if let Some(factor) = matches.get_one::<f64>("factor") {
            ranker.factor(*factor)?;
        }
        if let Some(slack) = matches.get_one::<Duration>("slack") {
            ranker.slack(*slack)?;
        }
        let patterns = |name| matches.get_many::<String>(name).unwrap_or_default().map(String::as_str);
        ranker.include(&patterns("include").collect::<Vec<_>>())?;
        ranker.exclude(&patterns("exclude").collect::<Vec<_>>())?;
        ranker.prefer(&patterns("prefer").collect::<Vec<_>>())?;
        Ok(())
    };
    set(&mut ranker).map_err(|error| unusable(&error.to_string()))?;
    if let Some(fallbacks) = matches.get_one::<usize>("fallbacks") {
        ranker.fallbacks(*fallbacks);
    }
    if let Some(seed) = matches.get_one::<u64>("seed") {
        ranker.seed(*seed);
    }
    ranker.cache(matches.get_one::<PathBuf>("cache").map(PathBuf::as_path));
    if let Some(age) = matches.get_one::<Duration>("max-age") {
        ranker.max_age(*age);
    }
    if let Some(period) = matches.get_one::<Duration>("rotate") {
        ranker.rotate_every(*period);
    }
    if matches.get_flag("https-only") {
        ranker.protocols(&[Protocol::Https]);
    }
    if let Some(names) = matches.get_many::<String>("protocol") {
        ranker.protocols(&names.map(|name| protocol(name)).collect::<Vec<_>>());
    }
    match (matches.get_flag("ipv4"), matches.get_flag("ipv6")) {
        (true, _) => ranker.family(Family::Ipv4),
        (_, true) => ranker.family(Family::Ipv6),
        _ => &mut ranker,
    };
    let format = match (matches.get_flag("json"), matches.get_flag("urls")) {
        (true, _) => Format::Json,
        (_, true) => Format::Urls,
        _ => Format::Table,
    };
    let weights = matches.get_flag("weights");
    let input = matches.remove_many("input").map(Iterator::collect).unwrap_or_default();
    Ok(Options { ranker, format, weights, input })
}

/// The end for arguments that do not go together.
pub(crate) fn unusable(reason: &str) -> Exit {
    exit(command().error(ErrorKind::ArgumentConflict, reason))
}

fn exit(error: clap::Error) -> Exit {
    let status = if error.use_stderr() { 2 } else { 0 };
    // It quotes the arguments, which xargs may have read from a list.
    Exit { message: escape_lines(&error.render().to_string()), status }
}

fn timeout(text: &str) -> Result<Duration, String> {
    duration(text, 1.0, |timeout| Ranker::new().timeout(timeout).map(drop))
}

fn slack(text: &str) -> Result<Duration, String> {
    duration(text, 1000.0, |slack| Ranker::new().slack(slack).map(drop))
}

fn period(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().unwrap_or(f64::NAN);
    Duration::try_from_secs_f64(number).map_err(|_| "it must be a number from 0".to_string())
}

/// A duration in a unit of which a second has `per_second`. Whatever the reason to refuse a text, the library says
/// what it may be.
fn duration(
    text: &str,
    per_second: f64,
    check: impl Fn(Duration) -> Result<(), Error>,
) -> Result<Duration, String> {
    let number = text.parse::<f64>().unwrap_or(f64::NAN);
    let value = Duration::try_from_secs_f64(number / per_second);
    let value = value.unwrap_or(Duration::MAX);
    check(value).map(|()| value).map_err(|error| format!("it must be a number from 0, {}", allowed(&error)))
}

fn factor(text: &str) -> Result<f64, String> {
    let value = text.parse().unwrap_or(f64::NAN);
    let checked = Ranker::new().factor(value).map(drop);
    checked.map(|()| value).map_err(|error| format!("it must be a number {}", allowed(&error)))
}

/// One that the parser has let through.
fn protocol(name: &str) -> Protocol {
    match name {
        "http" => Protocol::Http,
        "https" => Protocol::Https,
        "ftp" => Protocol::Ftp,
        _ => Protocol::File,
    }
}

fn pattern(text: &str) -> Result<String, String> {
    let checked = Ranker::new().include(&[text]).map(drop);
    checked.map(|()| text.to_string()).map_err(|error| format!("it must be {}", allowed(&error)))
}

fn allowed(error: &Error) -> String {
    match error {
        Error::InvalidOption { allowed, .. } => allowed.to_string(),
        error => error.to_string(),
    }
}

fn fallbacks(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(Ranker::ALL),
        _ => text.parse().map_err(|_| format!("it must be a whole number from 0 to {}, or all", usize::MAX)),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("it must be a whole number from 0 to {}", u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, Exit> {
        parse(["rank"].iter().chain(arguments).map(OsString::from))
    }

    #[test]
    fn the_command_is_consistent_and_its_help_fits_a_screen() {
        command().debug_assert();
        let help = command().render_help().to_string();
        assert!(help.lines().count() <= 45, "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn options_reach_the_ranker() {
        let options = parsed(&[
            "--timeout=0.25",
            "--fallbacks",
            "all",
            "--factor",
            "1.5",
            "--slack",
            "2.5",
            "--seed",
            "7",
            "--ipv6",
            "--https-only",
            "--urls",
            "--weights",
            "list",
        ]);
        let options = options.expect("usable");
        let ranker = format!("{:?}", options.ranker);
        let all = format!("fallbacks: {}", usize::MAX);
        for part in [
            "timeout: 250ms",
            &all,
            "factor: 1.5",
            "slack: 2.5ms",
            "seed: Some(7)",
            "family: Ipv6",
            "protocols: [Https]",
        ] {
            assert!(ranker.contains(part), "{part} in {ranker}");
        }
        assert_eq!((options.format, options.weights), (Format::Urls, true));
        assert_eq!(options.input, ["list"]);
        assert_eq!(parsed(&["-"]).expect("usable").input, ["-"]);
        assert_eq!(parsed(&["--", "--json"]).expect("usable").input, ["--json"]);
        assert!(parsed(&[]).expect("usable").input.is_empty());
    }

    #[test]
    fn unusable_values_are_told_with_the_option_and_its_range() {
        let seconds = "it must be a number from 0, at most 3600 s";
        let milliseconds = "it must be a number from 0, at most 60 s";
        let whole = format!("it must be a whole number from 0 to {}, or all", usize::MAX);
        let table = [
            ("--timeout", "3601", seconds),
            ("--timeout", "-1", seconds),
            ("--timeout", "nan", seconds),
            ("--timeout", "inf", seconds),
            ("--timeout", "2s", seconds),
            ("--timeout", "", seconds),
            ("--slack", "60001", milliseconds),
            ("--slack", "-0.1", milliseconds),
            ("--factor", "0.99", "it must be a number from 1 to 1000"),
            ("--factor", "NaN", "it must be a number from 1 to 1000"),
            ("--fallbacks", "-1", &whole),
            ("--fallbacks", "some", &whole),
            ("--seed", "18446744073709551616", "it must be a whole number from 0 to 18446744073709551615"),
            ("--seed", "-7", "it must be a whole number from 0 to 18446744073709551615"),
        ];
        for (option, value, reason) in table {
            let exit = parsed(&[option, value, "list"]).expect_err(value);
            assert_eq!(exit.status, 2);
            assert!(exit.message.contains(&format!("'{option} <")), "{}", exit.message);
            assert!(exit.message.contains(reason), "{}", exit.message);
        }
        for edge in
            ["--timeout=0", "--timeout=3600", "--slack=60000", "--factor=1", "--factor=1e3", "--fallbacks=0"]
        {
            parsed(&[edge, "list"]).expect(edge);
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for pair in [["--json", "--urls"], ["--ipv4", "--ipv6"]] {
            let exit = parsed(&pair).expect_err("a contradiction");
            assert_eq!(exit.status, 2);
            assert!(exit.message.contains(pair[0]) && exit.message.contains(pair[1]), "{}", exit.message);
        }
        assert_eq!(parsed(&["--help"]).expect_err("help").status, 0);
    }

    #[test]
    fn an_argument_is_quoted_without_its_control_characters() {
        let message = parsed(&["--seed", "\x1b[2J"]).expect_err("no number").message;
        assert!(message.contains("\\u{1b}[2J") && !message.contains('\x1b'), "{message}");
    }
}
