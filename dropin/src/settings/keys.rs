//! The table of the settings: what can be set, to which values, and what that does to a ranker. It
//! does not know where a value comes from.
#![forbid(unsafe_code)]

use fastestmirror::{HistoryUse, PoolOrder, Protocol, Ranker};
use std::time::Duration;

/// A setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name in the file. The variable is called `FASTESTMIRROR_` and this in capitals.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The value that counts where nothing sets it, as it would be written in the file.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests compare it with the documentation"))]
    pub(crate) default: &'static str,
    /// The default of whoever has built this library.
    pub(crate) built_in: Option<&'static str>,
    /// What it does, in one sentence without its end.
    #[cfg_attr(not(test), allow(dead_code, reason = "as above"))]
    pub(crate) help: &'static str,
}

/// The values of a setting, and what they do to a ranker, which accepts each of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Flag(fn(&mut Ranker, bool)),
    /// A number within these limits; `unit` is empty or a plural.
    Number {
        unit: &'static str,
        least: u32,
        most: u32,
        set: fn(&mut Ranker, f64),
    },
    /// A whole number up to this one, or all.
    Count {
        most: u32,
        set: fn(&mut Ranker, usize),
    },
    /// One of these words; the function gets its position.
    Choice {
        words: &'static [&'static str],
        set: fn(&mut Ranker, usize),
    },
    /// Patterns of host names. Returns whether the ranker accepts them.
    Patterns(fn(&mut Ranker, &[&str]) -> bool),
}
use Kind::{Choice, Count, Flag, Number, Patterns};

/// The orders of the pool.
const SHUFFLED: &str = "shuffled";
pub(crate) const GIVEN: &str = "given";
/// What downloads before are used for.
const OFF: &str = "off";
const TROUBLE: &str = "trouble";
const EVERYTHING: &str = "all";

/// How many patterns of a list count. Each is compared with each host.
const MOST_PATTERNS: usize = 256;
/// The longest period in seconds: a year.
const YEAR: u32 = 365 * 24 * 3600;

/// Makes the table. A built-in default is the value of the variable `FASTESTMIRROR_DEFAULT_...`
/// when this is compiled, and a wrong one is an error of the compiler.
macro_rules! table {
    ($($name:literal, $capitals:literal, $kind:expr, $default:literal, $help:literal;)*) => {
        /// All settings, in the order of the documentation.
        pub(crate) const KEYS: &[Key] = &[$(Key {
            name: $name,
            kind: $kind,
            default: $default,
            built_in: option_env!(concat!("FASTESTMIRROR_DEFAULT_", $capitals)),
            help: $help,
        }),*];
        $(const _: () = assert!(
            may_be_built_in(option_env!(concat!("FASTESTMIRROR_DEFAULT_", $capitals)), $kind),
            concat!(
                "the variable FASTESTMIRROR_DEFAULT_", $capitals, " has a wrong value: docs/librepo.md ",
                "has the values of `", $name, "`, of which lists of host names cannot be built in"
            )
        );)*
    };
}

