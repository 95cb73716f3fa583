//! The fields of IPv4, IPv6, TCP and ICMP packets that the router reads, rewrites and writes.

use std::net::IpAddr;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// The header of a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Segment {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub source_port: u16,
    pub destination_port: u16,
    pub sequence: u32,
    pub flags: u8,
    /// The number of data bytes.
    pub payload: usize,
    /// The sender's clock (RFC 7323), in milliseconds on Linux.
    pub timestamp: Option<u32>,
}

impl Segment {
    /// Parses a packet. None for anything but an unfragmented TCP segment. IPv6 extension headers
    /// are not supported, since the kernel sends TCP without them.
    pub(crate) fn parse(packet: &[u8]) -> Option<Segment> {
        let (source, destination, tcp) = match packet.first()? >> 4 {
            4 => {
                let header = packet.get(..20)?;
                let start = (header[0] & 15) as usize * 4;
                if header[9] != TCP {
                    return None;
                }
                (array::<4>(header, 12)?.into(), array::<4>(header, 16)?.into(), packet.get(start..)?)
            }
            6 => {
                let header = packet.get(..40)?;
                if header[6] != TCP {
                    return None;
                }
                (array::<16>(header, 8)?.into(), array::<16>(header, 24)?.into(), &packet[40..])
            }
            _ => return None,
        };
        let data = (*tcp.get(12)? >> 4) as usize * 4;
        Some(Segment {
            source,
            destination,
            source_port: u16::from_be_bytes(array(tcp, 0)?),
            destination_port: u16::from_be_bytes(array(tcp, 2)?),
            sequence: u32::from_be_bytes(array(tcp, 4)?),
            flags: *tcp.get(13)?,
            payload: tcp.len().checked_sub(data)?,
            timestamp: timestamp(tcp.get(20..data)?),
        })
    }

    pub(crate) fn is_syn(&self) -> bool {
        self.flags & (SYN | ACK | RST) == SYN
    }
}

/// Finds the timestamp in the options of a TCP header.
fn timestamp(mut options: &[u8]) -> Option<u32> {
    loop {
        let length = match *options.first()? {
            0 => return None,
            1 => 1,
            8 => return Some(u32::from_be_bytes(array(options, 2)?)),
            _ => (*options.get(1)?).max(2) as usize,
        };
        options = options.get(length..)?;
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Replaces the addresses of a TCP packet, and updates the checksums by the difference (RFC 1624).
pub(crate) fn readdress(packet: &mut [u8], source: IpAddr, destination: IpAddr) {
    let (addresses, tcp_checksum) = match source {
        IpAddr::V4(_) => (12..20, (packet[0] & 15) as usize * 4 + 16),
        IpAddr::V6(_) => (8..40, 40 + 16),
    };
    let before = sum(0, &packet[addresses.clone()]);
    packet[addresses.clone()].copy_from_slice(&octets(source, destination));
    let change = sum(0, &packet[addresses]) + u64::from(!fold(before));
    adjust(packet, tcp_checksum, change);
    if source.is_ipv4() {
        adjust(packet, 10, change);
    }
}

fn adjust(packet: &mut [u8], at: usize, change: u64) {
    let checksum = u16::from_be_bytes([packet[at], packet[at + 1]]);
    let adjusted = !fold(u64::from(!checksum) + change);
    packet[at..at + 2].copy_from_slice(&adjusted.to_be_bytes());
}

/// Makes a segment without data that acknowledges all of `to` and goes back to its sender. `clocks`
/// are the two timestamps (RFC 7323) of a connection that uses them.
pub(crate) fn reply(to: &Segment, flags: u8, sequence: u32, clocks: Option<(u32, u32)>) -> Vec<u8> {
    let mut options = Vec::with_capacity(16);
    if flags & SYN != 0 {
        // The maximum segment size: 1,220 bytes fit into any packet of either family.
        options.extend([2, 4, 0x04, 0xc4]);
    }
    if let Some((ours, theirs)) = clocks {
        options.extend([1, 1, 8, 10]);
        options.extend(ours.to_be_bytes());
        options.extend(theirs.to_be_bytes());
    }
    // SYN and FIN count as a byte each.
    let length = to.payload as u32 + u32::from(to.flags & SYN != 0) + u32::from(to.flags & FIN != 0);
    let mut tcp = Vec::with_capacity(20 + options.len());
    tcp.extend(to.destination_port.to_be_bytes());
    tcp.extend(to.source_port.to_be_bytes());
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(to.sequence.wrapping_add(length).to_be_bytes());
    tcp.extend([(5 + options.len() as u8 / 4) << 4, flags | ACK, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(options);
    wrap(to.destination, to.source, TCP, tcp, 16)
}

/// Makes the reply of a closed port to a SYN.
pub(crate) fn reset(syn: &Segment) -> Vec<u8> {
    reply(syn, RST, 0, None)
}

/// Makes a "host unreachable" message of a router on the path, which quotes the SYN.
pub(crate) fn unreachable(router: IpAddr, syn: &Segment, original: &[u8]) -> Vec<u8> {
    let (protocol, kind, code) = match router {
        IpAddr::V4(_) => (ICMP, 3, 1),
        IpAddr::V6(_) => (ICMPV6, 1, 3),
    };
    let mut icmp = vec![kind, code, 0, 0, 0, 0, 0, 0];
    icmp.extend(original);
    wrap(router, syn.source, protocol, icmp, 2)
}

/// Prepends an IP header, and fills in the checksum at the offset `checksum` of the body.
fn wrap(source: IpAddr, destination: IpAddr, protocol: u8, mut body: Vec<u8>, checksum: usize) -> Vec<u8> {
    let length = body.len() as u16;
    let addresses = octets(source, destination);
    // The checksums of all but ICMP include a pseudo-header.
    let pseudo = match protocol {
        ICMP => 0,
        _ => sum(u64::from(protocol) + u64::from(length), &addresses),
    };
    let total = !fold(sum(pseudo, &body));
    body[checksum..checksum + 2].copy_from_slice(&total.to_be_bytes());

    let mut packet = Vec::with_capacity(40 + body.len());
    if source.is_ipv4() {
        packet.extend([4 << 4 | 5, 0]);
        packet.extend((20 + length).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
        packet.extend(addresses);
        let total = !fold(sum(0, &packet));
        packet[10..12].copy_from_slice(&total.to_be_bytes());
    } else {
        packet.extend([6 << 4, 0, 0, 0]);
        packet.extend(length.to_be_bytes());
        packet.extend([protocol, 64]);
        packet.extend(addresses);
    }
    packet.extend(body);
    packet
}

fn octets(source: IpAddr, destination: IpAddr) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(a), IpAddr::V4(b)) => [a.octets(), b.octets()].concat(),
        (IpAddr::V6(a), IpAddr::V6(b)) => [a.octets(), b.octets()].concat(),
        _ => unreachable!("a packet has one family"),
    }
}

fn sum(start: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(2).fold(start, |total, pair| {
        total + u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
    })
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}
