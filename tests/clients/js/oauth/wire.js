// How the clients reach Tongbao: HTTP/2 over TLS by undici, with or without a client certificate. What was spoken on each
// connection is remembered, so that a test can say that it was HTTP/2.

import { channel } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { Agent, fetch } from 'undici'

export const env = process.env
export const issuer = env.TB_URL
const ca = readFileSync(env.TB_CA)
const spoken = new Set()

channel('undici:client:connected').subscribe(({ socket }) => spoken.add(socket.alpnProtocol))

// A fetch of its own connections; `certificate` and `key` are PEM.
export function wire({ certificate, key } = {}) {
  const dispatcher = new Agent({ allowH2: true, connect: { ca, cert: certificate, key } })
  return (url, options = {}) => fetch(url, { ...options, dispatcher })
}

export const certificate = () => ({ certificate: readFileSync(env.CLIENT_CERTIFICATE), key: readFileSync(env.CLIENT_KEY) })

// The certificate as a JWK says it (RFC 7517 §4.7), for self_signed_tls_client_auth.
export const x5c = () => [readFileSync(env.CLIENT_CERTIFICATE, 'latin1').replace(/-----[^-]+-----|\s/g, '')]

export const protocols = () => [...spoken].sort()
export const tell = (result) => console.log(JSON.stringify({ ...result, protocols: protocols() }))
