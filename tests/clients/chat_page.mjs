// The chat page's own code: an answer whose connection is lost goes on, and a stopped one ends.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { AGENT_URL, API_KEY, CHAT_SCRIPT, WHOLE } = process.env;
globalThis.document = { querySelectorAll: () => [] };
const { Agent } = await import(pathToFileURL(CHAT_SCRIPT));

const realFetch = globalThis.fetch;
const calls = [];
let cutAfter = null;

/** Break the first stream off after so many bytes, as a lost connection does. */
function cut(body, bytes) {
  let left = bytes;
  return body.pipeThrough(
    new TransformStream({
      transform(part, controller) {
        if (left > 0) controller.enqueue(part.slice(0, left));
        left -= part.length;
        if (left <= 0) controller.error(new TypeError("network error"));
      },
    }),
  );
}

globalThis.fetch = async (url, { headers, ...options } = {}) => {
  calls.push(`${options.method ?? "GET"} ${url.slice(AGENT_URL.length + 1).replace(/[0-9a-f-]{36}/, "ID")}`);
  const response = await realFetch(url, { ...options, headers: { ...headers, Authorization: `Bearer ${API_KEY}` } });
  if (cutAfter === null || !url.endsWith("/stream")) return response;
  return new Response(cut(response.body, cutAfter), response);
};

async function answer(message, signal, onText = () => {}) {
  let text = "";
  let done;
  for await (const event of new Agent(AGENT_URL).ask(message, signal)) {
    if (event.name === "message") onText((text += event.data));
    if (event.name === "done") done = JSON.parse(event.data);
  }
  return { text, status: done?.status };
}

assert.deepEqual(await answer("Hello"), { text: WHOLE, status: "complete" });
assert.deepEqual(calls.splice(0), ["POST stream"]);
for (const bytes of [0, 1, 10, 37, 52, 100, 150]) {
  cutAfter = bytes;
  assert.deepEqual(await answer("Hello"), { text: WHOLE, status: "complete" }, `cut after ${bytes}`);
  assert.deepEqual(calls.splice(0), ["POST stream", "GET turns/ID/events"]);
}

cutAfter = null;
const stop = new AbortController();
await assert.rejects(answer("Hello", stop.signal, () => stop.abort()), { name: "AbortError" });
assert.deepEqual(calls, ["POST stream", "POST turns/ID/cancel"]);
