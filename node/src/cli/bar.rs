//! How far a long command has got: a bar where somebody looks, a line now and then where nobody does.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::output;
use crate::archive::progress::Progress;

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of an import on standard error.
#[derive(Debug)]
pub struct Bar {
    bar: Option<ProgressBar>,
    total_bytes: Option<u64>,
    began: Instant,
    told: Instant,
}

impl Bar {
    /// Begins; without a total there is no time left to tell.
    #[must_use]
    pub fn begin(total_bytes: Option<u64>) -> Self {
        let began = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = total_bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let form =
                if total_bytes.is_some() { "{bar:40} {percent}% {msg}, {eta} left" } else { "{spinner} {msg}" };
            // The template is ours; were it wrong, the default would still show the way.
            bar.with_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, total_bytes, began, told: began }
    }

    /// Begins a count of `what`, such as rows, whose total is told with each step.
    #[must_use]
    pub fn counting(what: &'static str) -> Self {
        let bar = Self::begin(Some(0));
        if let Some(bar) = &bar.bar {
            bar.set_message(what);
        }
        bar
    }

    /// Shows that `done` of `total` are done.
    pub fn show_count(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        } else if self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            output::tell(&format!("{} percent", done.saturating_mul(100) / total.max(1)));
        }
    }

    /// Takes the bar away.
    pub fn clear(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn rate(&self, progress: &Progress) -> u64 {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        progress.lines.saturating_mul(1_000) / ms
    }

    /// Shows `progress`, of this and all files before.
    pub fn show(&mut self, progress: &Progress) {
        let rate = self.rate(progress);
        if let Some(bar) = &self.bar {
            bar.set_position(progress.bytes);
            bar.set_message(format!("{} lines, {rate}/s", progress.lines));
            return;
        }
        if self.told.elapsed() < LINE_EVERY {
            return;
        }
        self.told = Instant::now();
        let left = self.total_bytes.filter(|_| progress.bytes > 0).map(|total| {
            let per_byte = self.began.elapsed().as_secs_f64() / to_f64(progress.bytes);
            let left = per_byte * to_f64(total.saturating_sub(progress.bytes));
            format!(", about {} left", HumanDuration(Duration::from_secs_f64(left)))
        });
        output::tell(&format!("{} lines, {rate}/s{}", progress.lines, left.unwrap_or_default()));
    }

    /// Takes the bar away and gives the rate over all, in lines a second.
    #[must_use]
    pub fn end(self, progress: &Progress) -> u64 {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.rate(progress)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a file needs no more than 52 bits")]
const fn to_f64(bytes: u64) -> f64 {
    bytes as f64
}
