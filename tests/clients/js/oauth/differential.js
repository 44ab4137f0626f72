// The same requests to Tongbao and to oidc-provider: node differential.js. Prints a line for each: what was asked, and
// the status and error code of both. A request is built anew for each server, from its own metadata, client and codes.

import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { CompactSign, calculateJwkThumbprint, importJWK, SignJWT, UnsecuredJWT } from 'jose6'
import * as oauth from 'oauth4webapi'
import { Customer } from './customer.js'
import { oracle } from './oracle.js'
import { REDIRECT, SCOPE } from './partner.js'
import { issuer, wire } from './wire.js'

const fetch = wire()
const now = () => Math.floor(Date.now() / 1000)
const random = (bytes = 32) => randomBytes(bytes).toString('base64url')

// ---- keys and what is signed with them ----

function pair(algorithm, kid) {
  const [kind, options] = { ES256: ['ec', { namedCurve: 'P-256' }], PS256: ['rsa', { modulusLength: 2048 }], RS256: ['rsa', { modulusLength: 2048 }] }[algorithm]
  const { privateKey, publicKey } = generateKeyPairSync(kind, options)
  return { algorithm, kid, privateKey, secret: privateKey.export({ format: 'jwk' }), jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: algorithm } }
}

// Claims with `undefined` are left out.
async function sign(key, claims, header = {}) {
  const payload = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
  if (header.alg === 'none') return new UnsecuredJWT(payload).encode()
  const alg = header.alg ?? key.algorithm
  const secret = alg.startsWith('HS') ? randomBytes(32) : await importJWK(key.secret, alg)
  return new SignJWT(payload).setProtectedHeader({ alg, kid: key.kid, ...header }).sign(secret)
}

const spoilt = (jwt) => jwt.slice(0, -8) + (jwt.endsWith('AAAAAAAA') ? 'BBBBBBBB' : 'AAAAAAAA')

// ---- one client at one server ----

class Party {
  constructor(as, id, key, login) {
    Object.assign(this, { as, id, key, login, proofKey: pair('ES256') })
  }

  assertion(claims = {}, header) {
    const t = now()
    return sign(this.key, { iss: this.id, sub: this.id, aud: this.as.issuer, iat: t, exp: t + 60, jti: randomUUID(), ...claims }, header)
  }

  async authentication(claims, header) {
    return {
      client_id: this.id,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await this.assertion(claims, header),
    }
  }

  async proof(url, claims = {}, header = {}, token) {
    const key = header.key ?? this.proofKey
    const ath = token && createHash('sha256').update(token).digest('base64url')
    const { kid, use, alg, ...jwk } = key.jwk
    const given = { typ: 'dpop+jwt', kid: undefined, jwk, ...header, key: undefined }
    for (const name of Object.keys(given)) if (given[name] === undefined) delete given[name]
    const payload = { htm: 'POST', htu: url, iat: now(), jti: randomUUID(), ath, ...claims }
    for (const name of Object.keys(payload)) if (payload[name] === undefined) delete payload[name]
    if (given.alg === 'none') return new UnsecuredJWT(payload).encode()
    return new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader({ alg: key.algorithm, ...given }).sign(await importJWK(key.secret, key.algorithm))
  }

  requestObject(parameters, claims = {}, header = {}) {
    const t = now()
    return sign(this.key, { ...parameters, client_id: this.id, iss: this.id, aud: this.as.issuer, nbf: t, exp: t + 60, ...claims }, { typ: 'oauth-authz-req+jwt', ...header })
  }

