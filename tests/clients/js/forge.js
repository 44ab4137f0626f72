// Tokens made by jose and by hand. First line: the public keys. Then one line for each token: {"class", "token", "jose"}, where
// class "good" is one that must be accepted, and jose is its own verdict. Argument: a seed.
import { createHash, createHmac, createPublicKey, sign, constants } from "node:crypto";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import { chance } from "./chance.js";
import { AUDIENCE, ISSUER, judge } from "./policy.js";

const MUTATIONS = 150; // of a good token of each algorithm
const now = Math.floor(Date.now() / 1000);
const { below, pick } = chance(Number(process.argv[2]));
const b64 = (data) => Buffer.from(data).toString("base64url");
const claims = () => ({ iss: ISSUER, aud: AUDIENCE, sub: "app_1", jti: `jti-${below(2 ** 32)}`, iat: now - 5, exp: now + 3600 });

const SIGNERS = {
  ES256: (key, data) => sign("sha256", data, { key, dsaEncoding: "ieee-p1363" }),
  PS256: (key, data) => sign("sha256", data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  EdDSA: (key, data) => sign(null, data, key),
};

async function makeParty(alg) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  // EdDSA and Ed25519 are one algorithm here (RFC 9864), so that key says neither.
  const jwk = { ...(await exportJWK(publicKey)), kid: `key of ${alg}`, alg: alg === "EdDSA" ? undefined : alg, use: "sig" };
  return { alg, kid: jwk.kid, jwk, publicKey, privateKey, sign: (data) => SIGNERS[alg](privateKey, Buffer.from(data)) };
}

// A token as jose makes it, and one by hand from the text of header and claims.
const made = (p, changed = {}, header = {}) =>
  new SignJWT({ ...claims(), ...changed }).setProtectedHeader({ alg: p.alg, typ: "at+jwt", kid: p.kid, ...header }).sign(p.privateKey);
function signed(p, header, payload, sign = p.sign) {
  const data = `${b64(header)}.${b64(payload)}`;
  return `${data}.${b64(sign(data))}`;
}
function token(p, header = {}, changed = {}, sign = p.sign) {
  return signed(p, JSON.stringify({ alg: p.alg, typ: "at+jwt", kid: p.kid, ...header }), JSON.stringify({ ...claims(), ...changed }), sign);
}
const headerText = (p) => JSON.stringify({ alg: p.alg, typ: "at+jwt", kid: p.kid });
const claimsText = () => JSON.stringify(claims());
const hs256 = (secret) => (data) => createHmac("sha256", secret).update(data).digest();
const pem = (p) => createPublicKey({ key: p.jwk, format: "jwk" }).export({ type: "spki", format: "pem" });
const der = (p) => createPublicKey({ key: p.jwk, format: "jwk" }).export({ type: "spki", format: "der" });
const parts = (p) => token(p).split(".");
const nothing = () => "";
const cut = (p, from, to) => token(p, {}, {}, (data) => p.sign(data).subarray(from, to));

// The unused bits of the last character set. A multiple of three bytes leaves none, so then a character is added.
function otherLastBits(segment) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return segment.length % 4 === 0 ? `${segment}A` : segment.slice(0, -1) + alphabet[alphabet.indexOf(segment.at(-1)) | 1];
}

function plainBase64(p) {
  let text;
  do text = token(p).replace(/[^.]*$/, (s) => s.replaceAll("-", "+").replaceAll("_", "/"));
  while (!/[+/]/.test(text));
  return text;
}

