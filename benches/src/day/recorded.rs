//! The times of real messages: the busiest day of each archive, laid over each other.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::archives;

/// One message of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// From the day's midnight.
    pub(crate) after: Duration,
    pub(crate) room: usize,
    pub(crate) user: usize,
    /// `None` where the archive has no reactions at all.
    pub(crate) reactions: Option<usize>,
}

const DAY_S: u64 = 24 * 60 * 60;
/// Rooms of a made-up day, its people, and its messages.
const MADE_UP: (usize, usize, usize) = (20, 200, 4_000);

/// Archives in `folder`, in the order of their names.
pub(crate) fn archives_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.to_string_lossy().ends_with(".jsonl.gz"));
    files.sort();
    Ok(files)
}

/// The busiest days of `files` as one, in the order of time.
pub(crate) fn days_of(files: &[PathBuf]) -> Result<Vec<Line>> {
    let mut day = Day::default();
    for file in files {
        let lines = BufReader::new(archives::open(file)?).lines();
        day.add(lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<Vec<Value>>>()?)
            .with_context(|| format!("reading {}", file.display()))?;
    }
    day.lines.sort_by_key(|line| line.after);
    ensure!(!day.lines.is_empty(), "the archives hold no message");
    Ok(day.lines)
}

/// A day that nobody lived: busy in the evening, most of it said in few rooms.
pub(crate) fn made_up() -> Vec<Line> {
    let (rooms, users, messages) = MADE_UP;
    let line = |number: usize| {
        let share = number as f64 / messages as f64;
        Line {
            // The square root leaves most for the later hours.
            after: Duration::from_secs_f64(share.sqrt() * DAY_S as f64),
            // The root of an even spread leaves most for the last rooms.
            room: (number * 37 % (rooms * rooms)).isqrt(),
            user: number * 7 % users,
            reactions: None,
        }
    };
    (0..messages).map(line).collect()
}

#[derive(Debug, Default)]
struct Day {
    lines: Vec<Line>,
    rooms: usize,
    users: usize,
}

impl Day {
    /// Adds the busiest day of one archive, with rooms and people of its own.
    fn add(&mut self, archive: Vec<Value>) -> Result<()> {
        let has_reactions = archive.iter().any(|line| line["reactions"].is_array());
        let mut by_day: BTreeMap<&str, Vec<(&Value, Duration)>> = BTreeMap::new();
        for line in &archive {
            let is_message = line["text"].as_str().is_some_and(|text| !text.trim().is_empty());
            let plain = line["kind"].is_null() || line["kind"] == "action";
            if let Some((day, time)) = line["ts"].as_str().and_then(|ts| ts.split_once('T'))
                && is_message
                && plain
            {
                let time = time_of_day(time).with_context(|| format!("`{time}` is no time"))?;
                by_day.entry(day).or_default().push((line, time));
            }
        }
        let Some(busiest) = by_day.into_values().max_by_key(Vec::len) else { return Ok(()) };
        let (mut rooms, mut users) = (BTreeMap::new(), BTreeMap::new());
        for (line, after) in busiest {
            let number = |known: &mut BTreeMap<String, usize>, field: &str, first: usize| {
                let next = first + known.len();
                *known.entry(line[field].as_str().unwrap_or_default().to_owned()).or_insert(next)
            };
            let room = number(&mut rooms, "room", self.rooms);
            let user = number(&mut users, "user", self.users);
            let reactions = has_reactions.then(|| line["reactions"].as_array().map_or(0, Vec::len));
            self.lines.push(Line { after, room, user, reactions });
        }
        self.rooms += rooms.len();
        self.users += users.len();
        Ok(())
    }
}

/// From midnight to `HH:MM:SS[.fraction]Z`.
fn time_of_day(text: &str) -> Option<Duration> {
    let mut parts = text.trim_end_matches('Z').split(':');
    let mut whole = || parts.next()?.parse::<u64>().ok();
    let (hours, minutes) = (whole()?, whole()?);
    let seconds: f64 = parts.next()?.parse().ok()?;
    (hours < 24 && minutes < 60 && (0.0..61.0).contains(&seconds))
        .then(|| Duration::from_secs(hours * 3_600 + minutes * 60) + Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_busiest_days_of_archives_happen_at_once() {
        let line = |ts: &str, room: &str| json!({"ts": ts, "room": room, "user": "ada", "text": "hi"});
        let mut day = Day::default();
        day.add(vec![
            line("2020-01-01T08:00:00Z", "quiet"),
            line("2020-01-02T09:00:00.5Z", "a"),
            line("2020-01-02T10:00:00Z", "b"),
            json!({"ts": "2020-01-01T11:00:00Z", "room": "a", "user": "x", "text": "joined", "kind": "join"}),
        ])
        .expect("an archive");
        let mut second = line("2021-05-05T00:01:00Z", "a");
        second["reactions"] = json!([{"emoji": "+1", "user": "b"}]);
        day.add(vec![second]).expect("an archive");
        let seconds = |line: &Line| line.after.as_secs_f64();
        assert_eq!(day.lines.iter().map(seconds).collect::<Vec<_>>(), [32_400.5, 36_000.0, 60.0]);
        assert_eq!(day.lines.iter().map(|line| line.room).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(day.lines.iter().map(|line| line.reactions).collect::<Vec<_>>(), [None, None, Some(1)]);
    }

    #[test]
    fn a_made_up_day_is_a_day_long() {
        let lines = made_up();
        assert!(lines.is_sorted_by_key(|line| line.after));
        assert!(lines.last().is_some_and(|line| line.after < Duration::from_secs(DAY_S)));
        let rooms: std::collections::BTreeSet<usize> = lines.iter().map(|line| line.room).collect();
        assert_eq!(rooms.len(), MADE_UP.0);
        assert_eq!(time_of_day("25:00:00Z"), None);
    }
}
