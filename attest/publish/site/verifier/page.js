// SPDX-License-Identifier: GPL-3.0-or-later
// The page: two places to give files to, and the verdict on them. Nothing leaves it.

import { ENVELOPE } from "./bundle.js";
import * as bytes from "./bytes.js";
import * as checkpoint from "./checkpoint.js";
import { available } from "./crypto.js";
import { badge, html, prose } from "./dom.js";
import * as dsse from "./dsse.js";
import { readFiles, sortOut } from "./dropped.js";
import { VerificationError } from "./errors.js";
import { folded } from "./leaves.js";
import * as merkle from "./merkle.js";
import { format, group } from "./money.js";
import * as note from "./note.js";
import { formatInstant, moment, parseInstant } from "./period.js";
import { counted } from "./statement.js";
import * as log from "./tiles.js";
import { judge, judgeProof, openCase, verify } from "./verifier.js";
import { explain } from "./working.js";

/** For other programs and for tests: `verify` gives what `attest verify --json` does, the others are its parts. */
window.attest = { verify, bytes, checkpoint, dsse, log, merkle, note, folded };

/** The checks in the order in which a person would ask. */
const QUESTIONS = [
  ["Who said this?", ["signatures", "period"]],
  ["Is it unchanged?", ["files", "statement", "subject"]],
  ["Is it in the public log?", ["log-inclusion", "consistency", "history"]],
  ["Is my account in it?", ["inclusion"]],
  ["Does it add up?", ["tokens", "policy", "coverage", "leaves", "evidence"]],
  ["Was it reported on chain?", ["consensus", "receipts", "chain-proof", "chain-rpc"]],
  ["Who else saw it?", ["witnesses", "timestamp"]],
  ["Is it recent?", ["freshness"]],
];
const ENDINGS = {
  0: "Everything that your trust file demands passed.",
  4: "The attestation is in order; it says that a reserve is short or withheld.",
  6: "Do not rely on this bundle.",
};
/** What an exit code is shown as; 4 as what the reserve is said to be. */
const ENDED = { 0: "pass", 6: "fail" };
const NAMES = {
  authentic: "Authentic?",
  sufficient: "Sufficient?",
  "independently checked": "Independently checked?",
};

const NO_PROOF = () =>
  html(
    "p",
    { class: "none" },
    badge("skipped"),
    html("span", {}, "No proof was given. The issuer makes one for your account: give it with the attestation."),
  );

const byId = (id) => document.getElementById(id);
/** What was given: files by path, the trust file, and which of several bundles is meant. */
const given = { files: new Map(), trust: null, chosen: 0 };
/** Counts up with every change, so that an older verdict never overwrites a newer one. */
let turn = 0;

// -- giving files ---------------------------------------------------------------------------------------------------

async function addSubject(found) {
  try {
    for (const [path, data] of await readFiles(found)) given.files.set(path, data);
    say("subject", null);
  } catch (fault) {
    if (!(fault instanceof VerificationError)) throw fault;
    say("subject", fault);
  }
  given.chosen = 0;
  await refresh();
}

async function setTrust(found) {
  try {
    const files = await readFiles(found);
    if (files.size !== 1) throw notOne(files.size);
    const [[path, data]] = files;
    given.trust = { path, data };
    say("trust", null);
  } catch (fault) {
    if (!(fault instanceof VerificationError)) throw fault;
    say("trust", fault);
  }
  await refresh();
}

function notOne(count) {
  return new VerificationError(`this is ${count} files`, {
    code: "trust-not-one",
    reason: "All trust comes from one file, so that you can say what you relied on.",
    advice: "Give your trust file alone.",
  });
}

/** The files of a drop, folders included, as `{path, file}`. What it holds can only be asked for at once. */
async function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const parts = items.map((item) => {
    const entry = item.webkitGetAsEntry();
    if (entry === null || entry.isFile) return [{ path: item.getAsFile().name, file: item.getAsFile() }];
    return insideHandle(item.getAsFileSystemHandle?.()).catch(() => insideEntry(entry));
  });
  try {
    return (await Promise.all(parts)).flat();
  } catch {
    throw new VerificationError("the folder that was dropped cannot be read", {
      code: "folder-unreadable",
      reason: "Some browsers do not give dropped folders to a page that was opened from disk.",
      advice: "Use “Choose a folder”, or drop the folder's files or a zip of it.",
    });
  }
}

