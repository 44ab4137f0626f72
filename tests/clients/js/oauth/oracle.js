// oidc-provider as a second opinion: certified for FAPI 2.0, configured for what Tongbao does, on a port of its own with
// the sandbox's certificate. Its customer approves everything.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import Provider from 'oidc-provider'
import { env } from './wire.js'

// Its hints are for operators; standard output is for the results.
console.info = console.warn = console.error

const ALGORITHMS = ['PS256', 'ES256', 'Ed25519']

const configuration = (clients, keys) => ({
  clients,
  jwks: { keys },
  scopes: ['openid', 'offline_access', 'accounts:read', 'e-payment:read', 'e-payment:write'],
  responseTypes: ['code'],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ALGORITHMS, requestObjectSigningAlgValues: ALGORITHMS, dPoPSigningAlgValues: ALGORITHMS,
    idTokenSigningAlgValues: ['ES256'], authorizationSigningAlgValues: ['ES256'], introspectionSigningAlgValues: ['ES256'],
  },
  features: {
    devInteractions: { enabled: false },
    fapi: { enabled: true, profile: '2.0' },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    requestObjects: { enabled: true },
    jwtResponseModes: { enabled: true },
    dPoP: { enabled: true, nonceSecret: undefined },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (ctx, client, token) => client.clientId === token.clientId },
    revocation: { enabled: true },
    userinfo: { enabled: true },
    resourceIndicators: { enabled: false },
  },
  pkce: { required: () => true },
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => false,
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/approve/${interaction.uid}` },
  enableHttpPostMethods: true, // which wants cookies that forms of other sites bring along
  cookies: { keys: ['of the tests'], long: { sameSite: 'none' } },
})

async function approve(provider, req, res) {
  const { params, prompt, session } = await provider.interactionDetails(req, res)
  const accountId = session?.accountId ?? 'customer'
  if (prompt.name === 'login') return provider.interactionFinished(req, res, { login: { accountId } })
  const grant = new provider.Grant({ accountId, clientId: params.client_id })
  grant.addOIDCScope(params.scope)
  return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true })
}

// Serve, and give the issuer. The port is the tests' to choose.
export async function oracle(clients, keys) {
  const issuer = `https://localhost:${env.ORACLE_PORT}`
  const provider = new Provider(issuer, configuration(clients, keys))
  const answer = provider.callback()
  const tls = { cert: readFileSync(env.ORACLE_CERTIFICATE), key: readFileSync(env.ORACLE_KEY) }
  const server = createServer(tls, (req, res) => (req.url.startsWith('/approve/') ? approve(provider, req, res) : answer(req, res)))
  await new Promise((done) => server.listen(Number(env.ORACLE_PORT), '127.0.0.1', done))
  return issuer
}

