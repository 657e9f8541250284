//! Imports archives, exports them, imports that and exports it again: nothing may have changed on the way.
//!
//! What is compared: the archive's bytes with the first export's, the first export's with the second's, and a hash of
//! every room's and thread's log in the first community with that in the second. Ids of rooms and people differ from
//! community to community, so a log is hashed with names in their place.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use hubbub_client::rest::Rest;
use hubbub_protocol::event::{Event, EventBody};
use hubbub_protocol::ids::{CommunityId, RoomId, Seq, UserId};
use hubbub_protocol::rest::{Member, Page};
use hubbub_protocol::room::Room;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::archives;
use crate::server::{Server, free_port};

const COMMUNITY: &str = "bench";
/// Events of a log read at once.
const PAGE: usize = 100;
const PASSWORD: &str = "correct horse battery staple";

#[derive(Debug, Clone, Serialize)]
pub(crate) struct RoundtripReport {
    pub(crate) files: String,
    pub(crate) rows: u64,
    pub(crate) rooms: usize,
    pub(crate) threads: usize,
    pub(crate) events: u64,
    /// Whether the export has the archive's lines: to the byte and in order when there is one file, else as a set.
    pub(crate) export_is_archive: bool,
    pub(crate) exports_equal: bool,
    pub(crate) rooms_unlike: usize,
    pub(crate) sha256: String,
}

impl RoundtripReport {
    pub(crate) fn is_clean(&self) -> bool {
        self.export_is_archive && self.exports_equal && self.rooms_unlike == 0
    }
}

/// A room's name, and for a thread's room the place it grows from.
type Place = (String, Option<Seq>);

/// A data directory with one community.
struct Installation<'a> {
    binary: &'a Path,
    folder: TempDir,
}