// Each is wrong in one way; `p` is the party whose key it is about, `other` has a key of the same algorithm that is not published.
const FORGED = {
  "alg none": (p) => token(p, { alg: "none" }, {}, nothing),
  "alg none with a signature": (p) => token(p, { alg: "none" }),
  "alg None": (p) => token(p, { alg: "None" }, {}, nothing),
  "alg NONE": (p) => token(p, { alg: "NONE" }, {}, nothing),
  "alg missing": (p) => token(p, { alg: undefined }),
  "alg empty": (p) => token(p, { alg: "" }),
  "alg null": (p) => token(p, { alg: null }),
  "alg a list": (p) => token(p, { alg: [p.alg] }),
  "alg in lower case": (p) => token(p, { alg: p.alg.toLowerCase() }),
  "alg with a NUL": (p) => token(p, { alg: `${p.alg}\0` }),
  "alg of another key": (p) => token(p, { alg: p.alg === "ES256" ? "PS256" : "ES256" }),
  "alg ES384": (p) => token(p, { alg: "ES384" }),
  "alg RS256": (p) => token(p, { alg: "RS256" }),
  "alg Ed448": (p) => token(p, { alg: "Ed448" }),
  "alg twice, the first good": (p) => signed(p, `${headerText(p).slice(0, -1)},"alg":"none"}`, claimsText()),
  "HS256 with the public key as PEM": (p) => token(p, { alg: "HS256" }, {}, hs256(pem(p))),
  "HS256 with the public key as PEM without line end": (p) => token(p, { alg: "HS256" }, {}, hs256(pem(p).trim())),
  "HS256 with the public key as DER": (p) => token(p, { alg: "HS256" }, {}, hs256(der(p))),
  "HS256 with the public key as JWK": (p) => token(p, { alg: "HS256" }, {}, hs256(JSON.stringify(p.jwk))),
  "HS256 with an empty secret": (p) => token(p, { alg: "HS256" }, {}, hs256("")),
  "signed by another key": (p, other) => token(p, {}, {}, other.sign),
  "signed by another key, which it brings along": (p, other) => token(p, { jwk: other.jwk, kid: undefined }, {}, other.sign),
  "crit of something unknown": (p) => token(p, { crit: ["zz"], zz: 1 }),
  "crit of a claim": (p) => token(p, { crit: ["exp"], exp: now + 600 }),
  "crit empty": (p) => token(p, { crit: [] }),
  "crit no list": (p) => token(p, { crit: "exp" }),
  "crit null": (p) => token(p, { crit: null }),
  "b64 false and critical": (p) => token(p, { b64: false, crit: ["b64"] }),
  "b64 true and critical": (p) => token(p, { b64: true, crit: ["b64"] }),
  "b64 false": (p) => token(p, { b64: false }),
  "zip": (p) => token(p, { zip: "DEF" }),
  "enc": (p) => token(p, { enc: "A128GCM" }),
  "jku": (p) => token(p, { jku: "https://evil.example/jwks" }),
  "x5u": (p) => token(p, { x5u: "https://evil.example/x5u" }),
  "x5c": (p) => token(p, { x5c: ["AAAA"] }),
  "jwk of the right key": (p) => token(p, { jwk: p.jwk }),
  "kid unknown": (p) => token(p, { kid: "unknown" }),
  "kid empty": (p) => token(p, { kid: "" }),
  "kid missing": (p) => token(p, { kid: undefined }),
  "kid a number": (p) => token(p, { kid: 1 }),
  "kid of 129 characters": (p) => token(p, { kid: "k".repeat(129) }),
  "kid with a NUL": (p) => token(p, { kid: `${p.kid}\0` }),
  "typ JWT": (p) => token(p, { typ: "JWT" }),
  "typ dpop+jwt": (p) => token(p, { typ: "dpop+jwt" }),
  "typ missing": (p) => token(p, { typ: undefined }),
  "typ null": (p) => token(p, { typ: null }),
  "typ a list": (p) => token(p, { typ: ["at+jwt"] }),
  "typ in full": (p) => token(p, { typ: "application/at+jwt" }),
  "typ in capitals": (p) => token(p, { typ: "AT+JWT" }),
  "signature empty": (p) => token(p, {}, {}, nothing),
  "signature missing": (p) => parts(p).slice(0, 2).join("."),
  "signature one byte short": (p) => cut(p, 0, -1),
  "signature without its first byte": (p) => cut(p, 1),
  "signature one byte long": (p) => token(p, {}, {}, (data) => Buffer.concat([p.sign(data), Buffer.alloc(1)])),
  "signature with a byte before": (p) => token(p, {}, {}, (data) => Buffer.concat([Buffer.alloc(1), p.sign(data)])),
  "signature of zeros": (p) => token(p, {}, {}, (data) => Buffer.alloc(p.sign(data).length)),
  "signature of ones": (p) => token(p, {}, {}, (data) => Buffer.alloc(p.sign(data).length, 255)),
  "signature twice": (p) => token(p, {}, {}, (data) => Buffer.concat([p.sign(data), p.sign(data)])),
  "signature of another token": (p) => [...parts(p).slice(0, 2), parts(p)[2]].join("."),
  "signature with other last bits": (p) => token(p).replace(/[^.]*$/, otherLastBits),
  "signature with padding": (p) => `${token(p)}==`,
  "signature in plain base64": plainBase64,
  "signature with a blank": (p) => token(p).replace(/.{4}$/, " $&"),
  "signature with a line end": (p) => `${token(p)}\n`,
  "signature with trailing junk": (p) => `${token(p)}.!~`,
  "signature with a trailing dot": (p) => `${token(p)}.`,
  "signature with four characters more": (p) => `${token(p)}AAAA`,
  "blank before": (p) => ` ${token(p)}`,
  "one segment": (p) => parts(p)[0],
  "four segments": (p) => `${token(p)}.${parts(p)[0]}`,
  "five segments": (p) => `${token(p)}.AAAA.AAAA`,
  "empty": () => "",
  "dots alone": () => "..",
  "header empty": (p) => `.${parts(p).slice(1).join(".")}`,
  "claims empty": (p) => `${parts(p)[0]}..${parts(p)[2]}`,
  "claims of no bytes, signed": (p) => signed(p, headerText(p), ""),
  "header with other last bits": (p) => respelled(p, 0),
  "claims with other last bits": (p) => respelled(p, 1),
  "header with padding": (p) => rewritten(p, 0, (s) => `${s}=`),
  "claims with a line end inside": (p) => rewritten(p, 1, (s) => `${s.slice(0, 8)}\n${s.slice(8)}`),
  "claims with padding": (p) => rewritten(p, 1, (s) => `${s}=`),
  "header with bytes behind": (p) => signed(p, `${headerText(p)} x`, claimsText()),
  "claims with bytes behind": (p) => signed(p, headerText(p), `${claimsText()}x`),
  "claims with a NUL behind": (p) => signed(p, headerText(p), `${claimsText()}\0`),
  "header with a byte order mark": (p) => signed(p, `\ufeff${headerText(p)}`, claimsText()),
  "header with a twin of typ": (p) => signed(p, `{"typ":"JWT",${headerText(p).slice(1)}`, claimsText()),
  "header with a twin of kid": (p) => signed(p, `{"kid":"x",${headerText(p).slice(1)}`, claimsText()),
  "header with an escaped twin": (p) => signed(p, `{"\\u0061lg":"none",${headerText(p).slice(1)}`, claimsText()),
  "claims with a twin of exp": (p) => signed(p, headerText(p), `{"exp":1,${claimsText().slice(1)}`),
  "claims with an escaped twin": (p) => signed(p, headerText(p), `{"\\u0073ub":"app_2",${claimsText().slice(1)}`),
  "claims not UTF-8": (p) => signed(p, headerText(p), Buffer.concat([Buffer.from(`${claimsText().slice(0, -1)},"x":"`), Buffer.from([255]), Buffer.from('"}')])),
  "claims with an escaped NUL": (p) => token(p, {}, { x: "\0" }),
  "claims with half a character": (p) => signed(p, headerText(p), `${claimsText().slice(0, -1)},"x":"\\ud800"}`),
  "header a list": (p) => signed(p, `["${p.alg}"]`, claimsText()),
  "header null": (p) => signed(p, "null", claimsText()),
  "claims a list": (p) => signed(p, headerText(p), `[${claimsText()}]`),
  "claims a text": (p) => signed(p, headerText(p), '"x"'),
  "claims null": (p) => signed(p, headerText(p), "null"),
  "header deep": (p) => token(p, { x: JSON.parse("[".repeat(20) + "]".repeat(20)) }),
  "claims deep": (p) => token(p, {}, { x: JSON.parse("[".repeat(20) + "]".repeat(20)) }),
  "larger than 8 KiB": (p) => token(p, {}, { x: "y".repeat(8000) }),
  "expired": (p) => token(p, {}, { iat: now - 7200, exp: now - 60 }),
  "expired within the other's tolerance": (p) => token(p, {}, { exp: now - 3 }),
  "exp 0": (p) => token(p, {}, { exp: 0 }),
  "exp missing": (p) => token(p, {}, { exp: undefined }),
  "exp a text": (p) => token(p, {}, { exp: String(now + 600) }),
  "exp a fraction": (p) => token(p, {}, { exp: now + 600.5 }),
  "exp beyond time": (p) => token(p, {}, { exp: 2 ** 53 }),
  "exp with an exponent": (p) => signed(p, headerText(p), claimsText().replace(/"exp":\d+/, '"exp":1e11')),
  "exp null": (p) => token(p, {}, { exp: null }),
  "exp true": (p) => token(p, {}, { exp: true }),
  "valid for years": (p) => token(p, {}, { exp: now + 400 * 86400 }),
  "iat missing": (p) => token(p, {}, { iat: undefined }),
  "iat a text": (p) => token(p, {}, { iat: "1" }),
  "iat negative": (p) => token(p, {}, { iat: -1 }),
  "issued in the future": (p) => token(p, {}, { iat: now + 120 }),
  "nbf in the future": (p) => token(p, {}, { nbf: now + 120 }),
  "nbf a text": (p) => token(p, {}, { nbf: "0" }),
  "jti missing": (p) => token(p, {}, { jti: undefined }),
  "jti a number": (p) => token(p, {}, { jti: 1 }),
  "jti of 129 characters": (p) => token(p, {}, { jti: "j".repeat(129) }),
  "sub missing": (p) => token(p, {}, { sub: undefined }),
  "sub empty": (p) => token(p, {}, { sub: "" }),
  "iss of another": (p) => token(p, {}, { iss: "https://evil.example" }),
  "iss with a slash": (p) => token(p, {}, { iss: `${ISSUER}/` }),
  "iss a list": (p) => token(p, {}, { iss: [ISSUER] }),
  "iss missing": (p) => token(p, {}, { iss: undefined }),
  "aud of another": (p) => token(p, {}, { aud: "https://evil.example" }),
  "aud a list without us": (p) => token(p, {}, { aud: ["https://evil.example"] }),
  "aud an empty list": (p) => token(p, {}, { aud: [] }),
  "aud missing": (p) => token(p, {}, { aud: undefined }),
};

