//! What Cargo wants a bench without a harness to do.

/// How much a bench is to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BenchMode {
    /// `cargo bench`: everything.
    Full,
    /// `cargo test`: everything once, with small sizes.
    Test,
    /// Nothing: the arguments select other tests, or ask for names only.
    Off,
}

impl BenchMode {
    /// Reads the mode from the arguments of this process. Other options of the test harness are accepted and ignored.
    pub fn of(bench: &str) -> BenchMode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if arguments.iter().any(|argument| argument == "--bench") {
            return BenchMode::Full;
        }
        // Numbers are values of options.
        let is_filter = |argument: &&String| {
            !argument.starts_with('-') && argument.contains(|letter: char| letter.is_ascii_alphabetic())
        };
        let filters: Vec<&String> = arguments.iter().filter(is_filter).collect();
        let selected = filters.is_empty() || filters.iter().any(|filter| bench.contains(filter.as_str()));
        if !selected || arguments.iter().any(|argument| argument == "--list") {
            return BenchMode::Off;
        }
        BenchMode::Test
    }

    /// Prints, as a test, the result that the harness would print, so that `tests/run` counts this bench.
    pub fn report_success(self) {
        if self == BenchMode::Test {
            println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        }
    }
}
