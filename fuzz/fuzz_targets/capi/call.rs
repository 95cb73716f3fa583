//! The calls, as they are made of a fuzzer's bytes.

use libfuzzer_sys::arbitrary::{self, Arbitrary};

/// A place for a ranker or a ranking. Some are always empty, and stand for NULL.
pub(crate) type Slot = u8;

#[derive(Debug, Arbitrary)]
pub(crate) enum Call {
    New(Slot),
    Free(Slot),
    Error(Slot),
    Cancel(Slot),
    Timeout(Slot, Number),
    Fallbacks(Slot, usize),
    Family(Slot, Integer),
    Factor(Slot, Number),
    Slack(Slot, Number),
    Seed(Slot, u64),
    Protocols(Slot, Integer),
    Include(Slot, Patterns),
    Exclude(Slot, Patterns),
    Prefer(Slot, Patterns),
    Cache(Slot, Path),
    CacheContents(Vec<u8>),
    MaxAge(Slot, Number),
    CheckAfter(Slot, Number),
    RotateEvery(Slot, Number),
    Limits(Slot, u8, u8),
    Progress(Slot, Option<Deed>),
    Log(Slot, Option<Deed>),
    InterruptCheck(Slot, Option<Deed>, Integer),
    Rank { ranker: Slot, urls: Option<Vec<Option<Url>>>, weights: Option<Vec<Number>>, output: Option<Slot> },
    FreeRanking(Slot),
    Summary(Slot, bool),
    Mirror(Slot, usize, bool),
    Excluded(Slot, usize, bool),
    Warning(Slot, usize),
    Texts(i32),
    PublicOnly(Slot, i32),
    PoolOrder(Slot, Integer),
    PoolReference(Slot, Patterns),
    Limit(Slot, bool),
    Filter(Slot, usize, bool),
    ReadCache(Slot, bool),
    Forget(Slot, Patterns, bool),
    ForgetAll(Slot, bool),
    NewHistory(Slot, Path),
    FreeHistory(Slot),
    Repository(Slot, Patterns),
    Report(Slot, Option<Url>, Integer, u64, Number),
    SaveHistory(Slot),
    UseHistory(Slot, Integer),
    Demotion(Slot, usize, bool),
}

/// What a callback does besides returning.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) enum Deed {
    Nothing,
    Cancel,
    /// Calls other functions with the ranker that is in use.
    Meddle,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) enum Number {
    Zero,
    Tenths(i8),
    Any(f64),
}

impl Number {
    pub(crate) fn value(self) -> f64 {
        match self {
            Number::Zero => 0.0,
            Number::Tenths(tenths) => f64::from(tenths) / 10.0,
            Number::Any(number) => number,
        }
    }
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) enum Integer {
    Small(u8),
    Any(i32),
}

impl Integer {
    pub(crate) fn value(self) -> i32 {
        match self {
            Integer::Small(number) => (number % 18).into(),
            Integer::Any(number) => number,
        }
    }
}

/// An array of patterns or URLs, and NULL.
#[derive(Debug, Arbitrary)]
pub(crate) enum Patterns {
    Null(u8),
    These(Vec<Option<Pattern>>),
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Pattern {
    Loopback(u8),
    Everything,
    Any(Vec<u8>),
    /// As an element of another list: no pattern.
    Url(u8),
}

impl Pattern {
    pub(crate) fn text(&self) -> Vec<u8> {
        match self {
            Pattern::Loopback(host) => format!("127.0.0.{}", host % 4).into_bytes(),
            Pattern::Everything => b"*".to_vec(),
            Pattern::Any(bytes) => bytes.clone(),
            Pattern::Url(host) => format!("http://127.0.0.{}/", host % 4).into_bytes(),
        }
    }
}

/// A cache file. All are in a directory of this process.
#[derive(Debug, Arbitrary)]
pub(crate) enum Path {
    Null,
    Empty,
    Usual,
    Directory,
    Missing,
    Device,
    Any(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Url {
    /// An endpoint on loopback, one of which accepts connections.
    Loopback {
        scheme: u8,
        host: u8,
        port: u8,
        rest: Vec<u8>,
    },
    Local(Vec<u8>),
    Any(Vec<u8>),
}

impl Url {
    pub(crate) fn text(&self, open: u16) -> Vec<u8> {
        match self {
            Url::Loopback { scheme, host, port, rest } => {
                let scheme = ["http", "https", "ftp", "HTTP"][usize::from(scheme % 4)];
                let host = match host % 16 {
                    14 => format!("{SECRET}@127.0.0.1"),
                    15 => "[::1]".to_string(),
                    host => format!("127.0.0.{}", 1 + host),
                };
                let port = match port % 4 {
                    0 => String::new(),
                    1 => ":1".into(),
                    _ => format!(":{open}"),
                };
                [format!("{scheme}://{host}{port}/").as_bytes(), rest].concat()
            }
            Url::Local(path) => [b"file:///", path.as_slice()].concat(),
            Url::Any(bytes) => bytes.clone(),
        }
    }
}

/// A user name and a password that never show.
pub(crate) const SECRET: &str = "user:hunter2hunter2";
