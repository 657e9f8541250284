//! What imports and exports promise, over the store in memory.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hubbub_actors::Caller;
use hubbub_protocol::{
    event::{Event, EventBody},
    ids::{RoomId, Seq, SessionId},
    room::RoomKind,
};
use hubbub_storage::{effect::ImportKind, mem::AppendFault};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{
    community,
    export::Exporter,
    importer::Importer,
    line::{Entry, Line, Reaction, Title},
    progress::Progress,
    source::{Chunks, batches},
};
use crate::testing::World;

const COMMUNITY: &str = "Archive";

async fn import(world: &World, archive: &[u8], lines: usize) -> Result<Progress, String> {
    let importer = Importer::begin(world.app.hub.clone(), COMMUNITY).await.map_err(|refusal| refusal.message)?;
    let (sender, chunks) = Chunks::channel();
    let archive = archive.to_vec();
    tokio::spawn(async move {
        for chunk in archive.chunks(1 << 16) {
            if sender.send(Ok(Bytes::copy_from_slice(chunk))).await.is_err() {
                return;
            }
        }
    });
    importer.run(batches(chunks, lines), |_| ()).await.map_err(|refusal| refusal.message)
}

async fn export(world: &World) -> Vec<u8> {
    let community = community::find(&*world.store, COMMUNITY).await.expect("a store").expect("it was imported");
    let exporter = Exporter::begin(world.app.store.clone(), community.id, false).await.expect("a store");
    let (out, mut chunks) = mpsc::channel(1);
    let work = tokio::spawn(exporter.run(std::env::temp_dir(), out));
    let mut archive = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        archive.extend_from_slice(&chunk);
    }
    work.await.expect("no panic").expect("an export");
    archive
}

/// A hash of every room's log, by the room's name and thread, with names in place of ids.
async fn digests(world: &World) -> BTreeMap<(String, String), String> {
    let store = &world.app.store;
    let community = community::find(&**store, COMMUNITY).await.expect("a store").expect("it was imported").id;
    let rooms = store.rooms_of(community, true).await.expect("a store");
    let raw: Vec<u64> = rooms.iter().map(|room| room.id.raw()).collect();
    let threads = store.imported_names(community, ImportKind::Thread, &raw).await.expect("a store");
    let mut digests = BTreeMap::new();
    for room in rooms.iter().filter(|room| room.kind != RoomKind::Community) {
        let mut hash = Sha256::new();
        for stored in store.events(room.id, Seq(0), usize::MAX >> 1).await.expect("a store") {
            let event = Event::decode(&stored.push).expect("our own form");
            let by = store.imported_names(community, ImportKind::User, &[event.by.raw()]).await.expect("a store");
            let mut body = event.body.clone();
            if let EventBody::ThreadCreated { room, .. } = &mut body {
                *room = RoomId::from_raw(0);
            }
            let by = by.values().next().cloned().unwrap_or_default();
            hash.update(format!("{} {} {by} {body:?}\n", event.seq, event.ts));
        }
        let name = (room.name.clone(), threads.get(&room.id.raw()).cloned().unwrap_or_default());
        digests.insert(name, format!("{:x?}", hash.finalize()));
    }
    digests
}

fn line(number: usize, room: &str, user: &str, text: &str) -> Line {
    Line {
        id: format!("t:{number:06}"),
        room: room.to_owned(),
        user: user.to_owned(),
        ts: format!("2015-06-06T{:02}:{:02}:00Z", number / 3_600, number / 60 % 60),
        text: text.to_owned(),
        ..Line::default()
    }
}

/// An archive with every quirk of the real ones: shared minutes, long texts, odd names, threads that
/// begin anywhere, answers across rooms and to what comes later, reactions in disorder.
fn quirky(lines: usize) -> Vec<u8> {
    let rooms = ["general", "開発 / #1", "C++ & <friends>"];
    let users = ["Ada Lovelace", "[bot]", "日本 🎉", "ada-lovelace", "unknown"];
    let mut archive = Vec::new();
    for number in 0..lines {
        let mut line = line(number, rooms[number * number % 3], users[number * 7 % 5], "hi **all**\n\"x\"\u{1}");
        if number % 11 == 0 {
            line.text = "long ".repeat(3_000);
        }
        if number % 3 == 0 {
            line.thread = Some(format!("th{}", number % 90));
        }
        if number % 4 == 1 {
            let target = if number % 8 == 1 { number + 5 } else { number.saturating_sub(number % 50) };
            line.reply_to = Some(format!("t:{target:06}"));
        }
        if number % 10 == 0 {
            let by = |emoji: &str, user: usize| Reaction {
                emoji: emoji.to_owned(),
                user: Some(users[user].to_owned()),
                count: None,
            };
            let some = Reaction { emoji: "tada".to_owned(), user: None, count: Some(3) };
            line.reactions = vec![by("+1", 1), some, by("wave::skin-tone-3", 2), by("+1", 0), by("👍", 4)];
        }
        line.kind = ["join", "system", "action"].get(number % 13).map(|kind| (*kind).to_owned());
        if number % 17 == 0 {
            (line.kind, line.text) = (Some("deleted".to_owned()), String::new());
        }
        (line.bot, line.edited) = (number % 5 == 0, number % 6 == 0);
        Entry::Message(Box::new(line)).write(&mut archive);
    }
    archive
}

