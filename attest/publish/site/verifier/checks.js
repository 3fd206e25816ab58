// SPDX-License-Identifier: GPL-3.0-or-later
// The checks of a bundle (attest/verify/checks.py). Each gives the detail of a pass or a finding; it throws
// `VerificationError` when it fails and `UnavailableError` when it cannot be made.

import { ENVELOPE, MANIFEST, MANIFEST_ENVELOPE, RECEIPTS, RESERVES, SIGNED_FORMAT } from "./bundle.js";
import { equal, toBase64, toHex } from "./bytes.js";
import { digest } from "./crypto.js";
import { MANIFEST_PAYLOAD_TYPE, PAYLOAD_TYPE, Reserves } from "./documents.js";
import { isCanonical, parseEnvelope, verifies } from "./dsse.js";
import { UnavailableError, VerificationError, compareLists, compareText, repr } from "./errors.js";
import { Period, moment } from "./period.js";
import { fromJson } from "./records.js";
import { attested, deploymentKey, read, waived } from "./statement.js";
import { sameAddress, validIn } from "./trust.js";

/** How a check ended; `advice` is what a reader can do about it. */
export function finding(outcome, detail, advice = "") {
  return { outcome, detail, advice };
}

/** A failed check: what differs, and what to do. */
export function refuse(detail, advice) {
  return new VerificationError(detail, { code: "check-failed", advice });
}

/** The result of one check `{name, question, run, required}` on a case, as `attest verify --json` gives it. */
export async function result(check, subject) {
  const { name, question, required } = check;
  let found;
  try {
    found = await check.run(subject);
    if (typeof found === "string") found = finding("pass", found);
  } catch (fault) {
    if (fault instanceof UnavailableError) {
      found = finding("skipped", `cannot be checked: ${fault.message}`, fault.advice);
    } else if (fault instanceof VerificationError) {
      found = finding("fail", fault.message, fault.advice);
    } else {
      throw fault;
    }
  }
  return { name, question, outcome: found.outcome, detail: found.detail, advice: found.advice, required };
}

// -- who said this, and is it unchanged? ----------------------------------------------------------------------------

const KEYS = "Compare the attestor keys and their periods in your trust file with the issuer's, by another way.";
const MANIFEST_ADVICE = "Fetch the whole folder again from the public store; if it stays so, tell the issuer.";

async function files(subject) {
  if (subject.fault !== null) throw subject.fault;
  const manifest = await subject.manifest();
  const whole = `${manifest.files.length} files, each as the manifest lists it, and no other`;
  if (manifest.format === SIGNED_FORMAT) {
    return `${whole}; the manifest is signed by ${(await manifestSigners(subject)).join(", ")}`;
  }
  const { bundle } = await subject.predicate();
  if (bundle !== null) {
    throw refuse(
      `the statement names a signed manifest (${bundle}), this ${MANIFEST} is ${manifest.format}`,
      MANIFEST_ADVICE,
    );
  }
  return `${whole}; nobody signed the manifest (an older format), so only what other checks compare is bound`;
}

/** Who signed the manifest of those trusted for the period. Nothing in its envelope may be changed without notice. */
async function manifestSigners(subject) {
  if (!subject.files.has(MANIFEST_ENVELOPE)) {
    throw refuse(`${MANIFEST_ENVELOPE} is missing: ${MANIFEST} must be signed`, MANIFEST_ADVICE);
  }
  const data = subject.file(MANIFEST_ENVELOPE);
  const envelope = await parseEnvelope(data, MANIFEST_ENVELOPE);
  if (envelope.payloadType !== MANIFEST_PAYLOAD_TYPE || !equal(envelope.body, subject.file(MANIFEST))) {
    throw refuse(`${MANIFEST_ENVELOPE} does not sign this ${MANIFEST}`, MANIFEST_ADVICE);
  }
  if (!isCanonical(data, envelope)) {
    throw refuse(`${MANIFEST_ENVELOPE} is not written in the one way that it can be`, MANIFEST_ADVICE);
  }
  const attestors = new Map();
  for (const attestor of subject.trust.attestors) attestors.set(await digest(attestor.spki), attestor);
  const signed = [];
  for (const { keyid, bytes } of envelope.signatures) {
    const attestor = attestors.get(keyid);
    if (attestor === undefined || !(await verifies(attestor.spki, MANIFEST_PAYLOAD_TYPE, envelope.body, bytes))) {
      throw refuse(`${MANIFEST_ENVELOPE} has a signature that is not by any attestor of your trust file`, KEYS);
    }
    const period = await subject.period();
    const sameKey = subject.trust.attestors.filter((other) => equal(other.spki, attestor.spki));
    if (sameKey.some((other) => validIn(other, period))) signed.push(attestor.name);
  }
  if (signed.length === 0) {
    throw refuse(`${MANIFEST} is signed by nobody whom you trust for ${(await subject.period()).text}`, KEYS);
  }
  return signed;
}

