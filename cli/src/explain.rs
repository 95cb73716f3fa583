//! `--explain`: one paragraph on why a mirror stands where it stands. Plain values in, text out.

use crate::table::time;
use crate::text::{escape, period, without_password};
use fastestmirror::{
    Filter, Host, Mirror, Outcome, PoolOrder, RankedMirror, Ranking, Remembered, StopReason,
};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// What is to be explained, and the options that belong to the reasons.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// A host, or a URL of the list.
    pub(crate) mirror: String,
    pub(crate) factor: f64,
    pub(crate) slack: Duration,
    pub(crate) order: PoolOrder,
    pub(crate) exclude: Vec<String>,
}

impl Question {
    /// Whether it is about the mirror with this URL.
    pub(crate) fn is_about(&self, url: &str) -> bool {
        let bare = |host: &str| {
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
        };
        let is_host = |host: &Host| bare(&host.to_string()) == bare(&self.mirror);
        url == self.mirror
            || without_password(url) == self.mirror
            || Mirror::parse(url).host().is_some_and(is_host)
    }
}

/// Writes a paragraph for each mirror that the question is about, in their order.
pub(crate) fn write(out: &mut impl Write, ranking: &Ranking, question: &Question) -> io::Result<()> {
    let places = (1..).map(Some).zip(&ranking.mirrors).chain(ranking.excluded.iter().map(|it| (None, it)));
    let asked = places.filter(|(_, mirror)| question.is_about(&mirror.url));
    for (number, (place, mirror)) in asked.enumerate() {
        let separator = if number > 0 { "\n" } else { "" };
        writeln!(out, "{separator}{}", paragraph(&Facts::new(ranking, mirror, place, question)))?;
    }
    Ok(())
}

/// What the paragraph is made of.
#[derive(Debug, Clone)]
struct Facts {
    /// As it is shown.
    url: String,
    /// Its place and the number of mirrors; none if it is excluded.
    place: Option<(usize, usize)>,
    outcome: Outcome,
    /// Whether the outcome is from the cache.
    from_cache: bool,
    is_in_pool: bool,
    is_imprecise: bool,
    is_detoured: bool,
    is_preferred: bool,
    is_lookup_unfinished: bool,
    /// What downloads have shown.
    demotion: Option<String>,
    /// The option that has excluded it.
    filter: Option<String>,
    /// The addresses that were tried, what came of each, and after how long.
    tried: Vec<(SocketAddr, Outcome, Duration)>,
    /// What the cache remembered before, and since when.
    recalled: Option<(Remembered, Duration)>,
    /// None if no mirror has a latency.
    pool: Option<Pool>,
    stop_reason: StopReason,
    elapsed: Duration,
}

/// The pool of the ranking.
#[derive(Debug, Clone)]
struct Pool {
    mirrors: usize,
    best: Duration,
    /// The host with that latency.
    best_host: String,
    /// Whether it is the host in question.
    is_best: bool,
    limit: Duration,
    factor: f64,
    slack: Duration,
    order: PoolOrder,
}

impl Facts {
    fn new(ranking: &Ranking, mirror: &RankedMirror, place: Option<usize>, question: &Question) -> Facts {
        let filter = ranking.filter(mirror).map(|filter| match filter {
            Filter::Protocol => "--protocol or --https-only".to_string(),
            Filter::Include => "--include, none of whose patterns its host matches,".into(),
            Filter::Exclude(pattern) => {
                format!("--exclude {}", escape(question.exclude.get(pattern).map_or("", String::as_str)))
            }
            _ => "a filter".into(),
        });
        Facts {
            url: escape(&without_password(&mirror.url)),
            place: place.map(|place| (place, ranking.mirrors.len())),
            outcome: mirror.outcome,
            from_cache: mirror.from_cache,
            is_in_pool: mirror.pool,
            is_imprecise: mirror.imprecise,
            is_detoured: mirror.is_detoured,
            is_preferred: mirror.is_preferred,
            is_lookup_unfinished: mirror.is_lookup_unfinished,
            demotion: mirror.demotion.map(|demotion| demotion.to_string()),
            filter,
            tried: ranking.tried(mirror).map(|it| (it.address, it.outcome, it.waited)).collect(),
            recalled: ranking.recalled(mirror).map(|it| (it.remembered, it.age)),
            pool: Pool::new(ranking, mirror, question),
            stop_reason: ranking.stop_reason,
            elapsed: ranking.elapsed,
        }
    }
}

