//! TUN and TAP devices, the addresses on them, and requests to the kernel's rtnetlink.

use super::namespace::{Context, Unavailable};
use std::fs::{File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

const TUN: &str = "/dev/net/tun";

/// More packets than any test sends before the router reads them: a full queue would lose packets.
const QUEUE: u32 = 50_000;

/// A TUN or TAP device. Closing the file removes it with its addresses and routes.
#[derive(Debug)]
pub(crate) struct Device {
    pub file: File,
    pub index: u32,
}

impl Device {
    /// Opens a TUN device: its packets have no link-layer addresses.
    pub(crate) fn open(name: &str) -> Result<Device, Unavailable> {
        Device::open_as(name, libc::IFF_TUN)
    }

    /// Opens a TAP device: an Ethernet, where neighbors are found by ARP and neighbor discovery.
    pub(crate) fn open_ethernet(name: &str) -> Result<Device, Unavailable> {
        Device::open_as(name, libc::IFF_TAP)
    }

    fn open_as(name: &str, kind: i32) -> Result<Device, Unavailable> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(TUN)
            .map_err(no_tun)?;
        // SAFETY: plain data; the call reads and writes the ifreq, which lives as long.
        let made = unsafe {
            let mut request: libc::ifreq = std::mem::zeroed();
            for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
                *to = from as libc::c_char;
            }
            request.ifr_ifru.ifru_flags = (kind | libc::IFF_NO_PI) as i16;
            libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request)
        };
        if made != 0 {
            return Err(no_tun(io::Error::last_os_error()));
        }
        let index = set_up(name).context("cannot bring the TUN device up")?;
        Ok(Device { file, index })
    }

    /// Adds an address; its prefix becomes a route through the device.
    pub(crate) fn add_address(&self, address: impl Into<IpAddr>, prefix: u8) -> Result<(), Unavailable> {
        let address = address.into();
        let (family, octets) = family_and_octets(address);
        // struct ifaddrmsg. IFA_F_NODAD: usable at once, without looking for duplicates.
        let mut body = vec![family, prefix, libc::IFA_F_NODAD as u8, libc::RT_SCOPE_UNIVERSE];
        body.extend(self.index.to_ne_bytes());
        body.extend(attribute(libc::IFA_LOCAL, &octets));
        body.extend(attribute(libc::IFA_ADDRESS, &octets));
        let hint = if address.is_ipv6() { " (is IPv6 switched off?)" } else { "" };
        ask_kernel(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &body)
            .context(&format!("cannot give the TUN device the address {address}{hint}"))?;
        await_local(address)
    }
}

/// Waits until an IPv6 address is in the routing table. The kernel acknowledges the request a
/// little earlier, and a client that reads the routes in between, to recognize its network, would
/// see another network.
fn await_local(address: IpAddr) -> Result<(), Unavailable> {
    let IpAddr::V6(address) = address else { return Ok(()) };
    const LOCAL: u32 = 1 << 31;
    let own = format!("{:032x} 80 ", u128::from(address));
    let is_local = |line: &str| {
        let flags = line.split_whitespace().nth(8).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        line.starts_with(&own) && flags.is_some_and(|flags| flags & LOCAL != 0)
    };
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        let routes =
            std::fs::read_to_string("/proc/self/net/ipv6_route").context("cannot read the routes")?;
        if routes.lines().any(is_local) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Err(Unavailable::new(format!("the address {address} does not appear in the routing table")))
}

/// Brings an interface up and returns its index.
pub(crate) fn set_up(name: &str) -> io::Result<u32> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: a terminated string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    // struct ifinfomsg: family, type, index, flags, and the mask of the flags to change.
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend((libc::IFF_UP as u32).to_ne_bytes());
    body.extend((libc::IFF_UP as u32).to_ne_bytes());
    // An ioctl for the queue length is forbidden to ordinary users even in their own namespace.
    body.extend(attribute(libc::IFLA_TXQLEN, &QUEUE.to_ne_bytes()));
    ask_kernel(libc::RTM_NEWLINK, 0, &body)?;
    Ok(index)
}

fn no_tun(why: io::Error) -> Unavailable {
    let help = match why.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "; load the module (modprobe tun), or give the container the device (--device /dev/net/tun)"
        }
        Some(libc::EACCES) => "; most systems let any user open it (chmod 0666): do so, or run as root",
        Some(libc::EPERM) => "; the container forbids this device (--device /dev/net/tun allows it)",
        _ => "",
    };
    Unavailable::new(format!("no TUN device ({TUN}): {why}{help}"))
}

/// The kernel's number of the address family, and the octets in network order.
pub(crate) fn family_and_octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (libc::AF_INET as u8, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6 as u8, address.octets().to_vec()),
    }
}

/// A netlink attribute with its padding.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [&(4 + value.len() as u16).to_ne_bytes(), &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Sends one rtnetlink request and waits for the acknowledgment.
pub(crate) fn ask_kernel(kind: u16, flags: i32, body: &[u8]) -> io::Result<()> {
    let protocol = socket2::Protocol::from(libc::NETLINK_ROUTE);
    let socket = socket2::Socket::new(libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), Some(protocol))?;
    // struct nlmsghdr: length, kind, flags, sequence number, sender.
    let mut message = (16 + body.len() as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    socket.send(&message)?;
    let mut answer = [0; 1024];
    let length = io::Read::read(&mut &socket, &mut answer)?;
    // The header is followed by struct nlmsgerr: zero or a negated errno.
    match answer[..length]
        .get(16..20)
        .map(|error| i32::from_ne_bytes([error[0], error[1], error[2], error[3]]))
    {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
