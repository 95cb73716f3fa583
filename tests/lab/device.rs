//! The TUN device behind which the world lives, and the addresses on it.

use super::namespace::{Context, Unavailable};
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

const TUN: &str = "/dev/net/tun";

/// More packets than any test sends before the router reads them: a full queue would be a loss nobody asked for.
const QUEUE: i32 = 50_000;

/// A TUN device. It goes, and its addresses and routes with it, when the file is closed.
pub struct Device {
    pub file: File,
    name: String,
}

impl Device {
    pub fn open(name: &str) -> Result<Device, Unavailable> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(TUN)
            .map_err(no_tun)?;
        let mut request = request(name);
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
        ioctl(&file, libc::TUNSETIFF, &mut request).map_err(no_tun)?;
        let device = Device { file, name: name.to_owned() };
        device.set_queue().context("cannot lengthen the queue of the TUN device")?;
        set_up(name).context("cannot bring the TUN device up")?;
        Ok(device)
    }

    fn set_queue(&self) -> io::Result<()> {
        let mut request = request(&self.name);
        request.ifr_ifru.ifru_metric = QUEUE;
        ioctl(&control(libc::AF_INET)?, libc::SIOCSIFTXQLEN, &mut request)
    }

    /// Adds an address; the prefix becomes a route through the device. `label` tells the IPv4 addresses of a device apart.
    pub fn add_ipv4(&self, label: u8, address: Ipv4Addr, prefix: u32) -> Result<(), Unavailable> {
        let name = format!("{}:{label}", self.name);
        let set = |what, value: Ipv4Addr| {
            let mut request = request(&name);
            // SAFETY: a sockaddr_in fits into a sockaddr, and both are plain data.
            unsafe {
                let address = &raw mut request.ifr_ifru.ifru_addr;
                *address.cast::<libc::sockaddr_in>() = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_addr: libc::in_addr { s_addr: u32::from(value).to_be() },
                    ..zeroed()
                };
            }
            ioctl(&control(libc::AF_INET)?, what, &mut request)
        };
        let mask = Ipv4Addr::from(u32::MAX << (32 - prefix));
        set(libc::SIOCSIFADDR, address)
            .and_then(|()| set(libc::SIOCSIFNETMASK, mask))
            .context("cannot give the TUN device an IPv4 address")
    }

    /// Adds an address; the prefix becomes a route through the device.
    pub fn add_ipv6(&self, address: Ipv6Addr, prefix: u32) -> Result<(), Unavailable> {
        let add = || {
            let mut index = request(&self.name);
            let control = control(libc::AF_INET6)?;
            ioctl(&control, libc::SIOCGIFINDEX, &mut index)?;
            let mut request = libc::in6_ifreq {
                ifr6_addr: libc::in6_addr { s6_addr: address.octets() },
                ifr6_prefixlen: prefix,
                // SAFETY: the kernel has just filled in this member of the union.
                ifr6_ifindex: unsafe { index.ifr_ifru.ifru_ifindex },
            };
            ioctl(&control, libc::SIOCSIFADDR, &mut request)?;
            // No neighbour is asked whether it has this address, yet the kernel declares it usable a moment later.
            let begin = Instant::now();
            while let Err(why) = UdpSocket::bind((address, 0)) {
                if begin.elapsed() > Duration::from_secs(5) {
                    return Err(why);
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            Ok(())
        };
        add().context("cannot give the TUN device an IPv6 address (is IPv6 switched off?)")
    }
}

/// Brings an interface up, such as the loopback of a new namespace.
pub fn set_up(name: &str) -> io::Result<()> {
    let control = control(libc::AF_INET)?;
    let mut request = request(name);
    ioctl(&control, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: the kernel has just filled in this member of the union.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as i16 };
    ioctl(&control, libc::SIOCSIFFLAGS, &mut request)
}

fn no_tun(why: io::Error) -> Unavailable {
    let help = match why.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "; load the module (modprobe tun), or give the container the device (--device /dev/net/tun)"
        }
        Some(libc::EACCES) => "; most systems let everybody open it (chmod 0666): do so, or run as root",
        Some(libc::EPERM) => "; the container forbids this device (--device /dev/net/tun allows it)",
        _ => "",
    };
    Unavailable::new(format!("no TUN device ({TUN}): {why}{help}"))
}

fn control(family: i32) -> io::Result<socket2::Socket> {
    socket2::Socket::new(family.into(), socket2::Type::DGRAM, None)
}

fn request(name: &str) -> libc::ifreq {
    // SAFETY: ifreq is plain data, for which zero is valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    request
}

fn ioctl<T>(on: &impl AsRawFd, what: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: every caller passes the structure that its request reads and writes, alive for the call.
    match unsafe { libc::ioctl(on.as_raw_fd(), what as _, &raw mut *argument) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
