// Title, verdicts, figures, facts, verification, coverage, failures, hosts and sessions.

const totals = data.totals;
const wrong = totals.failed + totals.errors + totals.interrupted;
const findings = data.verified.findings.length + data.verified.more;
const damaged = data.verified.damaged.length + data.verified.more_damaged;
const unseen = data.coverage === null ? 0 : data.coverage.length + data.more_coverage;

const verdict = (kind, title, text, target) =>
  el(
    `li.${kind}`,
    el("a", { href: `#${target}` }, el("span.mark", { "aria-hidden": "true" }, { ok: "✓", note: "!", bad: "✗" }[kind]), el("span", el("strong", title), el("span.why", text))),
  );

const showVerdicts = () => {
  const sealed = data.parts.every((part) => part.chain && part.chain.seal);
  const list = byId("verdicts");
  if (!data.verified.ok) {
    list.append(verdict("bad", "The record does not verify", counted(findings + damaged, "finding"), "verification"));
  } else if (sealed) {
    list.append(verdict("ok", "The record verifies", "every hash, seal and payload", "verification"));
  } else {
    list.append(verdict("note", "The record verifies so far", "not all of it is sealed", "verification"));
  }
  if (data.coverage === null) {
    list.append(verdict("note", "Coverage is not known", "nobody watched what went past", "coverage"));
  } else if (unseen) {
    list.append(verdict("bad", "Not all was seen", `${counted(unseen, "way")} past the session`, "coverage"));
  } else if (data.unwatched) {
    list.append(verdict("note", "Coverage is known in part", `${counted(data.unwatched, "session")} not watched`, "coverage"));
  } else {
    list.append(verdict("ok", "All was seen", "nothing went past the session", "coverage"));
  }
  if (wrong) {
    list.append(verdict(totals.failed + totals.interrupted ? "bad" : "note", `${counted(wrong, "call")} went wrong`, `of ${count(totals.calls)}`, "failures"));
  } else {
    list.append(verdict("ok", "No call went wrong", counted(totals.calls, "call"), "failures"));
  }
  const kind = { complete: "ok", running: "note", "ended by parent": "note" }[own.outcome] || "bad";
  const warned = data.parts.reduce((sum, part) => sum + part.warnings.length, 0);
  list.append(verdict((warned || own.exit_status) && kind === "ok" ? "note" : kind, `The session is ${own.outcome}`, `${counted(warned, "warning")}${own.exit === null ? "" : `, exit ${own.exit}`}`, "summary"));
  if (own.exit_status && own.outcome !== "ended by parent") {
    const how = own.exit_status < 0 ? "was ended by" : "exited with";
    list.append(verdict("bad", `The program ${how} ${own.exit}`, "what it did may be half done", "summary"));
  }
};

const figure = (name, value, text) => el("li", el("span.name", name), el("strong", value), el("span.why", text));

const showFigures = () => {
  const saved = totals.payload_bytes - totals.distinct_bytes;
  const behind = [
    totals.retries ? counted(totals.retries, "retry", "retries") : null,
    totals.redirects ? counted(totals.redirects, "redirect") : null,
  ].filter(Boolean);
  const seconds = (value) => (value === null ? null : value * 1000);
  byId("figures").append(
    figure("Calls", count(totals.calls), several ? `in ${counted(data.parts.length + data.more_parts, "session")}` : "what the program made"),
    figure("Attempts", count(totals.attempts), behind.join(", ") || "no retries"),
    figure("Received", bytes(totals.received), `${count(totals.received)} bytes of bodies`),
    figure("Sent", bytes(totals.sent), `${count(totals.sent)} bytes of bodies`),
    figure("Hosts", count(totals.hosts), data.hosts.length ? data.hosts[0].name : ""),
    figure("Went wrong", count(wrong), `${count(totals.errors)} by status, ${count(totals.failed + totals.interrupted)} by exception`),
    figure("Retries", count(totals.retries), `${counted(totals.recovered, "call")} saved by them`),
    figure("Dedup saving", percent(saved, totals.payload_bytes), `${count(totals.payloads)} bodies, ${count(totals.distinct)} different: ${bytes(saved)} saved`),
    figure("Answer, median", lasted(seconds(totals.p50)), `p90 ${lasted(seconds(totals.p90))}, p99 ${lasted(seconds(totals.p99))}`),
  );
};

// An instant as it is stored, for people.
const written = (text) => text.replace("T", " ").replace(/Z$/, "");

