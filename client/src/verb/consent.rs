//! Asks before what a person may not have meant.

use std::io::{self, IsTerminal as _};

use crate::{error::Failure, render::Output};

/// Asks for the number of flows that a command is about. `what` says what will become of them, and
/// `why` what nobody may have meant.
///
/// # Errors
///
/// [`Failure::Usage`] when nobody can be asked, or another number is typed: nothing was changed.
pub(super) async fn ask(
    output: &mut Output,
    (what, why): (&str, &str),
    flows: u64,
) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::Usage(format!("{why}: add --yes, or try --dry-run first")));
    }
    output.prompt(&format!("{what}.\nType the number of flows to go on: "));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_length| line)
    })
    .await
    .map_err(io::Error::other)??;
    if answer.trim().parse() == Ok(flows) {
        return Ok(());
    }
    Err(Failure::Usage("not confirmed: nothing was changed".to_owned()))
}
