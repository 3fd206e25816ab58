// SPDX-License-Identifier: GPL-3.0-or-later
// The signed statement, read with every relation inside it recomputed, and its sentence (attest/statement.py).

import { Statement } from "./documents.js";
import { VerificationError, compareLists, cut, isBlank, lengthOf, repr } from "./errors.js";
import { EMPTY_ROOT } from "./merkle.js";
import { UINT256_MAX, floorDivide, format, formatUnits, group, ratioPercent, toTokenUnits } from "./money.js";
import { Period, moment } from "./period.js";
import { fromJson } from "./records.js";

export const RESERVES_NAME = "reserves.json";
const MAX_DECIMALS = 36;
const MAX_EXPONENT = 4;
const MAX_TEXT = 200;
const WITHHELD = ["operator", "deadline", "missed", "revoked"];
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;

/**
 * What a token that is not withheld states, with nothing optional about it; null if it is withheld. `held`: the lower
 * of the issuer's reserve and the chain's consensus, which the verdict counts.
 */
export function attested(token) {
  const { reserve_units: units, consensus } = token;
  const parts = [
    token.reserve_minor_units,
    units,
    token.remainder_minor_units,
    token.surplus_units,
    token.oldest_as_of,
    token.agreement,
    token.policy,
    consensus,
  ];
  if (parts.includes(null)) return null;
  return {
    minorUnits: token.reserve_minor_units,
    units,
    remainder: token.remainder_minor_units,
    surplus: token.surplus_units,
    oldestAsOf: token.oldest_as_of,
    agreement: token.agreement,
    policy: token.policy,
    consensus,
    held: units < consensus.units ? units : consensus.units,
  };
}

/** The higher of both supplies, in token units: what the verdict counts. */
export function issued(token) {
  return token.supply_units > token.confirm_supply_units ? token.supply_units : token.confirm_supply_units;
}

/** How many accounts were decided under a waiver: each under one. */
export function waived(agreement) {
  return agreement.waivers.reduce((sum, waiver) => sum + BigInt(waiver.count), 0n);
}

// -- reading --------------------------------------------------------------------------------------------------------

/** The statement in a payload; throws `VerificationError` naming token and field if any figure does not follow. */
export async function read(payload, where = "the statement") {
  const statement = await fromJson(Statement, payload, where);
  if (statement.subject.length !== 1 || statement.subject[0].name !== RESERVES_NAME) {
    throw refuse(where, `the subject must be ${RESERVES_NAME} and nothing else`);
  }
  new Reading(where, statement.predicate).check();
  return statement;
}

/** The relations inside one predicate; each method refuses with the place that is wrong. */
class Reading {
  constructor(where, predicate) {
    this.where = where;
    this.predicate = predicate;
  }

  require(condition, place, detail) {
    if (!condition) throw refuse(this.where, `${place} ${detail}`);
  }

  check() {
    const { predicate } = this;
    for (const field of ["issuer", "software"]) {
      const length = lengthOf(predicate[field]);
      this.require(0 < length && length <= MAX_TEXT, field, `must have 1 to ${MAX_TEXT} characters`);
    }
    try {
      Period.parse(predicate.period);
    } catch (fault) {
      throw refuse(this.where, fault.message);
    }
    this.require(predicate.revision >= 0, "revision", "must not be negative");
    this.require(
      predicate.attempt >= 1 &&
        predicate.abandoned.length === predicate.attempt - 1 &&
        predicate.abandoned.every(({ attempt }, n) => attempt === n + 1),
      "abandoned",
      `must list the attempts before attempt ${predicate.attempt}, each once and in order`,
    );
    this.require(
      predicate.abandoned.every(({ reason }) => !isBlank(reason)),
      "abandoned",
      "has an attempt without a reason",
    );
    this.supersedes();
    this.ascending("chains", predicate.chains.map((chain) => [chain.chain_id]), "chain ids");
    for (const chain of predicate.chains) this.chain(chain);
    this.ascending("tokens", predicate.tokens.map((token) => [token.token]), "tokens");
    this.require(predicate.tokens.length > 0, "tokens", "is empty: the statement says nothing");
    for (const token of predicate.tokens) this.token(token);
    const deployments = predicate.tokens.flatMap((token) => token.deployments.map(deploymentKey));
    this.require(isUnique(deployments), "tokens", "list one deployment under two tokens");
    this.merkle();
  }