async function statementReadable(subject) {
  const { body } = await parseEnvelope(subject.file(ENVELOPE), ENVELOPE);
  const { predicate } = await read(body);
  return (
    `${predicate.issuer}, period ${predicate.period}, revision ${predicate.revision}, ` +
    `${predicate.tokens.length} tokens; every sum, ratio and verdict follows from the figures`
  );
}

async function signatures(subject) {
  const { trust } = subject;
  const envelope = await subject.envelope();
  if (envelope.payloadType !== PAYLOAD_TYPE) {
    throw refuse(`the envelope is of type ${repr(envelope.payloadType)}, not ${PAYLOAD_TYPE}`, KEYS);
  }
  const statement = await subject.statementDigest();
  if (trust.revoked.includes(statement)) {
    throw refuse(
      `statement ${statement} is revoked in your trust file`,
      "Do not rely on it; ask the issuer for the revision that replaces it.",
    );
  }
  const { names, used } = await signers(trust, envelope, await subject.period());
  const others = envelope.signatures.length - used;
  const ignored = others > 0 ? `; ${others} by keys that you do not trust for this period, ignored` : "";
  const who = names.join(", ") || "nobody whom you trust";
  const signed = `signed by ${who} (${trust.attestor_threshold} needed${ignored})`;
  if (names.length < trust.attestor_threshold) throw refuse(signed, KEYS);
  return signed;
}

/** The `names` of the attestors trusted for `period` that signed, each key once; and how many signatures are theirs. */
export async function signers(trust, envelope, period) {
  const signed = new Map();
  const used = new Set();
  const distinct = new Map(envelope.signatures.map(({ bytes }) => [toBase64(bytes), bytes]));
  for (const attestor of trust.attestors) {
    if (!validIn(attestor, period)) continue;
    for (const [written, bytes] of distinct) {
      if (!(await verifies(attestor.spki, PAYLOAD_TYPE, envelope.body, bytes))) continue;
      const key = toHex(attestor.spki);
      if (!signed.has(key)) signed.set(key, attestor.name);
      used.add(written);
    }
  }
  return { names: [...signed.values()], used: used.size };
}

async function subjectOf(subject) {
  const data = subject.file(RESERVES);
  const predicate = await subject.predicate();
  const advice = "Fetch reserves.json again with the statement of the same period and revision.";
  const [named] = (await subject.statement()).subject;
  if (named.digest.sha256 !== (await digest(data))) {
    throw refuse(`${RESERVES} is not the file that the statement is about`, advice);
  }
  const reserves = await fromJson(Reserves, data, RESERVES);
  if (reserves.period !== predicate.period || reserves.revision !== predicate.revision) {
    throw refuse(`${RESERVES} is of another period or revision`, advice);
  }
  if (reserves.merkle.root !== predicate.merkle.root || reserves.merkle.size !== predicate.merkle.size) {
    throw refuse(`${RESERVES} has another Merkle root or size than the statement`, advice);
  }
  const committed = reserves.tokens
    .map((token) => [token.token, token.currency, token.minor_units, token.units, token.accounts])
    .sort(compareLists);
  const stated = attestedTokens(predicate)
    .map(([token, found]) => [token.token, token.currency, found.minorUnits, found.units, found.agreement.accounts])
    .sort(compareLists);
  for (let n = 0; n < Math.min(committed.length, stated.length); n++) {
    if (compareLists(committed[n], stated[n]) !== 0) {
      throw refuse(`${RESERVES} has another total for ${committed[n][0]} than the statement`, advice);
    }
  }
  if (committed.length !== stated.length) {
    throw refuse(`${RESERVES} lists other tokens than the statement attests`, advice);
  }
  return `root ${reserves.merkle.root.slice(0, 16)}… over ${reserves.merkle.size} accounts, the same totals`;
}