  // An authorization request's parameters, and the verifier that goes with them.
  request(more = {}) {
    this.verifier = random()
    const parameters = {
      response_type: 'code', redirect_uri: REDIRECT, scope: 'openid', state: 'a state', nonce: 'a nonce',
      code_challenge: createHash('sha256').update(this.verifier).digest('base64url'), code_challenge_method: 'S256', ...more,
    }
    return Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined))
  }

  async push(parameters = this.request()) {
    const { body } = await send(this.as.pushed_authorization_request_endpoint, { ...parameters, ...(await this.authentication()) })
    return body.request_uri
  }

  async code(more) {
    const url = new URL(this.as.authorization_endpoint)
    url.search = new URLSearchParams({ client_id: this.id, request_uri: await this.push(this.request(more)) })
    return (await this.login(url)).searchParams.get('code')
  }

  async token(parameters, { headers, authentication } = {}) {
    const url = this.as.token_endpoint
    const given = headers ?? { dpop: await this.proof(url) }
    return send(url, { ...parameters, ...(authentication ?? (await this.authentication())) }, given)
  }

  async exchange(code, more = {}, options) {
    const parameters = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT, code_verifier: this.verifier, ...more }
    for (const name of Object.keys(parameters)) if (parameters[name] === undefined) delete parameters[name]
    return this.token(parameters, options)
  }
}

async function send(url, parameters, headers = {}, options = {}) {
  const body = parameters && (parameters instanceof URLSearchParams ? parameters : new URLSearchParams(parameters)).toString()
  const kind = body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }
  const response = await fetch(url, { method: 'POST', redirect: 'manual', body, headers: { ...kind, ...headers }, ...options })
  const text = await response.text()
  const json = response.headers.get('content-type')?.includes('json') && text !== '' ? JSON.parse(text) : {}
  return { status: response.status, body: json, headers: response.headers }
}

// ---- the requests ----

const cases = {}
const par = (name, parameters, authentication, headers) => {
  cases[`par: ${name}`] = async (p) => send(p.as.pushed_authorization_request_endpoint, { ...(await parameters(p)), ...(await authentication(p)) }, headers ? await headers(p) : {})
}
const good = (p) => p.authentication()
const asked = (more) => (p) => p.request(more)

// client authentication, which is the same at every endpoint
for (const [name, claims, header] of [
  ['a good assertion', {}],
  ['assertion for the token endpoint', (p) => ({ aud: p.as.token_endpoint })],
  ['assertion for the endpoint itself', (p) => ({ aud: p.as.pushed_authorization_request_endpoint })],
  ['assertion with the issuer in an array', (p) => ({ aud: [p.as.issuer] })],
  ['assertion for another', { aud: 'https://other.example' }],
  ['assertion without aud', { aud: undefined }],
  ['assertion that expired five minutes ago', () => ({ iat: now() - 360, exp: now() - 300 })],
  ['assertion without exp', { exp: undefined }],
  ['assertion without sub', { sub: undefined }],
  ['assertion without iss', { iss: undefined }],
  ['assertion without jti', { jti: undefined }],
  ['assertion about another client', { sub: 'app_other' }],
  ['assertion from 8 s ahead', () => ({ nbf: now() + 8 })],
  ['assertion from 90 s ahead', () => ({ nbf: now() + 90, exp: now() + 150 })],
  ['assertion signed by RS256', {}, { alg: 'RS256', rsa: true }],
  ['assertion signed by HS256', {}, { alg: 'HS256' }],
  ['assertion with alg none', {}, { alg: 'none' }],
  ['assertion with crit', {}, { crit: ['zz'], zz: 1, raw: true }],
])
  par(name, asked(), async (p) => {
    const given = typeof claims === 'function' ? claims(p) : claims
    if (header?.rsa) return { ...(await p.authentication()), client_assertion: await sign(pair('RS256', p.key.kid), { iss: p.id, sub: p.id, aud: p.as.issuer, iat: now(), exp: now() + 60, jti: randomUUID() }) }
    if (header?.raw) {
      const claims = { iss: p.id, sub: p.id, aud: p.as.issuer, iat: now(), exp: now() + 60, jti: randomUUID() }
      const jwt = await new CompactSign(Buffer.from(JSON.stringify(claims))).setProtectedHeader({ alg: 'ES256', kid: p.key.kid, crit: ['zz'], zz: 1 }).sign(await importJWK(p.key.secret, 'ES256'), { crit: { zz: true } })
      return { ...(await p.authentication()), client_assertion: jwt }
    }
    return p.authentication(given, header)
  })
