/**
 * Forms: one builder for fields, errors and the busy state; the sign-in page, the set-up page and dialogs use it.
 *
 * A refusal is shown at its field when it names one, else above the button, and focus goes there.
 */

import { makeApi } from "./api.js";
import { h } from "./dom.js";

const NAME = {
    name: "name", label: "Name", autocomplete: "username", pattern: "[a-z0-9_.\\-]{3,32}", maxlength: 32,
    autocapitalize: "none", spellcheck: "false", hint: "3 to 32 of a–z, 0–9 and _ . -",
};
const NEW_PASSWORD = {
    name: "password", label: "Password", type: "password", autocomplete: "new-password", minlength: 10,
    hint: "At least 10 characters",
};

/** A form. `run(values)` may throw a refusal; `words` puts a code into friendlier words. */
export function form({ fields = [], submit, danger, run, words = {}, cancel }) {
    const inputs = new Map();
    const error = h("p", { class: "form-error", role: "alert" });
    const button = h("button", { type: "submit", class: ["primary", danger && "danger"] }, submit);
    const rows = fields.map(({ label, hint, value, name, ...rest }) => {
        const id = `field-${name}`;
        const input = h("input", { id, name, required: !rest.optional, "aria-describedby": `${id}-hint`, ...rest, optional: null });
        if (value) input.value = value;
        inputs.set(name, input);
        return h("div", { class: "field" }, h("label", { for: id }, label), input, h("p", { class: "hint", id: `${id}-hint` }, hint ?? ""));
    });
    const back = cancel && h("button", { type: "button", class: "quiet", onclick: cancel }, "Cancel");
    const node = h("form", { class: "form", onsubmit }, ...rows, error, h("div", { class: "form-actions" }, back, button));

    async function onsubmit(event) {
        event.preventDefault();
        error.textContent = "";
        button.disabled = true;
        try {
            await run(Object.fromEntries([...inputs].map(([name, input]) => [name, input.value])));
        } catch (refusal) {
            error.textContent = words[refusal.code] ?? refusal.message;
            inputs.get(refusal.field)?.focus();
        } finally {
            button.disabled = false;
        }
    }
    return node;
}

/** A modal dialog with a form; resolves when it is closed. Focus goes back to where it was. */
export function ask({ title, text, run, ...rest }) {
    return new Promise((resolve) => {
        const close = () => dialog.close();
        const body = form({ ...rest, cancel: close, run: async (values) => ((await run(values)), close()) });
        const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, h("h2", { id: "dialog-title" }, title), text && h("p", {}, text), body);
        dialog.addEventListener("close", () => (dialog.remove(), resolve()));
        document.body.append(dialog);
        dialog.showModal();
    });
}

function page(title, lead, ...body) {
    document.title = `${title} · Hubbub`;
    return h("main", { class: "gate" }, h("div", { class: "gate-inner" },
        h("span", { class: "mark", "aria-hidden": "true" }), h("h1", {}, title), h("p", { class: "lead" }, lead), ...body));
}

/** The page for people who are not signed in. `done(answer)` is called once they are. */
export function signInPage({ api, invite, notice, done }) {
    const root = h("div", { class: "gate-root" });
    const show = (view) => (root.replaceChildren(view), root.querySelector("input")?.focus());
    const link = (text, to) => h("button", { type: "button", class: "link", onclick: () => show(to()) }, text);

    const signIn = () => page("Sign in", notice ?? "Sign in to continue to your communities.",
        form({
            fields: [
                { ...NAME, hint: "", pattern: null },
                { ...NEW_PASSWORD, autocomplete: "current-password", minlength: null, hint: "" },
            ],
            submit: "Sign in",
            words: { unauthorized: "That name and password do not match." },
            run: async (values) => done(await api.login(values)),
        }),
        link(invite ? "No account yet? Use your invite" : "Have an invite? Create an account", register));

    const register = () => page("Create an account", invite ? "You are invited. Choose a name to come in." : "Choose a name. You can join communities next.",
        form({
            fields: [
                NAME, NEW_PASSWORD,
                { name: "invite", label: "Invite code", value: invite, optional: true, autocomplete: "off", hint: "Leave empty where registration is open" },
            ],
            submit: "Create account",
            words: {
                registration_closed: "Registration needs an invite here. Ask a member for a link.",
                conflict: "That name is taken.",
            },
            run: async ({ invite: code, ...values }) => done(await api.register(code.trim() ? { ...values, invite: code.trim() } : values)),
        }),
        link("Have an account? Sign in", signIn));

    show(invite ? register() : signIn());
    return root;
}

/** `/setup#TOKEN`: the link that the first start prints. It makes the owner's account and works once. */
function setUpPage() {
    const token = location.hash.slice(1);
    const api = makeApi();
    const lead = token
        ? "This node is new. Choose the name and password of its owner."
        : "Open this page with the whole link that the server printed when it first started.";
    const body = token && form({
        fields: [NAME, NEW_PASSWORD],
        submit: "Create the owner account",
        words: { not_found: "This link was used already or is not the newest one. The server prints a fresh one when it starts without an owner." },
        run: async (values) => {
            await api.setUp({ token, ...values });
            location.replace("/");
        },
    });
    return page("Welcome to Hubbub", lead, body || h("a", { href: "/" }, "Go to the sign-in page"));
}

if (globalThis.document?.body.dataset.page === "setup") {
    document.body.replaceChildren(setUpPage());
    document.querySelector("input")?.focus();
}
