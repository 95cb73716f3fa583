//! What one pass of a run leaves to the next. How many attempts were made to each address: a list
//! of many names that all lead to one address must not make its readers a weapon. And which
//! families have answered: one that is silent in the next pass is not dead everywhere.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::IpAddr;

/// How many attempts one address gets in a run at most, whatever names and ports lead to it.
pub(super) const MAX_ATTEMPTS: u32 = 8;

/// The attempts of a run, by address, and the families that have answered. An IPv4 address in its
/// IPv6 form counts as itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttemptCounts {
    by_address: HashMap<IpAddr, u32>,
    pub(super) answered_ipv4: bool,
    pub(super) answered_ipv6: bool,
}

impl AttemptCounts {
    pub(super) fn add(&mut self, ip: IpAddr) {
        *self.by_address.entry(ip.to_canonical()).or_default() += 1;
    }

    /// Undoes [`AttemptCounts::add`] for an attempt of which nothing was sent.
    pub(super) fn take_back(&mut self, ip: IpAddr) {
        if let Some(count) = self.by_address.get_mut(&ip.to_canonical()) {
            *count = count.saturating_sub(1);
        }
    }

    /// Returns whether the address gets no further attempt.
    pub(super) fn is_enough(&self, ip: IpAddr) -> bool {
        self.by_address.get(&ip.to_canonical()).is_some_and(|&count| count >= MAX_ATTEMPTS)
    }
}
