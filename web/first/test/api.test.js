/** Tokens: renewed in time, once, and forgotten when the server says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeApi } from "../js/api.js";

function world(answer, stored = "r1") {
    const kept = new Map(stored ? [["hubbub.refresh", stored]] : []);
    const calls = [];
    const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
    const fetch = async (path, { body, headers }) => {
        calls.push({ path, body: body && JSON.parse(body), auth: headers.authorization });
        const { status = 200, json = null } = answer(calls.at(-1), calls.length, storage);
        return { ok: status < 300, status, text: async () => (json ? JSON.stringify(json) : "") };
    };
    return { calls, storage, api: makeApi({ fetch, storage, locks: null, now: () => 0 }) };
}
const tokens = (n) => ({ json: { access_token: `a${n}`, refresh_token: `r${n}`, expires_in: 900, user: { id: "U" } } });
const refused = (status, code) => ({ status, json: { error: { code, message: code, retryable: false } } });

test("two callers share one refresh", async () => {
    const { api, calls, storage } = world(() => tokens(2));
    assert.deepEqual(await Promise.all([api.token(), api.token()]), ["a2", "a2"]);
    assert.equal(calls.length, 1);
    assert.equal(storage.getItem("hubbub.refresh"), "r2");
});

test("a call with a token that the server no longer takes is made once more with a new one", async () => {
    const { api, calls } = world(({ path, auth }) => (path.endsWith("refresh") ? tokens(calls.length) : auth === "Bearer a1" ? refused(401, "unauthorized") : { json: { fine: true } }));
    assert.deepEqual(await api.call("GET", "/v1/users/@me"), { fine: true });
    assert.deepEqual(calls.map((it) => it.auth), [undefined, "Bearer a1", undefined, "Bearer a3"]);
});

test("a refused refresh token signs out", async () => {
    const { api } = world(() => refused(401, "unauthorized"));
    await assert.rejects(api.token(), { code: "signed_out" });
    assert.equal(api.signedIn(), false);
});

test("a token that another tab replaced meanwhile is followed by its successor", async () => {
    const { api } = world(({ body }, _, storage) => {
        if (body.refresh_token === "r1") return storage.setItem("hubbub.refresh", "r5"), refused(401, "unauthorized");
        return tokens(6);
    });
    assert.equal(await api.token(), "a6");
});

test("a server that cannot be reached does not sign out", async () => {
    const { api } = world(() => { throw new TypeError("failed to fetch"); });
    await assert.rejects(api.token(), { code: "offline", retryable: true });
    assert.equal(api.signedIn(), true);
});

test("a refusal keeps its code and field, and a proxy's page is no answer", async () => {
    const { api } = world(({ path }) => (path.endsWith("login") ? { status: 400, json: { error: { code: "bad_request", message: "Too short.", field: "name" } } } : { status: 502 }), null);
    await assert.rejects(api.login({}), { code: "bad_request", field: "name", status: 400 });
    await assert.rejects(api.register({}), { code: "internal", status: 502 });
});

test("signing out forgets the tokens even when the server is away", async () => {
    const { api } = world(({ path }) => (path.endsWith("refresh") ? tokens(1) : refused(503, "unavailable")));
    await api.logout();
    assert.equal(api.signedIn(), false);
});