fn title(thread: &str, room: &str, title: &str) -> Vec<u8> {
    let mut line = Vec::new();
    let title = Title { thread: thread.to_owned(), room: room.to_owned(), title: title.to_owned() };
    Entry::Title(title).write(&mut line);
    line
}

/// The real archives: of `$HUBBUB_CORPORA`, or beside the repository.
fn corpora() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("HUBBUB_CORPORA").map_or(beside, PathBuf::from).join("chat");
    folder.is_dir().then_some(folder)
}

fn unzipped(file: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    let file = std::fs::File::open(file).expect("a corpus");
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut archive).expect("gzip");
    archive
}

#[track_caller]
fn assert_same(got: &[u8], wanted: &[u8], what: &str) {
    if got == wanted {
        return;
    }
    let pairs = got.split(|byte| *byte == b'\n').zip(wanted.split(|byte| *byte == b'\n'));
    let differ = (1..).zip(pairs).find(|(_, (got, wanted))| got != wanted);
    let shown = differ.map(|(line, (got, wanted))| {
        format!("line {line}:\n{}\n{}", String::from_utf8_lossy(got), String::from_utf8_lossy(wanted))
    });
    panic!("{what} came out otherwise: {} bytes for {}; {}", got.len(), wanted.len(), shown.unwrap_or_default());
}

#[tokio::test]
async fn an_archive_comes_out_as_it_went_in_and_a_second_time_too() {
    let mut archive = quirky(2_500);
    archive.extend(title("th0", "general", "A title"));
    archive.extend(title("th30", "general", "Another"));
    let (first, second) = (World::new().await, World::new().await);
    let progress = import(&first, &archive, 300).await.expect("an import");
    assert_eq!((progress.messages, progress.skipped, progress.titles), (2_500, 0, 2));
    let once = export(&first).await;
    assert_same(&once, &archive, "the archive");
    import(&second, &once, 1_000).await.expect("an import");
    assert_same(&export(&second).await, &archive, "the second export");
    assert_eq!(digests(&first).await, digests(&second).await);
}

/// The real archives that are there, by name; without any, one that is made up.
fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let Some(folder) = corpora() else {
        crate::cli::output::tell("no real archives: set HUBBUB_CORPORA; a made-up one is taken in their place");
        return vec![("made up", quirky(1_500))];
    };
    let names = ["small", "houston-slack", "dd2030-slack"];
    names.map(|name| (name, unzipped(&folder.join(format!("{name}.jsonl.gz"))))).into()
}

#[tokio::test]
async fn real_archives_come_out_as_they_went_in() {
    for (name, archive) in archives() {
        let (first, second) = (World::new().await, World::new().await);
        import(&first, &archive, 2_000).await.expect("an import");
        let once = export(&first).await;
        assert_same(&once, &archive, name);
        import(&second, &once, 500).await.expect("an import");
        assert_eq!(digests(&first).await, digests(&second).await, "{name}");
    }
}

#[tokio::test]
async fn an_import_that_fails_anywhere_goes_on_when_it_is_repeated() {
    let archive = quirky(600);
    let whole = World::new().await;
    import(&whole, &archive, 50).await.expect("an import");
    let wanted = digests(&whole).await;
    let faults = [AppendFault::FailBefore, AppendFault::FailAfter, AppendFault::AmbiguousAfter];
    for good in 0..40 {
        let world = World::new().await;
        // The appends before are made one by one, so that the fault meets each place of a batch.
        let beginning: Vec<u8> =
            archive.split_inclusive(|byte| *byte == b'\n').take(1 + good * 3).flatten().copied().collect();
        import(&world, &beginning, 7).await.expect("a beginning");
        world.store.faults().next_append(faults[good % 3]);
        let failed = import(&world, &archive, 50).await;
        let progress = import(&world, &archive, 50).await.expect("an import");
        assert!(failed.is_err() || progress.messages == 0, "{failed:?}");
        assert_eq!(digests(&world).await, wanted, "after fault {good}");
        assert_same(&export(&world).await, &archive, "what was repeated");
    }
}

