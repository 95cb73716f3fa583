//! Whether libcurl would go through a proxy. Behind one every mirror is as far away as the proxy, so that ranking means
//! nothing, and packets to the mirrors themselves may be forbidden.
//!
//! libcurl tells nobody its proxy (option, environment, exceptions), so it is asked to connect and watched. Look-ups are
//! refused to it, but for the mirror's name, which is given a documentation address; so are sockets. Whether it wanted to look
//! up a proxy or connect to the mirror is the answer, and no packet leaves.

use super::found::{Curl, Opaque};
use crate::url::{Host, Mirror, Protocol};
use std::collections::HashMap;
use std::ffi::{CString, c_int, c_long, c_void};
use std::net::{IpAddr, SocketAddr};
use std::ptr;

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
/// How long the look-up of a proxy's name may take, where libcurl (before 7.59) cannot be refused one.
const PATIENCE_MS: c_long = 1000;

/// 192.0.2.1, kept for documentation (RFC 5737): no mirror has it.
const DOCUMENTATION: [u8; 4] = [192, 0, 2, 1];

/// `struct curl_sockaddr`.
#[repr(C)]
struct CurlSockaddr {
    family: c_int,
    socktype: c_int,
    protocol: c_int,
    length: u32,
    /// Longer, if `family` says so.
    address: libc::sockaddr,
}

/// The first address that was to be connected to, if it was one of the internet's.
type Seen = Option<Option<SocketAddr>>;

type StartResolver = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int;
type OpenSocket = unsafe extern "C" fn(*mut c_void, c_int, *mut CurlSockaddr) -> c_int;

/// The first of these mirrors that libcurl would reach through a proxy. `curl` is a handle whose options count, or NULL
/// for what the environment says.
///
/// # Safety
/// `curl` is NULL or a handle of this libcurl's that nobody else uses now.
pub(crate) unsafe fn first_behind_one(functions: &Curl, curl: *mut Opaque, urls: &[String]) -> Option<usize> {
    // SAFETY: the caller's promise.
    let asker = unsafe { Asker::new(functions, curl)? };
    // Mostly there is no proxy, and one question for each scheme is enough. The mirrors' own names matter only where there
    // is one, with its exceptions.
    let mut asked = HashMap::new();
    for (index, url) in urls.iter().enumerate() {
        let Mirror::Remote(protocol, endpoint) = Mirror::parse(url) else { continue };
        let scheme = match protocol {
            Protocol::Https => "https",
            Protocol::Ftp => "ftp",
            _ => "http",
        };
        let somewhere = || asker.is_proxied(scheme, &Host::Address(DOCUMENTATION.into()), endpoint.port);
        if *asked.entry((scheme, None)).or_insert_with(somewhere) {
            let here = || asker.is_proxied(scheme, &endpoint.host, endpoint.port);
            if *asked.entry((scheme, Some(endpoint.host.clone()))).or_insert_with(here) {
                return Some(index);
            }
        }
    }
    None
}

/// A copy of a handle of libcurl's, to be asked where it would connect to.
struct Asker {
    functions: Curl,
    curl: *mut Opaque,
}

impl Drop for Asker {
    fn drop(&mut self) {
        // SAFETY: our own handle.
        unsafe { (self.functions.cleanup)(self.curl) };
    }
}

unsafe extern "C" fn refuse_to_look_up(_: *mut c_void, _: *mut c_void, _: *mut c_void) -> c_int {
    1
}

/// Notes an address, and opens no socket.
unsafe extern "C" fn refuse(seen: *mut c_void, _purpose: c_int, address: *mut CurlSockaddr) -> c_int {
    // SAFETY: what `is_proxied` has set, and what libcurl passes: `family` says which address it is, and it is whole.
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
        if let Some(seen) = seen.cast::<Seen>().as_mut() {
            seen.get_or_insert(found);
        }
    }
    CURL_SOCKET_BAD
}

impl Asker {
    /// # Safety
    /// As [`first_behind_one`].
    unsafe fn new(functions: &Curl, curl: *mut Opaque) -> Option<Asker> {
        // SAFETY: the caller's promise; the options have these types in libcurl's headers.
        unsafe {
            let curl = if curl.is_null() {
                if let Some(begin) = functions.begin {
                    begin();
                }
                (functions.init)()
            } else {
                (functions.duplicate)(curl)
            };
            if curl.is_null() {
                return None;
            }
            let asker = Asker { functions: *functions, curl };
            // Nothing of what the caller's handle does may happen here: no message, no signal, no callback.
            for (option, value) in [
                (CURLOPT_VERBOSE, 0),
                (CURLOPT_NOPROGRESS, 1),
                (CURLOPT_NOSIGNAL, 1),
                (CURLOPT_IPRESOLVE, 0),
                (CURLOPT_CONNECT_ONLY, 1),
                (CURLOPT_TIMEOUT_MS, PATIENCE_MS),
            ] {
                (functions.setopt)(curl, option, value);
            }
            (functions.setopt)(curl, CURLOPT_ERRORBUFFER, ptr::null_mut::<c_void>());
            let resolver: StartResolver = refuse_to_look_up;
            (functions.setopt)(curl, CURLOPT_RESOLVER_START_FUNCTION, resolver);
            let opener: OpenSocket = refuse;
            ((functions.setopt)(curl, CURLOPT_OPENSOCKETFUNCTION, opener) == CURLE_OK).then_some(asker)
        }
    }

    /// Whether libcurl would go to anywhere else than to the host itself.
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
        let mut seen: Seen = None;
        let mut addresses = ptr::null_mut();
        // SAFETY: our own handle, options with the types that libcurl's headers say, and pointers that outlive the
        // transfer.
        let result = unsafe {
            let curl = &self.functions;
            if matches!(host, Host::Name(_)) {
                addresses = (curl.list_append)(addresses, entry.as_ptr());
            }
            (curl.setopt)(self.curl, CURLOPT_RESOLVE, addresses);
            (curl.setopt)(self.curl, CURLOPT_URL, url.as_ptr());
            (curl.setopt)(self.curl, CURLOPT_OPENSOCKETDATA, (&raw mut seen).cast::<c_void>());
            let result = (curl.perform)(self.curl);
            (curl.setopt)(self.curl, CURLOPT_RESOLVE, ptr::null_mut::<c_void>());
            (curl.list_free)(addresses);
            result
        };
        match seen {
            Some(address) => address != Some(SocketAddr::new(itself, port)),
            // Anything but a wish to look up the host itself: the proxy was not found, or is of a kind that is not known.
            None => ![CURLE_COULDNT_RESOLVE_HOST, CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT]
                .contains(&result),
        }
    }
}
