/**
 * One WebSocket that comes back: identify, resume with cursors, heartbeat, requests and their answers.
 *
 * Invariants
 *  - at most one socket counts; what an older one still says is not heard;
 *  - every request ends once: answered, timed out, or `disconnected` when its socket goes;
 *  - waits between attempts are random in 0..min(30 s, 0.5 s * 2^n), so a restart brings no stampede.
 *
 * Failure: close codes choose the next step (`afterClose`); only a refused refresh token or 4010 ends it.
 */

import { Refusal } from "./api.js";

const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 30_000;
/** Longest wait for an answer; the server's own limit for a slow store is far below. */
const ANSWER_MS_MAX = 15_000;
/** The server takes 32 at a time; the rest is left for heartbeats and a second caller. */
const IN_FLIGHT_MAX = 24;
/** Requests waiting for a place. More than 1,000 means that something asks in a loop. */
const QUEUE_MAX = 1_000;
/** A token is renewed on the open socket when this share of its life is over. */
const REAUTH_AT = 0.8;

/** What a close code asks for: which parts of our memory are still good, and whether to go on at all. */
export function afterClose(code) {
    if (code === 4010) return { end: true };
    if (code === 4004 || code === 4005) return { renewToken: true };
    // 4001 to 4003 are our own mistakes and 4007, 4011 a session that is gone: start a clean one.
    if ([4001, 4002, 4003, 4007, 4011].includes(code)) return { newSession: true };
    return {};
}

/** Full jitter: any wait up to the bound is equally likely. `attempt` counts from 0. */
export function backoffMs(attempt, random) {
    return random() * Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(attempt, 16));
}

/**
 * Connects at once and keeps connecting until `close`.
 * `token({force})` gives an access token, `cursors()` the last seq seen of each live room.
 * `on.ready(answer, resumed)`, `on.push(push)`, `on.state("connecting" | "ready" | "waiting")`, `on.end(refusal)`.
 */
