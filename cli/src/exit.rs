//! The end of the command before its usual one: a message and an exit status.

use std::io::{self, Write};
use std::process::ExitCode;

/// The system failed.
const FAILED: u8 = 1;
/// The arguments or the input cannot be used.
const UNUSABLE: u8 = 2;
/// No mirror answered.
const NO_ANSWER: u8 = 3;

/// A message that ends the command, and its exit status.
#[derive(Debug, PartialEq)]
pub(crate) struct Exit {
    /// What is printed, with the end of the line: on standard output if the status is 0.
    pub(crate) message: String,
    pub(crate) status: u8,
}

impl Exit {
    /// An answer to a question, such as `--help`.
    pub(crate) fn answer(message: String) -> Exit {
        Exit { message, status: 0 }
    }

    /// The end for a failure of the system.
    pub(crate) fn failed(reason: &str) -> Exit {
        Exit { message: format!("fastestmirror: {reason}\n"), status: FAILED }
    }

    /// The end for arguments or input that cannot be used.
    pub(crate) fn unusable(reason: &str) -> Exit {
        Exit { message: format!("fastestmirror: {reason}\n"), status: UNUSABLE }
    }

    /// The end for a list of which no mirror answered.
    pub(crate) fn no_answer(message: &str) -> Exit {
        Exit { message: message.into(), status: NO_ANSWER }
    }

    /// The end for output that cannot be written. A reader that has closed the pipe, such as
    /// `head`, has all that it wants: a success.
    pub(crate) fn unwritable(failure: &io::Error) -> Exit {
        if failure.kind() == io::ErrorKind::BrokenPipe {
            return Exit::answer(String::new());
        }
        Exit::failed(&format!("cannot write to standard output: {}", reason(failure)))
    }

    /// Prints the message and returns the status.
    pub(crate) fn report(&self) -> ExitCode {
        // Where the message cannot be written, the status has to be enough.
        let _ = if self.status == 0 {
            write!(io::stdout(), "{}", self.message)
        } else {
            write!(io::stderr(), "{}", self.message)
        };
        ExitCode::from(self.status)
    }
}

/// The system's reason without "(os error 2)", a number of no use to a person.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}