/// Takes archives that belong to one community through the round trip.
pub(crate) async fn roundtrip(binary: &Path, files: &[PathBuf]) -> Result<RoundtripReport> {
    let mut archive = Vec::new();
    for file in files {
        archives::open(file)?.read_to_end(&mut archive)?;
    }
    let first = Installation::make(binary)?;
    let once = first.import_and_export(files)?;
    let between = first.folder.path().join("once.jsonl");
    std::fs::write(&between, &once)?;
    let second = Installation::make(binary)?;
    let twice = second.import_and_export(&[between])?;
    let (logs, events) = first.logs().await?;
    let (others, _) = second.logs().await?;
    let all = logs.keys().chain(others.keys()).collect::<std::collections::BTreeSet<_>>();
    Ok(RoundtripReport {
        files: files.iter().map(|file| archives::name(file)).collect::<Vec<_>>().join(" + "),
        rows: archive.iter().filter(|byte| **byte == b'\n').count() as u64,
        rooms: logs.keys().filter(|(_, thread)| thread.is_none()).count(),
        threads: logs.keys().filter(|(_, thread)| thread.is_some()).count(),
        events,
        export_is_archive: if files.len() == 1 { once == archive } else { lines(&once) == lines(&archive) },
        exports_equal: once == twice,
        rooms_unlike: all.into_iter().filter(|place| logs.get(*place) != others.get(*place)).count(),
        sha256: hex(&Sha256::digest(&once)),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lines in an order of their own.
fn lines(archive: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = archive.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

impl<'a> Installation<'a> {
    fn make(binary: &'a Path) -> Result<Self> {
        let folder = TempDir::with_prefix("hubbub-bench-")?;
        let made = Self { binary, folder };
        let password = made.folder.path().join("password");
        std::fs::write(&password, PASSWORD)?;
        made.run(&["user", "create", "bench", "--owner", "--password-file", &password.display().to_string()])?;
        Ok(made)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(self.binary);
        command.args(arguments).arg("--data-dir").arg(self.data()).stdin(Stdio::null());
        let ended = command.output().context("cannot run the node's program")?;
        ensure!(ended.status.success(), "{arguments:?} failed: {}", String::from_utf8_lossy(&ended.stderr));
        Ok(())
    }

    fn import_and_export(&self, files: &[PathBuf]) -> Result<Vec<u8>> {
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let mut import = vec!["import", "jsonl", "--community", COMMUNITY, "--direct"];
        import.extend(names.iter().map(String::as_str));
        self.run(&import)?;
        let out = self.folder.path().join("export.jsonl");
        self.run(&["export", "jsonl", "--community", COMMUNITY, "-o", &out.display().to_string()])?;
        Ok(std::fs::read(&out)?)
    }

    /// The hash of every room's log, and how many events they have.
    async fn logs(&self) -> Result<(BTreeMap<Place, String>, u64)> {
        let (port, admin) = (free_port()?, free_port()?);
        ensure!(port != admin, "the same free port was found twice: run again");
        let mut command = tokio::process::Command::new(self.binary);
        command.arg("serve").arg("--data-dir").arg(self.data());
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--admin-listen", &format!("127.0.0.1:{admin}")]);
        command.args(["--rate-limits", "off"]);
        let server = Server::start("hubbub", command).await?;
        let nobody = Rest::new(&format!("http://127.0.0.1:{port}"));
        let rest = nobody.with_token(&nobody.login("bench", PASSWORD).await?.access_token);
        let hashed = hash_all(&rest).await;
        server.stop().await?;
        hashed
    }
}

async fn all<T: serde::de::DeserializeOwned>(rest: &Rest, path: &str) -> Result<Vec<T>> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Page<T> = rest.get(&format!("{path}?limit=100{cursor}")).await?;
        items.extend(page.items);
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(items),
        }
    }
}

async fn hash_all(rest: &Rest) -> Result<(BTreeMap<Place, String>, u64)> {
    let found: Value = rest.post(&format!("/v1/admin/import/names?community={COMMUNITY}"), &json!({})).await?;
    let community: CommunityId = serde_json::from_value(found["community"].clone())?;
    let members: Vec<Member> = all(rest, &format!("/v1/communities/{community}/members")).await?;
    let people: HashMap<UserId, String> =
        members.into_iter().map(|member| (member.user.id, member.user.display)).collect();
    let rooms: Vec<Room> = all(rest, &format!("/v1/communities/{community}/rooms")).await?;
    let mut open: Vec<(RoomId, Place)> =
        rooms.into_iter().filter(|room| room.parent.is_none()).map(|room| (room.id, (room.name, None))).collect();
    let (mut hashes, mut events) = (BTreeMap::new(), 0);
    while let Some((room, place)) = open.pop() {
        let mut hash = Sha256::new();
        let mut after = Some(Seq(0));
        while let Some(from) = after {
            let (pushes, next) = rest.events(room, from, PAGE).await?;
            for push in pushes {
                let event = Event::decode(&push)?;
                events += 1;
                if let EventBody::ThreadCreated { room, .. } = &event.body {
                    open.push((*room, (place.0.clone(), Some(event.seq))));
                }
                hash.update(line(&push, &people)?);
            }
            after = next;
        }
        hashes.insert(place, hex(&hash.finalize()));
    }
    Ok((hashes, events))
}

/// An event without what differs from community to community: ids of rooms, and keys, which come from them; people by
/// the name that is shown.
fn line(push: &[u8], people: &HashMap<UserId, String>) -> Result<String> {
    let mut event: Value = serde_json::from_slice(push)?;
    let by: UserId = serde_json::from_value(event["by"].clone())?;
    event["by"] = people.get(&by).context("an event of somebody who is no member")?.as_str().into();
    for field in ["room", "key"] {
        event[field] = Value::Null;
    }
    if let Some(room) = event["data"].get_mut("room") {
        *room = Value::Null;
    }
    Ok(format!("{event}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_hashed_by_what_it_says_and_who_said_it() {
        let (one, other) = (UserId::from_raw(1), UserId::from_raw(2));
        let people = |id| HashMap::from([(id, "Ada".to_owned())]);
        let event = |by: UserId, room: &str, text: &str| {
            json!({"room": room, "seq": 1, "by": by.to_string(), "key": room, "data": {"text": text}}).to_string()
        };
        let line = |by, room, text| line(event(by, room, text).as_bytes(), &people(by)).expect("an event");
        assert_eq!(line(one, "r1", "hi"), line(other, "r2", "hi"));
        assert_ne!(line(one, "r1", "hi"), line(one, "r1", "ho"));
        let nobody = super::line(event(one, "r1", "hi").as_bytes(), &HashMap::new());
        assert!(nobody.is_err());
    }
}
