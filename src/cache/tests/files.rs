//! The table of odd files: never an error, never a hang, never a change of anything else.

use super::*;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use tempfile::TempDir;

/// What reading and writing say of a path, without a hang.
fn both(path: &Path) -> (Status, Status) {
    let start = Instant::now();
    let (memory, read) = read(path);
    assert_eq!(memory.len(), 0);
    let written = write(path);
    assert!(start.elapsed() < Duration::from_secs(10), "{}: {:?}", path.display(), start.elapsed());
    (read, written)
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn reason(status: &Status) -> &str {
    match status {
        Status::Unreadable { why, .. } | Status::Unwritable { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_file_and_its_lock_are_private_and_nothing_else_is_left() {
    let folder = folder();
    let path = folder.path().join("cache");
    let missing = Status::Missing { path: path.clone() };
    assert_eq!(both(&path), (missing, Status::Fine));
    assert_eq!(names(folder.path()), ["cache", "cache.lock"]);
    assert_eq!((mode(&path), mode(&folder.path().join("cache.lock"))), (0o600, 0o600));
    let (memory, status) = read(&path);
    assert_eq!((memory.len(), status), (1, Status::Fine));
    // Whatever the umask.
    for umask in ["000", "077", "777"] {
        let path = folder.path().join(umask);
        let shell = format!("umask {umask} && exec \"$0\" \"$@\"");
        assert_eq!(report(&mut part_through(&["sh", "-c", &shell], "write", &path)), "the cache is fine");
        assert_eq!(mode(&path), 0o600, "{umask}");
    }
}

#[test]
fn an_existing_file_keeps_its_mode_owner_and_group() {
    let folder = folder();
    let path = folder.path().join("cache");
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
fn no_link_is_followed() {
    let folder = folder();
    let (victim, path) = (folder.path().join("victim"), folder.path().join("cache"));
    let text = "[:_librepo_:]\nversion=1\n[http://a.example]\nts=9999999999\n";
    fs::write(&victim, text).unwrap();
    for target in [&victim, &folder.path().join("nothing"), &path] {
        symlink(target, &path).unwrap();
        let (read, written) = both(&path);
        assert!(reason(&read).contains("symbolic link"), "{read}");
        assert!(reason(&written).contains("symbolic link"), "{written}");
        fs::remove_file(&path).unwrap();
        assert_eq!(names(folder.path()), ["victim"]);
    }
    // A link in the place of the lock keeps us from writing; one in the place of the temporary file is removed.
    symlink(&victim, folder.path().join("cache.lock")).unwrap();
    let (_, written) = both(&path);
    assert!(reason(&written).contains("symbolic link"), "{written}");
    fs::remove_file(folder.path().join("cache.lock")).unwrap();
    symlink(&victim, folder.path().join("cache.new")).unwrap();
    assert_eq!(write(&path), Status::Fine);
    assert_eq!(names(folder.path()), ["cache", "cache.lock", "victim"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), text);
    // A hard link is replaced, and its other name keeps what it had.
    let path = folder.path().join("hard");
    fs::hard_link(&victim, &path).unwrap();
    assert!(write(&path).is_fine());
    assert_eq!(fs::read_to_string(&victim).unwrap(), text);
    assert_ne!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn only_ordinary_files_are_opened() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    build::run(Command::new("mkfifo").args([at("fifo"), at("locked-by-fifo.lock"), at("new-fifo.new")]));
    fs::create_dir_all(at("folder")).unwrap();
    fs::create_dir_all(at("locked-by-folder.lock")).unwrap();
    fs::create_dir_all(at("new-folder.new/full")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let table = [
        (at("fifo"), "it is a FIFO"),
        (at("folder"), "it is a folder"),
        (at("socket"), "it is a socket"),
        ("/dev/null".into(), "it is a device"),
        ("/dev/zero".into(), "it is a device"),
        ("/".into(), "it is a folder"),
        ("/dev/../".into(), "it is a folder"),
        (at("folder/."), "it is a folder"),
        (at("folder/.."), "it is a folder"),
    ];
    for (path, why) in table {
        let (read, written) = both(&path);
        // Whatever it is, writing would say no more than reading does.
        assert_eq!(reason(&read), why, "{}", path.display());
        let no_file = "it is not the path of a file";
        assert!([why, no_file].contains(&reason(&written)), "{}: {written}", path.display());
    }
    for (name, why) in [
        ("locked-by-fifo", "its lock"),
        ("locked-by-folder", "its lock"),
        ("new-folder", "new-folder.new"),
        ("nowhere/cache", "its folder does not exist"),
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
    // The name fits, and those beside it do not.
    assert!(!both(&at(&"a".repeat(252))).1.is_fine());
    assert!(!write(Path::new("a\0b")).is_fine());
}

#[test]
fn a_message_names_the_path_and_the_reason() {
    let folder = folder();
    let path = folder.path().join("cache");
    fs::create_dir(&path).unwrap();
    let (read, written) = both(&path);
    assert_eq!(read.to_string(), format!("the cache {} cannot be read: it is a folder", path.display()));
    assert_eq!(
        written.to_string(),
        format!("the cache {} cannot be written: it is a folder", path.display())
    );
    let path = folder.path().join("foreign");
    fs::write(&path, "root:x:0:0\n").unwrap();
    let (read, written) = both(&path);
    assert_eq!(read, written);
    assert!(read.to_string().ends_with("is no group, no key with a value, and no comment"), "{read}");
}

#[test]
fn a_huge_file_is_left_alone() {
    let folder = folder();
    for size in [records::MAX_SIZE as u64 + 1, 1 << 40] {
        let path = folder.path().join("cache");
        File::create(&path).unwrap().set_len(size).unwrap();
        let (read, written) = both(&path);
        assert!(reason(&read).contains("larger than"), "{read}");
        assert_eq!(reason(&read), reason(&written));
        assert_eq!(fs::metadata(&path).unwrap().len(), size);
    }
    // As large as it may be, and all zeros, as after a crash: begun anew.
    let path = folder.path().join("zeros");
    File::create(&path).unwrap().set_len(records::MAX_SIZE as u64).unwrap();
    let start = Instant::now();
    assert!(matches!(read(&path).1, Status::Foreign { .. }));
    assert!(matches!(write(&path), Status::Foreign { .. }));
    assert_eq!(read(&path).0.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn a_file_full_of_what_is_not_ours_is_left_alone_and_said_to_be_full() {
    let folder = folder();
    let path = folder.path().join("cache");
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
    // With some room beyond what records are to fill, what a run has learned is kept nevertheless.
    text.truncate(records::MAX_SIZE * 3 / 4);
    text.push(b'\n');
    fs::write(&path, &text).unwrap();
    assert_eq!(write(&path), Status::Fine);
    assert_eq!(read(&path).0.len(), 1);
}

#[test]
fn who_waits_too_long_does_not_write() {
    let folder = folder();
    let path = folder.path().join("cache");
    assert_eq!(write(&path), Status::Fine);
    let before = fs::read(&path).unwrap();
    let lock = Lock::take(&folder.path().join("cache.lock")).unwrap();
    let start = Instant::now();
    assert_eq!(write(&path), Status::Busy { path: path.clone() });
    let waited = start.elapsed();
    assert!(waited >= PATIENCE && waited < PATIENCE * 100, "{waited:?}");
    // Reading waits for nobody.
    assert_eq!(read(&path).0.len(), 1);
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(lock);
    assert_eq!(write(&path), Status::Fine);
}

#[test]
fn a_lock_file_that_was_removed_meanwhile_locks_nobody_out() {
    let folder = folder();
    let path = folder.path().join("cache.lock");
    let first = Lock::take(&path).unwrap();
    fs::remove_file(&path).unwrap();
    // The first has a file that nobody sees any more.
    let second = Lock::take(&path).unwrap();
    assert!(matches!(Lock::take(&path), Err(Trouble::Busy)));
    drop(first);
    assert!(matches!(Lock::take(&path), Err(Trouble::Busy)));
    drop(second);
    Lock::take(&path).unwrap();
}

#[test]
fn a_stale_temporary_file_is_removed() {
    let folder = folder();
    let path = folder.path().join("cache");
    fs::write(folder.path().join("cache.new"), "half a").unwrap();
    assert_eq!(write(&path), Status::Fine);
    assert_eq!(names(folder.path()), ["cache", "cache.lock"]);
    assert_eq!(read(&path).0.len(), 1);
}

#[test]
fn a_relative_path_stays_where_it_was() {
    let cache = Cache::open(Path::new("some/cache"));
    assert!(cache.path().is_absolute());
    assert!(cache.path().ends_with("some/cache"));
}

/// This program as somebody who owns nothing; root only, for others the table is what they can do themselves.
fn as_nobody(part_: &str, path: &Path) -> String {
    report(part(part_, path).uid(NOBODY).gid(NOBODY))
}

#[test]
fn what_is_not_permitted_is_reported() {
    if !support::users::can_become_others() {
        return;
    }
    let folder = folder();
    let path = folder.path().join("cache");
    let reach = |mode| fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
    reach(0o755);
    assert_eq!(write(&path), Status::Fine);
    // Root's private cache, in a folder that is not theirs: not to be read, and so not to be replaced.
    let at = path.display();
    assert_eq!(
        as_nobody("read", &path),
        format!("0 the cache {at} cannot be read: Permission denied (os error 13)")
    );
    assert_eq!(
        as_nobody("write", &path),
        format!("the cache {at} cannot be written: Permission denied (os error 13)")
    );
    // Readable: used, and not written.
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(as_nobody("read", &path), "1 the cache is fine");
    assert!(as_nobody("write", &path).contains("its lock"));
    // In a folder where they may do everything, with our lock gone: the file would not stay root's.
    fs::remove_file(folder.path().join("cache.lock")).unwrap();
    fs::write(&path, "").unwrap();
    reach(0o777);
    let before = fs::metadata(&path).unwrap();
    assert!(
        as_nobody("write", &path).contains("it cannot stay with user 0"),
        "{}",
        as_nobody("write", &path)
    );
    assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
    assert_eq!(names(folder.path()), ["cache", "cache.lock"]);
    // A closed folder looks like no folder's business.
    reach(0o700);
    assert!(as_nobody("read", &path).contains("Permission denied"));
    assert!(as_nobody("write", &path).contains("Permission denied"));
}

#[test]
fn a_file_that_somebody_else_has_put_into_a_common_folder_is_not_believed() {
    if !support::users::can_become_others() {
        return;
    }
    let folder = folder();
    let path = folder.path().join("cache");
    for open in [0o1777, 0o777, 0o772] {
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(write(&path), Status::Fine);
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        // Where only its owner or root can have put it, it is believed.
        assert_eq!(read(&path).0.len(), 1);
        fs::set_permissions(folder.path(), Permissions::from_mode(open)).unwrap();
        let (memory, status) = read(&path);
        assert_eq!(memory.len(), 0);
        let why = "it belongs to user 65534, in a folder that everybody may write to";
        assert_eq!(reason(&status), why);
        assert_eq!(reason(&write(&path)), why);
        chown(&path, Some(0), Some(0)).unwrap();
        assert_eq!(read(&path).0.len(), 1);
    }
}

#[test]
fn a_file_that_everybody_may_write_to_is_not_believed() {
    let folder = folder();
    let path = folder.path().join("cache");
    assert_eq!(write(&path), Status::Fine);
    for (mode, is_believed) in [(0o664, true), (0o666, false), (0o602, false), (0o600, true)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let (memory, status) = read(&path);
        assert_eq!((memory.len(), status.is_fine()), (usize::from(is_believed), is_believed), "{mode:o}");
        assert_eq!(write(&path).is_fine(), is_believed, "{mode:o}");
    }
}

/// Runs a part on a small file system of its own, prepared by a shell that knows the folder as `$D`.
fn on_a_small_disk(size: &str, prepare: &str, folder: &Path, part_: &str) -> Option<String> {
    let script = format!("mount -t tmpfs -o size={size} tmpfs \"$D\" && {prepare} && exec \"$0\" \"$@\"");
    // Root of a world of its own, if not of this one.
    let apart = if is_root() { "-m" } else { "-rm" };
    let possible = Command::new("unshare").args([apart, "mount", "-t", "tmpfs", "x", "/mnt"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        lab::skip("no mount namespace with a file system of its own can be made here");
        return None;
    }
    let starter = ["unshare", apart, "sh", "-c", &script];
    Some(report(part_through(&starter, part_, &folder.join("cache")).env("D", folder)))
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let (folder, elsewhere) = (folder(), folder());
    // 16 KiB: a cache of two pages fits, and not another one beside it.
    let records: String = (0..100)
        .map(|n| format!("[http://m{n}.example]\nts=1\nconnectime=0.5\nfiller=000000000000000000000000\n"))
        .collect();
    // The records are too old; what keeps the new file large is a group that is nobody's.
    let foreign =
        format!("[:_librepo_:]\nversion=1\n[:_foreign]\n{}", "key=value of somebody else\n".repeat(280));
    let old = elsewhere.path().join("old");
    fs::write(&old, foreign + &records).unwrap();
    let fill = "{ head -c 999999 /dev/zero > \"$D/filler\" 2>/dev/null || true; }";
    let prepare = format!("cp {} \"$D/cache\" && {fill}", old.display());
    let Some(said) = on_a_small_disk("32k", &prepare, folder.path(), "write") else { return };
    assert!(said.ends_with("cannot be written: No space left on device (os error 28)"), "{said}");
    // The same, and then a look at what is there.
    let check = format!(
        "{prepare} && \"$0\" \"$@\" >/dev/null && cmp {} \"$D/cache\" && test ! -e \"$D/cache.new\"",
        old.display()
    );
    let said = on_a_small_disk("32k", &check, folder.path(), "read").unwrap();
    assert!(said.ends_with("the cache is fine"), "{said}");
    // No file can be made at all.
    let none = "{ n=0; while touch \"$D/$n\" 2>/dev/null; do n=$((n+1)); done; }";
    let said = on_a_small_disk("1m,nr_inodes=9", none, folder.path(), "write").unwrap();
    assert!(said.contains("cannot be written: its lock") && said.contains("os error 28"), "{said}");
}

#[test]
fn a_read_only_folder_is_read_and_not_written() {
    let folder = folder();
    let other = tempfile::tempdir().unwrap();
    let cache = other.path().join("cache");
    assert_eq!(write(&cache), Status::Fine);
    let lock_or_not = ["true", ": > \"$D/cache.lock\""];
    for lock in lock_or_not {
        let prepare =
            format!("cp {} \"$D/cache\" && {lock} && mount -o remount,bind,ro \"$D\"", cache.display());
        let Some(said) = on_a_small_disk("64k", &prepare, folder.path(), "read") else { return };
        assert_eq!(said, "1 the cache is fine");
        let said = on_a_small_disk("64k", &prepare, folder.path(), "write").unwrap();
        assert!(said.contains("Read-only file system"), "{said}");
    }
}
