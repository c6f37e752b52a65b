// Elements, numbers as text, the clipboard and downloads. Text goes in as text nodes, never as markup.

export function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null && child !== ""));
  return made;
}

/** Seconds as minutes and seconds. */
export function clock(seconds, digits = 2) {
  const total = Math.max(0, seconds);
  const minutes = Math.floor(total / 60 + 1e-9);
  const rest = Math.max(0, total - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? 3 + digits : 2, "0")}`;
}

export function size(bytes) {
  return bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** Copies a text. A page from disk may lack the clipboard, so a selection is the second way. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Offers a file for download. */
export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** The bytes of a base64 text. */
export function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/** A colour of the style sheet. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const MOST_FOUND = 500;

/** Marks a text, in small letters, wherever it stands in some elements. Browsers without highlights show none. */
export function highlight(roots, text) {
  if (!globalThis.Highlight) return;
  const ranges = [];
  for (const root of text ? roots : []) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode() && ranges.length < MOST_FOUND) {
      const words = walker.currentNode.data.toLowerCase();
      for (let at = words.indexOf(text); at >= 0; at = words.indexOf(text, at + text.length)) {
        const end = at + text.length;
        if (end > walker.currentNode.length) break; // small letters may be longer
        const range = new Range();
        range.setStart(walker.currentNode, at);
        range.setEnd(walker.currentNode, end);
        ranges.push(range);
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}
