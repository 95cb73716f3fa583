//! The options of `fastestmirror cache`.

use crate::options::base_command;
use crate::options::values::pattern;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use std::path::PathBuf;

/// What `fastestmirror cache` is to do.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) file: PathBuf,
    pub(crate) action: Action,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    ShowTable,
    ShowJson,
    /// Remove the records of the hosts that match a pattern.
    Forget(String),
    ForgetAll,
}

const ABOUT: &str = "\
Shows the records of a cache: latencies and failures, how old they are, in which network
they were measured, and whether a run here and now would use them.";

const EXAMPLES: &str = "\
A record of another network, an outdated one, and one that is replaced by something newer
are shown but not used. HOST is the name of a host, or a pattern such as *.de or .gov.
A file called cache is ranked as ./cache.

Exit status: 0 if that was done; 1 if the file cannot be written; 2 if it cannot be read,
is no cache, or has no record of HOST.";

pub(crate) fn command() -> Command {
    base_command("cache")
        .about(ABOUT)
        .override_usage("fastestmirror cache [--json | --forget HOST|all] FILE")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .help("The cache: a file that --cache names, or librepo's own")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .required(true),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .conflicts_with("forget")
                .help("Print one JSON object instead of the table"),
        )
        .arg(
            Arg::new("forget")
                .long("forget")
                .value_name("HOST|all")
                .value_parser(pattern)
                .help("Remove the records of a host, or of all, and print how many there were"),
        )
}

impl Options {
    pub(crate) fn read(mut matches: ArgMatches) -> Options {
        let forget: Option<String> = matches.remove_one("forget");
        let action = match forget {
            Some(all) if all == "all" => Action::ForgetAll,
            Some(hosts) => Action::Forget(hosts),
            None if matches.get_flag("json") => Action::ShowJson,
            None => Action::ShowTable,
        };
        Options { file: matches.remove_one("file").expect("clap requires it"), action }
    }
}
