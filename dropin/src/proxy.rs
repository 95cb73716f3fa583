//! Whether libcurl would go through a proxy. Behind one every mirror is as far away as the proxy,
//! so that ranking means nothing, and packets to the mirrors themselves may be forbidden.
//!
//! libcurl has no function that returns its proxy (from options, the environment, exceptions), so
//! it is asked to connect, and watched. Lookups are refused, except for the mirror's own name,
//! which gets a documentation address; sockets are refused too. The address that it wants to
//! connect to, or the lookup that it wants to make, is the answer, and no packet leaves.

use crate::symbols::{Curl, InterruptFlag, Opaque};
use fastestmirror::{Host, Mirror};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CString, c_int, c_long, c_void};
use std::net::{IpAddr, SocketAddr};
use std::ptr;
use std::time::Instant;

const CURLOPT_URL: c_int = 10002;
const CURLOPT_VERBOSE: c_int = 41;
const CURLOPT_NOPROGRESS: c_int = 43;
const CURLOPT_NOSIGNAL: c_int = 99;
const CURLOPT_IPRESOLVE: c_int = 113;
const CURLOPT_CONNECT_ONLY: c_int = 141;
const CURLOPT_TIMEOUT_MS: c_int = 155;
const CURLOPT_ERRORBUFFER: c_int = 10010;
const CURLOPT_OPENSOCKETDATA: c_int = 10164;
const CURLOPT_RESOLVE: c_int = 10203;
const CURLOPT_RESOLVER_START_FUNCTION: c_int = 20272;
const CURLOPT_OPENSOCKETFUNCTION: c_int = 20163;
const CURLE_OK: c_int = 0;
const CURLE_UNSUPPORTED_PROTOCOL: c_int = 1;
const CURLE_URL_MALFORMAT: c_int = 3;
const CURLE_COULDNT_RESOLVE_HOST: c_int = 6;
const CURL_SOCKET_BAD: c_int = -1;
/// How long the lookup of a proxy's name may take where libcurl (before 7.59) cannot refuse
/// lookups.
const LOOKUP_TIMEOUT_MS: c_long = 1000;

/// 192.0.2.1, reserved for documentation (RFC 5737): no mirror has it.
const DOCUMENTATION: [u8; 4] = [192, 0, 2, 1];

/// `struct curl_sockaddr`.
#[repr(C)]
struct CurlSockaddr {
    family: c_int,
    socktype: c_int,
    protocol: c_int,
    length: u32,
    /// Longer than this if `family` is another one than IPv4.
    address: libc::sockaddr,
}

/// The first address that libcurl wanted to connect to; `Some(None)` if it was not an IP address.
type Destination = Option<Option<SocketAddr>>;

type StartResolver = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int;
type OpenSocket = unsafe extern "C" fn(*mut c_void, c_int, *mut CurlSockaddr) -> c_int;

/// Whether one of several mirrors is reached through a proxy.
pub(crate) enum Answer {
    No,
    /// The position of the first one.
    Yes(usize),
    /// There was no time to find out.
    Unknown,
}

/// So many endpoints are measured in a call at most.
const MAX_QUESTIONS: usize = 2048;

/// How long libcurl is asked in one call, about all lists of mirrors together.
pub(crate) struct Patience {
    /// How many questions about a mirror's own name are left.
    questions: usize,
    deadline: Instant,
    interrupt: Option<InterruptFlag>,
}

impl Patience {
    pub(crate) fn new(deadline: Instant, interrupt: Option<InterruptFlag>) -> Patience {
        Patience { questions: MAX_QUESTIONS, deadline, interrupt }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.interrupt.is_some_and(InterruptFlag::is_set)
    }
}

/// Returns whether libcurl would reach one of these mirrors through a proxy. `curl` is a libcurl
/// handle with options, or NULL for what the environment says alone.
///
/// # Safety
/// `curl` is NULL or a handle of this libcurl that nothing else uses now.
pub(crate) unsafe fn first_behind_proxy(
    functions: &Curl,
    curl: *mut Opaque,
    urls: &[String],
    patience: &mut Patience,
) -> Answer {
    // SAFETY: the caller's promise.
    let Some(query) = (unsafe { Query::new(functions, curl) }) else { return Answer::No };
    // Mostly there is no proxy, and one question for each scheme is enough. Only where there is
    // one, the mirrors' own names matter, because of its exceptions.
    let mut answers = HashMap::new();
    let is_first = patience.questions == MAX_QUESTIONS;
    for (index, url) in urls.iter().enumerate() {
        let Mirror::Remote(protocol, endpoint) = Mirror::parse(url) else { continue };
        if patience.is_over() {
            return Answer::Unknown;
        }
        let anywhere = Host::Address(DOCUMENTATION.into());
        let ask = || query.is_proxied(protocol.scheme(), &anywhere, endpoint.port);
        if !*answers.entry((protocol, None)).or_insert_with(ask) {
            continue;
        }
        let is_proxied = match answers.entry((protocol, Some(endpoint.host.clone()))) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                match patience.questions.checked_sub(1) {
                    Some(left) => patience.questions = left,
                    // The others of a list that is alone would not be measured.
                    None if is_first => return Answer::No,
                    None => return Answer::Unknown,
                }
                *new.insert(query.is_proxied(protocol.scheme(), &endpoint.host, endpoint.port))
            }
        };
        if is_proxied {
            return Answer::Yes(index);
        }
    }
    Answer::No
}

