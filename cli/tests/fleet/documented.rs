//! What the documentation shows of the simulator: its commands still print these figures and draw
//! these pictures.
//!
//! Another C library or processor may compute a logarithm with another last bit, and a few clients
//! then choose otherwise. So figures may differ by a little, and pictures in the places of points.

use super::text;
use serde_json::Value;
use std::fs;
use support::build::root;

fn page() -> String {
    fs::read_to_string(root().join("docs/mirror-operators.md")).expect("the page")
}

/// The arguments of the documented command that contains `part`, without its comment.
fn arguments(part: &str) -> Vec<String> {
    let page = page();
    let mut commands = page.lines().filter_map(|line| line.strip_prefix("    fleet "));
    let command = commands.find(|command| command.contains(part)).expect("a command");
    let command = command.split('#').next().expect("split returns a part");
    // Every second part stands between quotation marks.
    let parts = command.split('\'').enumerate();
    let words = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

fn printed(arguments: &[String]) -> String {
    text(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whether a number is the one in the documentation, but for its last digit or a twentieth.
fn is_near(found: f64, documented: f64) -> bool {
    (found - documented).abs() <= (0.05 * documented).max(0.051)
}

fn numbers(text: &str) -> Vec<f64> {
    let words = text.split(|c: char| c.is_whitespace() || "%·|".contains(c));
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn table_of_the_page_is_what_the_commands_print() {
    let page = page();
    assert!(page.contains("\n    fleet --worlds 20\n"));
    let commands = [["--worlds", "20"].map(str::to_owned).to_vec(), arguments("--slack 10")];
    let json = |command: Vec<String>| printed(&[command, vec!["--json".into()]].concat());
    let results = commands.map(|command| serde_json::from_str::<Value>(&json(command)).expect("JSON"));
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && line.contains(" · ")).collect();
    assert_eq!(rows.len(), 7, "{rows:#?}");
    for row in rows {
        let (heading, cells) = row[1..].split_once('|').expect("cells");
        let (name, results) = match heading.split('`').nth(1) {
            Some(name) => (name, &results[0]),
            None => ("factor+slack", &results[1]),
        };
        let policies = results["policies"].as_array().expect("an array");
        let policy = policies.iter().find(|policy| policy["policy"] == name).expect("a policy");
        let places = policy["places"].as_array().expect("an array");
        let cells: Vec<&str> = cells.trim_end_matches('|').split('|').collect();
        assert_eq!(cells.len(), places.len(), "{row}");
        for (cell, place) in cells.iter().zip(places) {
            let number = |value: &Value| value.as_f64().expect("a number");
            let share = 100.0 * number(&place["busiest_share"]);
            let expected = [share, number(&place["worst_load"]), number(&place["rtt_ms"]["p50"])];
            let documented = numbers(cell);
            assert_eq!(documented.len(), 3, "{cell}");
            for (documented, found) in documented.into_iter().zip(expected) {
                assert!(
                    is_near(found, documented),
                    "{name}, {}: {cell}, and not {expected:?}",
                    place["place"]
                );
            }
        }
    }
}

#[test]
fn story_of_the_page_is_what_the_command_prints() {
    let page = page();
    let printed = printed(&arguments("--story"));
    let first = printed.lines().next().expect("a line");
    let mut documented = page.lines().skip_while(|line| line.trim() != first);
    for line in printed.lines() {
        let shown = documented.next().expect("as many lines").trim_start();
        let (found, shown) = if line.len() > 36 && numbers(line).len() > 2 {
            assert_eq!(line.get(..36), shown.get(..36));
            (numbers(&line[36..]), numbers(&shown[36..]))
        } else {
            assert_eq!(line, shown);
            continue;
        };
        assert_eq!(found.len(), shown.len(), "{line}");
        assert!(
            found.iter().zip(&shown).all(|(found, shown)| is_near(*found, *shown)),
            "{line}, not {shown:?}"
        );
    }
}

/// What a picture consists of: its texts, and how many elements of each name it has.
fn parts(svg: &str) -> (Vec<String>, Vec<(String, usize)>) {
    let document = roxmltree::Document::parse(svg).expect("well-formed");
    let mut texts = Vec::new();
    let mut names: Vec<(String, usize)> = Vec::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        if name == "text" {
            texts.push(node.text().expect("a text").trim().to_owned());
        }
        match names.iter_mut().find(|(counted, _)| counted == name) {
            Some((_, count)) => *count += 1,
            None => names.push((name.to_owned(), 1)),
        }
    }
    (texts, names)
}

#[test]
fn pictures_are_what_the_commands_draw() {
    let directory = tempfile::tempdir().expect("a directory");
    for (picture, texts_in_it) in [
        ("load", ["mirror, the busiest first", "load in Gbit/s", "factor+slack"]),
        (
            "latency",
            ["mean latency in ms", "share of the busiest mirror in %", "factor 2, slack from 0 to 20 ms"],
        ),
    ] {
        let name = format!("docs/fleet-{picture}.svg");
        let committed = fs::read_to_string(root().join(&name)).expect("the picture");
        let file = directory.path().join(picture);
        let arguments = arguments(&name).into_iter().map(|argument| match argument == name {
            true => file.to_str().expect("UTF-8").to_owned(),
            false => argument,
        });
        printed(&arguments.collect::<Vec<_>>());
        let drawn = fs::read_to_string(&file).expect("it has been drawn");
        assert_eq!(
            parts(&drawn),
            parts(&committed),
            "{name}: repeat its command of docs/mirror-operators.md"
        );
        let (texts, _) = parts(&drawn);
        for text in texts_in_it {
            assert!(texts.iter().any(|it| it == text), "{text} in {texts:?}");
        }
        assert!(texts[0].starts_with("Frankfurt dense: ") && texts[0].ends_with(" (mean of 20 worlds)"));
        // For light and dark pages; and small.
        assert!(drawn.contains("@media (prefers-color-scheme: dark)") && drawn.len() < 20_000);
    }
    // Without --picture there are both.
    let file = directory.path().join("both");
    let both = ["--clients=70000", "--place=Sydney", "--json", "--svg", file.to_str().expect("UTF-8")];
    text(&both);
    let (texts, _) = parts(&fs::read_to_string(&file).expect("it has been drawn"));
    for text in ["load in Gbit/s", "mean latency in ms"] {
        assert!(texts.iter().any(|it| it == text), "{text} in {texts:?}");
    }
}
