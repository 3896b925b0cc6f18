// The table of calls: searched, filtered, sorted, a page of them at a time.

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