  supersedes() {
    const { revision, supersedes, tokens } = this.predicate;
    this.require(
      revision > 0 === (supersedes !== null),
      "supersedes",
      `does not fit revision ${revision}: 0 replaces none`,
    );
    const revoked = tokens.map((token) => token.withheld_code === "revoked");
    if (supersedes !== null) this.require(!isBlank(supersedes.reason), "supersedes", "gives no reason");
    if (supersedes?.kind === "revocation") {
      this.require(
        revoked.every(Boolean),
        "supersedes",
        "is a revocation, so every token must be withheld as revoked",
      );
    } else {
      this.require(!revoked.some(Boolean), "tokens", "are withheld as revoked, but the statement is no revocation");
    }
  }

  ascending(place, values, what) {
    const ordered = values.every((value, n) => n === 0 || compareLists(values[n - 1], value) < 0);
    this.require(ordered, place, `must be in ascending order of ${what}, each once`);
  }

  chain(chain) {
    const place = `chain ${chain.chain_id}:`;
    const { supply, confirm } = chain;
    this.require(chain.chain_id >= 1, place, "the chain id must be positive");
    this.require(
      supply.chain_id === confirm.chain_id && confirm.chain_id === chain.chain_id,
      place,
      "a block is of another chain",
    );
    this.require(
      0 <= supply.number && supply.number <= confirm.number,
      place,
      "the confirm block lies before the supply block",
    );
    this.require(
      0 <= supply.timestamp && supply.timestamp <= confirm.timestamp,
      place,
      "the confirm block is older than the supply's",
    );
    this.require(
      (supply.number === confirm.number) === (supply.hash === confirm.hash),
      place,
      "one block has two hashes",
    );
    const gap = this.predicate.cutoff - supply.timestamp;
    this.require(chain.supply_gap_seconds === gap, place, `supply_gap_seconds must be ${gap}`);
    this.require(this.predicate.supply_at === "run" || gap >= 0, place, "the supply block lies after the cutoff");
  }

  token(token) {
    const place = `token ${repr(cut(token.token, 64))}:`;
    this.require(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(token.token), place, "is not a plain token name");
    this.require(/^[A-Z]{3}$/.test(token.currency), place, "currency is not an ISO-4217 code");
    this.require(within(token.exponent, MAX_EXPONENT), place, `exponent must be 0 to ${MAX_EXPONENT}`);
    this.require(within(token.decimals, MAX_DECIMALS), place, `decimals must be 0 to ${MAX_DECIMALS}`);
    this.supplies(token, place);
    if (token.verdict === "withheld") {
      const derived = [
        token.reserve_minor_units,
        token.reserve_units,
        token.remainder_minor_units,
        token.surplus_units,
        token.ratio_percent,
        token.oldest_as_of,
        token.agreement,
        token.policy,
        token.consensus,
      ];
      this.require(
        derived.every((part) => part === null) && token.reports.length === 0,
        place,
        "is withheld, so it can carry no reserve and nothing derived from one",
      );
      this.require(token.withheld_code !== null, place, "withheld_code is missing: a withheld token says why");
      this.require(
        WITHHELD.includes(token.withheld_code),
        place,
        `withheld_code must be one of ${WITHHELD.join(", ")}`,
      );
      return;
    }
    this.require(token.withheld_code === null, place, `withheld_code contradicts the verdict ${token.verdict}`);
    const stated = attested(token);
    this.require(stated !== null, place, `lacks a field that the verdict ${token.verdict} needs`);
    this.reserve(token, stated, place);
    this.agreement(stated, place);
    this.onChain(token, stated.consensus, place);
  }

  supplies(token, place) {
    this.amounts(place, token, "supply_units", "confirm_supply_units");
    this.require(token.deployments.length > 0, place, "deployments is empty: there is no supply to compare with");
    const keys = token.deployments.map((deployment) => [deployment.chain_id, deployment.address.toLowerCase()]);
    this.ascending(`${place} deployments`, keys, "chain and address");
    for (const deployment of token.deployments) {
      this.address(`${place} deployments`, deployment.address);
      this.require(
        this.predicate.chains.some((chain) => chain.chain_id === deployment.chain_id),
        place,
        `chain ${deployment.chain_id} is not among the chains`,
      );
      this.require(within(deployment.decimals, MAX_DECIMALS), place, `decimals must be 0 to ${MAX_DECIMALS}`);
      this.amounts(`${place} deployment ${deployment.address}`, deployment, "supply_units", "confirm_supply_units");
    }
    for (const field of ["supply_units", "confirm_supply_units"]) {
      const total = summed(token, field);
      this.require(token[field] === total, place, `${field} is ${token[field]}, but its deployments sum to ${total}`);
    }
  }

