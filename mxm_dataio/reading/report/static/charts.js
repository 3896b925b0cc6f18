// Columns over time or over a logarithmic axis. They stretch; what is written stands beside them.

const columns = (counts, bad, titles, most) => {
  const top = most || Math.max(1, ...counts);
  const made = svg("svg", { viewBox: `0 0 ${counts.length} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
  counts.forEach((value, place) => {
    if (!value) return;
    const height = Math.max((100 * value) / top, 2);
    const wrongly = bad[place] ? Math.max((height * bad[place]) / value, 2) : 0;
    const box = { x: place + 0.06, width: 0.88 };
    const group = svg("g", {});
    const title = svg("title", {});
    title.textContent = titles(place);
    group.append(title, svg("rect", { ...box, y: 0, height: 100, class: "hit" }));
    if (height > wrongly) group.append(svg("rect", { ...box, y: 100 - height, height: height - wrongly, class: "fine" }));
    if (wrongly) group.append(svg("rect", { ...box, y: 100 - wrongly, height: wrongly, class: "wrong" }));
    made.append(group);
  });
  return made;
};

const at = (element, share) => {
  element.style.left = `${Math.min(Math.max(100 * share, 0), 100)}%`;
  return element;
};

// A distribution. `bins` are [low, high, values, marked]; edges are powers of `base`.
const distribution = (title, bins, base, said, nice, markers, noun) => {
  if (!bins.length) return el("figure.chart", el("figcaption", title), el("p.note", "none"));
  const places = bins.length;
  const most = Math.max(...bins.map((bin) => bin[2]));
  const zero = bins[0][0] === 0;
  const first = zero ? bins[0][1] / base : bins[0][0];
  const share = (value) => (value <= first ? 0 : Math.log(value / first) / Math.log(base)) / places;
  const edges = [...bins.map((bin) => bin[0]), bins[places - 1][1]];
  let ticks = edges.map((edge, place) => [edge, place]).filter(([edge, place]) => (place === 0 && zero) || nice(edge));
  if (ticks.length < 2) ticks = [[edges[0], 0], [edges[places], places]];
  const step = Math.ceil(ticks.length / 7);
  const plot = el("div.plot", columns(bins.map((bin) => bin[2]), bins.map((bin) => bin[3]), (place) => {
    const [low, high, values, marked] = bins[place];
    return `${said(low)} to ${said(high)}: ${counted(values, noun)}${marked ? `, ${count(marked)} of them went wrong` : ""}`;
  }));
  plot.append(el("span.most", count(most)));
  let before = -1;
  for (const [name, value] of markers.slice(0, 3)) {
    if (value === null) continue;
    const place = share(value);
    // A name that would stand on the one before it is left out: all are in the line below.
    plot.append(at(el("span.marker", place - before > 0.09 ? el("span", name) : null), place));
    if (place - before > 0.09) before = place;
  }
  // The last is no marker: it ends the axis.
  const summary = markers.filter(([, value]) => value !== null).map(([name, value]) => `${name} ${said(value)}`).join(" · ");
  return el(
    "figure.chart",
    el("figcaption", title),
    el("div", { role: "img", "aria-label": `${title}: from ${said(edges[0])} to ${said(edges[places])}, ${summary}` },
      plot,
      el("div.ticks", ticks.filter((_, place) => place % step === 0).map(([edge, place]) => at(el("span", said(edge)), place / places))),
    ),
    summary ? el("p.note", summary) : null,
  );
};

const showDistributions = () => {
  const seconds = (value) => (value >= 1 ? `${+value.toPrecision(2)} s` : `${+(value * 1000).toPrecision(2)} ms`);
  const decades = Math.log10(data.latencies.length ? data.latencies.at(-1)[1] / Math.max(data.latencies[0][0], 1e-4) : 1);
  const round = decades > 2.2 ? [1] : [1, 2, 5];
  const nice = (edge) => {
    const power = Math.round(Math.log10(edge) * 10) / 10;
    const lead = 10 ** (power - Math.floor(power + 1e-9));
    return round.some((one) => Math.abs(lead - one) < 0.02 * one);
  };
  document.querySelector("#distributions .body").append(
    distribution(
      "Time until the answer", data.latencies, 10 ** 0.1, seconds, nice,
      [["p50", totals.p50], ["p90", totals.p90], ["p99", totals.p99], ["slowest", totals.most]], "call",
    ),
    distribution("Size of bodies received", data.sizes, 4, (value) => binary(value), () => true, [], "body"),
  );
};

const binary = (value) => {
  let unit = 0;
  while (value >= 1024 && unit < 5) {
    value /= 1024;
    unit += 1;
  }
  return `${+value.toPrecision(3)} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
};
