//! What Cargo wants a bench without a harness to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

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
    /// Reads the mode from the arguments of this process. Other options of the test harness are
    /// accepted and ignored.
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

    /// Runs the bench. As a test it prints a result as the harness would, so that `tests/run`
    /// counts it.
    pub fn run(self, bench: impl FnOnce() -> ExitCode) -> ExitCode {
        match self {
            BenchMode::Off => ExitCode::SUCCESS,
            BenchMode::Full => bench(),
            BenchMode::Test => {
                // The message of a panic has been printed.
                let status = catch_unwind(AssertUnwindSafe(bench)).unwrap_or(ExitCode::FAILURE);
                let (word, passed) = if status == ExitCode::SUCCESS { ("ok", 1) } else { ("FAILED", 0) };
                println!("\ntest result: {word}. {passed} passed; {} failed", 1 - passed);
                status
            }
        }
    }
}