impl Pool {
    fn new(ranking: &Ranking, mirror: &RankedMirror, question: &Question) -> Option<Pool> {
        let (best, limit) = (ranking.best?, ranking.limit?);
        let has_best = |it: &&RankedMirror| it.outcome.latency() == Some(best);
        // With a factor of 1 the best is not in the pool.
        let in_pool = ranking.mirrors.iter().filter(|it| it.pool);
        let nearest = in_pool.chain(&ranking.mirrors).find(has_best)?;
        let host = |mirror: &RankedMirror| Mirror::parse(&mirror.url).host().cloned();
        let best_host = host(nearest)?;
        Some(Pool {
            mirrors: ranking.mirrors.iter().filter(|mirror| mirror.pool).count(),
            best,
            is_best: host(mirror).as_ref() == Some(&best_host),
            best_host: escape(&best_host.to_string()),
            limit,
            factor: question.factor,
            slack: question.slack,
            order: question.order,
        })
    }
}

fn paragraph(facts: &Facts) -> String {
    let mut sentences = vec![place(facts)];
    sentences.extend(memory(facts));
    sentences.extend(attempts(facts));
    sentences.extend(limit(facts));
    sentences.extend(stop(facts));
    sentences.join(" ")
}

/// Its place, and the reason in short.
fn place(facts: &Facts) -> String {
    let url = &facts.url;
    let Some((place, mirrors)) = facts.place else {
        let filter = facts.filter.as_deref().unwrap_or("a filter");
        return format!("{url} is not in the order: {filter} leaves it out.");
    };
    let preferred = if facts.is_preferred { ", with the preferred ones first" } else { "" };
    let why = match facts.outcome {
        Outcome::Local => "it is on this machine, and such mirrors are first".into(),
        _ if facts.pool.is_none() => "no mirror answered, so the order is the given one".to_string(),
        _ if facts.demotion.is_some() => {
            let reason = facts.demotion.as_deref().unwrap_or_default();
            let place = if facts.is_in_pool {
                "is at the end of the pool"
            } else {
                "stands behind all others that have a latency, for an hour"
            };
            format!("{reason}, so it {place}")
        }
        _ if facts.is_in_pool => match &facts.pool {
            Some(Pool { mirrors, order, .. }) if *mirrors > 1 => {
                let order = if *order == PoolOrder::Given { "the given order" } else { "random order" };
                format!("it is in the pool, whose {mirrors} mirrors are in {order}{preferred}")
            }
            _ => "it is the only one in the pool".into(),
        },
        Outcome::Measured(_) | Outcome::Cached(_) if facts.is_detoured => {
            "it is detoured: each connection first waits for an address that is silent, so it stands behind \
             those that are reached directly"
                .into()
        }
        Outcome::Measured(_) | Outcome::Cached(_) => {
            format!("it is outside the pool, and stands by its latency{preferred}")
        }
        Outcome::Unanswered => {
            "it did not reply, and stands behind all that have a latency, in the given order".into()
        }
        outcome => {
            let what = match outcome {
                Outcome::Refused => "it refused the connection",
                Outcome::Unreachable => "it cannot be reached",
                Outcome::Unresolved => "its name has no address that can be used",
                _ => "no connection can be made to it",
            };
            format!("{what}, and such mirrors are last, in the given order")
        }
    };
    format!("{url} is number {place} of {mirrors}: {why}.")
}

/// Its latency, and what the cache has to do with the outcome.
fn memory(facts: &Facts) -> Option<String> {
    let latency = facts.outcome.latency().map(ms);
    let Some((remembered, age)) = facts.recalled else {
        let doubt = if facts.is_imprecise { ", but a packet was lost, so it may be less" } else { "" };
        return Some(format!("Its latency is {}, measured in this run{doubt}.", latency?));
    };
    let age = period(age);
    let before = match remembered {
        Remembered::Latency(latency) | Remembered::Detoured(latency) => {
            format!("a latency of {}", ms(latency))
        }
        Remembered::Silent(waited) => format!("that it was silent for at least {}", ms(waited)),
        Remembered::Refused => "that it refused".into(),
        Remembered::Unreachable => "that it could not be reached".into(),
        _ => "that its name had no address".into(),
    };
    Some(match (facts.from_cache, latency) {
        (true, Some(latency)) => {
            format!(
                "Its latency is {latency}, measured {age} ago: it is remembered, and was not asked again."
            )
        }
        (true, None) => format!("The cache remembers {before}, {age} ago; it was not asked again."),
        (false, Some(latency)) => format!(
            "Its latency is {latency}, checked in this run; the cache remembered {before} from {age} ago."
        ),
        (false, None) => format!("The cache remembered {before} from {age} ago, and it was asked again."),
    })
}