/// A copy of a libcurl handle that is asked where it would connect to.
struct Query {
    functions: Curl,
    curl: *mut Opaque,
}

impl Drop for Query {
    fn drop(&mut self) {
        // SAFETY: a handle that `new` has made.
        unsafe { (self.functions.cleanup)(self.curl) };
    }
}

unsafe extern "C" fn refuse_lookup(_: *mut c_void, _: *mut c_void, _: *mut c_void) -> c_int {
    1
}

/// Notes the address, and opens no socket.
unsafe extern "C" fn refuse_socket(
    wanted: *mut c_void,
    _purpose: c_int,
    address: *mut CurlSockaddr,
) -> c_int {
    // SAFETY: the pointer that `is_proxied` sets, and what libcurl passes: a whole address of the
    // kind that `family` says.
    unsafe {
        let whole = &raw const (*address).address;
        let found = match (*address).family {
            libc::AF_INET => {
                let address = whole.cast::<libc::sockaddr_in>().read_unaligned();
                let ip = IpAddr::from(address.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::new(ip, u16::from_be(address.sin_port)))
            }
            libc::AF_INET6 => {
                let address = whole.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(SocketAddr::new(address.sin6_addr.s6_addr.into(), u16::from_be(address.sin6_port)))
            }
            _ => None,
        };
        if let Some(wanted) = wanted.cast::<Destination>().as_mut() {
            wanted.get_or_insert(found);
        }
    }
    CURL_SOCKET_BAD
}

impl Query {
    /// # Safety
    /// As for [`first_behind_proxy`].
    unsafe fn new(functions: &Curl, curl: *mut Opaque) -> Option<Query> {
        // SAFETY: the caller's promise; the options have these types in libcurl's headers.
        unsafe {
            let curl = if curl.is_null() {
                if let Some(global_init) = functions.global_init {
                    global_init();
                }
                (functions.init)()
            } else {
                (functions.duplicate)(curl)
            };
            if curl.is_null() {
                return None;
            }
            let query = Query { functions: *functions, curl };
            // The caller's handle may print, take signals or call back; the copy must not.
            for (option, value) in [
                (CURLOPT_VERBOSE, 0),
                (CURLOPT_NOPROGRESS, 1),
                (CURLOPT_NOSIGNAL, 1),
                (CURLOPT_IPRESOLVE, 0),
                (CURLOPT_CONNECT_ONLY, 1),
                (CURLOPT_TIMEOUT_MS, LOOKUP_TIMEOUT_MS),
            ] {
                (functions.setopt)(curl, option, value);
            }
            (functions.setopt)(curl, CURLOPT_ERRORBUFFER, ptr::null_mut::<c_void>());
            let resolver: StartResolver = refuse_lookup;
            (functions.setopt)(curl, CURLOPT_RESOLVER_START_FUNCTION, resolver);
            let opener: OpenSocket = refuse_socket;
            ((functions.setopt)(curl, CURLOPT_OPENSOCKETFUNCTION, opener) == CURLE_OK).then_some(query)
        }
    }

    /// Whether libcurl would connect to anything but the host itself.
    fn is_proxied(&self, scheme: &str, host: &Host, port: u16) -> bool {
        let (name, itself) = match host {
            Host::Name(name) => (name.clone(), IpAddr::from(DOCUMENTATION)),
            Host::Address(address @ IpAddr::V4(_)) => (address.to_string(), *address),
            Host::Address(address @ IpAddr::V6(_)) => (format!("[{address}]"), *address),
        };
        let (Ok(url), Ok(entry)) = (
            CString::new(format!("{scheme}://{name}:{port}/")),
            CString::new(format!("{name}:{port}:{}", IpAddr::from(DOCUMENTATION))),
        ) else {
            return false;
        };
        let mut wanted: Destination = None;
        let mut addresses = ptr::null_mut();
        // SAFETY: a handle that `new` has made, options of the types in libcurl's headers, and
        // pointers that outlive the transfer.
        let result = unsafe {
            let curl = &self.functions;
            if matches!(host, Host::Name(_)) {
                addresses = (curl.list_append)(addresses, entry.as_ptr());
            }
            (curl.setopt)(self.curl, CURLOPT_RESOLVE, addresses);
            (curl.setopt)(self.curl, CURLOPT_URL, url.as_ptr());
            (curl.setopt)(self.curl, CURLOPT_OPENSOCKETDATA, (&raw mut wanted).cast::<c_void>());
            let result = (curl.perform)(self.curl);
            (curl.setopt)(self.curl, CURLOPT_RESOLVE, ptr::null_mut::<c_void>());
            (curl.list_free)(addresses);
            result
        };
        match wanted {
            Some(address) => address != Some(SocketAddr::new(itself, port)),
            // With any other error it wanted a proxy: one whose lookup was refused, or of an
            // unknown kind.
            None => ![CURLE_COULDNT_RESOLVE_HOST, CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT]
                .contains(&result),
        }
    }
}
