// jose as a filter: a line {"token": …} is answered with "ok" or why it is refused. Arguments: a file with a JWK Set, and
// issuer and audience when they are others than those of policy.js.
import { readFileSync } from "node:fs";
import { judge } from "./policy.js";

const [file, issuer, audience] = process.argv.slice(2);
const jwks = JSON.parse(readFileSync(file, "utf8"));
for (const line of readFileSync(0, "utf8").split("\n").slice(0, -1)) {
  console.log(JSON.stringify(await judge(jwks, JSON.parse(line).token, { issuer, audience })));
}
