// SPDX-License-Identifier: GPL-3.0-or-later
// Building the page. Foreign text only ever becomes a text node, with what does not print spelled out.

import { printable } from "./errors.js";

const SVG = "http://www.w3.org/2000/svg";
const MARKS = {
  pass: "M10.6 2.1 4.7 9.9 1.3 6.8l1.1-1.3 2 1.8L9 1z",
  fail: "M2.1.9 6 4.8 9.9.9l1.2 1.2L7.2 6l3.9 3.9-1.2 1.2L6 7.2l-3.9 3.9L.9 9.9 4.8 6 .9 2.1z",
  skipped: "M1 5h10v2H1z",
  sufficient: "M6 1a5 5 0 1 0 .001 0z",
  short: "M.5 1.5h11L6 11.5z",
  withheld: "M6 1a5 5 0 1 0 .001 0zM6 2.6a3.4 3.4 0 1 1-.001 0z",
  stale: "M6 1a5 5 0 1 0 .001 0zM6 2.6a3.4 3.4 0 0 1 0 6.8z",
};
/** What a state is shown as; the marks of token states are the dashboard's. */
const SHOWN = {
  pass: ["pass", "passed"],
  fail: ["fail", "failed"],
  skipped: ["skipped", "not checked"],
  short: ["short", "short"],
  withheld: ["withheld", "withheld"],
  sufficient: ["sufficient", "sufficient"],
  stale: ["stale", "stale"],
  unproven: ["fail", "unproven"],
  included: ["pass", "included"],
  yes: ["pass", "yes"],
  no: ["fail", "no"],
  unknown: ["skipped", "unknown"],
};

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null) element.append(typeof child === "string" ? printable(child) : child);
  }
  return element;
}

/** An HTML element; children are elements, texts or null, also in lists. */
export function html(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

/** A state: mark and word, never colour alone. */
export function badge(state) {
  const [mark, word] = SHOWN[state];
  const shape = svg("path", { d: MARKS[mark] });
  const drawing = svg("svg", { class: "mark", viewBox: "0 0 12 12", "aria-hidden": "true" }, shape);
  return html("span", { class: `state ${mark}` }, drawing, word);
}

/** Prose in which what stands between backticks is for a computer. */
export function prose(text) {
  return text.split("`").map((part, n) => (n % 2 === 1 ? html("code", {}, part) : part));
}

/** Text as it is, line ends included. */
export function lines(text) {
  return text.split("\n").flatMap((line, n) => (n === 0 ? [line] : [html("br"), line]));
}
