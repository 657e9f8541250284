//! What somebody is looking at, and what their keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::picture::Picture;
use crate::http::admin_hot::HotBy;

/// What to do after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing but drawing.
    Draw,
    /// Look at once: something else is wanted.
    Look,
    /// End.
    Quit,
}

/// See the module.
#[derive(Debug)]
pub(super) struct View {
    /// By what rooms are to be compared.
    pub(super) by: HotBy,
    /// Which room is marked.
    pub(super) marked: usize,
    /// What was seen last.
    pub(super) picture: Option<Picture>,
    /// Why the last look failed.
    pub(super) trouble: Option<String>,
    /// How long it is between two looks, as somebody wrote it.
    pub(super) interval: String,
}

/// Rooms that a key for a page goes on by.
const PAGE: usize = 10;

impl View {
    pub(super) const fn new(by: HotBy, interval: String) -> Self {
        Self { by, marked: 0, picture: None, trouble: None, interval }
    }

    fn rooms(&self) -> usize {
        self.picture.as_ref().map_or(0, |picture| picture.hot.rooms.len())
    }

    /// Takes what was seen, or why nothing was.
    pub(super) fn seen(&mut self, seen: Result<Picture, String>) {
        match seen {
            Ok(picture) => {
                self.picture = Some(picture);
                self.trouble = None;
                self.marked = self.marked.min(self.rooms().saturating_sub(1));
            }
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    fn mark(&mut self, room: usize) -> Step {
        self.marked = room.min(self.rooms().saturating_sub(1));
        Step::Draw
    }

    fn compare(&mut self, by: HotBy) -> Step {
        self.by = by;
        self.marked = 0;
        Step::Look
    }

    /// Does what a key asks for.
    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        if key.kind == KeyEventKind::Release {
            return Step::Draw;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            // A terminal that hands us every key hands us this one, too, instead of a signal.
            KeyCode::Char('c' | 'd') if control => Step::Quit,
            KeyCode::Char('q') | KeyCode::Esc => Step::Quit,
            KeyCode::Char('c') => self.compare(HotBy::Cpu),
            KeyCode::Char('d') => self.compare(HotBy::Deliveries),
            KeyCode::Char('b') => self.compare(HotBy::Bytes),
            KeyCode::Char(' ') => Step::Look,
            KeyCode::Up => self.mark(self.marked.saturating_sub(1)),
            KeyCode::Down => self.mark(self.marked + 1),
            KeyCode::PageUp => self.mark(self.marked.saturating_sub(PAGE)),
            KeyCode::PageDown => self.mark(self.marked + PAGE),
            KeyCode::Home => self.mark(0),
            KeyCode::End => self.mark(usize::MAX),
            _ => Step::Draw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::picture::tests::look;

    fn view() -> View {
        let mut view = View::new(HotBy::Cpu, "2s".to_owned());
        view.seen(Ok(Picture::of(None, &look(0, 0, 0))));
        view
    }

    fn press(view: &mut View, code: KeyCode) -> Step {
        view.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn the_mark_stays_among_the_rooms() {
        let mut view = view();
        for (code, wanted) in [
            (KeyCode::Up, 0),
            (KeyCode::Down, 1),
            (KeyCode::PageDown, 2),
            (KeyCode::Down, 2),
            (KeyCode::Home, 0),
            (KeyCode::End, 2),
        ] {
            assert_eq!((press(&mut view, code), view.marked), (Step::Draw, wanted), "{code:?}");
        }
        let mut fewer = look(0, 0, 0);
        fewer.hot.rooms.truncate(1);
        view.seen(Ok(Picture::of(None, &fewer)));
        assert_eq!(view.marked, 0);
    }

    #[test]
    fn a_key_compares_rooms_by_something_else_and_looks_at_once() {
        let mut view = view();
        view.marked = 2;
        for (key, by) in [('d', HotBy::Deliveries), ('b', HotBy::Bytes), ('c', HotBy::Cpu)] {
            assert_eq!(press(&mut view, KeyCode::Char(key)), Step::Look);
            assert_eq!((view.by, view.marked), (by, 0));
        }
    }

    #[test]
    fn three_keys_end_it() {
        let mut view = view();
        assert_eq!(press(&mut view, KeyCode::Char('q')), Step::Quit);
        assert_eq!(press(&mut view, KeyCode::Esc), Step::Quit);
        assert_eq!(view.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Step::Quit);
    }

    #[test]
    fn a_look_that_fails_leaves_the_last_picture_standing() {
        let mut view = view();
        view.seen(Err("the node has gone".to_owned()));
        assert!(view.picture.is_some());
        assert_eq!(view.trouble.as_deref(), Some("the node has gone"));
        view.seen(Ok(Picture::of(None, &look(0, 0, 0))));
        assert_eq!(view.trouble, None);
    }
}
