//! What downloads have shown, in a real file: many processes that write it, and librepo.

use super::*;
use crate::history::{LearnedDownloads, Site, Trouble};
use crate::url::Host;
use std::net::TcpListener;
use std::process::Child;

const HERE: Network = Network { ipv4: Some(0x1_0000_0001), ipv6: None };

fn learned(name: &str) -> LearnedDownloads {
    let site = Site::of(&format!("http://{name}.example/pub")).expect("a mirror");
    let of_all = Host::Name("all.example".into());
    LearnedDownloads {
        speeds: vec![(site.host.clone(), 6_000_000), (of_all, 5)],
        broken: vec![],
        troubles: vec![(site, Trouble::Missing)],
    }
}

/// Writes what it has learned, and latencies, and tries again as long as the file is locked.
pub(super) fn write_downloads_of(name: &str, path: &Path) {
    // This returns when the test closes its end of the pipe.
    let _ = io::stdin().read(&mut [0]);
    let cache = CacheFile::new(path);
    let process = std::process::id();
    let downloads = || cache.write_downloads(SystemTime::now(), &HERE, &learned(name), process);
    let latencies = || {
        let latencies = [(record_name(&format!("http://{name}.example/")), latency(5))];
        cache.write(SystemTime::now(), Some(&HERE), latencies, None)
    };
    for write in [&downloads as &dyn Fn() -> Status, &latencies] {
        loop {
            match write() {
                Status::Fine => break,
                Status::Locked { .. } => {}
                other => panic!("{other}"),
            }
        }
    }
    println!("report: done");
}

#[test]
fn concurrent_writers_lose_nothing_that_downloads_have_shown() {
    const PROCESSES: usize = 20;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let start =
        |n: usize| part(&format!("write-downloads-of p{n}"), &path).stdin(Stdio::piped()).spawn().unwrap();
    let mut processes: Vec<Child> = (0..PROCESSES).map(start).collect();
    thread::sleep(Duration::from_millis(300));
    let pipes: Vec<_> = processes.iter_mut().map(|child| child.stdin.take()).collect();
    drop(pipes);
    for child in processes {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let ((records, downloads), status) =
        CacheFile::new(&path).read_with_downloads(SystemTime::now(), &HERE, MONTH);
    assert_eq!((records.len(), status), (PROCESSES, Status::Fine));
    for n in 0..PROCESSES {
        let url = format!("http://p{n}.example/pub");
        assert_eq!(downloads.trouble(&url).map(|it| it.name()), Some("missing"));
        assert_eq!(downloads.observations(&Host::Name(format!("p{n}.example"))).len(), 1);
    }
    // Of the host that all of them used, those of two processes are kept.
    assert_eq!(downloads.observations(&Host::Name("all.example".into())).len(), 2);
}

#[test]
fn librepo_preserves_what_downloads_have_shown() {
    let Some(program) = program("librepo_cache.c", "librepo") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let cache = CacheFile::new(&path);
    assert_eq!(cache.write_downloads(SystemTime::now(), &HERE, &learned("a"), 1), Status::Fine);
    let before = fs::read_to_string(&path).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    build::run(Command::new(program).arg(&path).arg("1000").arg(&url));
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.starts_with(&before) && after.contains("connectime"), "{after}");
    let ((records, downloads), _) = cache.read_with_downloads(SystemTime::now(), &HERE, MONTH);
    assert!(records.len() == 1 && downloads.trouble("http://a.example/pub").is_some());
    // And we preserve what librepo wrote.
    assert_eq!(cache.write_downloads(SystemTime::now(), &HERE, &learned("b"), 1), Status::Fine);
    let last = fs::read_to_string(&path).unwrap();
    assert!(last.contains(&format!("[{url}]")) && last.contains("[:_fm_:speed:b.example]"), "{last}");
}
