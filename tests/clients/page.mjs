// What a page of the server has and Node lacks: a body, and EventSource with the visitor's cookie.
const { PAGE_ORIGIN, PAGE_COOKIE } = process.env;

globalThis.document = { body: { append: (text) => process.stdout.write(text) } };

globalThis.EventSource = class extends EventTarget {
  #open = true;

  constructor(path) {
    super();
    this.#read(path);
  }

  close() {
    this.#open = false;
  }

  async #read(path) {
    const headers = { Cookie: PAGE_COOKIE, Origin: PAGE_ORIGIN, Accept: "text/event-stream" };
    const answer = await fetch(PAGE_ORIGIN + path, { headers });
    if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
    for (const block of (await answer.text()).split("\n\n")) {
      const lines = block.split("\n").map((line) => line.split(/: (.*)/s));
      const name = lines.find(([field]) => field === "event")?.[1];
      const data = lines.filter(([field]) => field === "data").map(([, text]) => text ?? "");
      if (name && this.#open) this.dispatchEvent(new MessageEvent(name, { data: data.join("\n") }));
    }
    // It would connect again.
    if (this.#open) throw new Error("the EventSource is not closed at its end");
  }
};
