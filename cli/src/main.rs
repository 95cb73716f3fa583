//! The command `fastestmirror`: ranks the mirrors of a mirrorlist, a metalink or the command line,
//! and prints the order in which to try them.
//!
//! This file is the way from the arguments to the exit status. What is read on it is in `options`,
//! `input` and `metalink`; what is printed, in `table`, `json`, `csv`, `apt`, `progress`, `watch`
//! and `runs`; where it goes, in `output`.

mod apt;
mod cache;
mod csv;
#[cfg(feature = "demo")]
mod demo;
mod exit;
mod explain;
#[cfg(feature = "fleet")]
mod fleet;
mod input;
mod json;
mod metalink;
mod options;
mod output;
mod progress;
mod repeat;
mod runs;
mod table;
mod terminal;
mod text;
mod watch;

use exit::Exit;
use explain::Question;
use fastestmirror::{Candidate, Error, Outcome, RankedMirror, Ranker, Ranking};
use input::{Input, Kind};
use options::{Format, Options, Request};
use output::Destination;
use repeat::{Repeat, Repeater};
use signal_hook::consts::SIGINT;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use terminal::Colors;

fn main() -> ExitCode {
    run().unwrap_or_else(|exit| exit.report())
}

fn run() -> Result<ExitCode, Exit> {
    match options::parse(std::env::args_os())? {
        #[cfg(feature = "demo")]
        Request::Demonstrate { svg } => demo::run(svg.as_deref()),
        #[cfg(not(feature = "demo"))]
        Request::Demonstrate { .. } => Err(Exit::unusable(
            "this build has no demonstration: it was built without the feature \"demo\"\n\
             To rank the mirrors of a file called demo, use ./demo.",
        )),
        Request::Cache(options) => cache::run(&options),
        #[cfg(feature = "fleet")]
        Request::Simulate(options) => fleet::run(&options),
        Request::Rank(options) => rank(*options),
    }
}

/// Ranks the mirrors of the input and prints the result.
fn rank(options: Options) -> Result<ExitCode, Exit> {
    let Options { mut ranker, format, explain, output, top, colors, repeat, weights, uncomment, input } =
        options;
    let input = read(input, uncomment)?;
    let destination = Destination::find(output.as_deref())?;
    let format = choose_format(format, &input, &destination)?;
    if let Some(question) =
        explain.as_ref().filter(|it| !input.mirrors.iter().any(|mirror| it.is_about(&mirror.ranked_url())))
    {
        return Err(Exit::unusable(&format!(
            "--explain {}: the list has no such mirror; name a host or a URL of it",
            text::escape(&question.mirror)
        )));
    }
    let preferences = if weights {
        input.preferences().ok_or_else(|| {
            Exit::unusable(
                "--weights needs preferences, and only a metalink of version 3 has them: leave it out",
            )
        })?
    } else {
        vec![1; input.mirrors.len()]
    };

    let urls = input.mirrors.iter().map(input::Mirror::ranked_url).zip(preferences);
    let candidates = urls.map(|(url, weight)| Candidate::from((url, f64::from(weight)))).collect();
    match repeat {
        Repeat::Once => {}
        Repeat::Watch(pause) => {
            return watch::run(Repeater::new(ranker, candidates)?, pause, format, colors);
        }
        Repeat::Runs { count, pause } => {
            return runs::run(Repeater::new(ranker, candidates)?, count, pause, format, colors);
        }
    }
    let interrupted = cancel_on_interrupt(&mut ranker);
    let progress = progress::Line::show(&mut ranker);
    let ranked = ranker.rank::<Candidate>(candidates);
    drop(progress);
    if let Ok(interrupted) = interrupted {
        // From now on Ctrl-C ends the process as usual.
        interrupted.store(true, SeqCst);
    }
    let mut ranking = ranked.map_err(not_ranked)?;

    for warning in &ranking.warnings {
        let _ = writeln!(io::stderr(), "fastestmirror: warning: {}", text::escape(warning));
    }
    let any_answered = ranking.mirrors.iter().any(|mirror| has_answered(mirror.outcome));
    if let Some((name, exists)) = destination.replaced().filter(|_| !any_answered) {
        // The order of the file may be that of an earlier run, and better than the given one.
        let unchanged = if exists { "is left as it was" } else { "is not written" };
        return Err(Exit::no_answer(&format!("fastestmirror: no mirror answered: {name} {unchanged}\n")));
    }
    let omitted = ranking.mirrors.split_off(top.min(ranking.mirrors.len()));
    let text = match &explain {
        Some(question) => explained(&ranking, question),
        None => render(&ranking, &omitted, format, &input, &destination, colors),
    };
    destination.write(&text.expect("memory takes all"))?;
    if any_answered {
        return Ok(ExitCode::SUCCESS);
    }
    // The table, or the explanation, has said so already.
    let message = match format {
        Format::Table => "",
        _ => "fastestmirror: warning: no mirror answered: keeping the given order\n",
    };
    Err(Exit::no_answer(message))
}

