// Runs OpenAI's and Vercel's clients against a server, and ends with 1 at the first surprise.
import assert from "node:assert/strict";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";

const apiKey = process.env.API_KEY;
const baseURL = process.env.AGENT_URL;
const cutURL = process.env.CUT_AGENT_URL;
const ANSWER =
  "Hello! This is a scripted answer, which no model has written. You wrote: “Hello”. It is " +
  "the first message that I have of you.";
const parameters = { type: "object", properties: { city: { type: "string" } } };
const schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const WANTED = 'get_weather {"city": "Paris"}';

const official = (url = baseURL) => new OpenAI({ apiKey, baseURL: url, maxRetries: 0 });
const messages = [{ role: "user", content: "Hello" }];

async function completions() {
  const client = official();
  const whole = await client.chat.completions.create({ model: "bot", messages });
  assert.equal(whole.choices[0].message.content, ANSWER);
  const stream = client.chat.completions.stream({ model: "bot", messages });
  assert.equal(await stream.finalContent(), ANSWER);
  const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
  const asked = [{ role: "user", content: WANTED }];
  const first = await client.chat.completions
    .stream({ model: "bot", messages: asked, tools })
    .finalChatCompletion();
  const [call] = first.choices[0].message.tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
  const result = { role: "tool", tool_call_id: call.id, content: "Rain." };
  const second = await client.chat.completions.create({
    model: "bot",
    messages: [...asked, first.choices[0].message, result],
    tools,
  });
  assert.equal(second.choices[0].message.content, "The tool says: Rain.");
  const failing = official(cutURL).chat.completions.stream({ model: "cut", messages });
  await assert.rejects(failing.finalContent(), { code: "provider_unavailable" });
}

async function responses() {
  const client = official();
  const whole = await client.responses.create({ model: "bot", input: "Hello" });
  assert.equal(whole.output_text, ANSWER);
  const streamed = await client.responses.stream({ model: "bot", input: "Hello" }).finalResponse();
  assert.equal(streamed.output_text, ANSWER);
  const next = await client.responses.create({
    model: "bot",
    input: "More",
    previous_response_id: streamed.id,
  });
  assert.match(next.output_text, /the last one was: “Hello”/);
  const tools = [{ type: "function", name: "get_weather", parameters, strict: false }];
  const first = await client.responses
    .stream({ model: "bot", input: WANTED, tools })
    .finalResponse();
  const [call] = first.output;
  assert.deepEqual(JSON.parse(call.arguments), { city: "Paris" });
  const second = await client.responses.create({
    model: "bot",
    input: [{ type: "function_call_output", call_id: call.call_id, output: "Rain." }],
    previous_response_id: first.id,
    tools,
  });
  assert.equal(second.output_text, "The tool says: Rain.");
  const format = { type: "json_schema", name: "place", schema, strict: true };
  const parsed = await client.responses.parse({ model: "bot", input: "Hello", text: { format } });
  assert.ok("city" in JSON.parse(parsed.output_text));
  const found = await client.responses.retrieve(whole.id);
  assert.equal(found.output_text, ANSWER);
  await client.responses.delete(whole.id);
  await assert.rejects(client.responses.retrieve(whole.id), { status: 404 });
}

async function failingResponses() {
  const client = official(cutURL);
  const helper = client.responses.stream({ model: "cut", input: "Hello" });
  await assert.rejects(helper.finalResponse(), { code: "provider_unavailable" });
  const events = await client.responses.create({ model: "cut", input: "Hello", stream: true });
  const kinds = [];
  await assert.rejects(
    async () => {
      for await (const event of events) kinds.push(event.type);
    },
    { code: "provider_unavailable" },
  );
  assert.equal(kinds.at(-1), "response.failed");
}

async function vercel(model, failing) {
  const whole = await generateText({ model, prompt: "Hello" });
  assert.equal(whole.text, ANSWER);
  assert.ok(whole.usage.totalTokens > 0);
  const streamed = streamText({ model, prompt: "Hello" });
  let text = "";
  for await (const piece of streamed.textStream) text += piece;
  assert.equal(text, ANSWER);
  assert.equal(await streamed.finishReason, "stop");
  const get_weather = tool({
    description: "Tells the weather of a city.",
    inputSchema: jsonSchema(parameters),
    execute: async ({ city }) => `Rain in ${city}.`,
  });
  const more = { model, prompt: WANTED, tools: { get_weather }, stopWhen: stepCountIs(3) };
  const called = await generateText(more);
  assert.match(called.text, /The tool says: .*Rain in Paris\./);
  const streamedCall = streamText(more);
  assert.match(await streamedCall.text, /The tool says: .*Rain in Paris\./);
  assert.equal((await streamedCall.steps).length, 2);
  const history = [
    { role: "user", content: "Hello" },
    ...whole.response.messages,
    { role: "user", content: "More" },
  ];
  const next = await generateText({ model, messages: history, system: "Be kind." });
  assert.match(next.text, /the last one was: “Hello”/);
  const output = Output.object({ schema: jsonSchema(schema) });
  const shaped = await generateText({ model, prompt: "Hello", output });
  assert.ok("city" in shaped.output);
  const errors = [];
  const cut = streamText({
    model: failing,
    prompt: "Hello",
    maxRetries: 0,
    onError: ({ error }) => errors.push(error),
  });
  await cut.consumeStream();
  assert.ok(errors.length > 0, "a stream that was cut ended without an error");
}

const openai = createOpenAI({ apiKey, baseURL });
const cutOpenai = createOpenAI({ apiKey, baseURL: cutURL });
const compatible = createOpenAICompatible({
  name: "salient",
  apiKey,
  baseURL,
  supportsStructuredOutputs: true,
});
const cutCompatible = createOpenAICompatible({ name: "salient", apiKey, baseURL: cutURL });
const cases = {
  completions,
  responses,
  failingResponses,
  aiResponses: () => vercel(openai.responses("bot"), cutOpenai.responses("cut")),
  aiChat: () => vercel(openai.chat("bot"), cutOpenai.chat("cut")),
  aiCompatible: () => vercel(compatible("bot"), cutCompatible("cut")),
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
