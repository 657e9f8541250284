-- Appends events under their fences in one statement: every row moves its shard's head by one, and a
-- row whose fence is not as it says ends the statement, which then has written nothing.
CREATE VIEW append (
    epoch, room_id, seq, shard_id, shard_seq, sender, kind, client_msg_id, ts, target, body
) AS SELECT 0, room_id, seq, shard_id, shard_seq, sender, kind, client_msg_id, ts, target, body FROM message;
CREATE TRIGGER append_row INSTEAD OF INSERT ON append BEGIN
    UPDATE shard_fence SET head = NEW.shard_seq
        WHERE shard_id = NEW.shard_id AND epoch = NEW.epoch AND head = NEW.shard_seq - 1;
    SELECT RAISE(ABORT, 'fenced') WHERE changes() = 0;
    INSERT INTO message (room_id, seq, shard_id, shard_seq, sender, kind, client_msg_id, ts, target, body)
        VALUES (NEW.room_id, NEW.seq, NEW.shard_id, NEW.shard_seq, NEW.sender, NEW.kind, NEW.client_msg_id,
                NEW.ts, NEW.target, NEW.body);
END;
