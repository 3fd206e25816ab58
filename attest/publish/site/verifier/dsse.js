// SPDX-License-Identifier: GPL-3.0-or-later
// The DSSE envelope with secp256k1 signatures (attest/signing/dsse.py): DER, low-s, over sha256(PAE).

import { concat, equal, fromBase64, fromHex, fromUtf8, toHex, utf8 } from "./bytes.js";
import { SECP256K1_ORDER, digest, sha256, uncompressed, verifySecp256k1 } from "./crypto.js";
import { Envelope, MAX_ENVELOPE_BYTES } from "./documents.js";
import { VerificationError, compareText } from "./errors.js";
import { fromJson } from "./records.js";

// SubjectPublicKeyInfo of id-ecPublicKey on secp256k1 (RFC 5480, SEC 2), up to the point.
const SPKI_UNCOMPRESSED = fromHex("3056301006072a8648ce3d020106052b8104000a034200");
const SPKI_COMPRESSED = fromHex("3036301006072a8648ce3d020106052b8104000a032200");

/** DSSE's pre-authentication encoding: lengths in bytes. */
export function pae(payloadType, body) {
  const kind = utf8(payloadType);
  return concat(utf8(`DSSEv1 ${kind.length} ${payloadType} ${body.length} `), body);
}

/**
 * Check a DER signature by `spki` (canonical SPKI DER) over the PAE. Throws `VerificationError` for one that is not in
 * its one canonical encoding or does not verify.
 */
export async function verifySignature(spki, payloadType, body, signature) {
  const numbers = decodeDer(signature);
  if (numbers === null) {
    throw refuse("signature-encoding", "the signature is not canonical DER (two integers and nothing else)");
  }
  const [r, s] = numbers;
  if (s > SECP256K1_ORDER / 2n) {
    throw refuse("signature-high-s", "the signature has a high s: anyone can make it from the low-s one");
  }
  if (!verifySecp256k1(spki.subarray(SPKI_UNCOMPRESSED.length), r, s, await sha256(pae(payloadType, body)))) {
    throw refuse("signature-invalid", `the signature is not key ${await digest(spki)}'s over this ${payloadType}`);
  }
}

export async function verifies(spki, payloadType, body, signature) {
  try {
    await verifySignature(spki, payloadType, body, signature);
    return true;
  } catch (fault) {
    if (fault instanceof VerificationError) return false;
    throw fault;
  }
}

/** `r` and `s` of a signature in DER; null for any other spelling of the two integers, or anything after them. */
export function decodeDer(signature) {
  if (signature.length > 72 || signature[0] !== 0x30 || signature[1] !== signature.length - 2) return null;
  const numbers = [];
  let at = 2;
  while (at < signature.length) {
    const length = signature[at + 1];
    const content = signature.subarray(at + 2, at + 2 + length);
    const minimal = content[0] !== 0 || length === 1 || content[1] >= 0x80;
    const whole = length > 0 && content.length === length;
    if (signature[at] !== 0x02 || !whole || content[0] >= 0x80 || !minimal) return null;
    numbers.push(BigInt(`0x${toHex(content)}`));
    at += 2 + length;
  }
  return numbers.length === 2 ? numbers : null;
}

/** The canonical SPKI DER of a secp256k1 key in PEM; throws `VerificationError` for anything else. */
export function spkiOfPem(pem) {
  const block = /^\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END PUBLIC KEY-----\s*$/.exec(pem);
  let der;
  try {
    der = fromBase64(block[1].replace(/\s/g, ""));
  } catch {
    throw refuse("public-key-malformed", "the attestor's public key is neither SPKI (DER, PEM) nor SEC1");
  }
  for (const [prefix, length] of [
    [SPKI_UNCOMPRESSED, 65],
    [SPKI_COMPRESSED, 33],
  ]) {
    if (der.length === prefix.length + length && equal(der.subarray(0, prefix.length), prefix)) {
      const point = uncompressed(der.subarray(prefix.length));
      if (point === null) {
        throw refuse("public-key-malformed", "the attestor's public key is neither SPKI (DER, PEM) nor SEC1");
      }
      return concat(SPKI_UNCOMPRESSED, point);
    }
  }
  throw refuse("public-key-curve", "the attestor's public key is not on secp256k1");
}

/** An envelope, read strictly, with its `body` and each signature's `bytes`; verifies no signature. */
export async function parseEnvelope(data, where = "the envelope") {
  if (data.length > MAX_ENVELOPE_BYTES) {
    throw refuse("envelope-too-large", `${where}: ${data.length} bytes, at most ${MAX_ENVELOPE_BYTES} fit a log entry`);
  }
  const envelope = await fromJson(Envelope, data, where);
  return {
    payloadType: envelope.payloadType,
    body: fromBase64(envelope.payload),
    signatures: envelope.signatures.map((item) => ({ ...item, bytes: fromBase64(item.sig) })),
  };
}

/** Whether `data` is byte for byte what these parts are written as: no space, no other order of names. */
export function isCanonical(data, envelope) {
  const { payload, payloadType, signatures } = JSON.parse(fromUtf8(data));
  const parts = signatures.map(({ keyid, sig }) => ({ keyid, sig }));
  const ids = envelope.signatures.map((item) => item.keyid);
  const ascending = ids.every((id, n) => n === 0 || compareText(ids[n - 1], id) < 0);
  return ascending && equal(data, utf8(`${JSON.stringify({ payload, payloadType, signatures: parts })}\n`));
}

function refuse(code, message) {
  return new VerificationError(message, {
    code,
    reason: "A statement counts only with a signature in its one valid form by a key that the trust file pins.",
    advice: "Fetch the attestation again, and compare the attestor keys in your trust file with the issuer's.",
  });
}
