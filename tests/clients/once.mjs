// The admin's script that sends each form once, with a document and a clock of its own.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const handlers = {};
const target = { addEventListener: (name, act) => { handlers[name] = act; } };
let now = 0;
Object.defineProperty(globalThis, "performance", { value: { now: () => now } });
Object.assign(globalThis, { document: target, window: target });
new Function(readFileSync(process.env.ONCE_SCRIPT, "utf8"))();

/** Return whether the browser sends the form. */
function isSent(form, defaultPrevented = false) {
  const event = { target: form, defaultPrevented, preventDefault() { this.defaultPrevented = true; } };
  handlers.submit(event);
  return !event.defaultPrevented;
}
const form = (method) => ({ getAttribute: () => method });

const [one, other, search, scripted] = ["post", "POST", "get", "post"].map(form);
assert.deepEqual([isSent(one), isSent(one), isSent(other)], [true, false, true]);
assert.deepEqual([isSent(search), isSent(search)], [true, true]);
// Another script has taken it: nothing was sent.
assert.deepEqual([isSent(scripted, true), isSent(scripted)], [false, true]);
now = 4999;
assert.equal(isSent(one), false);
now = 5000;
assert.equal(isSent(one), true);
handlers.pageshow({ persisted: true });
assert.equal(isSent(one), true);
