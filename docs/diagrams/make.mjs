// Draws the diagrams: `make diagrams` writes docs/images/NAME.svg for every NAME.dot here.
//
//     node make.mjs [--check]     with --check it writes nothing and fails where a picture is stale
//
// Graphviz's own measures of Helvetica lay them out, not the fonts of this machine, so the same
// source makes the same bytes everywhere.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { instance } from "@viz-js/viz";

const here = new URL("./", import.meta.url);
const images = new URL("../images/", here);
const check = process.argv.includes("--check");

const viz = await instance();
for (const file of readdirSync(here).filter((name) => name.endsWith(".dot")).sort()) {
  const result = viz.render(readFileSync(new URL(file, here), "utf8"), { format: "svg" });
  if (result.status !== "success") {
    console.error(`${file}: ${result.errors.map((error) => error.message).join("; ")}`);
    process.exit(1);
  }
  const picture = new URL(file.replace(/\.dot$/, ".svg"), images);
  if (!check) {
    writeFileSync(picture, result.output);
  } else if (!existsSync(picture) || readFileSync(picture, "utf8") !== result.output) {
    console.error(`docs/images/${file.replace(/\.dot$/, ".svg")} is stale: run make diagrams`);
    process.exitCode = 1;
  }
}
