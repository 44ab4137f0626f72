// What every client here registers as, whatever library it is written with: a partner of the sandbox that nobody told
// anything but the URL.

import { generateKeyPairSync } from 'node:crypto'
import { x5c } from './wire.js'

export const REDIRECT = 'https://partner.example/callback'
export const SCOPE = 'openid accounts:read e-payment:read e-payment:write'

// A signing key as CryptoKey (for the libraries) and as public JWK (for the registration).
export async function signingKey(algorithm = 'ES256') {
  const importing = { ES256: { name: 'ECDSA', namedCurve: 'P-256' }, PS256: { name: 'RSA-PSS', hash: 'SHA-256' }, Ed25519: { name: 'Ed25519' } }[algorithm]
  const making = { ES256: ['ec', { namedCurve: 'P-256' }], PS256: ['rsa', { modulusLength: 2048 }], Ed25519: ['ed25519', {}] }[algorithm]
  const { privateKey, publicKey } = generateKeyPairSync(...making)
  const kid = `${algorithm}-1`
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, importing, false, ['sign'])
  return { kid, key, jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: algorithm } }
}

const common = {
  client_name: 'Partner of the tests',
  redirect_uris: [REDIRECT],
  response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  scope: SCOPE,
}

export const byKey = (key, more = {}) => ({
  ...common,
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_signing_alg: key.jwk.alg,
  jwks: { keys: [key.jwk] },
  dpop_bound_access_tokens: true,
  ...more,
})

export const byCertificate = (publicJwk) => ({
  ...common,
  token_endpoint_auth_method: 'self_signed_tls_client_auth',
  jwks: { keys: [{ ...publicJwk, kid: 'certificate', use: 'sig', x5c: x5c() }] },
  tls_client_certificate_bound_access_tokens: true,
})

export const signedMessages = (key) =>
  byKey(key, {
    require_signed_request_object: true,
    request_object_signing_alg: key.jwk.alg,
    authorization_signed_response_alg: 'ES256',
    response_modes: ['jwt'],
  })

export const CIBA = 'urn:openid:params:grant-type:ciba'
export const decoupled = (key) =>
  byKey(key, { grant_types: [CIBA, 'refresh_token'], response_types: [], redirect_uris: undefined, backchannel_token_delivery_mode: 'poll' })

// A payment out of the world that came with the registration, as an authorization detail (RFC 9396).
export function paymentDetail(world, amount) {
  const [debtor, creditor] = world.accounts.filter((account) => account.currency === 'CNY')
  return { type: 'payment', debtor_account: debtor.id, creditor_account: creditor.id, amount: { amount, currency: 'CNY' } }
}
