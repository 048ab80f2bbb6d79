// The reading room: joins worklist, radiograph and report, and binds the keys.

import * as api from "./api.js";
import { at, make, say } from "./dom.js";
import * as evidence from "./evidence.js";
import { bind, showKeys } from "./keys.js";
import * as report from "./report.js";
import { Viewer } from "./viewer.js";
import * as worklist from "./worklist.js";

const viewer = new Viewer(at("canvas"));
let opened = null, unfollow = () => {};

/** Whether the open study's image is not on the server any more. */
let imageMissing = false;

async function open(id) {
  unfollow();
  opened = id;
  worklist.mark(id);
  viewer.show(null, "Loading …");
  evidence.open(null);
  showImage(id);
  try {
    const found = await api.read(id);
    if (opened !== id) return;
    if (found.rows) return shown(found);
    if (found.state === "failed") return report.showProblem(found.error, found.name);
    report.showWriting("", found.name);
    unfollow = api.follow(id, {
      text: (text) => report.showWriting(text, found.name),
      drafted: (study) => { shown(study); worklist.refresh(); },
      failed: ({ error }) => { report.showProblem(error, found.name); worklist.refresh(); },
    });
  } catch (error) {
    if (opened === id) report.showProblem(error.message, "");
  }
}

function shown(study) {
  const nowhere = document.activeElement === document.body;
  report.show(study);
  evidence.open(study.id);
  if (nowhere) report.step(0);
}

async function showImage(id) {
  imageMissing = false;
  try {
    const image = await api.image(id);
    if (opened === id) viewer.show(image);
  } catch (error) {
    if (opened !== id) return;
    imageMissing = error.status === 410;
    viewer.show(null, error.message);
  }
}

/** A single file that is dropped while an image is missing may be that image. */
async function supply(files) {
  const id = opened;
  if (!imageMissing || files.length !== 1) return false;
  try {
    await api.supplyImage(id, files[0].file);
    await showImage(id);
    if (report.current()) evidence.open(id);
    return true;
  } catch {
    return false;
  }
}

function download(address, name) {
  if (!report.current()) return;
  make("a", { href: address(report.current().id), download: name }).click();
}

async function copy() {
  if (!report.current()) return;
  const text = report.asText();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Beyond this machine, and without encryption, browsers have no clipboard for pages.
    const field = make("textarea", { value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  say("Copied, with its mark.");
}

function paper() {
  const study = report.current();
  if (!study) return at("paper").replaceChildren();
  const [, ...rest] = report.asText().split("\n");
  at("paper").replaceChildren(make("p", { class: "mark" }, study.mark), make("p", {}, study.name),
    make("p", { class: "text" }, rest.join("\n")));
}

function print() {
  if (report.current()) window.print();
}

async function purge() {
  const { id } = report.current();
  at("purge-dialog").close();
  try {
    await api.remove(id);
    opened = null;
    report.show(null);
    viewer.show(null, "The study is purged.");
    evidence.open(null);
    worklist.mark(null);
    worklist.refresh();
  } catch (error) {
    say(error.message);
  }
}

const views = { fit: () => viewer.fit(), full: () => viewer.full(), invert: () => viewer.invert(), reset: () => viewer.reset() };
for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => views[button.dataset.view]());
}

const buttons = {
  sign: report.askToSign, "sign-now": report.sign, "add-row": report.add, copy, print,
  "save-text": () => download(api.textAddress, "report.txt"), "save-json": () => download(api.jsonAddress, "report.json"),
  purge: () => at("purge-dialog").showModal(), "purge-now": purge,
};
for (const [id, deed] of Object.entries(buttons)) at(id).addEventListener("click", deed);
at("signer").addEventListener("keydown", (event) => { if (event.key === "Enter") report.sign(); });
window.addEventListener("beforeprint", paper);

bind("j", "next row", () => report.step(1), "j ↓");
bind("k", "row before", () => report.step(-1), "k ↑");
bind("ArrowDown", "", () => report.step(1));
bind("ArrowUp", "", () => report.step(-1));
bind("a", "accept the row", report.accept);
bind("e", "edit the row", report.edit, "e Enter");
bind("Enter", "", report.edit);
bind("x", "strike the row", report.strike);
bind("u", "undo the row's decision", report.undo);
bind("n", "add a row after it", report.add);
for (let digit = 1; digit <= 9; digit++) {
  bind(String(digit), digit === 1 ? "take the model's other version" : "", () => report.alternative(digit - 1), "1 … 9");
}
bind("s", "sign", report.askToSign);
bind("c", "copy the report", copy);
bind("t", "save as text", buttons["save-text"]);
bind("d", "save as JSON", buttons["save-json"]);
bind("p", "print", print);
bind("J", "next study", () => worklist.step(1), "Shift j");
bind("K", "study before", () => worklist.step(-1), "Shift k");
bind("w", "go to the worklist", worklist.focus);
bind("o", "open files", () => at("files").click());
bind("v", "go to the radiograph: arrows window, Shift and arrows move", () => at("canvas").focus());
bind("l", "where the model looked for the row: show, hide", evidence.toggle);
bind("+", "closer", () => viewer.zoomBy(1));
bind("-", "further away", () => viewer.zoomBy(-1));
bind("0", "fit", views.fit);
bind("z", "one to one", views.full);
bind("i", "invert", views.invert);
bind("r", "reset the view", views.reset);
bind("?", "these keys", showKeys);

api.onTokenWanted(() => new Promise((done) => {
  const dialog = at("token-dialog");
  const waiting = dialog.open;
  if (!waiting) dialog.showModal();
  const enter = async () => {
    try {
      await api.signIn(at("token").value);
      at("token").value = "";
      dialog.close();
    } catch (error) {
      at("token-problem").textContent = error.message;
    }
  };
  at("token-now").onclick = enter;
  at("token").onkeydown = (event) => { if (event.key === "Enter") enter(); };
  dialog.addEventListener("close", done, { once: true });
}));

const room = await api.room();
at("mark").textContent = room.mark;
at("about").textContent = `${room.bundle}: ${room.notice}`;
at("about").title = `bundle ${room.bundle_id}, ${room.variant}`;
report.start({ onChange: worklist.refresh });
evidence.start({ viewer, rows: report.rowOf, can: room.evidence });
worklist.takeDrops(supply);
worklist.start({ open, maxBytes: room.max_upload_bytes });