/// The format asked for, or the one that suits the input and the output.
fn choose_format(format: Option<Format>, input: &Input, destination: &Destination) -> Result<Format, Exit> {
    let format = format.unwrap_or_else(|| match input.kind {
        // A table in the place of a list would be of no use to what reads the list.
        Kind::Lines(_) if destination.replaced().is_some() => Format::Lines,
        Kind::Metalink(_) if destination.replaced().is_some() => Format::Metalink,
        _ if input.has_more_than_urls() && !destination.is_terminal() => Format::Lines,
        _ => Format::Table,
    });
    match (format, &input.kind) {
        (Format::Lines, Kind::Metalink(_)) => {
            Err(Exit::unusable("--lines needs a list of lines, and this is a metalink: use --metalink"))
        }
        (Format::Metalink, Kind::Lines(_)) => {
            Err(Exit::unusable("--metalink needs a metalink, and this is a list of lines: use --lines"))
        }
        (Format::Metalink, Kind::Metalink(metalink)) if !metalink.can_be_reordered => Err(Exit::unusable(
            "--metalink cannot move URLs between different name spaces or in ISO-2022-JP: use --urls",
        )),
        _ => Ok(format),
    }
}

/// The end for mirrors that could not be ranked.
fn not_ranked(error: Error) -> Exit {
    match error {
        Error::AllExcluded { .. } => {
            Exit::unusable(&format!("{error}: loosen --include, --exclude, --protocol or --https-only"))
        }
        error => Exit::failed(&text::escape(&error.to_string())),
    }
}

/// Whether the outcome shows a mirror that is there: a local one, or one whose latency is known.
fn has_answered(outcome: Outcome) -> bool {
    outcome == Outcome::Local || outcome.latency().is_some()
}

/// Reads what the arguments name: one file, or URLs.
fn read(arguments: Vec<OsString>, uncomment: bool) -> Result<Input, Exit> {
    let urls = arguments.iter().filter(|argument| input::is_url(argument)).count();
    let read = match arguments.as_slice() {
        arguments if arguments.len() == urls && uncomment => {
            return Err(options::conflict("--uncomment needs a list, and there are only URLs: leave it out"));
        }
        arguments if arguments.len() == urls => Ok(input::from_arguments(arguments.to_vec())),
        [file] => input::read(file, uncomment),
        _ if urls == 0 => {
            return Err(options::conflict(
                "only one file can be read; for several mirrorlists: cat FILE... | fastestmirror -",
            ));
        }
        arguments => {
            let file = arguments.iter().find(|argument| !input::is_url(argument));
            let file = file.map_or_else(Default::default, |file| file.to_string_lossy());
            let reason = format!(
                "\"{file}\" is not a URL, and files and URLs cannot be mixed; a URL needs a scheme, such as https://"
            );
            return Err(options::conflict(&reason));
        }
    };
    match read {
        Ok(Input { kind: Kind::Metalink(_), .. }) if uncomment => {
            Err(Exit::unusable("--uncomment needs a list of lines, and this is a metalink: leave it out"))
        }
        read => read.map_err(|error| Exit::unusable(&error.to_string())),
    }
}

/// Makes the first Ctrl-C stop measuring. Every later one ends the process as usual, and so does
/// the first once the returned flag is set.
fn cancel_on_interrupt(ranker: &mut Ranker) -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    // In this order: the first signal must find the flag unset.
    signal_hook::flag::register_conditional_default(SIGINT, interrupted.clone())?;
    signal_hook::flag::register(SIGINT, interrupted.clone())?;
    let is_set = interrupted.clone();
    ranker.interrupt_check(move || is_set.load(SeqCst));
    Ok(interrupted)
}

/// Why a mirror of the result stands where it stands.
fn explained(ranking: &Ranking, question: &Question) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    explain::write(&mut out, ranking, question)?;
    Ok(out)
}

/// The result in this format.
fn render(
    ranking: &Ranking,
    omitted: &[RankedMirror],
    format: Format,
    input: &Input,
    destination: &Destination,
    colors: Colors,
) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    match format {
        Format::Table => {
            let palette = colors.palette(destination.is_terminal());
            table::write(&mut out, ranking, omitted, destination.columns(), &palette)?;
        }
        Format::Json => json::write(&mut out, ranking, omitted)?,
        Format::Apt => apt::write(&mut out, ranking, input)?,
        Format::Csv => csv::write(&mut out, ranking)?,
        Format::Lines | Format::Metalink => {
            let order: Vec<usize> = ranking.mirrors.iter().map(|mirror| mirror.index).collect();
            out = input.reordered(&order);
            if destination.is_terminal() {
                out = text::escape_lines(&String::from_utf8_lossy(&out)).into_bytes();
            }
        }
        Format::Urls => {
            for mirror in &ranking.mirrors {
                let url = input.mirrors[mirror.index].repository(&input.kind);
                writeln!(out, "{}", text::percent_encode(url))?;
            }
        }
    }
    Ok(out)
}
