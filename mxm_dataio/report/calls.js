// The calls: as rows, searched, filtered, sorted, a page of them at a time; each opens to its
// headers and to the beginning of its bodies.

const C = data.calls;
const A = data.attempts;
const word = (place) => (place < 0 ? "" : data.words[place]);
const checksum = (place) => (place < 0 ? "" : data.checksums[place]);

const rows = [];
for (let place = 0, first = 0; place < C.id.length; place += 1) {
  const number = C.attempts[place];
  rows.push({ place, first, last: number ? first + number - 1 : -1, end: 0 });
  first += number;
}
for (const row of rows) {
  row.end = C.start[row.place] + Math.max(C.ms[row.place] || 0, 0);
  for (let one = row.first; one <= row.last; one += 1) row.end = Math.max(row.end, A.start[one] + (A.total[one] || 0));
}
const byRequest = new Map(C.id.map((id, place) => [id, place]));

const bodySize = (row) => (row.last < 0 ? 0 : A.size[row.last]);
const url = (row) => data.urls[C.url[row.place]];
const ended = (row) => word(C.status[row.place]);
const finalCode = (row) => (row.last < 0 ? null : A.code[row.last]);
const excepted = (row) => ended(row) === "failed" || ended(row) === "interrupted";
// The name of the exception: what stands before the colon, without its module.
const exception = (row) => {
  const own = C.failure[row.place] >= 0 ? C.failure[row.place] : row.last < 0 ? -1 : A.failure[row.last];
  return own < 0 ? ended(row) : word(own).split(":", 1)[0].split(".").at(-1);
};
const status = (row) => {
  const codes = [];
  for (let one = row.first; one <= row.last; one += 1) codes.push(A.code[one] === null ? "✗" : String(A.code[one]));
  if (excepted(row)) {
    const before = codes.filter((one) => one !== "✗");
    return [...(before.length > 3 ? [`${before.length} tries`] : before), exception(row)].join("→");
  }
  if (!codes.length) return C.served[row.place] ? "stored" : ended(row);
  return codes.length > 4 ? `${codes.length} tries→${codes.at(-1)}` : codes.join("→");
};
const grade = (row) => {
  if (excepted(row)) return "bad";
  const code = finalCode(row);
  if (code === null) return "";
  return code >= 500 ? "bad" : code >= 400 ? "warn" : code >= 300 ? "moved" : "good";
};

// Calls that verifying found something wrong with.
const doubted = new Set(data.verified.findings.map((one) => one.request));

const MARKS = [
  ["doubted", "does not verify", (row) => doubted.has(C.id[row.place]), "bad"],
  ["retried", "retried", (row) => isRetried(row)],
  ["redirected", "redirected", (row) => isRedirected(row)],
  ["redacted", "secret taken", (row) => some(row, (one) => A.original[one] !== null)],
  ["cut", "kept in part", (row) => some(row, (one) => A.truncated[one] > 0)],
  ["partial", "not read to its end", (row) => ended(row) === "partial"],
  ["served", "from the store", (row) => C.served[row.place] !== null],
  ["upload", "with a body", (row) => C.body[row.place] >= 0 && C.sent[row.place] > 0],
];
const some = (row, test) => {
  for (let one = row.first; one <= row.last; one += 1) if (test(one)) return true;
  return false;
};
const moved = (one) => A.code[one] >= 300 && A.code[one] < 400;
const isRetried = (row) => some(row, (one) => one < row.last && !moved(one));
const isRedirected = (row) => some(row, (one) => one < row.last && moved(one));

// -- searching, filtering, sorting -------------------------------------------------------------

const SORTS = {
  order: (row) => row.place,
  session: (row) => C.session[row.place],
  method: (row) => word(C.method[row.place]),
  url: (row) => url(row),
  status: (row) => (excepted(row) ? 1000 : (finalCode(row) ?? 0)),
  size: (row) => bodySize(row),
  ms: (row) => C.ms[row.place] ?? -1,
  checksum: (row) => checksum(row.last < 0 ? -1 : A.body[row.last]),
};