/** The files below a folder, by its handle (File System standard). */
async function insideHandle(promised) {
  const folders = [["", await promised]];
  const found = [];
  while (folders.length > 0) {
    const [before, folder] = folders.shift();
    const path = `${before}${folder.name}/`;
    for await (const inside of folder.values()) {
      if (inside.kind === "directory") folders.push([path, inside]);
      else found.push({ path: path + inside.name, file: await inside.getFile() });
    }
  }
  return found;
}

/** The same by its entry, which older browsers have instead. */
async function insideEntry(folder) {
  const entries = [folder];
  const found = [];
  while (entries.length > 0) {
    const entry = entries.shift();
    if (entry.isFile) {
      const file = await new Promise((done, failed) => entry.file(done, failed));
      found.push({ path: entry.fullPath.replace(/^\//, ""), file });
      continue;
    }
    const reader = entry.createReader();
    for (;;) {
      const inside = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (inside.length === 0) break;
      entries.push(...inside);
    }
  }
  return found;
}

function chosen(input) {
  const found = [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  input.value = ""; // so that the same file can be chosen again
  return found;
}

function listen() {
  for (const [zone, take] of [
    ["subject", addSubject],
    ["trust", setTrust],
  ]) {
    const place = byId(zone);
    for (const input of place.querySelectorAll("input[type=file]")) {
      input.addEventListener("change", () => take(chosen(input)));
    }
    place.addEventListener("dragover", () => place.classList.add("over"));
    place.addEventListener("dragleave", () => place.classList.remove("over"));
    place.addEventListener("drop", async (event) => {
      place.classList.remove("over");
      try {
        await take(await dropped(event.dataTransfer));
      } catch (fault) {
        if (!(fault instanceof VerificationError)) throw fault;
        say(zone, fault);
      }
    });
  }
  // A file that misses its place must not replace the page.
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
  byId("clear").addEventListener("click", async () => {
    given.files.clear();
    given.trust = null;
    say("subject", null);
    say("trust", null);
    await refresh();
    byId("subject").querySelector("input").focus();
  });
  byId("at").addEventListener("change", refresh);
}

// -- what was given, in words ---------------------------------------------------------------------------------------

/** The three lines of an error below a zone; none to take them away. */
function say(zone, fault) {
  byId(`${zone}-fault`).replaceChildren(...(fault === null ? [] : threeLines(fault)));
}

function threeLines(fault) {
  return [
    html("p", { class: "wrong" }, badge("fail"), ` ${fault.message}`),
    ...[fault.reason, fault.advice].filter(Boolean).map((line) => html("p", {}, line)),
  ];
}

function listGiven(sorted) {
  const items = [];
  if (sorted.bundles.length === 1) items.push(bundleWords(sorted.bundles[0]));
  if (sorted.proof) items.push(`the proof of one account (${sorted.proof.path})`);
  if (sorted.leaves) items.push(`the auditor's leaves (${sorted.leaves.path})`);
  if (sorted.since) items.push(`an earlier checkpoint (${sorted.since.path})`);
  if (sorted.log) items.push(`the log, ${counted(sorted.log.files.size, "file")}`);
  for (const path of sorted.trust) {
    items.push(`not used: ${path} is a trust file. One that comes with what it should judge would vouch for itself.`);
  }
  if (sorted.unused.length > 0) items.push(`not used: ${unusedWords(sorted.unused)}`);
  byId("subject-given").replaceChildren(...choice(sorted.bundles), ...items.map((item) => html("li", {}, item)));
  byId("trust-given").replaceChildren(...(given.trust === null ? [] : [html("li", {}, given.trust.path)]));
  byId("clear").hidden = given.files.size === 0 && given.trust === null;
}

function bundleWords({ folder, files }) {
  if (files.size === 1) return `a statement alone (${folder}${ENVELOPE})`;
  return `an attestation, ${counted(files.size, "file")}`;
}

function unusedWords(paths) {
  const rest = paths.length - 3;
  return paths.slice(0, 3).join(", ") + (rest > 0 ? ` and ${counted(rest, "other")}` : "");
}

/** Which of several attestations is meant. */
function choice(bundles) {
  if (bundles.length < 2) return [];
  const options = bundles.map(({ folder }, n) =>
    html("option", { value: String(n), selected: n === given.chosen }, folder.replace(/\/$/, "") || "(no folder)"),
  );
  const select = html("select", { id: "which" }, options);
  select.addEventListener("change", async () => {
    given.chosen = Number(select.value);
    await refresh();
    byId("which").focus();
  });
  return [html("li", {}, html("label", { for: "which" }, `One of ${bundles.length} attestations: `), select)];
}

// -- the verdict ----------------------------------------------------------------------------------------------------

async function refresh() {
  const mine = ++turn;
  const sorted = sortOut(given.files);
  listGiven(sorted);
  const at = byId("at").value.trim();
  const now = at === "" ? Math.floor(Date.now() / 1000) : parseInstant(at);
  byId("at").toggleAttribute("aria-invalid", now === null);
  byId("at-fault").textContent = now === null ? "Write it in UTC, for example 2026-11-23T08:00:00Z." : "";
  const bundle = sorted.bundles[given.chosen];
  const missing = [
    bundle === undefined ? "what to verify" : null,
    given.trust === null ? "what to trust" : null,
    now === null ? "a time" : null,
  ].filter((part) => part !== null);
  if (missing.length > 0) {
    show([]);
    const one = given.files.size > 0 && bundle === undefined ? ` No ${ENVELOPE} is among the files.` : "";
    byId("status").replaceChildren(`Still needed: ${missing.join(" and ")}.${one}`);
    return;
  }
  byId("status").replaceChildren("Checking…");
  const input = {
    files: Object.fromEntries(bundle.files),
    trust: given.trust.data,
    proof: sorted.proof?.data,
    proofName: sorted.proof?.path,
    leaves: sorted.leaves?.data,
    since: sorted.since?.data,
    log: sorted.log === null ? undefined : Object.fromEntries(sorted.log.files),
    now: formatInstant(now),
  };
  let parts;
  let words;
  try {
    const inside = [...given.files.values()].some((data) => bytes.equal(data, input.trust));
    if (inside) throw fromBundle();
    [parts, words] = await verdict(input, bundle);
  } catch (fault) {
    if (!(fault instanceof VerificationError)) throw fault;
    [parts, words] = [[], ["Nothing was checked: the trust file was refused."]];
    if (mine === turn) say("trust", fault);
  }
  if (mine !== turn) return;
  show(parts);
  byId("status").replaceChildren(...words);
}

function fromBundle() {
  return new VerificationError(`${given.trust.path}: this trust file came with what it should judge`, {
    code: "trust-from-bundle",
    reason: "Whoever made the bundle made this file too: it would vouch for itself.",
    advice: "Give a trust file of your own, from somebody whom you trust.",
  });
}

function show(parts) {
  byId("result").replaceChildren(...parts);
  byId("result").hidden = parts.length === 0;
}

/** The elements of the answer, and those of one line about them. A statement alone answers about a proof only. */
async function verdict(input, bundle) {
  const subject = await openCase(input);
  const proof = input.proof === undefined ? null : await judgeProof(input, subject);
  const report = bundle.files.size === 1 && proof !== null ? null : await judge(subject);
  const checks = report === null ? proof.checks : [...report.checks];
  if (report !== null && proof !== null) checks.push(proof.checks.at(-1));
  const code = Math.max(report?.exit_code ?? 0, proof?.exit_code ?? 0);
  const count = (...outcomes) => checks.filter(({ outcome }) => outcomes.includes(outcome)).length;
  const says = count("short", "withheld") > 0 ? ", 1 says short or withheld" : "";
  const skipped = `${count("skipped")} could not be made`;
  const words = `${count("pass")} checks passed, ${count("fail")} failed, ${skipped}${says}.`;
  const ended = ENDED[code] ?? report.checks.find(({ name }) => name === "coverage").outcome;
  return [
    [
      html("h2", { id: "answer" }, "The answer"),
      tokenList(report, proof),
      ...(report === null ? [] : [answers(report)]),
      ...besides(report ?? { notes: proof.not_checked, unmet: proof.unmet }, subject.trust.demands),
      html("h2", {}, "Check by check"),
      html("p", { class: "lead" }, `${words} Open one to see its rule, its working and the bytes.`),
      ...groups(checks, subject, input),
      html("p", { class: "lead" }, `Judged as of ${moment(subject.now)}, in this browser, from these files alone.`),
    ],
    [badge(ended), html("strong", {}, ENDINGS[code]), html("span", {}, words)],
  ];
}

/** The sentences first: is the money there, as of when, and who can check it? */
function tokenList(report, proof) {
  const items = (report?.tokens ?? []).map(({ state, sentence }) => tokenItem(state, sentence));
  if (report !== null && items.length === 0) {
    items.push(tokenItem("unproven", "There is no statement that can be read."));
  }
  if (proof !== null) items.push(...accountItem(proof));
  return html("ul", { class: "tokens" }, items);
}

function tokenItem(state, text, support = null) {
  return html(
    "li",
    {},
    html("p", { class: "badge" }, badge(state)),
    html("p", { class: "sentence" }, text),
    support === null ? null : html("p", { class: "support" }, support),
  );
}

function accountItem({ leaf, exponent, total_minor_units: total, accounts, period, revision }) {
  if (leaf === null) {
    return [tokenItem("unproven", "This proof does not show the account in a statement that you can rely on.")];
  }
  const money = (units) => `${group(format(BigInt(units), exponent))} ${leaf.currency}`;
  return [
    tokenItem(
      "included",
      `${leaf.account} at ${leaf.custodian}: ${money(leaf.minor_units)} (${leaf.balance_kind}, ${leaf.ownership}) ` +
        `as of ${moment(parseInstant(leaf.as_of))}, backing ${leaf.token}, in ${period}, revision ${revision}.`,
      `It is one of ${accounts} accounts under the signed root. That those of ${leaf.token} add up to ` +
        `${money(total)} is the issuer's claim: this proof shows one account only.`,
    ),
  ];
}

function answers(report) {
  return html(
    "dl",
    { class: "answers" },
    report.answers.map(({ name, answer, detail }) => [
      html("dt", {}, NAMES[name]),
      html("dd", {}, badge(answer), html("span", { class: "detail" }, detail)),
    ]),
  );
}

/** What a reader must know besides, and the demands that were not met. */
function besides(report, demands) {
  const unmetWords = (demand) =>
    demands.includes(demand)
      ? ` Your trust file demands “${demand}”, and that was not met.`
      : " The log could not be compared with your checkpoint, which you gave for that.";
  const items = [
    ...report.notes.map((note) => html("li", {}, prose(note))),
    ...report.unmet.map((demand) => html("li", {}, badge("fail"), unmetWords(demand))),
  ];
  return items.length === 0 ? [] : [html("ul", { class: "besides" }, items)];
}

function groups(checks, subject, input) {
  return QUESTIONS.map(([question, names]) => {
    const inside = names.map((name) => checks.find((each) => each.name === name)).filter((each) => each !== undefined);
    if (inside.length === 0 && names[0] !== "inclusion") return null;
    const items = inside.map((each) => checkItem(each, subject, input));
    return html("section", { class: "group" }, html("h3", {}, question), items.length > 0 ? items : NO_PROOF());
  }).filter((part) => part !== null);
}

function checkItem({ name, question, outcome, detail, advice }, subject, input) {
  const body = html("div", { class: "body" });
  const asked = outcome === "skipped" ? "How to get it checked" : "What to do";
  const item = html(
    "details",
    { class: "check", "data-check": name, "data-outcome": outcome },
    html(
      "summary",
      {},
      badge(outcome),
      html(
        "span",
        { class: "asked" },
        html("span", { class: "question" }, question),
        html("span", { class: "detail" }, prose(detail)),
        advice === "" ? null : html("span", { class: "detail" }, `${asked}: `, prose(advice)),
      ),
    ),
    body,
  );
  item.addEventListener("toggle", async () => {
    if (item.open && !item.dataset.explained) {
      item.dataset.explained = "yes";
      body.append(...(await explain(name, subject, { proof: input.proof })));
    }
  });
  return item;
}

// -- begin ----------------------------------------------------------------------------------------------------------

byId("scriptless").hidden = true;
if (available()) {
  byId("give").hidden = false;
  listen();
  refresh();
} else {
  byId("unable").hidden = false;
  byId("place").textContent = location.origin;
}
