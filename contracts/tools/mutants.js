#!/usr/bin/env node
// Removes every guard of the contracts that hold money, one at a time, and demands that a test fails each time.
//
// A guard is a condition that reverts or skips, a check of a parameter, or `nonReentrant`. All mutants are compiled at once, into a
// copy of the sources below cache/: guard N holds unless the block's coinbase is MUTANT + N, which is set from outside. So there
// is one compilation, and a run of the tests per mutant. Exit code 1 names every guard that no test misses.
//   list        names the guards
//   NUMBER...   removes those only
"use strict";
const fs = require("fs");
const path = require("path");
const { ROOT, forge } = require("./forge");

/** The sources whose guards are removed. */
const SOURCES = [
  "Bounds",
  "Inflow",
  "JobEscrow",
  "JobHistory",
  "JobPlan",
  "Snapshots",
  "StakeAccount",
  "SwarmMembers",
  "SwarmRewards",
  "SwarmSlasher",
];

/** The tests that must notice: the quick ones first. The copy has no others, for forge reads all that there are. */
const TESTS = [
  /^(Job(Deployment|Escrow|Games|Tokens)|Members|Rewards.*|Settlement(Attacks|Tokens)|Slasher|Snapshots)\.t\.sol$/,
  /^(Job|Settlement)Invariant\.t\.sol$/,
];

/** Guards that save gas and whose absence nobody can tell by the outcome, each with the reason. */
const EQUIVALENT = [
  ["JobEscrow", "amount == 0", "credits nothing"],
  ["SwarmMembers", "votes == previous", "writes the same value again"],
  ["SwarmRewards", "amount == 0", "credits nothing"],
  ["Snapshots", "since != time && since != 0", "pushing an empty value, or a second twice, is harmless: lookups read `latest` first"],
];

const PROJECT = path.join(ROOT, "cache", "mutants");
const MUTANT = 0x100000n;
const BRIEFLY = {
  FOUNDRY_PROFILE: "quick",
  FOUNDRY_FUZZ_RUNS: "8",
  FOUNDRY_INVARIANT_RUNS: "6",
  FOUNDRY_INVARIANT_DEPTH: "48",
};

const SWITCH = `// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

library Mutants {
    function holds(uint256 guard) internal view returns (bool) {
        return block.coinbase != address(uint160(${MUTANT} + guard));
    }
}

abstract contract ReentrancyGuardTransient {
    error ReentrancyGuardReentrantCall();

    bool private transient _entered;

    modifier guarded(uint256 guard) {
        bool holds = Mutants.holds(guard);
        if (holds && _entered) revert ReentrancyGuardReentrantCall();
        if (holds) _entered = true;
        _;
        if (holds) _entered = false;
    }
}
`;

/** Index behind the bracket that closes the one at `open`. */
function close(text, open) {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "(") depth++;
    if (text[i] === ")" && --depth === 0) return i + 1;
  }
  throw new Error("unbalanced brackets");
}

