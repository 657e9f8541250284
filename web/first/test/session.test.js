/** Rooms and the session, with a connection that the test plays. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal } from "../js/api.js";
import { grouped, isUnread, mentionCount, newRoster, reduceRoster, withRooms } from "../js/rooms.js";
import { newKey, startSession } from "../js/session.js";

const identified = {
    session: "S", user: { id: "me", name: "ana" }, communities: [{ id: "C", name: "Rivermouth" }],
    rooms: [{ room: "R", community: "C", kind: "text", name: "general", head: 2, read: 1, mentions: 0, mode: "live" }, { room: "Q", community: "C", kind: "text", name: "other", head: 5, read: 5, mentions: 0 }],
};

test("a room is unread until its marker reaches its head, and markers never go back", () => {
    const roster = newRoster(identified);
    assert.ok(isUnread(roster.rooms.get("R")));
    const read = reduceRoster(roster, { ev: "read", room: "R", seq: 2 });
    assert.ok(!isUnread(read.rooms.get("R")));
    assert.equal(reduceRoster(read, { ev: "read", room: "R", seq: 1 }), read);
    const again = reduceRoster(read, { ev: "unread", room: "R", head: 3, mentions: 2 });
    assert.deepEqual([isUnread(again.rooms.get("R")), mentionCount(again)], [true, 2]);
});

test("a community that is left takes its rooms along, one that is joined brings its own", () => {
    const left = reduceRoster(newRoster(identified), { ev: "community", community: "C", removed: true });
    assert.deepEqual([left.rooms.size, grouped(left)], [0, []]);
    const joined = withRooms(left, { id: "D", name: "Delta" }, [{ id: "X", kind: "text", name: "general", head: 4 }]);
    assert.deepEqual(grouped(joined).map((it) => [it.name, it.rooms.length, isUnread(it.rooms[0])]), [["Delta", 1, false]]);
});

test("keys are UUIDs of version 7 that sort by time", () => {
    const [a, b] = [newKey(1_700_000_000_000), newKey(1_700_000_000_001)];
    assert.match(a, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.ok(a < b);
    assert.equal(Number.parseInt(a.replaceAll("-", "").slice(0, 12), 16), 1_700_000_000_000);
});

/** A session whose connection answers from `answers` by op and notes what it was asked. */
function world(answers = {}, log = []) {
    const asked = [];
    const it = { asked, sent: (op) => asked.filter((ask) => ask.op === op) };
    it.session = startSession({
        url: "", changed() {}, ended() {}, now: () => 1_700_000_000_000,
        api: { token: async () => "T", tokenLeftMs: () => 0, call: async (_, path) => (it.called = path, { items: log.filter((push) => push.seq > Number(/after=(\d+)/.exec(path)?.[1] ?? 0)) }) },
        connect({ on, cursors }) {
            Object.assign(it, { on, cursors });
            return {
                isReady: () => true, wake() {}, close() {},
                request: async (op, fields) => {
                    asked.push({ op, ...fields });
                    const answer = answers[op]?.(fields) ?? {};
                    if (answer instanceof Error) throw answer;
                    return answer;
                },
            };
        },
    });
    it.settle = () => new Promise((resolve) => setTimeout(resolve, 5));
    it.begin = async () => {
        await it.on.ready(identified, false);
        await it.session.open("R");
        await it.settle();
    };
    it.seqs = () => it.session.feed().messages.map((message) => message.seq);
    return it;
}
const message = (seq) => ({ room: "R", seq, key: `k${seq}`, by: "bob", ts: "2026-01-01T00:00:00.000Z", text: `m${seq}`, reactions: [], deleted: false });
const created = (seq) => ({ ev: "room", room: "R", seq, ts: "2026-01-01T00:00:00.000Z", type: "message.created", by: "bob", key: `k${seq}`, data: { text: `m${seq}` } });
const opened = { subscribe: () => ({ head: 2, read: 1, permissions: "11" }), history: () => ({ messages: [message(1), message(2)], more_before: false, more_after: false, head: 2 }) };

test("opening a room goes live, reads its newest page and keeps a cursor", async () => {
    const it = world(opened);
    await it.begin();
    assert.deepEqual(it.seqs(), [1, 2]);
    assert.deepEqual(it.cursors(), { R: 2 });
    assert.ok(it.sent("subscribe").some((ask) => ask.room === "Q" && ask.mode === "unread"));
    assert.deepEqual([0, 1, 2].map(it.session.can), [true, true, false]);
});

test("a hole in the live events is filled from the room's log", async () => {
    const it = world(opened, [3, 4, 5].map(created));
    await it.begin();
    it.on.push(created(5));
    await it.settle();
    assert.deepEqual(it.seqs(), [1, 2, 3, 4, 5]);
    assert.match(it.called, /after=2/);
});

test("a room whose log will not do is read anew", async () => {
    const it = world({ ...opened, history: () => ({ messages: it.sent("history").length > 1 ? [message(9)] : [message(1), message(2)], more_before: true, head: it.sent("history").length > 1 ? 9 : 2 }) });
    await it.begin();
    it.on.push({ ev: "gap", room: "R", from: 3, to: 9 });
    await it.settle();
    assert.deepEqual(it.seqs(), [9]);
});

test("a message written while the connection is away goes out again with its key, marked as a retry", async () => {
    let away = true;
    const it = world({ ...opened, send: () => (away ? new Refusal({ code: "disconnected", retryable: true }) : { seq: 3, ts: "" }) });
    await it.begin();
    await it.session.send("hi", 2);
    assert.ok(it.session.feed().outgoing[0].waiting);
    away = false;
    await it.on.ready({ rooms: { R: { head: 2, replay: 0 } } }, true);
    const [first, second] = it.sent("send");
    assert.deepEqual([second.key, second.retry, second.text, second.reply_to], [first.key, true, "hi", 2]);
    assert.equal(first.retry, undefined);
    it.on.push({ ...created(3), key: first.key });
    assert.deepEqual([it.session.feed().outgoing.length, it.seqs()], [0, [1, 2, 3]]);
});

test("a refused message says why and is tried again only when asked", async () => {
    const it = world({ ...opened, send: () => new Refusal({ code: "slow_mode", message: "Wait.", retryable: true }) });
    await it.begin();
    await it.session.send("hi");
    const [row] = it.session.feed().outgoing;
    assert.equal(row.refusal.code, "slow_mode");
    await it.session.retry(row.key);
    assert.deepEqual(it.sent("send").map((ask) => [ask.key === row.key, ask.retry]), [[true, undefined], [true, true]]);
});

test("after a resume that could not replay, the open room is read anew", async () => {
    const it = world(opened);
    await it.begin();
    await it.on.ready({ rooms: { R: { head: 5_000, gap: true }, Q: { head: 8, replay: 0 } } }, true);
    assert.equal(it.sent("history").length, 2);
    assert.ok(isUnread(it.session.state.roster.rooms.get("Q")));
});

test("a removed member's room leaves the list", async () => {
    const it = world(opened);
    await it.begin();
    it.on.push({ ev: "room", room: "Q", seq: 6, ts: "", type: "member.removed", by: "x", data: { user: "me" } });
    assert.ok(!it.session.state.roster.rooms.has("Q"));
});
