/** Message text: what it means, and that a hostile one costs no more than its length. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { parseInline, parseText } from "../js/dom.js";

/** A tree in short: `<b>` for type, children inside. */
const short = (nodes) => nodes.map((it) => (typeof it === "string" ? it : `<${it.type}>${it.text ?? it.id ?? short(it.children)}</>`)).join("");
const inline = (text) => short(parseInline(text));

test("bold, italic, struck and code", () => {
    assert.equal(inline("a **b** *c* _d_ ~~e~~ `f*g*`"), "a <strong>b</> <em>c</> <em>d</> <del>e</> <code>f*g*</>");
    assert.equal(inline("**a *b* c**"), "<strong>a <em>b</> c</>");
});

test("marks that never close, stand alone or sit inside a word stay text", () => {
    for (const text of ["2 * 3 * 4", "**open", "snake_case_name", "a ` b", "_", "** **"]) assert.equal(inline(text), text);
    assert.equal(inline("**a *b**"), "<strong>a *b</>");
});

test("only http and https become links", () => {
    assert.equal(inline("see https://a.example/x?y=1."), "see <link>https://a.example/x?y=1</>.");
    const [link] = parseInline("[here](https://a.example)");
    assert.deepEqual([link.href, link.children], ["https://a.example", ["here"]]);
    for (const text of ["[x](javascript:alert(1))", "[x](data:text/html,hi)", "javascript:alert(1)", "[x](//a.example)"]) assert.equal(inline(text), text);
});

test("tags are text", () => assert.equal(inline("<script>alert(1)</script>"), "<script>alert(1)</script>"));

test("mentions", () => {
    assert.equal(inline("<@0AXS751X00W7C> and @here"), "<mention>0AXS751X00W7C</> and <mention>@here</>");
    assert.equal(inline("<@nobody>"), "<@nobody>");
});

test("fences, quotes and paragraphs are blocks, and an open fence runs to the end", () => {
    assert.deepEqual(parseText("hi\n> q1\n> q2\n```js\n**x**\n```\nbye").map(({ type, text, children }) => [type, text ?? short(children)]),
        [["p", "hi"], ["quote", "q1\nq2"], ["code", "**x**"], ["p", "bye"]]);
    assert.deepEqual(parseText("```\na"), [{ type: "code", text: "a" }]);
});

test("no text of 8,000 characters takes long", () => {
    for (const piece of ["*", "**", "[", "`", "_a ", "**a *b ", "https://", "<@", "> ", "[a](", "~~*_", "(((h"]) {
        const text = piece.repeat(8_000 / piece.length);
        const start = performance.now();
        parseText(text);
        assert.ok(performance.now() - start < 100, `${piece} took ${performance.now() - start} ms`);
    }
});

test("nothing in the page builds HTML from strings or needs inline code", () => {
    const root = new URL("../", import.meta.url);
    for (const name of readdirSync(new URL("js/", root))) {
        const code = readFileSync(new URL(`js/${name}`, root), "utf8");
        assert.doesNotMatch(code, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|srcdoc|\.style\b/, name);
    }
    for (const name of ["index.html", "setup.html"]) {
        const html = readFileSync(new URL(name, root), "utf8");
        assert.doesNotMatch(html, /<style|style=|\son\w+=|<script(?![^>]*src=)/, name);
    }
});
