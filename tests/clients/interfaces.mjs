// Runs AG-UI's client and the AI SDK's chat against a server, and ends with 1 at the first surprise.
import assert from "node:assert/strict";

import { HttpAgent } from "@ag-ui/client";
import {
  AbstractChat,
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithToolCalls,
  readUIMessageStream,
} from "ai";

const headers = { Authorization: `Bearer ${process.env.API_KEY}` };
const agentURL = process.env.AGENT_URL;
const toolsURL = process.env.TOOLS_AGENT_URL;
const cutURL = process.env.CUT_AGENT_URL;
const slowURL = process.env.SLOW_AGENT_URL;
const FIRST =
  "Hello! This is a scripted answer, which no model has written. You wrote: “Hello”. It is " +
  "the first message that I have of you.";
const WANTED = 'get_weather {"city": "Paris"}';
const parameters = { type: "object", properties: { city: { type: "string" } } };
const description = "Tells the weather of a city.";

// Warnings say that something was stripped or is no longer as the protocol has it.
const complaints = [];
console.warn = (...words) => complaints.push(words.join(" "));

function agentAt(url, options = {}) {
  return new HttpAgent({ url: `${url}/ag-ui`, headers, ...options });
}

function user(content) {
  return { id: crypto.randomUUID(), role: "user", content };
}

async function agUi() {
  const agent = agentAt(agentURL);
  agent.addMessage(user("Hello"));
  const first = await agent.runAgent();
  assert.deepEqual(
    first.newMessages.map(({ role, content }) => [role, content]),
    [["assistant", FIRST]],
  );
  assert.equal(first.result.finish_reason, "stop");
  agent.addMessage(user("More"));
  const second = await agent.runAgent();
  assert.match(second.newMessages[0].content, /one earlier message of yours.*“Hello”/);
  assert.equal(second.result.session_id, first.result.session_id);
  // The id of a session is a thread, also for a page that shows nothing of it.
  const again = agentAt(agentURL, { threadId: first.result.session_id });
  again.addMessage(user("Still there?"));
  assert.match((await again.runAgent()).newMessages[0].content, /2 earlier messages/);
}

async function agUiOwnTools() {
  const agent = agentAt(toolsURL);
  agent.addMessage(user("Hello"));
  const { newMessages } = await agent.runAgent();
  const [calling, result, answer] = newMessages;
  assert.equal(calling.toolCalls[0].function.name, "current_time");
  assert.equal(calling.toolCalls[0].function.arguments, "{}");
  assert.deepEqual(JSON.parse(result.content), { status: "done" });
  assert.match(answer.content, /^The tool says: /);
  agent.addMessage(user("Again"));
  assert.equal((await agent.runAgent()).newMessages.length, 3);
}

async function agUiClientTools() {
  const agent = agentAt(agentURL);
  const tools = [{ name: "get_weather", description, parameters }];
  agent.addMessage(user(WANTED));
  const first = await agent.runAgent({ tools });
  const [call] = first.newMessages[0].toolCalls;
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
  assert.equal(first.result.finish_reason, "tool_calls");
  agent.addMessage({ id: "r", role: "tool", toolCallId: call.id, content: "Rain in Paris." });
  const second = await agent.runAgent({ tools });
  assert.equal(second.newMessages.at(-1).content, "The tool says: Rain in Paris.");
  agent.addMessage(user("Thanks"));
  const third = await agent.runAgent({ tools });
  assert.match(third.newMessages[0].content, /one earlier message/);
  assert.equal(third.result.session_id, first.result.session_id);
}

async function agUiErrors() {
  const agent = agentAt(cutURL);
  agent.addMessage(user("Hello"));
  const errors = [];
  await agent.runAgent({}, { onRunErrorEvent: ({ event }) => void errors.push(event.code) });
  assert.deepEqual(errors, ["provider_unavailable"]);
  const blank = agentAt(agentURL);
  blank.addMessage(user(" "));
  const log = console.error;
  console.error = () => {};
  await assert.rejects(blank.runAgent(), (error) => {
    assert.equal(error.status, 400);
    return JSON.parse(error.payload).code === "invalid_request";
  });
  console.error = log;
}

// What the hooks of React, Vue and Svelte keep their chat in.
class State {
  status = "ready";
  error = undefined;
  messages = [];
  pushMessage = (message) => (this.messages = [...this.messages, message]);
  popMessage = () => (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index, message) => (this.messages = this.messages.with(index, message));
  snapshot = (thing) => structuredClone(thing);
}

class Chat extends AbstractChat {
  constructor(url, options = {}) {
    const transport = new DefaultChatTransport({
      api: `${url}/ui-messages`,
      headers,
      body: options.body,
    });
    const state = Object.assign(new State(), { messages: options.messages ?? [] });
    super({ state, transport, ...options });
  }
}

const textOf = (message) =>
  message.parts.filter(({ type }) => type === "text").map(({ text }) => text).join("");

