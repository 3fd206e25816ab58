// SPDX-License-Identifier: GPL-3.0-or-later
// What the log shows beyond one entry: that it only grew since the auditor last saw it, and what else is in it
// (attest/verify/history.py). Heads are compared through the newest one of the log at hand.

import { equal } from "./bytes.js";
import { finding, refuse, signers } from "./checks.js";
import { openCheckpoint } from "./checkpoint.js";
import { digest } from "./crypto.js";
import { PAYLOAD_TYPE } from "./documents.js";
import { parseEnvelope } from "./dsse.js";
import { UnavailableError, VerificationError, repr } from "./errors.js";
import { Period, moment } from "./period.js";
import { read } from "./statement.js";

const MAX_ENTRIES = 10_000;
const REFUSED = {
  unreadable: "Ask the issuer what it is; if this is an old release of attest, take the newest.",
  foreign: "Ask the issuer what it is: its log is for its own statements.",
  unsigned: "Compare the attestor keys and their periods in your trust file with the issuer's, by another way.",
  misdated: "Ask the issuer: no statement stands for a period whose cutoff it does not have, or before that comes.",
};
const REWRITTEN =
  "Keep both checkpoints and the log's files: signed by one key, they are evidence that the log was rewritten, or " +
  "that you are shown another one than others.";
const INCOMPLETE =
  "Fetch the whole log again (`checkpoint` and `tile/`); if it stays shorter than what you saw, it was rewritten: " +
  "keep what you have as evidence.";
const GIVE_THE_LOG = "Give the log's folder besides: it holds `checkpoint` and `tile/`.";

// -- did it only grow? ----------------------------------------------------------------------------------------------

export async function consistency(subject) {
  if (subject.since === null) {
    return finding(
      "skipped",
      "you have no earlier checkpoint of this log to compare with",
      "Keep the checkpoint of today, and give it here the next time.",
    );
  }
  const seen = await kept(subject);
  const own = await ownHead(subject);
  const described = `the head at size ${seen.head.size} ${seen.source}`;
  if (!compared(seen, own)) {
    if (subject.log === null) {
      throw new UnavailableError(
        `whether the log at size ${own.size} agrees with ${described} shows in its hash tiles`,
        GIVE_THE_LOG,
      );
    }
    await extendsAll(subject, [seen, { head: own, source: "in this bundle" }]);
  }
  return finding("pass", `the log at size ${own.size} agrees with ${described}; nothing was rewritten`);
}

/** The head that the auditor had before; throws `VerificationError` if it is false. */
async function kept(subject) {
  const { checkpoint } = await openCheckpoint(subject.since, subject.trust.log.key, "your checkpoint");
  return { head: checkpoint, source: "that you kept" };
}

/**
 * The size of the head that the auditor had before this entry was in the log, 0 if there is none: only such a memory is
 * one that the log's operator could not reckon with.
 */
export async function grownFrom(subject) {
  const { head } = await kept(subject);
  return head.size <= (await subject.logged()).index ? head.size : 0n;
}

async function ownHead(subject) {
  try {
    return (await subject.logged()).signed.checkpoint;
  } catch (fault) {
    if (!(fault instanceof VerificationError)) throw fault;
    throw new UnavailableError("the bundle's own checkpoint or entry is false");
  }
}

/** Whether two heads can be compared without the log; throws `VerificationError` if they contradict each other. */
function compared(one, own) {
  if (one.head.size === own.size && !equal(one.head.root, own.root)) throw contradiction(one, own);
  return one.head.size === 0n || one.head.size === own.size;
}

/** Check that the log at hand extends all of `seen`. */
async function extendsAll(subject, seen) {
  const newest = (await subject.newest()).checkpoint;
  for (const one of seen) {
    if (one.head.size > newest.size) {
      throw refuse(
        `the log at hand ends at size ${newest.size}, before the head at size ${one.head.size} ${one.source}`,
        INCOMPLETE,
      );
    }
    try {
      await subject.log.checkConsistent(one.head, newest);
    } catch (fault) {
      throw fault.code === "merkle-root-mismatch" ? contradiction(one, newest) : fault;
    }
  }
}

