// What the server keeps of a conversation: shown again, downloaded, deleted. The page's address names it.

import { ask } from "./wire.js";

const NAME = /^[A-Za-z0-9_.:-]{1,200}$/; // what the server takes

/** The address's, so that a reload goes on with it; null if it has none. */
export function namedId() {
  const name = location.hash.slice(1);
  return NAME.test(name) ? name : null;
}

/** One that nobody can guess, in the address from now on. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  history.replaceState(null, "", `#${id}`);
  return id;
}

/** {turns, looked}: what was said before, and where the model looked for the last reply; nothing yet is fine. */
export async function recall(id) {
  try {
    const { turns, looked } = await (await ask("GET", id, "?looked=true")).json();
    return { turns, looked: Object.values(looked ?? {}).at(-1) ?? null }; // by place, in order
  } catch (error) {
    if (error.code !== "no_conversation") throw error;
    return { turns: [], looked: null };
  }
}

/** `what`: "/report", or "" for the whole history. */
export async function download(id, what, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await ask("GET", id, what)).blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // the browser has begun to save it by then
}

export const forget = (id) => ask("DELETE", id);
