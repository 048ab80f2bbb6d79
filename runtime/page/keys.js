// Every key that does something outside a text field, in one list: what `?` shows is what works.

import { at, make } from "./dom.js";

const bindings = [];

/** Binds a key: its `event.key`, what it does in words, and the deed. */
export function bind(key, words, deed, shown = key) {
  bindings.push({ key, words, deed, shown });
}

const typing = (target) => target.matches("input, textarea, select");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const binding = bindings.find(({ key }) => key === event.key);
  if (!binding) return;
  // Space and Enter belong to a button that has the focus.
  if ((event.key === "Enter" || event.key === " ") && event.target.matches("button, a")) return;
  event.preventDefault();
  binding.deed(event);
});

export function showKeys() {
  const list = at("keys");
  list.replaceChildren(...bindings.filter(({ words }) => words).flatMap(({ shown, words }) => [
    make("dt", {}, make("kbd", {}, shown)), make("dd", {}, words),
  ]));
  at("keys-dialog").showModal();
}

at("show-keys").addEventListener("click", showKeys);