/** Rewrites `text` so that each guard asks whether it holds; adds what it finds to `guards`. */
function mutate(name, text, guards) {
  const start = /if \(|Bounds\.check(?:Contract)?\(| nonReentrant(?= \{| returns |\n)|(?<=onlySlasher) nonReentrant/g;
  let out = "";
  let done = 0;
  for (let found; (found = start.exec(text)); ) {
    const line = text.slice(0, found.index).split("\n").length;
    const add = (label) => guards.push({ name, line, label: label.replace(/\s+/g, " ") }) - 1;
    if (found[0].startsWith(" nonReentrant")) {
      out += `${text.slice(done, found.index)} guarded(${add("nonReentrant")})`;
      done = found.index + found[0].length;
      continue;
    }
    const open = found.index + found[0].length - 1;
    const end = close(text, open);
    if (found[0] === "if (") {
      if (!/^ (\{\s*)?(revert|continue;|return;)/.test(text.slice(end))) continue;
      const condition = text.slice(open + 1, end - 1);
      out += `${text.slice(done, open + 1)}Mutants.holds(${add(condition)}) && (${condition}))`;
    } else {
      out += `${text.slice(done, found.index)}if (Mutants.holds(${add(text.slice(found.index, end))})) ${text.slice(found.index, end)}`;
    }
    done = end;
  }
  return out + text.slice(done);
}

/** What the copy needs beside its guards: the switch, and `view` where a condition was pure. */
function adapt(text) {
  return text
    .replace(/import \{ReentrancyGuardTransient\} from "[^"]*";\n/, "")
    .replace(/(pragma solidity [^;]*;\n)/, '$1\nimport {Mutants, ReentrancyGuardTransient} from "./Mutants.sol";\n')
    .replace(/\b(internal|private)(\s+)pure\b/g, "$1$2view");
}

function prepare() {
  fs.rmSync(path.join(PROJECT, "src"), { recursive: true, force: true });
  fs.rmSync(path.join(PROJECT, "test"), { recursive: true, force: true });
  fs.mkdirSync(PROJECT, { recursive: true });
  for (const folder of ["src", "test", "tools"]) fs.cpSync(path.join(ROOT, folder), path.join(PROJECT, folder), { recursive: true });
  fs.copyFileSync(path.join(ROOT, "foundry.toml"), path.join(PROJECT, "foundry.toml"));
  const modules = path.join(PROJECT, "node_modules");
  if (!fs.existsSync(modules)) fs.symlinkSync(path.join(ROOT, "node_modules"), modules);
  const idle = (file) => file.endsWith(".t.sol") && !TESTS.some((pattern) => pattern.test(file));
  for (const file of fs.readdirSync(path.join(PROJECT, "test")).filter(idle)) fs.rmSync(path.join(PROJECT, "test", file));
  const guards = [];
  for (const name of SOURCES) {
    const file = path.join(PROJECT, "src", `${name}.sol`);
    fs.writeFileSync(file, adapt(mutate(name, fs.readFileSync(file, "utf8"), guards)));
  }
  fs.writeFileSync(path.join(PROJECT, "src", "Mutants.sol"), SWITCH);
  return guards;
}

/** Whether the tests pass without guard `index`; without any removed where it is -1. */
function passes(index, stdio) {
  const coinbase = `0x${(MUTANT + BigInt(index)).toString(16).padStart(40, "0")}`;
  const run = (pattern) => {
    const tests = fs.readdirSync(path.join(PROJECT, "test")).filter((file) => pattern.test(file));
    const args = ["test", "--match-path", `test/{${tests.join(",")}}`, "--fail-fast", "--block-coinbase", coinbase];
    return forge(args, { cwd: PROJECT, env: { ...process.env, ...BRIEFLY }, stdio }).status === 0;
  };
  return TESTS.every(run);
}

const isEquivalent = ({ name, label }) => EQUIVALENT.some(([source, text]) => source === name && text === label);



function main() {
  const guards = prepare();
  if (process.argv[2] === "list") {
    for (const [index, { name, line, label }] of guards.entries()) process.stdout.write(`${index} ${name}.sol:${line} ${label}\n`);
    return;
  }
  if (!passes(-1, ["ignore", "inherit", "inherit"])) throw new Error("the tests fail with every guard in place");
  const only = process.argv.slice(2).map(Number);
  const survivors = [];
  let removed = 0;
  for (const [index, guard] of guards.entries()) {
    if (isEquivalent(guard) || (only.length > 0 && !only.includes(index))) continue;
    removed++;
    const survived = passes(index, "ignore");
    if (survived) survivors.push(guard);
    process.stdout.write(`${survived ? "SURVIVED" : "killed  "} ${index} ${guard.name}.sol:${guard.line} ${guard.label}\n`);
  }
  process.stdout.write(`${removed} guards removed, ${removed - survivors.length} noticed\n`);
  if (survivors.length > 0) throw new Error("no test misses the guards above that SURVIVED");
}

try {
  main();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
