//! A mixed day: messages at the times at which people really wrote them, faster, with all that people do beside.
//!
//! The busiest day of each archive is taken, and all of them happen at once, as communities on one server do. Without
//! archives a made-up day takes their place. Beside each message, by shares of the messages, people type, react, read
//! a page of history, and lose their connection.

pub(crate) mod recorded;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;
use tokio::time::sleep_until;

use self::recorded::Line;
use crate::ledger::Verdict;
use crate::load::per;
use crate::party::{Act, Arrived, Cue};
use crate::peer::Peer;
use crate::peer::hubbub::HubbubPeer;
use crate::processes::Usage;
use crate::reconnect::latency_of;
use crate::recorder::Latency;
use crate::schedule::{Due, Schedule};

const LEAD: Duration = Duration::from_millis(500);
const DRAIN_MAX: Duration = Duration::from_secs(30);
const JOINING_AT_ONCE: usize = 32;
/// Acts beside a message, in thousandths of the messages: typing before nearly each, a page for one in five, a
/// connection lost for one in twenty. Where an archive has no reactions, one in ten messages gets one.
const TYPING: usize = 900;
const PAGES: usize = 200;
const RECONNECTS: usize = 50;
const REACTIONS: usize = 100;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    pub(crate) clients: usize,
    /// How much faster than it happened.
    pub(crate) speed: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct DayReport {
    pub(crate) peer: String,
    pub(crate) run: u32,
    pub(crate) archives: String,
    pub(crate) clients: usize,
    pub(crate) rooms: usize,
    pub(crate) messages: usize,
    pub(crate) acts: usize,
    pub(crate) day_s: f64,
    pub(crate) deliveries: u64,
    pub(crate) cpu_us_per_delivery: f64,
    pub(crate) bytes_per_delivery: f64,
    pub(crate) rss_kib: u64,
    pub(crate) delivery: Latency,
    pub(crate) ack: Latency,
    pub(crate) resumed: usize,
    pub(crate) other_refusals: u64,
    pub(crate) verdict: Verdict,
}

/// Lives one day.
pub(crate) async fn live(
    peer: &Arc<HubbubPeer>,
    lines: &[Line],
    archives: &str,
    day: Day,
    run: u32,
) -> Result<DayReport> {
    ensure!(day.speed > 0.0, "a day that does not pass cannot be measured");
    let rooms = lines.iter().map(|line| line.room + 1).max().unwrap_or_default();
    ensure!(rooms > 0 && day.clients >= rooms, "{} clients cannot be in {rooms} rooms", day.clients);
    let seats = seats(lines, rooms, day.clients);
    let names = peer.prepare_seated(rooms, &seats).await?;
    let arrived = Arrived::gather(peer, &names, &seats, JOINING_AT_ONCE).await?;
    let (dues, cues) = plan(lines, &seats, rooms, day.speed);
    let acts = cues.len() - dues.len();
    let schedule = Schedule::recorded(dues, Instant::now() + LEAD);
    let messages = schedule.total() as usize;
    let party = arrived.begin(schedule.clone(), cues)?;
    sleep_until(schedule.start().into()).await;
    let before = Usage::of(&peer.parts())?;
    sleep_until(schedule.window_end().into()).await;
    party.drain(DRAIN_MAX).await;
    let lived = schedule.start().elapsed();
    let after = Usage::of(&peer.parts())?;
    let outcome = party.finish().await?;
    let (deliveries, bytes) = {
        let recorder = crate::party::lock(&outcome.shared.recorder);
        (recorder.delivered(), recorder.received_bytes())
    };
    let ack = crate::party::lock(&outcome.shared.recorder).answer_latency();
    Ok(DayReport {
        peer: peer.name().to_owned(),
        run,
        archives: archives.to_owned(),
        clients: day.clients,
        rooms,
        messages,
        acts,
        day_s: lived.as_secs_f64(),
        deliveries,
        cpu_us_per_delivery: per(after.cpu_since(&before).values().sum(), deliveries),
        bytes_per_delivery: bytes as f64 / deliveries.max(1) as f64,
        rss_kib: after.rss_kib(),
        delivery: latency_of(&outcome.shared.recorder),
        ack,
        resumed: crate::party::lock(&outcome.shared.returns).len(),
        other_refusals: outcome.shared.counts.other_refusals.into_inner(),
        verdict: outcome.verdict,
    })
}

/// A room for each client: one for every room, the others where most is said.
fn seats(lines: &[Line], rooms: usize, clients: usize) -> Vec<usize> {
    let mut said = vec![0_usize; rooms];
    lines.iter().for_each(|line| said[line.room] += 1);
    let mut seats: Vec<usize> = (0..rooms).collect();
    let left = clients - rooms;
    let (mut sum, mut given) = (0, 0);
    for (room, count) in said.iter().enumerate() {
        sum += count;
        let upto = left * sum / lines.len().max(1);
        seats.extend(std::iter::repeat_n(room, upto - given));
        given = upto;
    }
    seats
}

/// When each message is due and by whom, and everything that happens, in the order of time.
fn plan(lines: &[Line], seats: &[usize], rooms: usize, speed: f64) -> (Vec<Due>, Vec<Cue>) {
    let mut members = vec![Vec::new(); rooms];
    seats.iter().enumerate().for_each(|(guest, room)| members[*room].push(guest));
    let (mut dues, mut cues) = (Vec::with_capacity(lines.len()), Vec::new());
    let mut owed = [0_usize; 4];
    for (number, line) in lines.iter().enumerate() {
        let there = &members[line.room];
        let guest = there[line.user % there.len()];
        let after = line.after.div_f64(speed);
        dues.push(Due { after, sender: guest, room: line.room });
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        cues.push(Cue { after, guest, act: Act::Send(number) });
        let reactions = line.reactions.map_or(REACTIONS, |count| count * 1_000);
        let shares =
            [(Act::Type, TYPING), (Act::React, reactions), (Act::Page, PAGES), (Act::Reconnect, RECONNECTS)];
        for (kind, (act, share)) in shares.into_iter().enumerate() {
            owed[kind] += share;
            while owed[kind] >= 1_000 {
                owed[kind] -= 1_000;
                // Another one of the room each time, so that everybody has a turn.
                let guest = there[(line.user + cues.len()) % there.len()];
                cues.push(Cue { after, guest, act });
            }
        }
    }
    (dues, cues)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u64, room: usize, user: usize) -> Line {
        Line { after: Duration::from_secs(second), room, user, reactions: None }
    }

    #[test]
    fn every_room_has_somebody_and_busy_ones_have_most() {
        let lines: Vec<Line> = (0..100).map(|second| line(second, usize::from(second >= 90), 1)).collect();
        let seats = seats(&lines, 2, 22);
        assert_eq!(seats.len(), 22);
        let in_room = |room| seats.iter().filter(|seat| **seat == room).count();
        assert_eq!((in_room(0), in_room(1)), (19, 3));
    }

    #[test]
    fn a_day_passes_faster_and_acts_come_by_their_shares() {
        let lines: Vec<Line> = (0..1_000).map(|second| line(second, 0, second as usize)).collect();
        let (dues, cues) = plan(&lines, &[0, 0, 0], 1, 10.0);
        assert_eq!(dues[999].after, Duration::from_millis(99_900));
        let count = |act: Act| cues.iter().filter(|cue| cue.act == act).count();
        let counts = [Act::Type, Act::React, Act::Page, Act::Reconnect].map(count);
        assert_eq!(counts, [TYPING, REACTIONS, PAGES, RECONNECTS]);
        assert!(cues.is_sorted_by_key(|cue| cue.after));
    }
}
