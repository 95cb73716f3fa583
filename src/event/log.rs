//! A result as lines for a log, which others than the user may read, and which may be a terminal.
#![forbid(unsafe_code)]

use super::LogLevel;
use crate::outcome::Outcome;
use crate::rank::PoolOrder;
use crate::ranking::{RankedMirror, Ranking};
use crate::url::{without_path, without_user};

/// How many lines about mirrors are written of a result. A list from the network may have any
/// number of mirrors; a client tries the first few.
const MOST_MIRROR_LINES: usize = 100;
/// How many characters of a URL are written.
const MOST_URL_CHARS: usize = 200;

type Write<'a> = dyn FnMut(LogLevel, &str) + 'a;

pub(super) fn write_line(write: &mut Write<'_>, level: LogLevel, line: &str) {
    // A URL from the network may hold anything.
    let plain: String = line.chars().map(|c| if is_harmless(c) { c } else { '?' }).collect();
    write(level, &plain);
}

/// Writes what became of the first mirrors, the warnings, and why measuring stopped.
pub(super) fn write_ranking(write: &mut Write<'_>, ranking: &Ranking) {
    // Forty repositories may list the same hosts: what is the same for several URLs is written
    // once.
    let same = |a: &RankedMirror, b: &RankedMirror| {
        without_path(&a.url) == without_path(&b.url) && describe(a) == describe(b)
    };
    let mut place = 1;
    for group in ranking.mirrors.chunk_by(same).take(MOST_MIRROR_LINES) {
        let more = match group.len() {
            1 => String::new(),
            2 => " and 1 more URL of it".to_string(),
            count => format!(" and {} more URLs of it", count - 1),
        };
        let (url, outcome) = (shortened(without_user(&group[0].url)), describe(&group[0]));
        write_line(write, LogLevel::Debug, &format!("{place}. {url}{more}: {outcome}"));
        place += group.len();
    }
    match ranking.mirrors.len() + 1 - place {
        0 => {}
        1 => write_line(write, LogLevel::Debug, "1 more mirror follows"),
        count => write_line(write, LogLevel::Debug, &format!("{count} more mirrors follow")),
    }
    let demoted = ranking.mirrors.iter().filter_map(|mirror| Some((&mirror.url, mirror.demotion?)));
    for (url, demotion) in demoted.take(MOST_MIRROR_LINES) {
        let url = shortened(without_user(url));
        write_line(write, LogLevel::Debug, &format!("{url} stands further back: {demotion}"));
    }
    for warning in &ranking.warnings {
        write_line(write, LogLevel::Warning, warning);
    }
    let count = |is: fn(&RankedMirror) -> bool| ranking.mirrors.iter().filter(|mirror| is(mirror)).count();
    let line = format!(
        "measuring stopped after {:.6} s ({}: {}): {} of {} mirrors have a latency, {} are in the pool{}{}",
        ranking.elapsed.as_secs_f64(),
        ranking.stop_reason.name(),
        ranking.stop_reason,
        count(|mirror| mirror.outcome.latency().is_some()),
        ranking.mirrors.len(),
        count(|mirror| mirror.pool),
        if ranking.pool_order == PoolOrder::Given { ", in the given order" } else { "" },
        if ranking.ambiguous { "; nearly all are equally near, as behind a middlebox" } else { "" },
    );
    write_line(write, LogLevel::Debug, &line);
}

fn shortened(mut url: String) -> String {
    if let Some((end, _)) = url.char_indices().nth(MOST_URL_CHARS) {
        url.truncate(end);
        url += "...";
    }
    url
}

fn describe(mirror: &RankedMirror) -> String {
    let mut text = match mirror.outcome.latency() {
        Some(latency) => format!("{} {:.6} s", mirror.outcome.name(), latency.as_secs_f64()),
        None => mirror.outcome.name().to_string(),
    };
    if let Some(address) = mirror.address {
        text += &format!(", {address}");
    }
    if mirror.imprecise {
        text += ", imprecise";
    }
    if mirror.pool {
        text += ", pool";
    }
    if mirror.is_detoured {
        text += ", detoured";
    }
    if let Some(demotion) = mirror.demotion {
        text += &format!(", {}", demotion.name());
    }
    if mirror.from_cache && !matches!(mirror.outcome, Outcome::Cached(_)) {
        text += ", from the cache";
    }
    text
}

