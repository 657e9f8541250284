/**
 * The messages of one room: those the server has numbered, then those we are still sending. Pure.
 *
 * Invariants of a feed
 *  - `messages` is in `seq` order and holds each `seq` once;
 *  - every event up to `applied` is in it, none after; what comes beyond a hole waits in `held`;
 *  - a message is in `messages` or in `outgoing`, never in both: they meet by `key`.
 *
 * A page of history tells how things stood at its `head`. A page of older messages may be newer or older than
 * `applied`, so each message remembers the head it was read at (`asOf`) and `recent` events are put on top:
 * a reaction is counted once, whichever way it came first.
 */

/** Most messages kept; beyond it the page stops loading older ones. 3,000 rows of about 2 KiB: 6 MiB. */
export const MESSAGES_MAX = 3_000;
/** While the reader follows the end, older rows are let go down to this many. */
export const MESSAGES_FOLLOWED = 600;
/** Events put on top of a page that was read before them. A page is on its way for far less than 300 events. */
const RECENT_MAX = 300;
/** Events waiting behind a hole. Beyond it the room is read anew. */
const HELD_MAX = 1_000;

/** An empty feed for the person `me`, whose reactions are shown as theirs. */
export function newFeed(me) {
    return {
        me, loaded: false, messages: [], applied: 0, moreBefore: false,
        outgoing: [], held: [], recent: [], missing: null, stale: false,
    };
}

/** The feed after `event`. The same object comes back when nothing changed. */
export function reduceFeed(feed, event) {
    switch (event.type) {
        case "page": return opened(feed, event.page);
        case "older": return withOlder(feed, event.page);
        case "event": return arrived(feed, event.push);
        case "gap": return feed.loaded && event.to > feed.applied ? missing(feed, event.to) : feed;
        case "reset": return { ...feed, loaded: false, messages: [], held: [], recent: [], missing: null, stale: false };
        case "trim": return trimmed(feed);
        case "sending": return sending(feed, event);
        case "accepted": return accepted(feed, event);
        case "refused": return marked(feed, event.key, { refusal: event.refusal, waiting: false });
        case "waiting": return marked(feed, event.key, { waiting: true, retry: true, refusal: null });
        case "discarded": return { ...feed, outgoing: feed.outgoing.filter((it) => it.key !== event.key) };
        default: return feed;
    }
}

/** The seq before which older history continues, or null when the start of the room is here. */
export function oldestSeq(feed) {
    return feed.moreBefore && feed.messages.length < MESSAGES_MAX ? (feed.messages[0]?.seq ?? null) : null;
}

function opened(feed, page) {
    const messages = page.messages.map((it) => ({ ...it, asOf: page.head }));
    const next = {
        ...feed, loaded: true, stale: false, messages, applied: page.head,
        moreBefore: page.more_before, recent: [], missing: null,
        outgoing: stillOutgoing(feed.outgoing, messages),
    };
    return drained(next);
}

function withOlder(feed, page) {
    const first = feed.messages[0]?.seq ?? Infinity;
    const older = page.messages
        .filter((it) => it.seq < first)
        .map((it) => feed.recent.reduce(patched(feed.me), { ...it, asOf: page.head }));
    return { ...feed, messages: [...older, ...feed.messages], moreBefore: page.more_before };
}

function arrived(feed, push) {
    if (feed.loaded && push.seq <= feed.applied) return feed;
    if (!feed.loaded || push.seq > feed.applied + 1) {
        if (feed.held.length >= HELD_MAX) return { ...feed, held: [], missing: null, stale: true };
        const held = insertBySeq(feed.held, push);
        return feed.loaded ? missing({ ...feed, held }, push.seq - 1) : { ...feed, held };
    }
    return drained(applied(feed, push));
}

function missing(feed, to) {
    return { ...feed, missing: { from: feed.applied + 1, to: Math.max(to, feed.missing?.to ?? 0) } };
}

/** Applies what waited, as far as it follows without a hole. */
function drained(feed) {
    let next = feed;
    const held = feed.held.filter((it) => it.seq > feed.applied);
    while (held.length && held[0].seq <= next.applied + 1) next = applied(next, held.shift());
    const hole = held.length ? { from: next.applied + 1, to: held[0].seq - 1 } : null;
    const still = next.missing && next.missing.to > next.applied ? { ...next.missing, from: next.applied + 1 } : hole;
    return { ...next, held, missing: still };
}

