// SPDX-License-Identifier: GPL-3.0-or-later
// What somebody gave to be verified, told apart: bundles, a proof, leaves, an earlier checkpoint, a log's files. Only
// where things belong is decided here; whether they hold is the checks' to say.

import { ENVELOPE } from "./bundle.js";
import { fromUtf8 } from "./bytes.js";
import { VerificationError, repr } from "./errors.js";
import { isZip, unzip } from "./zip.js";

/** Enough for a public store of ten years; a browser holds it in memory. */
const MAX_FILES = 8192;
const MAX_BYTES = 512 * (1 << 20);
/** Where a format's name stands in its file. */
const HEAD_BYTES = 256;

/**
 * The bytes of `found` (`{path, file}`, the file a `Blob`), zips unpacked, as a Map from path to bytes. Throws
 * `VerificationError` for too many files, too large ones, and zips that are not plain.
 */
export async function readFiles(found) {
  const size = found.reduce((sum, { file }) => sum + file.size, 0);
  if (found.length > MAX_FILES || size > MAX_BYTES) throw tooMuch();
  const files = new Map();
  let left = MAX_BYTES - size;
  for (const { path, file } of found) {
    const data = new Uint8Array(await file.arrayBuffer());
    const packed = isZip(data);
    const inside = packed ? await unzip(data, repr(path), { maxFiles: MAX_FILES, maxBytes: left }) : [[path, data]];
    for (const [name, bytes] of inside) {
      if (files.has(name)) throw twice(name);
      files.set(name, bytes);
      if (packed) left -= bytes.length;
    }
  }
  if (files.size > MAX_FILES) throw tooMuch();
  return files;
}

function tooMuch() {
  return new VerificationError(`this is more than ${MAX_FILES} files or ${MAX_BYTES} bytes`, {
    code: "too-much",
    reason: "A bundle is a dozen small files, and this page holds all of them in memory.",
    advice: "Give one attestation's folder, and the folder log if you have it.",
  });
}

function twice(name) {
  return new VerificationError(`there are two files ${repr(name)}`, {
    code: "file-twice",
    reason: "Only one of them can be checked, and which one would be chance.",
    advice: "Clear what was given, and give one attestation's folder.",
  });
}

/**
 * `{bundles, proof, leaves, since, log, trust, unused}`: bundles are `{folder, files}` with files by their name, newest
 * folder first; the others are `{path, data}` or null; `log` is `{folder, files}` or null; `trust` are the paths of
 * trust files, which vouch for themselves here; `unused` are the paths that are for nothing.
 */
export function sortOut(files) {
  const sorted = { bundles: [], proof: null, leaves: null, since: null, log: null, trust: [], unused: [] };
  const rest = new Map(files);
  const take = (folder) => {
    const inside = new Map();
    for (const [path, data] of rest) {
      if (!path.startsWith(folder)) continue;
      inside.set(path.slice(folder.length), data);
      rest.delete(path);
    }
    return inside;
  };
  // A log is known by its tiles: its folder is what stands before them.
  const logs = [...rest.keys()].map((path) => /^(.*?)tile\/(?:[0-9]+|entries)\/[x0-9]/.exec(path)?.[1]);
  const [logFolder] = logs.filter((folder) => folder !== undefined);
  if (logFolder !== undefined) {
    const tiles = new Map();
    for (const [path, data] of rest) {
      const name = path.startsWith(logFolder) ? path.slice(logFolder.length) : "";
      if (!/^(?:tile\/|checkpoint$|checkpoints\/|cosignatures\/)/.test(name)) continue;
      tiles.set(name, data);
      rest.delete(path);
    }
    sorted.log = { folder: logFolder, files: tiles };
  }
  // All that lies in a bundle's folder is the bundle's; files given one by one lie in none.
  const inBundle = (path) => path.includes("/") && rest.has(path.slice(0, path.lastIndexOf("/") + 1) + ENVELOPE);
  for (const [path, data] of rest) {
    const kind = inBundle(path) ? null : kindOf(data);
    if (kind === "trust") sorted.trust.push(path);
    else if (kind !== null && sorted[kind] === null) sorted[kind] = { path, data };
    else continue;
    rest.delete(path);
  }
  const folders = [...rest.keys()].filter((path) => path === ENVELOPE || path.endsWith(`/${ENVELOPE}`));
  for (const path of folders.sort().reverse()) {
    const folder = path.slice(0, -ENVELOPE.length);
    if (rest.has(path)) sorted.bundles.push({ folder, files: take(folder) });
  }
  sorted.unused.push(...rest.keys());
  return sorted;
}

/** What a file says that it is, if that is something with a place of its own. */
export function kindOf(data) {
  const head = fromUtf8(data.subarray(0, HEAD_BYTES).filter((byte) => byte < 0x80));
  if (/"attest-trust\/1"/.test(head)) return "trust";
  if (/"attest-inclusion-proof\/1"/.test(head)) return "proof";
  if (/"attest-leaves\/1"/.test(head)) return "leaves";
  if (/^[^\n]+\n[0-9]+\n[A-Za-z0-9+/]{43}=\n\n/.test(head)) return "since";
  return null;
}
