//! What happens at the place of a panic, before anything is unwound.

use std::{
    cell::Cell,
    panic::{self, PanicHookInfo},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use uuid::Uuid;

/// Characters of a message, at most.
const MESSAGE_MAX: usize = 500;

/// Panics that were contained since the start.
static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether a panic of this thread is contained.
    static CONTAINS: Cell<bool> = const { Cell::new(false) };
    /// Names the last panic of this thread in the log, until its catcher asks.
    static LAST: Cell<Option<Uuid>> = const { Cell::new(None) };
}

/// From now on a panic is logged, and ends the process unless its thread contains it.
/// `say` says the last words of the process.
pub(crate) fn install(say: fn(&str)) {
    panic::set_hook(Box::new(move |info| {
        let Described { thread, place, message } = Described::of(info);
        if CONTAINS.get() {
            let id = noted();
            LAST.set(Some(id));
            tracing::error!(thread, place, request_id = %id, "panicked: {message}");
        } else {
            say(&format!(
                "error: {thread} panicked at {place}: {message}; nothing that it holds can be \
                 trusted any more, so mosd aborts"
            ));
            // Here, and not after unwinding: the core dump shows the cause.
            process::abort();
        }
    }));
}

/// This thread contains its panics from now on: those of a task end the task.
pub(crate) fn contains_its_panics() {
    CONTAINS.set(true);
}

/// Panics that were contained since the start.
pub(crate) fn count() -> u64 {
    COUNT.load(Relaxed)
}

/// Does `work` while this thread contains its panics.
pub(super) fn containing<T>(work: impl FnOnce() -> T) -> T {
    let before = CONTAINS.replace(true);
    let result = work();
    CONTAINS.set(before);
    result
}

/// The name in the log of the panic that was just caught on this thread.
pub(super) fn last() -> Uuid {
    // Where the hook is another one, as in tests, the panic is counted here.
    LAST.take().unwrap_or_else(noted)
}

/// Counts a panic, and names it.
fn noted() -> Uuid {
    COUNT.fetch_add(1, Relaxed);
    Uuid::new_v4()
}

/// A panic in words.
struct Described {
    thread: String,
    place: String,
    message: String,
}

impl Described {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let thread = thread::current();
        let name = thread.name().unwrap_or("?");
        let thread = match name.strip_prefix(mos_control::WORKER_THREAD) {
            Some(core) => format!("core {core} (thread {name})"),
            None => format!("thread {name}"),
        };
        let place = info.location().map_or_else(|| "?".to_owned(), ToString::to_string);
        let message = info.payload_as_str().unwrap_or("?");
        Self { thread, place, message: message.chars().take(MESSAGE_MAX).collect() }
    }
}
