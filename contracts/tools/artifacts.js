#!/usr/bin/env node
// Keeps artifacts/ (ABI and bytecode, committed, read by the Rust crate) equal to what the sources compile to.
//   write [NAME...]   compiles and rewrites artifacts/, or those of the contracts named
//   check             compiles and compares; exit code 1 names every file that differs
//
// Each contract is compiled alone, from nothing: the optimizer's choices depend on everything that is compiled with it, so a
// build of the whole project would give other bytecode whenever an unrelated file or test comes or goes.
"use strict";
const fs = require("fs");
const path = require("path");
const { ROOT, forge } = require("./forge");

/** The contracts that Rust deploys, by source: on a chain, and the harnesses in its tests. */
const SOURCES = [
  "src/JobEscrow.sol",
  "src/SwarmMembers.sol",
  "src/SwarmRewards.sol",
  "src/SwarmSlasher.sol",
  "src/Referee.sol",
  "src/GameRules.sol",
  "src/DisputeGame.sol",
  "src/dev/TestToken.sol",
  "test/harness/Binary32Harness.sol",
  "test/harness/TileTreeHarness.sol",
];

const FOLDER = path.join(ROOT, "artifacts");
const BUILD = path.join("cache", "artifacts");

/** Compiles `source`; what is committed of it: { file, text }. */
function compile(source) {
  const name = path.basename(source, ".sol");
  const folder = path.join(BUILD, name);
  const env = { ...process.env, FOUNDRY_OUT: path.join(folder, "out"), FOUNDRY_CACHE_PATH: path.join(folder, "cache") };
  const stdio = ["ignore", "ignore", "inherit"];
  if (forge(["build", "--force", source], { env, stdio }).status !== 0) throw new Error(`${source} does not compile`);
  const built = path.join(ROOT, env.FOUNDRY_OUT, `${name}.sol`, `${name}.json`);
  return { file: `${name}.json`, text: render(name, JSON.parse(fs.readFileSync(built, "utf8"))) };
}

function render(name, { abi, bytecode, deployedBytecode }) {
  if (!/^0x[0-9a-f]+$/.test(bytecode?.object ?? "")) throw new Error(`${name} has no linked bytecode: is it abstract?`);
  const artifact = {
    contractName: name,
    abi,
    bytecode: { object: bytecode.object },
    deployedBytecode: { object: deployedBytecode.object },
  };
  return `${JSON.stringify(artifact, null, 2)}\n`;
}

function write(names) {
  fs.mkdirSync(FOLDER, { recursive: true });
  const named = (source) => names.length === 0 || names.includes(path.basename(source, ".sol"));
  for (const { file, text } of SOURCES.filter(named).map(compile)) fs.writeFileSync(path.join(FOLDER, file), text);
}

/** What is wrong with artifacts/: absent or stale files, and files that belong to no contract. */
function differences() {
  const built = new Map(SOURCES.map(compile).map(({ file, text }) => [file, text]));
  const committed = (file) => path.join(FOLDER, file);
  const fresh = (file) => fs.existsSync(committed(file)) && fs.readFileSync(committed(file), "utf8") === built.get(file);
  const stale = [...built.keys()].filter((file) => !fresh(file)).map((file) => `${file} differs`);
  const extra = fs.existsSync(FOLDER) ? fs.readdirSync(FOLDER).filter((file) => !built.has(file)) : [];
  return [...stale, ...extra.map((file) => `${file} belongs to no contract in tools/artifacts.js`)];
}

function check() {
  const found = differences();
  if (found.length > 0) throw new Error(`artifacts/: ${found.join("; ")}. Run \`npm run build\` and commit the result.`);
}

const actions = { write, check };
const action = actions[process.argv[2]];
try {
  if (!action) throw new Error(`usage: artifacts.js ${Object.keys(actions).join("|")}`);
  action(process.argv.slice(3));
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
