//! A text at the end of a terminal that is replaced again and again, while the lines above it stay.

use rustix::termios::tcgetwinsize;
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// The place of the text.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// How many lines of the terminal the text takes.
    lines: usize,
}

impl Screen {
    /// Erases the text, and leaves the cursor where it began.
    pub(super) fn erase(&mut self, out: &mut Vec<u8>) {
        if self.lines > 0 {
            out.extend(format!("\r\x1b[{}A\x1b[J", self.lines).into_bytes());
        }
        self.lines = 0;
    }

    /// Draws a table, which is written for a width, and a line with the status below it. What would
    /// leave the terminal at its top could not be erased, so the table is cut.
    pub(super) fn draw(
        &mut self,
        out: &mut Vec<u8>,
        status: &str,
        table: impl FnOnce(&mut Vec<u8>, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let (rows, columns) = size.map_or((24, 80), |size| (size.ws_row.into(), size.ws_col.into()));
        let mut text = Vec::new();
        table(&mut text, columns)?;
        let text = String::from_utf8_lossy(&text);
        // The cursor is in a line of its own.
        let fitting = fit(&format!("{text}{status}\n"), rows - 1, columns);
        self.lines = fitting.iter().map(|line| height(line, columns)).sum();
        for line in fitting {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// The lines of a table and of the paragraph below it, so many that they take at most `rows` of the
/// terminal. The end of the table is left out first, then the end of the paragraph.
fn fit(text: &str, rows: usize, columns: usize) -> Vec<String> {
    let (table, summary) = text.split_once("\n\n").unwrap_or((text, ""));
    let height_of = |lines: &[&str]| -> usize { lines.iter().map(|line| height(line, columns)).sum() };
    let table: Vec<&str> = table.lines().collect();
    let mut summary: Vec<&str> = [""].into_iter().chain(summary.lines()).collect();
    let mut kept = table.len();
    let mut taken = height_of(&table) + height_of(&summary);
    // One row is for the line that says what is left out.
    while kept > 1 && taken + usize::from(kept < table.len()) > rows {
        kept -= 1;
        taken -= height(table[kept], columns);
    }
    let note = format!("... {} more lines; a higher terminal shows them", table.len() - kept);
    if kept < table.len() {
        summary.insert(0, &note);
    }
    let mut lines = [&table[..kept], &summary].concat();
    taken = height_of(&lines);
    while lines.len() > 1 && taken > rows {
        taken -= lines.pop().map_or(0, |line| height(line, columns));
    }
    lines.into_iter().map(str::to_owned).collect()
}

/// How many lines of the terminal a line takes.
fn height(line: &str, columns: usize) -> usize {
    let mut width = 0;
    // A part after an escape begins with the rest of its sequence, up to the m.
    for (index, part) in line.split('\x1b').enumerate() {
        let shown = if index == 0 { part } else { part.split_once('m').map_or("", |(_, shown)| shown) };
        width += shown.width();
    }
    width.div_ceil(columns).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_fits_stays_whole() {
        let text = "header\na\nb\n\nsummary\nstatus\n";
        assert_eq!(fit(text, 6, 20).join("\n"), text.trim_end());
    }

    #[test]
    fn end_of_the_table_is_left_out_first() {
        let text = "header\na\nb\nc\n\nsummary\nstatus\n";
        let expected = "header\na\n... 2 more lines; a higher terminal shows them\n\nsummary\nstatus";
        assert_eq!(fit(text, 6, 80).join("\n"), expected);
        assert_eq!(fit(text, 2, 80).len(), 2);
        assert_eq!(fit(text, 0, 80).len(), 1);
    }

    #[test]
    fn time_grows_with_the_table_alone() {
        // Looking at each line again for each that is left out would take minutes.
        let text = format!("header\n{}\nsummary\nstatus\n", "a\n".repeat(100_000));
        let lines = fit(&text, 6, 80);
        assert_eq!(lines[2], "... 99999 more lines; a higher terminal shows them");
        let text = format!("header\n\n{}", "a\n".repeat(100_000));
        assert_eq!(fit(&text, 6, 80).len(), 6);
    }

    #[test]
    fn height_counts_what_is_seen() {
        let table = [
            ("", 1),
            ("1234567890", 1),
            ("12345678901", 2),
            ("\x1b[1m1234567890\x1b[0m", 1),
            ("镜像镜像镜", 1),
        ];
        for (line, expected) in table {
            assert_eq!(height(line, 10), expected, "{line:?}");
        }
    }
}
