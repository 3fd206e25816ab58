// SPDX-License-Identifier: GPL-3.0-or-later
// The records that are read (attest/documents.py, attest/model.py), field by field.

import { fromBase64 } from "./bytes.js";
import {
  InvariantError,
  amount,
  boolean,
  hex32,
  instant,
  integer,
  list,
  nullable,
  oneOf,
  optional,
  record,
  text,
} from "./records.js";

export const PAYLOAD_TYPE = "application/vnd.in-toto+json";
export const MANIFEST_PAYLOAD_TYPE = "application/vnd.reserve-attest.manifest+json";
/** A log entry's length is a u16 (C2SP tlog-tiles), and the entry is the whole envelope. */
export const MAX_ENVELOPE_BYTES = 65_535;

/** Throws `InvariantError` unless `value` is canonical base64. */
export function base64Field(field, value) {
  try {
    fromBase64(value);
  } catch (fault) {
    throw new InvariantError(`${field} ${fault.message}`);
  }
}

// -- the signed statement -------------------------------------------------------------------------------------------

const Block = record({ chain_id: integer, number: integer, hash: hex32, timestamp: integer });
const MerkleCommitment = record({ root: hex32, size: integer });
const CodeCount = record({ code: text, count: integer });

const TokenStatement = record({
  token: text,
  currency: text,
  exponent: integer,
  decimals: integer,
  verdict: oneOf("sufficient", "short", "withheld"),
  supply_units: amount,
  confirm_supply_units: amount,
  deployments: list(
    record({ chain_id: integer, address: text, decimals: integer, supply_units: amount, confirm_supply_units: amount }),
  ),
  reserve_minor_units: optional(amount),
  reserve_units: optional(amount),
  remainder_minor_units: optional(amount),
  surplus_units: optional(amount),
  ratio_percent: optional(text),
  oldest_as_of: optional(instant),
  agreement: optional(
    record({
      accounts: integer,
      sources_counted: integer,
      fewest_sources: integer,
      fewest_origins: integer,
      dissent: integer,
      waivers: list(CodeCount),
    }),
  ),
  policy: optional(
    record({
      min_sources: integer,
      min_origins: integer,
      tolerance_abs: amount,
      tolerance_bps: integer,
      max_age_seconds: integer,
      allow_dissent: integer,
    }),
  ),
  reports: optional(
    list(record({ chain_id: integer, reporter: text, transaction: hex32, block_number: integer })),
    [],
  ),
  consensus: optional(
    record({ oracle: text, units: amount, quorum_met: boolean, required_quorum: integer, reports: integer }),
  ),
  withheld_code: optional(text),
});

const Predicate = record({
  issuer: text,
  period: text,
  revision: integer,
  attempt: integer,
  abandoned: list(record({ attempt: integer, reason: text })),
  cutoff: instant,
  clock: oneOf("system", "pinned"),
  supply_at: oneOf("cutoff", "run"),
  chains: list(record({ chain_id: integer, supply: Block, supply_gap_seconds: integer, confirm: Block })),
  tokens: list(TokenStatement),
  merkle: MerkleCommitment,
  disclosures: list(
    record({ kind: oneOf("waiver", "dissent", "acknowledgement", "withheld"), code: text, sha256: hex32 }),
  ),
  configuration: hex32,
  software: text,
  bundle: optional(oneOf("attest-manifest/2")),
  supersedes: optional(record({ statement: hex32, kind: oneOf("revision", "revocation"), reason: text })),
});

export const Statement = record({
  _type: oneOf("https://in-toto.io/Statement/v1"),
  subject: list(record({ name: text, digest: record({ sha256: hex32 }) })),
  predicateType: oneOf("urn:reserve-attest:predicate:reserves:v1"),
  predicate: Predicate,
});

export const Envelope = record(
  { payload: text, payloadType: text, signatures: list(record({ keyid: text, sig: text }, checkSignature)) },
  (envelope) => {
    base64Field("payload", envelope.payload);
    if (envelope.signatures.length === 0) throw new InvariantError("must have a signature");
  },
);

function checkSignature(signature) {
  base64Field("sig", signature.sig);
}

// -- beside it in the bundle ----------------------------------------------------------------------------------------

export const Reserves = record({
  format: oneOf("attest-reserves/1"),
  period: text,
  revision: integer,
  merkle: MerkleCommitment,
  tokens: list(record({ token: text, currency: text, minor_units: amount, units: amount, accounts: integer })),
});

export const Receipts = record({
  format: oneOf("attest-receipts/1"),
  period: text,
  revision: integer,
  statement: hex32,
  receipts: list(
    record({
      purpose: oneOf("report", "anchor"),
      token: nullable(text),
      chain_id: integer,
      sender: text,
      to: text,
      transaction: hex32,
      block: hex32,
      block_number: integer,
      gas_used: integer,
    }),
  ),
  anchor: record({
    chain_id: integer,
    registry: text,
    publisher: text,
    block: Block,
    root: hex32,
    size: integer,
    statement: hex32,
    log_root: hex32,
    log_size: integer,
  }),
});

export const Manifest = record({
  format: oneOf("attest-manifest/1", "attest-manifest/2"),
  period: text,
  revision: integer,
  files: list(record({ name: text, sha256: hex32, size: integer })),
});

// -- private: an account's, or the auditor's ------------------------------------------------------------------------

export const ReserveLeaf = record({
  format: oneOf("attest-reserve-leaf/1"),
  period: text,
  token: text,
  account: text,
  custodian: text,
  currency: text,
  minor_units: amount,
  balance_kind: oneOf("closing-booked", "closing-available", "custody-total", "on-chain"),
  as_of: instant,
  ownership: oneOf("key-proven", "custodian-confirmed", "unproven"),
  evidence: list(hex32),
  salt: hex32,
});

export const ReserveLeaves = record({
  format: oneOf("attest-leaves/1"),
  period: text,
  revision: integer,
  leaves: list(text),
});

export const InclusionProof = record(
  {
    format: oneOf("attest-inclusion-proof/1"),
    period: text,
    revision: integer,
    tree_size: integer,
    leaf_index: integer,
    leaf: text,
    audit_path: list(hex32),
    root: hex32,
  },
  (proof) => base64Field("leaf", proof.leaf),
);
