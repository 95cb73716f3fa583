//! The packet loop between client and mirrors.
//!
//! A packet from the client C to a mirror M is rewritten so that it comes from M and goes to S, a
//! local address where ordinary servers listen. Their reply to M is routed into the device again,
//! and is rewritten so that it comes from M and goes to C. So neither side notices the lab, and
//! rewriting needs no state. Timing needs some: the answer to a SYN leaves one round trip after the
//! SYN was *read*, however late the loop or the server was in between. All other packets take half
//! the round trip in each direction.
//!
//! Ports in `Spec::accept` are served by the loop itself: it completes handshakes, acknowledges
//! data, and closes when the client does. That takes half the packets and none of the kernel's work
//! on them, which matters where client and lab share two CPUs.

use super::packet::{self, ACK, FIN, RST, SYN, Segment};
use super::random::Random;
use super::report::{Attempt, LATE, LATE_HANDSHAKE, Lateness, stolen};
use super::spec::{Answer, CLIENT_V4, CLIENT_V6, Fate, number_of};
use super::timeline::{Timeline, Woken, wait};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The sources of ICMP errors.
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 254);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe);

/// The largest size of a packet.
const LARGEST: usize = 65_536;

/// How many packets are read, and then written, before the other has its turn. Reading comes first
/// and is quick: a SYN that is read late makes the handshake late, and the loop cannot know.
const READ_BURST: usize = 256;
const WRITE_BURST: usize = 8;

/// If an answer to a SYN is due within this time, the loop spins instead of sleeping: waking up
/// takes some time.
const SPIN: Duration = Duration::from_micros(30);

/// The first sequence number of the loop's own servers.
const SEQUENCE: u32 = 1_000_000;

/// One address of a mirror.
pub(crate) struct Address {
    pub mirror: usize,
    pub fate: Fate,
    pub only_ports: Option<Vec<u16>>,
    pub random: Random,
    syns: u32,
    syn_acks: u32,
}

impl Address {
    pub(crate) fn new(mirror: usize, fate: Fate, only_ports: Option<Vec<u16>>, random: Random) -> Self {
        Address { mirror, fate, only_ports, random, syns: 0, syn_acks: 0 }
    }

    fn half(&self) -> Option<Duration> {
        match &self.fate {
            Fate::Answer(answer) => Some(answer.rtt / 2),
            _ => None,
        }
    }
}

pub(crate) struct Router {
    device: File,
    servers_v4: IpAddr,
    servers_v6: IpAddr,
    /// The ports that the loop serves itself.
    accept: Vec<u16>,
    start: Instant,
    stolen_before: Duration,
    state: Mutex<State>,
}

struct State {
    v4: Vec<Address>,
    v6: Vec<Address>,
    flows: HashMap<(IpAddr, u16, u16), Flow>,
    attempts: Vec<Attempt>,
    queue: Queue,
    lateness: Lateness,
}

/// Packets on their way. Answers to SYNs have a queue of their own, since they have to be punctual.
struct Queue {
    answers: Timeline<Due>,
    others: Timeline<Due>,
}

impl Queue {
    fn push(&mut self, due: Instant, packet: Due) {
        let timeline = if packet.answers.is_some() { &mut self.answers } else { &mut self.others };
        timeline.push(due, packet);
    }

    /// Takes the next packet that is due.
    fn pop(&mut self, now: Instant) -> Option<(Instant, Due)> {
        let (answer, other) = (self.answers.next_due(), self.others.next_due());
        let answer_first = answer.is_some_and(|answer| other.is_none_or(|other| answer <= other));
        if answer_first { self.answers.pop(now) } else { self.others.pop(now) }
    }

    /// The number of packets that are late and have not left yet.
    fn late(&self) -> u64 {
        let time = Instant::now() - LATE;
        (self.answers.due_before(time) + self.others.due_before(time)) as u64
    }

    /// When the loop has to be awake.
    fn next(&self) -> Option<Instant> {
        let answer = self.answers.next_due().map(|due| due - SPIN);
        answer.into_iter().chain(self.others.next_due()).min()
    }
}

/// A connection. Its key is the address of the mirror, the port of the client and the port of the
/// mirror.
struct Flow {
    attempt: usize,
    sequence: u32,
    syn_read: Instant,
    /// Whether the last SYN has had no SYN-ACK yet.
    open: bool,
    /// The client's timestamp in that SYN.
    syn_clock: Option<u32>,
    /// The intended round-trip time of the answer to that SYN.
    intended: Option<Duration>,
    /// The timestamp in the first SYN that reached the loop's own server.
    served_clock: Option<u32>,
}

