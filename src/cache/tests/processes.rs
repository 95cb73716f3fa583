//! Many processes that write one file, and processes that are killed while they write it.

use super::*;
use std::io::BufRead;
use std::os::fd::AsFd;
use std::process::Child;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const MIRRORS: usize = 8;

/// Waits for the test's signal, then writes its mirrors, and tries again as long as the file is
/// locked.
pub(super) fn write_mirrors_of(name: &str, path: &Path) {
    // This returns when the test closes its end of the pipe, once all processes have started.
    let _ = io::stdin().read(&mut [0]);
    let cache = CacheFile::new(path);
    let (mut busy, start) = (0, Instant::now());
    loop {
        let learned =
            (0..MIRRORS).map(|n| (record_name(&format!("http://m{n}.{name}.example/")), latency(5)));
        match cache.write(SystemTime::now(), None, learned, None) {
            Status::Fine => break,
            Status::Locked { .. } => busy += 1,
            other => panic!("{other}"),
        }
    }
    println!("report: {busy} {}", start.elapsed().as_micros());
}

/// Writes one file through its mounts in two directories, and meanwhile reads it through a third
/// path. Threads lock as processes do, since each opens the file itself.
pub(super) fn write_through_two_mounts(path: &Path) {
    const ROUNDS: usize = 40;
    let mounts = ["a", "b"].map(|directory| path.with_file_name(directory).join("cache"));
    assert_eq!(write(&mounts[0]), Status::Fine);
    let file = File::open(path).unwrap();
    assert!(sys::try_lock(file.as_fd()).unwrap());
    for mount in &mounts {
        let learned = [(record_name("http://other.example/"), latency(5))];
        let status = CacheFile::new(mount).write(SystemTime::now(), None, learned, None);
        assert_eq!(status, Status::Locked { path: mount.clone() });
    }
    sys::unlock(file.as_fd());
    let (start, is_done) = (Barrier::new(2), AtomicBool::new(false));
    let write_all = |writer: &str, path: &Path| {
        for round in 0..ROUNDS {
            start.wait();
            loop {
                let name = |n| record_name(&format!("http://m{n}.{writer}{round}.example/"));
                let learned = (0..MIRRORS).map(|n| (name(n), latency(5)));
                match CacheFile::new(path).write(SystemTime::now(), None, learned, None) {
                    Status::Locked { .. } => {}
                    _ => break,
                }
            }
        }
    };
    let read_all = || {
        let (mut half_written, mut unreadable) = (0, 0);
        while !is_done.load(Relaxed) {
            half_written += u32::from(!fs::read(path).unwrap().ends_with(b"\n"));
            unreadable += u32::from(!read(path).1.is_fine());
        }
        (half_written, unreadable)
    };
    let (half_written, unreadable) = thread::scope(|scope| {
        let reader = scope.spawn(read_all);
        let write_all = &write_all;
        let writers = [("a", &mounts[0]), ("b", &mounts[1])];
        let writers = writers.map(|(name, path)| scope.spawn(move || write_all(name, path)));
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Relaxed);
        reader.join().unwrap()
    });
    let lost = 1 + 2 * ROUNDS * MIRRORS - read(path).0.len();
    eprintln!("measured: half written {half_written} times, unreadable {unreadable} times");
    // A writer may be interrupted for longer than a reader waits.
    let often = if unreadable > 5 + half_written / 4 { "often" } else { "rarely" };
    println!("report: {lost} records lost, {often} unreadable");
}

/// Writes all mirrors again and again as quickly as it can, each time with another latency.
pub(super) fn write_forever(start: u64, path: &Path) {
    let cache = CacheFile::new(path);
    for n in (start..).map(|n| n % 50_000 + 1) {
        let learned = (0..50).map(|m| (record_name(&format!("http://m{m}.example/")), latency(n)));
        let status = cache.write(SystemTime::now(), None, learned, None);
        assert!(status.is_fine(), "{status}");
        if n == start % 50_000 + 1 {
            println!("report: started");
        }
    }
}

#[test]
fn concurrent_writers_lose_no_record() {
    for count in [2, 50] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cache");
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
        let (records, status) = read(&path);
        assert_eq!(status, Status::Fine);
        assert_eq!(records.len(), count as usize * MIRRORS);
        for n in 0..count {
            for m in 0..MIRRORS {
                assert!(records.get(&endpoint(&format!("http://m{m}.p{n}.example/"))).is_some(), "m{m}.p{n}");
            }
        }
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 2, "the cache and its lock");
    }
}

/// Containers share a cache by mounting it, each in a directory of its own with a lock of its own.
#[test]
fn concurrent_writers_through_two_mounts_lose_no_record() {
    let directory = tempfile::tempdir().unwrap();
    let prepare = "cd \"$D\" && : > cache && mkdir a b && touch a/cache b/cache && \
                   mount --bind cache a/cache && mount --bind cache b/cache";
    let part = "write-through-two-mounts";
    let Some(report) = file::on_a_small_disk("4m", prepare, directory.path(), part) else { return };
    assert_eq!(report, "0 records lost, rarely unreadable");
}

#[test]
fn killed_writer_leaves_a_whole_file() {
    const KILLS: u64 = 1000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let temporary = directory.path().join("cache.new");
    let (mut stale, mut seen) = (0, std::collections::HashSet::new());
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for kill in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut child = part(&format!("write-forever {}", kill * 50), &path).spawn().unwrap();
        let mut lines = io::BufReader::new(child.stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("report: started"))).unwrap().unwrap();
        thread::sleep(Duration::from_micros(random % 4000));
        child.kill().unwrap();
        child.wait().unwrap();
        stale += u32::from(temporary.exists());
        // All records are from the same write: the file is the old or the new one.
        let (records, status) = read(&path);
        assert_eq!((records.len(), status), (50, Status::Fine));
        let first = records.get(&endpoint("http://m0.example/")).unwrap();
        for m in 1..50 {
            assert_eq!(records.get(&endpoint(&format!("http://m{m}.example/"))), Some(first), "kill {kill}");
        }
        let Remembered::Latency(latency) = first else { panic!("{first:?}") };
        seen.insert(latency);
    }
    let _ = writeln!(
        io::stderr(),
        "measured: {KILLS} kills left {} different files whole and {stale} temporary files, until the next write",
        seen.len()
    );
    assert_eq!(write(&path), Status::Fine);
    assert!(!temporary.exists());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the cache and its lock");
}
