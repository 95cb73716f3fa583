//! Mirrorlists and metalinks, as the command reads them, on any bytes. The command is a program
//! without a library, so its readers are included as source.
#![no_main]
#![allow(dead_code, unreachable_pub)] // Not everything in these files is used here.

#[path = "../../cli/src/exit.rs"]
mod exit;
#[path = "../../cli/src/input.rs"]
mod input;
#[path = "../../cli/src/metalink.rs"]
mod metalink;
#[path = "../../cli/src/text.rs"]
mod text;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(input) = read(bytes) else { return };
    assert!(!input.urls.is_empty());
    if let Some(preferences) = &input.preferences {
        assert_eq!(preferences.len(), input.urls.len());
        assert!(preferences.iter().all(|preference| (1..=100).contains(preference)));
    }
    // What `--urls` prints is a list of the same URLs again, if each of them is one.
    let printed: Vec<String> = input.urls.iter().map(|url| text::percent_encode(url)).collect();
    for url in &printed {
        assert!(!url.chars().any(|c| c.is_control()), "{url:?}");
        let _ = (text::without_password(url), text::cut(&text::escape(url), 20), metalink::base(url));
    }
    if !input.is_metalink {
        let again = read(printed.join("\n").as_bytes()).expect("a list");
        assert_eq!(again.urls, printed);
    }
});

/// Reads the bytes as a file. What is wrong with them becomes one line that is safe to print.
fn read(bytes: &[u8]) -> Result<input::Input, input::Error> {
    // SAFETY: the name ends in NUL, and the descriptor is no one else's.
    let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"list".as_ptr(), 0)) };
    file.write_all(bytes).expect("room in memory");
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let read = input::read(OsString::from(&name).as_os_str());
    if let Err(error) = &read {
        let message = error.to_string();
        assert!(message.starts_with(&format!("{name}: ")) && message.len() < 1000, "{message:?}");
        assert!(message.chars().all(text::is_plain), "{message:?}");
    }
    read
}