par('an assertion used before', asked(), async (p) => {
  const authentication = await p.authentication()
  await send(p.as.pushed_authorization_request_endpoint, { ...p.request(), ...authentication })
  return authentication
})
par('assertion with a spoilt signature', asked(), async (p) => ({ ...(await p.authentication()), client_assertion: spoilt(await p.assertion()) }))
par('assertion of another type', asked(), async (p) => ({ ...(await p.authentication()), client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' }))
par('assertion without its type', asked(), async (p) => ({ client_id: p.id, client_assertion: await p.assertion() }))
par('no authentication', asked(), async (p) => ({ client_id: p.id }))
par('a client nobody knows', asked(), async (p) => ({ ...(await p.authentication({ iss: 'app_nobody', sub: 'app_nobody' })), client_id: 'app_nobody' }))
par('a client_id that is not the assertion\'s', asked(), async (p) => ({ ...(await p.authentication()), client_id: 'app_other' }))

// the authorization request
par('without response_type', asked({ response_type: undefined }), good)
par('response_type token', asked({ response_type: 'token' }), good)
par('response_type code id_token', asked({ response_type: 'code id_token' }), good)
par('without redirect_uri', asked({ redirect_uri: undefined }), good)
par('a redirect_uri that is not registered', asked({ redirect_uri: 'https://other.example/callback' }), good)
par('without PKCE', asked({ code_challenge: undefined, code_challenge_method: undefined }), good)
par('plain PKCE', asked({ code_challenge_method: 'plain' }), good)
par('PKCE without its method', asked({ code_challenge_method: undefined }), good)
par('a code_challenge that is too short', asked({ code_challenge: 'short' }), good)
par('a scope nobody knows', asked({ scope: 'openid everything' }), good)
par('a request_uri inside', asked({ request_uri: 'urn:ietf:params:oauth:request_uri:x' }), good)
par('a parameter nobody knows', asked({ colour: 'red' }), good)
par('response_mode jwt', asked({ response_mode: 'jwt' }), good)
par('response_mode fragment', asked({ response_mode: 'fragment' }), good)
par('response_mode nonsense', asked({ response_mode: 'nonsense' }), good)
par('without state and nonce', asked({ state: undefined, nonce: undefined }), good)
par('a long state', asked({ state: 's'.repeat(1200) }), good)
par('claims that are not JSON', asked({ claims: '{' }), good)
par('max_age that is no number', asked({ max_age: 'x' }), good)
par('a DPoP proof', asked(), good, async (p) => ({ dpop: await p.proof(p.as.pushed_authorization_request_endpoint) }))
par('a DPoP proof for elsewhere', asked(), good, async (p) => ({ dpop: await p.proof('https://other.example/') }))
par('a dpop_jkt that is not the proof\'s', asked({ dpop_jkt: random() }), good, async (p) => ({ dpop: await p.proof(p.as.pushed_authorization_request_endpoint) }))
cases['par: by GET'] = (p) => send(p.as.pushed_authorization_request_endpoint, undefined, {}, { method: 'GET', body: undefined })
cases['par: as JSON'] = async (p) => send(p.as.pushed_authorization_request_endpoint, undefined, { 'content-type': 'application/json' }, { body: JSON.stringify({ ...p.request(), ...(await p.authentication()) }) })
cases['par: a parameter twice'] = async (p) => {
  const parameters = new URLSearchParams({ ...p.request(), ...(await p.authentication()) })
  parameters.append('scope', 'openid')
  return send(p.as.pushed_authorization_request_endpoint, parameters)
}

// request objects
for (const [name, claims, header] of [
  ['a good one', {}],
  ['for an array with the issuer', (p) => ({ aud: [p.as.issuer, 'https://other.example'] })],
  ['for another', { aud: 'https://other.example' }],
  ['without exp', { exp: undefined }],
  ['without nbf', { nbf: undefined }],
  ['that has expired', () => ({ nbf: now() - 120, exp: now() - 60 })],
  ['that lives too long', () => ({ exp: now() + 70 * 60 })],
  ['that began too long ago', () => ({ nbf: now() - 70 * 60 })],
  ['from 8 s ahead', () => ({ nbf: now() + 8 })],
  ['of another client', { iss: 'app_other' }],
  ['with alg none', {}, { alg: 'none' }],
  ['without redirect_uri', { redirect_uri: undefined }],
  ['with a request inside', { request: 'x' }],
])
  par(`request object ${name}`, async (p) => ({ request: await p.requestObject(p.request(), typeof claims === 'function' ? claims(p) : claims, header) }), good)
par('request object with a spoilt signature', async (p) => ({ request: spoilt(await p.requestObject(p.request())) }), good)
par('request object that is no JWT', async () => ({ request: 'nonsense' }), good)

// the authorization endpoint, by a link and by a form
const pageOf = (url, answer) => {
  const location = answer.headers.get('location')
  const error = location && (new URL(location, url).searchParams.get('error') ?? 'no error')
  return { ...answer, body: { error } } // a page of ours says it in words only
}
const authorize = (name, parameters) => {
  cases[`authorize: ${name}`] = async (p) => {
    const url = new URL(p.as.authorization_endpoint)
    url.search = new URLSearchParams(await parameters(p))
    return pageOf(url, await send(url, undefined, {}, { method: 'GET', body: undefined }))
  }
}
const authorizeByPost = (name, parameters, { query = () => '', headers, options = () => ({}) } = {}) => {
  cases[`authorize by POST: ${name}`] = async (p) => {
    const url = new URL(p.as.authorization_endpoint)
    const sent = await parameters(p)
    url.search = new URLSearchParams(query(p))
    return pageOf(url, await send(url, sent, headers, options(sent)))
  }
}
const pushed = async (p) => ({ client_id: p.id, request_uri: await p.push() })
authorize('plain parameters', (p) => ({ client_id: p.id, ...p.request() }))
authorize('without request_uri', (p) => ({ client_id: p.id }))
authorize('a request_uri nobody pushed', (p) => ({ client_id: p.id, request_uri: `urn:ietf:params:oauth:request_uri:${random()}` }))
authorize('without client_id', async (p) => ({ request_uri: await p.push() }))
authorize('another client\'s request_uri', async (p) => ({ client_id: p.other.id, request_uri: await p.push() }))
authorizeByPost('what was pushed', pushed)
authorizeByPost('plain parameters', (p) => ({ client_id: p.id, ...p.request() }))
authorizeByPost('a request_uri nobody pushed', (p) => ({ client_id: p.id, request_uri: `urn:ietf:params:oauth:request_uri:${random()}` }))
authorizeByPost('without client_id', async (p) => ({ request_uri: await p.push() }))
authorizeByPost('another client\'s request_uri', async (p) => ({ client_id: p.other.id, request_uri: await p.push() }))
authorizeByPost('client_id twice', async (p) => new URLSearchParams([...Object.entries(await pushed(p)), ['client_id', p.id]]))
authorizeByPost('parameters in the URL, too', pushed, { query: (p) => ({ client_id: p.id }) })
authorizeByPost('as JSON', pushed, { headers: { 'content-type': 'application/json' }, options: (sent) => ({ body: JSON.stringify(sent) }) })

// the token endpoint
const token = (name, parameters, options) => {
  cases[`token: ${name}`] = async (p) => p.token(await parameters(p), options && (await options(p)))
}
const credentials = () => ({ grant_type: 'client_credentials', scope: 'accounts:read' })
const proved = (claims, header) => async (p) => ({ headers: { dpop: await p.proof(p.as.token_endpoint, typeof claims === 'function' ? claims(p) : claims, header) } })
token('client credentials', credentials)
token('a scope nobody knows', () => ({ ...credentials(), scope: 'everything' }))
token('no grant_type', () => ({ scope: 'accounts:read' }))
token('a grant nobody knows', () => ({ grant_type: 'urn:example:grant' }))
token('the password grant', () => ({ grant_type: 'password', username: 'a', password: 'b' }))
token('without a proof', credentials, () => ({ headers: {} }))
token('a proof that is no JWT', credentials, () => ({ headers: { dpop: 'nonsense' } }))
token('a proof for elsewhere', credentials, proved({ htu: 'https://other.example/' }))
token('a proof with a query', credentials, proved((p) => ({ htu: `${p.as.token_endpoint}?a=b` })))
token('a proof by another method', credentials, proved({ htm: 'GET' }))
token('a proof of an hour ago', credentials, proved(() => ({ iat: now() - 3600 })))
token('a proof of the next hour', credentials, proved(() => ({ iat: now() + 3600 })))
token('a proof without jti', credentials, proved({ jti: undefined }))
token('a proof without iat', credentials, proved({ iat: undefined }))
token('a proof of another type', credentials, proved({}, { typ: 'JWT' }))
token('a proof with alg none', credentials, proved({}, { alg: 'none' }))
token('a proof without its key', credentials, proved({}, { jwk: undefined }))
token('a proof with a private key', credentials, async (p) => ({ headers: { dpop: await p.proof(p.as.token_endpoint, {}, { jwk: p.proofKey.secret }) } }))
token('a proof used before', credentials, async (p) => {
  const dpop = await p.proof(p.as.token_endpoint)
  await p.token(credentials(), { headers: { dpop } })
  return { headers: { dpop } }
})
token('no authentication', credentials, (p) => ({ authentication: { client_id: p.id } }))
token('a code nobody made', (p) => ({ grant_type: 'authorization_code', code: random(), redirect_uri: REDIRECT, code_verifier: random() }))
token('no code', () => ({ grant_type: 'authorization_code', redirect_uri: REDIRECT, code_verifier: random() }))
token('a refresh token nobody made', () => ({ grant_type: 'refresh_token', refresh_token: random() }))
token('no refresh token', () => ({ grant_type: 'refresh_token' }))
cases['token: by GET'] = (p) => send(p.as.token_endpoint, undefined, {}, { method: 'GET', body: undefined })
cases['token: a code'] = async (p) => p.exchange(await p.code())
cases['token: a code used before'] = async (p) => {
  const code = await p.code()
  await p.exchange(code)
  return p.exchange(code)
}
cases['token: a code with another verifier'] = async (p) => p.exchange(await p.code(), { code_verifier: random() })
cases['token: a code without its verifier'] = async (p) => p.exchange(await p.code(), { code_verifier: undefined })
cases['token: a code with another redirect_uri'] = async (p) => p.exchange(await p.code(), { redirect_uri: 'https://other.example/' })
cases['token: a code without redirect_uri'] = async (p) => p.exchange(await p.code(), { redirect_uri: undefined })
cases['token: another client\'s code'] = async (p) => {
  const code = await p.code()
  p.other.verifier = p.verifier
  return p.other.exchange(code)
}
cases['token: a code bound to another key'] = async (p) => p.exchange(await p.code({ dpop_jkt: await calculateJwkThumbprint(p.proofKey.jwk) }), {}, { headers: { dpop: await p.proof(p.as.token_endpoint, {}, { key: pair('ES256') }) } })
cases['token: refreshed'] = async (p) => {
  const { body } = await p.exchange(await p.code())
  return p.token({ grant_type: 'refresh_token', refresh_token: body.refresh_token })
}
cases['token: refreshed with more scope'] = async (p) => {
  const { body } = await p.exchange(await p.code())
  return p.token({ grant_type: 'refresh_token', refresh_token: body.refresh_token, scope: 'openid accounts:read' })
}
cases['token: another client\'s refresh token'] = async (p) => {
  const { body } = await p.exchange(await p.code())
  return p.other.token({ grant_type: 'refresh_token', refresh_token: body.refresh_token })
}

// introspection, revocation, userinfo
const about = (endpoint, name, parameters, authentication = good) => {
  cases[`${endpoint}: ${name}`] = async (p) => {
    const answer = await send(p.as[`${endpoint}_endpoint`], { ...(await parameters(p)), ...(await authentication(p)) })
    return { ...answer, body: { error: answer.body.error ?? (answer.body.active === undefined ? undefined : `active ${answer.body.active}`) } }
  }
}
const minted = async (p) => ({ token: (await p.token(credentials())).body.access_token })
for (const endpoint of ['introspection', 'revocation']) {
  about(endpoint, 'an unknown token', () => ({ token: random() }))
  about(endpoint, 'no token', () => ({}))
  about(endpoint, 'no authentication', () => ({ token: random() }), (p) => ({ client_id: p.id }))
  about(endpoint, 'an own token', minted)
  about(endpoint, 'another client\'s token', (p) => minted(p.other))
}
const userinfo = (name, headers) => {
  cases[`userinfo: ${name}`] = async (p) => {
    const answer = await send(p.as.userinfo_endpoint, undefined, await headers(p, p.as.userinfo_endpoint), { method: 'GET', body: undefined })
    const challenge = /error="([a-z_]+)"/.exec(answer.headers.get('www-authenticate') ?? '')
    return { ...answer, body: { error: challenge?.[1] } }
  }
}
const shown = async (p) => (await p.exchange(await p.code())).body.access_token
userinfo('no token', () => ({}))
userinfo('a token nobody made', async (p, url) => ({ authorization: `DPoP ${random()}`, dpop: await p.proof(url, { htm: 'GET' }, {}, 'x') }))
userinfo('a token with its proof', async (p, url) => {
  const t = await shown(p)
  return { authorization: `DPoP ${t}`, dpop: await p.proof(url, { htm: 'GET' }, {}, t) }
})
userinfo('a token without its proof', async (p) => ({ authorization: `DPoP ${await shown(p)}` }))
userinfo('a bound token as a bearer', async (p) => ({ authorization: `Bearer ${await shown(p)}` }))
userinfo('a proof of another token', async (p, url) => ({ authorization: `DPoP ${await shown(p)}`, dpop: await p.proof(url, { htm: 'GET' }, {}, 'other') }))
userinfo('a proof by another key', async (p, url) => {
  const t = await shown(p)
  return { authorization: `DPoP ${t}`, dpop: await p.proof(url, { htm: 'GET' }, { key: pair('ES256') }, t) }
})

// ---- both servers, and the comparison ----

const metadata = (key) => ({
  client_name: 'Compared', redirect_uris: [REDIRECT], response_types: ['code'], scope: SCOPE,
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256',
  request_object_signing_alg: 'ES256', id_token_signed_response_alg: 'ES256', authorization_signed_response_alg: 'ES256', jwks: { keys: [key.jwk] }, dpop_bound_access_tokens: true,
})

const discover = async (url) => oauth.processDiscoveryResponse(new URL(url), await oauth.discoveryRequest(new URL(url), { [oauth.customFetch]: fetch, algorithm: url === issuer ? 'oauth2' : 'oidc' }))

async function ours(keys) {
  const as = await discover(issuer)
  const made = []
  for (const key of keys) {
    const asking = await oauth.dynamicClientRegistrationRequest(as, metadata(key), { [oauth.customFetch]: fetch })
    const client = await oauth.processDynamicClientRegistrationResponse(asking)
    const customer = new Customer(client.tongbao_sandbox.users[0], issuer)
    made.push(new Party(as, client.client_id, key, (url) => customer.decide(url)))
  }
  return made
}

// Its pages are redirects to be followed until they lead away.
function follower(home) {
  const cookies = new Map()
  return async (url) => {
    for (let hops = 0; hops < 12; hops++) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const response = await fetch(url, { redirect: 'manual', headers: { cookie } })
      for (const set of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)
        cookies.set(name, value)
      }
      url = new URL(response.headers.get('location'), url)
      if (url.origin !== home) return url
    }
    throw new Error('the oracle goes in circles')
  }
}

async function theirs(keys) {
  const clients = keys.map((key, n) => ({ client_id: `app_${n}`, ...metadata(key) }))
  const home = await oracle(clients, [{ ...pair('ES256', 'oracle').secret, kid: 'oracle', alg: 'ES256', use: 'sig' }])
  const as = await discover(home)
  return keys.map((key, n) => new Party(as, `app_${n}`, key, follower(home)))
}

const keys = [pair('ES256', 'one'), pair('ES256', 'two')]
const parties = { ours: await ours(keys), theirs: await theirs(keys) }
for (const [one, other] of Object.values(parties)) Object.assign(one, { other })

async function answer(ask, [party]) {
  try {
    const { status, body } = await ask(party)
    return { status, error: body.error ?? null, description: body.error_description ?? null }
  } catch (error) {
    return { status: 0, error: String(error), description: error.stack }
  }
}

for (const [name, ask] of Object.entries(cases)) console.log(JSON.stringify({ name, ours: await answer(ask, parties.ours), theirs: await answer(ask, parties.theirs) }))
process.exit(0)
