//! A progress bar on stderr while a replay runs, if stderr is a terminal.

use std::{
    io::{self, IsTerminal as _},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mos_dataplane::replay::ReplayProgress;

const REDRAW: Duration = Duration::from_millis(100);

/// Of a pipe, whose length nobody knows.
const STYLE_OF_PIPES: &str = "{spinner} {bytes}  {bytes_per_sec}";

const STYLE: &str = "{bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";

/// Does `work`, and shows its progress meanwhile.
pub(super) fn shown<T>(progress: &ReplayProgress, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(progress, &done));
        let result = work();
        done.store(true, Relaxed);
        watcher.thread().unpark();
        result
    })
}

fn watch(progress: &ReplayProgress, done: &AtomicBool) {
    let total = Some(progress.total()).filter(|total| *total > 0);
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let style = if total.is_some() { STYLE } else { STYLE_OF_PIPES };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    // Drawn at least once, because a small capture may be read before this thread runs.
    loop {
        bar.set_position(progress.consumed());
        if done.load(Relaxed) {
            break;
        }
        thread::park_timeout(REDRAW);
    }
    bar.finish_and_clear();
}
