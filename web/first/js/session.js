/**
 * One signed-in person's session: the connection on one side, feeds and rooms on the other. No DOM.
 *
 * The page reads `state` and is told by `changed(part)` what to draw again:
 * `connection`, `rooms`, `feed`, `people`, `typing`, `presence`, `open`.
 *
 * Invariants
 *  - the open room is subscribed `live`, the others `unread`;
 *  - a room's unsent messages go out in the order they were written, each with the key it was given first.
 *
 * Failure: a hole in a room is healed from its log, and from a fresh page when the log will not do.
 */

import { openConnection } from "./connection.js";
import { MESSAGES_MAX, newFeed, oldestSeq, reduceFeed } from "./feed.js";
import { leaveRoom, newRoster, reduceRoster, withRooms } from "./rooms.js";

const PAGE = 50;
/** Feeds kept for a quick return; each at most MESSAGES_MAX rows. */
const FEEDS_MAX = 8;
/** Other rooms watched for unread messages. A person in more rooms sees badges in the first 500. */
const UNREAD_ROOMS_MAX = 500;
const LOG_PAGE = 100;
/** Holes longer than this are not worth replaying: the newest page is read instead. */
const HEAL_EVENTS_MAX = 1_000;
const TYPING_EVERY_MS = 3_000;
/** A typing notice is repeated every 3 s, so after 6 s without one it is over. */
export const TYPING_MS = 6_000;
/** People looked up at a time. */
const LOOKUPS_MAX = 4;
/** Presence is asked for this many people of a room, the contract's bound for one `watch`. */
const WATCHED_MAX = 200;

