// Walks through the reading room as a radiologist would: node walk.mjs mouse|keyboard|axe first|second ADDRESS
//
// CHROMIUM: the browser; RADIOGRAPH: the file to read; DRAWN: one whose name tries to be HTML; SEEN: what the first part
// told, for the second, after the server was started again; PICTURES: a folder for screenshots, where they are wanted.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";

const [walk, part, address] = process.argv.slice(2);
const { CHROMIUM, RADIOGRAPH, DRAWN, SEEN, PICTURES } = process.env;
const seen = JSON.parse(SEEN ?? "null");
const MARK = "Draft, not for diagnostic use";
const EDITED = "Edited by hand: <i>1.5 cm</i> nodule.";
const SIGNER = "Dr. Ada <b>Reader</b>";

// The sandbox of a browser that runs as root, as in most CI containers, does not start.
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, bypassCSP: walk === "axe" });
const page = await context.newPage();
const complaints = [];
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
page.on("request", (request) => {
  if (!request.url().startsWith(`${address}/`) && !request.url().startsWith("blob:")) complaints.push(`asks for ${request.url()}`);
});

const picture = async (name) => {
  if (PICTURES) await page.screenshot({ path: path.join(PICTURES, `${walk}-${name}.png`) });
};
const key = (...keys) => keys.reduce((before, each) => before.then(() => page.keyboard.press(each)), Promise.resolve());
const rows = () => page.locator("#rows .row[data-row]");
const row = (place) => rows().nth(place);
const decision = (place, wanted) => page.waitForFunction(([place, wanted]) =>
  document.querySelectorAll("#rows .row[data-row]")[place]?.dataset.decision === wanted, [place, wanted]);
const state = (wanted) => page.waitForFunction((wanted) =>
  document.querySelector("#report-state").textContent === wanted, wanted);
const image = () => page.waitForFunction(() => document.querySelector("#stage-message").textContent === ""
  && document.querySelector("#view-state").textContent !== "");

/** How many different greys the canvas shows, and their sum: a picture, and whether it has changed. */
const greys = () => page.evaluate(async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const canvas = document.querySelector("#canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const kinds = new Set();
  let sum = 0;
  for (let place = 0; place < data.length; place += 4) { kinds.add(data[place]); sum += data[place]; }
  return { kinds: kinds.size, sum };
});

/** How much of the map lies over the picture. */
const covered = () => page.evaluate(async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const canvas = document.querySelector("#looked");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let place = 3; place < data.length; place += 4) sum += data[place];
  return sum;
});

/** Where the model looked: over the radiograph while a row has the focus, called what it is, away when it is not wanted. */
async function looks() {
  const { evidence } = await page.evaluate(async () => (await fetch("/api/room")).json());
  assert.equal(await page.locator("#show-looked").isVisible(), evidence, "what the bundle cannot do is not offered");
  if (!evidence) return;
  await row(0).focus();
  await page.locator("#scale").waitFor({ state: "visible" });
  const first = await covered();
  assert.ok(first > 0, "a map lies over the picture");
  assert.match(await page.locator("#scale").innerText(), /not proof[^]*even share[^]*×/);
  const [scale, mark] = [await page.locator("#scale").boundingBox(), await page.locator("#mark").boundingBox()];
  assert.ok(scale.y > mark.y + mark.height, "the draft's mark stays in sight");
  await row(1).focus();
  const second = await covered();
  assert.ok(second > 0 && second !== first, "each row has its own map");
  await picture("looked");
  await key("l");
  assert.deepEqual([await covered(), await page.locator("#scale").isVisible()], [0, false]);
  assert.equal(await page.locator("#show-looked").getAttribute("aria-pressed"), "false");
  await page.locator("#show-looked").click();
  assert.equal(await covered(), second, "it stays while the hand is on the radiograph");
  await page.locator("#studies button").first().focus();
  assert.equal(await covered(), 0, "no row has the focus");
  await row(0).focus();
}

