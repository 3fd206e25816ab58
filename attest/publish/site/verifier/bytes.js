// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes and their spellings: hex, base64 (RFC 4648 section 4, one spelling only), UTF-8.

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Lowercase hex. */
export function toHex(bytes) {
  return Array.from(bytes, (byte) => HEX[byte]).join("");
}

/** The inverse of `toHex`, of text that is known to be hex. */
export function fromHex(text) {
  return Uint8Array.from({ length: text.length / 2 }, (_, n) => Number.parseInt(text.slice(2 * n, 2 * n + 2), 16));
}

/** Standard base64, padded. */
export function toBase64(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(text);
}

/** The inverse of `toBase64`; throws an `Error` saying what is wrong with any other spelling of the same bytes. */
export function fromBase64(text) {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) throw new Error("is not base64");
  const raw = atob(text);
  if (btoa(raw) !== text) throw new Error("is not canonical base64");
  return Uint8Array.from(raw, (character) => character.charCodeAt(0));
}

const ENCODER = new TextEncoder();

export function utf8(text) {
  return ENCODER.encode(text);
}

/** The text of UTF-8 bytes, a byte order mark kept; null if they are not UTF-8. */
export function fromUtf8(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.length;
  }
  return whole;
}

export function equal(one, other) {
  return one.length === other.length && one.every((byte, n) => byte === other[n]);
}
