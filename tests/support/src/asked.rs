//! What Cargo asks of a bench that has no harness.

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    /// `cargo bench`: everything.
    Bench,
    /// `cargo test`: once, with small sizes.
    Test,
    /// Nothing: other tests are meant, or only their names.
    Nothing,
}

impl Asked {
    /// From the arguments of this process. Options for tests may come, too, and mean nothing here.
    pub fn of(bench: &str) -> Asked {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if arguments.iter().any(|argument| argument == "--bench") {
            return Asked::Bench;
        }
        // The numbers are values of options.
        let is_filter = |argument: &&String| {
            !argument.starts_with('-') && argument.contains(|letter: char| letter.is_ascii_alphabetic())
        };
        let filters: Vec<&String> = arguments.iter().filter(is_filter).collect();
        let meant = filters.is_empty() || filters.iter().any(|filter| bench.contains(filter.as_str()));
        if !meant || arguments.iter().any(|argument| argument == "--list") {
            return Asked::Nothing;
        }
        Asked::Test
    }
}
