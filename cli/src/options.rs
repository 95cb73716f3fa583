//! The command line: what it may contain, what that means, and the help.

mod completions;
pub(crate) mod values;

use crate::cache;
use crate::exit::Exit;
use crate::explain::Question;
#[cfg(feature = "fleet")]
use crate::fleet;
use crate::repeat::Repeat;
use crate::terminal::Colors;
use crate::text::{escape, escape_lines};
use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, ValueHint, value_parser};
use clap_complete::Shell;
use fastestmirror::{Error, Family, HistoryUse, PoolOrder, Protocol, Ranker};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use values::{
    colors, factor, fallbacks, history, pattern, pause, period, pool, protocol, runs, seed, shell, slack,
    timeout, top, watch,
};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Rank(Box<Options>),
    /// Show the demonstration, and draw it into the file `svg`.
    Demonstrate {
        #[cfg_attr(not(feature = "demo"), allow(dead_code, reason = "there is no demonstration to draw"))]
        svg: Option<PathBuf>,
    },
    /// Show a cache, or remove records from it.
    Cache(cache::Options),
    /// Simulate what a policy does to the load of mirrors.
    #[cfg(feature = "fleet")]
    Simulate(Box<fleet::options::Options>),
}

/// How to rank.
#[derive(Debug)]
pub(crate) struct Options {
    /// A ranker set up with all options about ranking.
    pub(crate) ranker: Ranker,
    /// `None` if it is left to the input and the output.
    pub(crate) format: Option<Format>,
    /// Where the result goes, if not to standard output.
    pub(crate) output: Option<PathBuf>,
    /// How many mirrors come out at most.
    pub(crate) top: usize,
    pub(crate) colors: Colors,
    pub(crate) repeat: Repeat,
    /// The mirror to explain, in place of the table.
    pub(crate) explain: Option<Question>,
    /// Whether a metalink's preferences are used as weights.
    pub(crate) weights: bool,
    /// Whether mirrors that are commented out in a list count too.
    pub(crate) uncomment: bool,
    /// The name of a file, or URLs; at least one.
    pub(crate) input: Vec<OsString>,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Json,
    Lines,
    Metalink,
    Urls,
    Apt,
    Csv,
}

const ABOUT: &str = "\
Ranks package mirrors: times one TCP handshake with each, shuffles those nearer than
twice the best, so that they share the load, and appends the rest by latency.";

const USAGE: &str = "\
fastestmirror [OPTIONS] FILE | - | URL...
       fastestmirror cache [--json | --forget HOST|all] FILE
       fastestmirror demo [--svg FILE]";

/// The further line of a build that has the simulator.
const FLEET_USAGE: &str = if cfg!(feature = "fleet") { "\n       fastestmirror fleet [OPTIONS]" } else { "" };

const EXAMPLES: &str = "\
Examples:
  fastestmirror demo                             a demonstration in a simulated internet
  fastestmirror mirrorlist                       a table of the mirrors, in the order to try
  fastestmirror --urls mirrorlist > sorted       the URLs alone in that order, for dnf
  fastestmirror --lines mirrorlist > sorted      its own lines in that order, for pacman or apk
  fastestmirror -o mirrorlist mirrorlist         the list itself, put into that order
  curl -s URL | fastestmirror --weights -        a metalink from standard input
  fastestmirror --json mirrorlist | jq -r '.mirrors[0].url'
  fastestmirror --explain HOST mirrorlist        why this mirror stands where it stands
  fastestmirror cache FILE                       what a cache remembers

Each line of a list has one URL, whatever else is in it (as in the lists of pacman, apk,
XBPS and apt), or is a # comment. The URLs of a metalink end in repodata/repomd.xml, which
--urls cuts off. A file called cache, demo or fleet is ranked as ./cache, ./demo or
./fleet. Ctrl-C stops measuring and prints what is known by then.

Exit status: 0 if a mirror answered or is local; 1 if the system fails, for example with
a full disk; 2 if the arguments or the input cannot be used; 3 if no mirror answered (the
list is printed all the same, in the given order, but the file of --output stays as it was).";

/// The arguments that `-h` shows.
const COMMON: [&str; 15] = [
    "input",
    "json",
    "urls",
    "lines",
    "output",
    "top",
    "uncomment",
    "slack",
    "include",
    "exclude",
    "cache",
    "watch",
    "explain",
    "help",
    "version",
];

const DEMO_ABOUT: &str = "\
Ranks 421 mirrors of a simulated internet as seen from three cities, and prints the true
latencies beside the measured ones. Nothing leaves this machine. It needs root or user
namespaces, and /dev/net/tun; without them it ranks a few loopback addresses instead.";

