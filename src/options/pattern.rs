//! Patterns of host names, by which a caller includes, excludes or prefers mirrors. Pure text.
#![forbid(unsafe_code)]

use crate::url::{self, Host};
use std::fmt;

/// The most characters of a pattern. A host's name has at most 253.
pub(crate) const MAX_PATTERN_CHARS: usize = 1024;

/// A glob over the whole host name (`*` any text, `?` any character), or a domain's suffix
/// (`.gov`). A name in another script is compared as it stands in the URL: a pattern in that script
/// does not match its punycode form.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    kind: Kind,
    /// In lower case.
    chars: Vec<char>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    Suffix,
    Glob,
}

/// A host in the form in which patterns are compared with it.
pub(crate) struct HostChars(Vec<char>);

impl HostChars {
    pub(crate) fn new(host: &Host) -> HostChars {
        let host = host.to_string();
        HostChars(host.strip_suffix('.').unwrap_or(&host).chars().collect())
    }
}

impl Pattern {
    /// Reads a pattern. Returns none if it could match no host: if it is empty, or has characters
    /// that no host has; or if it is too long.
    pub(crate) fn new(text: &str) -> Option<Pattern> {
        let fits = |c: char| url::is_in_names(c) || ".:*?".contains(c);
        // As of the host that it is compared with, the dot of the root does not count.
        let text = text.strip_suffix('.').unwrap_or(text);
        let chars: Vec<char> =
            text.chars().take(MAX_PATTERN_CHARS + 1).map(|c| c.to_ascii_lowercase()).collect();
        let has_length = (1..=MAX_PATTERN_CHARS).contains(&chars.len());
        if !has_length || text == "." || !text.chars().all(fits) {
            return None;
        }
        let kind = match text {
            _ if text.contains(['*', '?']) => Kind::Glob,
            _ if text.starts_with('.') => Kind::Suffix,
            _ => Kind::Name,
        };
        Some(Pattern { kind, chars })
    }

    pub(crate) fn matches(&self, HostChars(host): &HostChars) -> bool {
        match self.kind {
            Kind::Name => *host == self.chars,
            Kind::Suffix => host.ends_with(&self.chars),
            Kind::Glob => glob(&self.chars, host),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.chars.iter().collect::<String>()).finish()
    }
}

/// Returns whether the pattern matches the whole text. It goes back to the last star only, so that
/// even a hostile pattern takes no longer than the product of both lengths.
fn glob(pattern: &[char], text: &[char]) -> bool {
    // Most names differ from a pattern in the domain, at the end.
    let mut ends = pattern.iter().rev().take_while(|&&c| c != '*').zip(text.iter().rev());
    if !ends.all(|(&c, &d)| c == '?' || c == d) {
        return false;
    }
    let (mut p, mut t) = (0, 0);
    let mut last_star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                last_star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                // The last star takes one character more.
                let Some((star, taken)) = last_star else { return false };
                last_star = Some((star, taken + 1));
                (p, t) = (star + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, host: &str) -> bool {
        let host = host.parse().map_or_else(|_| Host::Name(host.into()), Host::Address);
        Pattern::new(pattern).expect(pattern).matches(&HostChars::new(&host))
    }

    #[test]
    fn pattern_is_a_glob_or_a_suffix() {
        let table = [
            ("mirror.example", "mirror.example", true),
            ("Mirror.EXAMPLE", "mirror.example", true),
            ("mirror", "mirror.example", false),
            ("*.de", "ftp.mirror.de", true),
            ("*.de", "mirror.de.example", false),
            ("*", "anything", true),
            ("m*r?.example", "mirror1.example", true),
            ("m*r?.example", "mirror.example", false),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxcxxbxxaxx", false),
            (".gov", "mirror.gov", true),
            (".gov", "mirror.agency.gov", true),
            (".gov", "gov", false),
            (".gov", "mirrorgov", false),
            (".g?v", "mirror.gov", false),
            ("*.g?v", "mirror.gov", true),
            ("192.0.2.*", "192.0.2.7", true),
            ("2001:db8:*", "2001:db8::7", true),
            ("2001:DB8::7", "2001:db8::7", true),
            ("München.*", "münchen.example", true),
            ("m?nchen.example", "münchen.example", true),
            ("m??nchen.example", "münchen.example", false),
            ("*?像.例子", "镜像.例子", true),
            (".例子", "镜像.例子", true),
            (".例子", "镜像.example", false),
            ("münchen.example", "xn--mnchen-3ya.example", false),
        ];
        for (pattern, host, expected) in table {
            assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn pattern_that_can_match_no_host_is_refused() {
        let others = ["mün chen.de", "mün\u{a0}chen.de", "münchen。de", "\u{85}", "\u{fffd}", "%61"];
        for text in ["", ".", "http://mirror.example", "mirror.example/", "a b", "[::1]", "a,b", "a\n"]
            .into_iter()
            .chain(others)
        {
            assert_eq!(Pattern::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn pattern_has_at_most_1024_characters() {
        for c in ["*", "a", "ü"] {
            assert!(Pattern::new(&c.repeat(MAX_PATTERN_CHARS)).is_some());
            assert_eq!(Pattern::new(&c.repeat(MAX_PATTERN_CHARS + 1)), None);
        }
    }

    proptest! {
        #[test]
        fn glob_agrees_with_the_plain_definition(pattern in "[aü?*]{0,8}", text in "[aü]{0,8}") {
            fn plain(pattern: &[char], text: &[char]) -> bool {
                match (pattern.split_first(), text.split_first()) {
                    (None, rest) => rest.is_none(),
                    (Some(('*', more)), _) => (0..=text.len()).any(|n| plain(more, &text[n..])),
                    (Some((c, more)), Some((d, rest))) => (*c == '?' || c == d) && plain(more, rest),
                    _ => false,
                }
            }
            let chars = |text: String| text.chars().collect::<Vec<_>>();
            let (pattern, text) = (chars(pattern), chars(text));
            prop_assert_eq!(glob(&pattern, &text), plain(&pattern, &text));
        }
    }
}
