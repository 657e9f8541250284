/**
 * The page: sign in, then the shell of rooms, messages and composer around one session.
 *
 * Everything is drawn from the session's state, at most once a frame and part by part.
 */

import { makeApi } from "./api.js";
import { avatar, h, iconButton } from "./dom.js";
import { ask, signInPage } from "./forms.js";
import { messageList } from "./messages.js";
import { mentionCount, roomList } from "./rooms.js";
import { startSession } from "./session.js";

/** A reconnect shorter than this is nobody's business. */
const BANNER_AFTER_MS = 2_000;
const AWAY = "Reconnecting… What you write is sent when the connection is back.";
/** Spoken news at most this often. */
const ANNOUNCE_MS = 2_000;
const SEND_BIT = 1;
const api = makeApi();

function gate(notice) {
    const invite = new URLSearchParams(location.search).get("invite") ?? "";
    document.body.replaceChildren(signInPage({ api, invite, notice, done: () => chat() }));
}

function chat() {
    const parts = new Set();
    let editing = null;
    let replyTo = null;
    let bannerTimer = null;
    let awayTimer = null;
    const session = startSession({
        api,
        url: `${location.origin.replace(/^http/, "ws")}/v1/ws`,
        changed(part) {
            if (!parts.size) requestAnimationFrame(draw);
            parts.add(part);
        },
        ended: (refusal) => leave(refusal.message),
    });
    const { state } = session;

    // ── The shell ────────────────────────────────────────────────────────────────────────────────

    const sidebar = roomList({ onOpen: (room) => go(room), onNewRoom: newRoom, onNewCommunity: newCommunity, onInvite: invite });
    const person = h("div", { class: "person" });
    const aside = h("div", { class: "sidebar", id: "sidebar" },
        h("div", { class: "brand" }, h("span", { class: "mark", "aria-hidden": "true" }), "Hubbub"), sidebar.node, person);
    const menu = iconButton("menu", "Rooms", () => drawer(), { class: "icon-button menu", "aria-expanded": "false", "aria-controls": "sidebar" });
    const title = h("h1", {});
    const topic = h("span", { class: "topic" });
    const banner = h("p", { class: "banner", role: "alert", hidden: true });
    const typing = h("p", { class: "typing" });
    const spoken = h("p", { class: "hidden", "aria-live": "polite" });
    const list = messageList(session, {
        reply: (message) => ((replyTo = message), (editing = null), drawContext(), input.focus()),
        edit: startEdit,
        remove: (message) => ask({
            title: "Delete this message?", text: message.text.slice(0, 200), submit: "Delete", danger: true,
            run: () => session.remove(message.seq),
        }),
        react: (message, emoji, on) => session.react(message.seq, emoji, on).catch((refusal) => say(refusal.message)),
        takeBack(pending) {
            session.discard(pending.key);
            input.value = input.value ? `${input.value}\n${pending.text}` : pending.text;
            input.focus();
        },
        atEnd: readNow,
    });
    const context = h("div", { class: "context", hidden: true });
    const input = h("textarea", { rows: 1, id: "composer", "aria-label": "Message", autocomplete: "off", oninput, onkeydown });
    const count = h("span", { class: "count", role: "status" });
    const sendButton = iconButton("send", "Send", submit, { class: "icon-button send" });
    const composer = h("form", { class: "composer", onsubmit: (event) => (event.preventDefault(), submit()) },
        context, h("div", { class: "composer-row" }, input, count, sendButton));
    const room = h("div", { class: "room-view" },
        h("header", { class: "room-head" }, menu, title, topic), banner, list.node, composer, typing);
    const welcome = h("div", { class: "welcome" });
    const main = h("main", {}, room, welcome);
    document.body.replaceChildren(
        h("a", { href: "#composer", class: "skip", onclick: (event) => (event.preventDefault(), input.focus()) }, "Skip to the composer"),
        h("div", { class: "shell" }, aside, h("div", { class: "shade", onclick: () => drawer(false) }), main), spoken);

    function draw() {
        const now = new Set(parts);
        parts.clear();
        if (now.has("open")) openFirst();
        if (now.has("rooms") || now.has("open")) drawRooms();
        if (state.me && ["feed", "people", "open", "rooms"].some((it) => now.has(it)) && state.open) drawFeed();
        if (now.has("presence")) list.drawPresence();
        if (now.has("typing") || now.has("people")) drawTyping();
        if (now.has("connection")) drawConnection();
        if (now.has("people") || now.has("rooms")) drawPerson();
    }

    function openFirst() {
        if (state.open || !state.me) return;
        const wanted = location.hash.slice(1) || localStorage.getItem("hubbub.room");
        const first = state.roster.rooms.has(wanted) ? wanted : state.roster.rooms.keys().next().value;
        if (first) void go(first);
    }

    async function go(id) {
        drawer(false);
        if (id === state.open) return;
        history.replaceState(null, "", `#${id}`);
        localStorage.setItem("hubbub.room", id);
        drafts.set(state.open, input.value);
        input.value = drafts.get(id) ?? "";
        editing = replyTo = null;
        drawContext();
        void session.open(id);
        if (matchMedia("(hover: hover)").matches) input.focus();
    }
    const drafts = new Map();

    function drawRooms() {
        sidebar.draw(state.roster, state.open);
        const here = state.roster.rooms.get(state.open);
        const mentions = mentionCount(state.roster);
        document.title = `${mentions ? `(${mentions}) ` : ""}${here ? `#${here.name} · ` : ""}Hubbub`;
        title.textContent = here ? `# ${here.name}` : "";
        topic.textContent = here?.topic ?? "";
        input.placeholder = here ? `Message #${here.name}` : "";
        if (state.open && !here && state.me) (state.open = null), openFirst();
        room.hidden = !state.open;
        welcome.hidden = Boolean(state.open) || !state.me;
        if (!welcome.hidden) welcome.replaceChildren(h("h1", {}, state.roster.communities.size ? "No room here yet" : "Welcome"),
            h("p", {}, state.roster.communities.size ? "Make the first room of your community." : "A community is a group of people with rooms to talk in. Make one, or open an invite link someone sent you."),
            h("button", { type: "button", class: "primary", onclick: () => (state.roster.communities.size ? newRoom([...state.roster.communities.values()][0]) : newCommunity()) },
                state.roster.communities.size ? "New room" : "New community"));
    }

    let lastSpoken = 0;
    function drawFeed() {
        list.draw();
        session.watchPeople();
        const last = session.feed().messages.at(-1);
        if (last && last.by !== state.me.id && last.seq > lastSpoken && lastSpoken) announce(`${session.nameOf(last.by)}: ${last.text.slice(0, 200)}`);
        lastSpoken = Math.max(lastSpoken, last?.seq ?? 0);
        if (list.isFollowing() && !document.hidden) session.trim();
        const silent = session.feed().loaded && !session.can(SEND_BIT);
        input.disabled = silent;
        if (silent) input.placeholder = "You can read here, but not write.";
        oninput({});
    }

    let announceAt = 0;
    function announce(text) {
        if (Date.now() - announceAt < ANNOUNCE_MS) return;
        announceAt = Date.now();
        spoken.textContent = text;
    }
    const say = (text) => ((spoken.textContent = text), showBanner(text, 4_000));

    function drawTyping() {
        const names = [...state.typing].filter(([, until]) => until > Date.now()).map(([id]) => session.nameOf(id)).slice(0, 3);
        typing.textContent = names.length ? `${names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)} are` : `${names[0]} is`} typing` : "";
        typing.classList.toggle("on", names.length > 0);
        if (names.length) setTimeout(drawTyping, 1_000);
    }

    function drawPerson() {
        if (!state.me) return;
        const name = session.nameOf(state.me.id);
        person.replaceChildren(avatar(state.me.id, name), h("span", { class: "person-name" }, name), iconButton("leave", "Sign out", signOut));
    }

    /** Counted from the loss, not from the last attempt. A passing notice never hides that we are away. */
    function drawConnection() {
        const away = state.connection !== "ready";
        if (away === (awayTimer !== null)) return;
        clearTimeout(awayTimer);
        awayTimer = away ? setTimeout(() => showBanner(AWAY), BANNER_AFTER_MS) : null;
        if (!away) banner.hidden = true;
    }
    function showBanner(text, ms) {
        clearTimeout(bannerTimer);
        banner.textContent = text;
        banner.hidden = false;
        if (ms) bannerTimer = setTimeout(() => (awayTimer === null ? (banner.hidden = true) : showBanner(AWAY)), ms);
    }

    /** Only someone who is looking at the end of the room has read it. */
    function readNow() {
        if (!document.hidden && document.hasFocus() && list.isFollowing()) session.read();
    }

    function drawer(open = !aside.classList.contains("open")) {
        aside.classList.toggle("open", open);
        menu.setAttribute("aria-expanded", String(open));
    }

    // ── The composer ─────────────────────────────────────────────────────────────────────────────

    function oninput(event) {
        const left = state.limits.text_chars - [...input.value].length;
        count.textContent = left < 500 ? String(left) : "";
        count.classList.toggle("over", left < 0);
        sendButton.disabled = left < 0 || !input.value.trim() || input.disabled;
        if (event.type === "input" && input.value && !editing) session.typing();
    }

    function onkeydown(event) {
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) (event.preventDefault(), submit());
        else if (event.key === "Escape" && (editing || replyTo)) stopContext();
        else if (event.key === "ArrowUp" && !input.value && list.lastOwn()) (event.preventDefault(), startEdit(list.lastOwn()));
    }

    async function submit() {
        const text = input.value;
        if (sendButton.disabled || !state.open) return;
        const { seq } = editing ?? {};
        const reply = replyTo?.seq;
        input.value = "";
        stopContext();
        if (!seq) {
            list.toEnd();
            return void session.send(text, reply);
        }
        try {
            await session.edit(seq, text);
        } catch (refusal) {
            say(`Not edited. ${refusal.message}`);
        }
    }

    function startEdit(message) {
        editing = message;
        replyTo = null;
        input.value = message.text;
        drawContext();
        input.focus();
    }
    function stopContext() {
        if (editing) input.value = "";
        editing = replyTo = null;
        drawContext();
        input.focus();
    }
    function drawContext() {
        context.hidden = !editing && !replyTo;
        if (!context.hidden) context.replaceChildren(
            h("span", {}, editing ? "Editing your message" : `Replying to ${session.nameOf(replyTo.by)}: ${replyTo.text.slice(0, 80)}`),
            iconButton("close", "Cancel", stopContext));
        oninput({});
    }

    // ── Communities ──────────────────────────────────────────────────────────────────────────────

    const NAMED = { name: "name", label: "Name", maxlength: 100, autocomplete: "off" };

    async function enterCommunity(id) {
        await session.loadCommunity(id);
        const first = [...state.roster.rooms.values()].find((it) => it.community === id);
        if (first) await go(first.id);
    }
    function newCommunity() {
        return ask({
            title: "New community", text: "It starts with one room, general.", fields: [NAMED], submit: "Create",
            run: async ({ name }) => enterCommunity((await api.call("POST", "/v1/communities", { name: name.trim() })).id),
        });
    }
    function newRoom({ id, name: community }) {
        return ask({
            title: `New room in ${community}`, fields: [NAMED, { name: "topic", label: "Topic", optional: true, maxlength: 500, autocomplete: "off" }], submit: "Create",
            run: async ({ name, topic: about }) => {
                const made = await api.call("POST", `/v1/communities/${id}/rooms`, { name: name.trim(), ...(about.trim() ? { topic: about.trim() } : {}) });
                await session.loadCommunity(id);
                await go(made.id);
            },
        });
    }
    async function invite({ id, name }) {
        try {
            const { code } = await api.call("POST", `/v1/communities/${id}/invites`, {});
            const value = `${location.origin}/?invite=${encodeURIComponent(code)}`;
            await ask({
                title: `Invite people to ${name}`, text: "Whoever opens this link can join.", submit: "Copy and close",
                fields: [{ name: "link", label: "Invite link", value, readonly: true }],
                run: async () => navigator.clipboard?.writeText(value),
            });
        } catch (refusal) {
            say(refusal.message);
        }
    }
    /** An invite in the address of someone who has an account already, or came in by it without being placed. */
    async function acceptInvite() {
        const code = new URLSearchParams(location.search).get("invite");
        if (!code) return;
        history.replaceState(null, "", location.pathname + location.hash);
        try {
            const { community } = await api.call("POST", `/v1/invites/${encodeURIComponent(code)}`, {});
            await enterCommunity(community.id ?? community);
        } catch (refusal) {
            // A new account is placed by registering; its invite may have been for one person only.
            if (!state.roster.communities.size) say(refusal.code === "not_found" ? "That invite has ended." : refusal.message);
        }
    }

    // ── Leaving ──────────────────────────────────────────────────────────────────────────────────

    const gone = new AbortController();
    const listen = (target, type, run) => target.addEventListener(type, run, { signal: gone.signal });
    listen(window, "online", () => session.wake());
    listen(document, "visibilitychange", () => !document.hidden && (session.wake(), readNow()));
    listen(window, "focus", readNow);
    listen(window, "storage", () => !api.signedIn() && leave());
    listen(window, "hashchange", () => state.roster.rooms.has(location.hash.slice(1)) && go(location.hash.slice(1)));
    listen(window, "beforeunload", (event) => session.feed().outgoing.some((it) => !it.seq) && event.preventDefault());
    void waitForMe().then(acceptInvite);

    async function waitForMe() {
        while (!state.me) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    async function signOut() {
        session.close();
        await api.logout();
        leave();
    }
    function leave(notice) {
        gone.abort();
        session.close();
        api.forget();
        gate(notice);
    }
}

if (api.signedIn()) chat();
else gate();