/// Whether a character neither begins a line nor reverses the direction of its text.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Demotion;
    use crate::outcome::StopReason;
    use std::time::Duration;

    fn mirror(index: usize, url: &str, outcome: Outcome, pool: bool) -> RankedMirror {
        RankedMirror {
            index,
            url: url.into(),
            outcome,
            pool,
            imprecise: false,
            address: None,
            from_cache: matches!(outcome, Outcome::Cached(_) | Outcome::Refused),
            is_detoured: false,
            is_preferred: false,
            is_lookup_unfinished: false,
            endpoint: None,
            demotion: None,
        }
    }

    fn ranking(mirrors: Vec<RankedMirror>) -> Ranking {
        Ranking {
            mirrors,
            excluded: vec![],
            stop_reason: StopReason::Settled,
            elapsed: Duration::from_millis(22),
            seed: 1,
            pool_order: PoolOrder::Shuffled,
            best: None,
            limit: None,
            ambiguous: false,
            slack_would_add: 0,
            warnings: vec!["a warning".into()],
            filters: vec![],
            tried: vec![],
            recalled: vec![],
        }
    }

    fn logged(ranking: &Ranking) -> Vec<(LogLevel, String)> {
        let mut lines = Vec::new();
        super::super::Event::Ranked(ranking).log(&mut |level, line| lines.push((level, line.to_string())));
        lines
    }

    #[test]
    fn log_of_a_long_list_has_a_limited_number_of_short_lines() {
        let table =
            [(100, None), (101, Some("1 more mirror follows")), (5000, Some("4900 more mirrors follow"))];
        for (count, rest) in table {
            // In a script of three bytes a character.
            let url = |n: usize| format!("http://me:secret@{n}.example/{}", "例".repeat(10_000));
            let mirrors = (0..count).map(|n| mirror(n, &url(n), Outcome::Unanswered, false)).collect();
            let lines = logged(&ranking(mirrors));
            assert_eq!(lines.len(), MOST_MIRROR_LINES + 2 + usize::from(rest.is_some()));
            assert!(lines.iter().all(|(_, line)| line.chars().count() < MOST_URL_CHARS + 50), "{lines:?}");
            assert!(
                lines[7].1.starts_with("8. http://7.example/例") && lines[7].1.ends_with("例...: unanswered")
            );
            assert_eq!(lines[MOST_MIRROR_LINES].1, rest.unwrap_or("a warning"));
        }
        // Equal lines become one first.
        let mirrors = (0..5000).map(|n| mirror(n, "http://a.example/", Outcome::Unanswered, false)).collect();
        assert_eq!(logged(&ranking(mirrors)).len(), 3);
    }

    #[test]
    fn result_is_logged_line_by_line() {
        let ms = Duration::from_millis;
        let ranking = ranking(vec![
            mirror(0, "http://me:secret@a.example/x", Outcome::Measured(ms(10)), true),
            mirror(2, "http://me:secret@a.example/y", Outcome::Measured(ms(10)), true),
            mirror(1, "http://b.example/\x1b[2J", Outcome::Cached(ms(30)), false),
            RankedMirror {
                is_detoured: true,
                ..mirror(4, "http://d.example/", Outcome::Measured(ms(15)), false)
            },
            RankedMirror {
                demotion: Some(Demotion::Missing { age: Duration::from_secs(60) }),
                ..mirror(5, "http://me:secret@e.example/", Outcome::Measured(ms(5)), false)
            },
            mirror(3, "http://c.example/", Outcome::Refused, false),
        ]);
        let expected = [
            (LogLevel::Debug, "1. http://a.example/x and 1 more URL of it: measured 0.010000 s, pool"),
            (LogLevel::Debug, "3. http://b.example/?[2J: cached 0.030000 s"),
            (LogLevel::Debug, "4. http://d.example/: measured 0.015000 s, detoured"),
            (LogLevel::Debug, "5. http://e.example/: measured 0.005000 s, missing"),
            (LogLevel::Debug, "6. http://c.example/: refused, from the cache"),
            (
                LogLevel::Debug,
                "http://e.example/ stands further back: it lacked a file 1 min ago, and another mirror had it",
            ),
            (LogLevel::Warning, "a warning"),
            (
                LogLevel::Debug,
                "measuring stopped after 0.022000 s (settled: no other mirror can belong to the pool): \
                 5 of 6 mirrors have a latency, 2 are in the pool",
            ),
        ];
        assert_eq!(logged(&ranking), expected.map(|(level, line)| (level, line.to_string())));
        let given = Ranking { pool_order: PoolOrder::Given, ..ranking };
        assert!(logged(&given)[7].1.ends_with(", 2 are in the pool, in the given order"));
    }
}
