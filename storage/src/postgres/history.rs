//! Reads of the log. A page, with every later event about its messages, is one statement.
//!
//! Each statement names the room, so that one partition of the table is looked at; the feed of a shard
//! alone looks at all, by an index each.

use hubbub_protocol::{
    ids::{MessageKey, RoomId, Seq, ShardSeq, UserId},
    message::MessageState,
    shard::ShardId,
    time::Timestamp,
};

use super::{PostgresStore, append::shard_to_sql};
use crate::{
    error::StoreError,
    log::{MessagePage, RecentKey, StoredEvent, Window},
    sql::{
        Database,
        columns::Columns,
        events::{self, stored},
        limit_of,
        statement::{Statement, Value},
    },
};

/// What every read of events selects, in the order in which [`stored`] takes it.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT room_id, seq, shard_seq, kind::bigint, sender, ts, body FROM message ", $rest)
    };
}

/// The seq of the room's first event at `$2` or later, as `start`, by bisection: seqs are dense from 1
/// and times never go back.
macro_rules! from_first_at {
    ($rest:literal) => {
        concat!(
            "WITH RECURSIVE bisect(low, high) AS (SELECT 1::bigint, coalesce((SELECT seq FROM message \
             WHERE room_id = $1 ORDER BY seq DESC LIMIT 1), 0) + 1 \
             UNION ALL SELECT CASE WHEN m.ts < $2 THEN m.seq + 1 ELSE low END, \
             CASE WHEN m.ts < $2 THEN high ELSE m.seq END FROM bisect CROSS JOIN LATERAL \
             (SELECT seq, ts FROM message WHERE room_id = $1 AND seq = low + (high - low) / 2) AS m \
             WHERE low < high) \
             SELECT sender, uuid_send(client_msg_id), seq, ts FROM message \
             WHERE room_id = $1 AND seq >= (SELECT low FROM bisect WHERE low >= high) AND ",
            $rest
        )
    };
}

/// `$page` and, after it, every later event about its messages; the last column tells them apart.
macro_rules! with_later {
    ($page:literal, $more:literal) => {
        concat!(
            "WITH ",
            $page,
            " SELECT room_id, seq, shard_seq, kind, sender, ts, body, 0::bigint AS part FROM page UNION ALL \
             SELECT room_id, seq, shard_seq, kind::bigint, sender, ts, body, 1::bigint FROM message \
             WHERE room_id = $1 AND target IN (SELECT seq FROM page) AND seq > target UNION ALL \
             SELECT room_id, seq, shard_seq, kind::bigint, sender, ts, body, 1::bigint FROM message \
             WHERE room_id = $1 AND kind = 4",
            $more
        )
    };
}

const EVENTS: &str = select!("WHERE room_id = $1 AND seq > $2 ORDER BY seq LIMIT $3");
const FEED: &str = select!("WHERE shard_id = $1 AND shard_seq > $2 ORDER BY shard_seq LIMIT $3");
const CREATED: &str = select!("WHERE room_id = $1 AND seq = $2 AND kind = 1");
const EDITS: &str =
    select!("WHERE room_id = $1 AND target = $2 AND seq > target AND kind = 2 ORDER BY seq LIMIT $3");
/// Pins and unpins. Purges are left in, so that the partial index says the same.
const MARKS: &str = select!("WHERE room_id = $1 AND kind IN (4, 7, 8) ORDER BY seq");
const HEAD: &str = "SELECT coalesce((SELECT seq FROM message WHERE room_id = $1 ORDER BY seq DESC LIMIT 1), 0)";
const HEADS: &str = "SELECT coalesce((SELECT seq FROM message WHERE room_id = wanted.value ORDER BY seq DESC LIMIT 1), 0) \
                     FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted(value, at) ORDER BY wanted.at";
const RECENT_KEYS: &str = from_first_at!("client_msg_id IS NOT NULL ORDER BY seq DESC LIMIT $3");
const FIND_KEY: &str = from_first_at!("sender = $3 AND client_msg_id = $4::uuid LIMIT 1");
const AT: &str = with_later!(
    "page AS MATERIALIZED (SELECT room_id, seq, shard_seq, kind::bigint AS kind, sender, ts, body FROM message \
     WHERE room_id = $1 AND kind = 1 AND seq = ANY($2::bigint[]))",
    ""
);
const PAGE: &str = with_later!(
    "older AS (SELECT room_id, seq, shard_seq, kind::bigint AS kind, sender, ts, body FROM message \
     WHERE room_id = $1 AND kind = 1 AND seq < $2 ORDER BY seq DESC LIMIT $3), \
     newer AS (SELECT room_id, seq, shard_seq, kind::bigint AS kind, sender, ts, body FROM message \
     WHERE room_id = $1 AND kind = 1 AND seq >= $4 ORDER BY seq \
     LIMIT greatest($5 - (SELECT count(*) FROM older), 0)), \
     page AS MATERIALIZED (SELECT * FROM older UNION ALL SELECT * FROM newer)",
    " UNION ALL SELECT $1, CASE WHEN EXISTS (SELECT 1 FROM message WHERE room_id = $1 AND kind = 1 \
     AND seq < coalesce((SELECT min(seq) FROM page), $6)) THEN 1 ELSE 0 END, \
     CASE WHEN EXISTS (SELECT 1 FROM message WHERE room_id = $1 AND kind = 1 \
     AND seq > coalesce((SELECT max(seq) FROM page), $7)) THEN 1 ELSE 0 END, 0, 0, 0, ''::bytea, 2::bigint"
);

