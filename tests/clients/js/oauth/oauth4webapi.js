// oauth4webapi against the sandbox: node oauth4webapi.js <scenario>. The library does one message at a time and checks
// each answer by the letter of its specification; here they are put together as a partner's own code would.

import { randomUUID, X509Certificate } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import { Customer } from './customer.js'
import { byCertificate, byKey, decoupled, paymentDetail, REDIRECT, SCOPE, signedMessages, signingKey } from './partner.js'
import { certificate, env, issuer, tell, wire } from './wire.js'

const to = { [oauth.customFetch]: wire() }
const discovered = async () => oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { ...to, algorithm: 'oauth2' }))
const keyed = (key) => oauth.PrivateKeyJwt({ key: key.key, kid: key.kid })

async function partner(metadata, authentication, options = to, beside = undefined) {
  const as = await discovered()
  const client = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as, metadata, { ...to, initialAccessToken: beside }))
  return { as, client, authentication, options, world: client.tongbao_sandbox }
}

// From the pushed request to the tokens.
async function authorize({ as, client, authentication, options, world }, { more = {}, dpop, jar } = {}) {
  const verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  let parameters = new URLSearchParams({
    client_id: client.client_id, redirect_uri: REDIRECT, response_type: 'code', scope: SCOPE, state, nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
  })
  if (jar) parameters = new URLSearchParams({ client_id: client.client_id, request: await oauth.issueRequestObject(as, client, parameters, { key: jar.key, kid: jar.kid }) })
  const pushing = await oauth.pushedAuthorizationRequest(as, client, authentication, parameters, { ...options, DPoP: dpop })
  const pushed = await oauth.processPushedAuthorizationResponse(as, client, pushing)
  const url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri })
  const back = await new Customer(world.users[0], issuer).decide(url)
  const validate = jar ? oauth.validateJwtAuthResponse : oauth.validateAuthResponse
  const callback = await validate(as, client, back, state, options)
  const asking = await oauth.authorizationCodeGrantRequest(as, client, authentication, callback, REDIRECT, verifier, { ...options, DPoP: dpop })
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, asking, { expectedNonce: nonce, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(as, asking, options)
  return { tokens, expires_in: pushed.expires_in }
}

const details = (at, amount = 4200) => ({ authorization_details: JSON.stringify([paymentDetail(at.world, amount)]) })

async function pay({ options, world }, tokens, amount, dpop, base = issuer) {
  const detail = paymentDetail(world, amount)
  const body = { reference: randomUUID(), debtor_account: detail.debtor_account, creditor_account: detail.creditor_account, amount: detail.amount }
  const headers = new Headers({ 'content-type': 'application/json', 'idempotency-key': randomUUID() })
  const response = await oauth.protectedResourceRequest(tokens.access_token, 'POST', new URL('/e-payment/v1/payments', base), headers, JSON.stringify(body), { ...options, DPoP: dpop })
  return { status: response.status, ...(await response.json()) }
}

async function introspect({ as, client, authentication, options }, token, signed = false) {
  const asked = await oauth.introspectionRequest(as, client, authentication, token, { ...options, requestJwtResponse: signed })
  const told = await oauth.processIntrospectionResponse(as, client, asked)
  if (signed) await oauth.validateApplicationLevelSignature(as, asked, options)
  return told
}

async function credentials({ as, client, authentication, options }, scope, dpop) {
  const asking = await oauth.clientCredentialsGrantRequest(as, client, authentication, { scope }, { ...options, DPoP: dpop })
  return oauth.processClientCredentialsResponse(as, client, asking)
}

async function refresh({ as, client, authentication, options }, tokens, dpop) {
  const asking = await oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, { ...options, DPoP: dpop })
  return oauth.processRefreshTokenResponse(as, client, asking)
}

async function revoke({ as, client, authentication, options }, token) {
  return oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, token, options))
}

const proof = async (at, algorithm = 'ES256') => oauth.DPoP(at.client, await oauth.generateKeyPair(algorithm))

