// A customer of the bank in front of its pages: a browser without scripts that logs in with password and TOTP and
// approves what a client asks for. It finds its way by what the pages say to everybody: the kind of a field, the value of
// a button.

import { createHmac } from 'node:crypto'
import { JSDOM } from 'jsdom'
import { wire } from './wire.js'

const STEP_S = 30
const used = new Set()

function base32(text) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...text.replace(/=+$/, '')].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('')
  return Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)))
}

// RFC 6238. A code counts once, so the one for the next step is taken where this step's has been used.
function totp(secret) {
  let step = Math.floor(Date.now() / 1000 / STEP_S)
  while (used.has(`${secret} ${step}`)) step++
  used.add(`${secret} ${step}`)
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', base32(secret)).update(counter).digest()
  const offset = mac[19] & 15
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

const said = (page) => page.body.textContent.replace(/\s+/g, ' ')

export class Customer {
  constructor({ login, password, totp_secret: secret }, home) {
    Object.assign(this, { login, password, secret, home: new URL(home).origin, fetch: wire(), cookies: new Map() })
  }

  // Follow redirects as long as they stay with the bank. Returns the page, or the URL that leads away.
  async go(url, options = {}) {
    for (let hops = 0; hops < 10; hops++) {
      const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const headers = { ...options.headers, ...(cookie && { cookie }), 'accept-language': 'en' }
      const response = await this.fetch(url, { ...options, headers, redirect: 'manual' })
      for (const set of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)
        this.cookies.set(name, value)
      }
      if (response.status !== 303) return { response, page: new JSDOM(await response.text(), { url: String(url) }).window.document }
      url = new URL(response.headers.get('location'), url)
      if (url.origin !== this.home) return { away: url }
      options = {}
    }
    throw new Error('the pages go in circles')
  }

  submit(form, button) {
    const fields = new URLSearchParams()
    for (const input of form.elements) {
      const chosen = !['checkbox', 'radio'].includes(input.type) || input.checked
      if (input.name && chosen && input.type !== 'submit') fields.append(input.name, input.value)
    }
    if (button?.name) fields.append(button.name, button.value)
    const action = button?.getAttribute('formaction') ?? form.getAttribute('action')
    return this.go(new URL(action, form.ownerDocument.URL), {
      method: 'POST',
      body: fields.toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: this.home, 'sec-fetch-site': 'same-origin' },
    })
  }

  // Log in wherever a page asks for it; gives the first page behind the login.
  async enter(url) {
    let at = await this.go(url)
    for (let tries = 0; tries < 3 && at.page; tries++) {
      const field = (selector) => at.page.querySelector(selector)
      const [name, password, code] = [
        field('input[autocomplete="username"]'), field('input[type="password"]'), field('input[autocomplete="one-time-code"]')]
      if (!password && !code) return at
      if (name) name.value = this.login
      if (password) password.value = this.password
      if (code) code.value = totp(this.secret)
      const { form } = password ?? code
      at = await this.submit(form, form.querySelector('button[type="submit"], button:not([type])'))
    }
    return at
  }

  press(at, decision) {
    const button = at.page.querySelector(`button[value="${decision}"]`)
    if (!button) throw new Error(`no button to ${decision}: ${at.response.status} ${said(at.page)}`)
    for (const box of button.form.querySelectorAll('input[type="checkbox"]')) box.checked = true
    for (const group of new Set([...button.form.querySelectorAll('input[type="radio"]')].map((radio) => radio.name)))
      button.form.querySelector(`input[type="radio"][name="${group}"]`).checked = true
    return this.submit(button.form, button)
  }

  // Decide on what the client asks for and return the URL the browser is sent to.
  async decide(url, decision = 'approve') {
    const at = await this.enter(url)
    if (at.away) return at.away
    const left = await this.press(at, decision)
    if (!left.away) throw new Error(`still with the bank: ${left.response.status} ${said(left.page)}`)
    return left.away
  }

  // Decide, on the dashboard, on the request that says `about`.
  async decideWaiting(about, decision = 'approve') {
    const dashboard = await this.enter(new URL('/oauth/dashboard', this.home))
    const card = [...dashboard.page.querySelectorAll('article')].find((article) => article.textContent.includes(about))
    if (!card) throw new Error(`nothing waits that says ${about}: ${said(dashboard.page)}`)
    await this.press(await this.go(new URL(card.querySelector('a').href, this.home)), decision)
  }
}
