//! Every table of the schema, and how its rows are read from either store and written to PostgreSQL.
//!
//! A test compares the list with both schemas, so a table or column that is added is moved, too.

use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use super::digest::Cell;
use crate::{postgres::stored_text, sql::columns::Columns};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Bytes,
    Key,
    Flag,
}

use Kind::{Bytes, Flag, Key, Number, Text};

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
    /// Whether its rows belong to rooms, named by the first column.
    pub(super) by_room: bool,
}

const fn table(name: &'static str, columns: &'static [(&'static str, Kind)]) -> Table {
    Table { name, columns, by_room: false }
}

/// All of them.
pub(super) const TABLES: &[Table] = &[
    table("shard_fence", &[("shard_id", Number), ("epoch", Number), ("owner", Number), ("head", Number)]),
    Table {
        name: "message",
        columns: &[
            ("room_id", Number),
            ("seq", Number),
            ("shard_id", Number),
            ("shard_seq", Number),
            ("sender", Number),
            ("kind", Number),
            ("client_msg_id", Key),
            ("ts", Number),
            ("target", Number),
            ("body", Bytes),
        ],
        by_room: true,
    },
    table("room_tally", &[("room_id", Number), ("seq", Number), ("messages", Number), ("last_ts", Number)]),
    table(
        "user_account",
        &[
            ("id", Number),
            ("name", Text),
            ("display", Text),
            ("email", Text),
            ("avatar", Text),
            ("is_owner", Flag),
            ("disabled", Flag),
            ("imported", Flag),
            ("created_at", Number),
        ],
    ),
    table("user_password", &[("user_id", Number), ("hash", Text)]),
    table(
        "session",
        &[
            ("id", Number),
            ("user_id", Number),
            ("device", Text),
            ("refresh_hash", Bytes),
            ("previous_hash", Bytes),
            ("previous_at", Number),
            ("created_at", Number),
            ("used_at", Number),
            ("expires_at", Number),
            ("ended_at", Number),
        ],
    ),
    table("secret", &[("name", Text), ("bytes", Bytes)]),
    table(
        "community",
        &[
            ("id", Number),
            ("name", Text),
            ("description", Text),
            ("owner", Number),
            ("public", Flag),
            ("member_permissions", Number),
            ("created_at", Number),
        ],
    ),
    table(
        "member",
        &[("community_id", Number), ("user_id", Number), ("extra_permissions", Number), ("joined_at", Number)],
    ),
    table(
        "room",
        &[
            ("id", Number),
            ("community_id", Number),
            ("kind", Text),
            ("name", Text),
            ("topic", Text),
            ("private", Flag),
            ("parent_room", Number),
            ("parent_seq", Number),
            ("category", Text),
            ("position", Number),
            ("slow_mode_s", Number),
            ("archived", Flag),
            ("created_at", Number),
        ],
    ),
    table("room_member", &[("room_id", Number), ("user_id", Number)]),
    table(
        "invite",
        &[
            ("code", Text),
            ("community_id", Number),
            ("made_by", Number),
            ("max_uses", Number),
            ("uses", Number),
            ("expires_at", Number),
            ("created_at", Number),
        ],
    ),
    table("user_room", &[("user_id", Number), ("room_id", Number), ("read_seq", Number)]),
    table("mention", &[("user_id", Number), ("room_id", Number), ("seq", Number)]),
    table("resume_state", &[("session", Number), ("user_id", Number), ("state", Bytes), ("saved_at", Number)]),
    table(
        "imported",
        &[("community_id", Number), ("kind", Number), ("ext", Text), ("id", Number), ("seq", Number)],
    ),
];

/// A row that tells its keys, too.
pub(super) trait Cells: Columns {
    fn key(&self, at: usize) -> Option<Uuid>;
}

impl Cells for SqliteRow {
    fn key(&self, at: usize) -> Option<Uuid> {
        self.maybe_bytes(at).and_then(|bytes| Uuid::from_slice(bytes).ok())
    }
}

impl Cells for PgRow {
    fn key(&self, at: usize) -> Option<Uuid> {
        self.get(at)
    }
}

impl Table {
    /// Reads all rows. Numbers are widened, which only one of the two needs.
    pub(super) fn select(&self) -> String {
        let column = |(name, kind): &(&str, Kind)| match kind {
            Number => format!("CAST({name} AS bigint)"),
            _ => (*name).to_owned(),
        };
        let columns = self.columns.iter().map(column).collect::<Vec<_>>().join(", ");
        format!("SELECT {columns} FROM {}", self.name)
    }

    /// The values of a row that [`Table::select`] gave.
    pub(super) fn cells(&self, row: &impl Cells) -> Vec<Cell> {
        let cell = |(at, (_, kind)): (usize, &(&str, Kind))| match kind {
            Number => Cell::Number(row.maybe_number(at)),
            Text => Cell::Text(row.maybe_text(at)),
            Bytes => Cell::Bytes(row.maybe_bytes(at).map(<[u8]>::to_vec)),
            Key => Cell::Key(row.key(at)),
            Flag => Cell::Flag(row.flag(at)),
        };
        self.columns.iter().enumerate().map(cell).collect()
    }

    fn insert(&self) -> String {
        let names = self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let list = |(at, (_, kind)): (usize, &(&str, Kind))| {
            let kind = match kind {
                Number => "bigint",
                Text => "text",
                Bytes => "bytea",
                Key => "uuid",
                Flag => "boolean",
            };
            format!("${}::{kind}[]", at + 1)
        };
        let lists = self.columns.iter().enumerate().map(list).collect::<Vec<_>>().join(", ");
        format!("INSERT INTO {} ({names}) SELECT * FROM unnest({lists})", self.name)
    }
}

/// Rows to be written by one statement.
pub(super) struct Batch<'a> {
    table: &'a Table,
    cells: Vec<Vec<Cell>>,
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// The values of one column, of which the matching ones are kept.
macro_rules! column {
    ($cells:expr, $variant:ident) => {
        $cells
            .into_iter()
            .filter_map(|cell| if let Cell::$variant(value) = cell { Some(value) } else { None })
            .collect::<Vec<_>>()
    };
}

impl<'a> Batch<'a> {
    pub(super) fn of(table: &'a Table) -> Self {
        Self { table, cells: table.columns.iter().map(|_| Vec::new()).collect(), rows: 0, bytes: 0 }
    }

    pub(super) fn push(&mut self, row: Vec<Cell>) {
        self.rows += 1;
        for (column, cell) in self.cells.iter_mut().zip(row) {
            self.bytes += cell.bytes();
            column.push(cell);
        }
    }

    pub(super) async fn insert(self, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut query = sqlx::query(AssertSqlSafe(self.table.insert()));
        for ((_, kind), cells) in self.table.columns.iter().zip(self.cells) {
            query = match kind {
                Number => query.bind(column!(cells, Number)),
                Bytes => query.bind(column!(cells, Bytes)),
                Key => query.bind(column!(cells, Key)),
                Flag => query.bind(column!(cells, Flag)),
                Text => {
                    let texts = column!(cells, Text).into_iter();
                    query.bind(
                        texts.map(|text| text.map(|text| stored_text(&text).into_owned())).collect::<Vec<_>>(),
                    )
                }
            };
        }
        query.execute(into).await.map(drop)
    }
}
