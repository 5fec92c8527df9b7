//! The progress of a long transfer, shown on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const REDRAW: Duration = Duration::from_millis(100);

const STYLE: &str = "{spinner} {bytes} {elapsed}  {bytes_per_sec}";
const STYLE_OF_TOTAL: &str = "{bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";

/// A display of progress, or nothing.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows nothing.
    pub(crate) const fn hidden() -> Self {
        Self(None)
    }

    /// Shows the bytes so far, and if the total is known, a bar and the time left.
    pub(super) fn shown(total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let style = if total.is_some() { STYLE_OF_TOTAL } else { STYLE };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(REDRAW);
        Self(Some(bar))
    }

    /// Counts bytes.
    pub(crate) fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    /// Runs `print` with the display removed, so that their outputs do not mix.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Removes the display.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