#[tokio::test]
async fn importing_again_stores_nothing() {
    let archive = [quirky(300), title("th0", "general", "A title"), title("no", "nowhere", "Unmet")].concat();
    let world = World::new().await;
    import(&world, &archive, 100).await.expect("an import");
    let before = digests(&world).await;
    let again = import(&world, &archive, 100).await.expect("an import");
    assert_eq!((again.messages, again.skipped, again.users, again.titles), (0, 300, 0, 0));
    assert_eq!(digests(&world).await, before);
}

#[tokio::test]
async fn a_title_is_kept_whether_it_comes_before_or_after_its_thread() {
    let mut one = line(1, "r", "ada", "first words");
    one.thread = Some("t".to_owned());
    let mut message = Vec::new();
    Entry::Message(Box::new(one)).write(&mut message);
    let titles = [title("t", "r", "Given"), title("unmet", "r", "Waits")].concat();
    let later = [title("unmet", "r", "Waits"), message.clone(), title("t", "r", "Given")].concat();
    let orders = [([&titles, &message], [titles.clone(), message.clone()].concat()), ([&message, &titles], later)];
    for (parts, whole) in orders {
        let (world, again) = (World::new().await, World::new().await);
        for part in parts {
            import(&world, part, 10).await.expect("an import");
        }
        assert_same(&export(&world).await, &whole, "the archive");
        import(&again, &whole, 10).await.expect("an import");
        assert_eq!(digests(&world).await, digests(&again).await, "the same logs again");
        assert_same(&export(&again).await, &whole, "the second export");
        let community = community::find(&*world.store, COMMUNITY).await.expect("a store").expect("imported");
        let rooms = world.app.store.rooms_of(community.id, true).await.expect("a store");
        let thread = rooms.iter().find(|room| room.name == "Given").expect("the thread");
        assert!(thread.parent.is_some_and(|parent| parent.seq > Seq(0)), "it hangs on its message");
    }
}

#[tokio::test]
async fn what_was_written_here_is_exported_and_known_again() {
    let world = World::new().await;
    import(&world, &quirky(50), 100).await.expect("an import");
    let community = community::find(&*world.store, COMMUNITY).await.expect("a store").expect("imported");
    let rooms = world.app.store.rooms_of(community.id, false).await.expect("a store");
    let room = rooms.iter().find(|room| room.name == "general").expect("a room").id;
    let caller = Caller { user: community.owner, sid: SessionId::from_raw(1) };
    let post = hubbub_actors::room::NewPost {
        key: hubbub_protocol::ids::MessageKey(uuid::Uuid::from_u128(7)),
        text: "written here".to_owned(),
        reply_to: Some(Seq(1)),
        files: Vec::new(),
        retry: false,
    };
    let sent = world.app.hub.rooms().post(caller, room, post).await.expect("sent");
    let archive = export(&world).await;
    let text = String::from_utf8(archive.clone()).expect("UTF-8");
    let written = text.lines().find(|line| line.contains("written here")).expect("exported");
    assert!(written.contains(&format!("hub:{room}:{:010}", sent.seq.0)), "{written}");
    assert!(written.contains(r#""reply_to":"t:"#), "{written}");
    let again = import(&world, &archive, 100).await.expect("an import");
    assert_eq!((again.messages, again.skipped), (0, 51));
    let elsewhere = World::new().await;
    import(&elsewhere, &archive, 100).await.expect("an import");
    assert_same(&export(&elsewhere).await, &archive, "what was written");
}

#[tokio::test]
async fn a_bad_line_ends_the_import_and_keeps_what_came_before() {
    let world = World::new().await;
    let archive = [quirky(10), b"{\"id\":1}\n".to_vec(), quirky(20)].concat();
    let refused = import(&world, &archive, 4).await.expect_err("a bad line");
    assert!(refused.starts_with("line 11: not a line of an archive"), "{refused}");
    assert_same(&export(&world).await, &quirky(10), "what came before");
}
