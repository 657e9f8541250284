//! Appends under the fence: one statement for a batch of many rooms and shards.
//!
//! The statement locks those fences that still stand as the batch says, in the order of the shards,
//! moves their heads, and inserts the events of these shards alone. A fence that another transaction
//! holds is waited for and looked at again, so that of two who append at one head one is refused.

use hubbub_protocol::{
    ids::{Epoch, Seq, ShardSeq},
    shard::ShardId,
};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{
    effects::gathered,
    facts::{self, TRIES_MAX, Within},
    failure::Stop,
    pool::Work,
};
use crate::{
    append::{AppendBatch, AppendOutcome, ShardAppend},
    effect::Effect,
    sql::{
        effects::mentioned,
        events::{body_of, refused},
    },
};

/// The statement, with what else is inserted for the shards of `f`.
macro_rules! append {
    ($more:literal) => {
        concat!(
            "WITH c AS (SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[]) \
             AS c(shard_id, epoch, old, new)), \
             l AS MATERIALIZED (SELECT s.shard_id, c.new FROM shard_fence s JOIN c USING (shard_id) \
             WHERE s.epoch = c.epoch AND s.head = c.old ORDER BY s.shard_id FOR UPDATE OF s), \
             f AS (UPDATE shard_fence s SET head = l.new FROM l WHERE s.shard_id = l.shard_id \
             RETURNING s.shard_id), \
             i AS (INSERT INTO message \
             (room_id, seq, shard_seq, sender, ts, target, shard_id, kind, client_msg_id, body) \
             SELECT m.room_id, m.seq, m.shard_seq, m.sender, m.ts, m.target, m.shard_id, m.kind, \
             m.client_msg_id, m.body FROM unnest($5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], \
             $9::bigint[], $10::bigint[], $11::int[], $12::smallint[], $13::uuid[], $14::bytea[]) \
             AS m(room_id, seq, shard_seq, sender, ts, target, shard_id, kind, client_msg_id, body) \
             JOIN f USING (shard_id))",
            $more,
            " SELECT shard_id FROM f"
        )
    };
}

const APPEND: &str = append!("");
const APPEND_WITH_MENTIONS: &str = append!(
    ", n AS (INSERT INTO mention (user_id, room_id, seq) SELECT x.user_id, x.room_id, x.seq \
     FROM unnest($15::int[], $16::bigint[], $17::bigint[], $18::bigint[]) AS x(shard_id, user_id, room_id, seq) \
     JOIN f USING (shard_id) ON CONFLICT DO NOTHING)"
);

/// Epoch and head of shards, in no order; shards without a row are left out.
const FENCES: &str = "SELECT shard_id, epoch, head FROM shard_fence WHERE shard_id = ANY($1)";

/// The same, and nobody's append is under way any more when it returns.
pub(super) const SETTLED_FENCES: &str =
    "SELECT shard_id, epoch, head FROM shard_fence WHERE shard_id = ANY($1) ORDER BY shard_id FOR SHARE";

/// A batch on its way: its events by column, and what else it changes.
pub(super) struct Append {
    parts: Vec<ShardAppend>,
    events: Events,
    mentions: Mentions,
}

#[derive(Default)]
struct Events {
    rooms: Vec<i64>,
    seqs: Vec<i64>,
    shard_seqs: Vec<i64>,
    senders: Vec<i64>,
    times: Vec<i64>,
    targets: Vec<Option<i64>>,
    shards: Vec<i32>,
    kinds: Vec<i16>,
    keys: Vec<Option<Uuid>>,
    bodies: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Mentions {
    shards: Vec<i32>,
    users: Vec<i64>,
    rooms: Vec<i64>,
    seqs: Vec<i64>,
}

impl Append {
    /// The events of `batch` by column. What is left of its parts are fences and effects.
    pub(super) fn of(batch: &AppendBatch) -> Self {
        let (mut events, mut mentions) = (Events::default(), Mentions::default());
        for part in &batch.shards {
            events.add(part);
            mentions.add(part);
        }
        Self { parts: batch.shards.clone(), events, mentions }
    }

    /// Whether the one statement says it all.
    pub(super) fn is_plain(&self) -> bool {
        let mut effects = self.parts.iter().flat_map(|part| &part.effects);
        effects.all(|effect| matches!(effect, Effect::AddMention { .. }))
    }

    async fn append(&self, connection: &mut PgConnection) -> Result<Vec<ShardId>, sqlx::Error> {
        let (events, mentions) = (&self.events, &self.mentions);
        let sql = if mentions.shards.is_empty() { APPEND } else { APPEND_WITH_MENTIONS };
        let column = |of: fn(&ShardAppend) -> i64| self.parts.iter().map(of).collect::<Vec<i64>>();
        let mut query = sqlx::query(sql)
            .bind(self.parts.iter().map(|part| shard_to_sql(part.shard)).collect::<Vec<i32>>())
            .bind(column(|part| part.epoch.to_sql()))
            .bind(column(|part| part.old_head.to_sql()))
            .bind(column(|part| part.new_head().to_sql()))
            .bind(&events.rooms)
            .bind(&events.seqs)
            .bind(&events.shard_seqs)
            .bind(&events.senders)
            .bind(&events.times)
            .bind(&events.targets)
            .bind(&events.shards)
            .bind(&events.kinds)
            .bind(&events.keys)
            .bind(&events.bodies);
        if !mentions.shards.is_empty() {
            query = query.bind(&mentions.shards).bind(&mentions.users).bind(&mentions.rooms).bind(&mentions.seqs);
        }
        let held = query.fetch_all(connection).await?;
        Ok(held.iter().map(|row| shard_from_sql(row.get(0))).collect())
    }

