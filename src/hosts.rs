//! The hosts and endpoints of a list: each once, in tables that cache, measuring and rule share,
//! and positions in these tables as types of their own.
#![forbid(unsafe_code)]

use crate::outcome::Outcome;
use crate::url::Host;

/// The position of a host in [`List::hosts`](crate::list::List::hosts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HostId(pub(crate) usize);

/// The position of an endpoint in [`List::endpoints`](crate::list::List::endpoints).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EndpointId(pub(crate) usize);

/// A host of a list.
#[derive(Debug)]
pub(crate) struct ListedHost {
    pub(crate) host: Host,
    pub(crate) is_preferred: bool,
    /// What becomes of it, if no connection to it is allowed: its address is of another family
    /// than the requested one, or not public.
    pub(crate) refused_as: Option<Outcome>,
    /// Where it stands in a pool in the given order: as in the reference, if there is one and has
    /// it, else after all of that, as its first URL in the list.
    pub(crate) place: usize,
}

/// An endpoint of a list, which may be measured.
#[derive(Debug)]
pub(crate) struct ListedEndpoint {
    pub(crate) host: HostId,
    pub(crate) port: u16,
}