async function transport() {
  const sender = new DefaultChatTransport({ api: `${agentURL}/ui-messages`, headers });
  const messages = [{ id: "u1", role: "user", parts: [{ type: "text", text: "Hello" }] }];
  const sent = { chatId: crypto.randomUUID(), messages, trigger: "submit-message" };
  let last;
  const stream = await sender.sendMessages(sent);
  for await (const message of readUIMessageStream({ stream, terminateOnError: true })) {
    last = message;
  }
  assert.equal(textOf(last), FIRST);
  assert.equal(last.metadata.salient.finish_reason, "stop");
  assert.deepEqual(last.parts.map(({ type }) => type), ["step-start", "text"]);
  assert.equal(last.parts[1].state, "done");
}

async function chat() {
  const talk = new Chat(agentURL);
  await talk.sendMessage({ text: "Hello" });
  assert.equal(talk.status, "ready");
  assert.equal(textOf(talk.lastMessage), FIRST);
  const session = talk.lastMessage.metadata.salient.session_id;
  await talk.sendMessage({ text: "More" });
  assert.match(textOf(talk.lastMessage), /one earlier message of yours.*“Hello”/);
  await talk.regenerate();
  assert.equal(talk.messages.length, 4);
  assert.match(textOf(talk.lastMessage), /one earlier message of yours.*“Hello”/);
  await talk.sendMessage({ text: "On" });
  assert.match(textOf(talk.lastMessage), /2 earlier messages of yours.*“More”/);
  assert.equal(talk.lastMessage.metadata.salient.session_id, session);
}

async function chatOwnTools() {
  let calls = 0;
  const talk = new Chat(toolsURL, {
    onToolCall: () => void calls++,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
  });
  await talk.sendMessage({ text: "Hello" });
  const [, tool, , answer] = talk.lastMessage.parts;
  assert.equal(tool.type, "dynamic-tool");
  assert.equal(tool.toolName, "current_time");
  assert.deepEqual([tool.state, tool.input, tool.output], [
    "output-available",
    {},
    { status: "done" },
  ]);
  assert.match(answer.text, /^The tool says: /);
  assert.equal(calls, 0);
  await talk.sendMessage({ text: "Again" });
  assert.equal(talk.messages.length, 4);
}

async function chatClientTools() {
  let finish, fail;
  const finished = new Promise((...settle) => ([finish, fail] = settle));
  const talk = new Chat(agentURL, {
    body: { tools: { get_weather: { description, parameters } } },
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall: ({ toolCall }) => {
      const { toolCallId, toolName, input } = toolCall;
      void talk.addToolOutput({ tool: toolName, toolCallId, output: `Rain in ${input.city}.` });
    },
    onFinish: ({ finishReason }) => finishReason === "stop" && finish(),
    onError: (error) => fail(error),
  });
  await talk.sendMessage({ text: WANTED });
  await finished;
  assert.equal(talk.messages.length, 2);
  assert.equal(textOf(talk.lastMessage), "The tool says: Rain in Paris.");
  const session = talk.lastMessage.metadata.salient.session_id;
  await talk.sendMessage({ text: "Thanks" });
  assert.match(textOf(talk.lastMessage), /one earlier message/);
  assert.equal(talk.lastMessage.metadata.salient.session_id, session);
}

async function chatResumed() {
  const id = crypto.randomUUID();
  const left = new Chat(slowURL, { id, body: { background: true } });
  const sending = left.sendMessage({ text: "Hello" });
  while (left.status !== "streaming") await new Promise((done) => setTimeout(done, 10));
  await left.stop();
  await sending;
  assert.notEqual(textOf(left.lastMessage), FIRST);
  // The page is opened again with what it has kept.
  const again = new Chat(slowURL, { id, messages: left.messages.slice(0, 1) });
  await again.resumeStream();
  assert.equal(again.messages.length, 2);
  assert.equal(textOf(again.lastMessage), FIRST);
  await again.resumeStream();
  assert.deepEqual([again.status, again.messages.length], ["ready", 2]);
  await again.sendMessage({ text: "More" });
  assert.match(textOf(again.lastMessage), /one earlier message of yours.*“Hello”/);
}

async function chatErrors() {
  const cut = new Chat(cutURL);
  await cut.sendMessage({ text: "Hello" });
  assert.equal(cut.status, "error");
  assert.equal(JSON.parse(cut.error.message).code, "provider_unavailable");
  assert.equal(cut.lastMessage.metadata.salient.status, "partial");
  const blank = new Chat(agentURL);
  await blank.sendMessage({ text: " " });
  assert.equal(JSON.parse(blank.error.message).code, "invalid_request");
}

const cases = {
  agUi,
  agUiOwnTools,
  agUiClientTools,
  agUiErrors,
  transport,
  chat,
  chatOwnTools,
  chatClientTools,
  chatResumed,
  chatErrors,
  quiet: async () => assert.deepEqual(complaints, []),
};
const failed = [];
for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`${name}: as expected`);
  } catch (error) {
    failed.push(name);
    console.log(`${name}: ${error?.stack ?? error}`);
  }
}
process.exit(failed.length ? 1 : 0);
