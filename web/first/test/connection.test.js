/** The connection against a scripted socket and a clock that the test moves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { afterClose, backoffMs, openConnection } from "../js/connection.js";

/** Sockets, timers and everything the connection told, in one place. */
function world({ token = async () => "T", cursors = () => ({ R: 7 }), random = () => 0.5 } = {}) {
    const it = { sockets: [], timers: [], states: [], readies: [], pushes: [], ends: [], tokens: [] };
    it.connection = openConnection({
        url: "ws://x/v1/ws",
        token: (how) => (it.tokens.push(how), token(how)),
        tokenLeftMs: () => 100_000,
        cursors, random,
        makeSocket() {
            const socket = { sent: [], close() {}, send: (text) => socket.sent.push(JSON.parse(text)) };
            it.sockets.push(socket);
            return socket;
        },
        setTimer: (run, ms) => (it.timers.push({ run, ms }), it.timers.at(-1)),
        clearTimer: (timer) => (it.timers = it.timers.filter((other) => other !== timer)),
        on: {
            state: (state) => it.states.push(state), ready: (answer, resumed) => it.readies.push({ answer, resumed }),
            push: (push) => it.pushes.push(push), end: (refusal) => it.ends.push(refusal),
        },
    });
    it.socket = () => it.sockets.at(-1);
    it.say = (frame) => it.socket().onmessage({ data: JSON.stringify(frame) });
    it.settle = () => new Promise((resolve) => setImmediate(resolve));
    it.fire = (ms) => {
        const timer = it.timers.find((other) => other.ms === ms);
        assert.ok(timer, `no timer of ${ms} ms among ${it.timers.map((other) => other.ms)}`);
        it.timers = it.timers.filter((other) => other !== timer);
        timer.run();
    };
    it.come = async (ok = { session: "S", rooms: [] }) => {
        it.say({ ev: "hello", heartbeat_ms: 30_000, limits: {} });
        await it.settle();
        it.say({ re: it.socket().sent.at(-1).id, ok });
        await it.settle();
    };
    it.lose = (code) => it.socket().onclose({ code });
    return it;
}

test("the first connection identifies, the next resumes with its cursors", async () => {
    const it = world();
    await it.come();
    assert.equal(it.socket().sent[0].op, "identify");
    it.lose(1006);
    it.fire(250);
    await it.come({ session: "S", rooms: {} });
    const { op, session, cursors } = it.socket().sent[0];
    assert.deepEqual([op, session, cursors], ["resume", "S", { R: 7 }]);
    assert.deepEqual(it.readies.map((ready) => ready.resumed), [false, true]);
});

test("an unknown session identifies anew", async () => {
    const it = world();
    await it.come();
    it.lose(4007);
    it.fire(250);
    await it.come();
    assert.equal(it.socket().sent[0].op, "identify");
});

test("an expired token is renewed before the resume, and a token refused three times ends it", async () => {
    const it = world();
    await it.come();
    it.lose(4005);
    it.fire(250);
    await it.come({ session: "S", rooms: {} });
    assert.deepEqual(it.tokens.at(-1), { force: true });
    for (const wait of [250, 500, null]) {
        it.lose(4004);
        if (wait) it.fire(wait), it.say({ ev: "hello", heartbeat_ms: 30_000 }), await it.settle();
    }
    assert.equal(it.ends.length, 1);
});

test("signed out elsewhere is the end", async () => {
    const it = world();
    await it.come();
    it.lose(4010);
    assert.equal(it.ends[0].code, "signed_out");
    assert.equal(it.timers.filter((timer) => timer.ms < 1_000).length, 0);
});

test("a request in flight when the socket goes is told so", async () => {
    const it = world();
    await it.come();
    const asked = it.connection.request("send", {});
    it.lose(1006);
    await assert.rejects(asked, { code: "disconnected", retryable: true });
    await assert.rejects(it.connection.request("send", {}), { code: "disconnected" });
});

test("a refusal reaches its caller with its code", async () => {
    const it = world();
    await it.come();
    const asked = it.connection.request("send", {});
    it.say({ re: it.socket().sent.at(-1).id, error: { code: "slow_mode", message: "Wait.", retryable: true, retry_after_ms: 5 } });
    await assert.rejects(asked, { code: "slow_mode", retryAfterMs: 5 });
});

test("at most 24 requests are in flight, the others follow in order", async () => {
    const it = world();
    await it.come();
    const before = it.socket().sent.length;
    for (let at = 0; at < 30; at++) it.connection.request("typing", { at }).catch(() => {});
    assert.equal(it.socket().sent.length - before, 24);
    it.say({ re: it.socket().sent[before].id, ok: {} });
    assert.equal(it.socket().sent.at(-1).at, 24);
});

test("a heartbeat without an answer drops the connection", async () => {
    const it = world();
    await it.come();
    it.fire(15_000); // the first beat: half of heartbeat_ms
    assert.equal(it.socket().sent.at(-1).op, "heartbeat");
    it.fire(15_000); // its answer is overdue
    await it.settle();
    assert.equal(it.states.at(-1), "waiting");
});

test("a going server's wish is waited for", async () => {
    const it = world();
    await it.come();
    it.say({ ev: "reconnect", after_ms: 3_000 });
    it.lose(4012);
    assert.ok(it.timers.some((timer) => timer.ms === 3_000));
});

test("an open connection gets a fresh token at four fifths of the old one's life", async () => {
    const it = world();
    await it.come();
    it.fire(80_000);
    await it.settle();
    assert.equal(it.socket().sent.at(-1).op, "reauth");
});

test("what an old socket says after its time is not heard", async () => {
    const it = world();
    await it.come();
    const old = it.socket();
    it.lose(1006);
    it.fire(250);
    old.onmessage({ data: JSON.stringify({ ev: "room", seq: 1 }) });
    old.onclose({ code: 4010 });
    assert.deepEqual([it.pushes.length, it.ends.length], [0, 0]);
});

test("backoff doubles up to 30 s and any wait up to it may come", () => {
    assert.deepEqual([0, 1, 2, 20].map((attempt) => backoffMs(attempt, () => 1)), [500, 1_000, 2_000, 30_000]);
    assert.equal(backoffMs(5, () => 0), 0);
});

test("every close code has its next step", () => {
    assert.deepEqual([4008, 4009, 4012, 1006].map(afterClose), [{}, {}, {}, {}]);
    assert.deepEqual(afterClose(4005), { renewToken: true });
    assert.deepEqual(afterClose(4011), { newSession: true });
});