impl Flow {
    /// How much too long the handshake took by the client's own clock, as its ACK shows.
    fn excess(&self, ack: &Segment) -> Option<Duration> {
        let measured = Duration::from_millis(ack.timestamp?.wrapping_sub(self.syn_clock?).into());
        Some(measured.saturating_sub(self.intended?))
    }
}

struct Due {
    packet: Vec<u8>,
    answers: Option<Answers>,
}

/// For a packet that answers a SYN: the attempt, and when it should leave.
struct Answers {
    attempt: usize,
    due: Option<Instant>,
}

impl Router {
    pub(crate) fn new(
        device: File,
        servers_v4: Ipv4Addr,
        servers_v6: Ipv6Addr,
        accept: Vec<u16>,
        v4: Vec<Address>,
        v6: Vec<Address>,
    ) -> Self {
        Router {
            device,
            servers_v4: servers_v4.into(),
            servers_v6: servers_v6.into(),
            accept,
            start: Instant::now(),
            stolen_before: stolen(),
            state: Mutex::new(State {
                v4,
                v6,
                flows: HashMap::new(),
                attempts: Vec::new(),
                queue: Queue { answers: Timeline::new(), others: Timeline::new() },
                lateness: Lateness::default(),
            }),
        }
    }

    pub(super) fn seen(&self) -> (Vec<Attempt>, Lateness) {
        let mut state = self.lock();
        // Packets that have been sent count, even if the loop has not read them yet.
        let mut buffer = vec![0; LARGEST];
        while !self.read_burst(&mut state, &mut buffer) {}
        let stolen = stolen().saturating_sub(self.stolen_before);
        let (lateness, waiting) = (state.lateness.clone(), state.queue.late());
        let (packets, late) = (lateness.packets + waiting, lateness.late + waiting);
        (state.attempts.clone(), Lateness { stolen, packets, late, ..lateness })
    }

