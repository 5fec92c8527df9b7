//! SIGINT and SIGTERM end the reading of captures: what was read up to then is printed as usual. A
//! second signal ends the process at once.

use std::{io, thread};

use mos_dataplane::source::capture::Interrupt;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

/// The exit code after a second signal, as of a shell's command that SIGINT has ended.
const ENDED_BY_SIGINT: i32 = 130;

/// Starts the thread that waits for the signals.
///
/// # Errors
///
/// When it cannot be started, or the signals cannot be caught.
pub(super) fn on_signals() -> io::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let told = interrupt.clone();
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut int, mut term) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = async move {
        loop {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
            }
            if told.is_set() {
                #[expect(clippy::exit, reason = "asked for twice: whatever is blocked stays so")]
                std::process::exit(ENDED_BY_SIGINT);
            }
            told.set();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(wait))?;
    Ok(interrupt)
}
