// SPDX-License-Identifier: GPL-3.0-or-later
// What an auditor pins, from outside: `attest-trust/1` (attest/verify/trust.py).

import { equal, toHex } from "./bytes.js";
import { spkiOfPem } from "./dsse.js";
import { VerificationError } from "./errors.js";
import { COSIGNATURE_V1, ED25519, parseVkey } from "./note.js";
import { Period } from "./period.js";
import {
  InvariantError,
  amount,
  boolean,
  fromJson,
  hex32,
  integer,
  list,
  oneOf,
  optional,
  record,
  text,
} from "./records.js";
import { deploymentKey } from "./statement.js";

export const MAX_TRUST_BYTES = 1 << 20;

/** Whether two well-formed addresses are one; upper and lower case are only a checksum (EIP-55). */
export function sameAddress(one, other) {
  return one.toLowerCase() === other.toLowerCase();
}

/** One certificate or more; what is in them matters only where time stamps are checked. */
const CERTIFICATES = /^(?:\s*-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----\s*)+$/;

function must(condition, message) {
  if (!condition) throw new InvariantError(message);
}

function address(field, value) {
  must(/^0x[0-9a-fA-F]{40}$/.test(value), `${field} is not an address (0x and 40 hex digits)`);
}

function period(field, value) {
  try {
    Period.parse(value);
  } catch (fault) {
    throw new InvariantError(`${field}: ${fault.message}`);
  }
}

function unique(field, values) {
  must(new Set(values).size === values.length, `${field} lists the same thing twice`);
}

const TrustedChain = record(
  { chain_id: integer, finality: text, independent: boolean, validators: optional(list(text), []) },
  (chain) => {
    must(chain.chain_id >= 1, "chain_id must be positive");
    must(/^(?:instant|tag|depth:[1-9][0-9]{0,5})$/.test(chain.finality), "finality must be instant, tag or depth:N");
    for (const validator of chain.validators) address("validators", validator);
    unique("validators", chain.validators.map((validator) => validator.toLowerCase()));
  },
);

const TrustedOracle = record(
  {
    chain_id: integer,
    address: text,
    min_quorum: integer,
    code_hash: optional(hex32),
    slots: optional(
      record({ reports: hex32, role_members: hex32, required_quorum: hex32, consensus_validity: hex32 }),
    ),
  },
  (oracle) => {
    address("address", oracle.address);
    must(oracle.min_quorum >= 1, "min_quorum must be at least 1");
  },
);

const TrustedRegistry = record(
  { chain_id: integer, address: text, code_hash: optional(hex32), attestations_slot: optional(hex32) },
  (registry) => address("address", registry.address),
);

const TrustedDeployment = record(
  {
    chain_id: integer,
    address: text,
    decimals: integer,
    code_hash: optional(hex32),
    supply_slot: optional(hex32),
    implementation: optional(record({ slot: hex32, address: text }, (proxied) => address("address", proxied.address))),
  },
  (deployment) => {
    address("address", deployment.address);
    must(0 <= deployment.decimals && deployment.decimals <= 36, "decimals must be 0 to 36");
  },
);

const TrustedToken = record(
  { token: text, currency: text, exponent: integer, decimals: integer, deployments: list(TrustedDeployment) },
  (token) => {
    must(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(token.token), "token is not a plain name");
    must(/^[A-Z]{3}$/.test(token.currency), "currency is not an ISO-4217 code");
    must(
      0 <= token.exponent && token.exponent <= 4 && 0 <= token.decimals && token.decimals <= 36,
      "exponent must be 0 to 4 and decimals 0 to 36",
    );
    must(
      token.deployments.length > 0,
      "deployments is empty: a token without any supply to compare with proves nothing",
    );
  },
);

function validity(entry) {
  period("valid_from", entry.valid_from);
  if (entry.valid_until !== null) period("valid_until", entry.valid_until);
}

/** Whether an attestor's or publisher's entry counts in a period. */
export function validIn(entry, asked) {
  return (
    Period.parse(entry.valid_from).monday <= asked.monday &&
    (entry.valid_until === null || asked.monday <= Period.parse(entry.valid_until).monday)
  );
}

const TrustedAttestor = record(
  { name: text, public_key: text, valid_from: text, valid_until: optional(text) },
  (attestor) => {
    validity(attestor);
    try {
      attestor.spki = spkiOfPem(attestor.public_key);
    } catch (fault) {
      if (!(fault instanceof VerificationError)) throw fault;
      throw new InvariantError(`public_key: ${fault.message}`);
    }
  },
);

const TrustedPublisher = record({ address: text, valid_from: text, valid_until: optional(text) }, (publisher) => {
  address("address", publisher.address);
  validity(publisher);
});

const TrustedLog = record({ origin: text, vkey: text }, async (log) => {
  log.key = await vkey("vkey", log.vkey, ED25519);
  must(log.key.name === log.origin, "vkey is of another name than origin");
});

