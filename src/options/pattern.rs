//! Patterns of host names, by which a caller includes, excludes or prefers mirrors. Pure text.
#![forbid(unsafe_code)]

use crate::url::{self, Host};

/// A glob over the whole host name (`*` any text, `?` any character), or a domain's suffix
/// (`.gov`). A name in another script is compared as it stands in the URL: a pattern in that script
/// does not match its punycode form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// Reads a pattern. Returns none if it could match no host: if it is empty, or has characters
    /// that no host has.
    pub(crate) fn new(text: &str) -> Option<Pattern> {
        let fits = |c: char| url::is_in_names(c) || ".:*?".contains(c);
        // As of the host that it is compared with, the dot of the root does not count.
        let text = text.strip_suffix('.').unwrap_or(text);
        let is_valid = !text.is_empty() && text != "." && text.chars().all(fits);
        is_valid.then(|| Pattern(text.to_ascii_lowercase()))
    }

    pub(crate) fn matches(&self, host: &Host) -> bool {
        let host = host.to_string();
        let host = host.strip_suffix('.').unwrap_or(&host);
        if !self.0.contains(['*', '?']) {
            return if self.0.starts_with('.') { host.ends_with(&self.0) } else { host == self.0 };
        }
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        glob(&chars(&self.0), &chars(host))
    }
}

/// Returns whether the pattern matches the whole text. It goes back to the last star only, so that
/// even a hostile pattern takes no longer than the product of both lengths.
fn glob(pattern: &[char], text: &[char]) -> bool {
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
        Pattern::new(pattern).expect(pattern).matches(&host)
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