/** Watches, frame by frame, that nothing of the page's frame moves. */
const watchFrame = () => page.evaluate(() => {
  const parts = ["main > section", ".foot", "#stage", ".bar", "#rows"];
  const places = () => JSON.stringify(parts.flatMap((part) => [...document.querySelectorAll(part)])
    .map((its) => { const { x, y, width, height } = its.getBoundingClientRect(); return [x, y, width, height].map(Math.round); }));
  const first = places();
  window.moved = [];
  const look = () => { if (places() !== first) window.moved.push(`${first} -> ${places()}`); window.watching = requestAnimationFrame(look); };
  look();
});
const frameStood = async () => {
  const moved = await page.evaluate(() => { cancelAnimationFrame(window.watching); return window.moved; });
  assert.deepEqual(moved.slice(0, 1), [], "the frame of the page moves");
};

async function drop(file) {
  const bytes = fs.readFileSync(file).toString("base64");
  const transfer = await page.evaluateHandle(async ([bytes, name]) => {
    const content = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([content], name));
    return transfer;
  }, [bytes, path.basename(file)]);
  await page.dispatchEvent("body", "dragover", { dataTransfer: transfer });
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
}

async function exported(trigger) {
  const [download] = await Promise.all([page.waitForEvent("download"), trigger()]);
  return fs.readFileSync(await download.path(), "utf8");
}

async function opened() {
  await page.goto(`${address}/`);
  await page.waitForFunction(() => document.querySelector("#about").textContent !== "");
  assert.equal(await page.locator("#mark").innerText(), MARK);
}

/** The signed report in every form in which it leaves the page. */
async function checkExports({ text, json }) {
  await state("signed");
  const written = await exported(text), whole = JSON.parse(await exported(json));
  assert.ok(written.startsWith(MARK) && written.includes(EDITED) && written.includes(`Signed by ${SIGNER}`), written);
  assert.equal(whole.mark, MARK);
  assert.deepEqual([whole.trail[0].kind, whole.trail.at(-1).kind], ["drafted", "signed"]);
  await page.evaluate(() => window.dispatchEvent(new Event("beforeprint")));
  await page.emulateMedia({ media: "print" });
  const paper = await page.locator("#paper").innerText();
  assert.ok(paper.includes(MARK) && paper.includes(EDITED) && paper.includes(SIGNER), paper);
  assert.equal(await page.locator("main").isVisible(), false);
  await page.emulateMedia({ media: "screen" });
  await page.waitForFunction(() => document.querySelector("#canvas").width > 100);
  // Text is text: no element came of what was typed.
  assert.equal(await page.locator("#rows i, #rows b, #paper i, #paper b, #decided b").count(), 0);
  return whole.study.text;
}

async function byMouse() {
  await watchFrame();
  await drop(RADIOGRAPH);
  await state("draft");
  await image();
  await frameStood();
  const count = await rows().count();
  assert.ok(count >= 3, `${count} rows`);
  const before = await greys();
  assert.ok(before.kinds > 100, `${before.kinds} greys`);
  await picture("draft");
  await watchFrame();
  await looks();
  await frameStood();
  const box = await page.locator("#canvas").boundingBox();
  await page.mouse.move(box.x + 300, box.y + 200);
  await page.mouse.down();
  await page.mouse.move(box.x + 200, box.y + 260, { steps: 4 });
  await page.mouse.up();
  const after = await greys();
  assert.notEqual(after.sum, before.sum, "window and level follow the hand");
  await page.getByRole("button", { name: "Invert" }).click();
  assert.notEqual((await greys()).sum, after.sum);
  await page.getByRole("button", { name: "Reset" }).click();
  assert.deepEqual(await greys(), before);
  assert.ok(await page.locator("#sign").isDisabled(), "nothing is signed before it is decided");
  await row(0).getByRole("button", { name: "Edit" }).click();
  await page.locator("#rows textarea").fill(EDITED);
  await page.getByRole("button", { name: "Save (Enter)" }).click();
  await decision(0, "edited");
  await row(1).getByRole("button", { name: "Strike" }).click();
  await decision(1, "struck");
  for (let place = 2; place < count; place++) {
    await row(place).getByRole("button", { name: "Accept" }).click();
    await decision(place, "accepted");
  }
  await picture("decided");
  await page.locator("#sign").click();
  await page.locator("#signer").fill(SIGNER);
  await picture("sign");
  await page.locator("#sign-now").click();
  const text = await checkExports({
    text: () => page.locator("#save-text").click(), json: () => page.locator("#save-json").click(),
  });
  await picture("signed");
  await drop(DRAWN);
  await page.waitForFunction(() => document.querySelectorAll("#studies .state[data-state=draft],#studies .state[data-state=drafted]").length === 1);
  const names = await page.locator("#studies .name").allInnerTexts();
  assert.ok(names.some((name) => name.includes("<b>")), names.join());
  assert.equal(await page.locator("#studies b").count(), 0, "a name is text");
  return { text };
}