fn command() -> Command {
    let option = |name: &'static str, value: &'static str| {
        Arg::new(name).long(name).value_name(value).allow_negative_numbers(true)
    };
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let repeatable = |name, value| option(name, value).action(ArgAction::Append);
    let command = base_command("fastestmirror")
        .about(ABOUT)
        .override_usage(format!("{USAGE}{FLEET_USAGE}"))
        .after_help(EXAMPLES)
        .next_help_heading("Input")
        .arg(
            Arg::new("input")
                .value_name("INPUT")
                .help("A mirrorlist or metalink: a FILE, or - for standard input; or the URLs themselves")
                .value_parser(value_parser!(OsString))
                .value_hint(ValueHint::FilePath)
                .num_args(0..),
        )
        .arg(
            flag("uncomment")
                .help("Take mirrors that are commented out in a list, and print them uncommented"),
        )
        .next_help_heading("Output")
        .arg(flag("table").help("Print a table [default on a terminal, and for URLs alone]"))
        .arg(flag("lines").help("Print the list's own lines [default in a pipe if they hold more than URLs]"))
        .arg(flag("apt").help("Print a mirrorlist for apt, with priorities"))
        .arg(flag("csv").help("Print comma-separated values, with a header"))
        .arg(
            option("output", "FILE")
                .short('o')
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .help("Replace this file with the result, in one step, if a mirror answered"),
        )
        .arg(flag("metalink").help("Print the metalink with its URLs in order"))
        .arg(option("top", "N").value_parser(top).help("Print only the first N mirrors of the result"))
        .arg(flag("urls").help("Print the URLs alone, in order: a mirrorlist again"))
        .arg(flag("json").help("Print one JSON object instead of the table"))
        .arg(
            option("color", "WHEN")
                .value_parser(colors)
                .help("Color the table: auto (on a terminal), always or never [default: auto]"),
        )
        .arg(
            option("explain", "HOST")
                .conflicts_with_all(["format", "output", "top", "watch", "runs"])
                .help("Print why this mirror stands where it stands; a host, or a URL of the list"),
        )
        .next_help_heading("Measuring")
        .arg(
            option("timeout", "SECONDS")
                .value_parser(timeout)
                .help("Stop measuring after this time, lookups included [default: 2]"),
        )
        .arg(
            option("fallbacks", "N|all")
                .value_parser(fallbacks)
                .help("Stop early when N hosts outside the pool have answered [default: 16]"),
        )
        .arg(flag("ipv4").help("Connect over IPv4 only"))
        .arg(flag("ipv6").help("Connect over IPv6 only"))
        .arg(flag("public-only").help("Connect to public addresses only, unless the list has one mirror"))
        .next_help_heading("The pool")
        .arg(
            option("factor", "F")
                .value_parser(factor)
                .help("The pool: hosts nearer than F times the best latency [default: 2] ..."),
        )
        .arg(
            option("slack", "MS")
                .value_parser(slack)
                .help("... or nearer than the best latency plus MS milliseconds [default: 0]"),
        )
        .arg(
            option("pool", "ORDER")
                .value_parser(pool)
                .help("The order of the pool: shuffled, or given [default: shuffled]"),
        )
        .arg(flag("weights").help("Put mirrors with a higher preference in the metalink first more often"))
        .arg(
            option("seed", "N")
                .value_parser(seed)
                .help("Shuffle the pool by this seed: the same order every time"),
        )
        .next_help_heading("Filters")
        .arg(
            repeatable("include", "PATTERN")
                .value_parser(pattern)
                .help("Keep only hosts that match, for example *.de or .gov; repeatable"),
        )
        .arg(
            repeatable("exclude", "PATTERN")
                .value_parser(pattern)
                .help("Leave out hosts that match, for example a country's with .de; repeatable"),
        )
        .arg(
            repeatable("prefer", "PATTERN")
                .value_parser(pattern)
                .help("Put hosts that match first, in the pool and after it; repeatable"),
        )
        .arg(
            repeatable("protocol", "NAME")
                .value_parser(protocol)
                .help("Keep only http, https, ftp or file mirrors; repeatable"),
        )
        .arg(flag("https-only").help("Leave out every mirror that is not https"))
        .next_help_heading("Cache")
        .arg(
            option("cache", "FILE")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .help("Remember results in this file, in librepo's format, for later runs"),
        )
        .arg(
            option("max-age", "SECONDS")
                .value_parser(period)
                .help("Use remembered latencies up to this age [default: 30 days]"),
        )
        .arg(
            option("check-after", "SECONDS")
                .value_parser(period)
                .help("Check the remembered pool again after this time [default: 10 minutes]"),
        )
        .arg(
            option("rotate", "SECONDS")
                .value_parser(period)
                .help("Keep the same order of the pool for this long; needs --cache"),
        )
        .arg(
            option("history", "USE")
                .value_parser(history)
                .help("Use reported downloads: off, trouble or all [default: off]"),
        )
        .next_help_heading("Watching")
        .arg(
            option("watch", "SECONDS")
                .value_parser(watch)
                .help("Rank again and again, with this pause, and show how the pool changes"),
        )
        .arg(
            option("runs", "N")
                .value_parser(runs)
                .help("Rank N times, N handshakes with each mirror, and show how results differ"),
        )
        .arg(
            option("pause", "SECONDS")
                .value_parser(pause)
                .help("Wait this long between two of these runs [default: 1]"),
        )
        .next_help_heading("Other")
        .arg(
            option("generate", "SHELL")
                .value_parser(shell)
                .help("Print the completions for bash, zsh or fish, and do nothing else"),
        )
        .group(ArgGroup::new("format").args(["table", "json", "lines", "metalink", "urls", "apt", "csv"]))
        .group(ArgGroup::new("family").args(["ipv4", "ipv6"]))
        .group(ArgGroup::new("protocols").args(["https-only", "protocol"]));
    with_help(command)
}

