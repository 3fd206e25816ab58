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
import { Period } from "./period.js";
import { read } from "./statement.js";

const MAX_ENTRIES = 10_000;
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
  const head = (await subject.newest()).checkpoint;
  const periods = await readHistory(subject);
  for (const [period, revisions] of periods) checkRevisions(period, revisions);
  const own = await subject.predicate();
  checkInForce(own, periods.get(own.period));
  checkCadence(subject.trust, await subject.period(), periods);
  const cadence =
    subject.trust.cadence_weeks === null ? "; your trust file gives no cadence by which one could be missing" : "";
  const all = [...periods.keys()];
  const span = `the log at size ${head.size}, ${all[0]} to ${all.at(-1)}`;
  return finding("pass", `${span}: this one is in force${replaced(periods)}${cadence}`);
}

/**
 * All statements in the log at hand, as a Map from period (in order) to a Map from revision to
 * `{index, statement, predicate}`; `statement` is the digest. Throws `VerificationError`.
 */
export async function readHistory(subject) {
  await extendsAll(subject, [{ head: await ownHead(subject), source: "in this bundle" }]);
  const head = (await subject.newest()).checkpoint;
  if (head.size > MAX_ENTRIES) {
    throw refuse(`the log has ${head.size} entries, more than ${MAX_ENTRIES} are not read`, "Tell the maintainers.");
  }
  const periods = new Map();
  for (const [index, data] of (await subject.log.entries(head)).entries()) {
    const entry = await readEntry(subject.trust, index, data);
    const { period, revision } = entry.predicate;
    if (!periods.has(period)) periods.set(period, new Map());
    const other = periods.get(period).get(revision);
    if (other !== undefined && other.statement !== entry.statement) {
      throw refuse(
        `entries ${other.index} and ${index} of the log are two statements of ${period}, revision ${revision}`,
        "Keep both: the issuer said two things of one period.",
      );
    }
    if (other === undefined) periods.get(period).set(revision, entry);
  }
  return new Map([...periods].sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** An entry, which must be a statement; from the earliest period on, one that the trusted attestors signed. */
async function readEntry(trust, index, data) {
  const where = `entry ${index} of the log`;
  const advice = "Ask the issuer what it is; if this is an old release of attest, take the newest.";
  let envelope;
  let predicate;
  try {
    envelope = await parseEnvelope(data, where);
    ({ predicate } = await read(envelope.body, where));
  } catch (fault) {
    throw fault instanceof VerificationError ? refuse(fault.message, advice) : fault;
  }
  const period = Period.parse(predicate.period);
  if (period.monday >= Period.parse(trust.earliest_period).monday) {
    if (predicate.issuer !== trust.issuer) throw refuse(`${where} is by the issuer ${repr(predicate.issuer)}`, advice);
    const { names } = await signers(trust, envelope, period);
    if (envelope.payloadType !== PAYLOAD_TYPE || names.length < trust.attestor_threshold) {
      throw refuse(
        `${where} (${period.text}, revision ${predicate.revision}) is not signed by those whom you trust for it`,
        "Compare the attestor keys and their periods in your trust file with the issuer's, by another way.",
      );
    }
  }
  return { index, statement: await digest(envelope.body), predicate };
}

function last(revisions) {
  return Math.max(...revisions.keys());
}

function checkRevisions(period, revisions) {
  const advice = "Ask the issuer for the missing one: each revision is in the log and names the one that it replaces.";
  for (let revision = 1; revision <= last(revisions); revision++) {
    const missing = [revision, revision - 1].find((number) => !revisions.has(number));
    if (missing !== undefined) {
      throw refuse(`revision ${missing} of ${period} is not in the log, but ${last(revisions)} is`, advice);
    }
    const { supersedes } = revisions.get(revision).predicate;
    if (supersedes?.statement !== revisions.get(revision - 1).statement) {
      throw refuse(
        `revision ${revision} of ${period} replaces another statement than revision ${revision - 1}`,
        advice,
      );
    }
  }
}

function checkInForce(own, revisions) {
  const { revision, supersedes } = revisions.get(last(revisions)).predicate;
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
function replaced(periods) {
  const words = [...periods]
    .map(([period, revisions]) => [period, revisions.get(last(revisions)).predicate])
    .filter(([, { supersedes }]) => supersedes !== null)
    .map(([period, { revision, supersedes }]) => {
      return `${period} ${supersedes.kind === "revocation" ? "revoked" : "replaced"} by revision ${revision}`;
    });
  return words.length > 0 ? `; ${words.join(", ")}` : "";
}

/** From the earliest period to this one, every so many weeks have an entry (a missed one has its statement too). */
function checkCadence(trust, own, periods) {
  const weeks = trust.cadence_weeks;
  if (weeks === null) return;
  const missing = [];
  for (let first = Period.parse(trust.earliest_period); first.monday <= own.monday; first = first.shifted(weeks)) {
    const span = Array.from({ length: weeks }, (_, week) => first.shifted(week).text);
    if (!span.some((period) => periods.has(period))) {
      missing.push(weeks === 1 ? first.text : `${span[0]} to ${span.at(-1)}`);
    }
  }
  if (missing.length === 0) return;
  const more = missing.length > 8 ? ` and ${missing.length - 8} more` : "";
  const shown = missing.slice(0, 8).join(", ") + more;
  throw refuse(
    `the log has nothing for ${shown}, and you expect one attestation in ${weeks} week(s)`,
    "Ask the issuer why: a missed or withheld period gets a signed statement too.",
  );
}
