/**
 * Nodes from values: elements, icons, times, and message text.
 *
 * Message text is a small Markdown, parsed in one pass to a tree (`parseText`, pure) and built as nodes
 * (`renderText`). Nothing here ever reads HTML from a string, so text can only be text.
 * In the text: `**bold**`, `*italic*`, `_italic_`, `~~struck~~`, `code`, fences, `> quotes`, http(s) links, mentions.
 */

/** An element. `on…` are listeners, booleans toggle attributes, `class` may be a list with holes. */
export function h(tag, props = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
        if (value === null || value === undefined || value === false) continue;
        if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
        else if (name === "class") node.className = [value].flat().filter(Boolean).join(" ");
        else node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat().filter((it) => it !== null && it !== undefined && it !== false));
    return node;
}

const ICONS = {
    hash: "M5 9h14M5 15h14M10 4 8 20M16 4l-2 16",
    lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
    send: "M4 12 20 4l-5 16-3-7zM12 13l8-9",
    reply: "M10 7 5 12l5 5M5 12h9a5 5 0 0 1 5 5v1",
    edit: "M5 19h3L19 8l-3-3L5 16zM14 7l3 3",
    trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
    smile: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M8.5 14.5c2 2.3 5 2.3 7 0M9 9.5v.5M15 9.5v.5",
    plus: "M12 5v14M5 12h14",
    menu: "M4 7h16M4 12h16M4 17h16",
    invite: "M10 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M3 20c0-4 3-6 7-6 2 0 3.5.5 4.5 1.3M18 14v6M15 17h6",
    leave: "M14 4H6v16h8M11 12h10M17 8l4 4-4 4",
    close: "M6 6l12 12M18 6 6 18",
    down: "M12 5v14M6 13l6 6 6-6",
};

/** A decorative icon; the control around it carries the name. */
export function icon(name) {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" }))
        svg.setAttribute(key, value);
    const path = document.createElementNS(ns, "path");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
}

/** A button that is an icon with a name. */
export function iconButton(name, label, onclick, props = {}) {
    return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

/** Initials on a hue that stays the same for one id. */
export function avatar(id, name, extra = "") {
    const hue = [...String(id)].reduce((sum, it) => (sum * 31 + it.codePointAt(0)) >>> 0, 7) % 8;
    const words = name.split(/[\s._-]+/).filter(Boolean);
    const letters = words.length > 1 ? [words[0], words[1]].map((it) => [...it][0]) : [...(words[0] ?? "?")].slice(0, 2);
    return h("span", { class: ["avatar", `hue-${hue}`, extra], "aria-hidden": "true" }, letters.join("").toUpperCase());
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
export const clock = (ts) => CLOCK.format(new Date(ts));
export const day = (ts) => DAY.format(new Date(ts));
export const fullTime = (ts) => FULL.format(new Date(ts));

// ── Message text ─────────────────────────────────────────────────────────────────────────────────

const FENCE = /^```([\w+-]{0,20})\s*$/;
/** Sticky patterns: each scans a bounded stretch, so a hostile text costs no more than a long one. */
const LINK = /\[([^[\]\n]{1,300})\]\((https?:\/\/[^\s()<>]{1,2000})\)/y;
const URL_START = /https?:\/\/[^\s<>]{1,2000}/y;
const MENTION = /<(@&|@|#)([0-9A-Z]{13})>/y;
const EVERYONE = /@(?:everyone|here)\b/y;
const MARKS = [["**", "strong"], ["~~", "del"], ["*", "em"], ["_", "em"]];

/** Blocks `{type: "p" | "quote" | "code"}` of a text. Linear in its length. */
export function parseText(text) {
    const blocks = [];
    let fence = null;
    for (const line of text.split("\n")) {
        if (fence) {
            if (line.trim() === "```") fence = null;
            else fence.lines.push(line);
            continue;
        }
        const opens = FENCE.exec(line);
        if (opens) {
            fence = { type: "code", lines: [] };
            blocks.push(fence);
            continue;
        }
        const quoted = line.startsWith("> ") || line === ">";
        const type = quoted ? "quote" : "p";
        const last = blocks.at(-1);
        const body = quoted ? line.slice(2) : line;
        if (last?.type === type) last.lines.push(body);
        else blocks.push({ type, lines: [body] });
    }
    return blocks
        .map(({ type, lines }) => ({ type, text: lines.join("\n") }))
        .filter(({ type, text: body }) => type === "code" || body.trim() !== "")
        .map(({ type, text: body }) => (type === "code" ? { type, text: body } : { type, children: parseInline(body.replace(/^\n+|\n+$/g, "")) }));
}

