//! Lines for librepo's log: dnf has it in a file of its own. Each begins with the library's name, so that it is seen
//! who decided.

use super::found::Glib;
use crate::probe::schedule::Ended;
use crate::rank::Outcome;
use crate::ranker::{RankedMirror, Ranking};
use std::ffi::{CString, c_int};

/// Where lines go: nowhere, if there is no glib.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log(pub(crate) Option<Glib>);

const WARNING: c_int = 1 << 4;
const DEBUG: c_int = 1 << 7;

impl Log {
    /// The first line of each call.
    pub(crate) fn begin(&self, function: &str, mirrors: usize) {
        let version = env!("CARGO_PKG_VERSION");
        self.write(DEBUG, &format!("libfastestmirror {version}: {function}: {mirrors} mirrors"));
    }

    pub(crate) fn debug(&self, line: &str) {
        self.write(DEBUG, &format!("libfastestmirror: {line}"));
    }

    pub(crate) fn warn(&self, line: &str) {
        self.write(WARNING, &format!("libfastestmirror: {line}"));
    }

    fn write(&self, level: c_int, line: &str) {
        let Some(glib) = self.0 else { return };
        // A URL from the network may hold anything; a log has lines.
        let plain: String = line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        // No NUL is left in it.
        let Ok(line) = CString::new(plain) else { return };
        // SAFETY: three strings, the second one the format for the third.
        unsafe { (glib.log)(c"librepo".as_ptr(), level, c"%s".as_ptr(), line.as_ptr()) };
    }

    /// What became of each mirror, and why measuring ended.
    pub(crate) fn ranking(&self, ranking: &Ranking) {
        for (place, mirror) in ranking.mirrors.iter().enumerate() {
            self.debug(&format!("{}. {}", place + 1, told(mirror)));
        }
        for note in &ranking.notes {
            self.debug(note);
        }
        let mirrors = &ranking.mirrors;
        let count = |is: fn(&RankedMirror) -> bool| mirrors.iter().filter(|mirror| is(mirror)).count();
        let why = match ranking.ended {
            Ended::Idle => "nothing had to be measured",
            Ended::Complete => "measuring ended when every mirror had answered or failed",
            Ended::Settled => "measuring ended when no other mirror could belong to the pool any more",
            Ended::Quiet => "measuring ended when nothing was heard any more",
            Ended::Timeout => "measuring ended when the time was up",
            Ended::Cancelled => "measuring ended with an interrupt",
        };
        self.debug(&format!(
            "{why}, after {:.6} s: {} of {} mirrors have a latency, {} are in the pool{}",
            ranking.elapsed.as_secs_f64(),
            count(|mirror| mirror.outcome.latency().is_some()),
            mirrors.len(),
            count(|mirror| mirror.pool),
            if ranking.indistinct { "; nearly all are equally near, as behind a middlebox" } else { "" },
        ));
    }
}

fn told(mirror: &RankedMirror) -> String {
    let from = if mirror.remembered { "cache" } else { "network" };
    let what = match mirror.outcome {
        Outcome::Measured(latency) | Outcome::Cached(latency) => {
            let address = mirror.address.map_or(String::new(), |address| format!(", {address}"));
            let imprecise = if mirror.imprecise { ", imprecise" } else { "" };
            let pool = if mirror.pool { ", pool" } else { "" };
            format!("{:.6} s ({from}{address}{imprecise}{pool})", latency.as_secs_f64())
        }
        Outcome::Local => "on this machine".into(),
        Outcome::Unanswered if mirror.remembered => "outside the pool (cache)".into(),
        Outcome::Unanswered => "no answer".into(),
        Outcome::Refused => format!("refused ({from})"),
        Outcome::Unreachable => format!("unreachable ({from})"),
        Outcome::Unresolved => "no address".into(),
        Outcome::Unsupported => "nothing to connect to".into(),
        Outcome::Excluded => "excluded".into(),
    };
    format!("{}: {what}", without_user(&mirror.url))
}

/// A log may be read by others: the URL without user name and password.
pub(crate) fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{}", &rest[end..]),
        None => url.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_logged() {
        for (url, logged) in [
            ("http://me:secret@a.example/b@c", "http://a.example/b@c"),
            ("http://me:p@ss@a.example?x@y", "http://a.example?x@y"),
            ("http://a.example/me@b", "http://a.example/me@b"),
            ("file:///a@b", "file:///a@b"),
            ("nonsense@x", "nonsense@x"),
        ] {
            assert_eq!(without_user(url), logged);
        }
    }
}