// What is particular to the signatures of one algorithm.
const pss = (p, saltLength, hash = "sha256") =>
  token(p, {}, {}, (data) => sign(hash, Buffer.from(data), { key: p.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }));
const half = Buffer.alloc(32);
const FORGED_OF = {
  ES256: {
    "signature in DER": (p) => token(p, {}, {}, (data) => sign("sha256", Buffer.from(data), p.privateKey)),
    "signature with r = 0": (p) => token(p, {}, {}, (data) => Buffer.concat([half, p.sign(data).subarray(32)])),
    "signature with s = 0": (p) => token(p, {}, {}, (data) => Buffer.concat([p.sign(data).subarray(0, 32), half])),
    "signature with r and s the other way round": (p) => token(p, {}, {}, (data) => Buffer.concat([p.sign(data).subarray(32), p.sign(data).subarray(0, 32)])),
    "signature over SHA-384": (p) => token(p, {}, {}, (data) => sign("sha384", Buffer.from(data), { key: p.privateKey, dsaEncoding: "ieee-p1363" })),
  },
  PS256: {
    "salt of no bytes": (p) => pss(p, 0),
    "salt of 20 bytes": (p) => pss(p, 20),
    "salt of 33 bytes": (p) => pss(p, 33),
    "salt as long as can be": (p) => pss(p, constants.RSA_PSS_SALTLEN_MAX_SIGN),
    "PKCS #1 v1.5": (p) => token(p, {}, {}, (data) => sign("sha256", Buffer.from(data), p.privateKey)),
    "PSS over SHA-384": (p) => pss(p, 32, "sha384"),
  },
  EdDSA: {
    "signature over the digest": (p) => token(p, {}, {}, (data) => sign(null, createHash("sha512").update(data).digest(), p.privateKey)),
    "signature with S beyond the order": (p) => token(p, {}, {}, (data) => beyondOrder(p.sign(data))),
  },
};

