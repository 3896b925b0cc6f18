// All of it, in the order in which it is seen.

document.querySelector("main").hidden = false;
showVerdicts();
showFacts();
showFigures();
showVerification();
showCoverage();
showLeftOut();
showFailures();
timeline.start();
showDistributions();
showHosts();
showSessions();
callsTable.start();

byId("contents").append(
  ...[...document.querySelectorAll("main > section")].map((section) => el("li", el("a", { href: `#${section.id}` }, section.querySelector("h2").textContent))),
);

const leftOut = [
  rows.length < totals.calls ? `${counted(totals.calls - rows.length, "call")} are counted and not listed one by one` : null,
  data.body_limit ? `of each body no more than ${counted(data.body_limit, "byte")} are shown` : "no bodies are shown",
  data.cut ? `${counted(data.cut, "long text")} are cut` : null,
].filter(Boolean);
byId("made").textContent = visible(`Made by mxm-dataio ${data.made.version} at ${data.made.at.slice(0, 19).replace("T", " ")} UTC. Left out: ${leftOut.join("; ")}. The store has it all: ${data.root}. This page needs no network and asks for none.`);

const follow = () => {
  const asked = /^#call=(.+)$/.exec(location.hash);
  if (!asked) return;
  try {
    callsTable.reveal(decodeURIComponent(asked[1]));
  } catch {
    // No address of ours.
  }
};
addEventListener("hashchange", follow);
follow();
