// Asks a predictor with fetch: client.mjs URL; posts each line of its input, prints the answer.
import { readFileSync } from "node:fs";

const headers = { "Content-Type": "application/json" };
for (const body of readFileSync(0, "utf8").trim().split("\n")) {
  const answer = await fetch(process.argv[2], { method: "POST", headers, body });
  console.log(answer.status, await answer.text());
}
