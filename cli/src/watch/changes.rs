//! What differs between the pools of two runs, as plain values.

use crate::json::milliseconds;
use crate::text::escape;
use fastestmirror::{Mirror, Outcome, Ranking};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::collections::HashMap;
use std::fmt;

/// A host in one run.
#[derive(Debug, Clone, PartialEq)]
struct Host {
    name: String,
    /// That of its nearest URL.
    outcome: Outcome,
    pool: bool,
}

/// The hosts of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Hosts(Vec<Host>);

/// What happened to a host, or to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Joined,
    Left,
    /// The host is the nearest one now.
    Best,
    /// There is no pool.
    Empty,
}

/// A difference between two runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) kind: Kind,
    /// The host in the newer run; `None` for the pool as a whole.
    host: Option<Host>,
}

impl Hosts {
    pub(super) fn of(ranking: &Ranking) -> Hosts {
        let mut hosts = Hosts::default();
        let mut places = HashMap::new();
        for mirror in &ranking.mirrors {
            let parsed = Mirror::parse(&mirror.url);
            let Some(host) = parsed.host() else { continue };
            let host = Host { name: host.to_string(), outcome: mirror.outcome, pool: mirror.pool };
            match places.get(&host.name) {
                None => {
                    places.insert(host.name.clone(), hosts.0.len());
                    hosts.0.push(host);
                }
                Some(&place) => hosts.0[place].merge(&host),
            }
        }
        hosts
    }

    fn by_name(&self) -> HashMap<&str, &Host> {
        self.0.iter().map(|host| (&*host.name, host)).collect()
    }

    /// The hosts of the pool, nearest first.
    fn pool(&self) -> Vec<&Host> {
        let mut pool: Vec<_> = self.0.iter().filter(|host| host.pool).collect();
        pool.sort_by_key(|host| host.outcome.latency());
        pool
    }
}

impl Host {
    /// Takes the outcome of another URL of this host, if that is nearer.
    fn merge(&mut self, other: &Host) {
        self.pool |= other.pool;
        let is_nearer = match (other.outcome.latency(), self.outcome.latency()) {
            (Some(other), Some(known)) => other < known,
            (other, None) => other.is_some(),
            (None, Some(_)) => false,
        };
        if is_nearer {
            self.outcome = other.outcome;
        }
    }
}

/// What differs from the run `before`; without one, from an empty pool.
pub(super) fn changes(before: Option<&Hosts>, after: &Hosts) -> Vec<Change> {
    let nothing = Hosts::default();
    let old = before.unwrap_or(&nothing);
    let (old_pool, pool) = (old.pool(), after.pool());
    let (old_hosts, hosts) = (old.by_name(), after.by_name());
    let is_among = |hosts: &HashMap<_, &Host>, name: &str| hosts.get(name).is_some_and(|host| host.pool);
    let mut changes = Vec::new();
    let mut add = |kind, host: Option<&Host>| changes.push(Change { kind, host: host.cloned() });
    for host in old_pool.iter().filter(|host| !is_among(&hosts, &host.name)) {
        // The same mirrors are in each run.
        add(Kind::Left, hosts.get(&*host.name).copied());
    }
    for host in pool.iter().filter(|host| !is_among(&old_hosts, &host.name)) {
        add(Kind::Joined, Some(host));
    }
    match (old_pool.first(), pool.first()) {
        (Some(old_best), Some(best)) if old_best.name == best.name => {}
        (_, Some(best)) => add(Kind::Best, Some(best)),
        (Some(_), None) => add(Kind::Empty, None),
        (None, None) if before.is_none() => add(Kind::Empty, None),
        (None, None) => {}
    }
    changes
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Joined => "joined the pool:",
            Kind::Left => "left the pool:",
            Kind::Best => "best is now",
            Kind::Empty => "the pool is empty",
        })?;
        let Some(host) = &self.host else { return Ok(()) };
        let name = escape(&host.name);
        match host.outcome.latency() {
            // Two decimals would make mirrors in a data center look alike.
            Some(latency) if latency.as_millis() < 10 => {
                write!(f, " {name} {:.3} ms", latency.as_secs_f64() * 1e3)
            }
            Some(latency) => write!(f, " {name} {:.2} ms", latency.as_secs_f64() * 1e3),
            None => write!(f, " {name} {}", host.outcome.name()),
        }
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = match self.kind {
            Kind::Joined => "joined",
            Kind::Left => "left",
            Kind::Best => "best",
            Kind::Empty => "empty",
        };
        let host = self.host.as_ref();
        let latency = host.and_then(|host| host.outcome.latency());
        let mut object = serializer.serialize_struct("Change", 3)?;
        object.serialize_field("change", kind)?;
        object.serialize_field("host", &host.map(|host| &host.name))?;
        object.serialize_field("latency_ms", &latency.map(milliseconds))?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn host(name: &str, latency: Option<u64>, pool: bool) -> Host {
        let outcome =
            latency.map_or(Outcome::Unanswered, |latency| Outcome::Measured(Duration::from_millis(latency)));
        Host { name: name.into(), outcome, pool }
    }

    fn lines(before: Option<&Hosts>, after: &Hosts) -> Vec<String> {
        changes(before, after).iter().map(Change::to_string).collect()
    }

    #[test]
    fn changes_are_those_of_the_pool() {
        let first = Hosts(vec![
            host("far.example", Some(30), false),
            host("b.example", Some(12), true),
            host("a.example", Some(10), true),
        ]);
        let begun = [
            "joined the pool: a.example 10.00 ms",
            "joined the pool: b.example 12.00 ms",
            "best is now a.example 10.00 ms",
        ];
        assert_eq!(lines(None, &first), begun);
        assert_eq!(lines(Some(&Hosts::default()), &first), begun);
        assert!(lines(Some(&first), &first).is_empty());

        let second = Hosts(vec![
            host("far.example", Some(20), true),
            host("b.example", Some(13), true),
            host("a.example", None, false),
        ]);
        assert_eq!(
            lines(Some(&first), &second),
            [
                "left the pool: a.example unanswered",
                "joined the pool: far.example 20.00 ms",
                "best is now b.example 13.00 ms",
            ]
        );
        let none = Hosts(vec![host("far.example", None, false), host("b.example", Some(99), false)]);
        assert_eq!(lines(None, &none), ["the pool is empty"]);
        let near = Hosts(vec![host("a.example", Some(9), true)]);
        assert_eq!(lines(None, &near)[0], "joined the pool: a.example 9.000 ms");
        assert!(lines(Some(&none), &none).is_empty());
        let emptied = lines(Some(&Hosts(vec![host("b.example", Some(13), true)])), &none);
        assert_eq!(emptied, ["left the pool: b.example 99.00 ms", "the pool is empty"]);
    }

    #[test]
    fn nearest_url_of_a_host_counts() {
        let mut merged = host("a.example", Some(12), false);
        merged.merge(&host("a.example", None, false));
        assert_eq!(merged, host("a.example", Some(12), false));
        merged.merge(&host("a.example", Some(10), true));
        merged.merge(&host("a.example", Some(11), true));
        assert_eq!(merged, host("a.example", Some(10), true));
        let mut merged = host("a.example", None, false);
        merged.merge(&host("a.example", Some(10), true));
        assert_eq!(merged, host("a.example", Some(10), true));
    }

    #[test]
    fn changes_are_safe_to_print() {
        let odd = Hosts(vec![host("a\u{202e}.example", Some(10), true)]);
        assert_eq!(lines(None, &odd)[0], "joined the pool: a\\u{202e}.example 10.00 ms");
    }
}
