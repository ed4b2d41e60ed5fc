// The playground and the test chats of the admin: real turns over the public API, with a token
// that lasts for minutes. No dependency; texts become DOM nodes and never HTML.

function node(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const badge = (state, text) => node("span", { className: `badge ${state}` }, text);
const link = (href, text) => node("a", { href }, text);
const parts = (root) => Object.fromEntries([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
const two = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
const SECOND = 1000;
const MINUTE = 59950;

/** Write US dollars as salient/formatting.py does: cents, or two digits that are something. */
function dollars(text) {
  if (text === null) return "unknown";
  const value = Number(text);
  if (!value || value >= 0.01) return `$${value.toLocaleString("en", two)}`;
  return `$${value.toFixed(1 - Math.floor(Math.log10(value)))}`;
}

/** Write milliseconds as salient/formatting.py does. */
function duration(ms) {
  if (ms === null) return "\u2013";
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) return `${(ms / SECOND).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const STATES = { complete: "ok", partial: "warn", cancelled: "warn", error: "bad" };

// --- The API ----------------------------------------------------------------

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  return new Error(problem.detail ?? `The server answered with status ${response.status}.`);
}

/** Return a new token for each message, so that a lost right ends the conversation at once. */
async function mint(root, draft) {
  const form = new FormData();
  if (draft) form.set("draft", "1");
  const headers = { "X-CSRFToken": root.querySelector("[name=csrfmiddlewaretoken]").value };
  const response = await fetch(root.dataset.token, { method: "POST", body: form, headers });
  if (!response.ok) throw await problemOf(response);
  return (await response.json()).token;
}

function parse(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^(\w*):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
  }
  return data.length ? { name, data: data.join("\n") } : null;
}

async function* events(root, route, body, { draft, signal }) {
  const token = await mint(root, draft);
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const response = await fetch(`${root.dataset.api}/${route}`, { method: "POST", body: JSON.stringify(body), headers, signal });
  if (!response.ok) throw await problemOf(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (rest + part.value).split("\n\n");
    rest = blocks.pop();
    yield* blocks.map(parse).filter(Boolean);
  }
}

// --- One conversation -------------------------------------------------------

class Column {
  constructor(playground, name, draft) {
    Object.assign(this, { playground, name, draft });
    this.element = playground.root.querySelector("template").content.firstElementChild.cloneNode(true);
    this.parts = parts(this.element);
    this.element.querySelector("h2").textContent = name;
    this.parts.log.setAttribute("aria-label", `Conversation with ${name.toLowerCase()}`);
    this.begin();
  }

  begin() {
    this.session = null;
    this.parts.run.hidden = true;
    this.parts.log.replaceChildren();
  }

  show(...elements) {
    this.parts.log.append(...elements);
    this.parts.log.scrollTop = this.parts.log.scrollHeight;
  }

  bubble(who, ...children) {
    const content = node("div", { className: "content" }, ...children);
    const made = node("div", { className: `entry ${who === "User" ? "human" : "assistant"}` }, node("p", { className: "who" }, who), content);
    this.show(made);
    return { made, content };
  }

  async ask(text, signal) {
    this.bubble("User", text);
    const answer = new Answer(this, this.bubble("Assistant"));
    const body = this.session ? { message: text, session_id: this.session } : { message: text };
    try {
      for await (const event of events(this.playground.root, "stream", body, { draft: this.draft, signal })) answer.take(event);
      if (!answer.done) throw new Error("The connection was lost before the end.");
    } catch (error) {
      answer.fail(error.name === "AbortError" ? "Stopped. The answer so far is stored and paid for." : error.message);
    }
    answer.draw();
    return answer;
  }

  /** Show the turn's cost, latency and links. */
  showRun(done) {
    const { usage, cost } = done;
    const { requests, sessions, versions, chats } = this.playground.root.dataset;
    const about = usage.estimated ? "about " : "";
    const cached = usage.cached_tokens ? ` (${usage.cached_tokens} cached)` : "";
    const facts = {
      Status: badge(STATES[done.status] ?? "info", done.status),
      "Finish reason": done.finish_reason ?? "\u2013",
      Model: done.model,
      Version: link(`${versions}?q=${done.config_version}`, done.config_version),
      "First token": duration(done.time_to_first_token_ms),
      Latency: duration(done.latency_ms),
      Tokens: `${about}${usage.input_tokens} read${cached}, ${usage.output_tokens} written`,
      "Model calls": usage.requests,
      Cost: `${dollars(cost.total)} (${cost.source})`,
    };
    this.parts.facts.replaceChildren(...Object.entries(facts).map(([name, value]) => node("div", {}, node("dt", {}, name), node("dd", {}, value))));
    this.parts.links.replaceChildren(
      node("li", {}, link(`${requests}${done.llm_request_id}/change/`, "LLM request")),
      node("li", {}, link(`${sessions}${done.session_id}/change/`, "Session")),
      node("li", {}, link(`${chats}from-session/${done.session_id}/`, "Make a test chat of this")),
    );
    this.parts.run.hidden = false;
    this.sections(done.llm_request_id);
  }

  async sections(request) {
    const { sections } = this.parts;
    sections.replaceChildren("…");
    const response = await fetch(`${this.playground.root.dataset.chats}sections/${request}/`).catch(() => null);
    const found = response?.ok ? (await response.json()).sections : [];
    if (!found.length) sections.replaceChildren(node("p", { className: "quiet" }, "The prompt is not known."));
    else sections.replaceChildren(this.list(found));
  }

  list(found) {
    const whole = found.reduce((sum, { bytes }) => sum + bytes, 0) || 1;
    const items = found.map(({ name, source, bytes, tokens, text }) => {
      const label = text === null ? name : node("details", {}, node("summary", {}, name), node("pre", {}, text));
      const bar = node("progress", { className: "plain", max: whole, value: bytes });
      bar.setAttribute("aria-label", `${name}: share of the prompt`);
      return node("li", {}, label, " ", node("span", { className: "quiet" }, `${source} · ${bytes} bytes · about ${tokens} tokens`), bar);
    });
    return node("ul", { className: "prompt-sections" }, ...items);
  }
}

/** An answer that is being written: its text, and its tool calls, folded. */
class Answer {
  constructor(column, { made, content }) {
    Object.assign(this, { column, made, content, text: "", tools: new Map(), done: null });
    made.classList.add("waiting");
  }

  take({ name, data }) {
    if (name === "message") {
      this.text += data;
      this.frame ??= requestAnimationFrame(() => this.draw());
    } else if (name === "tool") this.tool(JSON.parse(data));
    else if (name === "error") this.fail(JSON.parse(data).detail);
    else if (name === "done") this.end(JSON.parse(data));
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const { log } = this.column.parts;
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 120;
    if (this.text) this.content.replaceChildren(...this.column.playground.markdown(this.text));
    if (follows) log.scrollTop = log.scrollHeight;
  }

  tool({ id, name, status }) {
    const known = this.tools.get(id);
    if (!known) {
      const summary = node("summary", {}, `${name} …`);
      const about = node("p", { className: "quiet" }, "Called by the model.");
      this.made.insertBefore(node("details", {}, summary, about), this.content);
      this.tools.set(id, { summary, about, began: performance.now() });
    } else if (status !== "running") {
      const took = duration(performance.now() - known.began);
      known.summary.textContent = `${name} · ${status === "done" ? "" : `${status} · `}${took}`;
      known.about.textContent = status === "done" ? "The model got the tool's result." : "The model got the tool's error.";
    }
  }

  fail(text) {
    this.made.classList.remove("waiting");
    this.column.show(node("p", { className: "faults" }, text));
    this.problem = text;
  }

  end(done) {
    this.made.classList.remove("waiting");
    this.done = done;
    this.column.session = done.session_id;
    if (!this.text) this.content.replaceChildren(node("span", { className: "quiet" }, "No answer."));
    this.column.showRun(done);
  }
}

// --- The page ---------------------------------------------------------------

class Playground {
  constructor(root, { markdown, onSend }) {
    Object.assign(this, { root, markdown, onSend, running: null });
    this.parts = parts(root);
    this.columns = { published: new Column(this, "Published", false), draft: new Column(this, "Draft", true) };
    this.listen();
    this.choose();
  }

  listen() {
    const { form, input, stop, fresh } = this.parts;
    this.onSend(form, input, () => this.send());
    this.root.addEventListener("keydown", (event) => event.key === "Escape" && this.running?.abort());
    stop.addEventListener("click", () => this.running?.abort());
    fresh.addEventListener("click", () => {
      this.running?.abort();
      for (const column of Object.values(this.columns)) column.begin();
      this.say("A new conversation begins.");
      input.focus();
    });
    for (const radio of this.root.querySelectorAll("[name=mode]")) radio.addEventListener("change", () => this.choose());
  }

  choose() {
    const mode = this.root.querySelector("[name=mode]:checked").value;
    this.chosen = mode === "both" ? [this.columns.published, this.columns.draft] : [this.columns[mode]];
    this.parts.columns.replaceChildren(...this.chosen.map((column) => column.element));
    this.parts.columns.classList.toggle("two", mode === "both");
  }

  async send() {
    const { input, send, stop } = this.parts;
    const text = input.value;
    if (this.running || !text.trim()) return;
    this.running = new AbortController();
    input.value = "";
    send.hidden = !(stop.hidden = false);
    this.say("Waiting for the answer.");
    const { signal } = this.running;
    const answers = await Promise.all(this.chosen.map((column) => column.ask(text, signal)));
    this.running = null;
    stop.hidden = !(send.hidden = false);
    this.say(answers.map((answer) => `${answer.column.name}: ${answer.problem ?? answer.content.innerText}`).join("\n"));
    input.focus();
  }

  say(text) {
    this.parts.status.textContent = text;
  }
}

// --- Test chats -------------------------------------------------------------

/** Run one test chat; resolves to whether it passed. */
async function runChat(root, chat, draft) {
  const { progress } = parts(chat);
  const which = draft ? "draft" : "published";
  let answered = 0;
  progress.textContent = `${which}: running …`;
  for await (const { name, data } of events(root, `test-chats/${chat.dataset.chat}/run`, {}, { draft })) {
    if (name === "answer") progress.textContent = `${which}: ${(answered += 1)} of ${chat.dataset.turns} answered`;
    else if (name === "error") throw new Error(JSON.parse(data).detail);
    else if (name === "done") {
      const { passed } = JSON.parse(data);
      progress.replaceChildren(badge(passed ? "ok" : "bad", `${which}: ${passed ? "passed" : "failed"}`));
      return;
    }
  }
  throw new Error("The connection was lost before the end.");
}

/** Run them one after the other, because a model on this machine answers one at a time. */
async function runAll(root, button) {
  const draft = "draft" in button.dataset;
  const problem = document.querySelector("[data-part=problem]");
  problem.hidden = button.disabled = true;
  try {
    for (const chat of document.querySelectorAll("[data-chat]")) {
      if (!draft || !("known" in chat.dataset)) await runChat(root, chat, false);
      if (draft) await runChat(root, chat, true);
    }
    window.location.reload();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = button.disabled = false;
  }
}

for (const root of document.querySelectorAll("[data-playground]")) {
  import(new URL(root.dataset.chatModule, window.location)).then((chat) => new Playground(root, chat));
}
for (const root of document.querySelectorAll("[data-test-chats]")) {
  const button = root.querySelector("[data-run-all]");
  button?.addEventListener("click", () => runAll(root, button));
}
