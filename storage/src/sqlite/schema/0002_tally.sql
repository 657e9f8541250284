-- How many messages a room had up to a seq, so that a count goes on from there. Any row may be missing.
CREATE TABLE room_tally (
    room_id  INTEGER PRIMARY KEY,
    seq      INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    last_ts  INTEGER
);
