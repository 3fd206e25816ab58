// SPDX-License-Identifier: GPL-3.0-or-later
// The three primitives: SHA-256 and Ed25519 from the browser (WebCrypto), ECDSA over secp256k1 from @noble/curves.

import { ed25519 } from "@noble/curves/ed25519.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { fromHex, toHex } from "./bytes.js";

export const SECP256K1_ORDER = secp256k1.Point.Fn.ORDER;

/** Whether this page may check anything: browsers give `crypto.subtle` to secure contexts only. */
export function available() {
  return globalThis.crypto?.subtle !== undefined;
}

export async function sha256(data) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

/** Lowercase hex sha256 of the stored bytes. */
export async function digest(data) {
  return toHex(await sha256(data));
}

/** RFC 8032 verification; a key or signature of another length, or that is no point, is false. */
export async function verifyEd25519(publicKey, signature, message) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  let key;
  try {
    key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
  } catch (fault) {
    if (fault.name !== "NotSupportedError") return false;
    return noble(() => ed25519.verify(signature, message, publicKey, { zip215: false }));
  }
  return crypto.subtle.verify("Ed25519", key, signature, message);
}

/** ECDSA over the 32 bytes `hash` by a key given as an uncompressed point; `r` and `s` are BigInts. */
export function verifySecp256k1(point, r, s, hash) {
  if (r <= 0n || s <= 0n || r >= SECP256K1_ORDER || s >= SECP256K1_ORDER) return false;
  const signature = fromHex(r.toString(16).padStart(64, "0") + s.toString(16).padStart(64, "0"));
  return noble(() => secp256k1.verify(signature, hash, point, { prehash: false, lowS: true, format: "compact" }));
}

/** The uncompressed SEC1 form (65 bytes) of a secp256k1 point; null if it is none. */
export function uncompressed(point) {
  try {
    return secp256k1.Point.fromBytes(point).toBytes(false);
  } catch {
    return null;
  }
}

function noble(verify) {
  try {
    return verify();
  } catch {
    return false; // what it refuses to decode is not a signature either
  }
}