/** `[token, what it states]` of every token that is not withheld. */
export function attestedTokens(predicate) {
  return predicate.tokens.map((token) => [token, attested(token)]).filter(([, stated]) => stated !== null);
}

const PERIOD_ADVICE = "Compare with the period that you asked for; if the bundle is unchanged, tell the issuer.";

/** The statement is the expected issuer's, and not before the earliest period; throws `VerificationError`. */
export async function expectIssuerAndPeriod(subject) {
  const { trust } = subject;
  const predicate = await subject.predicate();
  if (predicate.issuer !== trust.issuer) {
    throw refuse(`the issuer is ${repr(predicate.issuer)}, you expect ${repr(trust.issuer)}`, PERIOD_ADVICE);
  }
  const period = await subject.period();
  if (period.monday < Period.parse(trust.earliest_period).monday) {
    throw refuse(`${period.text} is before ${trust.earliest_period}, your earliest`, PERIOD_ADVICE);
  }
}

/** What is stated has been already. */
export async function expectPastCutoff(subject) {
  const { cutoff } = await subject.predicate();
  if (cutoff > subject.now) {
    throw refuse(`the cutoff ${moment(cutoff)} is in the future (it is ${moment(subject.now)})`, PERIOD_ADVICE);
  }
}

async function period(subject) {
  await expectIssuerAndPeriod(subject);
  const predicate = await subject.predicate();
  const { cutoff, revision } = predicate;
  const own = await subject.period();
  if (!own.hasCutoff(cutoff)) {
    throw refuse(`the cutoff ${moment(cutoff)} is not in ${own.text}`, PERIOD_ADVICE);
  }
  await expectPastCutoff(subject);
  for (const [name, document] of [
    ["the manifest", await subject.manifest()],
    [RESERVES, await subject.reserves()],
    [RECEIPTS, await subject.receipts()],
  ]) {
    if (document.period !== predicate.period || document.revision !== revision) {
      throw refuse(`${name} is of another period or revision than the statement`, PERIOD_ADVICE);
    }
  }
  const attempts = predicate.attempt > 1 ? `, attempt ${predicate.attempt}` : "";
  const pinned = predicate.clock === "pinned" ? "; a rehearsal with a pinned clock" : "";
  return `${own.text}, revision ${revision}${attempts}, cutoff ${moment(cutoff)}${pinned}`;
}

// -- is it in the public log, and who else saw it? ------------------------------------------------------------------

async function logInclusion(subject) {
  const { index, signed } = await subject.logged();
  const { size, origin } = signed.checkpoint;
  return `entry ${index} of ${size} in the log ${origin}, signed by the log`;
}

export async function witnesses(subject) {
  const wanted = subject.trust.witnesses;
  if (wanted.keys.length === 0) {
    return finding(
      "skipped",
      "your trust file names no witness: only the issuer remembers this log",
      "Add the vkeys of witnesses that you trust to the trust file.",
    );
  }
  const names = await witnessNames(subject);
  const detail = `cosigned by ${names.join(", ") || "nobody"} (${wanted.threshold} needed)`;
  if (names.length < wanted.threshold) {
    throw refuse(
      detail,
      "Fetch the bundle again later: cosignatures can arrive late. Without them, a rewritten log goes unseen.",
    );
  }
  if (names.length === 0) {
    return finding("skipped", "no witness that you trust cosigned, and none is needed", "Ask for a threshold.");
  }
  return finding("pass", detail);
}