/// Where a page is looked for: at most `.1` before `.0`, and from `.2` on as many as make up `.3`; and
/// what stands for its first and last seq when it is empty.
fn bounds(window: Window, limit: i64) -> [i64; 6] {
    const END: i64 = i64::MAX;
    match window {
        Window::Newest => [END, limit, END, 0, END, END],
        Window::Before(seq) => {
            let seq = seq.to_sql();
            [seq, limit, END, 0, seq, seq.saturating_sub(1)]
        }
        Window::After(seq) => {
            let seq = seq.to_sql();
            [0, 0, seq.saturating_add(1), limit, seq.saturating_add(1), seq]
        }
        Window::Around(seq) => {
            let seq = seq.to_sql();
            [seq, limit / 2, seq, limit, seq, seq]
        }
    }
}

/// What a read of messages gave, by what its last column says.
#[derive(Default)]
struct Parts {
    created: Vec<StoredEvent>,
    later: Vec<StoredEvent>,
    more: (bool, bool),
}

impl Parts {
    fn of(rows: &[impl Columns]) -> Result<Self, StoreError> {
        let mut parts = Self::default();
        for row in rows {
            match row.number(7) {
                0 => parts.created.push(stored(row)?),
                1 => parts.later.push(stored(row)?),
                _ => parts.more = (row.number(1) != 0, row.number(2) != 0),
            }
        }
        parts.created.sort_unstable_by_key(|event| event.seq);
        Ok(parts)
    }

    fn messages(self) -> Result<Vec<MessageState>, StoreError> {
        events::folded(events::begun(&self.created)?, self.later)
    }
}

impl PostgresStore {
    async fn events_by(&self, what: &'static str, statement: Statement) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(what, statement).await?.iter().map(stored).collect()
    }

    pub(super) async fn read_events(
        &self,
        room: RoomId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let page = Statement::of(EVENTS).bind(room.to_sql()).bind(after.to_sql()).bind(limit_of(limit));
        self.events_by("events", page).await
    }

    pub(super) async fn read_feed(
        &self,
        shard: ShardId,
        after: ShardSeq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let page = Statement::of(FEED).bind(i64::from(shard_to_sql(shard))).bind(after.to_sql());
        self.events_by("the feed of a shard", page.bind(limit_of(limit))).await
    }

    pub(super) async fn read_edits(
        &self,
        room: RoomId,
        seq: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let created = Statement::of(CREATED).bind(room.to_sql()).bind(seq.to_sql());
        let mut edits = self.events_by("edits", created).await?;
        if !edits.is_empty() {
            let later = Statement::of(EDITS).bind(room.to_sql()).bind(seq.to_sql()).bind(limit_of(limit));
            edits.extend(self.events_by("edits", later).await?);
        }
        edits.truncate(limit);
        Ok(edits)
    }

    pub(super) async fn read_pins(&self, room: RoomId) -> Result<Vec<Seq>, StoreError> {
        let marks = self.events_by("pins", Statement::of(MARKS).bind(room.to_sql())).await?;
        let pins = events::pinned(&marks)?;
        // A deleted message is no longer pinned.
        let standing = self.read_messages_at(room, &pins).await?;
        let stands = |pin: &Seq| standing.iter().any(|message| message.seq == *pin && message.pinned);
        Ok(pins.into_iter().filter(stands).collect())
    }

    /// The messages at `seqs`, in seq order; where there is none, none.
    pub(super) async fn read_messages_at(
        &self,
        room: RoomId,
        seqs: &[Seq],
    ) -> Result<Vec<MessageState>, StoreError> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let seqs = Value::Numbers(seqs.iter().map(|seq| seq.to_sql()).collect());
        let rows = self.read("messages", Statement::of(AT).bind(room.to_sql()).bind(seqs)).await?;
        Parts::of(&rows)?.messages()
    }

    pub(super) async fn read_recent_keys(
        &self,
        room: RoomId,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<RecentKey>, StoreError> {
        let keys = Statement::of(RECENT_KEYS).bind(room.to_sql()).bind(since.0).bind(limit_of(limit));
        Ok(self.read("keys", keys).await?.iter().filter_map(recent).collect())
    }

    pub(super) async fn search_key(
        &self,
        room: RoomId,
        by: UserId,
        key: MessageKey,
        since: Timestamp,
    ) -> Result<Option<RecentKey>, StoreError> {
        let search = Statement::of(FIND_KEY).bind(room.to_sql()).bind(since.0).bind(by.to_sql());
        let found = self.read("a key", search.bind(key.0.to_string().as_str())).await?;
        Ok(found.first().and_then(recent))
    }

    pub(super) async fn read_heads(&self, rooms: &[RoomId]) -> Result<Vec<Seq>, StoreError> {
        let one = |room: &RoomId| Statement::of(HEAD).bind(room.to_sql());
        let many = || Statement::of(HEADS).bind(rooms.iter().map(|room| room.to_sql()).collect::<Vec<i64>>());
        let statement = match rooms {
            [] => return Ok(Vec::new()),
            // It opens one partition; the other, all of them.
            [room] => one(room),
            _ => many(),
        };
        let rows = self.read("heads", statement).await?;
        Ok(rows.iter().map(|row| Seq::from_sql(row.number(0))).collect())
    }
}

/// The statement for a page of messages.
pub(super) fn page(room: RoomId, window: Window, limit: usize) -> Statement {
    let page = Statement::of(PAGE).bind(room.to_sql());
    bounds(window, limit_of(limit)).into_iter().fold(page, Statement::bind)
}

/// The page in the rows of [`page`].
pub(super) fn page_of(rows: &[impl Columns]) -> Result<MessagePage, StoreError> {
    let parts = Parts::of(rows)?;
    let (more_before, more_after) = parts.more;
    Ok(MessagePage { messages: parts.messages()?, more_before, more_after })
}

fn recent(row: &impl Columns) -> Option<RecentKey> {
    events::recent(row.number(0), row.bytes(1), row.number(2), row.number(3))
}