/// The help with the most used options alone.
fn summary() -> String {
    let hide = |arg: Arg| {
        let is_common = COMMON.contains(&arg.get_id().as_str());
        arg.hide(!is_common)
    };
    let command = command().mut_args(hide);
    command.after_help("For all options: fastestmirror --help").render_help().to_string()
}

/// The subcommands, each of which is one only as the first argument. [`subcommand_request`] reads
/// their options.
fn subcommands() -> Vec<Command> {
    let subcommands = [
        cache::command(),
        demo_command(),
        #[cfg(feature = "fleet")]
        fleet::options::command(),
    ];
    subcommands.map(with_help).into()
}

/// What the options of a subcommand ask for.
fn subcommand_request(name: &str, mut matches: ArgMatches) -> Result<Request, Exit> {
    match name {
        "demo" => Ok(Request::Demonstrate { svg: matches.remove_one("svg") }),
        #[cfg(feature = "fleet")]
        "fleet" => fleet::options::read(&matches).map(|options| Request::Simulate(Box::new(options))),
        "cache" => Ok(Request::Cache(cache::Options::read(matches))),
        name => unreachable!("{name} is no subcommand"),
    }
}

fn demo_command() -> Command {
    base_command("demo").about(DEMO_ABOUT).override_usage("fastestmirror demo [--svg FILE]").arg(
        Arg::new("svg")
            .long("svg")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .help("Also draw the first of its rankings into this file, as an SVG"),
    )
}

/// A command without options. A subcommand's name is its argument.
pub(crate) fn base_command(name: &'static str) -> Command {
    Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .display_name("fastestmirror")
        .help_template("{about}\n\n{usage-heading} {usage}\n\n{all-args}{after-help}")
        .disable_help_flag(true)
        .disable_version_flag(true)
}

/// Adds `--help` and `--version` behind the other options.
fn with_help(command: Command) -> Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help);
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    command
        .next_help_heading("Other")
        .arg(help.help("Print this help; -h is short"))
        .arg(version.help("Print the version"))
}