/** The trusted witnesses that cosigned; throws as the check does. */
export async function witnessNames(subject) {
  return (await subject.cosignatures()).map(({ witness }) => witness);
}

// -- does it add up? ------------------------------------------------------------------------------------------------

export async function tokens(subject) {
  const { trust } = subject;
  const predicate = await subject.predicate();
  const expected = new Map(trust.tokens.map((token) => [token.token, token]));
  const stated = new Map(predicate.tokens.map((token) => [token.token, token]));
  const advice = "Every token and deployment that you expect must be there: ask the issuer why this one differs.";
  for (const name of [...expected.keys()].sort(compareText)) {
    if (!stated.has(name)) throw refuse(`${name} is expected, but the statement does not speak of it`, advice);
  }
  for (const name of [...stated.keys()].sort(compareText)) {
    if (!expected.has(name)) throw refuse(`${name} is not in your trust file`, advice);
  }
  for (const name of [...stated.keys()].sort(compareText)) compareToken(stated.get(name), expected.get(name), advice);
  for (const chain of predicate.chains) {
    if (!trust.chains.some((known) => known.chain_id === chain.chain_id)) {
      throw refuse(`chain ${chain.chain_id} is not in your trust file`, advice);
    }
  }
  const count = trust.tokens.reduce((sum, token) => sum + token.deployments.length, 0);
  const names = [...expected.keys()].sort(compareText).join(", ");
  return `${names}: exactly those expected, on ${count} deployments`;
}

function compareToken(token, expected, advice) {
  if (["currency", "exponent", "decimals"].some((field) => token[field] !== expected[field])) {
    throw refuse(`${token.token}: currency or decimals are not those expected`, advice);
  }
  const wanted = new Map(expected.deployments.map((deployment) => [deploymentKey(deployment), deployment]));
  const found = new Map(token.deployments.map((deployment) => [deploymentKey(deployment), deployment]));
  const byPlace = (one, other) =>
    compareLists([one.chain_id, one.address.toLowerCase()], [other.chain_id, other.address.toLowerCase()]);
  for (const deployment of [...new Map([...found, ...wanted]).values()].sort(byPlace)) {
    const key = deploymentKey(deployment);
    if (wanted.has(key) && found.has(key)) continue;
    const word = wanted.has(key) ? "is missing" : "is not expected";
    const address = deployment.address.toLowerCase();
    throw refuse(`${token.token}: deployment ${address} on chain ${deployment.chain_id} ${word}`, advice);
  }
  for (const deployment of [...wanted.values()].sort(byPlace)) {
    if (deployment.decimals !== found.get(deploymentKey(deployment)).decimals) {
      const address = deployment.address.toLowerCase();
      throw refuse(`${token.token}: deployment ${address} has other decimals than expected`, advice);
    }
  }
}

