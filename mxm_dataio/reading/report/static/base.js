// The page's data, and the few ways in which anything gets into the document: as text.

const data = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);

// Characters that would hide, move or reverse what stands beside them are shown by their code.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const visible = (text) =>
  String(text).replace(HIDDEN, (one) => `\\u{${one.charCodeAt(0).toString(16)}}`);

// Make an element: el("td.num", "12"), el("a", {href: "#x"}, "text", child).
const el = (name, ...rest) => {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const one of rest.flat()) {
    if (one === null || one === undefined || one === false) continue;
    if (one instanceof Node) made.append(one);
    else if (typeof one === "object") {
      for (const [key, value] of Object.entries(one)) {
        if (typeof value === "function") made.addEventListener(key, value);
        else if (value !== null && value !== undefined) made.setAttribute(key, visible(value));
      }
    } else made.append(document.createTextNode(visible(one)));
  }
  return made;
};

const SVG = "http://www.w3.org/2000/svg";
const svg = (tag, attributes, ...children) => {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// -- figures as text ---------------------------------------------------------------------------

const count = (value) => Number(value).toLocaleString("en");
const counted = (value, noun, plural = `${noun}s`) => `${count(value)} ${value === 1 ? noun : plural}`;

const bytes = (value) => {
  if (value < 1000) return `${value} B`;
  for (const unit of ["kB", "MB", "GB", "TB", "PB"]) {
    value /= 1000;
    if (value < 999.5) return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`;
  }
  return `${Math.round(value)} PB`;
};

const rounded = (value) =>
  Math.abs(value) < 9.95 ? value.toFixed(1) : count(Math.round(value));

const ms = (value) => (value === null ? "" : rounded(value));

// Milliseconds in the unit that suits them.
const lasted = (value) => {
  if (value === null) return "–";
  if (Math.abs(value) < 999.5) return `${rounded(value)} ms`;
  if (value < 120_000) return `${(value / 1000).toFixed(value < 9950 ? 2 : 1)} s`;
  const minutes = Math.floor(value / 60_000);
  if (minutes < 120) return `${minutes} min ${Math.round((value % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

const percent = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");

// Seconds since the epoch, as an instant in UTC.
const instant = (seconds, digits = 3) => {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return "–";
  const text = date.toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, digits ? 20 + digits : 19)} UTC`;
};
const clock = (seconds) => {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "–" : date.toISOString().slice(11, 23);
};

// -- pieces of the page ------------------------------------------------------------------------

const code = (text) => el("code", text);
const tag = (text, kind = "", title = null) => el(`span.tag${kind ? `.${kind}` : ""}`, { title }, text);

// A table that scrolls by itself where it is too wide; on a phone each row is a card, and what that
// does to its meaning the roles undo. Columns: [heading, class].
const table = (caption, columns, rows) => {
  const cell = (content, place) => {
    const [name, kind] = columns[place];
    return el(`td${kind ? `.${kind}` : ""}`, { role: "cell", "data-name": name }, el("span.value", content));
  };
  return el(
    "div.wide",
    { tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      { role: "table" },
      el("caption.hidden", caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, columns.map(([name, kind]) => el(`th${kind ? `.${kind}` : ""}`, { scope: "col", role: "columnheader" }, name || el("span.hidden", "more"))))),
      el("tbody", { role: "rowgroup" }, rows.map((row) => el("tr", { role: "row" }, row.map(cell)))),
    ),
  );
};

const facts = (pairs) =>
  pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => el("div", el("dt", name), el("dd", value)));

const callLink = (id, ...content) =>
  el("a", { href: `#call=${encodeURIComponent(id)}`, click: () => callsTable.reveal(id) }, content);

const more = (number, noun) => (number ? el("p.note", `And ${counted(number, noun)} more.`) : null);

// -- sessions ----------------------------------------------------------------------------------

const own = data.parts[0];
const several = data.parts.length + data.more_parts > 1;
const short = (id) => String(id).slice(0, 13);
const partName = (place) => {
  if (place === null) return "others";
  if (place === 0) return "main";
  return `child ${place}`;
};