const plain = (row) => {
  if (row.text === undefined) {
    const parts = [word(C.method[row.place]), url(row), status(row), C.id[row.place], word(C.failure[row.place])];
    for (let one = row.first; one <= row.last; one += 1) {
      parts.push(checksum(A.body[one]), word(A.failure[one]));
      if (A.url[one] >= 0) parts.push(data.urls[A.url[one]]);
    }
    row.text = parts.join("\n").toLowerCase();
  }
  return row.text;
};

const lowerLines = new Map();
const lowerHead = (place) => {
  if (!lowerLines.has(place)) lowerLines.set(place, (data.heads[place] || []).map((line) => data.lines[line]).join("\n").toLowerCase());
  return lowerLines.get(place);
};
const lowerBodies = new Map();
const lowerBody = (place) => {
  if (!lowerBodies.has(place)) {
    const shown = data.bodies[place];
    lowerBodies.set(place, shown ? shown[1].toLowerCase() : "");
  }
  return lowerBodies.get(place);
};
const within = (row, text) =>
  lowerHead(C.head[row.place]).includes(text) ||
  lowerBody(C.body[row.place]).includes(text) ||
  some(row, (one) => lowerHead(A.head[one]).includes(text) || lowerBody(A.body[one]).includes(text));

const STATUSES = [
  ["", "any status"],
  ["wrong", "went wrong"],
  ["2", "2xx"],
  ["3", "3xx"],
  ["4", "4xx"],
  ["5", "5xx"],
  ["exception", "an exception"],
];
const hasStatus = (row, wanted) => {
  if (wanted === "wrong") return C.wrong[row.place] >= 0;
  if (wanted === "exception") return excepted(row);
  return !excepted(row) && String(finalCode(row) ?? "")[0] === wanted;
};

const select = (name, options) => el("select", { name, "aria-label": name }, options.map(([value, text]) => el("option", { value }, text)));

