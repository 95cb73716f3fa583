//! Lines for librepo's log, which dnf keeps in a file of its own. Each begins with this library's
//! name, so that a reader sees what chose the mirrors.

use crate::symbols::Glib;
use fastestmirror::Event;
use std::ffi::{CString, c_int};

/// `G_LOG_LEVEL_WARNING`.
const WARNING: c_int = 1 << 4;
/// `G_LOG_LEVEL_DEBUG`.
const DEBUG: c_int = 1 << 7;

/// Where lines go: nowhere, if there is no glib.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log(pub(crate) Option<Glib>);

impl Log {
    /// Writes the first line of a call: what was called, and over how many of what.
    pub(crate) fn call(self, function: &str, count: usize, what: &str) {
        let (version, s) = (env!("CARGO_PKG_VERSION"), if count == 1 { "" } else { "s" });
        self.write(DEBUG, &format!("libfastestmirror {version}: {function}: {count} {what}{s}"));
    }

    pub(crate) fn debug(self, line: &str) {
        self.write(DEBUG, &format!("libfastestmirror: {line}"));
    }

    pub(crate) fn warn(self, line: &str) {
        self.write(WARNING, &format!("libfastestmirror: {line}"));
    }

    /// Writes what a run reports.
    pub(crate) fn event(self, event: &Event<'_>) {
        // Warnings too: without a handler, glib prints a g_warning() on the terminal of a program
        // whose user cannot do anything about a cache file.
        event.log(&mut |_level, line| self.debug(line));
    }

    fn write(self, level: c_int, line: &str) {
        let Some(glib) = self.0 else { return };
        // A path or an error may hold a line end, or a NUL, which ends a C string.
        let Ok(line) = CString::new(line.replace(char::is_control, "?")) else { return };
        // SAFETY: three strings, of which the second is the format for the third.
        unsafe { (glib.log)(c"librepo".as_ptr(), level, c"%s".as_ptr(), line.as_ptr()) };
    }
}