// S + L instead of S (RFC 8032 §5.1.7 refuses it): the same point, another signature.
function beyondOrder(signature) {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString("hex")}`) + order;
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse()]);
}

// A segment written in another way, the signature made over what is written.
function rewritten(p, at, change) {
  const segments = [b64(headerText(p)), b64(claimsText())];
  segments[at] = change(segments[at]);
  return `${segments.join(".")}.${b64(p.sign(segments.join(".")))}`;
}
function respelled(p, at) {
  const texts = [headerText(p), claimsText()];
  while (texts[at].length % 3 === 0) texts[at] += " ";
  const segments = texts.map(b64);
  segments[at] = otherLastBits(segments[at]);
  return `${segments.join(".")}.${b64(p.sign(segments.join(".")))}`;
}

// A few characters of a good token changed, moved, added or taken away.
function mutated(good) {
  const alphabet = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"];
  let text;
  do {
    const at = [...good];
    for (let n = pick([1, 1, 1, 2, 5]); n > 0; n--) {
      const where = below(at.length);
      const what = below(4);
      if (what === 0) at[where] = pick(alphabet);
      else if (what === 1) at.splice(where, 1);
      else if (what === 2) at.splice(where, 0, pick(alphabet));
      else [at[where], at[0]] = [at[0], at[where]];
    }
    text = at.join("");
  } while (text === good);
  return text;
}

// The mirror of an ECDSA signature verifies as well (RFC 7515 takes both): a good token.
function mirrored(p) {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  return token(p, {}, {}, (data) => {
    const signature = p.sign(data);
    const s = n - BigInt(`0x${signature.subarray(32).toString("hex")}`);
    return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex")]);
  });
}

async function good(p) {
  const tokens = [await made(p), await made(p, { aud: ["https://other.example", AUDIENCE] }), await made(p, { nbf: now, x: { y: [1, 1.5, "é", null] } }),
                  await made(p, {}, { kid: p.kid, note: "unknown members of the header are let be" }), token(p)];
  if (p.alg === "ES256") tokens.push(mirrored(p));
  if (p.alg === "EdDSA") tokens.push(token(p, { alg: "Ed25519" }));
  return tokens;
}

const parties = await Promise.all(["ES256", "PS256", "EdDSA"].map(makeParty));
const jwks = { keys: parties.map((p) => p.jwk) };
console.log(JSON.stringify(jwks));
for (const p of parties) {
  const other = await makeParty(p.alg);
  const tokens = (await good(p)).map((text) => ["good", text]);
  for (const [name, make] of Object.entries({ ...FORGED, ...FORGED_OF[p.alg] })) tokens.push([name, make(p, other)]);
  for (let i = 0; i < MUTATIONS; i++) tokens.push(["mutated", mutated(tokens[0][1])]);
  for (const [name, text] of tokens) console.log(JSON.stringify({ class: name, alg: p.alg, token: text, jose: await judge(jwks, text) }));
}
