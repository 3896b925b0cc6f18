// One call, opened: its attempts, their headers, and the beginnings of its bodies.

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
      ["Forgotten", C.forgotten[place] ? `${C.forgotten[place]}: it answers none` : null],
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