const scenarios = {
  async code_with_dpop() {
    const key = await signingKey()
    const at = await partner(byKey(key), keyed(key))
    const dpop = await proof(at)
    const { tokens, expires_in } = await authorize(at, { more: details(at), dpop })
    const paid = await pay(at, tokens, 4200, dpop)
    const fresh = await refresh(at, tokens, dpop)
    const asked = await oauth.userInfoRequest(at.as, at.client, fresh.access_token, { ...to, DPoP: dpop })
    const user = await oauth.processUserInfoResponse(at.as, at.client, oauth.getValidatedIdTokenClaims(tokens).sub, asked)
    const known = await introspect(at, fresh.access_token)
    await revoke(at, tokens.refresh_token)
    return { token_type: tokens.token_type, expires_in, paid, subject: user.sub !== undefined, known: known.active, gone: await introspect(at, fresh.access_token) }
  },

  async code_with_mtls() {
    const shown = certificate()
    const jwk = new X509Certificate(shown.certificate).publicKey.export({ format: 'jwk' })
    const at = await partner(byCertificate(jwk), oauth.TlsClientAuth(), { [oauth.customFetch]: wire(shown) })
    at.client.use_mtls_endpoint_aliases = true
    const { tokens } = await authorize(at, { more: details(at) })
    const paid = await pay(at, tokens, 4200, undefined, env.TB_MTLS_URL)
    const fresh = await refresh(at, tokens)
    return { token_type: tokens.token_type, paid, known: (await introspect(at, fresh.access_token)).active }
  },

  async signed_messages() {
    const key = await signingKey()
    const at = await partner(signedMessages(key), keyed(key))
    const dpop = await proof(at)
    const { tokens } = await authorize(at, { more: { ...details(at), response_mode: 'jwt' }, dpop, jar: key })
    return { paid: await pay(at, tokens, 4200, dpop) }
  },

  async client_credentials() {
    const key = await signingKey('Ed25519')
    const at = await partner(byKey(key), keyed(key))
    const dpop = await proof(at, 'PS256')
    const tokens = await credentials(at, 'accounts:read', dpop)
    const listed = await oauth.protectedResourceRequest(tokens.access_token, 'GET', new URL('/accounts/v1/accounts', issuer), undefined, undefined, { ...to, DPoP: dpop })
    // the library as a resource server: is this an access token of RFC 9068?
    const url = 'https://resource.example/'
    const { publicKey, privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
    const own = oauth.DPoP(at.client, { publicKey, privateKey })
    const mine = await credentials(at, 'accounts:read', own)
    let seen
    await oauth.protectedResourceRequest(mine.access_token, 'GET', new URL(url), undefined, undefined, {
      DPoP: own, [oauth.customFetch]: async (to, options) => { seen = new Request(to, options); return new Response() },
    })
    const claims = await oauth.validateJwtAccessToken(at.as, seen, at.as.issuer, { ...to, requireDPoP: true })
    return { token_type: tokens.token_type, scope: tokens.scope, listed: listed.status, client_id: claims.client_id === at.client.client_id }
  },

  async decoupled() {
    const key = await signingKey()
    const at = await partner(decoupled(key), keyed(key))
    const dpop = await proof(at)
    const [user] = at.world.users
    const parameters = { scope: 'openid', login_hint: user.login, binding_message: 'Order 18', ...details(at) }
    const begun = await oauth.processBackchannelAuthenticationResponse(at.as, at.client, await oauth.backchannelAuthenticationRequest(at.as, at.client, at.authentication, parameters, to))
    const poll = () => oauth.backchannelAuthenticationGrantRequest(at.as, at.client, at.authentication, begun.auth_req_id, { ...to, DPoP: dpop })
    const early = await oauth.processBackchannelAuthenticationGrantResponse(at.as, at.client, await poll()).catch((error) => error.error)
    await new Customer(user, issuer).decideWaiting('Order 18')
    await new Promise((done) => setTimeout(done, begun.interval * 1000 + 200))
    const tokens = await oauth.processBackchannelAuthenticationGrantResponse(at.as, at.client, await poll())
    return { early, token_type: tokens.token_type, paid: await pay(at, tokens, 4200, dpop) }
  },

  async signed_introspection() {
    const key = await signingKey()
    const at = await partner(byKey(key), keyed(key))
    const dpop = await proof(at)
    const tokens = await credentials(at, 'accounts:read', dpop)
    const server_key = await signingKey()
    const resource = await partner(byKey(server_key, { introspection_signed_response_alg: 'ES256', tongbao_resource_server: true }), keyed(server_key), to, at.client.registration_access_token)
    const told = await introspect(resource, tokens.access_token, true)
    return { told: told.active, client: told.client_id === at.client.client_id }
  },

  // RFC 7592, which no library knows.
  async registration() {
    const key = await signingKey()
    const { client, ...at } = await partner(byKey(key), keyed(key))
    const bearer = { authorization: `Bearer ${client.registration_access_token}` }
    const call = async (method, body, headers = bearer) => {
      const options = { method, headers: { ...headers, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) }
      const response = await wire()(client.registration_client_uri, options)
      return { status: response.status, body: response.status === 204 ? undefined : await response.json() }
    }
    const read = await call('GET')
    const { registration_access_token, registration_client_uri, client_secret_expires_at, client_id_issued_at, tongbao_sandbox, ...rest } = read.body
    const changed = await call('PUT', { ...rest, client_name: 'Another name' })
    const forbidden = await call('PUT', { ...rest, client_id_issued_at: 1 })
    const bad = await call('PUT', { ...rest, redirect_uris: ['http://partner.example/'] })
    const kept = await call('GET')
    const stranger = await call('GET', undefined, { authorization: 'Bearer nothing' })
    const dpop = await proof({ client })
    const tokens = await credentials({ client, ...at }, 'accounts:read', dpop)
    const listing = () => oauth.protectedResourceRequest(tokens.access_token, 'GET', new URL('/accounts/v1/accounts', issuer), undefined, undefined, { ...to, DPoP: dpop })
    const before = (await listing()).status
    const deleted = await call('DELETE')
    const after = await listing().then((r) => r.status, (error) => error.status)
    return {
      read: read.status, changed: changed.body.client_name, forbidden: forbidden.status, bad: bad.body.error, kept: kept.body.client_name,
      stranger: stranger.status, before, deleted: deleted.status, gone: (await call('GET')).status, after,
    }
  },
}

tell(await scenarios[process.argv[2]]())
process.exit(0)
