/**
 * The REST side: one signed-in person, their tokens, and `call`.
 *
 * The access token lives in memory only. The refresh token lives in `localStorage`: a reload and a second tab
 * stay signed in without a cookie, which would need a CSRF secret on every request of a page this small. What
 * that costs: a script of our own origin could read it; the page's content security policy admits no foreign
 * script, message text never becomes HTML, and each use of the token replaces it.
 *
 * Invariants
 *  - at most one refresh runs at a time, over all tabs where the browser has locks;
 *  - a token is given out only when it lives for at least `TOKEN_LEFT_MS_MIN` more.
 */

const REFRESH_KEY = "hubbub.refresh";
/** An access token this near its end is renewed first: longer than any request may take. */
const TOKEN_LEFT_MS_MIN = 30_000;

/** A refusal in the contract's words, or one of ours: `offline`, `disconnected`, `timeout`, `signed_out`. */
export class Refusal extends Error {
    constructor({ code, message, retryable = false, field, retry_after_ms }, status = 0) {
        super(message || code);
        Object.assign(this, { name: "Refusal", code, retryable, field, retryAfterMs: retry_after_ms, status });
    }
}

/** Makes the page's one `api`. What meets the world is passed in, so that tests can stand in for it. */
export function makeApi({
    base = "",
    fetch = globalThis.fetch.bind(globalThis),
    storage = globalThis.localStorage,
    locks = globalThis.navigator?.locks,
    now = () => Date.now(),
} = {}) {
    let access = null;
    let expiresAt = 0;
    let refreshing = null;

    async function request(method, path, { body, token, headers } = {}) {
        let response;
        try {
            response = await fetch(base + path, {
                method,
                headers: {
                    ...(body === undefined ? {} : { "content-type": "application/json" }),
                    ...(token ? { authorization: `Bearer ${token}` } : {}),
                    ...headers,
                },
                body: body === undefined ? undefined : JSON.stringify(body),
            });
        } catch {
            throw new Refusal({ code: "offline", message: "The server cannot be reached.", retryable: true });
        }
        const answer = await response.text().then(parse);
        if (response.ok) return answer;
        const told = answer?.error ?? { code: "internal", message: `The server answered ${response.status}.` };
        throw new Refusal(told, response.status);
    }

    function keep(answer) {
        access = answer.access_token;
        expiresAt = now() + answer.expires_in * 1000;
        storage.setItem(REFRESH_KEY, answer.refresh_token);
        return answer;
    }

    function forget() {
        access = null;
        expiresAt = 0;
        storage.removeItem(REFRESH_KEY);
    }

    /** Another tab may have used the token while we asked: then its successor is tried once. */
    async function refreshStored(triedBefore = null) {
        const token = storage.getItem(REFRESH_KEY);
        if (!token || token === triedBefore) {
            forget();
            throw new Refusal({ code: "signed_out", message: "Please sign in again." }, 401);
        }
        try {
            keep(await request("POST", "/v1/auth/refresh", { body: { refresh_token: token } }));
        } catch (refusal) {
            if (refusal.status === 401) return refreshStored(token);
            throw refusal;
        }
    }

    function refresh() {
        const once = () => refreshStored();
        refreshing ??= (locks ? locks.request("hubbub.refresh", once) : once()).finally(() => (refreshing = null));
        return refreshing;
    }

    /** A usable access token; `force` asks for a new one although the old one looks good. */
    async function token({ force = false } = {}) {
        if (force || !access || expiresAt - now() < TOKEN_LEFT_MS_MIN) await refresh();
        return access;
    }

    /** One call as the signed-in person. A refused token is renewed and the call made once more. */
    async function call(method, path, body) {
        try {
            return await request(method, path, { body, token: await token() });
        } catch (refusal) {
            if (refusal.status !== 401 || refusal.code === "signed_out") throw refusal;
            return request(method, path, { body, token: await token({ force: true }) });
        }
    }

    const enter = async (path, body) => keep(await request("POST", path, { body }));

    return {
        token,
        call,
        forget,
        signedIn: () => storage.getItem(REFRESH_KEY) !== null,
        /** Milliseconds until the access token ends; 0 when there is none. */
        tokenLeftMs: () => Math.max(0, expiresAt - now()),
        login: (body) => enter("/v1/auth/login", body),
        register: (body) => enter("/v1/auth/register", body),
        setUp: (body) => enter("/v1/setup", body),
        /** What an invite leads to, for people who are not signed in yet. */
        previewInvite: (code) => request("GET", `/v1/invites/${encodeURIComponent(code)}`),
        /** Ends the session on the server when it can be reached, and here in any case. */
        async logout() {
            try {
                await call("POST", "/v1/auth/logout");
            } catch {
                // The tokens are forgotten all the same; the server's session ends with its refresh token.
            } finally {
                forget();
            }
        },
    };
}

/** An answer that is no JSON (a proxy's error page) counts as none. */
function parse(text) {
    try {
        return text ? JSON.parse(text) : null;
    } catch {
        return null;
    }
}
