//! Lines for librepo's log: dnf has it in a file of its own. Each begins with the library's name, so that it is seen
//! who decided.

use super::found::Glib;
use super::without_path;
use crate::outcome::{Outcome, StopReason};
use crate::ranking::{RankedMirror, Ranking};
use std::ffi::{CString, c_int};

/// Where lines go: nowhere, if there is no glib.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log(pub(crate) Option<Glib>);

const WARNING: c_int = 1 << 4;
const DEBUG: c_int = 1 << 7;

impl Log {
    /// The first line of each call.
    pub(crate) fn begin(&self, function: &str, count: usize, what: &str) {
        let (version, s) = (env!("CARGO_PKG_VERSION"), if count == 1 { "" } else { "s" });
        self.write(DEBUG, &format!("libfastestmirror {version}: {function}: {count} {what}{s}"));
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
        let plain: String = line.chars().map(|c| if is_harmless(c) { c } else { '?' }).collect();
        // No NUL is left in it.
        let Ok(line) = CString::new(plain) else { return };
        // SAFETY: three strings, the second one the format for the third.
        unsafe { (glib.log)(c"librepo".as_ptr(), level, c"%s".as_ptr(), line.as_ptr()) };
    }

    /// What became of each mirror, and why measuring ended.
    pub(crate) fn ranking(&self, ranking: &Ranking) {
        // Forty repositories may list the same hosts: what is the same of several URLs is said once.
        let of_host = |mirror: &RankedMirror| (without_path(&mirror.url).to_string(), told(mirror));
        let mut place = 1;
        for group in ranking.mirrors.chunk_by(|a, b| of_host(a) == of_host(b)) {
            let more = match group.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            self.debug(&format!("{place}. {}{more}: {}", without_user(&group[0].url), told(&group[0])));
            place += group.len();
        }
        for note in &ranking.warnings {
            self.debug(note);
        }
        let mirrors = &ranking.mirrors;
        let count = |is: fn(&RankedMirror) -> bool| mirrors.iter().filter(|mirror| is(mirror)).count();
        let why = match ranking.stop_reason {
            StopReason::Idle => "nothing had to be measured",
            StopReason::Complete => "measuring ended when every mirror had answered or failed",
            StopReason::Settled => "measuring ended when no other mirror could belong to the pool any more",
            StopReason::Quiet => "measuring ended when nothing was heard any more",
            StopReason::Timeout => "measuring ended when the time was up",
            StopReason::Cancelled => "measuring ended with an interrupt",
        };
        self.debug(&format!(
            "{why}, after {:.6} s: {} of {} mirrors have a latency, {} are in the pool{}",
            ranking.elapsed.as_secs_f64(),
            count(|mirror| mirror.outcome.latency().is_some()),
            mirrors.len(),
            count(|mirror| mirror.pool),
            if ranking.ambiguous { "; nearly all are equally near, as behind a middlebox" } else { "" },
        ));
    }
}

fn told(mirror: &RankedMirror) -> String {
    let from = if mirror.from_cache { "cache" } else { "network" };
    match mirror.outcome {
        Outcome::Measured(latency) | Outcome::Cached(latency) => {
            let address = mirror.address.map_or(String::new(), |address| format!(", {address}"));
            let imprecise = if mirror.imprecise { ", imprecise" } else { "" };
            let pool = if mirror.pool { ", pool" } else { "" };
            format!("{:.6} s ({from}{address}{imprecise}{pool})", latency.as_secs_f64())
        }
        Outcome::Local => "on this machine".into(),
        Outcome::Unanswered if mirror.from_cache => "outside the pool (cache)".into(),
        Outcome::Unanswered => "no answer".into(),
        Outcome::Refused => format!("refused ({from})"),
        Outcome::Unreachable => format!("unreachable ({from})"),
        Outcome::Unresolved => "no address".into(),
        Outcome::Unsupported => "nothing to connect to".into(),
        Outcome::Excluded => "excluded".into(),
    }
}

/// Neither begins a line nor turns it round.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A log may be read by others: the URL without user name and password, in whatever form libcurl would take one.
pub(crate) fn without_user(url: &str) -> String {
    if url.starts_with("file:") {
        return url.into();
    }
    let scheme = url.find([':', '/', '@']).filter(|&at| url[at..].starts_with(":/")).map_or(0, |at| at + 1);
    let begin = scheme + url[scheme..].find(|c| c != '/').unwrap_or(url.len() - scheme);
    let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |at| begin + at);
    let host = url[begin..end].rfind('@').map_or(begin, |at| begin + at + 1);
    format!("{}{}", &url[..begin], &url[host..])
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
            ("http:/me:secret@a.example/", "http:/a.example/"),
            ("http:///me:secret@a.example/", "http:///a.example/"),
            ("me:secret@a.example/x", "a.example/x"),
            ("nonsense@x", "x"),
            ("http://", "http://"),
            ("", ""),
        ] {
            assert_eq!(without_user(url), logged);
        }
    }
}
