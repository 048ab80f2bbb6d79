// Elements without markup: text goes in as text, so that nothing in a report or a file's name is ever read as HTML.

/** The element with an id. */
export const at = (id) => document.getElementById(id);

/** A new element: properties that the element knows are set as such, all others as attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

let silence;

/** Says something for a moment, and to screen readers. */
export function say(text) {
  at("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { at("said").textContent = ""; }, 5000);
}

/** A time of the server as this place writes it. */
export function local(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  const clock = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return today ? clock : `${date.toLocaleDateString()} ${clock}`;
}

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
