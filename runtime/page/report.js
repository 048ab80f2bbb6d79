// The report: rows to accept, edit, strike and add; warnings; the signature.

import * as api from "./api.js";
import { at, local, make, say } from "./dom.js";

const STATES = { open: "undecided", accepted: "accepted", edited: "edited", struck: "struck" };
const HEADINGS = { findings: "Findings", impression: "Impression" };
/** A sentence's end, or a heading, in a text that is still being written. */
const PARTS = /(findings?:|impressions?:|conclusion:)|[^.!?]+(?:[.!?](?=\d)[^.!?]*)*[.!?]?/gi;

let study = null, selected = null, changed = () => {};

export const current = () => study;

export function start({ onChange }) {
  changed = onChange;
}

const closed = () => !study || Boolean(study.signature);
export const rowOf = (number) => study?.rows.find((row) => row.number === number);
const element = (number) => at("rows").querySelector(`[data-row="${number}"]`);
/** Where a row stands, from 1. */
const place = (number) => study.rows.findIndex((row) => row.number === number) + 1;
const undecided = () => study.rows.filter(({ decision }) => decision === "open");

/** Shows a study, or none. */
export function show(next, name = "") {
  if (study?.id !== next?.id) selected = next?.rows[0]?.number ?? null;
  study = next;
  at("report-name").textContent = next?.name ?? name;
  render();
}

/** Shows a text that is being written: rows of the size that they will have. */
export function showWriting(text, name) {
  study = null;
  at("report-name").textContent = name;
  state("drafting", "writing …");
  let section = null;
  const rows = [];
  for (const [part, heading] of text.matchAll(PARTS)) {
    if (heading) rows.push(make("h3", {}, section = heading.replace(":", "")));
    else if (part.trim()) {
      rows.push(make("div", { class: "row" }, make("p", { class: "sentence" }, part.trim()),
        make("div", { class: "under" }, make("button", { type: "button", tabIndex: -1 }, "Accept"))));
    }
  }
  const list = at("rows");
  list.classList.add("writing");
  list.replaceChildren(...rows);
  list.scrollTop = list.scrollHeight;
  foot();
}

/** Says why there is no report. */
export function showProblem(message, name) {
  study = null;
  at("report-name").textContent = name;
  state("failed", "failed");
  at("rows").replaceChildren(make("p", { class: "problem" }, message));
  foot();
}

function state(kind, words) {
  at("report-state").textContent = words;
  at("report-state").dataset.state = kind;
}

function render() {
  const list = at("rows");
  const focused = list.contains(document.activeElement);
  const top = list.scrollTop;
  list.classList.remove("writing");
  if (!study) {
    list.replaceChildren();
    state("", "");
  } else {
    if (!rowOf(selected)) selected = study.rows[0]?.number ?? null;
    const parts = [];
    let section;
    for (const row of study.rows) {
      if (row.section !== section && row.section) parts.push(make("h3", {}, HEADINGS[row.section]));
      section = row.section;
      parts.push(rowElement(row));
    }
    list.replaceChildren(...parts);
    list.scrollTop = top;
    if (study.signature) state("signed", "signed");
    else if (study.revision > 1) state("started", "begun");
    else state("drafted", "draft");
  }
  foot();
  if (focused) element(selected)?.focus({ preventScroll: true });
}

/** Mean probability of a token, from the mean log-probability. */
const probability = (row) => Math.exp(row.mean_log_probability);

