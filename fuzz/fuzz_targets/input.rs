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
        Kind::Lines(_) => lines_are_kept(&input),
        Kind::Metalink => {}
    }
    let _ = read(bytes, true);
});

/// What `--lines` prints is a list of the same mirrors, in the order asked for.
fn lines_are_kept(input: &Input) {
    let mut lines = Vec::new();
    input.write_lines(&mut lines, (0..input.mirrors.len()).rev()).expect("room in memory");
    let again = read(&lines, false).expect("a list");
    let urls = |input: &Input| -> Vec<String> {
        input.mirrors.iter().map(|mirror| mirror.url.clone()).collect()
    };
    assert!(urls(&again).iter().eq(urls(input).iter().rev()));
    let mut again_lines = Vec::new();
    again.write_lines(&mut again_lines, 0..again.mirrors.len()).expect("room in memory");
    assert_eq!(again_lines, lines);
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
