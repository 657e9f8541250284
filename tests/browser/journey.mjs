/**
 * From an empty node to two people who talk: the first minutes of every installation, in a real browser.
 *
 * Things are found by role and name, as a person with a screen reader finds them. Every wait is for a state.
 * A console error, a page error or a content policy violation fails the journey.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [base, token] = process.argv.slice(2);
const shots = process.env.SHOTS;
const WAIT_MS = 10_000;
const PASSWORD = "correct horse battery";

const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const complaints = [];

async function person(name, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1180, height: 760 }, ...options });
    context.setDefaultTimeout(WAIT_MS);
    const page = await context.newPage();
    page.on("pageerror", (error) => complaints.push(`${name}: ${error.stack}`));
    page.on("console", (line) => {
        // A cut connection and a refused request are part of the story; the browser logs both as errors.
        if (line.type() === "error" && !/net::ERR_|Failed to load resource|WebSocket connection/.test(line.text())) complaints.push(`${name}: ${line.text()}`);
    });
    return { context, page };
}

/** Puts a switch into the page's WebSockets: `cut` drops them and refuses new ones until `mend`. */
async function withSwitch(page) {
    const sockets = new Set();
    let off = false;
    await page.routeWebSocket(/\/v1\/ws$/, (socket) => {
        if (off) return void socket.close({ code: 4012 });
        const server = socket.connectToServer();
        sockets.add(() => (server.close(), socket.close({ code: 4012 })));
    });
    return {
        async cut() {
            off = true;
            for (const drop of sockets) await drop();
            sockets.clear();
        },
        /** The browser tells its pages that the network is back; they need not sit out their wait. */
        async mend() {
            off = false;
            await page.evaluate(() => window.dispatchEvent(new Event("online")));
        },
    };
}
const step = async (name, run) => {
    const start = performance.now();
    await run();
    console.log(`ok - ${name} (${Math.round(performance.now() - start)} ms)`);
};
const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });
const log = (page) => page.getByRole("log", { name: "Messages" });
const composer = (page) => page.getByRole("textbox", { name: "Message" });
const sees = (page, text) => log(page).getByText(text, { exact: true }).waitFor();
async function write(page, text) {
    await composer(page).fill(text);
    await composer(page).press("Enter");
}
const article = (page, text) => log(page).getByRole("article").filter({ hasText: text });
async function act(page, text, name) {
    await article(page, text).hover();
    await page.getByRole("toolbar", { name: "Message actions" }).getByRole("button", { name }).click();
}