function rowElement(row) {
  const its = row.number === selected && !closed();
  const warned = study.contradictions.filter(({ rows }) => rows.includes(row.number));
  const button = (words, key, deed) => {
    const made = make("button", { type: "button", tabIndex: its ? 0 : -1 }, words, make("kbd", {}, key));
    made.addEventListener("click", () => { select(row.number, false); deed(); });
    return made;
  };
  const sure = row.mean_log_probability === null
    ? make("span", { class: "sure" }, "added by the reader")
    : make("span", { class: "sure", title: `mean log-probability of its tokens: ${row.mean_log_probability.toFixed(3)}` },
      make("meter", { min: 0, max: 1, value: probability(row), "aria-label": "model's confidence" }),
      `${row.decision === "edited" ? "draft" : "confidence"} ${Math.round(probability(row) * 100)} %`);
  const under = make("div", { class: "under" }, sure, ...(closed() ? [] : [
    row.drafted !== null && row.decision !== "accepted" && button("Accept", "a", accept),
    button("Edit", "e", edit),
    row.decision !== "struck" && button("Strike", "x", strike),
    row.drafted !== null && row.decision !== "open" && button("Undo", "u", undo),
  ]));
  const made = make("div", {
    class: "row", role: "group", tabIndex: row.number === selected ? 0 : -1,
    data: { row: row.number, decision: row.decision, ...(its ? { selected: "" } : {}) },
    "aria-label": `Row ${place(row.number)}, ${STATES[row.decision]}: ${row.text}`,
  },
  make("p", { class: "sentence" }, row.text),
  row.decision === "edited" && row.drafted !== null && make("p", { class: "was" }, "drafted: ", make("del", {}, row.drafted)),
  ...warned.map(({ rows, text }) => {
    const other = place(rows.find((number) => number !== row.number));
    return make("p", { class: "warned" }, `⚠ With row ${other}: ${text}`);
  }),
  under,
  its && row.alternatives.length > 0 && alternatives(row));
  made.addEventListener("focusin", () => select(row.number, false));
  return made;
}

function alternatives(row) {
  return make("div", { class: "alternatives" }, make("span", { class: "quiet" }, "The model's other versions:"),
    ...row.alternatives.slice(0, 9).map((text, place) => {
      const made = make("button", { type: "button" }, make("kbd", {}, place + 1), ` ${text}`);
      made.addEventListener("click", () => alternative(place));
      return made;
    }));
}

/** Makes a row the selected one; with `focus`, hands it the keyboard. */
export function select(number, focus = true) {
  if (number !== selected && study) {
    const before = element(selected), after = element(number);
    selected = number;
    // Only these two look different: what has the focus keeps it.
    const active = document.activeElement;
    for (const [its, old] of [[before, true], [after, false]]) {
      if (!its) continue;
      const row = rowOf(Number(its.dataset.row));
      if (its.contains(active) && !old && active !== its) continue;
      const fresh = rowElement(row);
      const had = its === active;
      its.replaceWith(fresh);
      if (had && !old) fresh.focus({ preventScroll: true });
    }
  }
  if (focus) {
    const its = element(number);
    its?.focus();
    its?.scrollIntoView({ block: "nearest" });
  }
}

/** Selects the row before or after; at first, the selected one. */
export function step(by) {
  if (!study) return;
  const place = study.rows.findIndex(({ number }) => number === selected);
  const inside = at("rows").contains(document.activeElement);
  const next = study.rows[Math.min(study.rows.length - 1, Math.max(0, inside ? place + by : place))];
  if (next) select(next.number);
}

/** The next row that nobody has decided on, after the selected one. */
function stepToUndecided() {
  const place = study.rows.findIndex(({ number }) => number === selected);
  const rows = [...study.rows.slice(place + 1), ...study.rows.slice(0, place)];
  const next = rows.find(({ decision }) => decision === "open");
  if (next) select(next.number);
  else element(selected)?.focus({ preventScroll: true });
}

/** Sends a change; shows what the server makes of it. */
async function change(send) {
  const { id, revision } = study;
  try {
    const next = await send(id, revision);
    if (study?.id === id) {
      study = next;
      render();
    }
    changed();
    return true;
  } catch (error) {
    say(error.message);
    if (error.status === 409 && study?.id === id) show(await api.read(id));
    return false;
  }
}

const decide = (decision, text) => change((id, revision) => api.decide(id, { revision, row: selected, decision, text }));
const may = () => !closed() && rowOf(selected);

export async function accept() {
  if (may() && rowOf(selected).drafted !== null && await decide("accepted")) stepToUndecided();
}

export async function strike() {
  if (may() && await decide("struck")) stepToUndecided();
}

export async function undo() {
  if (may() && rowOf(selected).drafted !== null && rowOf(selected).decision !== "open") {
    await decide("open");
    element(selected)?.focus({ preventScroll: true });
  }
}

