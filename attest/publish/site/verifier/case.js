// SPDX-License-Identifier: GPL-3.0-or-later
// What the checks look at (attest/verify/case.py): documents are parsed on demand, once. A check that needs a document
// that another check already found unreadable is skipped, not failed twice.

import { ENVELOPE, LOG_PROOF, RECEIPTS, RESERVES, checkManifest } from "./bundle.js";
import { verifyLogProof, verifyWitnesses } from "./checkpoint.js";
import { digest } from "./crypto.js";
import { Receipts, Reserves } from "./documents.js";
import { parseEnvelope } from "./dsse.js";
import { UnavailableError, VerificationError } from "./errors.js";
import { Period } from "./period.js";
import { fromJson } from "./records.js";
import { read } from "./statement.js";

/**
 * One bundle against one trust file. `files` is a Map, empty with a `fault` when the folder itself was refused; `now`
 * in seconds. What an auditor may have besides, or null: `since` (an earlier checkpoint's bytes), `log` (the
 * log's `LogFiles`), `leaves` (the bytes of leaves.json).
 */
export class Case {
  constructor({ files, trust, now, fault = null, since = null, log = null, leaves = null }) {
    Object.assign(this, { files, trust, now, fault, since, log, leaves });
    this.known = new Map();
  }

  file(name) {
    if (!this.files.has(name)) throw new UnavailableError(`${name} is not at hand`);
    return this.files.get(name);
  }

  once(name, make) {
    if (!this.known.has(name)) this.known.set(name, make());
    return this.known.get(name);
  }

  /** The manifest, every file being the one it lists; throws `VerificationError` if one is not. */
  manifest() {
    return this.once("manifest", () => checkManifest(this.files));
  }

  envelope() {
    return this.once("envelope", async () => {
      const data = this.file(ENVELOPE);
      return readable(ENVELOPE, () => parseEnvelope(data, ENVELOPE));
    });
  }

  statement() {
    return this.once("statement", async () => {
      const { body } = await this.envelope();
      return readable("the statement", () => read(body));
    });
  }

  async predicate() {
    return (await this.statement()).predicate;
  }

  /** Lowercase hex sha256 of the payload. */
  async statementDigest() {
    return digest((await this.envelope()).body);
  }

  async period() {
    return Period.parse((await this.predicate()).period);
  }

  reserves() {
    return this.once("reserves", async () => {
      const data = this.file(RESERVES);
      return readable(RESERVES, () => fromJson(Reserves, data, RESERVES));
    });
  }

  receipts() {
    return this.once("receipts", async () => {
      const data = this.file(RECEIPTS);
      return readable(RECEIPTS, () => fromJson(Receipts, data, RECEIPTS));
    });
  }

  /** The entry in the log by the log's own key, whoever cosigned; throws `VerificationError` if false. */
  logged() {
    return this.once("logged", async () =>
      verifyLogProof(this.file(LOG_PROOF), this.file(ENVELOPE), this.trust.log.key, LOG_PROOF),
    );
  }

  /** The head that the log at hand has now; throws `VerificationError` if it has none of its own. */
  newest() {
    return this.once("newest", () => this.log.newest(this.trust.log.key));
  }

  /** The cosignatures of the trusted witnesses; throws `VerificationError` if one of them is false. */
  cosignatures() {
    return this.once("cosignatures", async () =>
      verifyWitnesses((await this.logged()).signed, this.trust.witnesses.keys, LOG_PROOF),
    );
  }
}

async function readable(name, make) {
  try {
    return await make();
  } catch (fault) {
    if (fault instanceof VerificationError) throw new UnavailableError(`${name} cannot be read`);
    throw fault;
  }
}
