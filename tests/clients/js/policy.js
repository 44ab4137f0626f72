// What jose must accept and refuse: the policy that tests/fixtures/jose_check.c has, in the words of jose.
import { createLocalJWKSet, jwtVerify } from "jose";

export const ISSUER = "https://issuer.example";
export const AUDIENCE = "https://api.example";
export const ALGORITHMS = ["ES256", "PS256", "EdDSA", "Ed25519"];

// Whether jose accepts a token: "ok", or why not.
export async function judge(jwks, token, { issuer = ISSUER, audience = AUDIENCE } = {}) {
  const options = {
    issuer, audience, typ: "at+jwt", algorithms: ALGORITHMS, requiredClaims: ["exp", "iat", "jti", "sub"], clockTolerance: 10,
  };
  try {
    await jwtVerify(token, createLocalJWKSet(jwks), options);
    return "ok";
  } catch (error) {
    return error.code ?? error.name;
  }
}
