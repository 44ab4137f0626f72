// openid-client against the sandbox: node openid_client.js <scenario>. Each scenario begins with nothing but the URL,
// registers, and prints what it met as one line of JSON. Whatever the library does not like, it throws.

import { randomUUID, X509Certificate } from 'node:crypto'
import * as client from 'openid-client'
import { Customer } from './customer.js'
import { byCertificate, byKey, CIBA, decoupled, paymentDetail, REDIRECT, SCOPE, signedMessages, signingKey } from './partner.js'
import { certificate, env, issuer, tell, wire } from './wire.js'

const server = new URL(issuer)
const plain = { [client.customFetch]: wire() }
const world = (config) => config.clientMetadata().tongbao_sandbox

// Register, and make the configuration for what was registered.
async function partner(metadata, authentication, options = plain, more = {}, beside) {
  const registered = await client.dynamicClientRegistration(server, metadata, authentication, { ...plain, initialAccessToken: beside })
  const config = await client.discovery(server, registered.clientMetadata().client_id, { ...registered.clientMetadata(), ...more }, authentication, options)
  return config
}

const keyed = (key) => client.PrivateKeyJwt({ key: key.key, kid: key.kid })

// An authorization by the code flow with PAR; `request` adds parameters or makes a request object of them.
async function authorize(config, parameters, { dpop, request = (p) => p } = {}) {
  const verifier = client.randomPKCECodeVerifier()
  const all = {
    redirect_uri: REDIRECT,
    scope: SCOPE,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: client.randomState(),
    nonce: client.randomNonce(),
    ...parameters,
  }
  const url = await client.buildAuthorizationUrlWithPAR(config, await request(all), { DPoP: dpop })
  const customer = new Customer(world(config).users[0], issuer)
  const callback = await customer.decide(url)
  const checks = { pkceCodeVerifier: verifier, expectedState: all.state, expectedNonce: all.nonce, idTokenExpected: true }
  const tokens = await client.authorizationCodeGrant(config, callback, checks, undefined, { DPoP: dpop })
  return { tokens, callback, customer }
}

const details = (config, amount = 4200) => ({ authorization_details: JSON.stringify([paymentDetail(world(config), amount)]) })

async function pay(config, tokens, amount, dpop, base = issuer) {
  const detail = paymentDetail(world(config), amount)
  const body = { reference: randomUUID(), debtor_account: detail.debtor_account, creditor_account: detail.creditor_account, amount: detail.amount }
  const headers = new Headers({ 'content-type': 'application/json', 'idempotency-key': randomUUID() })
  const url = new URL('/e-payment/v1/payments', base)
  const response = await client.fetchProtectedResource(config, tokens.access_token, url, 'POST', JSON.stringify(body), headers, { DPoP: dpop })
  return { status: response.status, ...(await response.json()) }
}

// What a WWW-Authenticate challenge makes the library throw, as a status.
async function status(promise) {
  try {
    return (await promise).status
  } catch (error) {
    return error.status ?? error.cause?.status ?? Promise.reject(error)
  }
}