export function startSession({ api, url, changed, ended, connect = openConnection, now = () => Date.now() }) {
    const state = {
        me: null, connection: "connecting", limits: { text_chars: 8000 }, roster: newRoster({}),
        open: null, failure: null, access: null, people: new Map(), presence: new Map(), typing: new Map(),
    };
    const feeds = new Map();
    const lookups = new Map();
    const healing = new Set();
    let watched = "";
    let typingAt = 0;

    const link = connect({
        url,
        token: api.token,
        tokenLeftMs: api.tokenLeftMs,
        cursors: () => (feed().loaded ? { [state.open]: feed().applied } : {}),
        on: {
            state(connection, hello) {
                state.connection = connection;
                if (hello) state.limits = { ...state.limits, ...hello.limits };
                changed("connection");
            },
            ready,
            push,
            end: ended,
        },
    });

    const feed = (room = state.open) => feeds.get(room) ?? newFeed(state.me?.id);

    function put(room, event) {
        const before = feed(room);
        const after = reduceFeed(before, event);
        if (after === before) return;
        feeds.delete(room);
        feeds.set(room, after);
        for (const [old, { outgoing }] of feeds)
            if (feeds.size > FEEDS_MAX && old !== state.open && !outgoing.length) feeds.delete(old);
        if (after.missing || after.stale) void heal(room);
        if (room === state.open) changed("feed");
    }

    // ── Coming and coming back ───────────────────────────────────────────────────────────────────

    async function ready(answer, resumed) {
        watched = "";
        if (resumed) {
            for (const [room, { head, gap }] of Object.entries(answer.rooms ?? {})) {
                if (room !== state.open) setRoster(reduceRoster(state.roster, { ev: "unread", room, head }));
                else if (gap) await readAnew(room);
            }
            if (state.open && !feed().loaded) await enter(state.open);
        } else {
            state.me = typeof answer.user === "string" ? { id: answer.user, name: answer.user } : answer.user;
            learn(state.me);
            setRoster(newRoster(answer));
            if (state.open) await enter(state.open);
            else changed("open");
            void watchOthers();
        }
        for (const room of feeds.keys()) await resend(room);
        watchPeople();
    }

    async function watchOthers() {
        const others = [...state.roster.rooms.keys()].filter((it) => it !== state.open).slice(0, UNREAD_ROOMS_MAX);
        for (const room of others) {
            if (room === state.open) continue;
            await link.request("subscribe", { room, mode: "unread" }).catch(() => {});
        }
    }

    function setRoster(roster) {
        if (roster === state.roster) return;
        state.roster = roster;
        changed("rooms");
    }

    /** Opens a room: what we have is shown at once, what we missed follows. */
    async function open(room) {
        const before = state.open;
        state.open = room;
        state.typing = new Map();
        changed("open");
        if (before && before !== room) link.request("subscribe", { room: before, mode: "unread" }).catch(() => {});
        await enter(room);
    }

    async function enter(room) {
        state.failure = null;
        try {
            const known = feed(room);
            const after = known.loaded ? { after: known.applied } : {};
            const answer = await link.request("subscribe", { room, mode: "live", ...after });
            if (room !== state.open) return;
            state.access = BigInt(answer.permissions ?? "0");
            if (!known.loaded || answer.gap || answer.head < known.applied) await readAnew(room);
            watchPeople();
        } catch (refusal) {
            if (room !== state.open || refusal.code === "disconnected") return;
            state.failure = refusal;
            changed("feed");
        }
    }

    async function readAnew(room) {
        if (feed(room).loaded) put(room, { type: "reset" });
        const page = await link.request("history", { room, limit: PAGE });
        put(room, { type: "page", page });
        setRoster(reduceRoster(state.roster, { ev: "head", room, head: page.head }));
    }

    /** Fetches the page above the oldest message; false when there is none. */
    async function older() {
        const room = state.open;
        const before = oldestSeq(feed(room));
        if (before === null) return false;
        const page = await link.request("history", { room, before, limit: PAGE });
        if (oldestSeq(feed(room)) === before) put(room, { type: "older", page });
        return true;
    }

    /** Fills a hole from the room's log, a page at a time. */
    async function heal(room) {
        if (healing.has(room)) return;
        healing.add(room);
        try {
            const { missing, stale } = feed(room);
            if (stale || !missing || missing.to - missing.from >= HEAL_EVENTS_MAX) return await readAnew(room);
            for (let hole = missing; hole; hole = feed(room).missing) {
                const after = feed(room).applied;
                const { items } = await api.call("GET", `/v1/rooms/${room}/events?after=${after}&limit=${LOG_PAGE}`);
                for (const push of items) put(room, { type: "event", push });
                if (feed(room).applied === after) return await readAnew(room);
            }
        } catch {
            await readAnew(room).catch((refusal) => {
                if (refusal.code !== "disconnected" && room === state.open) (state.failure = refusal), changed("feed");
            });
        } finally {
            healing.delete(room);
        }
    }

    // ── What the server tells ────────────────────────────────────────────────────────────────────

    function push(it) {
        switch (it.ev) {
            case "room":
                if (it.type === "message.created") state.typing.delete(it.by) && it.room === state.open && changed("typing");
                put(it.room, { type: "event", push: it });
                if (it.type === "room.updated" || it.type.startsWith("member."))
                    setRoster(reduceRoster(state.roster, { ...it, me: state.me?.id }));
                else setRoster(reduceRoster(state.roster, { ev: "head", room: it.room, head: it.seq }));
                return;
            case "gap": return put(it.room, { type: "gap", from: it.from, to: it.to });
            case "typing":
                if (it.room !== state.open) return;
                for (const user of it.users) if (user !== state.me.id) state.typing.set(user, now() + TYPING_MS);
                return changed("typing");
            case "presence":
                for (const { user, status } of it.users) state.presence.set(user, status);
                return changed("presence");
            case "user":
                if (it.id ?? it.user) learn({ ...state.people.get(it.id ?? it.user), ...it, id: it.id ?? it.user });
                return;
            case "community":
                if (it.removed) return setRoster(reduceRoster(state.roster, it));
                return void loadCommunity(it.community?.id ?? it.community);
            default: setRoster(reduceRoster(state.roster, it));
        }
    }

    async function loadCommunity(id) {
        if (!id) return;
        try {
            const [community, { items }] = await Promise.all([
                api.call("GET", `/v1/communities/${id}`),
                api.call("GET", `/v1/communities/${id}/rooms?limit=100`),
            ]);
            const known = state.roster.rooms;
            const fresh = items.filter((it) => !known.has(it.id) && it.kind !== "thread");
            setRoster(withRooms(state.roster, community, items));
            for (const { id: room } of fresh) await link.request("subscribe", { room, mode: "unread" }).catch(() => {});
        } catch {
            // The community went away again while we asked; the next identify tells.
        }
    }

    // ── People ───────────────────────────────────────────────────────────────────────────────────

    function learn(user) {
        state.people.set(user.id, user);
        changed("people");
    }

    /** A person's name for showing; looked up once when it is new to us. */
    function nameOf(id) {
        const known = state.people.get(id);
        if (!known && !lookups.has(id)) {
            lookups.set(id, "wanted");
            lookUp();
        }
        return known?.display || known?.name || "…";
    }

    function lookUp() {
        const running = [...lookups.values()].filter((it) => it === "asked").length;
        const next = [...lookups].find(([, step]) => step === "wanted")?.[0];
        if (!next || running >= LOOKUPS_MAX) return;
        lookups.set(next, "asked");
        api.call("GET", `/v1/users/${next}`)
            .then(learn, () => learn({ id: next, name: "someone", display: "Someone" }))
            .finally(() => (lookups.set(next, "known"), lookUp()));
        lookUp();
    }

    function watchPeople() {
        const users = [...new Set(feed().messages.map((it) => it.by).reverse())].slice(0, WATCHED_MAX);
        if (!users.length || users.join() === watched || !link.isReady()) return;
        watched = users.join();
        link.request("watch", { users }).then((answer) => push({ ev: "presence", users: answer.users ?? [] })).catch(() => {});
    }

    // ── What the person does ─────────────────────────────────────────────────────────────────────

    function send(text, replyTo) {
        const room = state.open;
        const key = newKey(now());
        put(room, { type: "sending", key, text, replyTo, at: new Date(now()).toISOString() });
        return deliver(room, key);
    }

    async function deliver(room, key) {
        const row = feed(room).outgoing.find((it) => it.key === key);
        if (!row) return;
        const fields = { room, key, text: row.text, ...(row.replyTo ? { reply_to: row.replyTo } : {}), ...(row.retry ? { retry: true } : {}) };
        try {
            const { seq } = await link.request("send", fields);
            put(room, { type: "accepted", key, seq });
        } catch (refusal) {
            const later = refusal.code === "disconnected";
            put(room, later ? { type: "waiting", key } : { type: "refused", key, refusal });
        }
    }

    /** After a reconnect: what had no answer yet goes again, in order, with its key. */
    async function resend(room) {
        const waiting = feed(room).outgoing.filter((it) => it.waiting).map(({ key }) => key);
        await Promise.all(waiting.map((key) => deliver(room, key)));
    }

    function retry(key) {
        const row = feed().outgoing.find((it) => it.key === key);
        if (!row) return;
        put(state.open, { type: "sending", key, text: row.text });
        return deliver(state.open, key);
    }

    function typing() {
        if (now() - typingAt < TYPING_EVERY_MS || !link.isReady()) return;
        typingAt = now();
        link.request("typing", { room: state.open }).catch(() => {});
    }

    /** The reader has seen the open room up to its end. */
    function read() {
        const room = state.roster.rooms.get(state.open);
        const seq = feed().applied;
        if (!room || !link.isReady() || seq <= room.read) return;
        setRoster(reduceRoster(state.roster, { ev: "read", room: room.id, seq }));
        link.request("read", { room: room.id, seq }).catch(() => {});
    }

    return {
        state, feed, open, older, send, retry, typing, read, nameOf, loadCommunity, watchPeople,
        discard: (key) => put(state.open, { type: "discarded", key }),
        trim: () => feed().messages.length < MESSAGES_MAX && put(state.open, { type: "trim" }),
        leave: (room) => setRoster(leaveRoom(state.roster, room)),
        again: () => enter(state.open),
        edit: (seq, text) => link.request("edit", { room: state.open, seq, text }),
        remove: (seq) => link.request("delete", { room: state.open, seq }),
        react: (seq, emoji, on) => link.request(on ? "react" : "unreact", { room: state.open, seq, emoji }),
        can: (bit) => state.access !== null && ((state.access >> BigInt(bit)) & 1n || (state.access >> 40n) & 1n) === 1n,
        wake: () => link.wake(),
        close: () => link.close(),
    };
}

/** A UUIDv7: 48 bits of time, so that the server finds recent keys where it looks first. */
export function newKey(ms, random = (bytes) => crypto.getRandomValues(bytes)) {
    const bytes = random(new Uint8Array(16));
    for (let at = 0; at < 6; at++) bytes[at] = Math.floor(ms / 2 ** (8 * (5 - at))) & 0xff;
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    const hex = [...bytes].map((it) => it.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