function contradiction(one, other) {
  return refuse(
    `the log at size ${other.size} contradicts the head at size ${one.head.size} ${one.source}: it was rewritten`,
    REWRITTEN,
  );
}

// -- what else is in it? --------------------------------------------------------------------------------------------

export async function history(subject) {
  if (subject.log === null) {
    return finding(
      "skipped",
      "whether a period is missing, replaced or revoked shows in the log, which is not at hand",
      GIVE_THE_LOG,
    );
  }
  const { head, statements, refused } = await readHistory(subject);
  for (const { detail, kind } of refused) throw refuse(detail, REFUSED[kind]);
  const contradicts = contradicting(statements);
  if (contradicts !== null) {
    throw refuse(contradicts, "Keep the log's files, and ask the issuer: it contradicts itself.");
  }
  const standing = inForce(statements);
  const own = await subject.predicate();
  if (!standing.has(own.period)) {
    throw new UnavailableError(`${own.period} is before your earliest period, so its entries are not looked at`);
  }
  checkInForce(own, standing.get(own.period).predicate);
  checkCadence(subject.trust, await subject.period(), standing);
  const cadence =
    subject.trust.cadence_weeks === null ? "; your trust file gives no cadence by which one could be missing" : "";
  const all = [...standing.keys()];
  const span = `the log at size ${head.size}, ${all[0]} to ${all.at(-1)}`;
  return finding("pass", `${span}: this one is in force${replaced(standing)}${cadence}`);
}

/**
 * What the log's entries amount to (attest/verify/entries.py): `{head, statements, refused}`. `statements` are those that
 * count, in the log's order, each as `{index, statement, period, predicate}`, where `statement` is the digest; `refused`
 * the entries that do not, each as `{kind, detail}`. Throws `VerificationError` if the entries are not those of the log.
 */
export async function readHistory(subject) {
  await extendsAll(subject, [{ head: await ownHead(subject), source: "in this bundle" }]);
  const head = (await subject.newest()).checkpoint;
  if (head.size > MAX_ENTRIES) {
    throw refuse(`the log has ${head.size} entries, more than ${MAX_ENTRIES} are not read`, "Tell the maintainers.");
  }
  const statements = [];
  const refused = [];
  const cutoffs = new Map();
  for (const [index, data] of (await subject.log.entries(head)).entries()) {
    const entry = await readEntry(subject, index, data, cutoffs);
    if (entry?.kind !== undefined) refused.push(entry);
    else if (entry !== null) statements.push(entry);
  }
  return { head, statements, refused };
}

/**
 * One entry: a statement that counts, `{kind, detail}` of one that does not, null of one before the earliest period.
 * `cutoffs`: the period of each cutoff so far.
 */
async function readEntry({ trust, now }, index, data, cutoffs) {
  const where = `entry ${index}`;
  let envelope;
  let predicate;
  try {
    envelope = await parseEnvelope(data, where);
    if (envelope.payloadType !== PAYLOAD_TYPE) {
      return { kind: "unreadable", detail: `it is of type ${repr(envelope.payloadType)}` };
    }
    ({ predicate } = await read(envelope.body, where));
  } catch (fault) {
    if (!(fault instanceof VerificationError)) throw fault;
    return { kind: "unreadable", detail: fault.message };
  }
  const period = Period.parse(predicate.period);
  if (period.monday < Period.parse(trust.earliest_period).monday) return null;
  const entry = { index, statement: await digest(envelope.body), period, predicate };
  if (predicate.issuer !== trust.issuer) {
    return { kind: "foreign", detail: `${name(entry)} is by ${repr(predicate.issuer)}, not ${repr(trust.issuer)}` };
  }
  const { names } = await signers(trust, envelope, period);
  if (names.length < trust.attestor_threshold) {
    const who = names.join(", ") || "nobody whom you trust for that period";
    return { kind: "unsigned", detail: `${name(entry)} is signed by ${who} (${trust.attestor_threshold} needed)` };
  }
  const { cutoff } = predicate;
  if (!period.hasCutoff(cutoff)) {
    const detail = `${name(entry)} has its cutoff on ${moment(cutoff)}, which is not in that period`;
    return { kind: "misdated", detail };
  }
  if (cutoff > now) {
    const detail = `${name(entry)} has its cutoff on ${moment(cutoff)}, in the future (it is ${moment(now)})`;
    return { kind: "misdated", detail };
  }
  const first = cutoffs.get(cutoff) ?? period;
  if (first.text !== period.text) {
    // In UTC two weeks overlap: one cutoff must not fill both.
    const detail = `${name(entry)} has its cutoff on ${moment(cutoff)}, which is that of ${first.text}`;
    return { kind: "misdated", detail };
  }
  cutoffs.set(cutoff, period);
  return entry;
}

