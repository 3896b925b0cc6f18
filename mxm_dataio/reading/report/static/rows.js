// The calls as rows: what is told of each, and by what they are searched, filtered and sorted.

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
