// A customer follows a link: node visit.js <url> <user as JSON>. Prints what the page said that the bank led back to.

import { Customer } from './customer.js'

const [url, user] = process.argv.slice(2)
const back = await new Customer(JSON.parse(user), url).decide(new URL(url))
const answer = await fetch(back)
console.log(JSON.stringify({ status: answer.status, said: await answer.text() }))
process.exit(0)