    async fn outcomes(
        &self,
        connection: &mut PgConnection,
        held: &[ShardId],
    ) -> Result<Vec<AppendOutcome>, sqlx::Error> {
        let lost: Vec<ShardId> =
            self.parts.iter().map(|part| part.shard).filter(|shard| !held.contains(shard)).collect();
        let fences = if lost.is_empty() { Vec::new() } else { fences(connection, FENCES, &lost).await? };
        let mut stands = lost.iter().zip(fences);
        let outcome = |part: &ShardAppend| {
            if held.contains(&part.shard) {
                return AppendOutcome::Committed;
            }
            refused(part, stands.next().map(|(_, fence)| fence).unwrap_or_default())
        };
        Ok(self.parts.iter().map(outcome).collect())
    }
}

impl Events {
    fn add(&mut self, part: &ShardAppend) {
        for event in &part.events {
            self.rooms.push(event.room.to_sql());
            self.seqs.push(event.seq.to_sql());
            self.shard_seqs.push(event.shard_seq.to_sql());
            self.senders.push(event.by.to_sql());
            self.times.push(event.ts.0);
            self.targets.push(event.target.map(Seq::to_sql));
            self.shards.push(shard_to_sql(part.shard));
            self.kinds.push(i16::from(event.kind as u8));
            self.keys.push(event.key.map(|key| key.0));
            self.bodies.push(body_of(&event.push));
        }
    }
}

impl Mentions {
    fn add(&mut self, part: &ShardAppend) {
        for effect in &part.effects {
            if let Effect::AddMention { user, room, seq } = effect {
                self.shards.push(shard_to_sql(part.shard));
                self.users.push(mentioned(*user));
                self.rooms.push(room.to_sql());
                self.seqs.push(seq.to_sql());
            }
        }
    }
}

/// The usual append: one statement that commits itself.
impl Work<Vec<AppendOutcome>> for Append {
    async fn run(self, connection: &mut PgConnection) -> Result<Vec<AppendOutcome>, Stop> {
        let mut tries = 1;
        let held = loop {
            match self.append(connection).await.map_err(Stop::from) {
                Err(stop) if stop.asks_again() && tries < TRIES_MAX => tries += 1,
                done => break done?,
            }
        };
        Ok(self.outcomes(connection, &held).await?)
    }
}

/// An append that changes facts: the statement, and those of the shards that are held, in one
/// transaction.
impl Within<Vec<AppendOutcome>> for Append {
    async fn run(&self, connection: &mut PgConnection) -> Result<Vec<AppendOutcome>, Stop> {
        let held = self.append(connection).await?;
        for part in self.parts.iter().filter(|part| held.contains(&part.shard)) {
            facts::run(connection, &gathered(&part.effects)).await?;
        }
        Ok(self.outcomes(connection, &held).await?)
    }
}

/// Reads fences by one of the statements above; in the order of `shards`, zeros for one without a row.
pub(super) async fn fences(
    connection: &mut PgConnection,
    sql: &'static str,
    shards: &[ShardId],
) -> Result<Vec<(Epoch, ShardSeq)>, sqlx::Error> {
    let wanted: Vec<i32> = shards.iter().map(|shard| shard_to_sql(*shard)).collect();
    let rows = sqlx::query(sql).bind(wanted).fetch_all(connection).await?;
    let fence = |row: &sqlx::postgres::PgRow| (Epoch::from_sql(row.get(1)), ShardSeq::from_sql(row.get(2)));
    let found = |shard: &ShardId| {
        rows.iter().find(|row| shard_from_sql(row.get(0)) == *shard).map(fence).unwrap_or_default()
    };
    Ok(shards.iter().map(found).collect())
}

/// Reads fences.
pub(super) struct Fences {
    pub(super) sql: &'static str,
    pub(super) shards: Vec<ShardId>,
}

impl Fences {
    pub(super) const fn of(shards: Vec<ShardId>) -> Self {
        Self { sql: FENCES, shards }
    }
}

impl Work<Vec<(Epoch, ShardSeq)>> for Fences {
    async fn run(self, connection: &mut PgConnection) -> Result<Vec<(Epoch, ShardSeq)>, Stop> {
        Ok(fences(connection, self.sql, &self.shards).await?)
    }
}

pub(super) fn shard_to_sql(shard: ShardId) -> i32 {
    shard.0.cast_signed()
}

pub(super) fn shard_from_sql(raw: i32) -> ShardId {
    ShardId(raw.cast_unsigned())
}