async function byKeyboard() {
  // Early: the browser takes a while until it hands choosers over.
  const chosen = page.waitForEvent("filechooser");
  await page.keyboard.press("?");
  assert.ok(await page.locator("#keys-dialog").isVisible());
  await key("Escape");
  await page.locator("#keys-dialog").waitFor({ state: "hidden" });
  await key("o");
  await (await chosen).setFiles(RADIOGRAPH);
  await state("draft");
  await image();
  const count = await rows().count();
  await key("j", "k", "k");
  const before = await greys();
  await key("v", "ArrowUp", "ArrowRight", "i", "+", "Shift+ArrowLeft");
  assert.notEqual((await greys()).sum, before.sum);
  await key("r");
  assert.deepEqual(await greys(), before);
  await key("j", "k", "e", "Control+a");
  await page.keyboard.type(EDITED);
  await key("Enter");
  await decision(0, "edited");
  // Each decision leads to the next row that wants one.
  await key("x");
  await decision(1, "struck");
  await key("k", "k", "u");
  await decision(0, "open");
  await key("e", "Control+a");
  await page.keyboard.type(EDITED);
  await key("Enter");
  await decision(0, "edited");
  for (let place = 2; place < count; place++) {
    await key("a");
    await decision(place, "accepted");
  }
  await key("n");
  await page.keyboard.type("Added by hand.");
  await key("Enter");
  await page.waitForFunction((count) => document.querySelectorAll("#rows .row[data-row]").length === count, count + 1);
  await key("s");
  await page.keyboard.type(SIGNER);
  await key("Enter");
  const text = await checkExports({ text: () => key("t"), json: () => key("d") });
  assert.ok(text.includes("Added by hand."), text);
  return { text };
}

/** After the server was started again. */
async function findAgain() {
  await page.waitForSelector("#studies .state[data-state=signed]");
  if (walk === "keyboard") await key("w", "Enter");
  else await page.locator("#studies button", { has: page.locator("[data-state=signed]") }).click();
  await image();
  await looks();
  const text = await checkExports(walk === "keyboard"
    ? { text: () => key("t"), json: () => key("d") }
    : { text: () => page.locator("#save-text").click(), json: () => page.locator("#save-json").click() });
  assert.equal(text, seen.text, "the report is the one that was signed");
  assert.ok((await greys()).kinds > 100);
  return seen;
}

async function violations() {
  const source = fs.readFileSync(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
  await page.evaluate(source);
  const look = async (where) => {
    const { violations } = await page.evaluate(() => window.axe.run());
    const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    assert.deepEqual(grave.map(({ id, nodes }) => [where, id, nodes[0].html, nodes[0].failureSummary]), []);
  };
  await look("empty");
  if (part === "second") return null;
  await drop(RADIOGRAPH);
  await state("draft");
  await image();
  await looks();
  await row(0).click();
  await look("draft");
  await picture("alternatives");
  await key("?");
  await look("keys");
  await key("Escape");
  const count = await rows().count();
  await row(0).click();
  await key("x");
  await decision(0, "struck");
  for (let place = 1; place < count; place++) {
    await key("a");
    await decision(place, "accepted");
  }
  await look("decided");
  await key("s");
  await look("sign");
  await page.keyboard.type(SIGNER);
  await key("Enter");
  await state("signed");
  await look("signed");
  return null;
}

await opened();
const walks = { mouse: byMouse, keyboard: byKeyboard, axe: violations };
const told = part === "second" && walk !== "axe" ? await findAgain() : await walks[walk]();
assert.deepEqual(complaints, [], "the page complains");
await browser.close();
console.log(JSON.stringify(told));
