// SPDX-License-Identifier: GPL-3.0-or-later
// An account owner's check: is my account, with my balance, in what was signed? (attest/verify/inclusion.py)

import { AUTHENTIC, expectIssuerAndPeriod, expectPastCutoff, refuse, result } from "./checks.js";
import { InclusionProof, ReserveLeaf } from "./documents.js";
import { VerificationError } from "./errors.js";
import { verifyInclusionProof } from "./merkle.js";
import { formatInstant } from "./period.js";
import { fromJson } from "./records.js";
import { attested } from "./statement.js";

const MAX_PROOF_BYTES = 1 << 20;
/** Of a lone envelope only these can be checked; a bundle shows also that it is in the log. */
const OF_ENVELOPE = ["statement", "signatures"];
const NOT_OF_ENVELOPE =
  "Of an envelope alone it is not checked whether it is in the log (log-inclusion), whether that log only grew " +
  "(consistency) and has replaced or revoked it since (history), who else saw it (witnesses, timestamp), and all that " +
  "only `attest verify` checks. Name the attestation's whole folder instead.";
const NOT_OF_BUNDLE =
  "Whether the reserve is enough, decided by your rules and reported on chain is not checked here: see `attest verify`.";
/** Demands that only `attest verify` looks at. */
const ELSEWHERE = ["chain", "leaves", "evidence"];

/**
 * What `attest verify-proof --json` says of the proof's bytes against a case. `alone`: the case has an envelope only.
 * `name` is the file's, for messages; `logged` and `freshness` are checks of the verifier, and `demandsUnmet` tells from
 * their outcomes which demands were not met.
 */
export async function verifyProof(data, subject, { alone, name, logged, freshness, demandsUnmet }) {
  const wanted = alone ? AUTHENTIC.filter((check) => OF_ENVELOPE.includes(check.name)) : [...AUTHENTIC, ...logged];
  const checks = [];
  for (const check of [...wanted, freshness]) checks.push(await result(check, subject));
  let found = null;
  const included = {
    name: "inclusion",
    question: "Is this account in it, with this balance?",
    required: true,
    run: async () => {
      found = await inclusion(data, subject, name);
      return `one of the ${(await subject.predicate()).merkle.size} accounts under the signed root`;
    },
  };
  checks.push(await result(included, subject));
  const { demands } = subject.trust;
  const elsewhere = alone ? demands : shownElsewhere(subject.trust);
  const outcomes = Object.fromEntries(checks.map(({ name: each, outcome }) => [each, outcome]));
  const lacking = alone ? [] : await demandsUnmet(subject, outcomes);
  const unmet = lacking.filter((demand) => !elsewhere.includes(demand));
  const open = demands.filter((demand) => elsewhere.includes(demand) && (alone || lacking.includes(demand)));
  const not_checked = [alone ? NOT_OF_ENVELOPE : NOT_OF_BUNDLE];
  if (open.length > 0) not_checked.push(`Your trust file demands ${open.join(", ")}: see \`attest verify\`.`);
  const bad = ({ outcome, required }) => outcome === "fail" || (required && outcome !== "pass");
  if (checks.some(bad) || unmet.length > 0) {
    return {
      leaf: null,
      exponent: 0,
      period: null,
      revision: null,
      statement: null,
      accounts: 0,
      total_minor_units: "0",
      checks,
      unmet,
      not_checked,
      exit_code: 6,
    };
  }
  const predicate = await subject.predicate();
  return {
    leaf: { ...found.leaf, minor_units: String(found.leaf.minor_units), as_of: formatInstant(found.leaf.as_of) },
    exponent: found.token.exponent,
    period: predicate.period,
    revision: predicate.revision,
    statement: await subject.statementDigest(),
    accounts: predicate.merkle.size,
    total_minor_units: String(found.stated.minorUnits),
    checks,
    unmet,
    not_checked,
    exit_code: 0,
  };
}

/** The demands that only `attest verify` can show to be met. */
function shownElsewhere({ chains, registry }) {
  const byChain = chains.some(({ chain_id: chain, independent }) => chain === registry.chain_id && independent);
  return byChain ? [...ELSEWHERE, "independent"] : ELSEWHERE;
}

async function inclusion(data, subject, name) {
  if (data.length > MAX_PROOF_BYTES) {
    throw new VerificationError(`'${name}' has more than ${MAX_PROOF_BYTES} bytes`, { code: "bundle-malformed" });
  }
  const proof = await fromJson(InclusionProof, data, name);
  await expectIssuerAndPeriod(subject);
  await expectPastCutoff(subject);
  const predicate = await subject.predicate();
  if (proof.period !== predicate.period || proof.revision !== predicate.revision) {
    throw differs(`the proof is of ${proof.period}, revision ${proof.revision}, not of this statement`);
  }
  const { root, size } = predicate.merkle;
  const bytes = await verifyInclusionProof(proof, root, size);
  const leaf = await fromJson(ReserveLeaf, bytes, "the leaf");
  if (leaf.period !== predicate.period) {
    throw differs(`the leaf is of ${leaf.period}, the statement of ${predicate.period}`);
  }
  const token = predicate.tokens.find((each) => each.token === leaf.token);
  const stated = token === undefined ? null : attested(token);
  if (stated === null) throw differs(`the leaf backs ${leaf.token}, of which the statement gives no reserve`);
  if (leaf.currency !== token.currency) {
    throw differs(`the leaf is in ${leaf.currency}, ${token.token} is backed by ${token.currency}`);
  }
  if (!(0n <= leaf.minor_units && leaf.minor_units <= stated.minorUnits)) {
    throw differs(`the leaf's balance is negative or larger than the whole reserve of ${token.token}`);
  }
  // The statement's oldest balance is as old as its policy allows.
  if (!(stated.oldestAsOf <= leaf.as_of && leaf.as_of <= predicate.cutoff)) {
    throw differs("the leaf's balance is of a time that the statement's policy does not allow");
  }
  return { leaf, token, stated };
}

function differs(detail) {
  return refuse(
    detail,
    "Fetch proof and statement again for the same period and revision; if they still differ, tell the issuer and " +
      "keep both files.",
  );
}
