//! A picture in words: figures as people read them, the rows of its tables, and the whole as text.

use super::picture::{NodeSeen, Picture};
use crate::{
    cli::output,
    http::admin_hot::{HotBy, HotRoom, HotRooms},
};

/// Heads of the table of nodes; how its cells stand is for [`draw`](super::draw).
pub(super) const NODE_HEADS: [&str; 12] = [
    "NODE", "NAME", "STATE", "PART", "SHARDS", "CONNS", "SESSIONS", "EVENTS/s", "DELIV/s", "WAITING", "CPU",
    "MEMORY",
];
/// Heads of the table of hot rooms.
pub(super) const ROOM_HEADS: [&str; 8] =
    ["ROOM", "NAME", "OWNER", "CPU", "DELIV/s", "BYTES/s", "EVENTS/s", "SHARE"];
/// Longest name that is shown whole.
const NAME_CHARS_MAX: usize = 24;
/// What is unsure of a figure and shown, as a part of it: less than what the eye can tell.
const UNSURE_SHOWN: f64 = 0.1;

/// A number: whole from 10 on, with a letter for thousands from 10,000 on.
pub(super) fn number(number: f64) -> String {
    let steps = [(1e10, 1e9, "G"), (1e7, 1e6, "M"), (1e4, 1e3, "k")];
    if let Some((_, worth, letter)) = steps.into_iter().find(|(from, ..)| number >= *from) {
        return format!("{:.1}{letter}", number / worth);
    }
    if number == 0.0 || number >= 10.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

/// A size in bytes.
pub(super) fn size(bytes: f64) -> String {
    let steps = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1_024.0, "KiB")];
    match steps.into_iter().find(|(worth, _)| bytes >= *worth) {
        Some((worth, unit)) => format!("{:.1} {unit}", bytes / worth),
        None => format!("{bytes:.0} B"),
    }
}

