// SPDX-License-Identifier: GPL-3.0-or-later
// The verdict on a bundle: all checks in the order in which a person would ask, and the three answers
// (attest/verify/verifier.py, report.py). What a browser cannot check is skipped, in words.

import { CHAIN_PROOF, ENVELOPE, checkFiles } from "./bundle.js";
import { Case } from "./case.js";
import {
  AUTHENTIC,
  consensus,
  coverage,
  finding,
  freshness,
  policy,
  receipts,
  result,
  tokens,
  witnessNames,
  witnesses,
} from "./checks.js";
import { available } from "./crypto.js";
import { UnavailableError, VerificationError } from "./errors.js";
import { consistency, grownFrom, history } from "./history.js";
import { verifyProof } from "./inclusion.js";
import { leaves } from "./leaves.js";
import { parseInstant } from "./period.js";
import { sentence } from "./statement.js";
import { LogFiles } from "./tiles.js";
import { readTrust, refuseFromBundle } from "./trust.js";

function chainProof(subject) {
  if (!subject.files.has(CHAIN_PROOF)) {
    return finding("skipped", `the bundle has no ${CHAIN_PROOF}`, "Ask your own node: `attest verify --rpc URL`.");
  }
  return finding(
    "skipped",
    "this page does not check state proofs",
    "Run `attest verify`, after `pip install 'reserve-attest[chain-proof]'`.",
  );
}

function chainRpc() {
  return finding(
    "skipped",
    "this page asks nobody on the network, so no node of your own either",
    "Run `attest verify --rpc URL`, with a node of your own for each chain.",
  );
}

function timestamp() {
  return finding(
    "skipped",
    "this page does not check time stamps (RFC 3161)",
    "Run `attest verify`, after `pip install 'reserve-attest[timestamp]'`.",
  );
}

function evidence() {
  return finding(
    "skipped",
    "the custodians' documents and the decision on them are not for the public, and this page does not read them",
    "An auditor can ask the issuer for the audit package, and run `attest verify --evidence DIR`.",
  );
}

/** What the log says, and who else saw it. */
const LOGGED = [
  check("consistency", "Does that log extend what you saw before?", consistency, false),
  check("history", "Is any period missing, replaced or revoked?", history, false),
  check("witnesses", "Who else saw that log?", witnesses, false),
  check("timestamp", "Did an authority outside see that log, and when?", timestamp, false),
];
const FRESHNESS = check("freshness", "Is it recent enough?", freshness, false);
const CHECKS = [
  ...AUTHENTIC,
  ...LOGGED,
  check("tokens", "Does it speak of exactly the tokens and deployments that you expect?", tokens),
  check("policy", "Was it decided by a rule as strict as you ask for?", policy),
  check("coverage", "Is each reserve at least the supply?", coverage),
  check("consensus", "Was it reported on chain, and was the oracle's quorum met?", consensus),
  check("receipts", "Do the receipts and the anchor belong to this statement?", receipts),
  check("chain-proof", "Do the chain's own headers prove what it says?", chainProof, false),
  check("chain-rpc", "Does your own node say the same?", chainRpc, false),
  check("leaves", "Do the accounts add up to the totals?", leaves, false),
  check("evidence", "Do the documents give these balances by these rules?", evidence, false),
  FRESHNESS,
];

function check(name, question, run, required = true) {
  return { name, question, run, required };
}

/** What a statement's sufficiency rests on besides its authenticity. */
const SUFFICIENT = ["tokens", "policy", "consensus", "receipts"];

/**
 * The case that `input` makes: `files` (name: bytes), `trust` (bytes), and optionally `leaves`, `since` (bytes), `log`
 * (path below the log's root: bytes) and `now` (UTC, like 2026-11-24T08:00:00Z; else the clock's).
 *
 * Throws `VerificationError` when the trust file is malformed or came with the bundle.
 */
