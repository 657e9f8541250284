//! Effects that come in great numbers, gathered: read markers, mentions and names of archives take one
//! statement however many there are, where one each would cost a round trip each.
//!
//! No other effect touches their tables, so they may be applied after all others.

use std::collections::HashMap;

use hubbub_protocol::ids::{CommunityId, RoomId, Seq, UserId};

use crate::{
    effect::{Effect, ImportKind},
    sql::{effects, statement::Statement},
};

const MARKERS: &str = "INSERT INTO user_room (user_id, room_id, read_seq) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) ORDER BY 1, 2 \
     ON CONFLICT (user_id, room_id) DO UPDATE SET read_seq = excluded.read_seq \
     WHERE excluded.read_seq > user_room.read_seq";
const MENTIONS: &str = "INSERT INTO mention (user_id, room_id, seq) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING";
const IMPORTED: &str = "INSERT INTO imported (community_id, kind, ext, id, seq) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[]) ORDER BY 1, 2, 3 \
     ON CONFLICT (community_id, kind, ext) DO UPDATE SET id = excluded.id, seq = excluded.seq";

#[derive(Default)]
struct Gathered<'a> {
    markers: HashMap<(UserId, RoomId), Seq>,
    mentions: Vec<(i64, RoomId, Seq)>,
    imported: HashMap<(CommunityId, ImportKind, &'a str), (u64, Seq)>,
}

/// The statements for effects, to be carried out in order within one transaction.
pub(super) fn gathered(effects: &[Effect]) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut gathered = Gathered::default();
    for effect in effects {
        match effect {
            Effect::PutMarker { user, room, seq } => {
                let newest = gathered.markers.entry((*user, *room)).or_default();
                *newest = (*newest).max(*seq);
            }
            Effect::AddMention { user, room, seq } => {
                gathered.mentions.push((effects::mentioned(*user), *room, *seq));
            }
            Effect::PutImported { community, kind, ext, id, seq } => {
                gathered.imported.insert((*community, *kind, ext.as_str()), (*id, *seq));
            }
            other => statements.extend(effects::statements(other)),
        }
    }
    statements.extend(gathered.statements());
    statements
}

impl Gathered<'_> {
    fn statements(self) -> impl Iterator<Item = Statement> {
        let markers = (!self.markers.is_empty()).then(|| {
            let column = |of: fn((UserId, RoomId), Seq) -> i64| -> Vec<i64> {
                self.markers.iter().map(|(place, seq)| of(*place, *seq)).collect()
            };
            let statement = Statement::of(MARKERS).bind(column(|(user, _), _| user.to_sql()));
            statement.bind(column(|(_, room), _| room.to_sql())).bind(column(|_, seq| seq.to_sql()))
        });
        let mentions = (!self.mentions.is_empty()).then(|| {
            let column =
                |of: fn(&(i64, RoomId, Seq)) -> i64| -> Vec<i64> { self.mentions.iter().map(of).collect() };
            let statement = Statement::of(MENTIONS).bind(column(|mention| mention.0));
            statement.bind(column(|mention| mention.1.to_sql())).bind(column(|mention| mention.2.to_sql()))
        });
        let imported = (!self.imported.is_empty()).then(|| {
            let names: Vec<String> = self.imported.keys().map(|(_, _, ext)| (*ext).to_owned()).collect();
            let communities: Vec<i64> = self.imported.keys().map(|(community, ..)| community.to_sql()).collect();
            let kinds: Vec<i64> = self.imported.keys().map(|(_, kind, _)| i64::from(*kind as u8)).collect();
            let ids: Vec<i64> = self.imported.values().map(|(id, _)| id.cast_signed()).collect();
            let seqs: Vec<i64> = self.imported.values().map(|(_, seq)| seq.to_sql()).collect();
            let statement = Statement::of(IMPORTED).bind(communities).bind(kinds).bind(names.as_slice());
            statement.bind(ids).bind(seqs)
        });
        [markers, mentions, imported].into_iter().flatten()
    }
}
