#!/usr/bin/env node
// Measures which lines of src/ the tests run, prints a row per file, and fails below 95 % of the lines that forge tests.
//
// Lines of inline assembly do not count: forge lists them and never sees them run. Tests compare their results all the same.
//
// forge compiles for coverage with hardly any optimizer (`--ir-minimum`; with none at all the arithmetic runs out of stack), so the
// tests of gas are left out: they bound what the optimizer yields. Random tests run briefly: one visit covers a line.
"use strict";
const fs = require("fs");
const os = require("os");
const path = require("path");
const { ROOT, forge } = require("./forge");

const LEAST_PERCENT = 95;
// The rules of games are tested move by move against their twin in Rust (tests/dispute), which forge does not see.
const TESTED_FROM_RUST = ["src/GameRules.sol", "src/Moves.sol", "src/Plans.sol", "src/Position.sol"];
const BRIEFLY = { FOUNDRY_FUZZ_RUNS: "16", FOUNDRY_INVARIANT_RUNS: "4", FOUNDRY_INVARIANT_DEPTH: "32" };

/** Runs the tests; the text of the lcov report. */
function measure() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "coverage-"));
  const file = path.join(folder, "lcov.info");
  const args = ["coverage", "--ir-minimum", "--no-match-path", "test/*Gas*"];
  const report = ["--report", "lcov", "--report-file", file];
  try {
    const result = forge([...args, ...report], { env: { ...process.env, ...BRIEFLY } });
    if (result.status !== 0) throw new Error("forge coverage failed: see above");
    return fs.readFileSync(file, "utf8");
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Numbers of the lines of a source that are in blocks of assembly. */
function assemblyLines(file) {
  const lines = new Set();
  let depth = 0;
  for (const [index, line] of fs.readFileSync(path.join(ROOT, file), "utf8").split("\n").entries()) {
    const code = line.replace(/\/\/.*$/, "");
    if (depth === 0 && !/\bassembly\b.*\{/.test(code)) continue;
    lines.add(index + 1);
    const block = depth === 0 ? code.slice(code.indexOf("assembly")) : code;
    depth += (block.match(/\{/g) ?? []).length - (block.match(/\}/g) ?? []).length;
  }
  return lines;
}

/** Of an lcov report, the files below src/: { file, lines, hit, missed: line numbers }. */
function parse(report) {
  return report
    .split("end_of_record")
    .map((record) => ({ file: /^SF:(.*)$/m.exec(record)?.[1], data: [...record.matchAll(/^DA:(\d+),(\d+)/gm)] }))
    .filter(({ file, data }) => file?.startsWith("src/") && data.length > 0)
    .map(({ file, data: all }) => {
      const assembly = assemblyLines(file);
      const data = all.filter(([, line]) => !assembly.has(Number(line)));
      const missed = data.filter(([, , visits]) => visits === "0").map(([, line]) => Number(line));
      return { file, lines: data.length, hit: data.length - missed.length, missed };
    });
}

const percentOf = ({ hit, lines }) => (100 * hit) / lines;

function row(entry) {
  const missed = entry.missed.length > 0 ? `  missed: ${entry.missed.join(", ")}` : "";
  const counts = `${entry.hit}/${entry.lines}`.padStart(9);
  return `${entry.file.padEnd(32)} ${counts} ${percentOf(entry).toFixed(1).padStart(6)} %${missed}\n`;
}

function main() {
  const files = parse(measure());
  if (files.length === 0) throw new Error("the report names no file of src/");
  const counted = files.filter(({ file }) => !TESTED_FROM_RUST.includes(file));
  const sum = (key) => counted.reduce((total, entry) => total + entry[key], 0);
  const total = { file: "src/, but what Rust tests", lines: sum("lines"), hit: sum("hit"), missed: [] };
  for (const entry of [...files, total]) process.stdout.write(row(entry));
  if (percentOf(total) < LEAST_PERCENT) {
    throw new Error(`${percentOf(total).toFixed(1)} % of the lines of src/ are tested; ${LEAST_PERCENT} % are required`);
  }
}

try {
  main();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
