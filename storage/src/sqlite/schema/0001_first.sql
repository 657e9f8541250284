CREATE TABLE shard_fence (
    shard_id INTEGER PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    owner    INTEGER NOT NULL,
    head     INTEGER NOT NULL
);

CREATE TABLE message (
    room_id       INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    shard_id      INTEGER NOT NULL,
    shard_seq     INTEGER NOT NULL,
    sender        INTEGER NOT NULL,
    kind          INTEGER NOT NULL,
    client_msg_id BLOB,
    ts            INTEGER NOT NULL,
    target        INTEGER,
    body          BLOB NOT NULL,
    PRIMARY KEY (room_id, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX message_feed ON message (shard_id, shard_seq);
CREATE INDEX message_target ON message (room_id, target, seq) WHERE target IS NOT NULL;
-- Purges, pins and unpins: read whole for a room, and rare.
CREATE INDEX message_mark ON message (room_id, seq) WHERE kind IN (4, 7, 8);

CREATE TABLE user_account (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    display    TEXT NOT NULL,
    email      TEXT,
    avatar     TEXT,
    is_owner   INTEGER NOT NULL,
    disabled   INTEGER NOT NULL,
    imported   INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE TABLE user_password (
    user_id INTEGER PRIMARY KEY,
    hash    TEXT NOT NULL
);
CREATE TABLE session (
    id            INTEGER PRIMARY KEY,
    user_id       INTEGER NOT NULL,
    device        TEXT NOT NULL,
    refresh_hash  BLOB NOT NULL,
    previous_hash BLOB,
    previous_at   INTEGER,
    created_at    INTEGER NOT NULL,
    used_at       INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    ended_at      INTEGER
);
CREATE INDEX session_user ON session (user_id, id) WHERE ended_at IS NULL;
CREATE TABLE secret (
    name  TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
);

CREATE TABLE community (
    id                 INTEGER PRIMARY KEY,
    name               TEXT NOT NULL,
    description        TEXT NOT NULL,
    owner              INTEGER NOT NULL,
    public             INTEGER NOT NULL,
    member_permissions INTEGER NOT NULL,
    created_at         INTEGER NOT NULL
);
CREATE INDEX community_name ON community (name, id);
CREATE TABLE member (
    community_id      INTEGER NOT NULL,
    user_id           INTEGER NOT NULL,
    extra_permissions INTEGER NOT NULL,
    joined_at         INTEGER NOT NULL,
    PRIMARY KEY (community_id, user_id)
) WITHOUT ROWID;
CREATE INDEX member_user ON member (user_id, community_id);

CREATE TABLE room (
    id           INTEGER PRIMARY KEY,
    community_id INTEGER,
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    topic        TEXT NOT NULL,
    private      INTEGER NOT NULL,
    parent_room  INTEGER,
    parent_seq   INTEGER,
    category     TEXT,
    position     INTEGER NOT NULL,
    slow_mode_s  INTEGER NOT NULL,
    archived     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL
);
CREATE INDEX room_community ON room (community_id, position, id);
CREATE TABLE room_member (
    room_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;
CREATE INDEX room_member_user ON room_member (user_id, room_id);

CREATE TABLE invite (
    code         TEXT PRIMARY KEY,
    community_id INTEGER NOT NULL,
    made_by      INTEGER NOT NULL,
    max_uses     INTEGER,
    uses         INTEGER NOT NULL,
    expires_at   INTEGER,
    created_at   INTEGER NOT NULL
);
CREATE INDEX invite_community ON invite (community_id, created_at);

CREATE TABLE user_room (
    user_id  INTEGER NOT NULL,
    room_id  INTEGER NOT NULL,
    read_seq INTEGER NOT NULL,
    PRIMARY KEY (user_id, room_id)
) WITHOUT ROWID;
-- user_id 0 stands for everyone; no account has that id.
CREATE TABLE mention (
    user_id INTEGER NOT NULL,
    room_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (user_id, room_id, seq)
) WITHOUT ROWID;
CREATE TABLE resume_state (
    session  INTEGER PRIMARY KEY,
    user_id  INTEGER NOT NULL,
    state    BLOB NOT NULL,
    saved_at INTEGER NOT NULL
);
CREATE INDEX resume_state_age ON resume_state (saved_at);
CREATE TABLE imported (
    community_id INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    ext          TEXT NOT NULL,
    id           INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    PRIMARY KEY (community_id, kind, ext)
) WITHOUT ROWID;
CREATE INDEX imported_id ON imported (community_id, kind, id) WHERE kind <> 1;
