/**
 * The rooms a person is in, by community: a pure roster, and the sidebar that shows it.
 *
 * Invariants of a roster: `read` and `head` only move forward; a room is unread when its head is beyond `read`.
 */

import { h, icon, iconButton } from "./dom.js";

// ── The roster (pure) ────────────────────────────────────────────────────────────────────────────

/** From the answer to `identify`. Threads are reached from their message, not from the list. */
export function newRoster({ communities = [], rooms = [] }) {
    const list = rooms.filter((it) => it.kind !== "thread").map(roomOf);
    return {
        communities: new Map(communities.map((it) => [it.id, it])),
        rooms: new Map(list.map((it) => [it.id, it])),
    };
}

function roomOf(it) {
    const { id = it.room, community = null, kind, name, topic, head = 0, read = 0, mentions = 0 } = it;
    return { id, community, kind, name, topic, private: it.private, head, read, mentions };
}

export function reduceRoster(roster, event) {
    const room = roster.rooms.get(event.room);
    const put = (change) => ({ ...roster, rooms: new Map(roster.rooms).set(room.id, { ...room, ...change }) });
    switch (event.ev) {
        case "community": {
            if (!event.removed) return roster;
            const id = event.community?.id ?? event.community;
            const communities = new Map(roster.communities);
            communities.delete(id);
            return { communities, rooms: new Map([...roster.rooms].filter(([, it]) => it.community !== id)) };
        }
        case "head":
            return room && event.head > room.head ? put({ head: event.head }) : roster;
        case "unread":
            if (!room) return roster;
            return put({ head: Math.max(room.head, event.head), mentions: event.mentions ?? room.mentions });
        case "read": {
            if (!room || event.seq <= room.read) return roster;
            const caughtUp = event.seq >= room.head;
            return put({ read: event.seq, mentions: caughtUp ? 0 : room.mentions });
        }
        case "room": {
            if (!room) return roster;
            const { user, name = room.name, topic = room.topic } = event.data ?? {};
            const mine = user === event.me;
            if (mine && (event.type === "member.removed" || event.type === "member.left")) return leaveRoom(roster, room.id);
            return put({ name, topic, head: Math.max(room.head, event.seq) });
        }
        default:
            return roster;
    }
}

export function leaveRoom(roster, id) {
    const rooms = new Map(roster.rooms);
    rooms.delete(id);
    return { ...roster, rooms };
}

/** A community we joined, made or hear news of. What we know of a room's markers stays. */
export function withRooms(roster, community, rooms) {
    const next = new Map(roster.rooms);
    for (const it of rooms) {
        if (it.kind === "thread") continue;
        const known = next.get(it.id);
        const fresh = roomOf({ ...it, community: it.community ?? community.id });
        next.set(it.id, known ? { ...fresh, head: known.head, read: known.read, mentions: known.mentions } : { ...fresh, read: fresh.head });
    }
    return { communities: new Map(roster.communities).set(community.id, community), rooms: next };
}

export const isUnread = (room) => room.head > room.read;

/** `[{id, name, rooms}]` for the sidebar: communities, then direct messages when there are any. */
export function grouped(roster) {
    const rooms = [...roster.rooms.values()];
    const groups = [...roster.communities.values()].map((it) => ({ ...it, rooms: rooms.filter((room) => room.community === it.id) }));
    const direct = rooms.filter((it) => !it.community);
    return direct.length ? [...groups, { id: null, name: "Direct", rooms: direct }] : groups;
}

/** Mentions over all rooms, for the page's title. */
export const mentionCount = (roster) => [...roster.rooms.values()].reduce((sum, it) => sum + it.mentions, 0);

// ── The sidebar ──────────────────────────────────────────────────────────────────────────────────

/** A `<nav>` and its `draw(roster, open)`. Rows are kept, so focus stays where it is. */
export function roomList({ onOpen, onNewRoom, onNewCommunity, onInvite }) {
    const list = h("div", { class: "room-groups" });
    const nav = h("nav", { class: "rooms", "aria-label": "Rooms" }, list,
        h("button", { type: "button", class: "new-community", onclick: onNewCommunity }, icon("plus"), "New community"));
    const rows = new Map();
    const heads = new Map();

    function row(room, open) {
        let kept = rows.get(room.id);
        if (!kept) {
            const name = h("span", { class: "room-name" });
            const note = h("span", { class: "room-note" });
            const link = h("a", { href: `#${room.id}`, class: "room", onclick: (event) => (event.preventDefault(), onOpen(room.id)) },
                icon(room.private ? "lock" : "hash"), name, note);
            kept = { item: h("li", {}, link), link, name, note };
            rows.set(room.id, kept);
        }
        const unread = isUnread(room) && room.id !== open;
        kept.name.textContent = room.name || "Direct message";
        kept.link.classList.toggle("unread", unread);
        if (room.id === open) kept.link.setAttribute("aria-current", "page");
        else kept.link.removeAttribute("aria-current");
        const count = unread ? room.mentions : 0;
        kept.note.className = count ? "badge" : unread ? "dot" : "room-note";
        kept.note.replaceChildren(
            count ? (count > 99 ? "99+" : String(count)) : "",
            h("span", { class: "hidden" }, count ? " mentions" : unread ? " unread" : ""));
        return kept.item;
    }

    function section(group, open) {
        const key = group.id ?? "direct";
        let kept = heads.get(key);
        if (!kept) {
            const title = h("h2", { id: `group-${key}` });
            const items = h("ul", { "aria-labelledby": `group-${key}` });
            const tools = group.id && h("span", { class: "group-tools" },
                iconButton("invite", `Invite people to ${group.name}`, () => onInvite(group)),
                iconButton("plus", `New room in ${group.name}`, () => onNewRoom(group)));
            kept = { title, items, node: h("section", {}, h("header", {}, title, tools), items) };
            heads.set(key, kept);
        }
        kept.title.textContent = group.name;
        arrange(kept.items, group.rooms.map((it) => row(it, open)));
        return kept.node;
    }

    return { node: nav, draw: (roster, open) => arrange(list, grouped(roster).map((it) => section(it, open))) };
}

/** Makes `wanted` the children of `parent`, touching only what differs. */
export function arrange(parent, wanted) {
    const keep = new Set(wanted);
    for (const node of [...parent.childNodes]) if (!keep.has(node)) node.remove();
    let at = parent.firstChild;
    for (const node of wanted) {
        if (node === at) at = at.nextSibling;
        else parent.insertBefore(node, at);
    }
}