/// Time at work, as a part of one core.
pub(super) fn cores(ms_per_s: f64) -> String {
    let percent = ms_per_s / 10.0;
    if percent == 0.0 || percent >= 10.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

/// A name as far as there is place for it, without what would steer a terminal.
fn cut(name: &str) -> String {
    let shown = name.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    if name.chars().count() <= NAME_CHARS_MAX {
        return shown.collect();
    }
    shown.take(NAME_CHARS_MAX - 1).chain(['…']).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people: 53 bits are enough")]
fn count(count: u64) -> String {
    if count < 10_000 { count.to_string() } else { number(count as f64) }
}

/// A row of the table of nodes.
#[expect(clippy::cast_precision_loss, reason = "a figure for people: 53 bits are enough")]
pub(super) fn node(seen: &NodeSeen) -> Vec<String> {
    let part = match (seen.leads, seen.votes) {
        (true, _) => "leads",
        (_, true) => "votes",
        _ if seen.stands_by => "stands by",
        _ => "",
    };
    let nothing = || "-".to_owned();
    let said = |tell: fn(&crate::standing::Standing) -> u64| {
        seen.standing.as_ref().map_or_else(nothing, |said| count(tell(said)))
    };
    vec![
        seen.node.to_string(),
        cut(seen.name.as_deref().unwrap_or_default()),
        seen.state.clone(),
        part.to_owned(),
        seen.shards.to_string(),
        said(|said| said.connections),
        said(|said| said.sessions),
        seen.rates.map_or_else(nothing, |rates| number(rates.events_per_s)),
        seen.rates.map_or_else(nothing, |rates| number(rates.deliveries_per_s)),
        said(|said| said.appends_waiting),
        seen.rates.map_or_else(nothing, |rates| cores(rates.cpu_ms_per_s)),
        seen.standing.as_ref().map_or_else(nothing, |said| size(said.memory_bytes as f64)),
    ]
}

/// A row of the table of hot rooms.
pub(super) fn room(room: &HotRoom, hot: &HotRooms) -> Vec<String> {
    let (part, whole) = (room.rates.by(hot.by), hot.total.by(hot.by));
    let unsure = if room.unsure_per_s > part * UNSURE_SHOWN { "~" } else { "" };
    let share = if whole > 0.0 { format!("{unsure}{:.0} %", 100.0 * part / whole) } else { String::new() };
    vec![
        room.room.to_string(),
        cut(room.name.as_deref().unwrap_or_default()),
        room.owner.to_string(),
        cores(room.rates.cpu_ms_per_s),
        number(room.rates.deliveries_per_s),
        size(room.rates.bytes_per_s),
        number(room.rates.events_per_s),
        share,
    ]
}

/// The first line.
pub(super) fn summary(picture: &Picture) -> String {
    let mut parts = vec![picture.cluster.as_ref().map_or("one node".to_owned(), |name| format!("cluster {name}"))];
    if picture.cluster.is_some() {
        let up = picture.nodes.iter().filter(|node| node.state == "up").count();
        parts.push(format!("{up} of {} nodes up", picture.nodes.len()));
        parts.push(picture.leader.map_or("nobody leads".to_owned(), |leader| format!("node {leader} leads")));
        parts.push(format!("{} shards, {} on their way", picture.shards, picture.moving));
    }
    if let Some(rates) = picture.rates {
        parts.push(format!("{} events/s", number(rates.events_per_s)));
        parts.push(format!("{} deliveries/s", number(rates.deliveries_per_s)));
    }
    parts.join(" · ")
}

/// What stands above the hot rooms.
pub(super) fn about(hot: &HotRooms) -> String {
    let by = match hot.by {
        HotBy::Cpu => format!("measured CPU (all rooms: {})", cores(hot.total.cpu_ms_per_s)),
        HotBy::Deliveries => format!("deliveries (all rooms: {}/s)", number(hot.total.deliveries_per_s)),
        HotBy::Bytes => format!("bytes (all rooms: {}/s)", size(hot.total.bytes_per_s)),
    };
    format!("Hot rooms by {by}, last {} s", hot.period_ms / 1_000)
}

/// What is wrong with nodes, a sentence each.
pub(super) fn troubles(picture: &Picture) -> Vec<String> {
    let told =
        picture.nodes.iter().filter_map(|node| Some(format!("node {}: {}", node.node, node.trouble.as_ref()?)));
    told.collect()
}

/// The hot rooms as text.
pub(super) fn rooms(hot: &HotRooms) -> String {
    let rows: Vec<_> = hot.rooms.iter().map(|dear| room(dear, hot)).collect();
    let table =
        if rows.is_empty() { "no room has done anything".to_owned() } else { output::table(&ROOM_HEADS, &rows) };
    format!("{}\n{table}", about(hot))
}

/// The whole as text, for where no terminal is.
pub(super) fn page(picture: &Picture) -> String {
    let nodes: Vec<_> = picture.nodes.iter().map(node).collect();
    let mut lines = vec![summary(picture)];
    lines.extend(troubles(picture));
    lines.extend([String::new(), output::table(&NODE_HEADS, &nodes), String::new(), rooms(&picture.hot)]);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::picture::tests::look;

    #[test]
    fn figures_are_written_as_people_read_them() {
        let numbers = [0.0, 0.04, 2.5, 99.6, 9_999.0, 12_345.0, 82_000.0, 12_345_678.0, 2e10];
        let wanted = ["0", "0.0", "2.5", "100", "9999", "12.3k", "82.0k", "12.3M", "20.0G"];
        assert_eq!(numbers.map(number), wanted);
        assert_eq!([0.0, 800.0, 15_000_000.0].map(size), ["0 B", "800 B", "14.3 MiB"]);
        assert_eq!([0.0, 5.0, 1_500.0].map(cores), ["0 %", "0.5 %", "150 %"]);
        assert_eq!(cut("a name that is far too long to be shown"), "a name that is far too …");
        assert_eq!(cut("red\u{1b}[31m\nalert"), "red [31m alert");
    }

    #[test]
    fn a_picture_can_be_read_without_a_terminal() {
        let picture = Picture::of(Some(&look(1_000, 100, 5_000)), &look(3_000, 600, 165_000));
        let page = page(&picture);
        let wanted = "\
cluster lab · 2 of 3 nodes up · node 1 leads · 256 shards, 4 on their way · 250 events/s · 80.0k deliveries/s
node 2: does not answer
node 3: cut off

NODE  NAME    STATE  PART   SHARDS  CONNS  SESSIONS  EVENTS/s  DELIV/s  WAITING  CPU   MEMORY
1     node-1  up     leads  85      1200   1500      250       80.0k    3        80 %  144.0 MiB
2     node-2  up     votes  85      -      -         -         -        -        -     -
3     node-3  down   votes  85      -      -         -         -        -        -     -

Hot rooms by measured CPU (all rooms: 100 %), last 42 s
ROOM           NAME     OWNER  CPU    DELIV/s  BYTES/s   EVENTS/s  SHARE
0000000000001  general  1      50 %   80.0k    14.3 MiB  2.5       50 %
0000000000002  so what  1      12 %   19.2k    3.4 MiB   2.5       ~12 %
0000000000003           1      0.0 %  6.4      1.2 KiB   2.5       0 %";
        assert_eq!(page, wanted);
    }
}
