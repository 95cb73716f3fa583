//! Which mirrors the settings exclude from each list, whether or not it can be ranked.

use crate::handle::Handle;
use crate::log::Log;
use crate::settings::Settings;
use crate::sort::MirrorList;
use fastestmirror::{Error, Mirror, Ranker};
use std::time::Duration;

/// Lists without the mirrors that the settings exclude.
pub(crate) struct Filtered {
    pub(crate) lists: Vec<MirrorList>,
    /// The positions of the excluded mirrors among those of all lists in a row.
    pub(crate) excluded: Vec<usize>,
}

/// Reads lists. One of which every mirror is excluded stays as it is, and has no mirror to rank:
/// without any, the caller would lose the repository.
pub(crate) fn filter(log: Log, settings: &Settings, lists: Vec<(Option<Handle>, Vec<String>)>) -> Filtered {
    let mut filtered = Filtered { lists: Vec::new(), excluded: Vec::new() };
    let mut begin = 0;
    for (handle, urls) in lists {
        let count = urls.len();
        let list = match excluded(log, settings, &urls) {
            Excluded::Some(indices) => {
                let mut is_used = vec![true; count];
                for index in indices {
                    is_used[index] = false;
                    filtered.excluded.push(begin + index);
                }
                let used = urls.into_iter().enumerate().filter(|(index, _)| is_used[*index]);
                let (positions, urls) = used.map(|(index, url)| (begin + index, url)).unzip();
                MirrorList { handle, urls, positions }
            }
            Excluded::All => MirrorList { handle, urls: Vec::new(), positions: Vec::new() },
        };
        filtered.lists.push(list);
        begin += count;
    }
    filtered
}

enum Excluded {
    /// The indices of the excluded, perhaps none.
    Some(Vec<usize>),
    All,
}

fn excluded(log: Log, settings: &Settings, urls: &[String]) -> Excluded {
    if !settings.has_filters() || urls.is_empty() {
        return Excluded::Some(Vec::new());
    }
    let mut ranker = Ranker::new();
    settings.apply_filters(&mut ranker);
    // Without time to measure, a ranker applies its filters and nothing else. It needs no
    // descriptor then.
    match ranker.timeout(Duration::ZERO).and_then(|ranker| ranker.rank(urls)) {
        Ok(ranking) => {
            let indices: Vec<usize> = ranking.excluded.iter().map(|mirror| mirror.index).collect();
            if !indices.is_empty() {
                log.debug(&format!(
                    "the settings exclude {} of {} mirrors: {}",
                    indices.len(),
                    urls.len(),
                    hosts(indices.iter().map(|&index| urls[index].as_str()))
                ));
            }
            Excluded::Some(indices)
        }
        Err(Error::AllExcluded { mirrors }) => {
            log.debug(&format!("keeping the list of {mirrors} mirrors: the settings exclude each of them"));
            Excluded::All
        }
        // The system has no random numbers; the run that follows needs them, too.
        Err(error) => {
            log.debug(&format!("ignoring which mirrors the settings exclude: {error}"));
            Excluded::Some(Vec::new())
        }
    }
}

/// The first hosts of these URLs, for the log. The URLs may hold passwords.
fn hosts<'a>(urls: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 10;
    let mut hosts: Vec<String> = Vec::new();
    for url in urls {
        let host = match Mirror::parse(url) {
            Mirror::Local => "local files".into(),
            Mirror::Remote(_, endpoint) => endpoint.host.to_string(),
            Mirror::Unsupported => "URLs of an unknown kind".into(),
        };
        if hosts.len() <= MOST && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    if hosts.len() > MOST {
        hosts[MOST] = "...".into();
    }
    hosts.join(", ")
}
