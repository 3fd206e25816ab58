// SPDX-License-Identifier: GPL-3.0-or-later
// The audit path as a tree: the root on top, this leaf at the bottom, and at every level the hash that the path came by
// beside the one that the proof gives.

import { toHex } from "./bytes.js";
import { html, svg } from "./dom.js";
import { counted } from "./statement.js";

const WIDTH = 320;
const COLUMNS = { left: 84, right: 236 };
const BOX = { width: 144, height: 26 };
const ROW = 68;
const SHOWN_DIGITS = 8;

let drawn = 0;

/**
 * A figure with the drawing and, as its text alternative, the same steps in words. `leaf`: the leaf's hash; `steps`: of
 * `merkle.climb`; `names`: what leaf and root are called; `signed`: the root to be reached, in hex.
 */
export function drawTree({ leaf, steps, names, signed }) {
  const computed = toHex(steps.at(-1)?.parent ?? leaf);
  const levels = steps.map((step, n) => ({
    ...step,
    y: 20 + (steps.length - n) * ROW,
  }));
  const height = 40 + steps.length * ROW;
  const label = `tree-${++drawn}`;
  const drawing = svg(
    "svg",
    { class: "tree", viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height, role: "img", "aria-labelledby": label },
    svg(
      "title",
      { id: label },
      `The way from ${names.leaf} up to ${names.root}, over ${counted(steps.length, "step")}; ` +
        "the list below says the same in words.",
    ),
  );
  levels.forEach((level, n) => {
    const above = levels[n + 1];
    const parent = above === undefined ? WIDTH / 2 : COLUMNS[above.own];
    // The way last, so that it lies on top where both lines meet.
    for (const side of level.own === "left" ? ["right", "left"] : ["left", "right"]) {
      const from = level.y - BOX.height / 2;
      const to = level.y - ROW + BOX.height / 2;
      const way = side === level.own ? "edge way" : "edge";
      drawing.append(svg("path", { class: way, d: `M${COLUMNS[side]} ${from}V${from - 14}H${parent}V${to}` }));
    }
  });
  levels.forEach((level, n) => {
    for (const side of ["left", "right"]) {
      const isOwn = side === level.own;
      const word = !isOwn ? "given" : n === 0 ? "leaf" : "computed";
      drawing.append(...box(COLUMNS[side], level.y, isOwn ? "way" : "given", toHex(level[side]), word));
    }
  });
  const root = computed === signed ? "root" : "root wrong";
  drawing.append(...box(WIDTH / 2, 20, `way ${root}`, computed, steps.length === 0 ? "leaf and root" : "root"));
  const verdict =
    computed === signed
      ? `This is ${names.root}: ${signed}.`
      : `This is not ${names.root}, which is ${signed}.`;
  return html(
    "figure",
    {},
    html(
      "figcaption",
      {},
      "From the leaf at the bottom to the root on top. Solid boxes are computed here, dashed ones are given by the " +
        "proof; every box is the SHA-256 of the two below it.",
    ),
    html("div", { class: "drawing" }, drawing),
    html(
      "details",
      {},
      html("summary", {}, "The same steps in words, with whole hashes"),
      html(
        "ol",
        { class: "steps" },
        html("li", {}, `Begin with ${names.leaf}: `, html("code", {}, toHex(leaf))),
        steps.map((step) => {
          const sibling = step.own === "left" ? step.right : step.left;
          const order = step.own === "left" ? "this hash, then the given" : "the given, then this hash";
          return html(
            "li",
            {},
            "Given: ",
            html("code", {}, toHex(sibling)),
            `. SHA-256 of the byte 01, ${order}: `,
            html("code", {}, toHex(step.parent)),
          );
        }),
        html("li", {}, verdict),
      ),
    ),
  );
}

function box(x, y, kind, hash, word) {
  const { width, height } = BOX;
  const outline = `M${x - width / 2} ${y - height / 2}h${width}v${height}h${-width}z`;
  return [
    svg("path", { class: `box ${kind}`, d: outline }),
    svg(
      "text",
      { x, y: y + 4, "text-anchor": "middle" },
      svg("tspan", { class: "hash" }, `${hash.slice(0, SHOWN_DIGITS)}…`),
      svg("tspan", { dx: 6 }, word),
    ),
  ];
}
