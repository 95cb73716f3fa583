//! `Mirror::parse` beside curl itself: to which host and port does the command connect?
//!
//! A proxy on loopback gets the answer, since curl asks it for a tunnel there, whatever the
//! protocol. No connection is made to anywhere else.

use fastestmirror::{Host, Mirror};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::mpsc;
use support::programs::{have, program};

/// URLs that lead somewhere, or that curl rejects too.
const URLS: &[&str] = &[
    "http://mirror.example/pub",
    "https://mirror.example/pub",
    "ftp://mirror.example/pub",
    "HTTPS://Mirror.EXAMPLE/Pub",
    "http://mirror.example",
    "http://mirror.example./pub",
    "http://mirror.example?release=40",
    "http://mirror.example#top",
    "http://mirror.example:8080/",
    "http://mirror.example:/",
    "http://mirror.example:00080/",
    "http://mirror.example:65535/",
    "http://mirror.example:65536/",
    "http://mirror.example:80a/",
    "http://mirror.example:+80/",
    "http://mirror.example:-1/",
    "https://user@mirror.example/",
    "https://user:pass@mirror.example:8443/",
    "http://user%40:p%2fw@mirror.example/",
    "http://mirror.example/a@b:c",
    "http://192.0.2.7/",
    "http://192.0.2.7:81/",
    "https://[2001:db8::1]/",
    "https://[2001:DB8:0:0::1]:8443/",
    "ftp://user:pw@[2001:db8::1]:2121/",
    "http://[2001:db8::1]80/",
    "http://[2001:db8::1/",
    "http://[192.0.2.7]/",
    "http://[]/",
    "http://my_mirror-1.example/",
    "http://xn--mnchen-3ya.example/",
    "http://localhost/",
    // One to three slashes.
    "http:mirror.example/",
    "http:/mirror.example/",
    "http:///mirror.example/",
    "http:////mirror.example/",
    "https:/user:pw@mirror.example:8443/",
    "ftp:///mirror.example/",
    "http:/",
    "http://",
    "http:///",
    "http://:80/",
    // Percent-encoded hosts.
    "http://%61.example/",
    "http://mirror%2Eexample:81/",
    "http://%4d%49rror.example/",
    "http://192.0.2.%37/",
    "http://mirror%2fexample/",
    "http://mirror%3fexample/",
    "http://mirror%23example/",
    "http://mirror%5cexample/",
    "http://user%40mirror.example/",
    "http://mirror.example%3a80/",
    "http://mirror%00.example/",
    "http://mirror%0a.example/",
    "http://mirror%20example/",
    "http://%5b2001:db8::1%5d/",
    // Names in other scripts.
    "http://münchen.example/",
    "http://MÜNCHEN.example:8080/",
    "http://m%C3%BCnchen.example/",
    "http://faß.example/",
    "http://鏡像.例子/",
    "http://鏡像。例子/",
    "http://bücher.鏡像.example/",
    // Spaces and control characters.
    "http://mirror example/",
    "http://mirror\x01.example/",
];

/// URLs that `Mirror::parse` takes and curl does not, with the reason.
const TAKEN: &[(&str, &str)] = &[
    ("https://user:p@ss:w0rd@mirror.example/", "a password is recognized, so that it can be hidden"),
    ("https://user:p@ss@mirror.example/", "a password is recognized, so that it can be hidden"),
];

/// URLs that curl takes, in some versions at least, and `Mirror::parse` does not, with the reason.
const NOT_TAKEN: &[(&str, &str)] = &[
    ("http://127.1/", "one host could pass for many"),
    ("http://2130706433/", "one host could pass for many"),
    ("http://0x7f.1/", "one host could pass for many"),
    ("http://017700000001/", "one host could pass for many"),
    ("http://127%2e1/", "one host could pass for many"),
    ("http://127.１/", "one host could pass for many"),
    ("http://1.2.3.256/", "no domain has such a name"),
    ("http://[fe80::1%25lo]/", "a zone is a matter of one machine"),
    ("http://[fe80::1%lo]/", "a zone is a matter of one machine"),
    ("http://mirror..example/", "no resolver finds it"),
    ("http://.mirror.example/", "no resolver finds it"),
    ("http://mirror%7f.example/", "no resolver finds it"),
    ("http://mirror%2561.example/", "no resolver finds it"),
    ("http://mirror.example:0/", "nothing listens there"),
];

/// Punycode forms of the hosts above: what curl asks the proxy for.
const PUNYCODE: &[(&str, &str)] = &[
    ("münchen.example", "xn--mnchen-3ya.example"),
    ("mÜnchen.example", "xn--mnchen-3ya.example"),
    ("faß.example", "xn--fa-hia.example"),
    ("鏡像.例子", "xn--o1qz84n.xn--fsqu00a"),
    ("bücher.鏡像.example", "xn--bcher-kva.xn--o1qz84n.example"),
];

/// Where `Mirror::parse` says that a connection goes to, in curl's words.
fn ours(url: &str) -> Option<String> {
    let Mirror::Remote(_, endpoint) = Mirror::parse(url) else { return None };
    let host = match endpoint.host {
        Host::Name(name) if !name.is_ascii() => {
            let known = PUNYCODE.iter().find(|(written, _)| *written == name);
            known.unwrap_or_else(|| panic!("the table has no punycode form of {name}")).1.into()
        }
        Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        host => host.to_string(),
    };
    Some(format!("{host}:{}", endpoint.port))
}

/// Starts a proxy that refuses every tunnel. Returns its port, and the destinations that it is
/// asked for.
fn start_proxy() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, destinations) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            // All of the request has to be read: otherwise closing the connection would discard the
            // reply.
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let destination = request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
            let destination = destination.unwrap_or_else(|| panic!("not a tunnel: {request}"));
            let _ = sender.send(destination.to_ascii_lowercase());
            let _ = stream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (port, destinations)
}

#[test]
fn url_leads_where_the_installed_curl_connects_to() {
    if !have("curl", program("curl").arg("--version")) {
        return;
    }
    let version = program("curl").arg("--version").output().expect("curl runs");
    let has_idn = String::from_utf8_lossy(&version.stdout).contains(" IDN ");
    let (port, destinations) = start_proxy();
    let curl = |url: &str| {
        let mut curl = program("curl");
        curl.env("LC_ALL", "C.UTF-8").args(["-q", "-s", "-g", "-p", "--noproxy", "", "--max-time", "20"]);
        curl.args(["-x", &format!("http://127.0.0.1:{port}"), "-o", "/dev/null", url]);
        curl.output().expect("curl runs");
        destinations.try_recv().ok()
    };
    let mut wrong = Vec::new();
    for url in URLS {
        let (ours, curls) = (ours(url), curl(url));
        if ours != curls && (has_idn || url.is_ascii()) {
            wrong.push(format!("{url:?}: {ours:?}, but curl connects to {curls:?}"));
        }
    }
    for (urls, are_taken) in [(TAKEN, true), (NOT_TAKEN, false)] {
        for (url, why) in urls {
            let ours = ours(url);
            println!("{url:?}: {ours:?}, but curl connects to {:?}, since {why}", curl(url));
            if ours.is_some() != are_taken {
                wrong.push(format!("{url:?}: {ours:?}, but the table says otherwise"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
