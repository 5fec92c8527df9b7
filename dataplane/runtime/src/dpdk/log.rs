//! DPDK's own log, sent to `tracing` or, during an attempt, kept as the cause of its failure.
//!
//! Many functions of DPDK say why they failed only in the log. [`explained`] keeps the lines that
//! were logged while it ran, so that an error can name its cause in one line; those lines then
//! appear in the log on level debug only.
#![expect(unsafe_code, reason = "hands a callback to DPDK's log and reads the text that it gives")]

use std::{ffi::c_char, io, slice, sync::PoisonError};

#[expect(
    clippy::disallowed_types,
    reason = "no worker takes it: drivers log while they are set up"
)]
type Lines = std::sync::Mutex<Option<Vec<String>>>;

/// Lines of level warning and above since [`explained`] began; `None` outside of it.
static KEPT: Lines = Lines::new(None);

/// Directs DPDK's log to `tracing`. Before EAL is started.
///
/// # Errors
///
/// When the stream cannot be made.
pub(super) fn redirect() -> io::Result<()> {
    // SAFETY: `sink` matches the declared type, is a function, and is safe to call from any
    // thread; the shim keeps nothing else.
    let code = unsafe { dpdk_sys::mos_log_to(Some(sink)) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}

/// Runs `attempt`; returns its result and, in one line, the problems that DPDK logged meanwhile.
pub(super) fn explained<T>(attempt: impl FnOnce() -> T) -> (T, Option<String>) {
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    let result = attempt();
    let lines = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take();
    (result, lines.as_deref().and_then(cause))
}

/// The first line is nearest to the cause; the others are consequences.
fn cause(lines: &[String]) -> Option<String> {
    lines.first().map(|line| without_function(line).to_owned())
}

/// Without the name of the function that drivers put in front: `open_iface(): cannot ...`.
fn without_function(line: &str) -> &str {
    match line.split_once("(): ") {
        Some((function, rest)) if !function.contains(' ') => rest.trim(),
        Some(_) | None => line.trim(),
    }
}

/// Takes one line of DPDK's log.
extern "C" fn sink(level: u32, text: *const c_char, length: usize) {
    // SAFETY: the shim passes `length` bytes at `text` that stay as they are during the call.
    let bytes = unsafe { slice::from_raw_parts(text.cast::<u8>(), length) };
    let line = String::from_utf8_lossy(bytes);
    let line = line.trim();
    if line.is_empty() {
        return;
    }
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    match kept.as_mut() {
        Some(lines) => {
            if level <= dpdk_sys::RTE_LOG_WARNING {
                lines.push(line.to_owned());
            }
            tracing::debug!(target: "dpdk", "{line}");
        }
        None => log(level, line),
    }
}

fn log(level: u32, line: &str) {
    match level {
        0..=dpdk_sys::RTE_LOG_ERR => tracing::error!(target: "dpdk", "{line}"),
        dpdk_sys::RTE_LOG_WARNING => tracing::warn!(target: "dpdk", "{line}"),
        _ => tracing::debug!(target: "dpdk", "{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(level: u32, text: &str) {
        sink(level, text.as_ptr().cast(), text.len());
    }

    #[test]
    fn the_first_problem_is_the_cause_and_names_no_function() {
        let ((), cause) = explained(|| {
            say(dpdk_sys::RTE_LOG_INFO, "probing");
            say(dpdk_sys::RTE_LOG_ERR, "open_iface(): cannot open eth9: no such device\n");
            say(dpdk_sys::RTE_LOG_ERR, "EAL: cannot probe (net_pcap0)");
        });
        assert_eq!(cause.as_deref(), Some("cannot open eth9: no such device"));
        assert_eq!(explained(|| 7), (7, None));
    }
}