try {
    const { page: ana, context: anas } = await person("ana", { colorScheme: "light" });
    const { page: bob, context: bobs } = await person("bob", { colorScheme: "dark" });
    const network = await withSwitch(bob);
    let link;

    await step("the set-up link makes the owner's account", async () => {
        await ana.goto(`${base}/setup#${token}`);
        await shot(ana, "1-setup");
        await ana.getByLabel("Name").fill("ana");
        await ana.getByLabel("Password").fill(PASSWORD);
        await ana.getByRole("button", { name: "Create the owner account" }).click();
        await ana.getByRole("heading", { name: "Welcome" }).waitFor();
        await shot(ana, "2-welcome");
    });

    await step("a used set-up link says so", async () => {
        await bob.goto(`${base}/setup#${token}`);
        await bob.getByLabel("Name").fill("mallory");
        await bob.getByLabel("Password").fill(PASSWORD);
        await bob.getByRole("button", { name: "Create the owner account" }).click();
        await bob.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
    });

    await step("the owner makes a community and a second room", async () => {
        await ana.getByRole("main").getByRole("button", { name: "New community" }).click();
        await ana.getByRole("dialog").getByLabel("Name").fill("Rivermouth");
        await ana.getByRole("dialog").getByRole("button", { name: "Create" }).click();
        await ana.getByRole("heading", { name: "# general" }).waitFor();
        await ana.getByRole("button", { name: "New room in Rivermouth" }).click();
        await ana.getByRole("dialog").getByLabel("Name").fill("harbour");
        await ana.getByRole("dialog").getByLabel("Topic").fill("Ships and their news");
        await ana.getByRole("dialog").getByRole("button", { name: "Create" }).click();
        await ana.getByRole("heading", { name: "# harbour" }).waitFor();
        await ana.getByRole("link", { name: "general" }).click();
        await ana.getByRole("heading", { name: "# general" }).waitFor();
    });

    await step("an invite link brings a second person in", async () => {
        await ana.getByRole("button", { name: "Invite people to Rivermouth" }).click();
        link = await ana.getByLabel("Invite link").inputValue();
        await ana.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
        await bob.goto(link);
        await bob.getByLabel("Name").fill("bob");
        await bob.getByLabel("Password").fill(PASSWORD);
        await shot(bob, "3-register-dark");
        await bob.getByRole("button", { name: "Create account" }).click();
        await bob.getByRole("link", { name: "general" }).click();
        await bob.getByRole("heading", { name: "# general" }).waitFor();
        await log(bob).getByText("This is #general.").waitFor();
    });

    await step("two people talk, live and in order", async () => {
        await write(ana, "Welcome to the **river**, see https://example.org/map");
        await bob.getByRole("link", { name: "https://example.org/map" }).waitFor();
        assert.equal(await log(bob).locator("strong", { hasText: "river" }).count(), 1);
        await composer(bob).pressSequentially("Hi");
        await ana.getByText("bob is typing").waitFor();
        await write(bob, "Hi <b>ana</b>");
        await sees(ana, "Hi <b>ana</b>");
        for (let n = 1; n <= 20; n++) await write(n % 2 ? ana : bob, `line ${n}`);
        for (const page of [ana, bob]) {
            await sees(page, "line 20");
            await sees(page, "line 19");
        }
        const order = (page) => log(page).getByRole("article").locator(".text").allTextContents();
        assert.deepEqual(await order(ana), await order(bob), "both see one order");
    });

    await step("replies, reactions, edits and deletions reach the other", async () => {
        await act(bob, "Welcome to the", "Reply");
        await write(bob, "What a view");
        await article(ana, "What a view").getByRole("button", { name: "In reply to" }).waitFor();
        await act(ana, "What a view", "React with 👍");
        await article(bob, "What a view").getByRole("button", { name: "👍, 1" }).click();
        await article(ana, "What a view").getByRole("button", { name: "👍, 2" }).click();
        await article(bob, "What a view").getByRole("button", { name: "👍, 1" }).waitFor();
        await composer(bob).press("ArrowUp");
        await write(bob, "What a view!");
        await article(ana, "What a view!").getByText("(edited)").waitFor();
        await act(ana, "line 19", "Delete");
        await ana.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
        await log(bob).getByText("This message was deleted.").waitFor();
    });

    await step("a message in another room shows as unread, and is read by opening it", async () => {
        await ana.getByRole("link", { name: "harbour" }).click();
        await ana.getByRole("heading", { name: "# harbour" }).waitFor();
        await write(ana, "A ship came in");
        await bob.getByRole("link", { name: /harbour.*unread/ }).click();
        await sees(bob, "A ship came in");
        await bob.getByRole("link", { name: "harbour", exact: true }).waitFor();
    });

    await step("a reload stays signed in, in the same room, with everything in it", async () => {
        await ana.getByRole("link", { name: "general" }).click();
        await sees(ana, "line 20");
        await ana.reload();
        await ana.getByRole("heading", { name: "# general" }).waitFor();
        await sees(ana, "line 20");
        await article(ana, "What a view!").getByText("(edited)").waitFor();
    });

    await step("what is written while the network is away is sent once when it is back", async () => {
        await bob.getByRole("link", { name: "general" }).click();
        await sees(bob, "line 20");
        await network.cut();
        await write(bob, "from the tunnel");
        await log(bob).getByText("Will be sent when the connection is back.").waitFor();
        await write(ana, "meanwhile outside");
        await bob.getByText(/^Reconnecting/).waitFor();
        await shot(bob, "4-offline-dark");
        await network.mend();
        await sees(bob, "meanwhile outside");
        await sees(ana, "from the tunnel");
        await log(bob).getByText("Will be sent when the connection is back.").waitFor({ state: "detached" });
        for (const page of [ana, bob]) assert.equal(await log(page).getByText("from the tunnel", { exact: true }).count(), 1);
    });

    await step("older messages come as the reader scrolls up", async () => {
        for (let n = 0; n < 90; n++) await write(ana, `page ${n}`);
        await sees(bob, "page 89");
        await bob.reload();
        await sees(bob, "page 89");
        assert.equal(await log(bob).getByText("line 2", { exact: true }).count(), 0, "the first page is not the whole room");
        await log(bob).hover();
        for (let turn = 0; turn < 60 && !(await log(bob).getByText("The beginning of #general.").count()); turn++) {
            await bob.mouse.wheel(0, -600);
            await bob.waitForTimeout(50);
        }
        await sees(bob, "line 2");
    });

    await step("the page is good to look at, wide and narrow, light and dark", async () => {
        await write(ana, "> The tide table moved\nIt is `tides.csv` now:\n```\nhigh  06:12\nlow   12:31\n```\n*Enjoy* the ~~mud~~ beach");
        await article(ana, "tides.csv").waitFor();
        await act(bob, "tides.csv", "React with ❤️").catch(() => {});
        await shot(ana, "5-chat-light");
        await shot(bob, "6-scrolled-dark");
        await bob.reload();
        await article(bob, "tides.csv").waitFor();
        await shot(bob, "7-chat-dark");
        for (const [page, name] of [[ana, "8-narrow-light"], [bob, "9-narrow-dark"]]) {
            await page.setViewportSize({ width: 390, height: 844 });
            await article(page, "tides.csv").waitFor();
            await page.getByRole("button", { name: "Sign out" }).waitFor({ state: "hidden" });
            await shot(page, name);
            const wide = await page.evaluate(() => document.documentElement.scrollWidth);
            assert.ok(wide <= 390, `the page is ${wide} px wide`);
        }
        await ana.getByRole("button", { name: "Rooms", exact: true }).click();
        await ana.getByRole("link", { name: "harbour" }).waitFor();
        await ana.waitForFunction(() => document.getAnimations().length === 0);
        await shot(ana, "10-drawer-light");
        await ana.getByRole("link", { name: "harbour" }).click();
        await sees(ana, "A ship came in");
    });

    await step("the keyboard alone reaches a message and its actions", async () => {
        await bob.setViewportSize({ width: 1180, height: 760 });
        await log(bob).focus();
        await bob.keyboard.press("ArrowUp");
        assert.equal(await bob.evaluate(() => document.activeElement.tagName), "ARTICLE");
        await bob.keyboard.press("Tab");
        assert.ok(await bob.evaluate(() => document.activeElement.closest("[role=toolbar]") !== null));
        await bob.keyboard.press("Shift+Tab");
        await bob.keyboard.press("r");
        await bob.getByText(/^Replying to/).waitFor();
        await bob.keyboard.press("Escape");
    });

    await step("signing out ends the session here", async () => {
        await bob.getByRole("button", { name: "Sign out" }).click();
        await bob.getByRole("heading", { name: "Sign in" }).waitFor();
        await bob.reload();
        await bob.getByLabel("Name").fill("bob");
        await bob.getByLabel("Password").fill("not the password");
        await bob.getByRole("button", { name: "Sign in", exact: true }).click();
        await bob.getByText("That name and password do not match.").waitFor();
        await bob.getByLabel("Password").fill(PASSWORD);
        await bob.getByRole("button", { name: "Sign in", exact: true }).click();
        await bob.getByRole("heading", { name: /^# / }).waitFor();
    });

    assert.deepEqual(complaints, []);
    await Promise.all([anas.close(), bobs.close()]);
    console.log("the journey is complete");
} catch (error) {
    for (const context of browser.contexts())
        for (const [at, page] of context.pages().entries()) await shot(page, `failed-${browser.contexts().indexOf(context)}-${at}`).catch(() => {});
    console.error(complaints.join("\n"));
    throw error;
} finally {
    await browser.close();
}
