//! The values of options: each function reads one, and its error says what the value may be.

use crate::terminal::Colors;
use clap_complete::Shell;
use fastestmirror::{Error, HistoryUse, PoolOrder, Protocol, Ranker};
use std::time::Duration;

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    duration(text, "seconds", 1.0, |timeout| Ranker::new().timeout(timeout).map(drop))
}

pub(crate) fn slack(text: &str) -> Result<Duration, String> {
    duration(text, "milliseconds", 1000.0, |slack| Ranker::new().slack(slack).map(drop))
}

pub(super) fn period(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().unwrap_or(f64::NAN);
    Duration::try_from_secs_f64(number).map_err(|_| "it must be a number of seconds from 0".to_string())
}

pub(super) fn watch(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().unwrap_or(f64::NAN);
    if !(1.0..=86_400.0).contains(&number) {
        return Err("it must be a number of seconds from 1 to 86400; more often would burden the mirrors, \
                    since each run is a handshake with every one"
            .into());
    }
    Ok(Duration::from_secs_f64(number))
}

pub(super) fn runs(text: &str) -> Result<usize, String> {
    let runs = text.parse().ok().filter(|runs| (1..=1000).contains(runs));
    runs.ok_or_else(|| "it must be a whole number from 1 to 1000".into())
}

pub(super) fn pause(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().unwrap_or(f64::NAN);
    if !(0.0..=3600.0).contains(&number) {
        return Err("it must be a number of seconds from 0 to 3600".into());
    }
    Ok(Duration::from_secs_f64(number))
}

/// Reads a duration in a unit, of which a second has `per_second`. The library knows the allowed
/// range, so that its words are the message, whatever is wrong with the text.
fn duration(
    text: &str,
    unit: &str,
    per_second: f64,
    check: impl Fn(Duration) -> Result<(), Error>,
) -> Result<Duration, String> {
    let number = text.parse::<f64>().unwrap_or(f64::NAN);
    let value = Duration::try_from_secs_f64(number / per_second).unwrap_or(Duration::MAX);
    match check(value) {
        Ok(()) => Ok(value),
        Err(error) => Err(format!("it must be a number of {unit} from 0, {}", allowed(&error))),
    }
}

pub(crate) fn factor(text: &str) -> Result<f64, String> {
    let value = text.parse().unwrap_or(f64::NAN);
    let checked = Ranker::new().factor(value).map(drop);
    checked.map(|()| value).map_err(|error| format!("it must be a number {}", allowed(&error)))
}

pub(super) fn pool(text: &str) -> Result<PoolOrder, String> {
    match text {
        "shuffled" => Ok(PoolOrder::Shuffled),
        "given" => Ok(PoolOrder::Given),
        _ => Err("it must be shuffled or given".into()),
    }
}

pub(super) fn history(text: &str) -> Result<HistoryUse, String> {
    match text {
        "off" => Ok(HistoryUse::Off),
        "trouble" => Ok(HistoryUse::Trouble),
        "all" => Ok(HistoryUse::All),
        _ => Err("it must be off, trouble or all".into()),
    }
}

pub(super) fn protocol(text: &str) -> Result<Protocol, String> {
    const ALL: [Protocol; 4] = [Protocol::Http, Protocol::Https, Protocol::Ftp, Protocol::File];
    match ALL.iter().find(|protocol| protocol.scheme() == text) {
        Some(protocol) => Ok(*protocol),
        None => Err("it must be http, https, ftp or file".into()),
    }
}

pub(super) fn colors(text: &str) -> Result<Colors, String> {
    match text {
        "auto" => Ok(Colors::Auto),
        "always" => Ok(Colors::Always),
        "never" => Ok(Colors::Never),
        _ => Err("it must be auto, always or never".into()),
    }
}

pub(super) fn shell(text: &str) -> Result<Shell, String> {
    match text {
        "bash" => Ok(Shell::Bash),
        "zsh" => Ok(Shell::Zsh),
        "fish" => Ok(Shell::Fish),
        _ => Err("it must be bash, zsh or fish".into()),
    }
}

pub(crate) fn pattern(text: &str) -> Result<String, String> {
    let checked = Ranker::new().include(&[text]).map(drop);
    checked.map(|()| text.to_string()).map_err(|error| format!("it must be {}", allowed(&error)))
}

/// What the option may be, from the library's error about it.
fn allowed(error: &Error) -> String {
    match error {
        Error::InvalidOption { allowed, .. } => allowed.to_string(),
        error => error.to_string(),
    }
}

pub(super) fn fallbacks(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(Ranker::ALL),
        _ => text.parse().map_err(|_| format!("it must be a whole number from 0 to {}, or all", usize::MAX)),
    }
}

pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("it must be a whole number from 0 to {}", u64::MAX))
}

pub(super) fn top(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| "it must be a whole number from 1".into())
}
