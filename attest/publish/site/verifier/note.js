// SPDX-License-Identifier: GPL-3.0-or-later
// Signed notes (C2SP signed-note) and witness cosignatures v1 (C2SP tlog-cosignature), read strictly
// (attest/log/note.py).

import { concat, equal, fromBase64, fromUtf8, toHex, utf8 } from "./bytes.js";
import { sha256, verifyEd25519 } from "./crypto.js";
import { VerificationError, cut, hasSpace, repr } from "./errors.js";

/** A note signed with Ed25519: a log's checkpoint. */
export const ED25519 = 0x01;
/** A timestamped Ed25519 cosignature: a witness's. */
export const COSIGNATURE_V1 = 0x04;

export const MAX_NOTE_BYTES = 1_000_000;
const MAX_SIGNATURES = 100;
const CONTROL = /[\x00-\x09\x0b-\x1f]/;
const NEWLINE = Uint8Array.of(10);

function isName(name) {
  return name !== "" && !name.includes("+") && !CONTROL.test(name) && !hasSpace(name);
}

/** `{name, algorithm, publicKey, keyId}` of a vkey; throws `VerificationError` if it is malformed. */
export async function parseVkey(text, where = "vkey") {
  const refuse = (detail) =>
    new VerificationError(`${where}: ${repr(cut(text, 200))} ${detail}`, {
      code: "malformed-vkey",
      reason: "A log or witness is known only by this key; a damaged one would accept nothing, or a stranger.",
      advice: "Copy the vkey again, whole, from where its owner publishes it.",
    });
  const [name, id, ...rest] = text.split("+");
  if (rest.length === 0 || !isName(name)) throw refuse("is not of the form name+keyid+key");
  let material;
  try {
    material = fromBase64(rest.join("+"));
  } catch (fault) {
    throw refuse(fault.message);
  }
  if (material.length !== 33 || ![ED25519, COSIGNATURE_V1].includes(material[0])) {
    throw refuse("is neither an Ed25519 key (type 1) nor a cosignature/v1 key (type 4)");
  }
  const keyId = (await sha256(concat(utf8(name), NEWLINE, material))).subarray(0, 4);
  if (id !== toHex(keyId)) throw refuse(`has key id ${toHex(keyId)}: name, id and key do not belong together`);
  return { name, algorithm: material[0], publicKey: material.subarray(1), keyId };
}

/** A note's `text` (with its last newline) and `signatures`, verified by nobody yet; throws `VerificationError`. */
export function parseNote(data, where = "the note") {
  if (data.length > MAX_NOTE_BYTES) throw malformed(where, `is larger than ${MAX_NOTE_BYTES} bytes`);
  const whole = fromUtf8(data);
  if (whole === null) throw malformed(where, "is not UTF-8");
  if (CONTROL.test(whole)) throw malformed(where, "has a control character other than the newline (LF)");
  const blank = whole.lastIndexOf("\n\n");
  if (blank < 0) throw malformed(where, "has no blank line before its signatures");
  return { text: whole.slice(0, blank + 1), signatures: parseSignatureLines(whole.slice(blank + 2), where) };
}

function parseSignatureLines(block, where) {
  if (!block.endsWith("\n")) throw malformed(where, "does not end in a signature line with a newline");
  const lines = block.slice(0, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) throw malformed(where, `has more than ${MAX_SIGNATURES} signatures`);
  const signatures = lines.map((line) => signatureLine(line, where));
  const owners = new Set(signatures.map(({ name, keyId }) => `${toHex(keyId)} ${name}`));
  if (owners.size !== signatures.length) throw malformed(where, "has two signature lines of one key");
  return signatures;
}

function signatureLine(line, where) {
  const parts = line.split(" ");
  if (parts.length !== 3 || parts[0] !== "—" || !isName(parts[1])) {
    throw malformed(where, "has a signature line that is not '— name base64'");
  }
  let raw;
  try {
    raw = fromBase64(parts[2]);
  } catch (fault) {
    throw malformed(where, `has a signature that ${fault.message}`);
  }
  if (raw.length < 5) throw malformed(where, "has a signature that is too short");
  return { name: parts[1], keyId: raw.subarray(0, 4), signature: raw.subarray(4) };
}

/** The signature line under `key`'s name and id, not yet verified; undefined if there is none. */
export function findSignature(note, key) {
  return note.signatures.find((line) => line.name === key.name && equal(line.keyId, key.keyId));
}

/** Check that `key` itself signed `note`; throws `VerificationError` if its line is missing or false. */
export async function verifyNote(note, key, where = "the note") {
  const line = findSignature(note, key);
  if (line === undefined) {
    throw untrue(where, `is not signed by ${key.name} with the expected key (id ${toHex(key.keyId)})`);
  }
  if (key.algorithm !== ED25519 || !(await verifyEd25519(key.publicKey, line.signature, utf8(note.text)))) {
    throw untrue(where, `carries a false signature in the name of ${key.name}`);
  }
}

/** Check that `line` is `key`'s cosignature/v1 over `text`; gives its time (Unix seconds, a BigInt). */
export async function verifyCosignature(text, line, key, where = "the note") {
  const time = BigInt(`0x${toHex(line.signature.subarray(0, 8))}`);
  if (
    key.algorithm !== COSIGNATURE_V1 ||
    !(0n < time && time < 2n ** 63n) ||
    !(await verifyEd25519(key.publicKey, line.signature.subarray(8), utf8(`cosignature/v1\ntime ${time}\n${text}`)))
  ) {
    throw untrue(where, `carries a false cosignature in the name of witness ${key.name}`);
  }
  return time;
}

function malformed(where, detail) {
  return new VerificationError(`${where}: ${detail}`, {
    code: "malformed-note",
    reason: "A note that two readers could split differently could be signed as one text and read as another.",
    advice: "Fetch the file again, byte for byte (no editor, no text-mode transfer).",
  });
}

function untrue(where, detail) {
  return new VerificationError(`${where}: ${detail}`, {
    code: "note-signature",
    reason: "Only the log's own key, and witnesses that you chose, can vouch for a checkpoint.",
    advice: "Compare the vkeys in your trust file with their owners'; if they agree, keep this file as evidence.",
  });
}