export async function policy(subject) {
  const minimum = subject.trust.policy;
  const predicate = await subject.predicate();
  const advice =
    "The issuer decided by a weaker rule than you accept: ask why, or change the policy in your trust file.";
  const tooWeak = (token, detail) => refuse(`${token.token}: ${detail}`, advice);
  for (const { chain_id: chain, supply_gap_seconds: gap } of predicate.chains) {
    if (gap > minimum.max_age_seconds) {
      throw refuse(
        `the supply on chain ${chain} was read ${gap} seconds before the cutoff, you accept ${minimum.max_age_seconds}`,
        advice,
      );
    }
  }
  let allWaived = 0n;
  let untold = 0n;
  for (const [token, { policy: rule, agreement }] of attestedTokens(predicate)) {
    const under = waived(agreement);
    allWaived += under;
    for (const waiver of agreement.waivers) {
      if (!minimum.waivers.includes(waiver.code)) {
        throw tooWeak(token, `${waiver.count} account(s) under the waiver ${repr(waiver.code)}, not allowed`);
      }
    }
    const weaker =
      Math.min(rule.min_sources, agreement.fewest_sources) < minimum.min_sources ||
      Math.min(rule.min_origins, agreement.fewest_origins) < minimum.min_origins;
    if (weaker && under === 0n) {
      throw tooWeak(
        token,
        `${agreement.fewest_sources} sources and ${agreement.fewest_origins} origins agreed (rule: ` +
          `${rule.min_sources} and ${rule.min_origins}), you ask for ${minimum.min_sources} and ` +
          `${minimum.min_origins}`,
      );
    }
    const others = BigInt(agreement.accounts) - under;
    const least = under * BigInt(agreement.fewest_sources) + others * BigInt(minimum.min_sources);
    if (under > 0n && BigInt(agreement.sources_counted) < least) {
      throw tooWeak(
        token,
        `${agreement.sources_counted} sources were counted on ${agreement.accounts} accounts, so not each of the ` +
          `${others} that are under no waiver can have the ${minimum.min_sources} that you ask for`,
      );
    }
    if (weaker) untold += others;
    for (const [what, found, allowed] of [
      ["tolerance in minor units", rule.tolerance_abs, minimum.max_tolerance_abs],
      ["tolerance in basis points", rule.tolerance_bps, minimum.max_tolerance_bps],
      ["age of a balance in seconds", rule.max_age_seconds, minimum.max_age_seconds],
      ["dissenting sources", rule.allow_dissent, minimum.allow_dissent],
    ]) {
      if (found > allowed) throw tooWeak(token, `the rule allows ${found} as ${what}, you accept ${allowed}`);
    }
  }
  let withWaivers = allWaived > 0n ? `; ${allWaived} account(s) under waivers that you allow` : "";
  if (untold > 0n) {
    withWaivers += ` (the counts do not tell whether each of the ${untold} others had enough sources and origins)`;
  }
  return `at least as strict as you ask for${withWaivers}`;
}

export async function coverage(subject) {
  const all = (await subject.predicate()).tokens;
  const named = (verdict) => all.filter((token) => token.verdict === verdict).map((token) => token.token);
  const [short, withheld] = [named("short"), named("withheld")];
  const parts = [`${all.length - short.length - withheld.length} sufficient`];
  if (short.length > 0) parts.push(`short: ${short.join(", ")}`);
  if (withheld.length > 0) parts.push(`withheld: ${withheld.join(", ")}`);
  const detail = `${parts.join("; ")} (each token by itself, nothing netted)`;
  if (short.length > 0) {
    return finding("short", detail, "The issuer states a shortfall. Ask how and when it will be made good.");
  }
  if (withheld.length > 0) {
    return finding("withheld", detail, "The issuer states no reserve. Ask why, and when it will be attested.");
  }
  return finding("pass", detail);
}

// -- was it reported on chain? --------------------------------------------------------------------------------------

export async function consensus(subject) {
  const { oracle } = subject.trust;
  const advice = "Compare the oracle in your trust file with the issuer's; ask why the reports differ.";
  const parts = [];
  for (const [token, { consensus: found }] of attestedTokens(await subject.predicate())) {
    if (!sameAddress(found.oracle, oracle.address)) {
      throw refuse(`${token.token}: the oracle is ${found.oracle}`, advice);
    }
    if (!found.quorum_met) throw refuse(`${token.token}: the oracle's quorum is not met`, advice);
    if (found.required_quorum < oracle.min_quorum) {
      throw refuse(
        `${token.token}: the oracle asks for ${found.required_quorum} reports, you ask for ${oracle.min_quorum}`,
        advice,
      );
    }
    if (token.reports.length === 0 || token.reports.some((report) => report.chain_id !== oracle.chain_id)) {
      throw refuse(`${token.token}: no report of the issuer's own on the oracle's chain`, advice);
    }
    parts.push(`${token.token} by ${found.reports} (${found.required_quorum} needed)`);
  }
  if (parts.length === 0) return "nothing is attested, so nothing was reported";
  return `as the statement says: ${parts.join(", ")}`;
}