/// Reads the command line; the first argument is the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, Exit> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    if arguments.len() <= 1 {
        return Err(usage());
    }
    for subcommand in subcommands() {
        let name = subcommand.get_name().to_owned();
        if arguments[1] == *name {
            let matches = subcommand.try_get_matches_from(&arguments[1..]).map_err(exit)?;
            return subcommand_request(&name, matches);
        }
    }
    #[cfg(not(feature = "fleet"))]
    if arguments[1] == "fleet" {
        return Err(Exit::unusable(
            "this build has no simulation: it was built without the feature \"fleet\"\n\
             To rank the mirrors of a file called fleet, use ./fleet.",
        ));
    }
    let wants_all = arguments.iter().any(|argument| argument == "--help");
    let mut matches = command().try_get_matches_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp if !wants_all => Exit::answer(summary()),
        _ => exit(error),
    })?;
    if let Some(shell) = matches.get_one::<Shell>("generate") {
        return Err(Exit::answer(completions::completions(*shell)));
    }
    let input: Vec<_> = matches.remove_many("input").map(Iterator::collect).unwrap_or_default();
    if input.is_empty() {
        return Err(conflict("there is nothing to rank: name a FILE, - for standard input, or URLs"));
    }
    refuse_without_effect(&matches)?;
    if let Some(path) = matches.get_one::<PathBuf>("cache") {
        refuse_other_file(path)?;
        if matches.get_one::<PathBuf>("output").is_some_and(|output| is_same_file(output, path)) {
            return Err(conflict("--output and --cache name the same file"));
        }
    }
    let ranker = ranker(&matches).map_err(|error| conflict(&error.to_string()))?;
    let formats = [
        ("table", Format::Table),
        ("json", Format::Json),
        ("lines", Format::Lines),
        ("metalink", Format::Metalink),
        ("urls", Format::Urls),
        ("apt", Format::Apt),
        ("csv", Format::Csv),
    ];
    let format = formats.iter().find(|(name, _)| matches.get_flag(name)).map(|(_, format)| *format);
    let (weights, uncomment) = (matches.get_flag("weights"), matches.get_flag("uncomment"));
    let repeat = repeat(&matches, format)?;
    let output = matches.remove_one("output");
    let top = matches.remove_one("top").unwrap_or(usize::MAX);
    let colors = matches.remove_one("color").unwrap_or_default();
    Ok(Request::Rank(Box::new(Options {
        ranker,
        format,
        explain: explain(&matches),
        output,
        top,
        colors,
        repeat,
        weights,
        uncomment,
        input,
    })))
}

/// The mirror to explain, with the options that belong to the reasons.
fn explain(matches: &ArgMatches) -> Option<Question> {
    Some(Question {
        mirror: matches.get_one::<String>("explain")?.clone(),
        factor: matches.get_one("factor").copied().unwrap_or(2.0),
        slack: matches.get_one("slack").copied().unwrap_or_default(),
        order: matches.get_one("pool").copied().unwrap_or_default(),
        exclude: matches.get_many("exclude").unwrap_or_default().cloned().collect(),
    })
}

/// Refuses options that would silently do nothing beside the others, or without them.
fn refuse_without_effect(matches: &ArgMatches) -> Result<(), Exit> {
    let is_given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    for option in ["max-age", "check-after", "rotate", "history"] {
        if is_given(option) && !is_given("cache") {
            return Err(conflict(&format!("--{option} needs --cache FILE, and has no effect without it")));
        }
    }
    let keeps_given_order = matches.get_one("pool") == Some(&PoolOrder::Given);
    for (option, other, is_other) in [
        ("weights", "--pool given", keeps_given_order),
        ("rotate", "--pool given", keeps_given_order),
        ("rotate", "--seed", is_given("seed")),
        ("weights", "--runs, which sorts by latency", is_given("runs")),
        ("prefer", "--runs, which sorts by latency", is_given("runs")),
    ] {
        if is_given(option) && is_other {
            return Err(conflict(&format!("--{option} has no effect with {other}: leave one of them out")));
        }
    }
    Ok(())
}

/// How often to rank, if that fits the other options.
fn repeat(matches: &ArgMatches, format: Option<Format>) -> Result<Repeat, Exit> {
    let (watch, runs) = (matches.get_one("watch"), matches.get_one("runs"));
    let pause = matches.get_one("pause").copied();
    let (repeat, option) = match (watch, runs) {
        (Some(_), Some(_)) => return Err(conflict("--watch and --runs cannot be used together")),
        (None, None) | (Some(_), None) if pause.is_some() => {
            return Err(conflict("--pause needs --runs N, between whose runs it stands"));
        }
        (Some(pause), None) => (Repeat::Watch(*pause), "--watch"),
        (None, Some(count)) => {
            if matches.contains_id("cache") {
                return Err(conflict(
                    "--runs measures anew each time, and a cache would hide how results differ: leave out --cache",
                ));
            }
            (Repeat::Runs { count: *count, pause: pause.unwrap_or(Duration::from_secs(1)) }, "--runs")
        }
        (None, None) => return Ok(Repeat::Once),
    };
    if !matches!(format, None | Some(Format::Table | Format::Json)) {
        return Err(conflict(&format!(
            "{option} prints a table, or JSON with --json: leave out other formats"
        )));
    }
    for other in ["output", "top"] {
        if matches.contains_id(other) {
            return Err(conflict(&format!(
                "{option} prints all mirrors to standard output: leave out --{other}"
            )));
        }
    }
    Ok(repeat)
}