/// The addresses that were tried.
fn attempts(facts: &Facts) -> Option<String> {
    let is_asked = !facts.from_cache && facts.place.is_some();
    if facts.tried.is_empty() {
        return match facts.outcome {
            Outcome::Unanswered if facts.is_lookup_unfinished => {
                Some("Its name was still being looked up when measuring stopped, so nothing was sent to it.".into())
            }
            Outcome::Unanswered if is_asked => Some(
                "Nothing was sent to it: measuring stopped before its turn, it is beyond the limits of a run, \
                 or its address had been asked often enough for other names."
                    .into(),
            ),
            _ => None,
        };
    }
    let describe = |&(address, outcome, waited): &(SocketAddr, Outcome, Duration)| {
        let waited = ms(waited);
        match outcome {
            Outcome::Measured(latency) => format!("{address} answered in {}", ms(latency)),
            Outcome::Refused => format!("{address} refused after {waited}"),
            Outcome::Unreachable => format!("{address} was reported unreachable after {waited}"),
            _ => format!("{address} was silent for {waited}"),
        }
    };
    let tried: Vec<_> = facts.tried.iter().map(describe).collect();
    Some(format!("Tried: {}.", tried.join("; then ")))
}

/// The limit of the pool, and how it compares with that.
fn limit(facts: &Facts) -> Option<String> {
    let pool = facts.pool.as_ref()?;
    let latency = facts.outcome.latency();
    if latency.is_none() && facts.outcome != Outcome::Unanswered {
        return None;
    }
    // As in the rule: whichever is more.
    let multiple = if pool.best + pool.slack > pool.best.mul_f64(pool.factor) {
        format!("{} above", ms(pool.slack))
    } else if pool.factor == 2.0 {
        "twice".into()
    } else {
        format!("{} times", pool.factor)
    };
    let best = if pool.is_best {
        format!("its own latency of {}, the best", ms(pool.best))
    } else {
        format!("the best, {} with {}", pool.best_host, ms(pool.best))
    };
    let comparison = match latency {
        None => String::new(),
        Some(_) if pool.is_best => String::new(),
        Some(latency) if latency < pool.limit && facts.is_detoured && !facts.is_in_pool => {
            "; it is below that, but the wait for the silent address comes on top".into()
        }
        Some(latency) if latency < pool.limit => format!("; it is {} below", ms(pool.limit - latency)),
        Some(_) if facts.is_in_pool => {
            "; another port of its host, or another name of it, is below that".into()
        }
        Some(latency) => format!("; it is {} above", ms(latency - pool.limit)),
    };
    Some(format!("The limit of the pool is {}: {multiple} {best}{comparison}.", ms(pool.limit)))
}