export async function receipts(subject) {
  const { trust } = subject;
  const predicate = await subject.predicate();
  const found = await subject.receipts();
  const differs = (detail) =>
    refuse(
      `${RECEIPTS}: ${detail}`,
      "Fetch receipts.json again with the statement of the same period and revision; if it stays so, ask.",
    );
  const statement = await subject.statementDigest();
  if (found.statement !== statement) throw differs("is of another statement");
  const reported = found.receipts.filter((receipt) => receipt.purpose === "report");
  const anchoring = found.receipts.filter((receipt) => receipt.purpose === "anchor");
  const stated = predicate.tokens.flatMap((token) =>
    token.reports.map((report) => [
      token.token,
      report.chain_id,
      report.reporter.toLowerCase(),
      report.transaction,
      report.block_number,
    ]),
  );
  const listed = reported.map((receipt) => [
    receipt.token ?? "",
    receipt.chain_id,
    receipt.sender.toLowerCase(),
    receipt.transaction,
    receipt.block_number,
  ]);
  stated.sort(compareLists);
  listed.sort(compareLists);
  if (stated.length !== listed.length || stated.some((one, n) => compareLists(one, listed[n]) !== 0)) {
    throw differs("lists other report transactions than the statement");
  }
  if (!reported.every((receipt) => sameAddress(receipt.to, trust.oracle.address))) {
    throw differs("a report went to another contract than the oracle");
  }
  const own = await subject.period();
  const publishers = trust.publishers.filter((publisher) => validIn(publisher, own));
  const { anchor } = found;
  const { registry } = trust;
  if (anchor.chain_id !== registry.chain_id || anchor.block.chain_id !== registry.chain_id) {
    throw differs("the anchor is on another chain than your registry");
  }
  if (!sameAddress(anchor.registry, registry.address)) throw differs("the anchor is in another registry than yours");
  if (!publishers.some((publisher) => sameAddress(anchor.publisher, publisher.address))) {
    throw differs(`the anchor's publisher ${anchor.publisher} is not one that you trust for this period`);
  }
  if (anchoring.length !== 1 || !isAnchoring(anchoring[0], anchor)) {
    throw differs("lists no single anchoring transaction by the publisher to the registry");
  }
  if (anchor.statement !== statement) throw differs("the anchor is of another statement");
  if (anchor.root !== predicate.merkle.root || anchor.size !== predicate.merkle.size) {
    throw differs("the anchor has another Merkle root or size than the statement");
  }
  const head = (await subject.logged()).signed.checkpoint;
  if (anchor.log_root !== toHex(head.root) || BigInt(anchor.log_size) !== head.size) {
    throw differs("the anchor has another log root or size than the checkpoint");
  }
  return `${reported.length} reports and one anchor, block ${anchor.block.number}, as the files say`;
}

function isAnchoring(receipt, anchor) {
  return (
    receipt.token === null &&
    receipt.chain_id === anchor.chain_id &&
    sameAddress(receipt.sender, anchor.publisher) &&
    sameAddress(receipt.to, anchor.registry) &&
    receipt.block_number <= anchor.block.number
  );
}

// -- what remains ---------------------------------------------------------------------------------------------------

export async function freshness(subject) {
  const limit = subject.trust.maximum_age_seconds;
  const { cutoff } = await subject.predicate();
  if (limit === null) {
    return finding(
      "skipped",
      `your trust file demands none; the cutoff was ${moment(cutoff)}`,
      "Set maximum_age_seconds in the trust file.",
    );
  }
  const age = subject.now - cutoff;
  const detail = `the cutoff is ${age} seconds ago, you accept ${limit}`;
  if (age > limit) throw refuse(detail, "Fetch the newest attestation; if there is none, ask the issuer why.");
  return finding("pass", detail);
}

/** What makes a statement authentic: somebody trusted said it, it is unchanged, and it is in the public log. */
export const AUTHENTIC = [
  ["files", "Is the bundle complete, and each file the one listed?", files],
  ["statement", "Is the statement well-formed, and does every figure follow?", statementReadable],
  ["signatures", "Did enough of the attestors that you trust sign it, unchanged?", signatures],
  ["subject", "Is it about these reserves?", subjectOf],
  ["period", "Is it the issuer's, of a plausible period, cutoff and revision?", period],
  ["log-inclusion", "Is it in the public log?", logInclusion],
].map(([name, question, run]) => ({ name, question, run, required: true }));
