//! Mirrorlists and metalinks, as the command reads them, on any bytes. The command is a program
//! without a library, so its readers are included as source.
#![no_main]
#![allow(dead_code, unreachable_pub)] // Not everything in these files is used here.

#[path = "../../cli/src"]
mod command {
    pub(crate) mod exit;
    pub(crate) mod input;
    pub(crate) mod metalink;
    pub(crate) mod text;
}

use command::{exit, input, metalink, text};
use input::{Input, Kind};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(input) = read(bytes, false) else { return };
    assert!(!input.mirrors.is_empty());
    if let Some(preferences) = input.preferences() {
        assert_eq!(preferences.len(), input.mirrors.len());
        assert!(preferences.iter().all(|preference| (1..=100).contains(preference)));
    }
    for mirror in &input.mirrors {
        let url = text::percent_encode(mirror.repository(&input.kind));
        assert!(!url.chars().any(|c| c.is_control()), "{url:?}");
        let _ = (text::without_password(&url), text::cut(&text::escape(&url), 20), mirror.ranked_url());
    }
    match &input.kind {
        Kind::Metalink(metalink) if !metalink.can_be_reordered => {}
        _ => is_kept(&input),
    }
    if let Ok(uncommented) = read(bytes, true) {
        is_kept(&uncommented);
    }
});

/// What `--lines` and `--metalink` print is a list or metalink of the same mirrors, in the order
/// asked for, with no mirror lost, and with the same comments.
fn is_kept(input: &Input) {
    let orders: [Vec<usize>; 2] =
        [(0..input.mirrors.len()).rev().collect(), (0..input.mirrors.len()).step_by(2).collect()];
    for order in orders {
        let bytes = input.reordered(&order);
        // A line that was not the first one may begin like a file of another kind.
        if bytes.starts_with(b"\0") || bytes.first().is_some_and(|byte| b"\x1f\xfd\xfe\xff".contains(byte)) {
            continue;
        }
        let again = read(&bytes, false).expect("a list or a metalink");
        let urls = again.mirrors.iter().map(|mirror| &mirror.url);
        assert!(urls.eq(order.iter().map(|&index| &input.mirrors[index].url)));
        // Nothing is left to be changed.
        let same: Vec<usize> = (0..order.len()).collect();
        assert_eq!(again.reordered(&same), bytes);
    }
}

/// Reads the bytes as a file. What is wrong with them becomes one line that is safe to print.
fn read(bytes: &[u8], uncomment: bool) -> Result<Input, input::Error> {
    // SAFETY: the name ends in NUL, and the descriptor is no one else's.
    let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"list".as_ptr(), 0)) };
    file.write_all(bytes).expect("room in memory");
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let read = input::read(OsString::from(&name).as_os_str(), uncomment);
    if let Err(error) = &read {
        let message = error.to_string();
        assert!(message.starts_with(&format!("{name}: ")) && message.len() < 1000, "{message:?}");
        assert!(message.chars().all(text::is_plain), "{message:?}");
    }
    read
}
