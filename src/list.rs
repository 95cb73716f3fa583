//! The list as it was read: its mirrors, and one table of their hosts and endpoints, which cache,
//! measuring and rule share. Pure: nothing is looked up here.
#![forbid(unsafe_code)]

use crate::hosts::{EndpointId, HostId, ListedEndpoint, ListedHost};
use crate::options::{HostMatch, Options};
use crate::outcome::Filter;
use crate::ranking::{Candidate, Error};
use crate::url::{Endpoint, Host, Mirror, Protocol};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The mirrors of a run, in the order given, and what they lead to.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) mirrors: Vec<ListedMirror>,
    /// What excludes each excluded mirror, in their order.
    pub(crate) filters: Vec<Filter>,
    /// Each host once, in the order of its first mirror.
    pub(crate) hosts: Vec<ListedHost>,
    /// What may be measured: each endpoint once, in the order of its first mirror, as far as
    /// filters, address family and limits let it.
    pub(crate) endpoints: Vec<ListedEndpoint>,
    /// Whether only public addresses are measured.
    pub(crate) public_only: bool,
}

#[derive(Debug)]
pub(crate) struct ListedMirror {
    pub(crate) url: String,
    pub(crate) weight: f64,
    pub(crate) is_excluded: bool,
    pub(crate) target: Target,
}

/// What the URL of a mirror leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Local,
    Unsupported,
    Remote {
        protocol: Protocol,
        host: HostId,
        /// None if it is not to be measured.
        endpoint: Option<EndpointId>,
    },
}

impl List {
    /// Reads the candidates.
    ///
    /// # Errors
    /// If a weight is not positive and finite, or if the filters exclude every mirror.
    pub(crate) fn read(candidates: Vec<Candidate>, options: &Options) -> Result<List, Error> {
        let is_valid = |weight: f64| weight > 0.0 && weight.is_finite();
        if let Some(bad) = candidates.iter().find(|candidate| !is_valid(candidate.weight)) {
            return Err(Error::InvalidWeight { url: bad.url.clone(), weight: bad.weight });
        }
        let parsed: Vec<Mirror> = candidates.iter().map(|candidate| Mirror::parse(&candidate.url)).collect();
        // An administrator whose only mirror is a private one means it.
        let mut endpoints = parsed.iter().filter_map(|mirror| match mirror {
            Mirror::Remote(_, endpoint) => Some(endpoint),
            Mirror::Local | Mirror::Unsupported => None,
        });
        let first = endpoints.next();
        let public_only = options.public_only && endpoints.any(|endpoint| Some(endpoint) != first);
        let mut table = Table::new(options, public_only, parsed.len());
        let mut mirrors = Vec::with_capacity(candidates.len());
        let mut filters = Vec::new();
        for (Candidate { url, weight }, mirror) in candidates.into_iter().zip(&parsed) {
            let mut excluded_by = options.excludes_protocol(mirror.protocol()).then_some(Filter::Protocol);
            let target = match mirror {
                Mirror::Local | Mirror::Unsupported => {
                    excluded_by = excluded_by.or(options.excludes_hostless().then_some(Filter::Include));
                    if *mirror == Mirror::Local { Target::Local } else { Target::Unsupported }
                }
                Mirror::Remote(protocol, endpoint) => {
                    let host = table.host(&endpoint.host);
                    excluded_by = excluded_by.or(table.excluded_by[host.0]);
                    let is_kept = excluded_by.is_none();
                    let endpoint = if is_kept { table.endpoint(host, endpoint.port) } else { None };
                    Target::Remote { protocol: *protocol, host, endpoint }
                }
            };
            mirrors.push(ListedMirror { url, weight, is_excluded: excluded_by.is_some(), target });
            filters.extend(excluded_by);
        }
        if !mirrors.is_empty() && filters.len() == mirrors.len() {
            return Err(Error::AllExcluded { mirrors: mirrors.len() });
        }
        Ok(List { mirrors, filters, hosts: table.hosts, endpoints: table.endpoints, public_only })
    }

    pub(crate) fn host(&self, HostId(host): HostId) -> &ListedHost {
        &self.hosts[host]
    }

    /// Returns the endpoint in full.
    pub(crate) fn endpoint(&self, EndpointId(endpoint): EndpointId) -> Endpoint {
        let ListedEndpoint { host, port } = self.endpoints[endpoint];
        Endpoint { host: self.host(host).host.clone(), port }
    }
}

/// The tables of a list while it is read.
struct Table<'a> {
    options: &'a Options,
    public_only: bool,
    hosts: Vec<ListedHost>,
    host_ids: HashMap<&'a Host, HostId>,
    /// The place of each host of the reference.
    reference: HashMap<&'a Host, usize>,
    /// Which patterns exclude each host, by host.
    excluded_by: Vec<Option<Filter>>,
    endpoints: Vec<ListedEndpoint>,
    endpoint_ids: HashMap<(HostId, u16), EndpointId>,
    /// How many endpoints each host has, by host.
    ports: Vec<usize>,
}

