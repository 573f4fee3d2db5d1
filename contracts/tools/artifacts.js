#!/usr/bin/env node
// Keeps artifacts/ (ABI and bytecode, committed, read by the Rust crate) equal to what the sources compile to.
//   write   copies from out/ into artifacts/; run `forge build` first
//   check   rebuilds and compares; exit code 1 names every file that differs
"use strict";
const fs = require("fs");
const path = require("path");
const { ROOT, forge } = require("./forge");

/** The contracts that Rust deploys: on a chain, and the harnesses in its tests. */
const NAMES = ["Binary32Harness", "SwarmCoordinator", "SwarmStake", "TestToken", "TileTreeHarness"];

const fileOf = (name) => path.join(ROOT, "artifacts", `${name}.json`);

/** What is committed of a compiled contract, as text. */
function render(name) {
  const built = path.join(ROOT, "out", `${name}.sol`, `${name}.json`);
  const { abi, bytecode, deployedBytecode } = JSON.parse(fs.readFileSync(built, "utf8"));
  if (!/^0x[0-9a-f]+$/.test(bytecode?.object ?? "")) {
    throw new Error(`out/ has no linked bytecode of ${name}: is it abstract? Or was forge lint run there? Then delete out/.`);
  }
  const artifact = {
    contractName: name,
    abi,
    bytecode: { object: bytecode.object },
    deployedBytecode: { object: deployedBytecode.object },
  };
  return `${JSON.stringify(artifact, null, 2)}\n`;
}

function write() {
  fs.mkdirSync(path.join(ROOT, "artifacts"), { recursive: true });
  for (const name of NAMES) fs.writeFileSync(fileOf(name), render(name));
}

/** Names of the artifacts that are absent or not what the sources compile to, and of files that belong to no contract. */
function differences() {
  const read = (file) => (fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "");
  const stale = NAMES.filter((name) => read(fileOf(name)) !== render(name)).map((name) => `${name}.json differs`);
  const expected = new Set(NAMES.map((name) => `${name}.json`));
  const extra = fs.readdirSync(path.join(ROOT, "artifacts")).filter((file) => !expected.has(file));
  return [...stale, ...extra.map((file) => `${file} belongs to no contract in tools/artifacts.js`)];
}

function check() {
  if (forge(["build"]).status !== 0) throw new Error("forge build failed");
  const found = differences();
  if (found.length > 0) throw new Error(`artifacts/: ${found.join("; ")}. Run \`npm run build\` and commit the result.`);
}

const actions = { write, check };
const action = actions[process.argv[2]];
try {
  if (!action) throw new Error(`usage: artifacts.js ${Object.keys(actions).join("|")}`);
  action();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
