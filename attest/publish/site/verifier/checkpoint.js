// SPDX-License-Identifier: GPL-3.0-or-later
// Checkpoints (C2SP tlog-checkpoint) and log proofs (C2SP tlog-proof): attest/log/checkpoint.py and proof.py.

import { fromBase64, fromUtf8, toHex } from "./bytes.js";
import { VerificationError, cut, repr } from "./errors.js";
import { leafHash, verifyInclusion } from "./merkle.js";
import { MAX_NOTE_BYTES, findSignature, parseNote, verifyCosignature, verifyNote } from "./note.js";

const HEADER = "c2sp.org/tlog-proof@v1";

/**
 * `{origin, size, root}` of a checkpoint's text: exactly three lines, the size a BigInt. Throws `VerificationError`
 * naming `where`.
 */
export function parseCheckpoint(text, where = "the checkpoint") {
  const lines = text.split("\n");
  if (lines.length !== 4 || lines[3] !== "" || lines[0] === "") {
    throw malformedCheckpoint(where, "is not exactly three lines: origin, size, root");
  }
  const size = parseSize(lines[1]);
  if (size === null) {
    throw malformedCheckpoint(where, `has a size that is no plain decimal number: ${repr(cut(lines[1], 40))}`);
  }
  let root;
  try {
    root = fromBase64(lines[2]);
  } catch (fault) {
    throw malformedCheckpoint(where, `has a root that ${fault.message}`);
  }
  if (root.length !== 32) throw malformedCheckpoint(where, `has a root of ${root.length} bytes, not 32`);
  return { origin: lines[0], size, root };
}

/** A size or index as these formats spell it (ASCII decimal, below 2^63), a BigInt; null for anything else. */
function parseSize(text) {
  const size = /^(?:0|[1-9][0-9]{0,18})$/.test(text) ? BigInt(text) : null;
  return size !== null && size < 2n ** 63n ? size : null;
}

/** `{checkpoint, note}` that the log's own key signed; throws `VerificationError` naming `where`. */
export async function openCheckpoint(data, logKey, where = "the checkpoint") {
  const note = parseNote(data, where);
  const checkpoint = parseCheckpoint(note.text, where);
  if (checkpoint.origin !== logKey.name) {
    throw new VerificationError(`${where}: is of the log ${repr(checkpoint.origin)}, not of ${repr(logKey.name)}`, {
      code: "checkpoint-origin",
      reason: "A proof from another log says nothing about this one.",
      advice: "Fetch the checkpoint of the log that your trust file names.",
    });
  }
  await verifyNote(note, logKey, where);
  return { checkpoint, note };
}

/** `{witness, time}` for each of `keys` that cosigned, one for each public key; a false line throws. */
export async function verifyWitnesses(signed, keys, where = "the checkpoint") {
  const found = [];
  const counted = new Set();
  for (const key of keys) {
    const line = findSignature(signed.note, key);
    if (line === undefined || counted.has(toHex(key.publicKey))) continue;
    found.push({ witness: key.name, time: await verifyCosignature(signed.note.text, line, key, where) });
    counted.add(toHex(key.publicKey));
  }
  return found;
}

/** `{index, path, checkpoint}` of a proof file; its checkpoint's bytes are not parsed yet. */
export function parseLogProof(data, where = "the log proof") {
  if (data.length > MAX_NOTE_BYTES) throw malformedProof(where, `is larger than ${MAX_NOTE_BYTES} bytes`);
  const end = data.findIndex((byte, n) => byte === 10 && data[n + 1] === 10);
  const head = data.subarray(0, end < 0 ? data.length : end);
  if (head.some((byte) => byte >= 0x80)) {
    throw malformedProof(where, "has bytes other than ASCII before its checkpoint");
  }
  const lines = fromUtf8(head).split("\n");
  if (end < 0 || lines[0] !== HEADER) {
    throw malformedProof(where, `does not begin with '${HEADER}' or has no checkpoint after a blank line`);
  }
  const [, number] = /^index (.*)$/.exec(lines[1] ?? "") ?? [];
  const index = number === undefined ? null : parseSize(number);
  if (index === null) throw malformedProof(where, "has no line 'index <number>' in second place");
  try {
    return { index, path: lines.slice(2).map(fromBase64), checkpoint: data.subarray(end + 2) };
  } catch (fault) {
    throw malformedProof(where, `has a hash that ${fault.message}`);
  }
}

/** `{index, path, signed}` if `entry` (exact bytes) is in the log whose own key is `logKey`; else throws. */
export async function verifyLogProof(data, entry, logKey, where = "the log proof") {
  const { index, path, checkpoint } = parseLogProof(data, where);
  const signed = await openCheckpoint(checkpoint, logKey, where);
  const { size, root } = signed.checkpoint;
  await verifyInclusion(await leafHash(entry), index, size, path, root);
  return { index, path, signed };
}

function malformedCheckpoint(where, detail) {
  return new VerificationError(`${where}: ${detail}`, {
    code: "malformed-checkpoint",
    reason: "Size and root of the log must be readable in exactly one way.",
    advice: "Fetch the checkpoint again, byte for byte.",
  });
}

function malformedProof(where, detail) {
  return new VerificationError(`${where}: ${detail}`, {
    code: "malformed-log-proof",
    reason: "The proof must be readable in exactly one way.",
    advice: "Fetch the .tlog-proof file again, byte for byte.",
  });
}