const callsTable = (() => {
  const PAGE = 100;
  const PRINTED = 1000;
  const into = document.querySelector("#calls .body");
  const search = el("input", { type: "search", placeholder: "URL, status, checksum, id, error…", "aria-label": "Search the calls", autocomplete: "off", spellcheck: "false" });
  const deep = el("input", { type: "checkbox", id: "deep" });
  const selects = {
    status: select("status", STATUSES),
    wrong: select("failure", [["", "any failure"], ...data.failing.map((one, place) => [String(place), `${one.what} (${count(one.calls)})`])]),
    host: select("host", [["", "any host"], ...data.hosts.map((host, place) => [String(place), `${host.name} (${count(host.calls)})`])]),
    session: select("session", [["", "any session"], ...data.parts.map((part, place) => [String(place), `${partName(place)} ${short(part.id)} (${count(part.calls)})`])]),
    mark: select("mark", [["", "any mark"], ...MARKS.map(([value, text]) => [value, text])]),
  };
  const clear = el("button", { type: "button", click: () => only({}) }, "Clear");
  const found = el("p.found", { role: "status" });
  const head = el("tr");
  const body = el("tbody");
  const pager = el("nav.pager", { "aria-label": "Pages of calls" });
  const COLUMNS = [
    ["order", "#", "num"],
    [null, "Time (UTC)", "time"],
    ["session", "Session", "session"],
    ["method", "Method", "method"],
    ["url", "URL", "url"],
    ["status", "Status", "status"],
    ["size", "Bytes", "num"],
    ["ms", "ms", "num"],
    ["checksum", "Checksum", "sum"],
    [null, "Marks", "marks"],
  ].filter(([name]) => name !== "session" || several);
  const state = { key: "order", down: false, page: 0, chosen: rows };
  const open = new Set();
  const listeners = [];

  const filtered = () => {
    const text = search.value.trim().toLowerCase();
    const { status, wrong, host, session, mark } = Object.fromEntries(Object.entries(selects).map(([name, one]) => [name, one.value]));
    const marked = mark && MARKS.find(([name]) => name === mark)[2];
    return rows.filter(
      (row) =>
        (!status || hasStatus(row, status)) &&
        (!wrong || C.wrong[row.place] === Number(wrong)) &&
        (!host || C.host[row.place] === Number(host)) &&
        (!session || C.session[row.place] === Number(session)) &&
        (!marked || marked(row)) &&
        (!text || plain(row).includes(text) || (deep.checked && within(row, text))),
    );
  };

  const update = () => {
    const key = SORTS[state.key];
    const sign = state.down ? -1 : 1;
    state.chosen = filtered()
      .map((row) => [key(row), row])
      .sort(([a, x], [b, y]) => (a < b ? -sign : a > b ? sign : x.place - y.place))
      .map(([, row]) => row);
    state.page = 0;
    show();
    for (const listener of listeners) listener(state.chosen, state.chosen.length < rows.length);
  };

  const show = () => {
    const total = state.chosen.length;
    const pages = Math.max(Math.ceil(total / PAGE), 1);
    const first = state.page * PAGE;
    showRows(state.chosen.slice(first, first + PAGE));
    const range = total ? `${count(first + 1)}–${count(Math.min(first + PAGE, total))} of ${counted(total, "call")}` : "No call";
    const limited = rows.length < totals.calls ? ` (${count(rows.length)} of all ${count(totals.calls)} are listed)` : "";
    found.textContent = total < rows.length ? `${range} found among ${count(rows.length)}${limited}` : `${range}${limited}`;
    clear.hidden = total === rows.length && !search.value;
    const go = (text, page, off) => el("button", { type: "button", disabled: off ? "" : null, click: () => { state.page = page; show(); byId("calls").scrollIntoView(); } }, text);
    pager.replaceChildren(
      go("First", 0, state.page === 0),
      go("Previous", state.page - 1, state.page === 0),
      el("span", `Page ${count(state.page + 1)} of ${count(pages)}`),
      go("Next", state.page + 1, state.page >= pages - 1),
      go("Last", pages - 1, state.page >= pages - 1),
    );
    pager.hidden = pages === 1;
  };

  const showRows = (shown) => {
    body.replaceChildren(...shown.flatMap((row) => (open.has(row.place) ? [line(row), details(row)] : [line(row)])));
  };

  const line = (row) => {
    const { place } = row;
    const isOpen = open.has(place);
    const started = data.began + C.start[place] / 1000;
    const sum = checksum(row.last < 0 ? -1 : A.body[row.last]);
    const toggle = el("button.open", { type: "button", "aria-expanded": String(isOpen), "aria-label": `Details of call ${place + 1}` }, count(place + 1));
    const cells = {
      "#": toggle,
      "Time (UTC)": el("span", { title: instant(started, 3) }, clock(started)),
      Session: several ? tag(partName(C.session[place]), `part${C.session[place] % 6}`) : null,
      Method: word(C.method[place]),
      URL: el("span.address", { title: url(row) }, url(row)),
      Status: tag(status(row), grade(row)),
      Bytes: row.last < 0 ? "" : count(bodySize(row)),
      ms: el("span", { "data-unit": "ms" }, ms(C.ms[place])),
      Checksum: sum ? el("code", { title: sum }, sum.slice(0, 10)) : "",
      Marks: MARKS.filter(([, , test]) => test(row)).map(([, text, , kind]) => tag(text, kind)),
    };
    const made = el("tr.call", { id: `row-${place}`, role: "row", class: `call${isOpen ? " opened" : ""}` },
      COLUMNS.map(([, name, kind]) => el(`td.${kind}`, { role: "cell" }, cells[name])));
    made.addEventListener("click", (event) => {
      if (event.target !== toggle && String(getSelection())) return;
      flip(row, made, toggle);
    });
    return made;
  };

  const flip = (row, made, toggle) => {
    if (open.delete(row.place)) made.nextElementSibling.remove();
    else {
      open.add(row.place);
      made.after(details(row));
    }
    made.classList.toggle("opened", open.has(row.place));
    toggle.setAttribute("aria-expanded", String(open.has(row.place)));
  };

  const details = (row) => el("tr.details", { role: "row" }, el("td", { colspan: String(COLUMNS.length), role: "cell" }, callDetails(row)));

  // Show only what is asked for, and go there.
  const only = (wanted) => {
    search.value = wanted.text || "";
    deep.checked = false;
    for (const [name, one] of Object.entries(selects)) one.value = wanted[name] ?? "";
    update();
    if (Object.keys(wanted).length) byId("calls").scrollIntoView();
  };

  const sortBy = (name) => {
    state.down = state.key === name ? !state.down : name === "size" || name === "ms";
    state.key = name;
    showHead();
    update();
  };

  const showHead = () => {
    head.replaceChildren(
      ...COLUMNS.map(([name, text, kind]) => {
        const sorted = name !== null && state.key === name;
        return el(
          `th.${kind}`,
          { scope: "col", role: "columnheader", "aria-sort": sorted ? (state.down ? "descending" : "ascending") : null },
          name === null ? text : el("button.sort", { type: "button", click: () => sortBy(name) }, text, el("span", { "aria-hidden": "true" }, sorted ? (state.down ? " ▾" : " ▴") : "")),
        );
      }),
    );
    const sorter = select("sort by", Object.keys(SORTS).map((name) => [name, `by ${name}`]));
    sorter.value = state.key;
    sorter.addEventListener("change", () => sortBy(sorter.value));
    sortSlot.replaceChildren(sorter);
  };
  const sortSlot = el("span.narrow");

  // Go to one call, whatever is shown, and open it.
  const reveal = (id) => {
    const place = byRequest.get(id);
    if (place === undefined) {
      found.textContent = `The call ${visible(id)} is not among those that are listed here.`;
      byId("calls").scrollIntoView();
      return;
    }
    if (!state.chosen.includes(rows[place])) only({});
    state.page = Math.floor(state.chosen.indexOf(rows[place]) / PAGE);
    open.add(place);
    show();
    const made = byId(`row-${place}`);
    made.scrollIntoView({ block: "start" });
    made.querySelector("button").focus({ preventScroll: true });
  };

  const start = () => {
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(update, rows.length > 2000 ? 120 : 0);
    });
    for (const one of [deep, ...Object.values(selects)]) one.addEventListener("change", update);
    const shownSelects = Object.entries(selects).filter(([name, one]) => (name === "session" ? several : one.options.length > (name === "host" ? 2 : 1)));
    into.append(
      el("div.filters", { role: "search" }, search, shownSelects.map(([, one]) => one), el("label.deep", deep, " headers and bodies too"), sortSlot, clear),
      found,
      el("table.calls", { role: "table" }, el("caption.hidden", "Calls"), el("thead", { role: "rowgroup" }, head), body),
      pager,
    );
    head.setAttribute("role", "row");
    body.setAttribute("role", "rowgroup");
    showHead();
    update();
    addEventListener("beforeprint", () => {
      showRows(state.chosen.slice(0, PRINTED));
      found.textContent = `${count(Math.min(PRINTED, state.chosen.length))} of ${counted(totals.calls, "call")}`;
    });
    addEventListener("afterprint", show);
  };

  return { start, only, reveal, onChange: (listener) => listeners.push(listener), chosen: () => state.chosen };
})();

