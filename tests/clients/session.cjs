// Holds one MCP session of a TypeScript SDK with mcp-server, with the steps of session.py. Prints
// the SDK, then each step that passed.
//
// usage: NODE_PATH=… node session.cjs PACKAGE MCP_SERVER|URL
//
// PACKAGE is @modelcontextprotocol/sdk, or @modelcontextprotocol/client, which is version 2.

const assert = require("node:assert");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const FACT = "Dana is allergic to peanuts and shellfish.";
const OTHER = "The orders_v2 table replaced orders in March; its owner is the checkout team.";
// Has no word of the fact, so only the vectors find it.
const QUESTION = "Which foods make a colleague sick?";
// Number of results that a recall asks for.
const LIMIT = 3;
// Milliseconds until everything is embedded.
const PATIENCE = 60_000;
const TOOLS = ["fetch", "index_status", "memory_forget", "memory_manage", "memory_recall", "memory_remember", "save", "search"];

// The classes of both packages have the same names.
function load(name) {
    const version = JSON.parse(fs.readFileSync(path.join(process.env.NODE_PATH, name, "package.json"))).version;
    const parts = name.endsWith("/sdk")
        ? ["client/index.js", "client/stdio.js", "client/streamableHttp.js"].map((part) => `${name}/${part}`)
        : [name, `${name}/stdio`];
    return Object.assign({ version }, ...parts.map(require));
}

async function tools(client) {
    const names = (await client.listTools()).tools.map((tool) => tool.name);
    assert.deepStrictEqual(names.sort(), TOOLS);
}

// Calls a tool that must succeed, and returns its structured answer.
async function call(client, name, args) {
    const result = await client.callTool({ name, arguments: args });
    assert(!result.isError, JSON.stringify(result));
    return result.structuredContent;
}

const STEPS = {
    list_tools: tools,

    async remember(client, seen) {
        for (const content of [OTHER, FACT]) {
            const kept = await call(client, "memory_remember", { content, tags: ["e2e"] });
            assert(["created", "unchanged"].includes(kept.stored), JSON.stringify(kept));
            seen.memory = kept.id;
        }
    },

    async recall(client) {
        const deadline = Date.now() + PATIENCE;
        while ((await call(client, "index_status", {})).coverage < 1) {
            assert(Date.now() < deadline, "the memories are not embedded");
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
        const found = await call(client, "memory_recall", { query: QUESTION, limit: LIMIT });
        assert(found.memories[0]?.content === FACT && !found.degraded, JSON.stringify(found));
    },

    async recall_with_text_for_a_number(client) {
        const found = await call(client, "memory_recall", { query: QUESTION, limit: "1" });
        assert.deepStrictEqual(found.memories.map((memory) => memory.content), [FACT]);
    },

    async search(client) {
        await call(client, "save", { title: "Lunch menu", content: "Monday: soup. Tuesday: noodles.", kind: "document" });
        const found = await call(client, "search", { query: "noodles on Tuesday", kinds: ["document"] });
        assert.deepStrictEqual(found.results.map((result) => result.title), ["Lunch menu"]);
        const whole = await call(client, "fetch", { id: found.results[0].id });
        assert.match(whole.text, /noodles/);
    },

    async read_resource(client, seen) {
        const { contents } = await client.readResource({ uri: `memory://${seen.memory}` });
        assert(contents[0].text.includes(FACT), contents[0].text);
    },

    async get_prompt(client) {
        await call(client, "save", { title: "Weekly summary", content: "Summarize {topic} in one paragraph.", kind: "prompt" });
        const prompts = (await client.listPrompts()).prompts.filter((prompt) => prompt.name.startsWith("weekly_summary"));
        assert.strictEqual(prompts.length, 1);
        const { messages } = await client.getPrompt({ name: prompts[0].name, arguments: { topic: "billing" } });
        assert.match(messages[0].content.text, /Summarize billing in one paragraph\./);
    },

    async see_the_error(client) {
        const refused = await client.callTool({ name: "memory_recall", arguments: { query: QUESTION, limit: 1000 } });
        assert.strictEqual(refused.isError, true);
        assert.match(refused.content[0].text, /limit.*100/);
        // The session goes on.
        await tools(client);
    },
};

async function main([name, server]) {
    const sdk = load(name);
    console.log(`${name} ${sdk.version}`);
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "session-"));
    const code = path.join(folder, "code");
    const isHttp = server.startsWith("http:");
    // The shell notes the exit code of the server, which no client tells.
    const args = ["-c", '"$0"; echo $? > "$1"', server, code];
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => key.startsWith("PGRECALL_")));
    const transport = isHttp
        ? new sdk.StreamableHTTPClientTransport(new URL(server))
        : new sdk.StdioClientTransport({ command: "sh", args, env });
    // Version 1 ignores the option, and speaks the older revisions of the protocol.
    const client = new sdk.Client({ name: "session", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
    await client.connect(transport);
    assert.strictEqual(client.getServerVersion().name, "pgrecall");
    assert.strictEqual(client.getNegotiatedProtocolVersion?.(), name.endsWith("/sdk") ? undefined : "2026-07-28");
    console.log("connect");
    const seen = {};
    for (const [step, run] of Object.entries(STEPS)) {
        await run(client, seen);
        console.log(step);
    }
    await client.close();
    const ended = isHttp ? "0\n" : fs.existsSync(code) ? fs.readFileSync(code, "utf8") : "killed";
    fs.rmSync(folder, { recursive: true });
    assert.strictEqual(ended, "0\n", `the server's exit code: ${ended}`);
    console.log("close");
}

main(process.argv.slice(2)).catch((error) => {
    console.error(error);
    process.exit(1);
});