const TrustedWitnesses = record({ threshold: integer, vkeys: list(text) }, async (witnesses) => {
  witnesses.keys = [];
  for (const each of witnesses.vkeys) witnesses.keys.push(await vkey("vkeys", each, COSIGNATURE_V1));
  unique("vkeys", witnesses.keys.map((key) => toHex(key.publicKey)));
  must(
    0 <= witnesses.threshold && witnesses.threshold <= witnesses.vkeys.length,
    "threshold must be 0 to the number of witnesses",
  );
});

async function vkey(field, written, algorithm) {
  let key;
  try {
    key = await parseVkey(written);
  } catch (fault) {
    if (!(fault instanceof VerificationError)) throw fault;
    throw new InvariantError(`${field}: ${fault.message}`);
  }
  must(key.algorithm === algorithm, `${field}: the key is of type ${key.algorithm}, not ${algorithm}`);
  return key;
}

const MinimumPolicy = record(
  {
    min_sources: integer,
    min_origins: integer,
    max_tolerance_abs: amount,
    max_tolerance_bps: integer,
    max_age_seconds: integer,
    allow_dissent: integer,
    waivers: optional(list(text), []),
  },
  (policy) => {
    must(policy.min_sources >= 1 && policy.min_origins >= 1, "min_sources and min_origins must be at least 1");
    must(
      policy.max_tolerance_abs >= 0n &&
        Math.min(policy.max_tolerance_bps, policy.max_age_seconds, policy.allow_dissent) >= 0,
      "no limit can be negative",
    );
  },
);

const Trust = record(
  {
    format: oneOf("attest-trust/1"),
    issuer: text,
    earliest_period: text,
    chains: list(TrustedChain),
    oracle: TrustedOracle,
    registry: TrustedRegistry,
    publishers: list(TrustedPublisher),
    tokens: list(TrustedToken),
    attestors: list(TrustedAttestor),
    attestor_threshold: integer,
    log: TrustedLog,
    witnesses: TrustedWitnesses,
    policy: MinimumPolicy,
    demands: optional(
      list(
        oneOf("witnesses", "chain", "leaves", "independent", "evidence", "consistency", "history", "timestamp"),
      ),
      [],
    ),
    maximum_age_seconds: optional(integer),
    revoked: optional(list(hex32), []),
    cadence_weeks: optional(integer),
    timestamp_authorities: optional(list(text), []),
  },
  (trust) => {
    period("earliest_period", trust.earliest_period);
    must(trust.tokens.length > 0, "tokens is empty: nothing would be checked");
    const keys = new Set(trust.attestors.map((attestor) => toHex(attestor.spki)));
    must(
      1 <= trust.attestor_threshold && trust.attestor_threshold <= keys.size,
      "attestor_threshold must be 1 to the number of distinct attestor keys",
    );
    must(trust.publishers.length > 0, "publishers is empty");
    must(trust.maximum_age_seconds === null || trust.maximum_age_seconds >= 1, "maximum_age_seconds must be positive");
    must(trust.cadence_weeks === null || trust.cadence_weeks >= 1, "cadence_weeks must be positive");
    for (const pem of trust.timestamp_authorities) {
      must(CERTIFICATES.test(pem), "timestamp_authorities is not a certificate in PEM (-----BEGIN CERTIFICATE-----)");
    }
    unique("timestamp_authorities", trust.timestamp_authorities);
    unique("chains", trust.chains.map((chain) => chain.chain_id));
    unique("tokens", trust.tokens.map((token) => token.token));
    const deployments = trust.tokens.flatMap((token) => token.deployments);
    unique("deployments", deployments.map(deploymentKey));
    const known = new Set(trust.chains.map((chain) => chain.chain_id));
    for (const place of [trust.oracle, trust.registry, ...deployments]) {
      must(known.has(place.chain_id), `chains does not list chain ${place.chain_id}`);
    }
  },
);

/** A trust file's bytes, read strictly; throws `VerificationError` naming the field. */
export function readTrust(data, where = "the trust file") {
  if (data.length > MAX_TRUST_BYTES) {
    throw new VerificationError(`${where}: is larger than ${MAX_TRUST_BYTES} bytes`, {
      code: "trust-too-large",
      reason: "No trust file is; this is something else.",
      advice: "Choose your trust file.",
    });
  }
  return fromJson(Trust, data, where);
}

/** Throws `VerificationError` if the trust file is one of the files that came with what it should judge. */
export function refuseFromBundle(data, others) {
  if (!others.some((other) => equal(other, data))) return;
  throw new VerificationError("this trust file lies inside what it should judge", {
    code: "trust-from-bundle",
    reason: "Whoever made the bundle made this file too: it would vouch for itself.",
    advice:
      "Write your own trust file (begin with the issuer's trust.example.json, compare every key and address with the " +
      "issuer by another way), and keep it apart from downloaded bundles.",
  });
}