// -- one call ----------------------------------------------------------------------------------

const headers = (place, name) => {
  const lines = (data.heads[place] || []).map((one) => data.lines[one]);
  if (!lines.length) return null;
  return el("details", el("summary", `${name} (${lines.length})`),
    el("dl.headers", lines.map((line) => {
      const colon = line.indexOf(": ");
      return el("div", el("dt", line.slice(0, colon)), el("dd", line.slice(colon + 2)));
    })));
};

const bodyShown = (place, name, size) => {
  const shown = data.bodies[place];
  if (!shown || !size) return null;
  const [isHex, content, whole, note] = shown;
  let text = content;
  let how = isHex ? "hex" : "text";
  if (isHex) text = hexLines(content);
  else if (whole && /^\s*[[{]/.test(content)) {
    try {
      text = JSON.stringify(JSON.parse(content), null, 2);
      how = "JSON, indented";
    } catch {
      // It only begins like JSON.
    }
  }
  const part = whole ? "" : content ? `, the first ${count(isHex ? content.length / 2 : new TextEncoder().encode(content).length)} bytes` : "";
  const said = [`${how}${part}`, note].filter(Boolean).join("; ");
  return el("div.preview", el("p.note", `${name}, ${counted(size, "byte")}: ${said}`), content ? el("pre", { tabindex: "0", "aria-label": name }, text) : null);
};

const hexLines = (digits) => {
  const lines = [];
  for (let from = 0; from < digits.length; from += 32) {
    const pairs = digits.slice(from, from + 32).match(/../g);
    const said = pairs.map((pair) => {
      const value = parseInt(pair, 16);
      return value >= 0x20 && value < 0x7f ? String.fromCharCode(value) : "·";
    });
    lines.push(`${(from / 2).toString(16).padStart(4, "0")}  ${pairs.join(" ").padEnd(47)}  ${said.join("")}`);
  }
  return lines.join("\n");
};

const attemptDetails = (row, one) => {
  const number = one - row.first + 1;
  const all = row.last - row.first + 1;
  const code = A.code[one];
  const said = code === null ? word(A.failure[one]).split(":", 1)[0] || "no answer" : `${code} ${word(A.reason[one])}`;
  const [address, version, cipher, certificate] = data.peers[A.peer[one]];
  const connecting = A.connect[one] === null ? (address ? "a connection that was open" : null) : `${lasted(A.connect[one])}${A.tls[one] === null ? "" : `, TLS ${lasted(A.tls[one])}`}`;
  return el(
    "section.attempt",
    el("h3", all > 1 ? `Attempt ${number} of ${all}: ` : "Answer: ", tag(said.trim(), code === null || code >= 500 ? "bad" : code >= 400 ? "warn" : "")),
    el("dl.facts", facts([
      ["URL", A.url[one] < 0 ? null : data.urls[A.url[one]]],
      ["Method", A.method[one] < 0 ? null : word(A.method[one])],
      ["Started", instant(data.began + A.start[one] / 1000)],
      ["Connected in", connecting],
      ["First byte after", A.first[one] === null ? null : lasted(A.first[one])],
      ["Ended after", A.total[one] === null ? null : lasted(A.total[one])],
      ["Reached at", address],
      ["TLS", version ? `${version}, ${cipher || ""}` : null],
      ["Certificate", certificate ? el("code", certificate) : null],
      ["Protocol", word(A.version[one])],
      ["Body", A.body[one] < 0 ? null : `${counted(A.size[one], "byte")}${A.flags[one] & 1 ? "" : ", not taken to its end"}${A.truncated[one] ? `; ${counted(A.truncated[one], "byte")} more went to the program and were not kept` : ""}`],
      ["Checksum", A.body[one] < 0 ? null : el("code", checksum(A.body[one]))],
      ["Before a secret was taken", A.original[one] ? el("code", A.original[one]) : null],
      ["Failure", A.failure[one] < 0 ? null : word(A.failure[one])],
    ])),
    headers(A.head[one], "Headers of the answer"),
    bodyShown(A.body[one], "Body", A.size[one]),
  );
};

const callDetails = (row) => {
  const { place } = row;
  const made = el(
    "div.opened-call",
    el("dl.facts", facts([
      ["URL", `${word(C.method[place])} ${url(row)}`],
      ["Started", instant(data.began + C.start[place] / 1000)],
      ["Answer after", C.ms[place] === null ? null : lasted(C.ms[place])],
      ["Status", ended(row)],
      ["Failure", C.failure[place] < 0 ? null : word(C.failure[place])],
      ["Answered from", C.served[place] ? el("code", C.served[place]) : null],
      ["Request", el("code", C.id[place])],
      ["Session", several ? [tag(partName(C.session[place])), " ", el("code", (data.parts[C.session[place]] || { id: "–" }).id)] : null],
      ["To see all of it", el("code", `mxm-dataio show ${C.id[place]}`)],
    ])),
    headers(C.head[place], "Headers of the request"),
    bodyShown(C.body[place], "Body of the request", C.sent[place]),
  );
  for (let one = row.first; one <= row.last; one += 1) made.append(attemptDetails(row, one));
  return made;
};
