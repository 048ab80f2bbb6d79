// The server's API, as api/openapi.json describes it.

/** What the server says when something is not done. */
export class Refusal extends Error {
  constructor(status, { error, hint }, retryAfter) {
    super(hint ? `${error} (${hint})` : error);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Called when a token is wanted; resolves when there may be one. */
let askForToken = async () => {};
export const onTokenWanted = (ask) => { askForToken = ask; };

async function call(path, options = {}) {
  for (;;) {
    const response = await fetch(path, { cache: "no-store", ...options });
    if (response.ok) return response;
    if (response.status === 401 && path !== "/api/session") {
      await askForToken();
      continue;
    }
    const told = await response.json().catch(() => ({ error: `the server answers ${response.status}` }));
    throw new Refusal(response.status, told, Number(response.headers.get("retry-after")) || undefined);
  }
}

const asJson = (value) => ({
  method: "POST", body: JSON.stringify(value), headers: { "content-type": "application/json" },
});
const json = async (promise) => (await promise).json();
const study = (id) => `/api/studies/${id}`;

export const room = () => json(call("/api/room"));
export const signIn = (token) => call("/api/session", asJson({ token }));
export const list = () => json(call("/api/studies"));
export const read = (id) => json(call(study(id)));
/** Where the model looked for each row of a draft. */
export const evidence = (id) => json(call(`${study(id)}/evidence`));
export const remove = (id) => call(study(id), { method: "DELETE" });
export const decide = (id, change) => json(call(`${study(id)}/decisions`, asJson(change)));
export const addRow = (id, change) => json(call(`${study(id)}/rows`, asJson(change)));
export const sign = (id, change) => json(call(`${study(id)}/signature`, asJson(change)));
export const textAddress = (id) => `${study(id)}/report.txt`;
export const jsonAddress = (id) => `${study(id)}/report.json`;

/** Hands a file in; its name goes in a header, for addresses are written to logs. */
export const submit = (file, name) => json(call("/api/studies", {
  method: "POST", body: file,
  headers: { "content-type": "application/octet-stream", "x-file-name": encodeURIComponent(name) },
}));

/** Hands the image of a known study in again. */
export const supplyImage = (id, file) => call(`${study(id)}/image`, { method: "PUT", body: file });

/** The samples of an image, 16 bits each, and what they stand for. */
export async function image(id) {
  const response = await call(`${study(id)}/image`);
  const about = JSON.parse(response.headers.get("x-radiograph"));
  const bytes = await response.arrayBuffer();
  // Typed arrays read as this machine does, which is little-endian wherever browsers run.
  return { ...about, samples: new Uint16Array(bytes) };
}

/** Follows a draft until it is there; gives a function that stops. */
export function follow(id, { text, drafted, failed }) {
  const source = new EventSource(`${study(id)}/events`);
  const last = (then) => (event) => { source.close(); then(JSON.parse(event.data)); };
  source.addEventListener("text", (event) => text(JSON.parse(event.data).text));
  source.addEventListener("drafted", last(drafted));
  source.addEventListener("failed", last(failed));
  source.addEventListener("cancelled", last(() => failed({ error: "given up" })));
  return () => source.close();
}