const showFacts = () => {
  const ran = `${own.source}${own.program ? ` · ${own.program}` : ""}`;
  document.title = `${visible(ran)} – audit report`;
  byId("title").textContent = visible(ran);
  byId("subtitle").append(`${instant(data.began, 0)} · ${lasted((data.ended - data.began) * 1000)} · session `, code(own.id));
  byId("facts").append(
    ...facts([
      ["Source", own.source],
      ["Kind", own.kind],
      ["As of", own.as_of],
      ["Mode", own.mode],
      ["Program", own.program],
      ["Exit status", own.exit],
      ["Host", own.host],
      ["Process", own.pid ? String(own.pid) : null],
      ["Started (UTC)", written(own.started_at)],
      ["Ended (UTC)", own.ended_at ? written(own.ended_at) : `not (${own.outcome})`],
      ["Duration", lasted((data.ended - data.began) * 1000)],
      ["Status", own.outcome],
      ["Pruned (UTC)", own.pruned_at ? `${written(own.pruned_at)}: its calls were deleted` : null],
      ["Session", code(own.id)],
      ["Parent", own.parent ? code(own.parent) : null],
      ["Store", code(data.root)],
      ["Served from the store", totals.served ? counted(totals.served, "call") : null],
      ["Not read to their end", totals.partial ? counted(totals.partial, "call") : null],
      ["Secrets taken from bodies", totals.redacted ? counted(totals.redacted, "answer") : null],
      ["Bodies kept in part", totals.cut ? counted(totals.cut, "answer") : null],
    ]),
  );
  const warned = data.parts.flatMap((part, place) => part.warnings.map((text) => [several ? partName(place) : "", text]));
  if (warned.length) {
    byId("warnings").append(
      el("h3", "Warnings"),
      el("ul.warnings", warned.map(([name, text]) => el("li", name ? tag(name) : null, name ? " " : null, text))),
    );
  }
};

const showVerification = () => {
  const found = data.verified;
  const into = document.querySelector("#verification .body");
  const read = `${counted(found.sessions, "session")}, ${counted(found.calls, "call")} and ${counted(found.payloads, "payload")} (${count(found.bytes)} bytes) were read, and every hash derived again`;
  into.append(
    found.ok
      ? el("p.result.ok", el("strong", "All is as it was recorded. "), `${read}.`)
      : el("p.result.bad", el("strong", "Not all is as it was recorded. "), `${read}: ${counted(findings + damaged, "finding")}.`),
  );
  if (findings || damaged) {
    const where = (one) => [
      one.request ? callLink(one.request, `${one.method} ${one.url}`) : null,
      ...(one.session && !one.request ? ["session ", code(one.session)] : []),
      one.path && !one.request ? code(one.path) : null,
    ];
    into.append(
      table("Findings", [["What", ""], ["Where", "long"]], [
        ...found.damaged.map((what) => [what, null]),
        ...found.findings.map((one) => [one.what, where(one)]),
      ]),
      more(found.more + found.more_damaged, "finding") || "",
    );
  }
  into.append(el("dl.facts.tall", facts([
    ["Head of the store's tree", found.head ? code(found.head) : "it could not be read"],
    ["Continues the heads given", found.against.length ? found.against.map((head) => code(head)) : null],
  ])));
  into.append(
    table(
      "Chains and seals of the sessions",
      [["Session", "keep"], ["Records", "num"], ["Chain head", "long"], ["Seal", "long"], ["Leaf", "num"]],
      data.parts.map((part, place) => [
        several ? [tag(partName(place)), " ", code(short(part.id))] : code(short(part.id)),
        part.chain ? count(part.chain.records) : "–",
        part.chain ? code(part.chain.head) : "it can't be read",
        part.chain && part.chain.seal ? code(part.chain.seal) : "not sealed",
        part.chain && part.chain.leaf !== null ? String(part.chain.leaf) : "–",
      ]),
    ),
  );
  if (found.notes.length) into.append(el("ul", found.notes.map((text) => el("li", text))));
  into.append(el("p.note", "Who can write to the store could make all hashes anew. Only a head that was published, or kept elsewhere, shows that: compare the one above with it. To check again: ", code(`mxm-dataio verify ${own.id}`)));
};

