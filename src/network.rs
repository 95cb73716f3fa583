//! Which network is this? A stand-in with the interface of the real one.
#![forbid(unsafe_code)]

/// A network, as far as it is known in each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Network {
    pub(crate) ipv4: Option<u64>,
    pub(crate) ipv6: Option<u64>,
}

impl Network {
    pub(crate) fn here() -> Network {
        Network::default()
    }

    /// Whether the two are certainly not the same.
    pub(crate) fn known_to_differ(&self, other: &Network) -> bool {
        let differ = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a != b);
        differ(self.ipv4, other.ipv4) || differ(self.ipv6, other.ipv6)
    }

    /// In letters, digits and points.
    pub(crate) fn to_text(&self) -> String {
        let part = |part: Option<u64>| part.map_or("-".into(), |hash| format!("{hash:016x}"));
        format!("{}.{}", part(self.ipv4), part(self.ipv6))
    }

    pub(crate) fn from_text(text: &str) -> Option<Network> {
        let part = |part: &str| match part {
            "-" => Some(None),
            _ => u64::from_str_radix(part, 16).ok().map(Some),
        };
        let (ipv4, ipv6) = text.split_once('.')?;
        Some(Network { ipv4: part(ipv4)?, ipv6: part(ipv6)? })
    }
}
