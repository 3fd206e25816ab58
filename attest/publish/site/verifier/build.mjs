// SPDX-License-Identifier: GPL-3.0-or-later
// Makes the verifier page, attest/publish/site/templates/verify.html, from the modules beside this file: one file that
// loads nothing, byte for byte the same on every machine, and its digest, docs/verify-page.sha256.
//
//   node attest/publish/site/verifier/build.mjs           write both
//   node attest/publish/site/verifier/build.mjs --check   make them again and compare with what is committed
//
// Needs `npm ci` in the repository's root (the versions are pinned in package.json).

import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ESBUILD = "0.28.2";
const CURVES = "2.4.0";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..", "..");
const require = createRequire(import.meta.url);
const PAGE = join(root, "attest", "publish", "site", "templates", "verify.html");
const DIGEST = join(root, "docs", "verify-page.sha256");

function fail(message) {
  console.error(`build.mjs: ${message}`);
  process.exit(1);
}

function packageOf(name) {
  const path = join(root, "node_modules", name, "package.json");
  if (!existsSync(path)) fail(`${name} is not installed: run \`npm ci\` in the repository's root`);
  return JSON.parse(readFileSync(path, "utf8"));
}

function expectVersion(name, wanted) {
  const found = packageOf(name).version;
  if (found !== wanted) fail(`${name} is ${found}, not ${wanted}: run \`npm ci\`, or the page would differ`);
}

/** One script without imports, in the order of the modules; not minified, so that it can be read in the page. */
function bundle() {
  const built = require("esbuild").buildSync({
    absWorkingDir: root,
    entryPoints: [join(here, "page.js")],
    bundle: true,
    charset: "utf8",
    format: "iife",
    legalComments: "none", // the licence stands in the page's head, whole
    target: "es2022",
    write: false,
  });
  if (built.warnings.length > 0) fail(built.warnings.map((warning) => warning.text).join("\n"));
  return built.outputFiles[0].text;
}

/** A source expression of the content security policy (CSP level 3, "hash-source"). */
function source(text) {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

function page() {
  expectVersion("esbuild", ESBUILD);
  expectVersion("@noble/curves", CURVES);
  const part = (name) => readFileSync(join(here, name), "utf8").trim();
  const script = bundle().trim();
  const style = part("page.css");
  if (/<\/(script|style)|<!--/i.test(script + style)) fail("the script or style would end within itself");
  const licences = ["@noble/curves", "@noble/hashes"].map((name) => {
    const licence = readFileSync(join(root, "node_modules", name, "LICENSE"), "utf8").trim();
    if (licence.includes("--")) fail(`the licence of ${name} does not fit a comment`);
    return `${name} ${packageOf(name).version}\n\n${licence}`;
  });
  const values = {
    licences: licences.join("\n\n"),
    policy: [
      "default-src 'none'",
      `script-src ${source(script)}`,
      `style-src ${source(style)}`,
      "img-src data:",
      "connect-src 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "require-trusted-types-for 'script'",
    ].join("; "),
    style,
    script,
  };
  return `${part("page.html").replace(/{{(\w+)}}/g, (_, name) => values[name])}\n`;
}

const options = process.argv.slice(2);
if (options.some((option) => option !== "--check")) fail("usage: node build.mjs [--check]");
const html = page();
const sha256 = createHash("sha256").update(html).digest("hex");
const written = [
  [PAGE, html],
  [DIGEST, `${sha256}  verify.html\n`],
];
if (options.includes("--check")) {
  const stale = written.filter(([path, text]) => !existsSync(path) || readFileSync(path, "utf8") !== text);
  const names = stale.map(([path]) => relative(root, path)).join(" and ");
  if (names) fail(`${names}: not what the sources make. Run \`make format\` and commit the result.`);
  console.log(`verify.html is what its sources make (${sha256}).`);
} else {
  for (const [path, text] of written) writeFileSync(path, text);
  console.log(`Wrote verify.html, ${html.length} characters, sha256 ${sha256}.`);
}
