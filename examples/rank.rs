//! Ranks the mirrors of a mirrorlist, a metalink or the command line, and prints the order in which to try them.
//!
//! `cargo run --release --example rank -- --help` says how to use it. This file is the way from the arguments to the
//! exit status; what is read and printed on it is in `rank/`.

#[path = "rank/demo.rs"]
mod demo;
#[path = "rank/input.rs"]
mod input;
#[path = "rank/json.rs"]
mod json;
#[path = "rank/metalink.rs"]
mod metalink;
#[path = "rank/options.rs"]
mod options;
#[path = "rank/progress.rs"]
mod progress;
#[path = "rank/table.rs"]
mod table;
#[path = "rank/text.rs"]
mod text;
#[path = "rank/words.rs"]
mod words;

use fastestmirror::{Cancel, Error, Ranker, Ranking};
use input::Input;
use options::{Exit, Format, Options};
use signal_hook::consts::SIGINT;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

/// The system failed.
const FAILED: u8 = 1;
/// The arguments or the input cannot be used.
const UNUSABLE: u8 = 2;
/// No mirror answered.
const NO_ANSWER: u8 = 3;

fn main() -> ExitCode {
    if std::env::args_os().len() == 1 {
        return demo::run().unwrap_or_else(|failure| {
            // Who does not read on has what it wants.
            if failure.kind() == io::ErrorKind::BrokenPipe {
                return ExitCode::SUCCESS;
            }
            let _ = writeln!(io::stderr(), "error: the demonstration: {failure}");
            ExitCode::from(FAILED)
        });
    }
    let status = run().unwrap_or_else(|exit| {
        // If nobody can read the message, the status has to do.
        let _ = match exit.status {
            0 => write!(io::stdout(), "{}", exit.message),
            _ => write!(io::stderr(), "{}", exit.message),
        };
        exit.status
    });
    ExitCode::from(status)
}

fn run() -> Result<u8, Exit> {
    let Options { mut ranker, format, weights, input } = options::parse(std::env::args_os())?;
    if input.is_empty() {
        return Err(options::unusable("there is no list and no URL"));
    }
    let input = read(input)?;
    let preferences = match &input.preferences {
        Some(preferences) if weights => preferences.clone(),
        None if weights => {
            return Err(error(
                "--weights needs preferences, and only a metalink of version 3 has them",
                UNUSABLE,
            ));
        }
        _ => vec![1; input.urls.len()],
    };

    let interrupted = on_interrupt_cancel(&mut ranker);
    let progress = progress::Line::show(&mut ranker);
    let ranked =
        ranker.rank(input.urls.iter().zip(preferences).map(|(url, weight)| (url, f64::from(weight))));
    drop(progress);
    if let Ok(interrupted) = interrupted {
        // From now on Ctrl-C ends the program as usual.
        interrupted.store(true, SeqCst);
    }
    let ranking = ranked.map_err(|failure| match failure {
        Error::AllExcluded { mirrors } => {
            error(&format!("the filters leave nothing of {mirrors} mirrors"), UNUSABLE)
        }
        failure => error(&failure.to_string(), FAILED),
    })?;

    for note in &ranking.warnings {
        let _ = writeln!(io::stderr(), "warning: {}", text::escape(note));
    }
    match print(&ranking, format, &input) {
        // Who does not read on, `head` say, has what it wants.
        Err(failure) if failure.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error(&format!("cannot write: {failure}"), FAILED));
        }
        _ => {}
    }
    if ranking.mirrors.iter().any(|mirror| words::has_answered(mirror.outcome)) {
        return Ok(0);
    }
    // The table has said so already.
    let message =
        if format == Format::Table { "" } else { "warning: no mirror answered: this is the order given\n" };
    Err(Exit { message: message.into(), status: NO_ANSWER })
}

/// Reads what the arguments name: one file, or URLs.
fn read(arguments: Vec<OsString>) -> Result<Input, Exit> {
    let urls = arguments.iter().filter(|argument| input::is_url(argument)).count();
    let read = match arguments.as_slice() {
        arguments if arguments.len() == urls => input::from_arguments(arguments.to_vec()),
        [file] => input::read(file),
        _ if urls == 0 => return Err(options::unusable("only one file can be read")),
        arguments => {
            let file =
                arguments.iter().find(|argument| !input::is_url(argument)).map(|file| file.to_string_lossy());
            let reason =
                format!("\"{}\" is not a URL, and files and URLs do not mix", file.unwrap_or_default());
            return Err(options::unusable(&reason));
        }
    };
    read.map_err(|failure| error(&failure.to_string(), UNUSABLE))
}

fn error(reason: &str, status: u8) -> Exit {
    Exit { message: format!("error: {reason}\n"), status }
}

/// Lets the first Ctrl-C end measuring. Every later one ends the program as usual, and so does the first once the
/// flag that is returned is set.
fn on_interrupt_cancel(ranker: &mut Ranker) -> io::Result<Arc<AtomicBool>> {
    let cancel = Cancel::new()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    // In this order: the first signal must find the flag unset.
    signal_hook::flag::register_conditional_default(SIGINT, interrupted.clone())?;
    signal_hook::flag::register(SIGINT, interrupted.clone())?;
    let mut signals = signal_hook::iterator::Signals::new([SIGINT])?;
    ranker.cancel(&cancel);
    thread::spawn(move || signals.forever().for_each(|_| cancel.cancel()));
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
        Format::Urls => {
            for mirror in &ranking.mirrors {
                let url = if input.is_metalink { metalink::base(&mirror.url) } else { &mirror.url };
                writeln!(out, "{}", text::percent_encode(url))?;
            }
        }
    }
    out.flush()
}
