/**
 * The message list of the open room: rows kept by key, one toolbar that moves, a scroll that follows the end.
 *
 * Following the end is an intent, not a position: it is let go by scrolling up and taken up again at the end,
 * so rows that grow or a burst of messages cannot lose it by accident.
 */

import { avatar, clock, day, fullTime, h, icon, iconButton, renderText } from "./dom.js";
import { arrange } from "./rooms.js";

/** Messages of one author within 7 minutes share a heading. */
const GROUP_MS = 7 * 60_000;
/** Older history is fetched when the reader is this near the top. */
const NEAR_TOP_PX = 800;
const AT_END_PX = 4;
const QUICK = ["👍", "❤️", "😂"];
const MORE = ["🎉", "👀", "✅", "🙏", "🔥", "😮", "😢", "🤔", "👏", "🚀", "💯", "👋"];
/** The contract's bits. */
const CAN = { react: 3, manageMessages: 8, send: 1 };

/** `actions`: `reply(message)`, `edit(message)`, `remove(message)`, `react(message, emoji, on)`, `atEnd()`. */
export function messageList(session, actions) {
    const top = h("p", { class: "list-note" });
    const rows = h("ol", { class: "messages" });
    const scroller = h("div", { class: "scroller", role: "log", "aria-live": "off", "aria-label": "Messages", tabindex: 0 }, top, rows);
    const jump = h("button", { type: "button", class: "jump", hidden: true, onclick: () => toEnd() }, icon("down"), h("span", {}, "New messages"));
    const toolbar = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Message actions" });
    const kept = new Map();
    let room = null;
    let divider = Infinity;
    let following = true;
    let loading = false;
    let seenHead = 0;
    let roving = null;

    // ── Scrolling ────────────────────────────────────────────────────────────────────────────────

    const fromEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    function letGo() {
        if (scroller.scrollHeight > scroller.clientHeight) following = false;
    }
    function toEnd() {
        following = true;
        scroller.scrollTop = scroller.scrollHeight;
        atEnd();
    }
    function atEnd() {
        jump.hidden = true;
        seenHead = session.feed().applied;
        actions.atEnd();
    }
    scroller.addEventListener("wheel", (event) => event.deltaY < 0 && letGo(), { passive: true });
    scroller.addEventListener("touchmove", letGo, { passive: true });
    scroller.addEventListener("pointerdown", (event) => event.target === scroller && letGo());
    scroller.addEventListener("scroll", () => {
        if (fromEnd() <= AT_END_PX && !following) (following = true), atEnd();
        if (scroller.scrollTop < NEAR_TOP_PX) void fetchOlder();
    }, { passive: true });
    new ResizeObserver(() => following && (scroller.scrollTop = scroller.scrollHeight)).observe(scroller);
    new ResizeObserver(() => following && (scroller.scrollTop = scroller.scrollHeight)).observe(rows);

    async function fetchOlder() {
        if (loading || !session.feed().loaded) return;
        loading = true;
        try {
            const more = await session.older();
            loading = false;
            if (more && scroller.scrollTop < NEAR_TOP_PX && !following) void fetchOlder();
        } catch {
            // Scrolling again asks again.
            loading = false;
        }
    }

    // ── Rows ─────────────────────────────────────────────────────────────────────────────────────

    function draw() {
        const { state } = session;
        const feed = session.feed();
        if (state.open !== room) fresh(state);
        const place = following ? null : anchor();
        const list = [
            ...feed.messages,
            ...feed.outgoing.map((it) => ({ ...it, pending: it, by: state.me.id, ts: it.at, reply_to: it.replyTo, reactions: [] })),
        ];
        const bySeq = new Map(feed.messages.map((it) => [it.seq, it]));
        const wanted = [];
        let before = null;
        for (const message of list) {
            wanted.push(row(message, before, bySeq));
            before = message;
        }
        arrange(rows, wanted);
        const live = new Set(wanted);
        for (const [key, it] of kept) if (!live.has(it.item)) kept.delete(key);
        note(feed, state);
        if (following) (scroller.scrollTop = scroller.scrollHeight), feed.loaded && atEnd();
        else if (place) restore(place);
        if (!following && feed.applied > seenHead && feed.messages.at(-1)?.seq > seenHead) jump.hidden = false;
    }

    function fresh(state) {
        room = state.open;
        kept.clear();
        rows.replaceChildren();
        following = true;
        jump.hidden = true;
        const marker = state.roster.rooms.get(room);
        divider = marker && marker.head > marker.read ? marker.read : Infinity;
    }

    function note(feed, state) {
        top.className = "list-note";
        if (state.failure) {
            const again = h("button", { type: "button", class: "link", onclick: () => session.again() }, "Try again");
            const gone = ["not_found", "forbidden", "not_member"].includes(state.failure.code);
            return top.replaceChildren(gone ? "This room is not there, or not for you to see." : `The messages did not load: ${state.failure.message} `, gone ? "" : again);
        }
        if (!feed.loaded) {
            top.classList.add("skeleton");
            return top.replaceChildren(h("span", { class: "hidden" }, "Loading messages"), ...[1, 2, 3, 4, 5].map(() => h("i")));
        }
        const name = state.roster.rooms.get(state.open)?.name ?? "this room";
        if (!feed.messages.length && !feed.outgoing.length) top.replaceChildren(h("strong", {}, `This is #${name}.`), " Nothing here yet. Say hello.");
        else if (!feed.moreBefore) top.replaceChildren(h("strong", {}, `The beginning of #${name}.`));
        else top.replaceChildren("Loading older messages…");
    }

    /** The first row in view and where it stands, so that rows above it may come and go. */
    function anchor() {
        const edge = scroller.getBoundingClientRect().top;
        for (const item of rows.children) {
            const { top: at, bottom } = item.getBoundingClientRect();
            if (bottom > edge) return { item, at };
        }
        return null;
    }
    function restore({ item, at }) {
        if (item.isConnected) scroller.scrollTop += item.getBoundingClientRect().top - at;
    }

    function row(message, before, bySeq) {
        const newDay = !before || day(before.ts) !== day(message.ts);
        const firstUnread = message.seq > divider && !(before?.seq > divider) && message.by !== session.state.me.id;
        const joined = before && !newDay && !firstUnread && !message.reply_to && !before.deleted && before.by === message.by
            && new Date(message.ts) - new Date(before.ts) < GROUP_MS;
        const target = message.reply_to ? (bySeq.get(message.reply_to) ?? null) : undefined;
        const look = [message.pending ?? message, newDay, firstUnread, joined, target, session.nameOf(message.by), target && session.nameOf(target.by)];
        const old = kept.get(message.key);
        if (old && look.every((it, at) => it === old.look[at])) return old.item;
        const item = old?.item ?? h("li", {});
        const focused = old && item.contains(document.activeElement);
        const article = drawArticle(message, joined, target);
        item.replaceChildren(
            ...[newDay && h("div", { class: "day" }, h("span", {}, day(message.ts))), firstUnread && h("div", { class: "new-line" }, h("span", {}, "New")), article].filter(Boolean));
        kept.set(message.key, { item, look, message });
        if (focused) article.focus({ preventScroll: true });
        return item;
    }

    function drawArticle(message, joined, target) {
        const { me, presence } = session.state;
        const name = session.nameOf(message.by);
        const mine = message.by === me.id;
        const mentioned = !mine && (message.mentions?.everyone || message.mentions?.users?.includes(me.id));
        const head = !joined && h("header", {}, h("span", { class: "author" }, name), h("time", { datetime: message.ts, title: fullTime(message.ts) }, clock(message.ts)));
        const side = joined
            ? h("time", { class: "side", datetime: message.ts, title: fullTime(message.ts), "aria-hidden": "true" }, clock(message.ts))
            : h("span", { class: "side", "data-user": message.by, "data-status": presence.get(message.by) ?? "" }, avatar(message.by, name));
        return h("article", {
            tabindex: -1, "data-key": message.key, "aria-label": `${name}, ${clock(message.ts)}`,
            class: ["message", joined && "joined", mentioned && "mentioned", message.pending && (message.pending.refusal ? "refused" : !message.pending.seq && "pending")],
        }, side, h("div", { class: "body" }, target !== undefined && replied(message, target), head, content(message), reactions(message), fate(message.pending)));
    }

    function replied(message, target) {
        const words = target ? (target.deleted ? "a deleted message" : target.text.replace(/\s+/g, " ").slice(0, 120)) : "an earlier message";
        return h("button", { type: "button", class: "replied", onclick: () => goTo(message.reply_to) },
            icon("reply"), h("span", { class: "hidden" }, "In reply to "), target && h("b", {}, session.nameOf(target.by)), h("span", {}, words));
    }

    function goTo(seq) {
        const found = [...kept.values()].find((it) => it.message.seq === seq);
        const article = found?.item.querySelector("article");
        if (!article) return;
        following = false;
        article.scrollIntoView({ block: "center" });
        article.focus({ preventScroll: true });
    }

    function content(message) {
        if (message.deleted) return h("div", { class: "text gone" }, "This message was deleted.");
        const nodes = renderText(message.text, mentionName, session.state.me.id);
        if (message.edited_at) {
            const mark = h("small", { class: "edited", title: fullTime(message.edited_at) }, " (edited)");
            nodes.at(-1)?.tagName === "P" ? nodes.at(-1).append(mark) : nodes.push(mark);
        }
        return h("div", { class: "text" }, ...nodes);
    }

    function mentionName(sigil, id) {
        if (sigil === "@") return `@${session.nameOf(id)}`;
        if (sigil === "#") return `#${session.state.roster.rooms.get(id)?.name ?? "a room"}`;
        return sigil ? "@a role" : id;
    }

    function reactions(message) {
        if (!message.reactions?.length) return null;
        return h("div", { class: "reactions" }, ...message.reactions.map(({ emoji, count, me }) =>
            h("button", { type: "button", class: "reaction", "aria-pressed": String(Boolean(me)), "aria-label": `${emoji}, ${count}`, onclick: () => actions.react(message, emoji, !me) },
                h("span", {}, emoji), h("span", {}, count))));
    }

    function fate(pending) {
        if (!pending || pending.seq) return null;
        if (!pending.refusal) return h("p", { class: "fate" }, pending.waiting ? "Will be sent when the connection is back." : h("span", { class: "hidden" }, "Sending"));
        const { retryable, message } = pending.refusal;
        return h("p", { class: "fate", role: "alert" }, `Not sent. ${message} `,
            retryable && h("button", { type: "button", class: "link", onclick: () => session.retry(pending.key) }, "Retry"),
            h("button", { type: "button", class: "link", onclick: () => actions.takeBack(pending) }, "Take back"));
    }

    // ── The toolbar and the keyboard ─────────────────────────────────────────────────────────────

    function offer(article) {
        const message = kept.get(article.dataset.key)?.message;
        if (toolbar.parentNode === article && toolbar.message === message) return;
        if (toolbar.contains(document.activeElement) && document.activeElement.matches(":focus-visible")) return;
        if (!message || message.pending || message.deleted) return toolbar.remove();
        toolbar.message = message;
        const mine = message.by === session.state.me.id;
        const react = (emoji) => h("button", { type: "button", class: "icon-button", "aria-label": `React with ${emoji}`, onclick: () => toggle(message, emoji) }, emoji);
        const more = h("div", { class: "more", hidden: true }, ...MORE.map(react));
        toolbar.replaceChildren(...[
            ...(session.can(CAN.react) ? [...QUICK.map(react), iconButton("smile", "More reactions", () => (more.hidden = !more.hidden))] : []),
            session.can(CAN.send) && iconButton("reply", "Reply", () => actions.reply(message)),
            mine && iconButton("edit", "Edit", () => actions.edit(message)),
            (mine || session.can(CAN.manageMessages)) && iconButton("trash", "Delete", () => actions.remove(message)),
            more].filter(Boolean));
        // First in the article, so that Tab from a focused message comes here before its links.
        article.prepend(toolbar);
    }

    function toggle({ key }, emoji) {
        const message = kept.get(key)?.message;
        if (message) actions.react(message, emoji, !message.reactions.find((it) => it.emoji === emoji)?.me);
    }

    /** Roving focus: Tab leads to the message that was looked at last, not through all of them. */
    rows.addEventListener("focusin", ({ target }) => {
        const article = target.closest("article");
        if (!article || article === roving) return;
        if (roving) roving.tabIndex = -1;
        article.tabIndex = 0;
        roving = article;
    });

    const under = (event) => event.target.closest?.("article");
    for (const kind of ["pointerover", "focusin"])
        rows.addEventListener(kind, (event) => under(event) && offer(under(event)));
    rows.addEventListener("pointerleave", () => !toolbar.contains(document.activeElement) && toolbar.remove());

    scroller.addEventListener("keydown", (event) => {
        if (["PageUp", "ArrowUp", "Home"].includes(event.key)) letGo();
        const all = [...rows.querySelectorAll("article")];
        const here = event.target.closest("article");
        if (event.key === "Escape" && toolbar.contains(event.target)) return here.focus();
        if (event.target !== here && event.target !== scroller) return;
        const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        const message = here && kept.get(here.dataset.key)?.message;
        if (step) {
            const next = here ? all[all.indexOf(here) + step] : all.at(-1);
            next?.focus();
            next?.scrollIntoView({ block: "nearest" });
        } else if (event.key === "End") toEnd(), all.at(-1)?.focus();
        else if (message?.seq && !message.deleted && event.key === "r") actions.reply(message);
        else if (message?.seq && event.key === "e" && message.by === session.state.me.id) actions.edit(message);
        else return;
        event.preventDefault();
    });

    return {
        node: h("div", { class: "list" }, scroller, jump),
        draw,
        toEnd,
        isFollowing: () => following,
        lastOwn: () => session.feed().messages.findLast((it) => it.by === session.state.me.id && !it.deleted),
        drawPresence() {
            for (const side of rows.querySelectorAll("[data-user]")) side.dataset.status = session.state.presence.get(side.dataset.user) ?? "";
        },
    };
}
