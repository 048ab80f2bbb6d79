// Where the model looked for the row that has the focus: a map over the radiograph, with its scale. It is no proof.

import * as api from "./api.js";
import { at, say } from "./dom.js";

/** Amber, which no grey is; as in room.css. */
const COLOUR = [255, 150, 40];
/** How much of the picture the highest value covers. */
const MOST_OPAQUE = 0.6;

let viewer, rowOf, able = false, on = true;
let study = null, evidence = null, row = null;

/** `its`: the viewer; `rows`: gives the row of a number; `can`: whether the server's bundle can tell. */
export function start({ viewer: its, rows, can }) {
  [viewer, rowOf, able] = [its, rows, can];
  at("show-looked").hidden = !able;
  at("show-looked").addEventListener("click", toggle);
  // A row keeps its map while the hand is on the radiograph, to look at it closely; whatever else is focused ends it.
  document.addEventListener("focusin", () => {
    // Not the event's target: a row is made anew when it is selected, and the old one is nowhere any more.
    const its = document.activeElement;
    if (its.closest(".viewer")) return;
    row = Number(its.closest("#rows [data-row]")?.dataset.row) || null;
    draw();
  });
}

/** Asks for a study's maps; none closes the last one. */
export async function open(id) {
  if (study !== id) evidence = null;
  study = id;
  draw();
  if (!able || !id || evidence) return;
  // Without its image there is nothing to show them on, and the page says so.
  const found = await api.evidence(id).catch(() => null);
  if (study !== id || !found) return;
  evidence = found;
  draw();
}

export function toggle() {
  if (!able) return say("This bundle cannot say where it looked.");
  on = !on;
  at("show-looked").setAttribute("aria-pressed", String(on));
  draw();
}

function draw() {
  const shown = on && evidence && row;
  const map = shown && evidence.rows.find((its) => its.row === row);
  viewer.look(map ? { ...evidence, picture: coloured(map.values) } : null);
  at("scale").hidden = !shown;
  if (!shown) return;
  const most = map ? Math.max(...map.values) : 0;
  at("scale-mark").textContent = map ? evidence.mark : "No map: the reader added this row";
  at("scale-ramp").hidden = !map;
  at("scale-most").textContent = `${most.toFixed(1)} ×`;
  const its = rowOf(row);
  at("scale-of").textContent = map && its && its.text !== map.text ? `for its own sentence: ${map.text}` : "";
}

/** A picture of a pixel for each cell: clear up to the even share, then the stronger the higher. */
function coloured(values) {
  const picture = document.createElement("canvas");
  picture.width = evidence.columns;
  picture.height = evidence.lines;
  const context = picture.getContext("2d");
  const pixels = context.createImageData(evidence.columns, evidence.lines);
  const range = Math.max(Math.max(...values) - 1, 1e-3);
  values.forEach((value, place) => {
    pixels.data.set([...COLOUR, 255 * MOST_OPAQUE * Math.max(0, value - 1) / range], 4 * place);
  });
  context.putImageData(pixels, 0, 0);
  return picture;
}