const showCoverage = () => {
  const into = document.querySelector("#coverage .body");
  if (data.coverage === null) {
    into.append(el("p.result.note-box", el("strong", "Not watched. "), "Whether anything went past the session, by other libraries, sockets or processes, is not known."));
    return;
  }
  const all = data.parts.length + data.more_parts;
  const part = data.unwatched ? ` ${count(data.unwatched)} of ${counted(all, "session")} did not watch.` : "";
  if (!unseen) {
    into.append(el(part ? "p.result.note-box" : "p.result.ok", el("strong", "Nothing went past the session. "), "No connection, process or library was seen that no recorded call accounts for.", part));
    return;
  }
  into.append(
    el("p.result.bad", el("strong", "What is listed here was seen, but could not be captured. "), "The record lacks what went through it.", part),
    table(
      "What went past the session",
      [["Kind", ""], ["What", "long"], ["Times", "num"], ["By", "long"]],
      data.coverage.map((one) => [one.kind, code(one.name), count(one.times), one.caller ? code(one.caller) : "not known"]),
    ),
    more(data.more_coverage, "way") || "",
  );
};

const showLeftOut = () => {
  if (!data.left_out.length) return;
  const each = data.left_out.flatMap((one, place) => [place ? ", " : "", `${counted(one.times, "call")} to `, code(one.name)]);
  const further = data.more_left_out ? `, and to ${counted(data.more_left_out, "more host")}` : "";
  document.querySelector("#coverage .body").append(el("p.note.left-out", "Left out, as it was told to: ", each, `${further}.`));
};

const showFailures = () => {
  const into = document.querySelector("#failures .body");
  if (!data.failing.length) {
    into.append(el("p.result.ok", el("strong", "No call went wrong: "), totals.recovered ? `${counted(totals.recovered, "call")} needed a retry.` : "each had an answer with a status below 400."));
    return;
  }
  into.append(
    table(
      "Calls that went wrong, by how they did",
      [["What", ""], ["Calls", "num"], ["Hosts", "long"], ["First", ""], ["Said", "long"], ["", ""]],
      data.failing.map((one, place) => [
        tag(one.what, one.answered ? "warn" : "bad"),
        count(one.calls),
        one.hosts.join(", "),
        callLink(one.request, clock(one.began)),
        one.message || (one.answered ? "an answer with an error status" : "–"),
        el("button.link", { type: "button", click: () => callsTable.only({ wrong: String(place) }), "aria-label": `Show the calls: ${one.what}` }, "show"),
      ]),
    ),
    more(data.more_failing, "kind of failure") || "",
  );
  if (totals.recovered) into.append(el("p.note", `Besides, ${counted(totals.recovered, "call")} went well after a retry.`));
};

const showHosts = () => {
  const into = document.querySelector("#hosts .body");
  const seconds = (value) => ms(value === null ? null : value * 1000);
  into.append(
    table(
      "Figures of each host",
      [["Host", "long"], ["Calls", "num"], ["Received", "num"], ["Sent", "num"], ["Wrong", "num"], ["Answers", ""], ["p50 ms", "num"], ["p90 ms", "num"], ["p99 ms", "num"], ["Reached at", ""], ["TLS", ""]],
      data.hosts.map((host, place) => [
        el("button.link", { type: "button", click: () => callsTable.only({ host: String(place) }), title: "show the calls" }, host.name),
        count(host.calls),
        bytes(host.received),
        bytes(host.sent),
        host.bad ? el("span.bad-text", count(host.bad)) : "0",
        Object.entries(host.answers).map(([name, number]) => [tag(`${name} ${count(number)}`, name[0] > "3" ? "warn" : ""), " "]).flat(),
        seconds(host.p50),
        seconds(host.p90),
        seconds(host.p99),
        [host.peers.join(", "), host.more_peers ? ` and ${count(host.more_peers)} more` : null],
        host.tls.join(", ") || "none",
      ]),
    ),
    more(data.more_hosts, "host") || "",
    el("p.note", "Milliseconds until the program had its answer's head, retries included."),
  );
};

const showSessions = () => {
  if (!several) {
    byId("sessions").remove();
    return;
  }
  document.querySelector("#sessions .body").append(
    table(
      "The session and those of its child processes",
      [["", "keep"], ["Session", "keep"], ["Program", "long"], ["Process", "num"], ["Status", ""], ["Exit", ""], ["Started", ""], ["Calls", "num"], ["Wrong", "num"]],
      data.parts.map((part, place) => [
        tag(partName(place)),
        code(short(part.id)),
        part.program || "–",
        String(part.pid),
        part.outcome,
        part.exit === null ? "–" : part.exit === "0" ? "0" : el("span.bad-text", part.exit),
        part.started_at ? part.started_at.slice(11, 23) : "–",
        el("button.link", { type: "button", click: () => callsTable.only({ session: String(place) }), "aria-label": `Show the calls of ${partName(place)}` }, count(part.calls)),
        part.bad ? el("span.bad-text", count(part.bad)) : "0",
      ]),
    ),
    more(data.more_parts, "session") || "",
  );
};
