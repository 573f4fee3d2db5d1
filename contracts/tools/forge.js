#!/usr/bin/env node
// Runs the forge that npm installed for this platform, inside contracts/.
"use strict";
const { spawnSync } = require("child_process");
const fs = require("fs");
const path = require("path");

const ROOT = path.join(__dirname, "..");
const ARCHITECTURES = { x64: "amd64", arm64: "arm64" };

/** Path of the forge binary: `$FORGE`, or the npm package of this platform. Throws with the remedy where there is none. */
function binary() {
  if (process.env.FORGE) return process.env.FORGE;
  const platform = `${process.platform}-${ARCHITECTURES[process.arch] ?? process.arch}`;
  const name = process.platform === "win32" ? "forge.exe" : "forge";
  const file = path.join(ROOT, "node_modules", "@foundry-rs", `forge-${platform}`, "bin", name);
  if (fs.existsSync(file)) return file;
  throw new Error(
    `no forge for ${platform}: run \`npm ci\` in contracts/, or set FORGE to the path of a forge 1.7.1 binary`,
  );
}

/** Runs forge with `args`; the result of `spawnSync`, its output shown unless `options` say otherwise. */
function forge(args, options = {}) {
  const result = spawnSync(binary(), args, { cwd: ROOT, stdio: "inherit", ...options });
  if (result.error) throw result.error;
  return result;
}

module.exports = { ROOT, binary, forge };

if (require.main === module) {
  try {
    process.exit(forge(process.argv.slice(2)).status ?? 1);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}
