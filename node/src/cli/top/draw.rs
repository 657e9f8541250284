//! Draws a view: a line about the cluster, its nodes, its hot rooms, and the keys.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Text},
    widgets::{Cell, Paragraph, Row, Table, TableState},
};

use super::{
    picture::{NodeSeen, Picture},
    view::View,
    words,
};

/// Columns of nodes, and of rooms, that are told by words; the rest are numbers, which stand to the right.
const NODE_WORDS: [usize; 3] = [1, 2, 3];
const ROOM_WORDS: [usize; 2] = [0, 1];
const KEYS: &str = "q quit · c CPU  d deliveries  b bytes · ↑↓ move · space look now";

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const ALERT: Style = Style::new().fg(Color::Red);

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(frame.area());
    match &view.picture {
        Some(picture) => {
            frame.render_widget(Paragraph::new(words::summary(picture)).style(BOLD), top);
            body(frame, middle, view, picture);
        }
        None => frame.render_widget(Paragraph::new("looking …").style(BOLD), top),
    }
    let foot = match &view.trouble {
        Some(trouble) => Line::styled(trouble.clone(), ALERT),
        None => Line::styled(format!("{KEYS} · every {}", view.interval), Modifier::DIM),
    };
    frame.render_widget(Paragraph::new(foot), bottom);
}

fn body(frame: &mut Frame<'_>, area: Rect, view: &View, picture: &Picture) {
    let troubles = words::troubles(picture);
    let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    // Nodes have up to half of it; hot rooms have the rest.
    let half = area.height / 2;
    let told = lines(troubles.len()).min(half / 2);
    let tall = lines(picture.nodes.len() + 1).min(half.saturating_sub(told)).max(1);
    let [troubled, _, nodes, _, about, rooms] = Layout::vertical([
        Constraint::Length(told),
        Constraint::Length(1),
        Constraint::Length(tall),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
    ])
    .areas(area);
    let troubles: Vec<Line<'_>> = troubles.into_iter().map(|trouble| Line::styled(trouble, ALERT)).collect();
    frame.render_widget(Paragraph::new(troubles), troubled);
    frame.render_widget(nodes_table(picture, nodes.width), nodes);
    frame.render_widget(Paragraph::new(words::about(&picture.hot)).style(BOLD), about);
    let hot = &picture.hot;
    if hot.rooms.is_empty() {
        frame.render_widget(Paragraph::new("no room has done anything"), rooms);
        return;
    }
    let cells: Vec<Vec<String>> = hot.rooms.iter().map(|room| words::room(room, hot)).collect();
    let table = table(&words::ROOM_HEADS, &cells, &ROOM_WORDS, rooms.width, |_| Style::new());
    let mut state = TableState::new().with_selected(view.marked);
    frame.render_stateful_widget(table.row_highlight_style(Modifier::REVERSED), rooms, &mut state);
}

fn nodes_table(picture: &Picture, width: u16) -> Table<'static> {
    let cells: Vec<Vec<String>> = picture.nodes.iter().map(words::node).collect();
    let style = |seen: &NodeSeen| match seen.state.as_str() {
        "down" => ALERT,
        _ if seen.trouble.is_some() => ALERT,
        "up" => Style::new(),
        _ => Style::new().fg(Color::Yellow),
    };
    table(&words::NODE_HEADS, &cells, &NODE_WORDS, width, |row| style(&picture.nodes[row]))
}

/// Blanks between two columns.
const SPACING: u16 = 2;

/// How many columns there is place for; the others would be cut in the middle of a number.
fn fitting(widths: &[u16], width: u16) -> usize {
    let ends = widths.iter().scan(0_u16, |end, wide| {
        let begin = if *end == 0 { 0 } else { end.saturating_add(SPACING) };
        *end = begin.saturating_add(*wide);
        Some(*end)
    });
    ends.take_while(|end| *end <= width).count()
}