export async function openCase(input) {
  if (!available()) throw new Error("this browser gives the page no cryptography here: see `crypto.subtle`");
  const files = new Map(Object.entries(input.files ?? {}));
  const log = input.log ? new Map(Object.entries(input.log)) : null;
  refuseFromBundle(input.trust, [...files.values(), ...(log?.values() ?? [])]);
  const parts = {
    trust: await readTrust(input.trust),
    now: input.now === undefined ? Math.floor(Date.now() / 1000) : parseInstant(input.now),
    leaves: input.leaves ?? null,
    since: input.since ?? null,
    log: log === null ? null : new LogFiles(log),
  };
  if (parts.now === null) throw new Error(`now: ${input.now} is no time such as 2026-11-24T08:00:00Z`);
  try {
    checkFiles(files);
    return new Case({ ...parts, files });
  } catch (fault) {
    if (!(fault instanceof VerificationError)) throw fault;
    return new Case({ ...parts, files: new Map(), fault });
  }
}

/** What `attest verify --json` says of a case; with `input.proof`, what `attest verify-proof --json` says. */
export async function verify(input) {
  const subject = await openCase(input);
  return input.proof ? judgeProof(input, subject) : judge(subject);
}

export function judgeProof(input, subject) {
  const names = Object.keys(input.files);
  const alone = names.length === 1 && names[0] === ENVELOPE;
  const name = input.proofName ?? "the proof";
  return verifyProof(input.proof, subject, { alone, name, logged: LOGGED, freshness: FRESHNESS, demandsUnmet });
}

export async function judge(subject) {
  const checks = [];
  for (const each of CHECKS) checks.push(await result(each, subject));
  const outcomes = Object.fromEntries(checks.map(({ name, outcome }) => [name, outcome]));
  const answers = [
    await authentic(subject, outcomes, checks),
    await sufficient(subject, outcomes),
    await independent(subject, outcomes),
  ];
  const unmet = await demandsUnmet(subject, outcomes);
  const report = { period: null, revision: null, statement: null, tokens: [], answers, checks, unmet, notes: [] };
  try {
    const predicate = await subject.predicate();
    const seen = outcomes.witnesses === "pass" ? (await subject.cosignatures()).length : 0;
    Object.assign(report, {
      period: predicate.period,
      revision: predicate.revision,
      statement: await subject.statementDigest(),
      tokens: predicate.tokens.map((token) => tokenReport(token, predicate.cutoff, outcomes, seen)),
      notes: notesOn(predicate),
    });
  } catch (fault) {
    if (!(fault instanceof UnavailableError)) throw fault;
  }
  return { ...report, exit_code: exitCode(report) };
}

function notPassed(outcomes, names) {
  return names.filter((name) => outcomes[name] !== "pass");
}

const AUTHENTIC_NAMES = AUTHENTIC.map(({ name }) => name);

/** What need not be checked, but must not contradict. (What is stale was true once.) */
const CONTRADICTING = CHECKS.filter(({ name, required }) => !required && name !== "freshness").map(({ name }) => name);

/** Why the figures do not count: what they rest on and did not pass, and whatever contradicts them. */
function unproven(outcomes) {
  return [
    ...notPassed(outcomes, [...AUTHENTIC_NAMES, ...SUFFICIENT]),
    ...CONTRADICTING.filter((name) => outcomes[name] === "fail"),
  ];
}

async function authentic(subject, outcomes, checks) {
  const missing = notPassed(outcomes, AUTHENTIC_NAMES);
  if (missing.length > 0) return answer("authentic", "no", `not established: ${missing.join(", ")}`);
  const { detail } = checks.find(({ name }) => name === "signatures");
  return answer("authentic", "yes", `${detail}; unchanged, and in the log ${subject.trust.log.origin}`);
}

