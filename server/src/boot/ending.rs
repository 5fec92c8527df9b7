//! The end of the process: the signals, and the time that a stop may take.
//!
//! A thread with a runtime of its own waits for the signals, so that they are heard whatever the
//! control plane, a worker or a driver is doing. From the first signal on the process has
//! `server.shutdown_timeout` to end in order. After that, or at a second signal, it ends at once,
//! with exit code 1, and says what it was still waiting for.

use std::{
    io::{self, Write as _},
    mem, process,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use mos_text::Span;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::net::listen::OwnFile;

/// Exit code of an end that was not in order.
const NOT_IN_ORDER: i32 = 1;

/// How long the last word may take to be written, and the files to be removed: nobody may read
/// standard error.
const LAST_WORD: Duration = Duration::from_millis(200);

/// What a stop waits for: words that follow "waiting for".
type Step = Box<dyn Fn() -> String + Send>;

/// What SIGHUP means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hangup {
    /// The end: nothing could be reloaded, so a terminal was closed.
    Ends,
    /// It is for others.
    IsNoEnd,
}

/// Watches over the end of the process.
pub(super) struct Ending {
    asked: Option<oneshot::Receiver<&'static str>>,
    known: Arc<Mutex<Known>>,
}

/// What an end that is not in order needs to know.
struct Known {
    step: Step,
    files: Vec<OwnFile>,
}

impl Ending {
    /// Starts to listen for the signals, SIGHUP as given; from the first one on, a stop may take
    /// this long.
    ///
    /// # Errors
    ///
    /// When the thread or its runtime cannot be started.
    pub(super) fn watch(timeout: Duration, hangup: Hangup) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _entered = runtime.enter();
            Signals::new(hangup)?
        };
        let (ask, asked) = oneshot::channel();
        let first = Known { step: Box::new(|| "the start".to_owned()), files: Vec::new() };
        let known = Arc::new(Mutex::new(first));
        let known_there = Arc::clone(&known);
        let listen = move || runtime.block_on(listen(signals, ask, timeout, &known_there));
        let thread = thread::Builder::new().name("mos-signals".to_owned()).spawn(listen)?;
        // It ends with the process.
        drop(thread);
        Ok(Self { asked: Some(asked), known })
    }

    /// Completes at the first signal, with its name. Once.
    pub(super) fn asked(&mut self) -> impl Future<Output = &'static str> + use<> {
        let asked = self.asked.take();
        async move {
            match asked {
                Some(asked) => asked.await.unwrap_or("an error"),
                None => std::future::pending().await,
            }
        }
    }

    /// Says what a stop waits for from now on.
    pub(super) fn waits_for(&self, step: impl Fn() -> String + Send + 'static) {
        self.known().step = Box::new(step);
    }

    /// Removes these files even where the end is not in order.
    pub(super) fn removes(&self, files: Vec<OwnFile>) {
        self.known().files = files;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes the first signal on, and ends the process at the second, or when the time is up.
async fn listen(
    mut signals: Signals,
    ask: oneshot::Sender<&'static str>,
    timeout: Duration,
    known: &Mutex<Known>,
) {
    let first = signals.next().await;
    // An error means that nobody waits for it: the process is ending anyway.
    let _told_or_ending: Result<(), _> = ask.send(first);
    let why = tokio::select! {
        second = signals.next() => format!("ended at once by a second signal, {second}"),
        () = tokio::time::sleep(timeout) => {
            format!("not stopped within {} (server.shutdown_timeout)", Span(timeout))
        }
    };
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let last_word = format!("error: {why}: still waiting for {}", (known.step)());
    end(last_word, mem::take(&mut known.files));
}

/// Ends the process with a last word. Neither that nor a file system may hold it up.
#[expect(clippy::exit, reason = "threads that hang cannot be waited for")]
fn end(last_word: String, files: Vec<OwnFile>) -> ! {
    let (done, is_done) = mpsc::channel();
    let is_removed = done.clone();
    let remove = move || {
        files.iter().for_each(OwnFile::remove);
        let _gone: Result<(), _> = is_removed.send(());
    };
    let say = move || {
        // Where standard error is closed, the exit code has to do.
        let _unsaid: io::Result<()> = writeln!(io::stderr(), "{last_word}");
        let _gone: Result<(), _> = done.send(());
    };
    let begun = [thread::Builder::new().spawn(remove), thread::Builder::new().spawn(say)];
    for _begun in begun.into_iter().flatten() {
        let _done_or_late: Result<(), _> = is_done.recv_timeout(LAST_WORD);
    }
    process::exit(NOT_IN_ORDER)
}

/// The signals that end the service.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    fn new(hangup: Hangup) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match hangup {
                Hangup::Ends => Some(signal(SignalKind::hangup())?),
                Hangup::IsNoEnd => None,
            },
        })
    }

    async fn next(&mut self) -> &'static str {
        let Self { interrupt, terminate, hangup } = self;
        let hung_up = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            _ = hung_up => "SIGHUP",
        }
    }
}
