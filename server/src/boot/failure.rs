//! Why the process ends with an error, and the exit code that says so.

use std::{fmt::Display, process::ExitCode};

use crate::log;

/// Exit code of an error that the user can mend.
const USER_ERROR: u8 = 2;

/// Why the process ends with an error.
#[derive(Debug)]
pub enum Failure {
    /// The command line, the configuration or the machine's set-up is at fault.
    User(String),
    /// Something else is.
    Other(anyhow::Error),
}

impl Failure {
    /// A failure that the user can mend.
    pub(super) fn user(error: impl Display) -> Self {
        Self::User(error.to_string())
    }

    /// Says on one line of stderr what went wrong, and gives the exit code.
    #[must_use]
    pub fn report(self) -> ExitCode {
        let (line, code) = match self {
            Self::User(message) => (message, ExitCode::from(USER_ERROR)),
            Self::Other(error) => (format!("{error:#}"), ExitCode::FAILURE),
        };
        log::say(&format!("error: {}", line.replace('\n', ", ")));
        code
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}
