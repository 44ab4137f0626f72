// axe-core over pages: a line {"name", "html"} is answered with {"name", "rules": how many ran, "violations", "incomplete"}.
// jsdom lays nothing out, so rules that measure what is painted cannot run here: colours are computed by the test itself.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { JSDOM, VirtualConsole } from "jsdom";

const source = createRequire(import.meta.url)("axe-core").source;
const NEEDS_LAYOUT = ["color-contrast", "color-contrast-enhanced", "target-size", "link-in-text-block"];

async function judge(html) {
  const dom = new JSDOM(html, { runScripts: "outside-only", url: "https://bank.example/", virtualConsole: new VirtualConsole() });
  dom.window.eval(source);
  const found = await dom.window.axe.run(dom.window.document, {
    rules: Object.fromEntries(NEEDS_LAYOUT.map((rule) => [rule, { enabled: false }])),
    resultTypes: ["violations", "incomplete", "passes"],
  });
  dom.window.close();
  const tell = (results) => results.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html}`));
  return { rules: found.passes.length, violations: tell(found.violations), incomplete: tell(found.incomplete) };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { name, html } = JSON.parse(line);
  console.log(JSON.stringify({ name, ...(await judge(html)) }));
}
