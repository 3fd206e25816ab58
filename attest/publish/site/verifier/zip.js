// SPDX-License-Identifier: GPL-3.0-or-later
// A zip as a stranger's: only the plainest form is read, so that every reader sees the same files. No zip64, no
// comment, nothing encrypted, no links, each name once, no way out of the folder, no bytes used twice, bounded sizes.

import { fromUtf8 } from "./bytes.js";
import { VerificationError, cut, repr } from "./errors.js";

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 0x1 | 0x40 | 0x2000;
const LINK = 0o120000;
const KIND = 0o170000;
const ZIP64 = 0xffffffff;

/** Whether the bytes are a zip's, by their beginning. */
export function isZip(data) {
  return data[0] === 0x50 && data[1] === 0x4b && (data[2] === 3 || data[2] === 5);
}

/**
 * The files of a zip by their path. `maxFiles`, `maxBytes`: of all files together. Throws `VerificationError` naming
 * `where` for anything but a plain zip.
 */
export async function unzip(data, where, { maxFiles, maxBytes }) {
  const refuse = (detail) =>
    new VerificationError(`${where}: ${detail}`, {
      code: "zip-refused",
      reason: "An archive that two programs could unpack differently could show each reader another bundle.",
      advice: "Make a plain zip of the folder again (`zip -r bundle.zip 2026-W47`), or give the folder itself.",
    });
  const entries = directory(data, refuse, maxFiles);
  if (entries.reduce((sum, entry) => sum + entry.size, 0) > maxBytes) {
    throw refuse(`unpacks to more than ${maxBytes} bytes`);
  }
  const files = new Map();
  let used = 0;
  for (const entry of entries.sort((one, other) => one.offset - other.offset)) {
    const { start, end } = content(data, entry, refuse);
    if (entry.offset < used) throw refuse(`${repr(entry.name)} overlaps another file`);
    used = end;
    if (entry.name.endsWith("/")) continue;
    const packed = data.subarray(start, end);
    const bytes = entry.method === STORED ? packed : await inflate(packed, entry, refuse);
    if (bytes.length !== entry.size || crc32(bytes) !== entry.crc) {
      throw refuse(`${repr(entry.name)} is damaged: its size or checksum differs`);
    }
    files.set(entry.name, bytes);
  }
  return files;
}

/** The central directory's entries. */
function directory(data, refuse, maxFiles) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const end = data.length - END_BYTES;
  if (end < 0 || view.getUint32(end, true) !== END) throw refuse("does not end as a zip without a comment does");
  const [disk, firstDisk, here, count] = [4, 6, 8, 10].map((at) => view.getUint16(end + at, true));
  const [size, offset] = [12, 16].map((at) => view.getUint32(end + at, true));
  if (disk !== 0 || firstDisk !== 0 || here !== count) throw refuse("is one part of several");
  if (count > maxFiles) throw refuse(`has more than ${maxFiles} files`);
  if (offset + size !== end) throw refuse("has something beside its files and their directory");
  const entries = [];
  const names = new Set();
  let at = offset;
  while (entries.length < count) {
    if (at + 46 > end || view.getUint32(at, true) !== CENTRAL) throw refuse("has a broken directory");
    const [flags, method] = [8, 10].map((place) => view.getUint16(at + place, true));
    const words = [16, 20, 24, 38, 42].map((place) => view.getUint32(at + place, true));
    const [crc, packed, size, attributes, local] = words;
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const name = fromUtf8(data.subarray(at + 46, at + 46 + nameBytes));
    at += 46 + nameBytes + extraBytes + commentBytes;
    if (name === null || !isPlainPath(name)) throw refuse(`has a file named ${repr(cut(name ?? "?", 200))}`);
    if (names.has(name.toLowerCase())) throw refuse(`has ${repr(name)} twice`);
    names.add(name.toLowerCase());
    if (flags & ENCRYPTED) throw refuse(`${repr(name)} is encrypted`);
    if (method !== STORED && method !== DEFLATED) throw refuse(`${repr(name)} is packed by method ${method}`);
    if ([packed, size, local].includes(ZIP64)) throw refuse("is of the form for very large files (zip64)");
    if (((attributes >>> 16) & KIND) === LINK) throw refuse(`${repr(name)} is a link`);
    if (name.endsWith("/") && size > 0) throw refuse(`${repr(name)} is a folder with content`);
    entries.push({ name, method, crc, packed, size, offset: local, limit: offset });
  }
  if (at !== end) throw refuse("has a broken directory");
  return entries;
}

/** A path below the archive's own folder, of characters that every system takes for the same. */
function isPlainPath(name) {
  return (
    /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*)*\/?$/.test(name) && name.length <= 512
  );
}

/** Where an entry's packed bytes lie, once its local header says the same as the directory. */
function content(data, entry, refuse) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const { offset, name } = entry;
  if (offset + 30 > entry.limit || view.getUint32(offset, true) !== LOCAL) {
    throw refuse(`${repr(name)} is not where it should be`);
  }
  const [nameBytes, extraBytes] = [26, 28].map((at) => view.getUint16(offset + at, true));
  const start = offset + 30 + nameBytes + extraBytes;
  const end = start + entry.packed;
  if (end > entry.limit || fromUtf8(data.subarray(offset + 30, offset + 30 + nameBytes)) !== name) {
    throw refuse(`${repr(name)} is named otherwise, or does not end, where its bytes lie`);
  }
  if (view.getUint16(offset + 8, true) !== entry.method) throw refuse(`${repr(name)} is packed in two ways`);
  return { start, end };
}

/** Inflates no further than the size that the directory gives. */
async function inflate(packed, entry, refuse) {
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const bytes = new Uint8Array(entry.size);
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return bytes.subarray(0, length);
      if (length + value.length > entry.size) {
        await reader.cancel();
        break;
      }
      bytes.set(value, length);
      length += value.length;
    }
  } catch {
    throw refuse(`${repr(entry.name)} cannot be unpacked`);
  }
  throw refuse(`${repr(entry.name)} unpacks to more than it says`);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ CRC_TABLE[(value ^ byte) & 0xff];
  return (value ^ 0xffffffff) >>> 0;
}