/** For people: entry, period and revision. */
function name({ index, predicate: { period, revision } }) {
  return `entry ${index} (${period}, revision ${revision})`;
}

/** The first statement that does not go on from the one before of its period, in words; null if all do. */
function contradicting(statements) {
  const last = new Map();
  const seen = new Set();
  for (const logged of statements) {
    if (seen.has(logged.statement)) continue; // the same statement once more, under other signatures
    seen.add(logged.statement);
    const { period, revision, supersedes } = logged.predicate;
    const before = last.get(period);
    const expected = before === undefined ? 0 : before.predicate.revision + 1;
    if (before !== undefined && revision < expected) return `${name(logged)} contradicts ${name(before)}, which was first`;
    last.set(period, logged);
    if (revision !== expected) return `${name(logged)} comes where revision ${expected} should: one is not in the log`;
    if (before !== undefined && supersedes?.statement !== before.statement) {
      return `${name(logged)} does not replace ${name(before)}, but another statement`;
    }
  }
  return null;
}

/** The statement in force for each period, a Map with the oldest period first: the newest revision. */
function inForce(statements) {
  const newest = new Map();
  for (const logged of statements) {
    const held = newest.get(logged.predicate.period);
    if (held === undefined || logged.predicate.revision > held.predicate.revision) {
      newest.set(logged.predicate.period, logged);
    }
  }
  return new Map([...newest].sort(([one], [other]) => (one < other ? -1 : 1)));
}

function checkInForce(own, { revision, supersedes }) {
  if (revision <= own.revision || supersedes === null) return;
  const revoked = supersedes.kind === "revocation";
  throw refuse(
    `${revoked ? "revoked" : "replaced"} by revision ${revision}: ${supersedes.reason}`,
    revoked
      ? "Do not rely on this statement any more."
      : `Verify ${own.period}.${revision} instead: it is beside this one in the public store.`,
  );
}

/** The periods whose newest revision is not the first, in words. */
function replaced(standing) {
  const words = [...standing]
    .filter(([, { predicate }]) => predicate.supersedes !== null)
    .map(([period, { predicate }]) => {
      const verb = predicate.supersedes.kind === "revocation" ? "revoked" : "replaced";
      return `${period} ${verb} by revision ${predicate.revision}`;
    });
  return words.length > 0 ? `; ${words.join(", ")}` : "";
}

/** Of each so many weeks, counted from the earliest period, one has a statement (a missed one has its statement too). */
function checkCadence(trust, own, standing) {
  const weeks = trust.cadence_weeks;
  if (weeks === null) return;
  const first = Period.parse(trust.earliest_period);
  const window = (period) => Math.floor((period.monday - first.monday) / 7 / weeks);
  const there = new Set([...standing.values()].map(({ period }) => window(period)));
  const missing = [];
  let more = 0;
  for (let number = 0; number < Math.floor(((own.monday - first.monday) / 7 + 1) / weeks); number++) {
    if (there.has(number)) continue;
    if (missing.length === 8) {
      more++;
      continue;
    }
    const start = first.shifted(number * weeks);
    missing.push(weeks === 1 ? start.text : `${start.text} to ${start.shifted(weeks - 1).text}`);
  }
  if (missing.length === 0) return;
  const shown = missing.join(", ") + (more > 0 ? ` and ${more} more` : "");
  throw refuse(
    `the log has nothing for ${shown}, and you expect one attestation in ${weeks} week(s)`,
    "Ask the issuer why: a missed or withheld period gets a signed statement too.",
  );
}
