//! A server of mirror lists that does what MirrorManager does: it shuffles a metalink by the
//! bandwidth of the mirrors, anew for each request.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// A mirror: its host, and its bandwidth in any unit.
pub type Mirror = (&'static str, f64);

/// The server, which runs until the process ends.
#[derive(Debug, Clone)]
pub struct MirrorManager {
    pub port: u16,
    repositories: BTreeMap<&'static str, Vec<Mirror>>,
    round: Arc<AtomicU64>,
}

impl MirrorManager {
    /// Serves the metalink of each repository at the path of its name.
    pub fn start(
        repositories: BTreeMap<&'static str, Vec<Mirror>>,
        metalink: impl Fn(&str, &[&'static str]) -> String + Send + 'static,
    ) -> MirrorManager {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let manager = MirrorManager { port, repositories, round: Arc::default() };
        let server = manager.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that has gone away needs no answer.
                let _ = respond(stream, |name| Some(metalink(name, &server.list(name)?)));
            }
        });
        manager
    }

    /// Begins a round: from now on, each repository has the list of this round. A client that asks
    /// once in a round sees a new shuffle with each request, and a test sees the same ones in every
    /// run, even if the client has to ask again.
    pub fn begin(&self, round: u64) {
        self.round.store(round, SeqCst);
    }

    /// Returns the hosts of a repository, if there is one of this name, in the order of this round.
    pub fn list(&self, repository: &str) -> Option<Vec<&'static str>> {
        let number = self.repositories.keys().position(|name| *name == repository)?;
        let mut state = self.round.load(SeqCst) << 8 | number as u64;
        Some(shuffled(&self.repositories[repository], &mut state))
    }
}

/// Answers one request for `/NAME`.
fn respond(mut stream: TcpStream, metalink: impl Fn(&str) -> Option<String>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < 10_000 {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            break;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request);
    let name = request.strip_prefix("GET /").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let (status, body) = match metalink(name) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", String::new()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Draws one mirror after the other, each with a probability in proportion to its bandwidth.
fn shuffled(mirrors: &[Mirror], state: &mut u64) -> Vec<&'static str> {
    let mut left = mirrors.to_vec();
    let mut hosts = Vec::new();
    while !left.is_empty() {
        let total: f64 = left.iter().map(|(_, bandwidth)| bandwidth).sum();
        let mut at = uniform(state) * total;
        let drawn = left.iter().position(|(_, bandwidth)| {
            at -= bandwidth;
            at < 0.0
        });
        hosts.push(left.remove(drawn.unwrap_or(left.len() - 1)).0);
    }
    hosts
}

/// A number from 0 to 1 (SplitMix64).
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_lead_in_proportion_to_their_bandwidth() {
        const DRAWS: usize = 10_000;
        let mut state = 1u64;
        let mut leads = [0.0; 3];
        for _ in 0..DRAWS {
            state += 256;
            let hosts = shuffled(&[("a", 10.0), ("b", 30.0), ("c", 60.0)], &mut { state });
            leads[["a", "b", "c"].iter().position(|host| *host == hosts[0]).expect("one of them")] += 1.0;
        }
        for (found, share) in leads.into_iter().zip([0.1, 0.3, 0.6]) {
            let error: f64 = share * (1.0 - share) / DRAWS as f64;
            assert!((found / DRAWS as f64 - share).abs() < 5.0 * error.sqrt(), "{leads:?}");
        }
    }
}