  reserve(token, stated, place) {
    this.amounts(place, token, "reserve_minor_units", "reserve_units");
    const { units, remainder } = toTokenUnits(stated.minorUnits, token.exponent, token.decimals);
    if (units > UINT256_MAX) throw refuse(this.where, `${place}: the reserve does not fit the contract's uint256`);
    this.require(stated.units === units, place, `reserve_units must be ${units} (scaled)`);
    this.require(stated.remainder === remainder, place, `remainder_minor_units must be ${remainder}`);
    const [held, supply] = [stated.held, issued(token)];
    const verdict = held >= supply ? "sufficient" : "short";
    this.require(
      token.verdict === verdict,
      place,
      `verdict says ${token.verdict}, but ${held} against ${supply} is ${verdict}`,
    );
    this.require(stated.surplus === held - supply, place, `surplus_units must be ${held - supply}`);
    const ratio = ratioPercent(held, supply);
    this.require(token.ratio_percent === ratio, place, `ratio_percent must be ${ratio ?? "None"}`);
  }

  agreement(stated, place) {
    const { agreement, policy } = stated;
    this.require(
      [
        policy.min_sources,
        policy.min_origins,
        agreement.accounts,
        agreement.fewest_sources,
        agreement.fewest_origins,
      ].every((count) => count >= 1),
      place,
      "agreement and policy count accounts, sources and origins from 1",
    );
    this.require(
      policy.tolerance_abs >= 0n &&
        [policy.tolerance_bps, policy.max_age_seconds, policy.allow_dissent].every((limit) => limit >= 0),
      place,
      "policy has a negative limit",
    );
    this.amounts(place, policy, "tolerance_abs");
    this.require(
      BigInt(agreement.sources_counted) >= BigInt(agreement.accounts) * BigInt(agreement.fewest_sources),
      place,
      "agreement counts fewer sources than its accounts have at the least",
    );
    this.require(
      0 <= agreement.dissent &&
        BigInt(agreement.dissent) <= BigInt(agreement.accounts) * BigInt(policy.allow_dissent),
      place,
      "agreement has more dissent than the policy allows",
    );
    this.require(
      BigInt(agreement.fewest_sources) + BigInt(policy.allow_dissent) >= BigInt(policy.min_sources),
      place,
      "agreement has fewer sources than the policy in force demands",
    );
    this.ascending(`${place} waivers`, agreement.waivers.map((waiver) => [waiver.code]), "codes");
    this.require(
      agreement.waivers.every(({ count }) => count >= 1) && waived(agreement) <= BigInt(agreement.accounts),
      place,
      "waivers must count from 1, and all of them at most the number of accounts",
    );
    const age = this.predicate.cutoff - stated.oldestAsOf;
    this.require(age >= 0, place, "oldest_as_of lies after the cutoff");
    this.require(
      age <= policy.max_age_seconds,
      place,
      `oldest_as_of is ${age} seconds before the cutoff; the policy in force allows ${policy.max_age_seconds}`,
    );
  }

  onChain(token, consensus, place) {
    this.address(`${place} oracle`, consensus.oracle);
    this.amounts(`${place} consensus`, consensus, "units");
    this.require(consensus.required_quorum >= 1, place, "required_quorum must be at least 1");
    this.require(
      consensus.reports >= (consensus.quorum_met ? consensus.required_quorum : 0),
      place,
      `the quorum cannot be met by ${consensus.reports} of ${consensus.required_quorum} reports`,
    );
    const confirm = new Map(this.predicate.chains.map((chain) => [chain.chain_id, chain.confirm.number]));
    for (const report of token.reports) {
      this.address(`${place} reporter`, report.reporter);
      this.require(confirm.has(report.chain_id), place, `chain ${report.chain_id} is not among the chains`);
      this.require(
        0 <= report.block_number && report.block_number <= confirm.get(report.chain_id),
        place,
        "a report lies after the confirm block",
      );
    }
    for (const [what, values] of [
      ["reporter", token.reports.map((report) => report.reporter.toLowerCase())],
      ["transaction", token.reports.map((report) => report.transaction)],
    ]) {
      this.require(isUnique(values), place, `reports list one ${what} twice`);
    }
  }

