// SPDX-License-Identifier: GPL-3.0-or-later
// An account owner's check: is my account, with my balance, in what was signed? (attest/verify/inclusion.py)

import { AUTHENTIC, expectIssuerAndPeriod, refuse, result } from "./checks.js";
import { InclusionProof, ReserveLeaf } from "./documents.js";
import { VerificationError } from "./errors.js";
import { verifyInclusionProof } from "./merkle.js";
import { formatInstant } from "./period.js";
import { fromJson } from "./records.js";
import { attested } from "./statement.js";

const MAX_PROOF_BYTES = 1 << 20;
/** Of a lone envelope only these can be checked; a bundle shows also that it is in the log. */
const OF_ENVELOPE = ["statement", "signatures"];

/**
 * What `attest verify-proof --json` says of the proof's bytes against a case. `alone`: the case has an envelope only.
 * `name` is the file's, for messages.
 */
export async function verifyProof(data, subject, { alone, name }) {
  const wanted = alone ? AUTHENTIC.filter((check) => OF_ENVELOPE.includes(check.name)) : AUTHENTIC;
  const checks = [];
  for (const check of wanted) checks.push(await result(check, subject));
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
  if (found === null || checks.some((check) => check.outcome !== "pass")) {
    return {
      leaf: null,
      exponent: 0,
      period: null,
      revision: null,
      statement: null,
      accounts: 0,
      total_minor_units: "0",
      checks,
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
    exit_code: 0,
  };
}

async function inclusion(data, subject, name) {
  if (data.length > MAX_PROOF_BYTES) {
    throw new VerificationError(`'${name}' has more than ${MAX_PROOF_BYTES} bytes`, { code: "bundle-malformed" });
  }
  const proof = await fromJson(InclusionProof, data, name);
  await expectIssuerAndPeriod(subject);
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
