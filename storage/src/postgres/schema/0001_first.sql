-- Texts compare and fold by their bytes, as in the embedded store, whatever the database's locale.

-- Each append updates one row of this table: half of a page is kept free, so that the new version
-- lies beside the old one and no index is touched.
CREATE TABLE shard_fence (
    shard_id integer PRIMARY KEY,
    epoch    bigint NOT NULL,
    owner    bigint NOT NULL,
    head     bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE message (
    room_id       bigint NOT NULL,
    seq           bigint NOT NULL,
    shard_seq     bigint NOT NULL,
    sender        bigint NOT NULL,
    ts            bigint NOT NULL,
    target        bigint,
    shard_id      integer NOT NULL,
    kind          smallint NOT NULL,
    client_msg_id uuid,
    body          bytea NOT NULL,
    PRIMARY KEY (room_id, seq)
) PARTITION BY HASH (room_id);
CREATE INDEX message_feed ON message (shard_id, shard_seq);
CREATE INDEX message_target ON message (room_id, target, seq) WHERE target IS NOT NULL;
-- Purges, pins and unpins: read whole for a room, and rare.
CREATE INDEX message_mark ON message (room_id, seq) WHERE kind IN (4, 7, 8);
DO $$
BEGIN
    FOR part IN 0..63 LOOP
        EXECUTE format(
            'CREATE TABLE message_%s PARTITION OF message FOR VALUES WITH (MODULUS 64, REMAINDER %s)',
            lpad(part::text, 2, '0'), part);
    END LOOP;
END $$;

-- How many messages a room had up to a seq, so that a count goes on from there. Any row may be missing.
CREATE TABLE room_tally (
    room_id  bigint PRIMARY KEY,
    seq      bigint NOT NULL,
    messages bigint NOT NULL,
    last_ts  bigint
);

CREATE TABLE user_account (
    id         bigint PRIMARY KEY,
    name       text COLLATE "C" NOT NULL UNIQUE,
    display    text COLLATE "C" NOT NULL,
    email      text COLLATE "C",
    avatar     text COLLATE "C",
    is_owner   boolean NOT NULL,
    disabled   boolean NOT NULL,
    imported   boolean NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE user_password (
    user_id bigint PRIMARY KEY,
    hash    text COLLATE "C" NOT NULL
);
CREATE TABLE session (
    id            bigint PRIMARY KEY,
    user_id       bigint NOT NULL,
    device        text COLLATE "C" NOT NULL,
    refresh_hash  bytea NOT NULL,
    previous_hash bytea,
    previous_at   bigint,
    created_at    bigint NOT NULL,
    used_at       bigint NOT NULL,
    expires_at    bigint NOT NULL,
    ended_at      bigint
);
CREATE INDEX session_open ON session (user_id, id) WHERE ended_at IS NULL;
CREATE TABLE secret (
    name  text COLLATE "C" PRIMARY KEY,
    bytes bytea NOT NULL
);

CREATE TABLE community (
    id                 bigint PRIMARY KEY,
    name               text COLLATE "C" NOT NULL,
    description        text COLLATE "C" NOT NULL,
    owner              bigint NOT NULL,
    public             boolean NOT NULL,
    member_permissions bigint NOT NULL,
    created_at         bigint NOT NULL
);
CREATE INDEX community_name ON community (name, id);
CREATE TABLE member (
    community_id      bigint NOT NULL,
    user_id           bigint NOT NULL,
    extra_permissions bigint NOT NULL,
    joined_at         bigint NOT NULL,
    PRIMARY KEY (community_id, user_id)
);
CREATE INDEX member_user ON member (user_id, community_id);

CREATE TABLE room (
    id           bigint PRIMARY KEY,
    community_id bigint,
    kind         text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    topic        text COLLATE "C" NOT NULL,
    private      boolean NOT NULL,
    parent_room  bigint,
    parent_seq   bigint,
    category     text COLLATE "C",
    position     bigint NOT NULL,
    slow_mode_s  bigint NOT NULL,
    archived     boolean NOT NULL,
    created_at   bigint NOT NULL
);
CREATE INDEX room_community ON room (community_id, position, id);
CREATE TABLE room_member (
    room_id bigint NOT NULL,
    user_id bigint NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX room_member_user ON room_member (user_id, room_id);

CREATE TABLE invite (
    code         text COLLATE "C" PRIMARY KEY,
    community_id bigint NOT NULL,
    made_by      bigint NOT NULL,
    max_uses     bigint,
    uses         bigint NOT NULL,
    expires_at   bigint,
    created_at   bigint NOT NULL
);
CREATE INDEX invite_community ON invite (community_id, created_at);

CREATE TABLE user_room (
    user_id  bigint NOT NULL,
    room_id  bigint NOT NULL,
    read_seq bigint NOT NULL,
    PRIMARY KEY (user_id, room_id)
) WITH (fillfactor = 80);
-- user_id 0 stands for everyone; no account has that id.
CREATE TABLE mention (
    user_id bigint NOT NULL,
    room_id bigint NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (user_id, room_id, seq)
);
CREATE TABLE resume_state (
    session  bigint PRIMARY KEY,
    user_id  bigint NOT NULL,
    state    bytea NOT NULL,
    saved_at bigint NOT NULL
);
CREATE INDEX resume_state_age ON resume_state (saved_at);
CREATE TABLE imported (
    community_id bigint NOT NULL,
    kind         bigint NOT NULL,
    ext          text COLLATE "C" NOT NULL,
    id           bigint NOT NULL,
    seq          bigint NOT NULL,
    PRIMARY KEY (community_id, kind, ext)
);
CREATE INDEX imported_id ON imported (community_id, kind, id) WHERE kind <> 1;