  merkle() {
    const { merkle, tokens } = this.predicate;
    const accounts = tokens.reduce((sum, token) => sum + BigInt(token.agreement?.accounts ?? 0), 0n);
    this.require(
      BigInt(merkle.size) === accounts,
      "merkle",
      `size is ${merkle.size}, but the tokens have ${accounts} accounts`,
    );
    this.require((merkle.root === EMPTY_ROOT) === (merkle.size === 0), "merkle", "root and size contradict each other");
  }

  amounts(place, record, ...fields) {
    for (const field of fields) {
      this.require(0n <= record[field] && record[field] <= UINT256_MAX, place, `${field} does not fit uint256`);
    }
  }

  address(place, address) {
    this.require(ADDRESS.test(address), place, `${repr(cut(address, 64))} is not an address`);
  }
}

function within(number, most) {
  return 0 <= number && number <= most;
}

function isUnique(values) {
  return new Set(values).size === values.length;
}

/** What makes two entries one deployment; upper and lower case are only a checksum (EIP-55). */
export function deploymentKey(deployment) {
  return `${deployment.chain_id} ${deployment.address.toLowerCase()}`;
}

/** The supply over all deployments, one with more decimals rounded up, so that no liability is hidden. */
function summed(token, field) {
  return token.deployments.reduce((total, deployment) => {
    const shift = token.decimals - deployment.decimals;
    const units = deployment[field];
    return total + (shift >= 0 ? units * 10n ** BigInt(shift) : ceilDivide(units, 10n ** BigInt(-shift)));
  }, 0n);
}

function ceilDivide(amount, by) {
  return -floorDivide(-amount, by);
}

function refuse(where, detail) {
  return new VerificationError(`${where}: ${detail}`, {
    code: "statement-inconsistent",
    reason: "Each figure of a statement must follow from the others, or a reader could be shown the wrong one.",
    advice: "Do not rely on this statement, even if its signature is good; tell the issuer and keep the file.",
  });
}

// -- in words -------------------------------------------------------------------------------------------------------

/** The answer in one sentence; `witnesses` is how many are known to have cosigned. */
export function sentence(token, cutoff, witnesses, stale) {
  const supply = `${shown(issued(token), token)} issued`;
  const stated = attested(token);
  const asOf = `as of ${moment(cutoff)}${stale ? ", which is stale" : ""}`;
  const witnessed = `osigned by ${counted(witnesses, "witness", "es")}`;
  if (stated === null) {
    return `${token.token}: reserve withheld (${token.withheld_code}) against ${supply}, ${asOf}. C${witnessed}.`;
  }
  const { consensus } = stated;
  let text = `${token.token}: ${group(format(stated.minorUnits, token.exponent))} ${token.currency} held`;
  if (consensus.units < stated.units) {
    text += ` (but only ${exact(consensus.units, token)} by the reports on chain, which counts)`;
  }
  text += ` against ${supply}`;
  if (token.ratio_percent !== null) text += ` (${token.ratio_percent} %)`;
  if (token.verdict === "short") text += `, short by ${exact(-stated.surplus, token)}`;
  text +=
    `, ${asOf}. A${agreed(stated.agreement)}, ` +
    `reported on chain by ${consensus.reports} (${consensus.required_quorum} needed), c${witnessed}.`;
  if (stated.oldestAsOf < cutoff) text += ` Oldest balance: ${moment(stated.oldestAsOf)}.`;
  return text;
}

function agreed(agreement) {
  const text = `greed by ${counted(agreement.fewest_sources, "source")}`;
  if (agreement.accounts === 1) return text;
  const more = agreement.sources_counted > agreement.accounts * agreement.fewest_sources ? " or more" : "";
  return `${text}${more} on each of ${agreement.accounts} accounts`;
}

function shown(units, token) {
  const places = Math.min(token.decimals, Math.max(2, token.exponent));
  const text = format(ceilDivide(units, 10n ** BigInt(token.decimals - places)), places);
  const [whole, fraction = ""] = text.split(".");
  return `${group(/[^0]/.test(fraction) ? text : whole)} ${token.token}`;
}

function exact(units, token) {
  return `${group(formatUnits(units, token.decimals))} ${token.token}`;
}

export function counted(count, noun, ending = "s") {
  return count === 0 ? `no ${noun}` : `${count} ${noun}${count === 1 ? "" : ending}`;
}
