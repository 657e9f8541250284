/** The feed's promises, on values. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MESSAGES_FOLLOWED, newFeed, oldestSeq, reduceFeed } from "../js/feed.js";

const created = (seq, text = `m${seq}`, more = {}) =>
    ({ ev: "room", room: "R", seq, ts: `2026-01-01T00:00:0${seq % 10}.000Z`, type: "message.created", by: "ana", key: `k${seq}`, data: { text }, ...more });
const about = (seq, type, data, by = "ana") => ({ ev: "room", room: "R", seq, ts: "2026-01-01T01:00:00.000Z", type, by, data });
const message = (seq, more = {}) => ({ room: "R", seq, key: `k${seq}`, by: "ana", ts: "2026-01-01T00:00:00.000Z", text: `m${seq}`, reactions: [], deleted: false, ...more });
const page = (head, messages, more_before = false) => ({ type: "page", page: { messages, more_before, more_after: false, head } });
const event = (push) => ({ type: "event", push });
const run = (...events) => events.reduce(reduceFeed, newFeed("me"));
const seqs = (feed) => feed.messages.map((it) => it.seq);

test("a repeat of an event changes nothing", () => {
    const once = run(page(1, [message(1)]), event(created(2)));
    assert.equal(reduceFeed(once, event(created(2))), once);
    assert.deepEqual(seqs(once), [1, 2]);
});

test("events that come before the page wait for it, and those in it count once", () => {
    const reacted = about(3, "reaction.added", { target: 1, emoji: "👍" }, "bob");
    const feed = run(event(reacted), event(created(4)), page(3, [message(1, { reactions: [{ emoji: "👍", count: 1, me: false }] })]));
    assert.deepEqual(seqs(feed), [1, 4]);
    assert.deepEqual(feed.messages[0].reactions, [{ emoji: "👍", count: 1, me: false }]);
    assert.equal(feed.applied, 4);
});

test("what follows a hole is held back until the hole is filled", () => {
    const holed = run(page(1, [message(1)]), event(created(4)), event(created(5)));
    assert.deepEqual(seqs(holed), [1]);
    assert.deepEqual(holed.missing, { from: 2, to: 4 });
});

test("a filled hole brings everything in order", () => {
    const feed = run(page(1, [message(1)]), event(created(4)), event(created(2)), event(created(3)));
    assert.deepEqual(seqs(feed), [1, 2, 3, 4]);
    assert.equal(feed.missing, null);
    assert.equal(feed.held.length, 0);
});

test("a gap that the server names is missing until events reach its end", () => {
    const gap = run(page(1, [message(1)]), { type: "gap", from: 2, to: 3 });
    assert.deepEqual(gap.missing, { from: 2, to: 3 });
    const healed = [event(created(2)), event(created(3))].reduce(reduceFeed, gap);
    assert.equal(healed.missing, null);
});

test("edits, deletions, purges, pins and threads change the message they are about", () => {
    const feed = run(page(3, [message(1), message(2), message(3, { by: "bob" })]),
        event(about(4, "message.edited", { target: 1, text: "better" })),
        event(about(5, "message.deleted", { target: 2 })),
        event(about(6, "messages.purged", { user: "bob", from: 1, to: 3 })),
        event(about(7, "message.pinned", { target: 1 })),
        event(about(8, "thread.created", { target: 1, room: "T", title: "t" })),
        event(about(9, "something.new", { target: 1 })));
    const [first, second, third] = feed.messages;
    assert.deepEqual([first.text, first.pinned, first.thread.room], ["better", true, "T"]);
    assert.ok(first.edited_at);
    assert.deepEqual([second.deleted, second.text, third.deleted], [true, "", true]);
    assert.equal(feed.applied, 9);
});

test("a reaction goes when its last person takes it back, and mine is marked", () => {
    const both = run(page(1, [message(1)]),
        event(about(2, "reaction.added", { target: 1, emoji: "🎉" }, "me")), event(about(3, "reaction.added", { target: 1, emoji: "🎉" }, "bob")));
    assert.deepEqual(both.messages[0].reactions, [{ emoji: "🎉", count: 2, me: true }]);
    const none = [event(about(4, "reaction.removed", { target: 1, emoji: "🎉" }, "me")), event(about(5, "reaction.removed", { target: 1, emoji: "🎉" }, "bob"))].reduce(reduceFeed, both);
    assert.deepEqual(none.messages[0].reactions, []);
});

test("an older page that was read before a live change gets the change, one read after it does not get it twice", () => {
    const live = run(page(10, [message(9)], true), event(about(11, "reaction.added", { target: 2, emoji: "👀" }, "bob")));
    const older = (head, reactions) => reduceFeed(live, { type: "older", page: { messages: [message(2, { reactions })], more_before: false, head } });
    assert.equal(older(10, []).messages[0].reactions[0].count, 1);
    assert.equal(older(11, [{ emoji: "👀", count: 1, me: false }]).messages[0].reactions[0].count, 1);
    assert.equal(oldestSeq(older(11, [])), null);
    assert.equal(oldestSeq(live), 9);
});

test("a message being sent turns into the numbered one that carries its key", () => {
    const sending = run(page(1, [message(1)]), { type: "sending", key: "k2", text: "hi", at: "now" });
    assert.equal(sending.outgoing.length, 1);
    const arrived = reduceFeed(sending, event(created(2, "hi", { by: "me" })));
    assert.equal(arrived.outgoing.length, 0);
    assert.deepEqual(seqs(arrived), [1, 2]);
});

test("an answer that comes before its event keeps the row until the event is here", () => {
    const accepted = run(page(1, [message(1)]), { type: "sending", key: "k2", text: "hi", at: "now" }, { type: "accepted", key: "k2", seq: 2 });
    assert.equal(accepted.outgoing[0].seq, 2);
    assert.equal(reduceFeed(accepted, event(created(2))).outgoing.length, 0);
});

test("a refused message stays with its reason, and a retry keeps its key and place", () => {
    const refused = run(page(0, []), { type: "sending", key: "a", text: "1", at: "" }, { type: "sending", key: "b", text: "2", at: "" },
        { type: "refused", key: "a", refusal: { code: "slow_mode" } });
    assert.equal(refused.outgoing[0].refusal.code, "slow_mode");
    const again = reduceFeed(refused, { type: "sending", key: "a", text: "1" });
    assert.deepEqual(again.outgoing.map(({ key, retry, refusal }) => [key, retry, refusal]), [["a", true, null], ["b", false, null]]);
    assert.deepEqual(reduceFeed(again, { type: "discarded", key: "a" }).outgoing.map((it) => it.key), ["b"]);
});

test("a reset keeps what is still being sent", () => {
    const feed = run(page(1, [message(1)]), { type: "sending", key: "x", text: "hi", at: "" }, { type: "reset" });
    assert.deepEqual([feed.loaded, feed.messages.length, feed.outgoing.length], [false, 0, 1]);
});

test("a feed that follows the end stays small and knows that there is more above", () => {
    const many = Array.from({ length: MESSAGES_FOLLOWED + 50 }, (_, at) => message(at + 1));
    const feed = run(page(many.length, many), { type: "trim" });
    assert.deepEqual([feed.messages.length, feed.moreBefore, feed.messages[0].seq], [MESSAGES_FOLLOWED, true, 51]);
});