/// Refuses a cache file that is something else. The library would replace it, as librepo does with
/// its own cache; but here it may be a slip, and the file a list.
fn refuse_other_file(path: &Path) -> Result<(), Exit> {
    // The library reports what is no regular file, and what cannot be read.
    if !path.is_file() {
        return Ok(());
    }
    let Ok(text) = fs::read(path) else { return Ok(()) };
    let header = b"[:_librepo_:]";
    if text.is_empty() || text.windows(header.len()).any(|window| window == header) {
        return Ok(());
    }
    Err(Exit::unusable(&format!(
        "{}: this is not a cache, and --cache would replace it: name another file, or delete this one",
        escape(&path.to_string_lossy())
    )))
}

/// Whether two names, however they are spelled, lead to one file, which need not exist.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    let place = |path: &Path| {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let directory = fs::canonicalize(directory.unwrap_or(Path::new("."))).ok()?;
        Some(directory.join(path.file_name()?))
    };
    match (identity(one), identity(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => one == other || place(one).is_some_and(|one| Some(one) == place(other)),
        _ => false,
    }
}

/// A ranker set up as the options say.
fn ranker(matches: &ArgMatches) -> Result<Ranker, Error> {
    let mut ranker = Ranker::new();
    // These values are in range: the parsers below have checked them with the library.
    if let Some(timeout) = matches.get_one::<Duration>("timeout") {
        ranker.timeout(*timeout)?;
    }
    if let Some(factor) = matches.get_one::<f64>("factor") {
        ranker.factor(*factor)?;
    }
    if let Some(slack) = matches.get_one::<Duration>("slack") {
        ranker.slack(*slack)?;
    }
    if let Some(order) = matches.get_one::<PoolOrder>("pool") {
        ranker.pool_order(*order);
    }
    let patterns = |name| -> Vec<&str> {
        matches.get_many::<String>(name).unwrap_or_default().map(String::as_str).collect()
    };
    ranker.include(&patterns("include"))?;
    ranker.exclude(&patterns("exclude"))?;
    ranker.prefer(&patterns("prefer"))?;
    if let Some(fallbacks) = matches.get_one::<usize>("fallbacks") {
        ranker.fallbacks(*fallbacks);
    } else if matches.contains_id("runs") {
        // Otherwise far mirrors would seem to be silent in the runs that stopped early.
        ranker.fallbacks(Ranker::ALL);
    }
    if let Some(seed) = matches.get_one::<u64>("seed") {
        ranker.seed(*seed);
    }
    ranker.public_only(matches.get_flag("public-only"));
    ranker.cache(matches.get_one::<PathBuf>("cache").map(PathBuf::as_path));
    if let Some(age) = matches.get_one::<Duration>("max-age") {
        ranker.max_age(*age);
    }
    if let Some(time) = matches.get_one::<Duration>("check-after") {
        ranker.check_after(*time);
    }
    if let Some(history) = matches.get_one::<HistoryUse>("history") {
        ranker.history(*history);
    }
    if let Some(period) = matches.get_one::<Duration>("rotate") {
        ranker.rotate_every(*period);
    }
    if matches.get_flag("https-only") {
        ranker.protocols(&[Protocol::Https]);
    }
    if let Some(protocols) = matches.get_many::<Protocol>("protocol") {
        ranker.protocols(&protocols.copied().collect::<Vec<_>>());
    }
    if matches.get_flag("ipv4") {
        ranker.family(Family::Ipv4);
    }
    if matches.get_flag("ipv6") {
        ranker.family(Family::Ipv6);
    }
    Ok(ranker)
}

/// The end for a call without arguments.
fn usage() -> Exit {
    let mut exit = Exit::unusable("");
    exit.message = format!(
        "Usage: {USAGE}{FLEET_USAGE}\n\nFor a first look, try 'fastestmirror demo'; for all options, 'fastestmirror --help'.\n"
    );
    exit
}

/// The end for arguments that cannot be used together.
pub(crate) fn conflict(reason: &str) -> Exit {
    exit(command().error(ErrorKind::ArgumentConflict, reason))
}

pub(crate) fn exit(mut error: clap::Error) -> Exit {
    // The advice to write an unknown option after `--` would make it the name of a file.
    error.remove(ContextKind::Suggested);
    // A message quotes arguments, and those may come from a list, by way of xargs for example.
    let message = escape_lines(&error.render().to_string());
    if error.use_stderr() {
        // The reason, the usage and a hint at --help, without a line of its own at the end.
        Exit::unusable(message.strip_prefix("error: ").unwrap_or(&message).trim_end())
    } else {
        Exit::answer(message)
    }
}

#[cfg(test)]
mod tests;
