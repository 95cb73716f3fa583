//! The demonstration as a picture: a table like the one on the terminal, as an SVG that can be read
//! on a light and on a dark page.

use super::View;
use crate::text::is_plain;
use std::fmt::Write;

const WIDTH: u32 = 860;
const LINE_HEIGHT: u32 = 20;
const MARGIN: u32 = 20;
/// Where the columns are: the ends of the numbers, and the starts of the rest.
const POSITION_END: u32 = 44;
const MARK: u32 = 58;
const MEASURED_END: u32 = 152;
const TRUTH_END: u32 = 236;
const BAR: u32 = 256;
const BAR_WIDTH: u32 = 160;
const MIRROR: u32 = 436;

/// Colors for both kinds of page. The background is part of the picture: a viewer may prefer dark
/// colors on a page that is light.
const STYLE: &str = "\
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2328; }
.page { fill: #ffffff; stroke: #d0d7de; }
.dim { fill: #59636e; }
.pool { fill: #1a7f37; }
.bar { fill: #afb8c1; }
.near { fill: #2da44e; }
.end { text-anchor: end; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .page { fill: #0d1117; stroke: #30363d; }
  .dim { fill: #9198a1; }
  .pool { fill: #3fb950; }
  .bar { fill: #57606a; }
  .near { fill: #2ea043; }
}
";

/// Draws the view.
pub(super) fn draw(view: &View) -> String {
    let mut picture = Picture { elements: String::new(), baseline: MARGIN + 14 };
    picture.line(&[(MARGIN, "dim", "$ fastestmirror demo")]);
    picture.space();
    picture.line(&[(MARGIN, "", &view.headline)]);
    picture.space();
    picture.line(&[
        (POSITION_END, "dim end", "#"),
        (MEASURED_END, "dim end", "measured"),
        (TRUTH_END, "dim end", "truth"),
        (MIRROR, "dim", "mirror"),
    ]);
    for row in &view.rows {
        if let Some(heading) = row.heading {
            picture.line(&[(MARGIN, "dim", &format!("─── {heading}"))]);
        }
        picture.bar(row.bar, if row.pool { "near" } else { "bar" });
        picture.line(&[
            (POSITION_END, "dim end", &row.position.to_string()),
            (MARK, "pool", if row.pool { "●" } else { "" }),
            (MEASURED_END, "end", &row.measured),
            (TRUTH_END, "dim end", &row.truth),
            (MIRROR, "", &row.mirror),
        ]);
    }
    picture.line(&[(MARGIN, "dim", &format!("… {}", view.rest))]);
    picture.space();
    for fact in &view.facts {
        picture.line(&[(MARGIN, "", fact)]);
    }
    picture.finish(&view.headline)
}

struct Picture {
    elements: String,
    /// Of the next line.
    baseline: u32,
}

impl Picture {
    /// Adds a line of texts, each with its position and its classes.
    fn line(&mut self, texts: &[(u32, &str, &str)]) {
        for (x, class, text) in texts.iter().filter(|(_, _, text)| !text.is_empty()) {
            let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
            // Writing to a string cannot fail.
            let _ = writeln!(
                self.elements,
                "<text x=\"{x}\" y=\"{}\"{class}>{}</text>",
                self.baseline,
                escape(text)
            );
        }
        self.baseline += LINE_HEIGHT;
    }

    fn space(&mut self) {
        self.baseline += LINE_HEIGHT / 2;
    }

    /// Adds a bar to the next line, as long as this share of the longest one.
    fn bar(&mut self, share: f64, class: &str) {
        let width = share * f64::from(BAR_WIDTH);
        if width > 0.0 {
            let top = self.baseline - 11;
            let _ = writeln!(
                self.elements,
                "<rect x=\"{BAR}\" y=\"{top}\" width=\"{width:.1}\" height=\"13\" class=\"{class}\"/>"
            );
        }
    }

    fn finish(self, description: &str) -> String {
        let height = self.baseline + MARGIN - LINE_HEIGHT + 4;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\">\n\
             <title>fastestmirror demo</title>\n<desc>{}</desc>\n<style>\n{STYLE}</style>\n\
             <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\" class=\"page\"/>\n{}</svg>\n",
            escape(description),
            WIDTH - 1,
            height - 1,
            self.elements
        )
    }
}

/// The text for an XML element. Characters that XML forbids or that do not show are replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if is_plain(c) => escaped.push(c),
            _ => escaped.push('\u{fffd}'),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::SiteRow;
    use super::*;

    fn row(position: usize) -> SiteRow {
        SiteRow {
            position,
            heading: (position == 1).then_some("the pool"),
            pool: position < 3,
            measured: "5.09 ms".into(),
            truth: "5.06 ms".into(),
            bar: 0.5,
            mirror: "a<b>&c.example\u{1b} (DE München)".into(),
        }
    }

    #[test]
    fn picture_is_xml_with_all_texts() {
        let view = View {
            headline: "From Frankfurt: 421 mirrors".into(),
            rows: (1..=12).map(row).collect(),
            rest: "and 409 more".into(),
            facts: vec!["The pool is right.".into(), "It cost 423 SYNs.".into()],
        };
        let svg = draw(&view);
        assert!(svg.len() < 20_000, "{}", svg.len());
        let document = roxmltree::Document::parse(&svg).expect("XML");
        let texts: Vec<_> = document.descendants().filter_map(|node| node.text()).collect();
        for text in [
            "From Frankfurt: 421 mirrors",
            "─── the pool",
            "●",
            "a<b>&c.example\u{fffd} (DE München)",
            "… and 409 more",
            "It cost 423 SYNs.",
        ] {
            assert!(texts.contains(&text), "{text} in {texts:?}");
        }
        let bars = document.descendants().filter(|node| node.attribute("width") == Some("80.0"));
        assert_eq!(bars.count(), 12);
    }
}