/// Why nothing more was waited for.
fn stop(facts: &Facts) -> Option<String> {
    if facts.outcome != Outcome::Unanswered || facts.from_cache {
        return None;
    }
    let (elapsed, reason) = (time(facts.elapsed), facts.stop_reason);
    Some(format!("Measuring stopped after {elapsed} ({}): {reason}.", reason.name()))
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// A mirror of the pool, measured in this run.
    fn facts() -> Facts {
        Facts {
            url: "http://a.example/".into(),
            place: Some((2, 9)),
            outcome: Outcome::Measured(MS(15)),
            from_cache: false,
            is_in_pool: true,
            is_imprecise: false,
            is_detoured: false,
            is_preferred: false,
            is_lookup_unfinished: false,
            demotion: None,
            filter: None,
            tried: vec![tried(([192, 0, 2, 1], 80, Outcome::Measured(MS(15)), 15))],
            recalled: None,
            pool: Some(Pool {
                mirrors: 3,
                best: MS(10),
                best_host: "b.example".into(),
                is_best: false,
                limit: MS(20),
                factor: 2.0,
                slack: Duration::ZERO,
                order: PoolOrder::Shuffled,
            }),
            stop_reason: StopReason::Settled,
            elapsed: MS(48),
        }
    }

    fn tried((ip, port, outcome, waited): ([u8; 4], u16, Outcome, u64)) -> (SocketAddr, Outcome, Duration) {
        ((ip, port).into(), outcome, MS(waited))
    }

    fn pool() -> Pool {
        facts().pool.expect("a pool")
    }

    #[test]
    fn paragraph_says_why_for_each_class() {
        let ip = [192, 0, 2, 1];
        let failed = |outcome, tries: &[(Outcome, u64)]| Facts {
            outcome,
            is_in_pool: false,
            place: Some((9, 9)),
            tried: tries.iter().map(|&(outcome, waited)| tried((ip, 80, outcome, waited))).collect(),
            ..facts()
        };
        const TRIED: &str = "Tried: 192.0.2.1:80 answered in 15.00 ms. ";
        const LIMIT: &str = "The limit of the pool is 20.00 ms: twice the best, b.example with 10.00 ms";
        let measured = "Its latency is 15.00 ms, measured in this run. ".to_owned() + TRIED + LIMIT;
        let table = [
            (
                facts(),
                format!("is number 2 of 9: it is in the pool, whose 3 mirrors are in random order. {measured}; it is 5.00 ms below."),
            ),
            (
                Facts { is_preferred: true, ..facts() },
                format!("is number 2 of 9: it is in the pool, whose 3 mirrors are in random order, with the preferred ones first. {measured}; it is 5.00 ms below."),
            ),
            (
                Facts { pool: Some(Pool { order: PoolOrder::Given, ..pool() }), ..facts() },
                format!("is number 2 of 9: it is in the pool, whose 3 mirrors are in the given order. {measured}; it is 5.00 ms below."),
            ),
            // The best, alone, with another factor.
            (
                Facts {
                    pool: Some(Pool { mirrors: 1, best: MS(15), is_best: true, factor: 1.5, limit: MS(22), ..pool() }),
                    ..facts()
                },
                format!("is number 2 of 9: it is the only one in the pool. Its latency is 15.00 ms, measured in this run. {TRIED}The limit of the pool is 22.00 ms: 1.5 times its own latency of 15.00 ms, the best."),
            ),
            // The slack decides, and it is outside. A packet was lost.
            (
                Facts {
                    outcome: Outcome::Measured(MS(90)),
                    is_in_pool: false,
                    is_imprecise: true,
                    tried: vec![],
                    pool: Some(Pool { slack: MS(20), limit: MS(30), ..pool() }),
                    ..facts()
                },
                "is number 2 of 9: it is outside the pool, and stands by its latency. Its latency is 90.00 ms, measured in this run, but a packet was lost, so it may be less. The limit of the pool is 30.00 ms: 20.00 ms above the best, b.example with 10.00 ms; it is 60.00 ms above.".into(),
            ),
            // Another port of its host is near.
            (
                Facts { outcome: Outcome::Measured(MS(25)), tried: vec![], ..facts() },
                format!("is number 2 of 9: it is in the pool, whose 3 mirrors are in random order. Its latency is 25.00 ms, measured in this run. {LIMIT}; another port of its host, or another name of it, is below that."),
            ),
            (
                Facts {
                    is_in_pool: false,
                    is_detoured: true,
                    tried: vec![tried((ip, 80, Outcome::Unanswered, 250)), tried(([192, 0, 2, 2], 80, Outcome::Measured(MS(15)), 15))],
                    ..facts()
                },
                format!("is number 2 of 9: it is detoured: each connection first waits for an address that is silent, so it stands behind those that are reached directly. Its latency is 15.00 ms, measured in this run. Tried: 192.0.2.1:80 was silent for 250.00 ms; then 192.0.2.2:80 answered in 15.00 ms. {LIMIT}; it is below that, but the wait for the silent address comes on top."),
            ),
            // By what downloads have shown.
            (
                Facts { demotion: Some("it is slow".into()), ..facts() },
                format!("is number 2 of 9: it is slow, so it is at the end of the pool. Its latency is 15.00 ms, measured in this run. {TRIED}{LIMIT}; it is 5.00 ms below."),
            ),
            (
                Facts {
                    demotion: Some("it lacked a file 2 min ago".into()),
                    is_in_pool: false,
                    ..facts()
                },
                format!("is number 2 of 9: it lacked a file 2 min ago, so it stands behind all others that have a latency, for an hour. Its latency is 15.00 ms, measured in this run. {TRIED}{LIMIT}; it is 5.00 ms below."),
            ),
            // From the cache, and checked.
            (
                Facts {
                    outcome: Outcome::Cached(MS(15)),
                    from_cache: true,
                    recalled: Some((Remembered::Latency(MS(15)), Duration::from_secs(7300))),
                    tried: vec![],
                    ..facts()
                },
                format!("is number 2 of 9: it is in the pool, whose 3 mirrors are in random order. Its latency is 15.00 ms, measured 2 h ago: it is remembered, and was not asked again. {LIMIT}; it is 5.00 ms below."),
            ),
            (
                Facts { recalled: Some((Remembered::Latency(MS(14)), Duration::from_secs(7300))), ..facts() },
                format!("is number 2 of 9: it is in the pool, whose 3 mirrors are in random order. Its latency is 15.00 ms, checked in this run; the cache remembered a latency of 14.00 ms from 2 h ago. {TRIED}{LIMIT}; it is 5.00 ms below."),
            ),
            (
                failed(Outcome::Unanswered, &[(Outcome::Unanswered, 40), (Outcome::Unanswered, 22)]),
                format!("is number 9 of 9: it did not reply, and stands behind all that have a latency, in the given order. Tried: 192.0.2.1:80 was silent for 40.00 ms; then 192.0.2.1:80 was silent for 22.00 ms. {LIMIT}. Measuring stopped after 48 ms (settled): no other mirror can belong to the pool."),
            ),
            (
                Facts {
                    from_cache: true,
                    recalled: Some((Remembered::Silent(MS(120)), Duration::from_secs(59))),
                    ..failed(Outcome::Unanswered, &[])
                },
                format!("is number 9 of 9: it did not reply, and stands behind all that have a latency, in the given order. The cache remembers that it was silent for at least 120.00 ms, 59 s ago; it was not asked again. {LIMIT}."),
            ),
            (
                Facts { is_lookup_unfinished: true, ..failed(Outcome::Unanswered, &[]) },
                format!("is number 9 of 9: it did not reply, and stands behind all that have a latency, in the given order. Its name was still being looked up when measuring stopped, so nothing was sent to it. {LIMIT}. Measuring stopped after 48 ms (settled): no other mirror can belong to the pool."),
            ),
            (
                failed(Outcome::Refused, &[(Outcome::Refused, 7)]),
                "is number 9 of 9: it refused the connection, and such mirrors are last, in the given order. Tried: 192.0.2.1:80 refused after 7.00 ms.".into(),
            ),
            (
                Facts {
                    from_cache: true,
                    recalled: Some((Remembered::Unreachable, Duration::from_secs(600))),
                    ..failed(Outcome::Unreachable, &[])
                },
                "is number 9 of 9: it cannot be reached, and such mirrors are last, in the given order. The cache remembers that it could not be reached, 10 min ago; it was not asked again.".into(),
            ),
            (
                failed(Outcome::Unresolved, &[]),
                "is number 9 of 9: its name has no address that can be used, and such mirrors are last, in the given order.".into(),
            ),
            (
                Facts { place: Some((1, 9)), ..failed(Outcome::Local, &[]) },
                "is number 1 of 9: it is on this machine, and such mirrors are first.".into(),
            ),
            (
                Facts { pool: None, stop_reason: StopReason::Timeout, ..failed(Outcome::Unanswered, &[(Outcome::Unanswered, 2000)]) },
                "is number 9 of 9: no mirror answered, so the order is the given one. Tried: 192.0.2.1:80 was silent for 2000.00 ms. Measuring stopped after 48 ms (timeout): the timeout was reached.".into(),
            ),
            (
                Facts { place: None, filter: Some("--exclude *.example".into()), ..failed(Outcome::Excluded, &[]) },
                "is not in the order: --exclude *.example leaves it out.".into(),
            ),
        ];
        for (facts, expected) in table {
            assert_eq!(paragraph(&facts), format!("http://a.example/ {expected}"));
        }
    }

    #[test]
    fn question_is_about_a_host_or_a_url() {
        let is_about = |mirror: &str, url: &str| {
            let mirror = mirror.into();
            Question {
                mirror,
                factor: 2.0,
                slack: Duration::ZERO,
                order: PoolOrder::Shuffled,
                exclude: Vec::new(),
            }
            .is_about(url)
        };
        for (mirror, url) in [
            ("a.example", "http://A.example:81/pub"),
            ("A.example.", "https://user:secret@a.example/"),
            ("https://user:***@a.example/", "https://user:secret@a.example/"),
            ("192.0.2.1", "http://192.0.2.1/"),
            ("[2001:db8::1]", "http://[2001:DB8::1]/"),
            ("2001:db8::1", "http://[2001:db8::1]:81/"),
            ("file:///srv", "file:///srv"),
        ] {
            assert!(is_about(mirror, url), "{mirror} {url}");
        }
        for (mirror, url) in
            [("a", "http://a.example/"), ("a.example", "http://b.example/"), ("", "file:///srv")]
        {
            assert!(!is_about(mirror, url), "{mirror} {url}");
        }
    }
}
