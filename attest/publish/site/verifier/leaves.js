// SPDX-License-Identifier: GPL-3.0-or-later
// The accounts behind the totals: every leaf is read, and root, size and sums are computed from nothing else
// (attest/verify/leaves.py).

import { fromBase64, toHex } from "./bytes.js";
import { attestedTokens, finding, refuse } from "./checks.js";
import { ReserveLeaf, ReserveLeaves } from "./documents.js";
import { printable, repr } from "./errors.js";
import { leafHash, rootFromLeafHashes } from "./merkle.js";
import { fromJson } from "./records.js";
import { attested } from "./statement.js";

const LEAVES = "leaves.json";

export async function leaves(subject) {
  const predicate = await subject.predicate();
  if (subject.leaves === null) {
    return finding(
      "skipped",
      `the totals are the issuer's claim: the ${predicate.merkle.size} accounts behind them were not given`,
      "An account's owner can check it with a proof; an auditor can ask the issuer for all leaves, and give " +
        "leaves.json here.",
    );
  }
  const accounts = await readLeaves(subject);
  const counts = attestedTokens(predicate).map(([token, stated]) => {
    const own = accounts.filter((leaf) => leaf.token === token.token);
    compareSums(token.token, stated, own);
    return `${token.token} (${own.length})`;
  });
  return finding(
    "pass",
    `${accounts.length} accounts lead to the signed root and add up to ${counts.join(", ") || "nothing"}`,
  );
}

/** All leaves in tree order, once they were seen to lead to the signed root; throws `VerificationError`. */
export async function readLeaves(subject) {
  const predicate = await subject.predicate();
  const given = await fromJson(ReserveLeaves, subject.leaves, LEAVES);
  if (given.period !== predicate.period || given.revision !== predicate.revision) {
    throw differs(`they are of ${given.period}, revision ${given.revision}, not of this statement`);
  }
  const { root: signed, size } = predicate.merkle;
  if (given.leaves.length !== size) throw differs(`there are ${given.leaves.length}, the statement commits to ${size}`);
  let exact;
  try {
    exact = given.leaves.map(fromBase64);
  } catch (fault) {
    throw differs(`a leaf ${fault.message}`);
  }
  const root = toHex(await rootFromLeafHashes(await Promise.all(exact.map(leafHash))));
  if (root !== signed) throw differs(`they lead to root ${root}, the statement commits to ${signed}`);
  const read = [];
  for (const [index, leaf] of exact.entries()) read.push(await fromJson(ReserveLeaf, leaf, `leaf ${index}`));
  if (new Set(read.map((leaf) => leaf.salt)).size !== read.length) {
    throw differs("two of them have one salt: whoever knows one can find out about the other");
  }
  const accounts = new Map();
  for (const leaf of read) {
    checkLeaf(predicate, leaf);
    // What looks the same is the same: an account that is written in two ways would be counted twice.
    const key = folded(leaf.account);
    if (accounts.has(key)) {
      throw differs(`account ${repr(leaf.account)} is there twice (also as ${repr(accounts.get(key))})`);
    }
    accounts.set(key, leaf.account);
  }
  return read;
}

/**
 * A key of `text` that is the same for what Python's `casefold` makes the same, after NFKC: character by character, as
 * it goes, and with the dotless i by itself, which has the capital of another letter.
 */
export function folded(text) {
  const fold = (character) => (character === "ı" ? character : character.toLowerCase().toUpperCase().toLowerCase());
  return [...text.normalize("NFKC")].map(fold).join("");
}

function checkLeaf(predicate, leaf) {
  const name = `account ${repr(leaf.account)}`;
  if (printable(leaf.account) !== leaf.account) {
    throw differs(`${name} has a character that does not show: it could be another's name written twice`);
  }
  if (leaf.period !== predicate.period) {
    throw differs(`${name} is of ${leaf.period}, the statement of ${predicate.period}`);
  }
  const token = predicate.tokens.find((each) => each.token === leaf.token);
  const stated = token === undefined ? null : attested(token);
  if (stated === null) throw differs(`${name} backs ${leaf.token}, of which the statement gives no reserve`);
  if (leaf.currency !== token.currency) {
    throw differs(`${name} is in ${leaf.currency}, ${token.token} is backed by ${token.currency}`);
  }
  if (leaf.minor_units < 0n) throw differs(`${name} has a negative balance`);
  // The statement's oldest balance is as old as its policy allows.
  if (!(stated.oldestAsOf <= leaf.as_of && leaf.as_of <= predicate.cutoff)) {
    throw differs(`${name} has a balance of a time that the statement's policy does not allow`);
  }
}

function compareSums(token, stated, own) {
  if (own.length !== stated.agreement.accounts) {
    throw differs(`${token} has ${own.length} accounts, the statement says ${stated.agreement.accounts}`);
  }
  const total = own.reduce((sum, leaf) => sum + leaf.minor_units, 0n);
  if (total !== stated.minorUnits) {
    throw differs(`${token} adds up to ${total} minor units, the statement says ${stated.minorUnits}`);
  }
  if (own.reduce((oldest, leaf) => Math.min(oldest, leaf.as_of), Infinity) !== stated.oldestAsOf) {
    throw differs(`the oldest balance of ${token} is not of the time that the statement says`);
  }
}

function differs(detail) {
  return refuse(
    `${LEAVES}: ${detail}`,
    "Ask the issuer for the leaves of this very period and revision; if they still differ, keep both files.",
  );
}
