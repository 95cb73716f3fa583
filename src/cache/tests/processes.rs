//! Many processes at one file, and processes that are killed at it.

use super::*;
use std::io::BufRead;
use std::process::Child;

const MIRRORS: usize = 8;

/// Waits for its turn, then writes its mirrors, again as long as others keep it from it.
pub(super) fn write_mirrors_of(name: &str, path: &Path) {
    // Until all processes are there and the test closes this end.
    let _ = io::stdin().read(&mut [0]);
    let cache = Cache::open(path);
    let (mut busy, start) = (0, Instant::now());
    loop {
        let updates = (0..MIRRORS).map(|n| (key(&format!("http://m{n}.{name}.example/")), latency(5)));
        match cache.write(SystemTime::now(), None, updates, None) {
            Status::Fine => break,
            Status::Busy { .. } => busy += 1,
            other => panic!("{other}"),
        }
    }
    println!("report: {busy} {}", start.elapsed().as_micros());
}

/// Gives all mirrors one latency after another, as quickly as it can.
pub(super) fn write_for_ever(start: u64, path: &Path) {
    let cache = Cache::open(path);
    for n in (start..).map(|n| n % 50_000 + 1) {
        let updates = (0..50).map(|m| (key(&format!("http://m{m}.example/")), latency(n)));
        let status = cache.write(SystemTime::now(), None, updates, None);
        assert!(status.is_fine(), "{status}");
        if n == start % 50_000 + 1 {
            println!("report: begun");
        }
    }
}

#[test]
fn processes_that_write_at_once_lose_no_record() {
    for count in [2, 50] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let processes: Vec<Child> = (0..count)
            .map(|n| part(&format!("write-mirrors-of p{n}"), &path).stdin(Stdio::piped()).spawn().unwrap())
            .collect();
        thread::sleep(Duration::from_millis(20 * count));
        let (ready, mut outputs): (Vec<_>, Vec<_>) =
            processes.into_iter().map(|mut child| (child.stdin.take(), child)).unzip();
        drop(ready);
        let (mut busy, mut longest) = (0, 0);
        for child in outputs.drain(..) {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
            let report = text.lines().find_map(|line| line.split_once("report: ")).unwrap().1;
            let (skipped, micros) = report.split_once(' ').unwrap();
            busy += skipped.parse::<u32>().unwrap();
            longest = longest.max(micros.parse::<u64>().unwrap());
        }
        let longest = Duration::from_micros(longest);
        let _ = writeln!(
            io::stderr(),
            "measured: {count} processes at one cache: skipped {busy} times, the last one done after {longest:?}"
        );
        let (memory, status) = read(&path);
        assert_eq!(status, Status::Fine);
        assert_eq!(memory.len(), count as usize * MIRRORS);
        for n in 0..count {
            for m in 0..MIRRORS {
                assert!(memory.of(&endpoint(&format!("http://m{m}.p{n}.example/"))).is_some(), "m{m}.p{n}");
            }
        }
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 2, "the cache and its lock");
    }
}

#[test]
fn a_process_that_is_killed_leaves_a_whole_file() {
    const KILLS: u64 = 1000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let temporary = folder.path().join("cache.new");
    let (mut stale, mut seen) = (0, std::collections::HashSet::new());
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for kill in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut child = part(&format!("write-for-ever {}", kill * 50), &path).spawn().unwrap();
        let mut lines = io::BufReader::new(child.stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("report: begun"))).unwrap().unwrap();
        thread::sleep(Duration::from_micros(random % 4000));
        child.kill().unwrap();
        child.wait().unwrap();
        stale += u32::from(temporary.exists());
        // All of one writing: the file is the old or the new one.
        let (memory, status) = read(&path);
        assert_eq!((memory.len(), status), (50, Status::Fine));
        let first = memory.of(&endpoint("http://m0.example/")).unwrap();
        for m in 1..50 {
            assert_eq!(memory.of(&endpoint(&format!("http://m{m}.example/"))), Some(first), "kill {kill}");
        }
        let Known::Latency(latency) = first else { panic!("{first:?}") };
        seen.insert(latency);
    }
    let _ = writeln!(
        io::stderr(),
        "measured: {KILLS} kills left {} different files whole and {stale} temporary files, until the next writing",
        seen.len()
    );
    assert_eq!(write(&path), Status::Fine);
    assert!(!temporary.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the cache and its lock");
}
