// SPDX-License-Identifier: GPL-3.0-or-later
// The checks that need more than the bundle: an earlier checkpoint, the log's files, the auditor's leaves.

import { finding } from "./checks.js";

export async function consistency(subject) {
  return finding("skipped", "no earlier checkpoint was given", "");
}

export async function history(subject) {
  return finding("skipped", "the log's entries were not given", "");
}

export async function leaves(subject) {
  return finding(
    "skipped",
    `the totals are the issuer's claim: the ${(await subject.predicate()).merkle.size} accounts behind them were not given`,
    "An account's owner can check it with `attest verify-proof`; an auditor can ask the issuer for all leaves.",
  );
}

/** The detail of a sufficient answer. */
export function leavesChecked(outcomes, count) {
  return `by totals that the issuer claims: the ${count} accounts behind them were not given`;
}