table! {
    "off", "OFF", Flag(|_, _| {}), "no",
    "keep every list as it is, and measure nothing";

    "factor", "FACTOR", Number {
        unit: "", least: 1, most: 1000,
        set: |ranker, factor| { let _ = ranker.factor(factor); },
    }, "2",
    "the pool, whose mirrors share the load, holds what is nearer than this many times the best";

    "slack", "SLACK", Number {
        unit: "milliseconds", least: 0, most: 60_000,
        set: |ranker, slack| { let _ = ranker.slack(seconds(slack / 1000.0)); },
    }, "0",
    "and what is nearer than the best plus this";

    "pool", "POOL", Choice {
        words: &[SHUFFLED, GIVEN],
        set: |ranker, order| {
            ranker.pool_order([PoolOrder::Shuffled, PoolOrder::Given][order]);
        },
    }, "shuffled",
    "the order of the pool; `given` is that of the list, for lists that a server shuffles by the \
     capacity of the mirrors";

    "fallbacks", "FALLBACKS", Count {
        most: 1_000_000,
        set: |ranker, fallbacks| { ranker.fallbacks(fallbacks); },
    }, "16",
    "how many hosts outside the pool to wait for, for 50 ms at most, where an order is wanted; \
     `all` waits until no further replies come";

    "exclude", "EXCLUDE", Patterns(|ranker, hosts| ranker.exclude(hosts).is_ok()), "",
    "mirrors on these hosts are not used, even if they are included";

    "include_only", "INCLUDE_ONLY", Patterns(|ranker, hosts| ranker.include(hosts).is_ok()), "",
    "only mirrors on these hosts are used, and no local ones";

    "prefer", "PREFER", Patterns(|ranker, hosts| ranker.prefer(hosts).is_ok()), "",
    "mirrors on these hosts come first in the pool, and first among the others that have answered";

    "https_only", "HTTPS_ONLY", Flag(|ranker, is_on| {
        ranker.protocols(if is_on { &[Protocol::Https] } else { &[] });
    }), "no",
    "only https mirrors are used: neither http nor ftp nor local ones";

    "public_only", "PUBLIC_ONLY", Flag(|ranker, is_on| { ranker.public_only(is_on); }), "no",
    "only public addresses are measured: mirrors with private, link-local or reserved ones come last";

    "check_after", "CHECK_AFTER", Number {
        unit: "seconds", least: 0, most: YEAR,
        set: |ranker, time| { ranker.check_after(seconds(time)); },
    }, "600",
    "the remembered mirrors that would lead are asked again unless each was heard within this time; \
     `0` asks them in each run";

    "rotate", "ROTATE", Number {
        unit: "seconds", least: 0, most: YEAR,
        set: |ranker, period| { ranker.rotate_every(seconds(period)); },
    }, "0",
    "the machine keeps its order of the pool for this long, in the cache; `0` shuffles anew in each \
     process";

    // Not only for ranking; `history()` gives it to a ranker.
    "history", "HISTORY", Choice { words: &[OFF, TROUBLE, EVERYTHING], set: |_, _| {} }, "trouble",
    "what downloads have shown: mirrors that failed in the last hour come after all that have \
     answered; with `all`, those that are much slower than the rest of the pool come at its end";
}

/// Returns which use of what downloads have shown a value of `history` stands for.
pub(crate) fn history(value: Option<&str>) -> HistoryUse {
    match value {
        Some(OFF) => HistoryUse::Off,
        Some(EVERYTHING) => HistoryUse::All,
        _ => HistoryUse::Trouble,
    }
}

impl Key {
    pub(crate) fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Whether it decides which mirrors are used, and not how they are ranked.
    pub(crate) fn is_filter(&self) -> bool {
        matches!(self.name, "exclude" | "include_only" | "https_only")
    }

    /// The name of the environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("FASTESTMIRROR_{}", self.name.to_ascii_uppercase())
    }

    /// The values that are allowed, after "it must be".
    pub(crate) fn allowed(&self) -> String {
        match self.kind {
            Flag(_) => "1 or 0, yes or no, true or false, on or off".into(),
            Number { unit: "", least, most, .. } => format!("a number from {least} to {most}"),
            Number { unit, least, most, .. } => format!("a number of {unit} from {least} to {most}"),
            Count { most, .. } => format!("a whole number from 0 to {most}, or all"),
            Choice { words: [words @ .., last], .. } => format!("{} or {last}", words.join(", ")),
            Choice { words: [], .. } => String::new(),
            Patterns(_) => {
                "host names, with `*` for any text and `?` for any character, or suffixes such as \
                 `.gov`, of at most 1024 characters; separated by spaces or commas"
                    .into()
            }
        }
    }

    /// Returns what counts of a value, as it would be written in the file. A wrong value, or the
    /// wrong part of a list, is reported with the reason, and ignored.
    pub(crate) fn check(&self, value: &str, report: &mut dyn FnMut(&str, String)) -> Option<String> {
        let must_be = || format!("it must be {}", self.allowed());
        let Patterns(accept) = self.kind else {
            if self.set(&mut Ranker::new(), value) {
                return Some(value.to_string());
            }
            report(value, must_be());
            return None;
        };
        let mut kept = Vec::new();
        for pattern in patterns(value) {
            if !accept(&mut Ranker::new(), &[pattern]) {
                report(pattern, must_be());
            } else if kept.len() < MOST_PATTERNS {
                kept.push(pattern);
            } else {
                report(pattern, format!("only the first {MOST_PATTERNS} of a list count"));
                break;
            }
        }
        if kept.is_empty() { None } else { Some(kept.join(" ")) }
    }

    /// Sets the option of a ranker. Returns whether the value is an allowed one.
    pub(crate) fn set(&self, ranker: &mut Ranker, value: &str) -> bool {
        match self.kind {
            Flag(set) => flag(&value.to_ascii_lowercase()).map(|value| set(ranker, value)).is_some(),
            Number { least, most, set, .. } => {
                number(value, least, most).map(|value| set(ranker, value)).is_some()
            }
            Count { most, set } => {
                let count = count(value, most);
                count
                    .map(|count| set(ranker, if count == ALL { Ranker::ALL } else { count as usize }))
                    .is_some()
            }
            Choice { words, set } => choice(value, words).map(|choice| set(ranker, choice)).is_some(),
            Patterns(set) => set(ranker, &patterns(value).collect::<Vec<_>>()),
        }
    }

    /// Whether this value of a flag says yes.
    pub(crate) fn is_on(&self, value: &str) -> bool {
        matches!(self.kind, Flag(_)) && flag(&value.to_ascii_lowercase()) == Some(true)
    }
}