/** Inline nodes: strings and `{type, children | text, href, id}`. A mark that never closes stays text. */
export function parseInline(text) {
    const root = { children: [] };
    const open = [root];
    let plain = "";
    let codeEnds = true;
    const flush = () => {
        if (plain) open.at(-1).children.push(plain);
        plain = "";
    };
    const add = (node) => (flush(), open.at(-1).children.push(node));
    const match = (pattern, at) => ((pattern.lastIndex = at), pattern.exec(text));
    for (let at = 0; at < text.length; ) {
        const char = text[at];
        let found;
        if (char === "`" && codeEnds) {
            const to = text.indexOf("`", at + 1);
            codeEnds = to > 0;
            if (to > at + 1) {
                add({ type: "code", text: text.slice(at + 1, to) });
                at = to + 1;
                continue;
            }
        } else if (char === "[" && (found = match(LINK, at))) {
            add({ type: "link", href: found[2], children: [found[1]] });
            at += found[0].length;
            continue;
        } else if (char === "h" && !/\w/.test(text[at - 1] ?? " ") && (found = match(URL_START, at))) {
            const href = found[0].replace(/[.,;:!?'")\]*_~]+$/, "");
            add({ type: "link", href, children: [href] });
            at += href.length;
            continue;
        } else if (char === "<" && (found = match(MENTION, at))) {
            add({ type: "mention", sigil: found[1], id: found[2] });
            at += found[0].length;
            continue;
        } else if (char === "@" && (found = match(EVERYONE, at))) {
            add({ type: "mention", sigil: "", id: found[0] });
            at += found[0].length;
            continue;
        }
        const [mark, type] = MARKS.find(([it]) => text.startsWith(it, at)) ?? [];
        if (mark) {
            const before = text[at - 1] ?? " ";
            const after = text[at + mark.length] ?? " ";
            const level = open.findLastIndex((it) => it.mark === mark);
            const wordy = mark === "_";
            if (level > 0 && !/\s/.test(before) && !(wordy && /\w/.test(after))) {
                flush();
                while (open.length - 1 > level) unwrap(open);
                open.pop();
                at += mark.length;
                continue;
            }
            if (level < 0 && !/\s/.test(after) && !(wordy && /\w/.test(before))) {
                flush();
                const node = { type, mark, children: [] };
                open.at(-1).children.push(node);
                open.push(node);
                at += mark.length;
                continue;
            }
        }
        plain += mark ?? char;
        at += mark?.length ?? 1;
    }
    flush();
    while (open.length > 1) unwrap(open);
    return root.children;
}

/** The innermost open mark was none: its sign and children belong to what it stands in. */
function unwrap(open) {
    const { mark, children } = open.pop();
    open.at(-1).children.splice(-1, 1, mark, ...children);
}

/** The nodes of a message. `nameOf(sigil, id)` gives a mention's words; `mine` marks the reader's own. */
export function renderText(text, nameOf, me) {
    const build = (node) => {
        if (typeof node === "string") return node;
        if (node.type === "code") return h("code", {}, node.text);
        if (node.type === "mention")
            return h("span", { class: ["mention", (node.id === me || !node.sigil) && "mine"] }, nameOf(node.sigil, node.id));
        const children = node.children.map(build);
        if (node.type === "link") return h("a", { href: node.href, target: "_blank", rel: "noopener noreferrer" }, ...children);
        return h(node.type, {}, ...children);
    };
    return parseText(text).map((block) => {
        if (block.type === "code") return h("pre", { tabindex: 0 }, h("code", {}, block.text));
        return h(block.type === "quote" ? "blockquote" : "p", {}, ...block.children.map(build));
    });
}
