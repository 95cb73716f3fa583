//! The command `fastestmirror`: ranks the mirrors of a mirrorlist, a metalink or the command line,
//! and prints the order in which to try them.
//!
//! This file is the way from the arguments to the exit status. What is read on it is in `options`,
//! `input` and `metalink`; what is printed, in `table`, `json` and `progress`.

#[cfg(feature = "demo")]
mod demo;
mod exit;
mod input;
mod json;
mod metalink;
mod options;
mod progress;
mod table;
mod text;

use exit::Exit;
use fastestmirror::{Error, Outcome, Ranker, Ranking};
use input::{Input, Kind};
use options::{Format, Options, Request};
use signal_hook::consts::SIGINT;
use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

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
        Request::Rank(options) => rank(*options),
    }
}

/// Ranks the mirrors of the input and prints the result.
fn rank(options: Options) -> Result<ExitCode, Exit> {
    let Options { mut ranker, format, weights, uncomment, input } = options;
    let input = read(input, uncomment)?;
    let format = choose_format(format, &input)?;
    let preferences = if weights {
        input.preferences().ok_or_else(|| {
            Exit::unusable(
                "--weights needs preferences, and only a metalink of version 3 has them: leave it out",
            )
        })?
    } else {
        vec![1; input.mirrors.len()]
    };

    let interrupted = cancel_on_interrupt(&mut ranker);
    let progress = progress::Line::show(&mut ranker);
    let urls = input.mirrors.iter().map(input::Mirror::ranked_url);
    let ranked = ranker.rank(urls.zip(preferences).map(|(url, weight)| (url, f64::from(weight))));
    drop(progress);
    if let Ok(interrupted) = interrupted {
        // From now on Ctrl-C ends the process as usual.
        interrupted.store(true, SeqCst);
    }
    let ranking = ranked.map_err(|error| match error {
        Error::AllExcluded { .. } => {
            Exit::unusable(&format!("{error}: loosen --include, --exclude, --protocol or --https-only"))
        }
        error => Exit::failed(&text::escape(&error.to_string())),
    })?;

    for warning in &ranking.warnings {
        let _ = writeln!(io::stderr(), "fastestmirror: warning: {}", text::escape(warning));
    }
    match print(&ranking, format, &input) {
        // A reader that has closed the pipe has all that it wants; the status is still about the
        // mirrors.
        Err(failure) if failure.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Exit::unwritable(&failure));
        }
        _ => {}
    }
    if ranking.mirrors.iter().any(|mirror| has_answered(mirror.outcome)) {
        return Ok(ExitCode::SUCCESS);
    }
    // The table has said so already.
    let message = match format {
        Format::Table => "",
        _ => "fastestmirror: warning: no mirror answered: keeping the given order\n",
    };
    Err(Exit::no_answer(message))
}

/// The format asked for, or the one that suits the input and the output.
fn choose_format(format: Option<Format>, input: &Input) -> Result<Format, Exit> {
    match (format, &input.kind) {
        (Some(Format::Lines), Kind::Metalink) => {
            Err(Exit::unusable("--lines needs a list of lines, and this is a metalink: try --urls"))
        }
        (Some(format), _) => Ok(format),
        (None, _) if input.has_more_than_urls() && !io::stdout().is_terminal() => Ok(Format::Lines),
        (None, _) => Ok(Format::Table),
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
    read.map_err(|error| Exit::unusable(&error.to_string()))
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

fn print(ranking: &Ranking, format: Format, input: &Input) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match format {
        Format::Table => {
            let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
            table::write(&mut out, ranking, Some(columns.into()).filter(|&columns| columns > 0))?;
        }
        Format::Json => json::write(&mut out, ranking)?,
        Format::Lines => {
            let order = ranking.mirrors.iter().map(|mirror| mirror.index);
            if io::stdout().is_terminal() {
                let mut lines = Vec::new();
                input.write_lines(&mut lines, order)?;
                out.write_all(text::escape_lines(&String::from_utf8_lossy(&lines)).as_bytes())?;
            } else {
                input.write_lines(&mut out, order)?;
            }
        }
        Format::Urls => {
            for mirror in &ranking.mirrors {
                let url = input.mirrors[mirror.index].repository(&input.kind);
                writeln!(out, "{}", text::percent_encode(url))?;
            }
        }
    }
    out.flush()
}
