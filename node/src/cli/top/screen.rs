//! The terminal: looks, keys and drawing take turns until somebody has seen enough.
//!
//! # Failure
//!
//! However it ends, by a key, a signal, an error or a panic, the terminal is as it was before.

use std::{io, pin::pin, thread, time::Duration};

use futures_util::{
    FutureExt,
    future::{Fuse, FusedFuture},
};
use ratatui::crossterm::event::{self, Event};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    draw::draw,
    look::Look,
    picture::Picture,
    view::{Step, View},
};
use crate::{
    cli::{admin_link::AdminLink, failure::Failure},
    http::admin_hot::HotBy,
};

/// Keys that wait while a picture is drawn; who is faster types into nothing.
const KEYS_WAITING_MAX: usize = 16;
/// How often the reader of keys looks whether it is still wanted.
const KEYS_EVERY: Duration = Duration::from_millis(100);

/// Restores the terminal when it goes, after a panic too.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::Failed(format!("the terminal cannot be used: {error}; `hubbub top --once` needs none"))
}

/// Reads keys until nobody listens.
fn read_keys(keys: &mpsc::Sender<Event>) -> io::Result<()> {
    while !keys.is_closed() {
        if event::poll(KEYS_EVERY)? {
            // A key that finds no place is lost.
            let _ = keys.try_send(event::read()?);
        }
    }
    Ok(())
}

/// Shows the cluster until somebody has seen enough.
///
/// # Errors
/// [`Failure::Failed`] for a terminal that cannot be used.
pub(super) async fn show(link: &AdminLink, interval: Duration, by: HotBy) -> Result<(), Failure> {
    let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let _restored = Restored;
    let (sender, mut keys) = mpsc::channel(KEYS_WAITING_MAX);
    thread::spawn(move || read_keys(&sender));
    let mut view = View::new(by, crate::config::units::of_time(interval));
    let mut before: Option<Look> = None;
    let mut next = Instant::now();
    // A look goes on beside the keys: a node that is silent holds it up, and nobody waits for that to leave.
    let mut looking = pin!(Fuse::terminated());
    loop {
        terminal.draw(|frame| draw(frame, &view)).map_err(failed)?;
        let step = tokio::select! {
            _ = interrupted.recv() => Step::Quit,
            _ = terminated.recv() => Step::Quit,
            key = keys.recv() => match key {
                Some(Event::Key(key)) => view.key(key),
                // The screen has another size.
                Some(_) => Step::Draw,
                None => Step::Quit,
            },
            seen = &mut looking => {
                next = Instant::now() + interval;
                let seen: Result<Look, Failure> = seen;
                let picture = seen.as_ref().map(|look| Picture::of(before.as_ref(), look));
                view.seen(picture.map_err(ToString::to_string));
                before = seen.ok().or(before);
                Step::Draw
            }
            () = sleep_until(next), if looking.is_terminated() => Step::Look,
        };
        match step {
            Step::Quit => return Ok(()),
            Step::Draw => {}
            Step::Look => looking.set(Look::take(link, view.by).fuse()),
        }
    }
}
