//! A program on a pseudo-terminal, and what it shows there.

use crate::programs::send_signal;
use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// How long a program may take. One that hangs is killed, so that its test fails and does not hang
/// as well.
const LIMIT: Duration = Duration::from_secs(60);

/// A program whose standard output and standard error are a terminal of its own.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts the command on a terminal of this size.
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Terminal {
        let (mut primary, mut secondary) = (0, 0);
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: openpty(3) writes two descriptors, which nothing else owns, and reads the size;
        // null is allowed for the name and the settings.
        let (mut primary, secondary) = unsafe {
            let failed =
                libc::openpty(&mut primary, &mut secondary, std::ptr::null_mut(), std::ptr::null(), &size);
            assert_eq!(failed, 0, "no pseudo-terminal is available");
            (File::from_raw_fd(primary), OwnedFd::from_raw_fd(secondary))
        };
        let again = || Stdio::from(secondary.try_clone().expect("there are descriptors"));
        let child = command.stdout(again()).stderr(again()).spawn().expect("the command starts");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let into = shown.clone();
        // The command keeps copies of the descriptor; reading ends when the last one is closed.
        drop((command, secondary));
        let reader = spawn(move || {
            let mut bytes = [0; 4096];
            // Linux reports the end of a terminal as EIO.
            while let Ok(count @ 1..) = primary.read(&mut bytes) {
                into.lock().expect("no thread panics with it").extend(&bytes[..count]);
            }
        });
        Terminal { child, shown, reader }
    }

    /// The process ID of the program.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program has shown so far.
    pub fn shown(&self) -> String {
        let shown = self.shown.lock().expect("no thread panics with it");
        String::from_utf8_lossy(&shown).replace("\r\n", "\n")
    }

    /// Waits until this is true of what the program has shown.
    pub fn wait_until(&self, is_true: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !is_true(&self.shown()) {
            if Instant::now() > deadline {
                send_signal(self.id(), libc::SIGKILL);
                panic!("it is not shown: {}", self.shown());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end of the program, and returns what it has shown.
    pub fn finish(mut self) -> (String, ExitStatus) {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the command can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("the command hung: {}", self.shown());
            }
            sleep(Duration::from_millis(5));
        };
        self.reader.join().expect("the reader does not panic");
        let shown = self.shown.lock().expect("no thread panics with it");
        let shown = String::from_utf8(shown.clone()).expect("UTF-8").replace("\r\n", "\n");
        (shown, status)
    }
}
