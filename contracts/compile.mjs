// SPDX-License-Identifier: GPL-3.0-or-later
// Compiles the contracts beside this file into attest/chain/artifacts/, byte for byte the same on every machine.
//
//   node contracts/compile.mjs           write the artifacts
//   node contracts/compile.mjs --check   compile again and compare with what is committed; exit 1 if they differ
//
// Needs `npm ci` in the repository's root (the versions are pinned in package.json).

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SOLC = "0.8.37";
const OPENZEPPELIN = "5.4.0"; // later ones need cancun for EnumerableSet
const CONTRACTS = [
  "AttestationRegistry",
  "BridgeEscrowVault",
  "BridgeRegistry",
  "ComplianceGuard",
  "Ledger",
  "Liquidation",
  "MintController",
  "PracticeMultisig",
  "PracticeVenue",
  "ReserveOracle",
  "Stabilizer",
  "WToken",
  "XAUOracle",
];

const here = dirname(fileURLToPath(import.meta.url));
const artifacts = join(here, "..", "attest", "chain", "artifacts");
const require = createRequire(import.meta.url);

function fail(message) {
  console.error(`contracts/compile.mjs: ${message}`);
  process.exit(1);
}

function load(name) {
  try {
    return require(name);
  } catch (fault) {
    if (fault.code === "MODULE_NOT_FOUND") fail(`${name} is not installed: run \`npm ci\` in the repository's root`);
    throw fault;
  }
}

function expectVersion(name, found, wanted) {
  if (found !== wanted) fail(`${name} is ${found}, not ${wanted}: run \`npm ci\`, or the bytecode would differ`);
}

/** The compiler's import callback: names as the sources write them, so that no path of this machine is compiled in. */
function read(name) {
  try {
    const path = name.startsWith("@openzeppelin/") ? require.resolve(name) : join(here, name);
    return { contents: readFileSync(path, "utf8") };
  } catch (fault) {
    return { error: fault.message };
  }
}

function compile() {
  const solc = load("solc");
  expectVersion("solc", solc.version().split("+")[0], SOLC);
  expectVersion("@openzeppelin/contracts", load("@openzeppelin/contracts/package.json").version, OPENZEPPELIN);
  const settings = {
    evmVersion: "london",
    optimizer: { enabled: true, runs: 200 },
    // No metadata behind the code: the code depends on the code alone, and is compared whole.
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: {
      "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"] },
    },
  };
  const sources = Object.fromEntries(CONTRACTS.map((name) => [`${name}.sol`, { content: read(`${name}.sol`).contents }]));
  const input = JSON.stringify({ language: "Solidity", sources, settings });
  const output = JSON.parse(solc.compile(input, { import: read }));
  // Warnings count, but for those about a pinned dependency.
  const faults = (output.errors ?? []).filter(
    (fault) => fault.severity === "error" || !fault.sourceLocation?.file.startsWith("@openzeppelin/"),
  );
  if (faults.length > 0) fail(`the compiler complains:\n${faults.map((fault) => fault.formattedMessage).join("\n")}`);
  return CONTRACTS.map((name) => [`${name}.json`, artifact(name, output.contracts[`${name}.sol`][name], settings)]);
}

function artifact(name, contract, settings) {
  const { abi, evm, storageLayout } = contract;
  const place = ({ slot, offset, type }) => ({ slot, offset, bytes: Number(storageLayout.types[type].numberOfBytes) });
  const places = (variables) =>
    Object.fromEntries(variables.map((variable) => [variable.label, place({ ...variable, slot: Number(variable.slot) })]));
  // Type identifiers carry the compiler's internal numbers; the structs' names do not.
  const structs = Object.values(storageLayout.types)
    .filter((type) => type.members)
    .map((type) => [type.label.replace(/^struct /, ""), places(type.members)])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const record = {
    contractName: name,
    compiler: { solc: SOLC, openzeppelin: OPENZEPPELIN, evmVersion: settings.evmVersion, runs: settings.optimizer.runs },
    abi,
    bytecode: `0x${evm.bytecode.object}`,
    deployedBytecode: `0x${evm.deployedBytecode.object}`,
    storage: places(storageLayout.storage),
    structs: Object.fromEntries(structs),
  };
  return `${JSON.stringify(record, null, 1)}\n`;
}

function check(built) {
  const expected = new Map(built);
  const committed = existsSync(artifacts) ? readdirSync(artifacts).filter((name) => name.endsWith(".json")) : [];
  const faults = committed.filter((name) => !expected.has(name)).map((name) => `${name} belongs to no contract`);
  for (const [name, text] of expected) {
    if (!committed.includes(name)) faults.push(`${name} is missing`);
    else if (readFileSync(join(artifacts, name), "utf8") !== text) faults.push(`${name} is not what the sources compile to`);
  }
  if (faults.length > 0) fail(`${faults.join("; ")}. Run \`node contracts/compile.mjs\` and commit the result.`);
  console.log(`${expected.size} artifacts are what the sources compile to (solc ${SOLC}).`);
}

function write(built) {
  mkdirSync(artifacts, { recursive: true });
  for (const [name, text] of built) writeFileSync(join(artifacts, name), text);
  console.log(`Wrote ${built.map(([name]) => name).join(", ")} (solc ${SOLC}).`);
}

const options = process.argv.slice(2);
if (options.some((option) => option !== "--check")) fail("usage: node contracts/compile.mjs [--check]");
if (options.includes("--check")) check(compile());
else write(compile());
