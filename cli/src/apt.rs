//! The result as a mirrorlist of apt, with priorities (apt-transport-mirror(1)): apt asks the
//! mirrors with the lowest number first, and shuffles those that share one.

use crate::input::{Input, Kind};
use crate::metalink;
use crate::text::{is_plain, percent_encode};
use fastestmirror::{PoolOrder, RankedMirror, Ranking};
use std::io::{self, Write};

/// Writes a line for each mirror: the URL, a tab, and the priority. The pool shares one number, and
/// every other mirror has its own, in the order in which to try them. What else a line of apt's own
/// list says about a mirror stays, such as the architectures that it has.
pub(crate) fn write(out: &mut impl Write, ranking: &Ranking, input: &Input) -> io::Result<()> {
    // apt would shuffle a pool that is to stay in the given order.
    let is_shuffled = ranking.pool_order == PoolOrder::Shuffled;
    let priorities = priorities(ranking.mirrors.iter().map(|mirror| mirror.pool && is_shuffled));
    for (mirror, priority) in ranking.mirrors.iter().zip(priorities) {
        let url = percent_encode(url(mirror, input));
        write!(out, "{url}\tpriority:{priority}")?;
        for item in input.line(mirror.index).map(metadata).unwrap_or_default() {
            write!(out, " {item}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The URL of the repository, also of one that is given as a path.
fn url<'a>(mirror: &'a RankedMirror, input: &Input) -> &'a str {
    match input.kind {
        Kind::Metalink(_) => metalink::base(&mirror.url),
        Kind::Lines(_) => &mirror.url,
    }
}

/// What a line of apt's own list has behind its URL, without the priority: words like `arch:amd64`.
/// Nothing if there is anything else in the line.
fn metadata(line: &[u8]) -> Vec<&str> {
    let line = std::str::from_utf8(line).unwrap_or_default().trim();
    let Some((url, rest)) = line.split_once('\t') else { return Vec::new() };
    let items: Vec<_> = rest.split_ascii_whitespace().collect();
    let is_item = |item: &&str| {
        item.split_once(':').is_some_and(|(key, value)| {
            !key.is_empty()
                && key.bytes().all(|byte| byte.is_ascii_lowercase())
                && value.chars().all(is_plain)
        })
    };
    if url.contains(' ') || !items.iter().all(is_item) {
        return Vec::new();
    }
    items.into_iter().filter(|item| !item.starts_with("priority:")).collect()
}

/// The priorities of mirrors, of which each is in the pool or not. Those of the pool stand
/// together.
fn priorities(pool: impl Iterator<Item = bool>) -> impl Iterator<Item = usize> {
    let (mut priority, mut last_is_in_pool) = (0, false);
    pool.map(move |is_in_pool| {
        priority += usize::from(!(is_in_pool && last_is_in_pool));
        last_is_in_pool = is_in_pool;
        priority
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_what_apt_takes_behind_a_url() {
        let table: [(&str, &[&str]); 8] = [
            (
                "http://a.example/\tpriority:7 arch:amd64\tarch:all type:index\r\n",
                &["arch:amd64", "arch:all", "type:index"],
            ),
            (" http://a.example/\t priority:7\n", &[]),
            ("http://a.example/", &[]),
            ("http://a.example/ arch:amd64", &[]),
            ("http://a.example/\t# a comment: not for apt", &[]),
            ("Server = http://a.example/\tarch:amd64", &[]),
            ("http://a.example/\tarch:amd64 main", &[]),
            ("http://a.example/\tarch:\u{1b}[2J", &[]),
        ];
        for (line, expected) in table {
            assert_eq!(metadata(line.as_bytes()), expected, "{line}");
        }
        assert!(metadata(b"http://a.example/\tarch:\xff").is_empty());
    }

    #[test]
    fn pool_shares_a_priority_and_no_other_mirror_does() {
        let table: [(&[u8], &[usize]); 4] = [
            (b"ppp--", &[1, 1, 1, 2, 3]),
            // Mirrors on this machine stand before the pool.
            (b"--pp-", &[1, 2, 3, 3, 4]),
            (b"---", &[1, 2, 3]),
            (b"", &[]),
        ];
        for (mirrors, expected) in table {
            let found: Vec<_> = priorities(mirrors.iter().map(|&mirror| mirror == b'p')).collect();
            assert_eq!(found, expected);
        }
    }
}