/// A table whose columns are as wide as what is in them; the last ones are left out where there is no place.
fn table(
    heads: &[&str],
    rows: &[Vec<String>],
    words: &[usize],
    width: u16,
    style: impl Fn(usize) -> Style,
) -> Table<'static> {
    let wide = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count());
        let wide = cells.chain([heads[column].chars().count()]).max().unwrap_or(0);
        u16::try_from(wide).unwrap_or(u16::MAX)
    };
    let mut widths: Vec<u16> = (0..heads.len()).map(wide).collect();
    widths.truncate(fitting(&widths, width));
    let cell = |column: usize, text: &str| {
        let text = Text::from(text.to_owned());
        Cell::from(if words.contains(&column) { text } else { text.right_aligned() })
    };
    let row = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.take(widths.len()).enumerate();
        Row::new(cells.map(|(at, text)| cell(at, text)).collect::<Vec<_>>())
    };
    let body: Vec<Row<'static>> = rows
        .iter()
        .enumerate()
        .map(|(at, cells)| row(&mut cells.iter().map(String::as_str)).style(style(at)))
        .collect();
    let header = row(&mut heads.iter().copied()).style(BOLD);
    Table::new(body, widths.into_iter().map(Constraint::Length)).column_spacing(SPACING).header(header)
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::{cli::top::picture::tests::look, http::admin_hot::HotBy};

    fn drawn(view: &View, width: u16, height: u16) -> (Vec<String>, Terminal<TestBackend>) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen in memory");
        terminal.draw(|frame| draw(frame, view)).expect("it draws");
        let cells = terminal.backend().buffer().content().chunks(usize::from(width));
        let line =
            |cells: &[ratatui::buffer::Cell]| cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
        (cells.map(|cells| line(cells).trim_end().to_owned()).collect(), terminal)
    }

    fn view() -> View {
        let mut view = View::new(HotBy::Cpu, "2s".to_owned());
        view.seen(Ok(Picture::of(Some(&look(1_000, 100, 5_000)), &look(3_000, 600, 165_000))));
        view
    }

    #[test]
    fn a_screen_shows_nodes_hot_rooms_and_keys() {
        let mut view = view();
        view.marked = 1;
        let (lines, terminal) = drawn(&view, 112, 16);
        let wanted = [
            "cluster lab · 2 of 3 nodes up · node 1 leads · 256 shards, 4 on their way · 250 events/s · 80.0k deliveries/s",
            "node 2: does not answer",
            "node 3: cut off",
            "",
            "NODE  NAME    STATE  PART   SHARDS  CONNS  SESSIONS  EVENTS/s  DELIV/s  WAITING   CPU     MEMORY",
            "   1  node-1  up     leads      85   1200      1500       250    80.0k        3  80 %  144.0 MiB",
            "   2  node-2  up     votes      85      -         -         -        -        -     -          -",
            "   3  node-3  down   votes      85      -         -         -        -        -     -          -",
            "",
            "Hot rooms by measured CPU (all rooms: 100 %), last 42 s",
            "ROOM           NAME     OWNER    CPU  DELIV/s   BYTES/s  EVENTS/s  SHARE",
            "0000000000001  general      1   50 %    80.0k  14.3 MiB       2.5   50 %",
            "0000000000002  so what      1   12 %    19.2k   3.4 MiB       2.5  ~12 %",
            "0000000000003               1  0.0 %      6.4   1.2 KiB       2.5    0 %",
            "",
            "q quit · c CPU  d deliveries  b bytes · ↑↓ move · space look now · every 2s",
        ];
        assert_eq!(lines, wanted);
        let styled = |x: u16, y: u16| terminal.backend().buffer()[(x, y)].style();
        assert_eq!(styled(3, 7).fg, Some(Color::Red), "a node that is down");
        assert_ne!(styled(3, 5).fg, Some(Color::Red));
        assert!(styled(0, 12).add_modifier.contains(Modifier::REVERSED), "the room that is marked");
    }

    #[test]
    fn a_screen_of_any_size_is_drawn_on() {
        let mut view = view();
        for (width, height) in [(1, 1), (20, 3), (40, 6), (80, 8), (300, 100)] {
            let (lines, _) = drawn(&view, width, height);
            assert_eq!(lines.len(), usize::from(height));
        }
        view.marked = 2;
        let (lines, _) = drawn(&view, 80, 12);
        assert!(lines.contains(
            &"NODE  NAME    STATE  PART   SHARDS  CONNS  SESSIONS  EVENTS/s  DELIV/s  WAITING".to_owned()
        ));
        assert!(lines.iter().any(|line| line.starts_with("0000000000003")), "the marked room is seen: {lines:#?}");
    }

    #[test]
    fn before_the_first_look_and_after_one_that_failed_it_says_so() {
        let mut view = View::new(HotBy::Bytes, "1s".to_owned());
        assert_eq!(drawn(&view, 40, 4).0[0], "looking …");
        view.seen(Err("no node runs there".to_owned()));
        let (lines, _) = drawn(&view, 40, 4);
        assert_eq!(lines[3], "no node runs there");
    }
}
