// Node's own HTTP/2 client: one session for all.
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { authorization, visit } from "./bank.js";

const session = connect(process.env.TB_URL, { ca: readFileSync(process.env.TB_CA) });
const trouble = [];
session.on("goaway", (code) => trouble.push(`goaway ${code}`));
session.on("frameError", (type, code) => trouble.push(`frame ${type}: ${code}`));

function ask(method, path, headers, body) {
  return new Promise((done, fail) => {
    const stream = session.request({ ":method": method, ":path": path, authorization, ...headers });
    const parts = [];
    let answer;
    stream.on("response", (fields) => (answer = fields));
    stream.on("data", (part) => parts.push(part));
    stream.on("error", fail);
    stream.on("end", () => done({ status: answer[":status"], headers: answer, text: Buffer.concat(parts).toString() }));
    stream.end(body);
  });
}

await visit(ask, () => ({ protocols: [session.alpnProtocol], trouble }));
await new Promise((closed) => session.close(closed));