export function openConnection({
    url,
    token,
    tokenLeftMs = () => 0,
    cursors,
    on,
    makeSocket = (to) => new WebSocket(to, "hubbub.v1.json"),
    random = Math.random,
    setTimer = (run, ms) => setTimeout(run, ms),
    clearTimer = (timer) => clearTimeout(timer),
}) {
    const pending = new Map();
    const queue = [];
    let socket = null;
    let session = null;
    let hello = null;
    let ready = false;
    let ended = false;
    let attempt = 0;
    let lastId = 0;
    let refusedTokens = 0;
    let renew = false;
    let waitAtLeastMs = 0;
    let retryTimer = null;
    let heartTimer = null;
    let reauthTimer = null;

    function connect() {
        clearTimer(retryTimer);
        retryTimer = null;
        if (ended) return;
        on.state("connecting");
        const mine = makeSocket(url);
        socket = mine;
        mine.onmessage = ({ data }) => mine === socket && hear(JSON.parse(data));
        mine.onclose = ({ code }) => mine === socket && lost(code);
    }

    function hear(frame) {
        if (frame.re !== undefined) return answered(frame);
        if (frame.ev === "hello") {
            hello = frame;
            return void begin(socket);
        }
        if (frame.ev === "reconnect") waitAtLeastMs = frame.after_ms ?? 0;
        else on.push(frame);
    }

    async function begin(mine) {
        try {
            const fields = { token: await token({ force: renew }) };
            renew = false;
            if (mine !== socket) return;
            const resumed = session !== null;
            const answer = resumed
                ? await ask("resume", { ...fields, session, cursors: cursors() })
                : await ask("identify", { ...fields, device: "web" });
            session = answer.session ?? session;
            ready = true;
            attempt = 0;
            refusedTokens = 0;
            beat(hello.heartbeat_ms * random());
            scheduleReauth();
            on.state("ready", hello);
            on.ready(answer, resumed);
        } catch (refusal) {
            if (mine !== socket) return;
            if (refusal.code === "signed_out") return end(refusal);
            drop(mine);
        }
    }

    function lost(code) {
        const next = afterClose(code);
        stopUsing(socket);
        if (next.newSession) session = null;
        if (next.renewToken) {
            renew = true;
            // A token fresh from the server and still refused will not get better by asking again.
            if (++refusedTokens > 2) next.end = true;
        }
        if (next.end) return end(new Refusal({ code: "signed_out", message: "You were signed out." }));
        const ms = Math.max(waitAtLeastMs, backoffMs(attempt++, random));
        waitAtLeastMs = 0;
        on.state("waiting");
        retryTimer = setTimer(connect, ms);
    }

    function stopUsing() {
        socket = null;
        ready = false;
        clearTimer(heartTimer);
        clearTimer(reauthTimer);
        const gone = new Refusal({ code: "disconnected", message: "The connection was lost.", retryable: true });
        for (const { reject, timer } of [...pending.values(), ...queue]) {
            clearTimer(timer);
            reject(gone);
        }
        pending.clear();
        queue.length = 0;
    }

    /** Gives up on a socket that has gone quiet, without waiting for its close to be noticed. */
    function drop(mine) {
        if (mine !== socket) return;
        lost(0);
        mine.close();
    }

    function end(refusal) {
        const last = socket;
        ended = true;
        clearTimer(retryTimer);
        stopUsing();
        last?.close();
        on.end(refusal);
    }

    function beat(ms) {
        heartTimer = setTimer(() => {
            const mine = socket;
            ask("heartbeat", {}).catch(() => drop(mine));
            beat(hello.heartbeat_ms * 0.9);
        }, ms);
    }

    function scheduleReauth() {
        const ms = tokenLeftMs() * REAUTH_AT;
        if (!ms) return;
        reauthTimer = setTimer(async () => {
            try {
                await ask("reauth", { token: await token({ force: true }) });
                scheduleReauth();
            } catch (refusal) {
                if (refusal.code === "signed_out") end(refusal);
                // Otherwise the server closes with 4005 in good time and we resume.
            }
        }, ms);
    }

    function ask(op, fields) {
        if (!socket || queue.length >= QUEUE_MAX) {
            const code = socket ? "busy" : "disconnected";
            return Promise.reject(new Refusal({ code, message: "Not connected.", retryable: true }));
        }
        return new Promise((resolve, reject) => {
            queue.push({ op, fields, resolve, reject });
            pump();
        });
    }

    function pump() {
        while (queue.length && pending.size < IN_FLIGHT_MAX && socket) {
            const request = queue.shift();
            const id = (lastId = (lastId + 1) >>> 0);
            request.timer = setTimer(() => {
                pending.delete(id);
                request.reject(new Refusal({ code: "timeout", message: "No answer in time.", retryable: true }));
                pump();
            }, ANSWER_MS_MAX);
            pending.set(id, request);
            socket.send(JSON.stringify({ id, op: request.op, ...request.fields }));
        }
    }

    function answered({ re, ok, error }) {
        const request = pending.get(re);
        if (!request) return;
        pending.delete(re);
        clearTimer(request.timer);
        if (error) request.reject(new Refusal(error));
        else request.resolve(ok ?? {});
        pump();
    }

    connect();
    return {
        /** Asks on the identified connection; refuses with `disconnected` while there is none. */
        request(op, fields = {}) {
            if (ready) return ask(op, fields);
            return Promise.reject(new Refusal({ code: "disconnected", message: "Not connected.", retryable: true }));
        },
        isReady: () => ready,
        /** The network is back or the page is looked at again: do not sit out the wait. */
        wake() {
            if (retryTimer !== null) connect();
        },
        close() {
            const last = socket;
            ended = true;
            clearTimer(retryTimer);
            stopUsing();
            last?.close(1000);
        },
    };
}
