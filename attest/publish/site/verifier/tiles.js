// SPDX-License-Identifier: GPL-3.0-or-later
// A log's static files (C2SP tlog-tiles), read from outside (attest/log/tiles.py and reader.py).

import { equal, toHex } from "./bytes.js";
import { openCheckpoint } from "./checkpoint.js";
import { VerificationError } from "./errors.js";
import { leafHash, nodeHash, rootFromLeafHashes, verifyConsistency } from "./merkle.js";

const WIDTH = 256;
const HASH_BYTES = 32;

function tilePath(level, index, width) {
  return `tile/${level}/${numbered(index, width)}`;
}

function numbered(index, width) {
  const groups = [String(index % 1000).padStart(3, "0")];
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, "0")}`);
  }
  return groups.join("/") + (width === WIDTH ? "" : `.p/${width}`);
}

/** The log behind `files`, a Map from the path below its root to bytes; `where` names it in errors. */
export class LogFiles {
  constructor(files, where = "the log") {
    this.files = files;
    this.where = where;
    this.tiles = new Map();
  }

  /** The head that the log has now, signed by `key`; throws `VerificationError` if there is none, or it is false. */
  async newest(key) {
    return openCheckpoint(this.need("checkpoint"), key, `${this.where}/checkpoint`);
  }

  /** Check by the hash tiles that the checkpoint `now` extends `old`; throws `VerificationError`. */
  async checkConsistent(old, now) {
    const path =
      0n < old.size && old.size < now.size ? await this.consistencyPath(this.counted(old), this.counted(now)) : [];
    await verifyConsistency(old.size, old.root, now.size, now.root, path);
  }

  /** All entries under the checkpoint `head`, in order, once they were seen to lead to its root. */
  async entries(head) {
    const size = this.counted(head);
    const entries = [];
    for (let start = 0; start < size; start += WIDTH) {
      const width = Math.min(WIDTH, size - start);
      const { data, path, full } = this.partial("tile/entries/", start / WIDTH, width);
      entries.push(...parseEntries(data, full, `${this.where}/${path}`).slice(0, width));
    }
    const root = await rootFromLeafHashes(await Promise.all(entries.map(leafHash)));
    if (!equal(root, head.root)) {
      throw new VerificationError(
        `${this.where}: its ${head.size} entries lead to root ${toHex(root)}, the log signed ${toHex(head.root)}`,
        {
          code: "log-entries-differ",
          reason: "The entries shown are not those that the log committed to.",
          advice: "Keep both as evidence; fetch the log again, and compare with a mirror or a witness.",
        },
      );
    }
    return entries;
  }

  /** A head's size as a number; throws `VerificationError` for one that no files can have. */
  counted({ size }) {
    if (size <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(size);
    throw malformed(this.where, `cannot have ${size} entries`);
  }

  /** The file of so many items, or the full one that a mirror may keep instead: then `full` is its own width. */
  partial(kind, index, width) {
    const path = kind + numbered(index, width);
    const data = this.files.get(path);
    if (data !== undefined || width === WIDTH) return { data: this.need(path), path, full: width };
    const whole = kind + numbered(index, WIDTH);
    return { data: this.need(whole), path: whole, full: WIDTH };
  }

  need(path) {
    const data = this.files.get(path);
    if (data !== undefined) return data;
    throw new VerificationError(`${this.where}: ${path} is missing`, {
      code: "log-file-missing",
      reason: "A transparency log is its files; without this one it cannot be checked.",
      advice: "Name the log's own folder or address (it holds `checkpoint` and `tile/`), or a mirror of it.",
    });
  }

  tile(level, index, width) {
    const key = tilePath(level, index, width);
    if (!this.tiles.has(key)) {
      const { data, path, full } = this.partial(`tile/${level}/`, index, width);
      if (data.length !== full * HASH_BYTES) {
        throw malformed(`${this.where}/${path}`, `has ${data.length} bytes; ${full} hashes take ${full * HASH_BYTES}`);
      }
      const hashes = Array.from({ length: width }, (_, n) => data.subarray(n * HASH_BYTES, (n + 1) * HASH_BYTES));
      this.tiles.set(key, hashes);
    }
    return this.tiles.get(key);
  }

  /** The path from the first `oldSize` entries to all `size` (RFC 9162 section 2.1.4.1). */
  async consistencyPath(oldSize, size) {
    let [start, end] = [0, size];
    const path = [];
    while (oldSize < end) {
      const middle = start + largestPowerBelow(end - start);
      if (oldSize <= middle) {
        path.push(await this.range(middle, end, size));
        end = middle;
      } else {
        path.push(await this.range(start, middle, size));
        start = middle;
      }
    }
    if (start > 0) path.push(await this.range(start, end, size)); // else the verifier has that root
    return path.reverse();
  }

  /** The root of entries start..end, which begin at a multiple of their largest perfect subtree. */
  async range(start, end, size) {
    let root = null;
    while (start < end) {
      let width = 1;
      while ((end - start) % (2 * width) === 0) width *= 2;
      const left = await this.perfect(end - width, width, size);
      root = root === null ? left : await nodeHash(left, root);
      end -= width;
    }
    return root;
  }

  perfect(start, width, size) {
    const height = Math.log2(width);
    const level = Math.floor(height / 8);
    const below = WIDTH ** level;
    const first = start / below;
    const index = Math.floor(first / WIDTH);
    const available = Math.floor(size / below) - index * WIDTH;
    const hashes = this.tile(level, index, Math.min(available, WIDTH));
    return rootFromLeafHashes(hashes.slice(first % WIDTH, (first % WIDTH) + 2 ** (height % 8)));
  }
}

function largestPowerBelow(width) {
  let power = 1;
  while (2 * power < width) power *= 2;
  return power;
}

/** `u16be(len) || entry`, repeated: exactly `width` of them, or `VerificationError`. */
function parseEntries(data, width, where) {
  const entries = [];
  let start = 0;
  while (start < data.length) {
    const end = start + 2 + data[start] * 256 + (data[start + 1] ?? 0);
    if (start + 2 > data.length || end > data.length) throw malformed(where, "ends within an entry");
    entries.push(data.subarray(start + 2, end));
    start = end;
  }
  if (entries.length !== width) throw malformed(where, `has ${entries.length} entries, not ${width}`);
  return entries;
}

function malformed(where, detail) {
  return new VerificationError(`${where}: ${detail}`, {
    code: "malformed-tile",
    reason: "A tile or entry bundle has exactly one form for each size of the log.",
    advice: "Fetch the file again; if it is unchanged, tell the log's operator.",
  });
}
