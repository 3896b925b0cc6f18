// Calls over time: in columns for all of it, and as a waterfall whose axis follows the rows shown.

const timeline = (() => {
  const into = document.querySelector("#timeline .body");
  const span = Math.max((data.ended - data.began) * 1000, 0.001);
  const NARROW = matchMedia("(max-width: 640px)");
  const SEGMENTS = [["connect", "connecting"], ["tls", "TLS"], ["wait", "waiting"], ["receive", "receiving"], ["lost", "failed"]];
  let shown = [];
  let drawn = "";

  // -- all of it -------------------------------------------------------------------------------

  const frames = [];

  const lanes = () => {
    const most = Math.max(1, ...data.lanes.flatMap((lane) => lane.counts));
    const each = span / 1000 / (data.lanes.length ? data.lanes[0].counts.length : 1);
    const made = data.lanes.map((lane) => {
      const name = several || lane.session === null ? partName(lane.session) : "calls";
      const strip = columns(lane.counts, lane.bad, (place) =>
        `${clock(data.began + place * each)}: ${counted(lane.counts[place], "call")}${lane.bad[place] ? `, ${count(lane.bad[place])} went wrong` : ""}`, most);
      const frame = el("span.frame");
      frames.push(frame);
      const calls = lane.counts.reduce((sum, one) => sum + one, 0);
      return el("div.lane", el("span.lane-name", name), el("div.strip", { role: "img", "aria-label": `${name}: ${counted(calls, "call")} over time`, click: jump }, strip, frame));
    });
    return el(
      "div", { class: data.lanes.length === 1 ? "lanes single" : "lanes" },
      made,
      el("div.lane", el("span.lane-name"), el("div.ticks", [0, 0.25, 0.5, 0.75, 1].map((share) => at(el("span", (span < 60_000 ? clock : hours)(data.began + (share * span) / 1000)), share)))),
      el("p.note", `Calls that began in each ${lasted(each * 1000)}, at most ${count(most)}; red: those that went wrong.`),
    );
  };
  const hours = (seconds) => clock(seconds).slice(0, 8);

  const jump = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const moment = ((event.clientX - box.left) / box.width) * span;
    const place = shown.findIndex((row) => C.start[row.place] >= moment);
    scroller.scrollTop = (place < 0 ? shown.length : place) * height();
  };

  // -- the waterfall ---------------------------------------------------------------------------

  const axis = el("div.ticks");
  const sheet = el("div.sheet");
  const scroller = el("div.scroller", { tabindex: "0", role: "region", "aria-label": "Waterfall of calls; the table of calls below says the same" }, sheet);
  const said = el("p.note", { role: "status" });
  const order = select("order", [["time", "in order of time"], ["session", "by session"]]);
  const height = () => (NARROW.matches ? 38 : 24);

  const show = (chosen, isPart) => {
    shown = [...chosen].sort((a, b) => (order.value === "session" ? C.session[a.place] - C.session[b.place] : 0) || C.start[a.place] - C.start[b.place]);
    said.replaceChildren(
      isPart ? `${counted(shown.length, "call")} of ${count(rows.length)}, as filtered below. ` : "",
      isPart ? el("button.link", { type: "button", click: () => callsTable.only({}) }, "show all") : "",
    );
    scroller.scrollTop = 0;
    layout();
  };

  const layout = () => {
    sheet.style.height = `${shown.length * height()}px`;
    scroller.style.maxHeight = `${Math.min(Math.max(shown.length, 2), 18) * height() + 2}px`;
    drawn = "";
    draw();
  };

  const draw = () => {
    const each = height();
    const room = scroller.clientHeight || 400;
    const first = Math.max(Math.floor(scroller.scrollTop / each), 0);
    const last = Math.min(Math.ceil((scroller.scrollTop + room) / each), shown.length);
    const key = `${first}-${last}`;
    if (key === drawn) return;
    drawn = key;
    const some = shown.slice(first, last);
    let from = Infinity;
    let to = -Infinity;
    for (const row of some) {
      from = Math.min(from, C.start[row.place]);
      to = Math.max(to, row.end);
    }
    if (!some.length) [from, to] = [0, span];
    const width = Math.max(to - from, 0.01) * 1.02;
    sheet.replaceChildren(...some.map((row, place) => bar(row, (first + place) * each, from, width)));
    axis.replaceChildren(...ticks(width).map((value) => at(el("span", value ? `+${lasted(value)}` : clock(data.began + from / 1000)), value / width)));
    for (const frame of frames) {
      frame.style.left = `${(100 * from) / span}%`;
      frame.style.width = `${Math.max((100 * (to - from)) / span, 0.3)}%`;
    }
  };

  const ticks = (width) => {
    const rough = width / (NARROW.matches ? 3 : 6);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
    const made = [];
    for (let value = 0; value <= width * 0.93; value += step) made.push(value);
    return made;
  };

  const bar = (row, top, from, width) => {
    const { place } = row;
    const track = el("span.track");
    const put = (kind, start, end) => {
      if (!(end >= start)) return;
      const piece = el(`span.seg.${kind}`);
      piece.style.left = `${(100 * (start - from)) / width}%`;
      piece.style.width = `${(100 * (end - start)) / width}%`;
      track.append(piece);
    };
    put("whole", C.start[place], row.end);
    for (let one = row.first; one <= row.last; one += 1) {
      const start = A.start[one];
      const total = A.total[one] ?? A.first[one] ?? 0;
      let reached = 0;
      const next = (kind, until) => {
        if (until === null || until <= reached) return;
        put(kind, start + reached, start + Math.min(until, Math.max(total, until)));
        reached = until;
      };
      next("connect", A.connect[one]);
      next("tls", A.tls[one] === null ? null : (A.connect[one] || 0) + A.tls[one]);
      next(A.code[one] === null ? "lost" : "wait", A.first[one] ?? total);
      next(A.failure[one] >= 0 ? "lost" : "receive", total);
    }
    if (row.last < 0 || (excepted(row) && A.total[row.last] === null)) put(excepted(row) ? "lost" : "wait", C.start[place], row.end);
    const address = url(row).replace(/^[a-z]+:\/\//, "");
    const made = el(
      "div", { class: `bar ${grade(row)}`, title: `${word(C.method[place])} ${url(row)}\n${status(row)}, ${lasted(row.end - C.start[place])}` },
      el("span.label", several ? tag(partName(C.session[place]), `part${C.session[place] % 6}`) : null, el("span.address", `${word(C.method[place])} ${address}`), el("span.code", status(row))),
      track,
    );
    made.style.top = `${top}px`;
    made.addEventListener("click", () => callsTable.reveal(C.id[place]));
    return made;
  };

  const start = () => {
    if (!rows.length) {
      into.append(el("p.note", "No call was made."));
      return;
    }
    order.addEventListener("change", () => show(shown, shown.length < rows.length));
    scroller.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    addEventListener("resize", layout);
    into.append(
      lanes(),
      el("div.over", el("ul.legend", SEGMENTS.map(([kind, text]) => el("li", el(`span.seg.${kind}`, { "aria-hidden": "true" }), text))), several ? order : null),
      said,
      el("div.waterfall", el("div.bar-head", el("span.label"), axis), scroller),
      el("p.note", "A row a call, its attempts one behind the other; the axis follows the rows that are in view. A click opens the call below."),
    );
    callsTable.onChange(show);
  };

  return { start };
})();
