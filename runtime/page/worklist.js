// The worklist: what was handed in, how far it is, and files on their way.

import * as api from "./api.js";
import { at, local, make, say } from "./dom.js";

const WORDS = {
  sending: "sending", waiting: "waiting", drafting: "drafting", drafted: "draft", started: "begun", signed: "signed",
  failed: "failed", refused: "refused",
};
const UNDER_WAY = ["sending", "waiting", "drafting"];
/** Files that are sent at a time. */
const AT_ONCE = 2;
const SOON = 1000, LATER = 10000;

/** Files of this browser that are not on the server's list: on their way, or refused. */
const own = [];
const queue = [];
let studies = [], sending = 0, opened = null, timer, number = 0;
let onOpen = () => {}, limit = Infinity;

export function start({ open, maxBytes }) {
  onOpen = open;
  limit = maxBytes;
  refresh();
}

/** Marks a study as the open one. */
export function mark(id) {
  opened = id;
  render();
}

export async function refresh() {
  clearTimeout(timer);
  try {
    studies = await api.list();
  } catch {
    say("The server does not answer.");
  }
  render();
  const busy = [...studies, ...own].some(({ state }) => UNDER_WAY.includes(state));
  timer = setTimeout(refresh, busy ? SOON : LATER);
}

function line(entry) {
  const { id, name, state, error, submitted } = entry;
  const button = make("button", { type: "button", "aria-current": id === opened ? "true" : undefined, data: { id } },
    make("span", { class: "name", title: name }, name),
    make("span", { class: "state", data: { state } }, WORDS[state]),
    make("span", { class: "when" }, submitted ? local(submitted) : ""),
    error && make("span", { class: "error" }, error));
  button.addEventListener("click", () => entry.local ? say(error ?? "On its way.") : onOpen(id));
  return make("li", {}, button);
}

function render() {
  const focused = document.activeElement?.dataset?.id;
  const list = at("studies");
  list.replaceChildren(...own.map(line), ...studies.map(line));
  at("drop-hint").hidden = false;
  if (focused) list.querySelector(`[data-id="${focused}"]`)?.focus();
}

/** The study before or after the open one. */
export function step(by) {
  const place = studies.findIndex(({ id }) => id === opened);
  const next = studies[Math.min(studies.length - 1, Math.max(0, place + by))];
  if (next && next.id !== opened) onOpen(next.id);
}

export function focus() {
  (at("studies").querySelector('[aria-current="true"]') ?? at("studies").querySelector("button") ?? at("add-files")).focus();
}

/** Sends files one after another; hidden ones are passed over. */
export function add(files) {
  for (const { file, name } of files) {
    if (name.split("/").pop().startsWith(".")) continue;
    const entry = { id: `own-${number++}`, local: true, name, state: "sending", file };
    own.unshift(entry);
    if (file.size > limit) refuse(entry, `${Math.ceil(file.size / 2 ** 20)} MiB, at most ${limit / 2 ** 20} expected`);
    else queue.push(entry);
  }
  render();
  while (sending < AT_ONCE && queue.length) send(queue.shift());
}

function refuse(entry, error) {
  Object.assign(entry, { state: "refused", error, file: null });
}

async function send(entry) {
  sending++;
  try {
    const listed = await api.submit(entry.file, entry.name);
    own.splice(own.indexOf(entry), 1);
    studies.unshift(listed);
    if (!opened) onOpen(listed.id);
    clearTimeout(timer);
    timer = setTimeout(refresh, SOON);
  } catch (error) {
    if (error.status === 429) {
      queue.unshift(entry);
      await new Promise((done) => setTimeout(done, (error.retryAfter ?? 1) * 1000));
    } else {
      refuse(entry, error.message);
    }
  }
  sending--;
  render();
  if (sending < AT_ONCE && queue.length) send(queue.shift());
}

/** All files below what was dropped. */
async function filesOf(entry, path = "") {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [{ file, name: path + file.name }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const inner of some) found.push(...await filesOf(inner, `${path}${entry.name}/`));
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, name: file.name }));
  return (await Promise.all(entries.map((entry) => filesOf(entry)))).flat();
}

const chosen = (input) => [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
const panel = document.querySelector(".worklist");

/** Files may be dropped anywhere on the page; `instead` may take them. */
export function takeDrops(instead) {
  document.addEventListener("dragover", (event) => { event.preventDefault(); panel.classList.add("dropping"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) panel.classList.remove("dropping"); });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    panel.classList.remove("dropping");
    const files = await dropped(event.dataTransfer);
    if (!await instead(files)) add(files);
  });
  for (const name of ["files", "folder"]) {
    at(name).addEventListener("change", async () => {
      const files = chosen(at(name));
      at(name).value = "";
      if (!await instead(files)) add(files);
    });
    at(`add-${name}`).addEventListener("click", () => at(name).click());
  }
}