impl<'a> Table<'a> {
    fn new(options: &'a Options, public_only: bool, mirrors: usize) -> Table<'a> {
        // Reversed, so that the first place of a host counts.
        let reference = options.pool_reference.iter().enumerate().rev().map(|(place, host)| (host, place));
        Table {
            options,
            reference: reference.collect(),
            public_only,
            hosts: Vec::with_capacity(mirrors),
            host_ids: HashMap::with_capacity(mirrors),
            excluded_by: Vec::with_capacity(mirrors),
            endpoints: Vec::with_capacity(mirrors),
            endpoint_ids: HashMap::with_capacity(mirrors),
            ports: Vec::with_capacity(mirrors),
        }
    }

    fn host(&mut self, host: &'a Host) -> HostId {
        let next = HostId(self.hosts.len());
        let id = *self.host_ids.entry(host).or_insert(next);
        if id == next {
            let HostMatch { excluded_by, is_preferred } = self.options.match_host(host);
            self.excluded_by.push(excluded_by);
            self.hosts.push(ListedHost {
                host: host.clone(),
                is_preferred,
                refused_as: self.options.refuses(host, self.public_only),
                place: self
                    .reference
                    .get(host)
                    .copied()
                    .unwrap_or(self.options.pool_reference.len() + next.0),
            });
            self.ports.push(0);
        }
        id
    }

    /// Returns the endpoint, unless it cannot be reached or there are too many.
    fn endpoint(&mut self, host: HostId, port: u16) -> Option<EndpointId> {
        if self.hosts[host.0].refused_as.is_some() {
            return None;
        }
        match self.endpoint_ids.entry((host, port)) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(new) => {
                let ports = &mut self.ports[host.0];
                if self.endpoints.len() >= self.options.max_endpoints
                    || *ports >= self.options.max_endpoints_per_host
                {
                    return None;
                }
                *ports += 1;
                self.endpoints.push(ListedEndpoint { host, port });
                Some(*new.insert(EndpointId(self.endpoints.len() - 1)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Pattern;
    use std::time::{Duration, Instant};

    fn read(urls: &[String], exclude: &[&str]) -> List {
        let exclude = exclude.iter().map(|text| Pattern::new(text).expect("a pattern")).collect();
        let options = Options { exclude, ..Options::default() };
        let candidates = urls.iter().map(|url| Candidate { url: url.clone(), weight: 1.0 }).collect();
        List::read(candidates, &options).expect("some mirror is left")
    }

    #[test]
    fn patterns_are_matched_once_for_each_host() {
        let urls: Vec<_> = (0..2000).map(|n| format!("http://ftp.mirror.example:{}/", 1 + n % 9)).collect();
        // Each is compared to the last character of the host.
        let patterns = vec!["*z*.example"; 256];
        let time = |patterns: &[&str]| {
            let once = || {
                let start = Instant::now();
                assert!(read(&urls, patterns).mirrors.iter().all(|mirror| !mirror.is_excluded));
                start.elapsed()
            };
            (0..5).map(|_| once()).min().unwrap_or_default()
        };
        let (without, with) = (time(&[]), time(&patterns));
        // For each URL it would take many times as long.
        assert!(with < 5 * without + Duration::from_millis(1), "{with:?}, without patterns {without:?}");
    }

    #[test]
    fn place_of_a_host_is_that_of_the_reference_or_else_behind_all_of_it() {
        let urls = ["http://new/", "http://b/1", "file:///srv", "https://A/", "http://b/2", "http://newer/"];
        let candidates = || urls.iter().map(|&url| Candidate::from(url)).collect();
        let places = |reference: &[&str]| -> Vec<(String, usize)> {
            let mut ranker = crate::Ranker::new();
            let list = List::read(candidates(), ranker.pool_reference(reference).options()).expect("a list");
            list.hosts.iter().map(|host| (host.host.to_string(), host.place)).collect()
        };
        let expected = |places: [usize; 4]| -> Vec<(String, usize)> {
            ["new", "b", "a", "newer"].map(String::from).into_iter().zip(places).collect()
        };
        assert_eq!(places(&[]), expected([0, 1, 2, 3]));
        let reference = ["x:", "ftp://a:2121/", "file:///b", "http://other/", "http://B/", "http://a/2"];
        assert_eq!(places(&reference), expected([4, 2, 0, 7]));
    }

    #[test]
    fn every_mirror_of_an_excluded_host_is_excluded_and_not_measured() {
        let urls = ["http://a.example/", "https://b.example/", "http://A.example:81/", "file:///srv", "x:"];
        let list = read(&urls.map(String::from), &["A.*"]);
        let excluded: Vec<bool> = list.mirrors.iter().map(|mirror| mirror.is_excluded).collect();
        assert_eq!((excluded, list.endpoints.len()), (vec![true, false, true, false, false], 1));
    }
}