const scenarios = {
  async code_with_dpop() {
    const key = await signingKey(env.ALGORITHM ?? 'ES256')
    const config = await partner(byKey(key), keyed(key))
    const dpop = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const { tokens, callback } = await authorize(config, details(config), { dpop })
    const paid = await pay(config, tokens, 4200, dpop)
    const again = await status(pay(config, tokens, 4200, dpop))
    const fresh = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: dpop })
    const user = await client.fetchUserInfo(config, fresh.access_token, tokens.claims().sub, { DPoP: dpop })
    const known = await client.tokenIntrospection(config, fresh.access_token)
    await client.tokenRevocation(config, tokens.refresh_token)
    const gone = await client.tokenIntrospection(config, fresh.access_token)
    return {
      token_type: tokens.token_type, iss: callback.searchParams.get('iss'), paid, again, details: tokens.authorization_details,
      same_subject: user.sub === tokens.claims().sub, known: known.active, jkt: known.cnf?.jkt !== undefined, gone,
      refused: await status(client.fetchUserInfo(config, fresh.access_token, tokens.claims().sub, { DPoP: dpop })),
    }
  },

  async code_with_mtls() {
    const shown = certificate()
    const jwk = new X509Certificate(shown.certificate).publicKey.export({ format: 'jwk' })
    const over = { [client.customFetch]: wire(shown) }
    const config = await partner(byCertificate(jwk), client.TlsClientAuth(), over, { use_mtls_endpoint_aliases: true })
    const { tokens } = await authorize(config, details(config))
    const paid = await pay(config, tokens, 4200, undefined, env.TB_MTLS_URL)
    const fresh = await client.refreshTokenGrant(config, tokens.refresh_token)
    const known = await client.tokenIntrospection(config, fresh.access_token)
    const bare = await wire()(`${env.TB_URL}/e-payment/v1/payments`, { headers: { authorization: `Bearer ${fresh.access_token}` } })
    return { token_type: tokens.token_type, paid, known: known.active, x5t: known.cnf?.['x5t#S256'] !== undefined, without_certificate: bare.status }
  },

  async signed_messages() {
    const key = await signingKey()
    const config = await partner(signedMessages(key), keyed(key))
    client.useJwtResponseMode(config)
    client.enableNonRepudiationChecks(config)
    const dpop = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const request = async (parameters) => (await client.buildAuthorizationUrlWithJAR(config, parameters, { key: key.key, kid: key.kid })).searchParams
    const { tokens, callback } = await authorize(config, details(config), { dpop, request })
    const paid = await pay(config, tokens, 4200, dpop)
    return { paid, sent_back: [...callback.searchParams.keys()] }
  },

  async client_credentials() {
    const key = await signingKey('PS256')
    const config = await partner(byKey(key), keyed(key))
    const dpop = client.getDPoPHandle(config, await client.randomDPoPKeyPair('Ed25519'))
    const tokens = await client.clientCredentialsGrant(config, { scope: 'accounts:read' }, { DPoP: dpop })
    const url = new URL('/accounts/v1/accounts', issuer)
    const listed = await client.fetchProtectedResource(config, tokens.access_token, url, 'GET', undefined, undefined, { DPoP: dpop })
    return { token_type: tokens.token_type, scope: tokens.scope, listed: listed.status, accounts: (await listed.json()).data.length }
  },

  async decoupled() {
    const key = await signingKey()
    const config = await partner(decoupled(key), keyed(key))
    const dpop = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const [user] = world(config).users
    const begun = await client.initiateBackchannelAuthentication(config, {
      scope: 'openid', login_hint: user.login, binding_message: 'Order 17', ...details(config),
    })
    const polling = client.pollBackchannelAuthenticationGrant(config, begun, undefined, { DPoP: dpop })
    await new Customer(user, issuer).decideWaiting('Order 17')
    const tokens = await polling
    return { interval: begun.interval, token_type: tokens.token_type, id_token: tokens.claims() !== undefined, paid: await pay(config, tokens, 4200, dpop), grant: CIBA }
  },

  // RFC 9701: only a resource server gets its answers signed.
  async signed_introspection() {
    const key = await signingKey()
    const config = await partner(byKey(key), keyed(key))
    const dpop = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const tokens = await client.clientCredentialsGrant(config, { scope: 'accounts:read' }, { DPoP: dpop })
    const server_key = await signingKey()
    const asking = byKey(server_key, { introspection_signed_response_alg: 'ES256', tongbao_resource_server: true })
    const resource = await partner(asking, keyed(server_key), plain, {}, config.clientMetadata().registration_access_token)
    client.enableNonRepudiationChecks(resource)
    const told = await client.tokenIntrospection(resource, tokens.access_token)
    const own = await client.tokenIntrospection(config, tokens.access_token)
    return { told: told.active, own: own.active, client: told.client_id === config.clientMetadata().client_id }
  },
}

tell(await scenarios[process.argv[2]]())
process.exit(0)