/// The patterns of a list.
fn patterns(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', '\t', ',']).filter(|pattern| !pattern.is_empty())
}

/// The number that `all` stands for.
const ALL: u32 = u32::MAX;

const fn may_be_built_in(value: Option<&str>, kind: Kind) -> bool {
    let Some(value) = value else { return true };
    match kind {
        // As everywhere, what is empty is not set.
        _ if value.is_empty() => true,
        Flag(_) => flag(value).is_some(),
        Number { least, most, .. } => number(value, least, most).is_some(),
        Count { most, .. } => count(value, most).is_some(),
        Choice { words, .. } => choice(value, words).is_some(),
        // They are decisions about one machine's mirrors.
        Patterns(_) => false,
    }
}

const fn flag(value: &str) -> Option<bool> {
    match value.as_bytes() {
        b"1" | b"yes" | b"true" | b"on" => Some(true),
        b"0" | b"no" | b"false" | b"off" => Some(false),
        _ => None,
    }
}

const fn count(value: &str, most: u32) -> Option<u32> {
    match value.as_bytes() {
        b"all" => Some(ALL),
        _ => match number(value, 0, most) {
            Some(number) if number == number as u32 as f64 => Some(number as u32),
            _ => None,
        },
    }
}

/// Returns the position of a word. (See `number` below.)
const fn choice(value: &str, words: &[&str]) -> Option<usize> {
    let mut word = 0;
    while word < words.len() {
        let (value, word_bytes) = (value.as_bytes(), words[word].as_bytes());
        let mut at = 0;
        while at < value.len() && at < word_bytes.len() && value[at] == word_bytes[at] {
            at += 1;
        }
        if at == value.len() && at == word_bytes.len() {
            return Some(word);
        }
        word += 1;
    }
    None
}

/// Reads digits, of which some may follow a point. (The standard library's functions cannot be
/// called while this is compiled.)
const fn number(value: &str, least: u32, most: u32) -> Option<f64> {
    /// So many digits fit into a double.
    const MOST_DIGITS: usize = 15;
    let text = value.as_bytes();
    let (mut digits, mut divisor) = (0_u64, 1_u64);
    let mut point = None;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            digit @ b'0'..=b'9' => digits = digits * 10 + (digit - b'0') as u64,
            b'.' if point.is_none() && at > 0 && at + 1 < text.len() => point = Some(at),
            _ => return None,
        }
        if point.is_some() && text[at] != b'.' {
            divisor *= 10;
        }
        at += 1;
        if at > MOST_DIGITS {
            return None;
        }
    }
    let number = digits as f64 / divisor as f64;
    if text.is_empty() || number < least as f64 || number > most as f64 { None } else { Some(number) }
}

/// A time in a range that fits.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
