// ajv as a filter, the counterpart of tests/fixtures/schema_check.c: a line {"schema": name, "value": …} is answered with the
// places that are wrong. The argument is the directory of the schemas.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import Ajv from "ajv/dist/2020.js";
import formats from "ajv-formats";

const BASE = "file:///";
const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";

// A prefix, and 26 digits of a UUID of version 8 (RFC 9562): 128 bits, so the first digit is at most 7.
function isId(prefix, text) {
  const found = /^([a-z]+)_([0-7][0-9a-hjkmnp-tv-z]{25})$/u.exec(text);
  if (found === null || found[1] !== prefix) return false;
  const bits = [...found[2]].reduce((sum, digit) => (sum << 5n) | BigInt(DIGITS.indexOf(digit)), 0n);
  return ((bits >> 76n) & 15n) === 8n && ((bits >> 62n) & 3n) === 2n;
}

function filesBelow(directory) {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? filesBelow(path) : path.endsWith(".json") ? [path] : [];
  });
}

function compileAll(directory) {
  // Strict: a keyword or format that ajv does not know must not look as if the two agreed on it.
  const ajv = new Ajv({ allErrors: true, strict: true, strictTypes: false, strictRequired: false, strictTuple: false });
  formats(ajv);
  ajv.addKeyword({ keyword: "x-sensitive", schemaType: "boolean" }); // a mark: it judges nothing
  const texts = filesBelow(directory).map((path) => readFileSync(path, "utf8")).join();
  for (const [, prefix] of texts.matchAll(/"tb-id:([a-z]+)"/g)) ajv.addFormat(`tb-id:${prefix}`, (text) => isId(prefix, text));
  ajv.addFormat("tb-line", (text) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115F\u1160\u17B4\u17B5\u3164\uFFA0]/u.test(text));
  for (const path of filesBelow(directory)) ajv.addSchema(JSON.parse(readFileSync(path, "utf8")), BASE + relative(directory, path));
  return ajv;
}

const escape = (name) => name.replaceAll("~", "~0").replaceAll("/", "~1");

// Missing, unknown and ill-named members are pointed at themselves.
function pointer(error) {
  const { missingProperty, additionalProperty } = error.params;
  const member = missingProperty ?? additionalProperty ?? error.propertyName;
  return member === undefined ? error.instancePath : `${error.instancePath}/${escape(member)}`;
}

const ajv = compileAll(process.argv[2]);
const GATHERS = new Set(["if", "propertyNames"]); // says again what another error has said
for (const line of readFileSync(0, "utf8").split("\n").slice(0, -1)) {
  const { schema, value } = JSON.parse(line);
  const check = ajv.getSchema(BASE + schema);
  const valid = check(value);
  const errors = (check.errors ?? []).filter((error) => !GATHERS.has(error.keyword));
  const places = errors.map((error) => ({ pointer: pointer(error), code: error.keyword, format: error.params.format }));
  console.log(JSON.stringify({ valid, errors: places }));
}