    /// Changes the fate of all addresses of a mirror.
    pub(super) fn change(&self, mirror: usize, fate: &Fate) {
        let mut state = self.lock();
        let State { v4, v6, .. } = &mut *state;
        for address in v4.iter_mut().chain(v6).filter(|address| address.mirror == mirror) {
            address.fate = fate.clone();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the router does not panic")
    }

    /// Runs the loop until the other end of `stop` is closed.
    pub(crate) fn run(&self, stop: &UnixStream) {
        let mut buffer = vec![0; LARGEST];
        loop {
            let (drained, next) = {
                let mut state = self.lock();
                let drained = self.read_burst(&mut state, &mut buffer);
                self.release(&mut state);
                (drained, state.queue.next())
            };
            if !drained || next.is_some_and(|next| next <= Instant::now()) {
                continue;
            }
            if wait(self.device.as_raw_fd(), stop.as_raw_fd(), next) == Woken::Stop {
                return;
            }
        }
    }

    /// Reads the available packets, up to a burst. Returns whether these were all.
    fn read_burst(&self, state: &mut State, buffer: &mut [u8]) -> bool {
        for _ in 0..READ_BURST {
            let Ok(length) = (&self.device).read(buffer) else {
                return true;
            };
            let read = Instant::now();
            let packet = &mut buffer[..length];
            // Drops what the kernel sends by itself, such as IPv6 router solicitations.
            let Some(segment) = Segment::parse(packet) else {
                continue;
            };
            if [CLIENT_V4.into(), CLIENT_V6.into()].contains(&segment.source) {
                self.client_sent(state, read, segment, packet);
            } else if [self.servers_v4, self.servers_v6].contains(&segment.source) {
                self.server_sent(state, read, segment, packet);
            }
        }
        false
    }

    fn client_sent(&self, state: &mut State, read: Instant, segment: Segment, packet: &mut [u8]) {
        let family = if segment.source.is_ipv4() { &mut state.v4 } else { &mut state.v6 };
        let Some(address) = number_of(segment.destination).and_then(|number| family.get_mut(number)) else {
            return;
        };
        let key = (segment.destination, segment.source_port, segment.destination_port);
        let since_start = read - self.start;
        let queue = &mut state.queue;

        if segment.is_syn() {
            let before = state.flows.get(&key).filter(|flow| flow.sequence == segment.sequence);
            let attempt = before.map_or(state.attempts.len(), |flow| flow.attempt);
            let flow = Flow {
                attempt,
                sequence: segment.sequence,
                syn_read: read,
                open: true,
                syn_clock: segment.timestamp,
                served_clock: before.and_then(|flow| flow.served_clock),
                intended: None,
            };
            if before.is_none() {
                state.attempts.push(Attempt {
                    mirror: address.mirror,
                    to: SocketAddr::new(segment.destination, segment.destination_port),
                    from_port: segment.source_port,
                    syns: Vec::with_capacity(1),
                    answered: None,
                    completed: None,
                    payload: 0,
                });
            }
            state.attempts[attempt].syns.push(since_start);
            let mut entry = state.flows.entry(key).insert_entry(flow);
            address.syns += 1;
            let (rtt, answer) = match &address.fate {
                Fate::Silent => return,
                Fate::Refuse { rtt } => (*rtt, packet::reset(&segment)),
                Fate::Unreachable { rtt } => {
                    (*rtt, packet::unreachable(gateway(segment.source), &segment, packet))
                }
                Fate::Answer(answer) if !is_open(&address.only_ports, segment.destination_port) => {
                    (answer.rtt, packet::reset(&segment))
                }
                Fate::Answer(Answer { lose_first_syns, loss, .. }) => {
                    if address.syns > *lose_first_syns && !address.random.chance(*loss) {
                        self.forward_to_server(address, entry.get_mut(), queue, read, segment, packet);
                    }
                    return;
                }
            };
            let due = read + rtt;
            let answers = Some(Answers { attempt, due: Some(due) });
            queue.push(due, Due { packet: answer, answers });
            return;
        }

        // Connections older than this world are unknown.
        let Some(flow) = state.flows.get_mut(&key) else {
            return;
        };
        let attempt = &mut state.attempts[flow.attempt];
        attempt.payload += segment.payload as u64;
        if attempt.completed.is_none() && attempt.answered.is_some() && segment.flags & (ACK | RST) == ACK {
            attempt.completed = Some(since_start);
            if let Some(excess) = flow.excess(&segment) {
                state.lateness.handshakes += 1;
                state.lateness.late_handshakes += u64::from(excess > LATE_HANDSHAKE);
            }
            if matches!(&address.fate, Fate::Answer(answer) if address.random.chance(answer.loss)) {
                return;
            }
        }
        self.forward_to_server(address, flow, queue, read, segment, packet);
    }

    fn forward_to_server(
        &self,
        address: &mut Address,
        flow: &mut Flow,
        queue: &mut Queue,
        read: Instant,
        segment: Segment,
        packet: &mut [u8],
    ) {
        let Some(half) = address.half() else { return };
        if self.accept.contains(&segment.destination_port) {
            if let Some((flags, reply)) = self.serve(flow, &segment) {
                to_client(address, flow, queue, read + half, flags, reply);
            }
            return;
        }
        let servers = if segment.source.is_ipv4() { self.servers_v4 } else { self.servers_v6 };
        packet::readdress(packet, segment.destination, servers);
        queue.push(read + half, Due { packet: packet.to_vec(), answers: None });
    }

    /// The flags and the packet with which the loop's own server replies to a segment.
    fn serve(&self, flow: &mut Flow, segment: &Segment) -> Option<(u8, Vec<u8>)> {
        let (flags, sequence) = match segment.flags & (SYN | FIN | RST) {
            SYN => (SYN | ACK, SEQUENCE),
            FIN => (FIN | ACK, SEQUENCE + 1),
            0 if segment.payload > 0 => (ACK, SEQUENCE + 1),
            _ => return None,
        };
        flow.served_clock = flow.served_clock.or(segment.timestamp);
        // Like a kernel, echo the timestamp of the first SYN that arrived, even if it is repeated.
        let echo = if flags & SYN != 0 { flow.served_clock } else { segment.timestamp };
        let clocks = echo.map(|theirs| (self.start.elapsed().as_millis() as u32, theirs));
        Some((flags, packet::reply(segment, flags, sequence, clocks)))
    }

    fn server_sent(&self, state: &mut State, read: Instant, segment: Segment, packet: &mut [u8]) {
        let (family, client) = match segment.source {
            IpAddr::V4(_) => (&mut state.v4, CLIENT_V4.into()),
            IpAddr::V6(_) => (&mut state.v6, CLIENT_V6.into()),
        };
        let Some(address) = number_of(segment.destination).and_then(|number| family.get_mut(number)) else {
            return;
        };
        let key = (segment.destination, segment.destination_port, segment.source_port);
        let Some(flow) = state.flows.get_mut(&key) else {
            return;
        };
        packet::readdress(packet, segment.destination, client);
        to_client(address, flow, &mut state.queue, read, segment.flags, packet.to_vec());
    }

    /// Writes the packets that are due, up to a burst.
    fn release(&self, state: &mut State) {
        for _ in 0..WRITE_BURST {
            let now = Instant::now();
            let Some((due, Due { packet, answers })) = state.queue.pop(now) else { return };
            state.lateness.packets += 1;
            state.lateness.late += u64::from(now - due > LATE);
            if let Some(answers) = answers {
                state.attempts[answers.attempt].answered.get_or_insert(now - self.start);
                state.lateness.answers.extend(answers.due.map(|due| now - due));
            }
            // A packet that the kernel does not take would have been dropped on a wire too.
            let _ = (&self.device).write(&packet);
        }
    }
}

/// Queues a server's packet for the client. It left the server at this time.
fn to_client(
    address: &mut Address,
    flow: &mut Flow,
    queue: &mut Queue,
    left: Instant,
    flags: u8,
    packet: Vec<u8>,
) {
    let Fate::Answer(answer) = &address.fate else {
        return;
    };
    let mut due = left + answer.rtt / 2;
    let mut answers = None;
    let is_syn_ack = flags & (SYN | ACK | RST) == SYN | ACK;
    // A port without a listener answers an open SYN with RST.
    if is_syn_ack || (flow.open && flags & RST != 0) {
        address.syn_acks += u32::from(is_syn_ack);
        let open = std::mem::take(&mut flow.open);
        if is_syn_ack
            && (address.syn_acks <= answer.lose_first_syn_acks || address.random.chance(answer.loss))
        {
            return;
        }
        if open {
            let intended = answer.rtt + answer.jitter.mul_f64(address.random.unit());
            flow.intended = Some(intended);
            due = flow.syn_read + intended;
        }
        answers = Some(Answers { attempt: flow.attempt, due: open.then_some(due) });
    }
    queue.push(due, Due { packet, answers });
}

fn is_open(only_ports: &Option<Vec<u16>>, port: u16) -> bool {
    only_ports.as_ref().is_none_or(|ports| ports.contains(&port))
}

fn gateway(client: IpAddr) -> IpAddr {
    if client.is_ipv4() { GATEWAY_V4.into() } else { GATEWAY_V6.into() }
}

/// Makes the calling thread punctual: exact timers, and precedence over ordinary threads where that
/// is permitted.
pub(crate) fn raise_priority() {
    // SAFETY: calls that affect the calling thread only, and read constants and local structures.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        // The deadline class: current kernels may let ordinary threads run for 50 ms before one of
        // the FIFO class. It cannot hang the machine, since the thread gets only this much of each
        // period.
        let deadline = libc::sched_attr {
            size: size_of::<libc::sched_attr>() as u32,
            sched_policy: libc::SCHED_DEADLINE as u32,
            sched_flags: libc::SCHED_FLAG_RESET_ON_FORK as u64,
            sched_runtime: 3_800_000,
            sched_deadline: 4_000_000,
            sched_period: 4_000_000,
            ..std::mem::zeroed()
        };
        if libc::syscall(libc::SYS_sched_setattr, 0, &deadline, 0) == 0 {
            return;
        }
        // Ordinary users may not use that class, nor threads that are bound to some of the CPUs.
        // All may ask for short time slices, which come sooner (Linux 6.12).
        libc::setpriority(libc::PRIO_PROCESS, libc::gettid() as _, -20);
        let ordinary = libc::sched_attr {
            size: size_of::<libc::sched_attr>() as u32,
            sched_policy: libc::SCHED_OTHER as u32,
            sched_nice: libc::getpriority(libc::PRIO_PROCESS, libc::gettid() as _),
            sched_runtime: 100_000,
            ..std::mem::zeroed()
        };
        libc::syscall(libc::SYS_sched_setattr, 0, &ordinary, 0);
    }
}
