// Talks to an agent over its API and shows the conversation.
// No dependency and no build step; texts become DOM nodes and never HTML.

// --- Markdown to DOM nodes ---------------------------------------------------

const INLINE = /`([^`\n]+)`|\*\*([^\n]+?)\*\*|(?<![\w*])\*([^*\s][^*\n]*?)\*(?!\w)|\[([^\]\n]+)\]\(([^()\s]+)\)|(https?:\/\/[^\s<>"')\]]*[^\s<>"')\].,;:!?])/;

function node(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

function styled(className, ...children) {
  return Object.assign(node("div", ...children), { className });
}

function link(address, children) {
  if (!URL.canParse(address)) return null;
  const { href, protocol } = new URL(address);
  if (!["http:", "https:", "mailto:"].includes(protocol)) return null;
  const made = node("a", ...children);
  return Object.assign(made, { href, rel: "noopener noreferrer nofollow", target: "_blank" });
}

function inline(text) {
  const made = [];
  let rest = text;
  for (let found = INLINE.exec(rest); found; found = INLINE.exec(rest)) {
    const [whole, code, bold, italic, label, address, bare] = found;
    made.push(rest.slice(0, found.index));
    if (code !== undefined) made.push(node("code", code));
    else if (bold !== undefined) made.push(node("strong", ...inline(bold)));
    else if (italic !== undefined) made.push(node("em", ...inline(italic)));
    else if (label !== undefined) made.push(link(address, inline(label)) ?? whole);
    else made.push(link(bare, [bare]) ?? whole);
    rest = rest.slice(found.index + whole.length);
  }
  return [...made, rest].filter((part) => part !== "");
}

function withBreaks(lines) {
  return lines.flatMap((line, index) => (index ? [node("br"), ...inline(line)] : inline(line)));
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
const row = (tag, line) => node("tr", ...cells(line).map((cell) => node(tag, ...inline(cell))));

// Each kind of block: how its first line looks, and how many lines it takes.
const BLOCKS = [
  {
    starts: (line) => /^\s*```/.test(line),
    take(lines) {
      const end = lines.findIndex((line, index) => index && /^\s*```\s*$/.test(line));
      const last = end < 0 ? lines.length : end;
      return [last + 1, node("pre", node("code", lines.slice(1, last).join("\n")))];
    },
  },
  {
    starts: (line) => /^#{1,6}\s/.test(line),
    take: ([line]) => [1, node("p", node("strong", ...inline(line.replace(/^#+\s+/, ""))))],
  },
  {
    starts: (line, next) => line.includes("|") && /^[\s|:-]*-[\s|:-]*\|[\s|:-]*$|^\|[\s:-]*-[\s:|-]*$/.test(next ?? ""),
    take(lines) {
      let last = 2;
      while (last < lines.length && lines[last].includes("|")) last += 1;
      const body = lines.slice(2, last).map((line) => row("td", line));
      return [last, node("table", node("thead", row("th", lines[0])), node("tbody", ...body))];
    },
  },
  { starts: (line) => /^\s*[-*+]\s+\S/.test(line), take: (lines) => list("ul", /^\s*[-*+]\s+/, lines) },
  { starts: (line) => /^\s*\d{1,9}[.)]\s+\S/.test(line), take: (lines) => list("ol", /^\s*\d{1,9}[.)]\s+/, lines) },
  {
    starts: (line) => /^>\s?/.test(line),
    take(lines) {
      const end = lines.findIndex((line) => !/^>/.test(line));
      const last = end < 0 ? lines.length : end;
      const inner = lines.slice(0, last).map((line) => line.replace(/^>\s?/, ""));
      return [last, node("blockquote", ...withBreaks(inner))];
    },
  },
];

const indentOf = (line) => line.search(/\S/);

function item([first, ...indented]) {
  const least = Math.min(...indented.map(indentOf));
  const rest = indented.map((line) => line.slice(least));
  const nested = rest.some((line, index) => kindOf(rest, index));
  return nested ? node("li", ...inline(first), ...markdown(rest.join("\n"))) : node("li", ...withBreaks([first, ...rest]));
}

function list(tag, marker, lines) {
  const indent = indentOf(lines[0]);
  const items = [];
  let index = 0;
  for (; index < lines.length && lines[index].trim(); index += 1) {
    const line = lines[index];
    const inner = indentOf(line) - indent;
    if (marker.test(line) && inner < 2) items.push([line.replace(marker, "")]);
    else if (inner > 0) items.at(-1).push(line);
    else break;
  }
  const made = node(tag, ...items.map(item));
  if (tag === "ol") made.start = parseInt(lines[0], 10);
  return [index, made];
}

function kindOf(lines, index) {
  return BLOCKS.find((block) => block.starts(lines[index], lines[index + 1]));
}

export function markdown(text) {
  const lines = text.split("\n");
  const made = [];
  for (let index = 0; index < lines.length; ) {
    const kind = kindOf(lines, index);
    if (kind) {
      const [taken, block] = kind.take(lines.slice(index));
      made.push(block);
      index += taken;
    } else if (lines[index].trim()) {
      const first = index;
      do index += 1;
      while (index < lines.length && lines[index].trim() && !kindOf(lines, index));
      made.push(node("p", ...withBreaks(lines.slice(first, index))));
    } else index += 1;
  }
  return made;
}

// --- The API ----------------------------------------------------------------

export class Failure extends Error {
  constructor(message, { sent = false } = {}) {
    super(message);
    this.sent = sent;
  }
}

const LOST = "The connection was lost. Reload the page to see the whole answer.";
// Seconds to wait before each try to go on with an answer after the connection was lost.
const AGAIN_AFTER = [0, 1, 2, 4, 8, 8, 8];

function parseEvent(block) {
  let name = "message";
  let id;
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^(\w*):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") name = value;
    else if (field === "id") id = value;
    else if (field === "data") data.push(value);
  }
  return data.length ? { name, id, data: data.join("\n") } : null;
}

async function* serverEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (rest + part.value).split("\n\n");
    rest = blocks.pop();
    yield* blocks.map(parseEvent).filter(Boolean);
  }
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const hint = response.status === 401 || response.status === 403 ? " Reload the page and try again." : "";
  return new Failure((problem.detail ?? `The server answered with status ${response.status}.`) + hint);
}

export class Agent {
  constructor(api) {
    this.api = api;
  }

  /**
   * Yield the events of one turn; throw Failure when it could not begin or was interrupted.
   *
   * The turn goes on while the connection is lost, and so do its events when it is back.
   */
  async *ask(message, signal) {
    const body = JSON.stringify({ message, background: true });
    const headers = { "Content-Type": "application/json" };
    let response = await this.fetch("stream", { method: "POST", body, headers, signal });
    const turn = response.headers.get("Salient-Turn");
    let tries = 0;
    for (let last = "0-0"; ; response = await this.goOn(turn, last, tries, signal)) {
      try {
        for await (const event of serverEvents(response.body)) {
          last = event.id ?? last;
          tries = 0;
          yield event;
          if (event.name === "done") return;
        }
      } catch (error) {
        if (error.name === "AbortError") throw this.cancelled(turn, error);
        if (error instanceof Failure) throw error;
      }
      tries += 1;
    }
  }

  /** Return the stream of the events after the last one that has come. */
  async goOn(turn, last, tries, signal) {
    for (const seconds of AGAIN_AFTER.slice(tries - 1)) {
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      try {
        return await this.fetch(`turns/${turn}/events`, { headers: { "Last-Event-ID": last }, signal });
      } catch (error) {
        if (error.name === "AbortError") throw this.cancelled(turn, error);
      }
    }
    throw new Failure(LOST, { sent: true });
  }

  /** End the turn, which would go on without a reader; return the reason. */
  cancelled(turn, reason) {
    this.fetch(`turns/${turn}/cancel`, { method: "POST" }).catch(() => {});
    return reason;
  }

  async history(before) {
    const response = await this.fetch(`history?before=${encodeURIComponent(before)}`, {});
    return response.json();
  }

  async rate(messageId, rating, comment = "") {
    const body = JSON.stringify({ rating, comment });
    const request = { method: "POST", body, headers: { "Content-Type": "application/json" } };
    const response = await this.fetch(`messages/${messageId}/feedback`, request);
    return response.json();
  }

  async fetch(route, options) {
    // The conversation belongs to the visitor of the page's cookie, also when a member is logged in.
    const headers = { ...options.headers, "Salient-Caller": "visitor" };
    const response = await fetch(`${this.api}/${route}`, { ...options, headers }).catch((error) => {
      throw error.name === "AbortError" ? error : new Failure("The server can not be reached.");
    });
    if (!response.ok) throw await problemOf(response);
    return response;
  }
}

// --- The conversation on the page -------------------------------------------

/** Call `send` when the form is sent, or with Enter; Shift and Enter makes a new line. */
export function onSend(form, input, send) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
}

const dollars = (text) => (Number(text) ? `$${Number(text).toFixed(Math.max(2, 1 - Math.floor(Math.log10(text))))}` : "free");
const ENDINGS = { partial: "cut off", cancelled: "stopped", error: "failed" };
// Finish reasons of answers with the status “complete” that are cut short.
const LIMITS = { length: "cut at the length limit", content_filter: "cut by a content filter" };

function facts({ model, usage, cost, latency_ms: latency, status, finish_reason: reason }) {
  // What the agent does not show its visitors is null.
  const about = usage?.estimated ? "about " : "";
  return [
    ENDINGS[status] ?? LIMITS[reason],
    model,
    usage && `${about}${usage.input_tokens} tokens in, ${usage.output_tokens} out`,
    cost && (cost.total === null ? "cost unknown" : dollars(cost.total)),
    `${(latency / 1000).toFixed(1)} s`,
  ].filter(Boolean).join(" \u00b7 ");
}

class Answer {
  constructor(element) {
    this.element = element;
    this.text = "";
    element.classList.add("waiting");
  }

  add(text, drawn) {
    this.text += text;
    this.frame ??= requestAnimationFrame(() => {
      this.draw();
      drawn();
    });
  }

  draw() {
    this.frame = undefined;
    if (!this.text) return;
    this.element.classList.remove("waiting");
    this.element.replaceChildren(...markdown(this.text));
  }

  tool({ name, status }) {
    this.element.dataset.doing = status === "running" ? `uses ${name}` : "";
  }

  end() {
    cancelAnimationFrame(this.frame);
    this.draw();
    this.element.classList.remove("waiting");
    delete this.element.dataset.doing;
    if (!this.text) this.element.remove();
  }
}

const THUMBS = [["good", "\u{1F44D}", "Good answer"], ["bad", "\u{1F44E}", "Bad answer"]];

/** Two buttons that rate one answer, or take the rating back; after a bad one, a comment. */
class Thumbs {
  constructor(messageId, rating, agent, chat) {
    Object.assign(this, { messageId, agent, chat, rating: rating ?? null });
    this.element = Object.assign(node("span"), { className: "thumbs" });
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", "Feedback");
    this.buttons = THUMBS.map(([name, sign, label]) => this.button(name, sign, label));
    this.element.append(...this.buttons);
    this.draw();
  }

  button(name, sign, label) {
    const made = Object.assign(node("button", sign), { type: "button", className: "thumb", title: label });
    made.setAttribute("aria-label", label);
    made.dataset.rating = name;
    made.addEventListener("click", () => this.give(this.rating === name ? null : name));
    return made;
  }

  draw() {
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.rating === this.rating));
  }

  async give(rating, comment) {
    if (this.busy) return;
    this.busy = true;
    try {
      this.rating = (await this.agent.rate(this.messageId, rating, comment)).rating;
      this.draw();
      this.chat.say(rating ? "Thank you for your feedback." : "Feedback taken back.");
      this.askWhy(rating === "bad" && comment === undefined);
    } catch (error) {
      this.chat.fail(error);
    }
    this.busy = false;
  }

  askWhy(isBad) {
    this.form?.remove();
    this.form = undefined;
    if (!isBad) return;
    const input = Object.assign(node("input"), { maxLength: 2000, placeholder: "What was wrong? (optional)" });
    input.setAttribute("aria-label", "What was wrong? Optional.");
    const send = Object.assign(node("button", "Send"), { type: "submit" });
    this.form = Object.assign(node("form", input, send), { className: "thumb-why" });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.give("bad", input.value);
    });
    this.element.after(this.form);
    input.focus();
  }
}

export class Chat {
  constructor(root, agent) {
    Object.assign(this, { root, agent, running: null });
    this.parts = {};
    for (const part of root.querySelectorAll("[data-part]")) this.parts[part.dataset.part] = part;
    this.listen();
  }

  listen() {
    const { form, input, stop, earlier } = this.parts;
    onSend(form, input, () => this.send());
    input.addEventListener("input", () => this.fit());
    stop.addEventListener("click", () => this.running?.abort());
    earlier.addEventListener("click", () => this.showEarlier());
  }

  fit() {
    const { input } = this.parts;
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
  }

  message(role, ...children) {
    return styled(`message ${role}`, ...children);
  }

  /** Return the elements that show an earlier message. */
  elements({ role, content, message_id: id, feedback }) {
    if (role === "user") return [this.message("user", content)];
    return [this.message("bot", ...markdown(content)), styled("chat-facts", this.thumbs(id, feedback))];
  }

  thumbs(id, rating) {
    return new Thumbs(id, rating, this.agent, this).element;
  }

  show(...elements) {
    this.parts.log.append(...elements);
    this.toEnd();
  }

  toEnd() {
    const { scroll } = this.parts;
    scroll.scrollTop = scroll.scrollHeight;
  }

  /** Follow the answer, unless the reader has scrolled away from it. */
  follow() {
    const { scroll } = this.parts;
    if (scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120) this.toEnd();
  }

  say(text) {
    this.parts.status.textContent = text;
  }

  restore({ messages, before }) {
    this.show(...messages.flatMap((message) => this.elements(message)));
    this.setEarlier(before);
  }

  setEarlier(before) {
    this.before = before;
    this.parts.earlier.hidden = !before;
    if (this.parts.opening) this.parts.opening.hidden = Boolean(before);
  }

  async showEarlier() {
    const { log, scroll, earlier, opening } = this.parts;
    earlier.disabled = true;
    try {
      const page = await this.agent.history(this.before);
      const height = scroll.scrollHeight;
      const first = opening ? opening.nextSibling : log.firstChild;
      for (const element of page.messages.flatMap((message) => this.elements(message))) log.insertBefore(element, first);
      scroll.scrollTop += scroll.scrollHeight - height;
      this.setEarlier(page.before);
    } catch (error) {
      this.fail(error);
    }
    earlier.disabled = false;
  }

  async send() {
    const { input } = this.parts;
    const text = input.value;
    if (this.running || !text.trim()) return;
    const question = this.message("user", text);
    const answer = new Answer(this.message("bot"));
    this.show(question, answer.element);
    input.value = "";
    this.fit();
    this.busy(new AbortController());
    try {
      await this.receive(text, answer);
    } catch (error) {
      this.giveBack(error, question, text);
      answer.end();
      this.fail(error);
    }
    this.busy(null);
  }

  async receive(text, answer) {
    this.say(`${this.root.dataset.name} is answering.`);
    for await (const { name, data } of this.agent.ask(text, this.running.signal)) {
      if (name === "message") answer.add(data, () => this.follow());
      else if (name === "tool") answer.tool(JSON.parse(data));
      else if (name === "error") this.fail(new Failure(JSON.parse(data).detail, { sent: true }));
      else if (name === "done") this.end(answer, JSON.parse(data));
    }
  }

  end(answer, done) {
    answer.end();
    this.show(styled("chat-facts", facts(done), ...(done.message_id ? [this.thumbs(done.message_id)] : [])));
    if (done.status === "complete") this.say(`${this.root.dataset.name}: ${answer.element.innerText}`);
  }

  fail(error) {
    if (error.name === "AbortError") {
      this.show(styled("chat-facts", "Stopped."));
      this.say("Stopped.");
      return;
    }
    this.show(styled("message failure", error.message));
    this.say(error.message);
  }

  /** Put a message that the server did not accept back into the input. */
  giveBack(error, question, text) {
    if (!(error instanceof Failure) || error.sent) return;
    question.remove();
    this.parts.input.value ||= text;
    this.fit();
  }

  busy(controller) {
    this.running = controller;
    const { send, stop, input } = this.parts;
    const focus = document.activeElement === send || document.activeElement === stop;
    send.hidden = Boolean(controller);
    stop.hidden = !controller;
    if (focus) input.focus();
  }
}

for (const root of document.querySelectorAll("[data-chat]")) {
  const chat = new Chat(root, new Agent(root.dataset.api));
  chat.restore(JSON.parse(document.getElementById("chat-history").textContent));
}
