//! What a terminal is given: colors, where it has them and the user wants them, and lines that can
//! be erased. A color only repeats what the text says.

use anstyle::{AnsiColor, Style};
use std::env;
use std::ffi::OsStr;

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Colors {
    /// On a terminal that has them, unless the environment has `NO_COLOR` (<https://no-color.org>).
    #[default]
    Auto,
    Always,
    Never,
}

impl Colors {
    /// The palette for output that goes to a terminal, or does not.
    pub(crate) fn palette(self, is_terminal: bool) -> Palette {
        let has_no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_used = match self {
            Colors::Auto => is_terminal && !is_dumb() && !has_no_color,
            Colors::Always => true,
            Colors::Never => false,
        };
        if is_used { Palette::COLORED } else { Palette::PLAIN }
    }
}

/// The styles of the parts of a text: `{style}` begins one, and `{style:#}` ends it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Palette {
    /// The line above the columns.
    pub(crate) header: Style,
    /// What matters less: the headings of sections, and mirrors without a reply.
    pub(crate) dim: Style,
    /// The pool.
    pub(crate) good: Style,
    /// What failed.
    pub(crate) bad: Style,
}

impl Palette {
    /// No styles at all.
    pub(crate) const PLAIN: Palette =
        Palette { header: Style::new(), dim: Style::new(), good: Style::new(), bad: Style::new() };

    const COLORED: Palette = Palette {
        header: Style::new().bold(),
        dim: Style::new().dimmed(),
        good: AnsiColor::Green.on_default(),
        bad: AnsiColor::Red.on_default(),
    };
}

/// Whether the terminal can only append text, or nothing is known of it.
pub(crate) fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == OsStr::new("dumb"))
}