export async function alternative(place) {
  const text = may() && rowOf(selected).alternatives[place];
  if (text && await decide("edited", text)) stepToUndecided();
}

/** A field for a sentence in place of `where`'s content; resolves to the text, or to nothing. */
function field(where, text, label) {
  return new Promise((done) => {
    const input = make("textarea", { value: text, rows: 2, "aria-label": label });
    const button = (words, deed, kind) => {
      const made = make("button", { type: "button", class: kind }, words);
      made.addEventListener("click", deed);
      return made;
    };
    const content = [...where.childNodes];
    const box = make("div", {}, input, make("div", { class: "under" },
      button("Save (Enter)", () => end(input.value), "main"), button("Cancel (Esc)", () => end(null))));
    const end = (value) => { box.replaceWith(...content); done(value); };
    where.replaceChildren(box);
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter" || event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        end(event.key === "Enter" ? input.value : null);
      }
    });
    input.focus();
    input.setSelectionRange(text.length, text.length);
  });
}

export async function edit() {
  if (!may()) return;
  const number = selected;
  const text = await field(element(number), rowOf(number).text, "Sentence");
  selected = number;
  if (text?.trim() && text.trim() !== rowOf(number)?.text) {
    if (await decide("edited", text)) return stepToUndecided();
  }
  element(number)?.focus();
}

export async function add() {
  if (closed()) return;
  const row = rowOf(selected);
  const place = make("div", { class: "row" });
  if (row) element(selected).after(place);
  else at("rows").append(place);
  place.scrollIntoView({ block: "nearest" });
  const text = await field(place, "", "New sentence");
  place.remove();
  if (!text?.trim()) return element(selected)?.focus();
  const known = new Set(study.rows.map(({ number }) => number));
  const added = await change((id, revision) => api.addRow(id, {
    revision, after: row?.number ?? null, section: row?.section ?? null, text,
  }));
  if (added) select(study.rows.find(({ number }) => !known.has(number)).number);
}

function foot() {
  const warnings = study?.contradictions ?? [];
  const warn = ({ rows, text }) => make("li", {}, `Rows ${place(rows[0])} and ${place(rows[1])}: ${text}`);
  at("warnings").replaceChildren(...(study?.concerns ?? []).map((text) => make("li", {}, `Image: ${text}`)),
    ...(study?.finish === "length" ? [make("li", {}, "The draft was cut off at its longest length.")] : []),
    ...warnings.map(warn));
  at("sign-warnings").replaceChildren(...warnings.map(warn));
  const open = study ? undecided().length : 0;
  const { signature } = study ?? {};
  at("decided").textContent = !study ? ""
    : signature ? `Signed by ${signature.signer}, ${local(signature.time)}`
      : open ? `${open} of ${study.rows.length} rows undecided` : "Every row is decided: ready to be signed.";
  at("sign").disabled = closed() || open > 0 || !study.text;
  at("add-row").disabled = closed();
  for (const id of ["copy", "save-text", "save-json", "print", "purge"]) at(id).disabled = !study;
}

/** The report as it leaves this page: with its mark, always. */
export function asText() {
  const { signature, mark, notice, text } = study;
  const end = signature ? `Signed by ${signature.signer} at ${signature.time}` : `NOT SIGNED: ${undecided().length} of ${study.rows.length} rows undecided`;
  return `${mark}\n${notice}\n\n${text}\n\n${end}\n`;
}

export function askToSign() {
  if (at("sign").disabled) {
    if (study && !study.signature) say(`${undecided().length} rows are undecided.`);
    return;
  }
  at("sign-text").textContent = study.text;
  at("sign-problem").textContent = "";
  at("sign-dialog").showModal();
  at("signer").focus();
}

export async function sign() {
  const { id, revision } = study;
  try {
    show(await api.sign(id, { revision, signer: at("signer").value }));
    at("sign-dialog").close();
    say("Signed; it is on the disk.");
    changed();
    at("rows").focus();
  } catch (error) {
    at("sign-problem").textContent = error.message;
  }
}