function applied(feed, push) {
    const next = { ...feed, applied: push.seq };
    if (push.type === "message.created") {
        const message = messageOf(push);
        next.messages = insertBySeq(feed.messages, message);
        next.outgoing = stillOutgoing(feed.outgoing, [message]);
        return next;
    }
    next.recent = [...feed.recent, push].slice(-RECENT_MAX);
    const patch = patched(feed.me);
    let changed = false;
    const messages = feed.messages.map((it) => {
        const after = patch(it, push);
        changed ||= after !== it;
        return after;
    });
    if (changed) next.messages = messages;
    return next;
}

/** One message after one event that may be about it. */
function patched(me) {
    return (message, push) => {
        const { data = {}, by, ts, seq, type } = push;
        if (seq <= (message.asOf ?? 0)) return message;
        if (type === "messages.purged") {
            const hit = message.seq >= data.from && message.seq <= data.to && (!data.user || data.user === message.by);
            return hit ? { ...message, ...GONE } : message;
        }
        if (data.target !== message.seq) return message;
        switch (type) {
            case "message.edited": return { ...message, text: data.text, edited_at: ts, mentions: data.mentions };
            case "message.deleted": return { ...message, ...GONE };
            case "reaction.added": return { ...message, reactions: counted(message.reactions, data.emoji, 1, by === me) };
            case "reaction.removed": return { ...message, reactions: counted(message.reactions, data.emoji, -1, by === me) };
            case "message.pinned": return { ...message, pinned: true };
            case "message.unpinned": return { ...message, pinned: false };
            case "thread.created":
                return { ...message, thread: { room: data.room, title: data.title, replies: 0, last_ts: null } };
            default: return message;
        }
    };
}

const GONE = { deleted: true, text: "", reactions: [], files: [], pinned: false };

function counted(reactions, emoji, by, mine) {
    const known = reactions.find((it) => it.emoji === emoji);
    if (!known) return by > 0 ? [...reactions, { emoji, count: 1, me: mine }] : reactions;
    const next = { ...known, count: known.count + by, me: mine ? by > 0 : known.me };
    return next.count > 0 ? reactions.map((it) => (it === known ? next : it)) : reactions.filter((it) => it !== known);
}

function messageOf({ room, seq, ts, by, key, data }) {
    return {
        room, seq, ts, by, key, text: data.text, edited_at: null, deleted: false, reply_to: data.reply_to ?? null,
        files: data.files ?? [], mentions: data.mentions ?? null, reactions: [], thread: null, pinned: false, asOf: seq,
    };
}

/** Nearly always the end; a repeat of a seq is left out. */
function insertBySeq(list, item) {
    let at = list.length;
    while (at > 0 && list[at - 1].seq > item.seq) at--;
    return list[at - 1]?.seq === item.seq ? list : list.toSpliced(at, 0, item);
}

function trimmed(feed) {
    if (feed.messages.length <= MESSAGES_FOLLOWED) return feed;
    return { ...feed, messages: feed.messages.slice(-MESSAGES_FOLLOWED), moreBefore: true };
}

// ── Outgoing ─────────────────────────────────────────────────────────────────────────────────────

/** A second `sending` of a key is a retry: the row stays where it is. */
function sending(feed, { key, text, replyTo = null, at }) {
    if (feed.outgoing.some((it) => it.key === key)) return marked(feed, key, { refusal: null, waiting: false, retry: true });
    const row = { key, text, replyTo, at, refusal: null, waiting: false, retry: false, seq: null };
    return { ...feed, outgoing: [...feed.outgoing, row] };
}

/** Answered before its event came: it stays as a sent row until the event or a page brings it. */
function accepted(feed, { key, seq }) {
    if (!feed.loaded || seq > feed.applied) return marked(feed, key, { seq, refusal: null, waiting: false });
    return { ...feed, outgoing: feed.outgoing.filter((it) => it.key !== key) };
}

function marked(feed, key, change) {
    return { ...feed, outgoing: feed.outgoing.map((it) => (it.key === key ? { ...it, ...change } : it)) };
}

function stillOutgoing(outgoing, messages) {
    if (!outgoing.length) return outgoing;
    const numbered = new Set(messages.map((it) => it.key));
    return outgoing.filter((it) => !numbered.has(it.key));
}
