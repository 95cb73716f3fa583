//! Odd files and directories: they never cause an error or a hang, and nothing else is changed.

use super::*;
use std::os::fd::AsFd;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use tempfile::TempDir;

/// Reads and writes a path, and checks that neither hangs.
fn both(path: &Path) -> (Status, Status) {
    let start = Instant::now();
    let (records, read) = read(path);
    assert_eq!(records.len(), 0);
    let written = write(path);
    assert!(start.elapsed() < Duration::from_secs(10), "{}: {:?}", path.display(), start.elapsed());
    (read, written)
}

fn names(directory: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn reason(status: &Status) -> &str {
    match status {
        Status::Unreadable { why, .. } | Status::Unwritable { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn new_file_and_its_lock_are_private_and_nothing_else_is_left() {
    let directory = directory();
    let path = directory.path().join("cache");
    let missing = Status::Missing { path: path.clone() };
    assert_eq!(both(&path), (missing, Status::Fine));
    assert_eq!(names(directory.path()), ["cache", "cache.lock"]);
    assert_eq!((mode(&path), mode(&directory.path().join("cache.lock"))), (0o600, 0o600));
    let (records, status) = read(&path);
    assert_eq!((records.len(), status), (1, Status::Fine));
    // With any umask.
    for umask in ["000", "077", "777"] {
        let path = directory.path().join(umask);
        let shell = format!("umask {umask} && exec \"$0\" \"$@\"");
        assert_eq!(report(&mut part_through(&["sh", "-c", &shell], "write", &path)), "the cache is fine");
        assert_eq!(mode(&path), 0o600, "{umask}");
    }
}

#[test]
fn existing_file_keeps_its_mode_owner_and_group() {
    let directory = directory();
    let path = directory.path().join("cache");
    for mode_before in [0o644, 0o600, 0o664, 0o640] {
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode_before)).unwrap();
        if is_root() {
            chown(&path, Some(NOBODY), Some(12)).unwrap();
        }
        let before = fs::metadata(&path).unwrap();
        assert_eq!(write(&path), Status::Fine);
        let after = fs::metadata(&path).unwrap();
        assert_eq!(
            (after.mode(), after.uid(), after.gid()),
            (before.mode(), before.uid(), before.gid()),
            "{mode_before:o}"
        );
        assert_ne!(after.ino(), before.ino(), "it was replaced, not written to");
        assert_eq!(read(&path).0.len(), 1);
    }
}

#[test]
fn links_are_not_followed() {
    let directory = directory();
    let (victim, path) = (directory.path().join("victim"), directory.path().join("cache"));
    let text = "[:_librepo_:]\nversion=1\n[http://a.example]\nts=9999999999\n";
    fs::write(&victim, text).unwrap();
    for target in [&victim, &directory.path().join("nothing"), &path] {
        symlink(target, &path).unwrap();
        let (read, written) = both(&path);
        assert!(reason(&read).contains("symbolic link"), "{read}");
        assert!(reason(&written).contains("symbolic link"), "{written}");
        fs::remove_file(&path).unwrap();
        assert_eq!(names(directory.path()), ["victim"]);
    }
    // A link in place of the lock prevents writing; one in place of the temporary file is removed.
    symlink(&victim, directory.path().join("cache.lock")).unwrap();
    let (_, written) = both(&path);
    assert!(reason(&written).contains("symbolic link"), "{written}");
    fs::remove_file(directory.path().join("cache.lock")).unwrap();
    symlink(&victim, directory.path().join("cache.new")).unwrap();
    assert_eq!(write(&path), Status::Fine);
    assert_eq!(names(directory.path()), ["cache", "cache.lock", "victim"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), text);
    // A hard link is replaced, and the file under its other name does not change.
    let path = directory.path().join("hard");
    fs::hard_link(&victim, &path).unwrap();
    assert!(write(&path).is_fine());
    assert_eq!(fs::read_to_string(&victim).unwrap(), text);
    assert_ne!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn only_regular_files_are_opened() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    build::run(Command::new("mkfifo").args([at("fifo"), at("locked-by-fifo.lock"), at("new-fifo.new")]));
    fs::create_dir_all(at("directory")).unwrap();
    fs::create_dir_all(at("locked-by-directory.lock")).unwrap();
    fs::create_dir_all(at("new-directory.new/full")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let table = [
        (at("fifo"), "it is a FIFO"),
        (at("directory"), "it is a directory"),
        (at("socket"), "it is a socket"),
        ("/dev/null".into(), "it is a device"),
        ("/dev/zero".into(), "it is a device"),
        ("/".into(), "it is a directory"),
        ("/dev/../".into(), "it is a directory"),
        (at("directory/."), "it is a directory"),
        (at("directory/.."), "it is a directory"),
    ];
    for (path, why) in table {
        let (read, written) = both(&path);
        // Writing fails for the same reason as reading.
        assert_eq!(reason(&read), why, "{}", path.display());
        let no_file = "it is not the path of a file";
        assert!([why, no_file].contains(&reason(&written)), "{}: {written}", path.display());
    }
    for (name, why) in [
        ("locked-by-fifo", "its lock"),
        ("locked-by-directory", "its lock"),
        ("new-directory", "new-directory.new"),
        ("nowhere/cache", "its directory does not exist"),
        ("fifo/cache", "Not a directory"),
    ] {
        let (_, written) = both(&at(name));
        assert!(reason(&written).contains(why), "{name}: {written}");
        assert!(!at(name).exists());
    }
    assert_eq!(write(&at("new-fifo")), Status::Fine);
    assert!(!write(Path::new("")).is_fine());
    let long = at(&"a".repeat(300));
    assert!(!both(&long).1.is_fine());
    // This name is short enough, but those of the lock and of the temporary file are not.
    assert!(!both(&at(&"a".repeat(252))).1.is_fine());
    assert!(!write(Path::new("a\0b")).is_fine());
}

#[test]
fn messages_name_the_path_and_the_reason() {
    let directory = directory();
    let path = directory.path().join("cache");
    fs::create_dir(&path).unwrap();
    let (read, written) = both(&path);
    assert_eq!(read.to_string(), format!("cannot read cache {}: it is a directory", path.display()));
    assert_eq!(written.to_string(), format!("cannot write cache {}: it is a directory", path.display()));
    let path = directory.path().join("foreign");
    fs::write(&path, "root:x:0:0\n").unwrap();
    let (read, written) = both(&path);
    assert_eq!(read, written);
    let why = "line 1: not a group, a key with a value, or a comment; a new one will be written";
    assert_eq!(read.to_string(), format!("ignoring cache {}: {why}", path.display()));
}

#[test]
fn huge_file_is_left_alone() {
    let directory = directory();
    for size in [records::MAX_SIZE as u64 + 1, 1 << 40] {
        let path = directory.path().join("cache");
        File::create(&path).unwrap().set_len(size).unwrap();
        let (read, written) = both(&path);
        assert!(reason(&read).contains("larger than"), "{read}");
        assert_eq!(reason(&read), reason(&written));
        assert_eq!(fs::metadata(&path).unwrap().len(), size);
    }
    // As large as is allowed, and all zeros, as after a crash: ignored and replaced.
    let path = directory.path().join("zeros");
    File::create(&path).unwrap().set_len(records::MAX_SIZE as u64).unwrap();
    let start = Instant::now();
    assert!(matches!(read(&path).1, Status::NotACache { .. }));
    assert!(matches!(write(&path), Status::NotACache { .. }));
    assert_eq!(read(&path).0.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn file_full_of_foreign_text_is_left_alone_and_reported() {
    let directory = directory();
    let path = directory.path().join("cache");
    let mut text = b"[:_librepo_:]\nversion=1\n".to_vec();
    text.resize(records::MAX_SIZE - 1, b'#');
    text.push(b'\n');
    fs::write(&path, &text).unwrap();
    assert_eq!(read(&path).1, Status::Fine);
    let written = write(&path);
    assert!(
        matches!(written, Status::Unwritable { .. }) && reason(&written).contains("no room"),
        "{written}"
    );
    assert!(fs::read(&path).unwrap() == text);
    // If there is room beyond the size up to which we let records grow, this run's are written.
    text.truncate(records::MAX_SIZE * 3 / 4);
    text.push(b'\n');
    fs::write(&path, &text).unwrap();
    assert_eq!(write(&path), Status::Fine);
    assert_eq!(read(&path).0.len(), 1);
}

#[test]
fn writer_gives_up_when_the_lock_is_held_too_long() {
    let directory = directory();
    let path = directory.path().join("cache");
    assert_eq!(write(&path), Status::Fine);
    let before = fs::read(&path).unwrap();
    let lock = Lock::take(&directory.path().join("cache.lock"), None).unwrap();
    let start = Instant::now();
    assert_eq!(write(&path), Status::Locked { path: path.clone() });
    let waited = start.elapsed();
    assert!(waited >= LOCK_TIMEOUT && waited < LOCK_TIMEOUT * 100, "{waited:?}");
    // Reading does not wait for the lock.
    assert_eq!(read(&path).0.len(), 1);
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(lock);
    assert_eq!(write(&path), Status::Fine);
}

/// A writer in place has the lock on the file itself.
#[test]
fn reader_waits_for_a_process_that_writes_in_place() {
    let directory = directory();
    let path = directory.path().join("cache");
    assert_eq!(write(&path), Status::Fine);
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        let is_read = || {
            fs::write(&path, &whole[..length]).unwrap();
            let writer = File::open(&path).unwrap();
            assert!(sys::try_lock(writer.as_fd()).unwrap());
            thread::scope(|scope| {
                let reader = scope.spawn(|| read(&path).0.len());
                thread::sleep(LOCK_TIMEOUT / 5);
                fs::write(&path, &whole).unwrap();
                sys::unlock(writer.as_fd());
                reader.join().unwrap() == 1
            })
        };
        // Several times, since this thread may be interrupted for longer than the reader waits.
        assert!((0..20).any(|_| is_read()), "{length}");
        fs::write(&path, &whole[..length]).unwrap();
        let writer = File::open(&path).unwrap();
        assert!(sys::try_lock(writer.as_fd()).unwrap());
        let start = Instant::now();
        let _ = read(&path);
        assert!(start.elapsed() >= LOCK_TIMEOUT, "{length}");
    }
}

/// What was waited for is a file that no other process can open any more.
#[test]
fn lock_of_a_file_replaced_meanwhile_is_taken_anew() {
    let directory = directory();
    let path = directory.path().join("cache.lock");
    let is_taken_anew = || {
        let first = Lock::take(&path, None).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::take(&path, None));
            thread::sleep(LOCK_TIMEOUT / 5);
            fs::remove_file(&path).unwrap();
            drop(first);
            let second = waiting.join().unwrap();
            second.is_ok() && matches!(Lock::take(&path, None), Err(FileError::Locked))
        })
    };
    // Several times, since this thread may be interrupted for longer than the other one waits.
    assert!((0..20).any(|_| is_taken_anew()));
}

#[test]
fn lock_file_removed_meanwhile_is_made_again() {
    let directory = directory();
    let path = directory.path().join("cache.lock");
    let first = Lock::take(&path, None).unwrap();
    fs::remove_file(&path).unwrap();
    // The first lock is on a file that no other process can open any more.
    let second = Lock::take(&path, None).unwrap();
    assert!(matches!(Lock::take(&path, None), Err(FileError::Locked)));
    drop(first);
    assert!(matches!(Lock::take(&path, None), Err(FileError::Locked)));
    drop(second);
    Lock::take(&path, None).unwrap();
}

#[test]
fn stale_temporary_file_is_removed() {
    let directory = directory();
    let path = directory.path().join("cache");
    fs::write(directory.path().join("cache.new"), "half a").unwrap();
    assert_eq!(write(&path), Status::Fine);
    assert_eq!(names(directory.path()), ["cache", "cache.lock"]);
    assert_eq!(read(&path).0.len(), 1);
}

#[test]
fn relative_path_is_made_absolute() {
    let cache = CacheFile::new(Path::new("some/cache"));
    assert!(cache.path().is_absolute());
    assert!(cache.path().ends_with("some/cache"));
}

/// Runs a part as a user who owns no files. Only root can do so.
fn as_nobody(name: &str, path: &Path) -> String {
    report(part(name, path).uid(NOBODY).gid(NOBODY))
}

#[test]
fn missing_permission_is_reported() {
    if !support::users::can_become_others() {
        return;
    }
    let directory = directory();
    let path = directory.path().join("cache");
    let reach = |mode| fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
    reach(0o755);
    assert_eq!(write(&path), Status::Fine);
    // Root's private cache in root's directory: the user can neither read nor replace it.
    let at = path.display();
    assert_eq!(
        as_nobody("read", &path),
        format!("0 cannot read cache {at}: Permission denied (os error 13)")
    );
    assert_eq!(
        as_nobody("write", &path),
        format!("cannot write cache {at}: Permission denied (os error 13)")
    );
    // If it is readable, it is used, and not written.
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(as_nobody("read", &path), "1 the cache is fine");
    assert!(as_nobody("write", &path).contains("its lock"));
    // In a directory in which the user may do everything, without our lock file: the user could
    // replace the file, but it would no longer belong to root.
    fs::remove_file(directory.path().join("cache.lock")).unwrap();
    fs::write(&path, "").unwrap();
    reach(0o777);
    let before = fs::metadata(&path).unwrap();
    assert!(as_nobody("write", &path).contains("cannot keep its owner 0"), "{}", as_nobody("write", &path));
    assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
    assert_eq!(names(directory.path()), ["cache", "cache.lock"]);
    // A directory without access.
    reach(0o700);
    assert!(as_nobody("read", &path).contains("Permission denied"));
    assert!(as_nobody("write", &path).contains("Permission denied"));
}

#[test]
fn file_of_another_user_in_a_shared_directory_is_not_trusted() {
    if !support::users::can_become_others() {
        return;
    }
    let directory = directory();
    let path = directory.path().join("cache");
    for open in [0o1777, 0o777, 0o772] {
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(write(&path), Status::Fine);
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        // It is trusted where only root or the directory's owner can have put it.
        assert_eq!(read(&path).0.len(), 1);
        fs::set_permissions(directory.path(), Permissions::from_mode(open)).unwrap();
        let (records, status) = read(&path);
        assert_eq!(records.len(), 0);
        let why = "it belongs to user 65534 and any user may write to its directory";
        assert_eq!(reason(&status), why);
        assert_eq!(reason(&write(&path)), why);
        chown(&path, Some(0), Some(0)).unwrap();
        assert_eq!(read(&path).0.len(), 1);
    }
}

#[test]
fn world_writable_file_is_not_trusted() {
    let directory = directory();
    let path = directory.path().join("cache");
    assert_eq!(write(&path), Status::Fine);
    for (mode, is_trusted) in [(0o664, true), (0o666, false), (0o602, false), (0o600, true)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let (records, status) = read(&path);
        assert_eq!((records.len(), status.is_fine()), (usize::from(is_trusted), is_trusted), "{mode:o}");
        assert_eq!(write(&path).is_fine(), is_trusted, "{mode:o}");
    }
}

/// Runs a part on a small file system of its own. A shell prepares it; `$D` is the directory.
pub(super) fn on_a_small_disk(size: &str, prepare: &str, directory: &Path, name: &str) -> Option<String> {
    let script = format!("mount -t tmpfs -o size={size} tmpfs \"$D\" && {prepare} && exec \"$0\" \"$@\"");
    // Without being root here, it can be in a user namespace.
    let apart = if is_root() { "-m" } else { "-rm" };
    let possible = Command::new("unshare").args([apart, "mount", "-t", "tmpfs", "x", "/mnt"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        lab::skip("no mount namespace with a file system of its own can be made here");
        return None;
    }
    let starter = ["unshare", apart, "sh", "-c", &script];
    Some(report(part_through(&starter, name, &directory.join("cache")).env("D", directory)))
}

#[test]
fn full_disk_leaves_the_old_file() {
    let (directory, elsewhere) = (directory(), directory());
    // A cache of two pages fits, but not another one beside it.
    let records: String = (0..100)
        .map(|n| format!("[http://m{n}.example]\nts=1\nconnectime=0.5\nfiller=000000000000000000000000\n"))
        .collect();
    // The records are too old to be kept; a foreign group keeps the new file large.
    let foreign =
        format!("[:_librepo_:]\nversion=1\n[:_foreign]\n{}", "key=value that is not ours\n".repeat(280));
    let old = elsewhere.path().join("old");
    fs::write(&old, foreign + &records).unwrap();
    let fill = "{ head -c 999999 /dev/zero > \"$D/filler\" 2>/dev/null || true; }";
    let prepare = format!("cp {} \"$D/cache\" && {fill}", old.display());
    let Some(report) = on_a_small_disk("32k", &prepare, directory.path(), "write") else { return };
    assert!(
        report.ends_with(": No space left on device (os error 28)") && report.starts_with("cannot write"),
        "{report}"
    );
    // The same, and then the files are compared.
    let check = format!(
        "{prepare} && \"$0\" \"$@\" >/dev/null && cmp {} \"$D/cache\" && test ! -e \"$D/cache.new\"",
        old.display()
    );
    let report = on_a_small_disk("32k", &check, directory.path(), "read").unwrap();
    assert!(report.ends_with("the cache is fine"), "{report}");
    // No file can be created at all.
    let none = "{ n=0; while touch \"$D/$n\" 2>/dev/null; do n=$((n+1)); done; }";
    let report = on_a_small_disk("1m,nr_inodes=9", none, directory.path(), "write").unwrap();
    assert!(
        report.starts_with("cannot write cache")
            && report.contains("cannot take its lock")
            && report.contains("os error 28"),
        "{report}"
    );
}

#[test]
fn read_only_directory_is_read_and_not_written() {
    let directory = directory();
    let other = tempfile::tempdir().unwrap();
    let cache = other.path().join("cache");
    assert_eq!(write(&cache), Status::Fine);
    let lock_or_not = ["true", ": > \"$D/cache.lock\""];
    for lock in lock_or_not {
        let prepare =
            format!("cp {} \"$D/cache\" && {lock} && mount -o remount,bind,ro \"$D\"", cache.display());
        let Some(report) = on_a_small_disk("64k", &prepare, directory.path(), "read") else { return };
        assert_eq!(report, "1 the cache is fine");
        let report = on_a_small_disk("64k", &prepare, directory.path(), "write").unwrap();
        assert!(report.contains("Read-only file system"), "{report}");
    }
}

/// Several users of one group share a cache: an administrator has made the file for them.
#[test]
fn cache_of_a_group_is_written_by_all_its_members() {
    if !support::users::can_become_others() {
        return;
    }
    const GROUP: u32 = 54321;
    const MEMBERS: [u32; 2] = [54322, 54323];
    let directory = directory();
    let path = directory.path().join("cache");
    let as_member = |user: u32| report(part("write", &path).uid(user).gid(GROUP));
    for can_replace in [true, false] {
        fs::write(&path, "").unwrap();
        chown(&path, Some(MEMBERS[0]), Some(GROUP)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
        chown(directory.path(), Some(0), Some(GROUP)).unwrap();
        let mode = if can_replace { 0o770 } else { 0o750 };
        fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        for user in MEMBERS {
            // So that there is something new to write.
            fs::write(&path, "").unwrap();
            assert_eq!(as_member(user), "the cache is fine", "user {user}, can replace: {can_replace}");
            let after = fs::metadata(&path).unwrap();
            assert_eq!((after.uid(), after.gid(), after.mode() & 0o777), (MEMBERS[0], GROUP, 0o660));
            assert_eq!(read(&path).0.len(), 1);
        }
        let lock = directory.path().join("cache.lock");
        if can_replace {
            let found = fs::metadata(&lock).unwrap();
            assert_eq!((found.gid(), found.mode() & 0o777), (GROUP, 0o660));
            assert_eq!(names(directory.path()), ["cache", "cache.lock"]);
            fs::remove_file(&lock).unwrap();
        } else {
            assert_eq!(names(directory.path()), ["cache"]);
        }
    }
    // A second name in the directory may be that of any file: it is left alone.
    fs::hard_link(&path, directory.path().join("other")).unwrap();
    fs::write(&path, "").unwrap();
    assert!(as_member(MEMBERS[1]).contains("Permission denied"), "{}", as_member(MEMBERS[1]));
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

/// Where the system does not forbid it, who may write to the directory can make any file the lock.
#[test]
fn lock_that_is_another_file_keeps_its_mode_and_group() {
    let directory = directory();
    let (path, victim) = (directory.path().join("cache"), directory.path().join("victim"));
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
    if is_root() {
        chown(&path, None, Some(12)).unwrap();
    }
    fs::write(&victim, "").unwrap();
    fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
    let lock = directory.path().join("cache.lock");
    let before = fs::metadata(&victim).unwrap();
    for rename in [false, true] {
        if rename {
            fs::rename(&victim, &lock).unwrap();
        } else {
            fs::hard_link(&victim, &lock).unwrap();
        }
        fs::write(&path, "").unwrap();
        assert_eq!(write(&path), Status::Fine);
        let after = fs::metadata(&lock).unwrap();
        assert_eq!((after.mode(), after.gid()), (before.mode(), before.gid()));
        if !rename {
            fs::remove_file(&lock).unwrap();
        }
    }
}

/// A container gets its cache as a mount of one file, which cannot be replaced.
#[test]
fn mounted_file_is_written_in_place() {
    let (directory, elsewhere) = (directory(), directory());
    let outside = elsewhere.path().join("outside");
    fs::write(&outside, "").unwrap();
    let outside = outside.display();
    let prepare = format!("touch \"$D/cache\" && mount --bind {outside} \"$D/cache\"");
    let Some(report) = on_a_small_disk("64k", &prepare, directory.path(), "write") else { return };
    assert_eq!(report, "the cache is fine");
    let path = elsewhere.path().join("outside");
    assert_eq!(read(&path).0.len(), 1);
    assert_eq!(names(elsewhere.path()), ["outside"]);
}

#[test]
fn forgetting_is_written_as_a_run_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let file = CacheFile::new(&path);
    let forget = || file.forget(None, SystemTime::now()).map_err(|error| error.to_string());
    let here = Network::default();
    let contents = || file.contents(SystemTime::now(), &here, MONTH).map_err(|error| error.to_string());
    assert_eq!(contents(), Err("there is no such file".into()));
    write(&path);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert_eq!(contents().map(|contents| contents.records.len()), Ok(1));
    let text = fs::read(&path).unwrap();
    {
        let _lock = Lock::take(&directory.path().join("cache.lock"), None).unwrap();
        assert_eq!(forget(), Err("another process kept it locked for 100 ms".into()));
        assert_eq!(fs::read(&path).unwrap(), text);
    }
    assert_eq!(forget(), Ok(1));
    assert_eq!((forget(), contents()), (Ok(0), Ok(Default::default())));
    assert_eq!((mode(&path), names(directory.path())), (0o640, vec!["cache".into(), "cache.lock".into()]));
    // What is no cache stays what it is.
    fs::write(&path, "a list\n").unwrap();
    for error in [forget().map(drop), contents().map(drop)] {
        assert_eq!(
            error,
            Err("it is not a cache: line 1: not a group, a key with a value, or a comment".into())
        );
    }
    assert_eq!(fs::read(&path).unwrap(), b"a list\n");
}