async function sufficient(subject, outcomes) {
  const missing = [...unproven(outcomes), ...(outcomes.freshness === "fail" ? ["freshness"] : [])];
  if (missing.length > 0) return answer("sufficient", "unknown", `not established: ${missing.join(", ")}`);
  if (outcomes.coverage !== "pass") return answer("sufficient", "no", `a token is ${outcomes.coverage}`);
  const count = (await subject.predicate()).merkle.size;
  if (outcomes.leaves === "pass") return answer("sufficient", "yes", `by ${count} accounts added up`);
  return answer(
    "sufficient",
    "yes",
    `by totals that the issuer claims: the ${count} accounts behind them were not given`,
  );
}

async function independent(subject, outcomes) {
  const memories = [];
  if (outcomes.witnesses === "pass") memories.push(`witnesses ${(await witnessNames(subject)).join(", ")}`);
  if (outcomes.consistency === "pass") {
    const before = await grownFrom(subject);
    if (before > 0n) memories.push(`your own, of the log at size ${before}`);
  }
  if (memories.length > 0 && outcomes["log-inclusion"] === "pass") {
    return answer("independently checked", "yes", memories.join(" and "));
  }
  return answer(
    "independently checked",
    "no",
    "only the issuer's word: no witness counted, and no chain was checked",
  );
}

function answer(name, said, detail) {
  return { name, answer: said, detail };
}

/** The demands that were not met. To give a checkpoint is to demand that the log is compared with it. */
async function demandsUnmet(subject, outcomes) {
  const met = { chain: false, independent: (await independent(subject, outcomes)).answer === "yes" };
  const unmet = subject.trust.demands.filter((demand) => !(met[demand] ?? outcomes[demand] === "pass"));
  const asked = subject.since !== null && outcomes.consistency === "skipped" && !unmet.includes("consistency");
  return asked ? [...unmet, "consistency"] : unmet;
}

function tokenReport(token, cutoff, outcomes, seen) {
  const stale = outcomes.freshness === "fail";
  const text = sentence(token, cutoff, seen, stale);
  if (unproven(outcomes).length > 0) {
    return { token: token.token, state: "unproven", sentence: `Not proven, only claimed: ${text}` };
  }
  return { token: token.token, state: stale ? "stale" : token.verdict, sentence: text };
}

function notesOn(predicate) {
  const notes = [];
  if (predicate.supersedes !== null) {
    const put = predicate.supersedes.kind === "revocation" ? "revokes" : "replaces";
    const { revision, supersedes } = predicate;
    notes.push(`This is revision ${revision}, which ${put} the one before it: ${supersedes.reason}`);
  }
  if (predicate.clock === "pinned") notes.push("This is a rehearsal: its clock was pinned by configuration.");
  for (const { attempt, reason } of predicate.abandoned) {
    notes.push(`Attempt ${attempt} of this period was abandoned: ${reason}`);
  }
  if (predicate.supply_at === "run") {
    const gaps = predicate.chains.map(({ supply_gap_seconds: seconds, chain_id: chain }) => {
      return `${Math.abs(seconds)} seconds ${seconds < 0 ? "after" : "before"} it on chain ${chain}`;
    });
    notes.push(`The supply was read at the run, not at the cutoff: ${gaps.join(", ")}.`);
  }
  if (predicate.disclosures.length > 0) {
    const codes = predicate.disclosures.map(({ kind, code }) => `${kind} ${code}`).join(", ");
    notes.push(`Details that the issuer committed to and an auditor can ask for: ${codes}.`);
  }
  return notes;
}

/** 0 only if all that the trust file demands passed; 4 when a reserve is short or withheld; 6 otherwise. */
function exitCode(report) {
  const outcomes = report.checks.map(({ outcome }) => outcome);
  const skipped = report.checks.some(({ required, outcome }) => required && outcome === "skipped");
  if (!outcomes.includes("pass") || outcomes.includes("fail") || skipped || report.unmet.length > 0) return 6;
  return outcomes.includes("short") || outcomes.includes("withheld") ? 4 : 0;
}
