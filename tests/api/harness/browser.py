"""A browser without scripts: keeps cookies, reads forms, follows redirects of the bank and stops where one leads away from it.
It holds a sandbox user's hand through the bank's pages.

    landing = Browser(server).decide(url, user)            # logs in where asked, approves
    landing.parameters["code"]
    Browser(server).decide(url, user, approve=False).parameters["error"]   # "access_denied"
"""

import base64
import hashlib
import hmac
import html.parser
import re
import struct
import threading
import time
import urllib.parse

import httpx
from yardstick import slowness

STEP_S = 30
REFUSING = re.compile(r"refuse|reject|deny|decline|cancel|拒绝", re.I)
APPROVING = re.compile(r"approve|allow|accept|confirm|authori[sz]e|同意|批准|授权", re.I)


class User:
    """Someone who can log in: login, password, and the TOTP secret (RFC 6238, base32). Codes count once, so one is given out
    for each step of 30 s, and a hurried user takes the previous and the next one, too."""

    def __init__(self, login, password, totp_secret):
        self.login, self.password = login, password
        self.secret = base64.b32decode(totp_secret.upper() + "=" * (-len(totp_secret) % 8))
        self.last_step = 0
        self.lock = threading.Lock()

    def code_at(self, step):
        mac = hmac.new(self.secret, struct.pack(">Q", step), hashlib.sha1).digest()
        at = mac[-1] & 15
        return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"

    def code(self):
        """A code nobody has used yet; waits while there is none."""
        with self.lock:
            while True:
                now = int(time.time()) // STEP_S
                for step in (now - 1, now, now + 1):
                    # A code of the step before is still good now, but not when the step ends on its way.
                    if step > self.last_step and (step >= now or time.time() % STEP_S < STEP_S - 3):
                        self.last_step = step
                        return self.code_at(step)
                time.sleep(0.2)


class Form:
    def __init__(self, attributes, base):
        self.method = attributes.get("method", "get").lower()
        self.action = urllib.parse.urljoin(base, attributes.get("action") or base)
        self.inputs, self.buttons, self.button_text = [], [], []

    def kinds(self):
        return [i.get("type", "text") for i in self.inputs]

    def values(self):
        """What would be sent as the page stands; where nothing of a group of choices is chosen, the first of radio buttons,
        and all of check boxes."""
        values = []
        for i in self.inputs:
            name, kind = i.get("name"), i.get("type", "text")
            if name is None or "disabled" in i:
                continue
            if kind in ("radio", "checkbox"):
                group = [o for o in self.inputs if o.get("name") == name and o.get("type") == kind]
                chosen = [o for o in group if "checked" in o] or (group[:1] if kind == "radio" else group)
                if i not in chosen:
                    continue
                values.append((name, i.get("value", "on")))
            else:
                values.append((name, i.get("value", "")))
        return values

    def button(self, pattern):
        """The button whose value, name or text says so, or None."""
        for attributes, text in zip(self.buttons, self.button_text):
            if pattern.search(" ".join([attributes.get("value", ""), attributes.get("name", ""), text])):
                return attributes
        return None


class Reader(html.parser.HTMLParser):
    """Finds the forms of a page and what it says."""

    def __init__(self, base):
        super().__init__()
        self.base, self.forms, self.form, self.said, self.in_button = base, [], None, [], False
        self.links = []  # (address, what the page says between the link or form before and this one)
        self.option_of, self.since = None, 0

    def said_since(self):
        """What the page said since this was asked last."""
        text, self.since = " ".join(" ".join(self.said[self.since:]).split()), len(self.said)
        return text

    def handle_starttag(self, tag, attrs):
        attributes = {name: value if value is not None else "" for name, value in attrs}
        if tag == "a" and "href" in attributes:
            self.links.append((urllib.parse.urljoin(self.base, attributes["href"]), self.said_since()))
        elif tag == "form":
            self.form = Form(attributes, self.base)
            self.forms.append(self.form)
        elif self.form and (tag == "button" or tag == "input" and attributes.get("type") == "submit"):
            self.form.buttons.append(attributes)
            self.form.button_text.append("")
            self.in_button = tag == "button"
        elif self.form and tag in ("input", "textarea"):
            self.form.inputs.append(attributes)
        elif self.form and tag == "select":
            self.option_of = {**attributes, "type": "select"}
            self.form.inputs.append(self.option_of)
        elif tag == "option" and self.option_of is not None and ("selected" in attributes or "value" not in self.option_of):
            self.option_of["value"] = attributes.get("value", "")

    def handle_endtag(self, tag):
        if tag == "form":
            self.said_since()
            self.form = None
        elif tag == "button":
            self.in_button = False
        elif tag == "select":
            self.option_of = None

    def handle_data(self, data):
        if self.in_button and self.form:
            self.form.button_text[-1] += data
        self.said.append(data)


class Page:
    """What the bank shows."""

    def __init__(self, answer):
        self.answer, self.status, self.headers = answer, answer.status_code, answer.headers
        reader = Reader(str(answer.url))
        if "html" in answer.headers.get("content-type", ""):
            reader.feed(answer.text)
        self.forms, self.links, self.text = reader.forms, reader.links, " ".join(" ".join(reader.said).split())

    def asks_password(self):
        return next((f for f in self.forms if "password" in f.kinds()), None)

    def asks_code(self):
        for form in self.forms:
            for i in form.inputs:
                if i.get("autocomplete") == "one-time-code" or re.search(r"totp|otp|one.?time", i.get("name", "")):
                    return form
        return None

    def asks_decision(self):
        return next((f for f in self.forms if f.button(REFUSING) and f.button(APPROVING)), None)

    def __repr__(self):
        return f"Page({self.status}, {self.text[:300]!r})"


class Landing:
    """Where the bank sent the browser away to. `parameters`: of its query; a repeated one fails."""

    def __init__(self, answer):
        self.answer, self.status = answer, answer.status_code
        self.location = answer.headers["location"]
        parts = urllib.parse.urlsplit(self.location)
        assert not parts.fragment, f"something in the fragment: {self.location}"
        pairs = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
        self.parameters = dict(pairs)
        assert len(self.parameters) == len(pairs), f"a parameter twice: {self.location}"
        self.address = self.location.split("?")[0]

    def __repr__(self):
        return f"Landing({self.location})"


class Browser:
    """One jar of cookies. `server`: anything with `url` and `ca`."""

    def __init__(self, server, language="en"):
        self.origin = server.url
        self.http = httpx.Client(verify=server.ca, http1=False, http2=True, timeout=20.0 * slowness(), follow_redirects=False,
                                 headers={"Accept": "text/html", "Accept-Language": language})

    def close(self):
        self.http.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def follow(self, answer):
        for _ in range(10):
            if answer.status_code not in (301, 302, 303, 307, 308):
                return Page(answer)
            assert answer.status_code != 307, "a 307 would send the password on (FAPI 2.0 §5.3.2.2)"
            target = urllib.parse.urljoin(str(answer.url), answer.headers["location"])
            if not target.startswith(self.origin + "/"):
                return Landing(answer)
            answer = self.http.get(target)
        raise AssertionError(f"redirects without end: {answer.url}")

    def open(self, url):
        """GET a page of the bank; a Page or a Landing."""
        return self.follow(self.http.get(url))

    def submit(self, form, fill=None, button=None):
        """Send a form as it stands, with the named fields filled, by a button."""
        values = [(name, (fill or {}).get(name, value)) for name, value in form.values()]
        if button is not None and button.get("name"):
            values.append((button["name"], button.get("value", "")))
        assert form.method == "post", "a form that changes something is no GET"
        body = urllib.parse.urlencode(values)
        # What a browser says of where a form came from.
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        return self.follow(self.http.post(form.action, content=body, headers=headers))

    def login(self, page, user):
        """Fill in what the page asks of password and code, as long as it does."""
        for _ in range(4):
            if isinstance(page, Landing):
                return page
            fill, form = {}, page.asks_password()
            if form:
                for i in form.inputs:
                    kind, name = i.get("type", "text"), i.get("name")
                    if kind == "password":
                        fill[name] = user.password
                    elif kind in ("text", "email") and not re.search("otp|code", name):
                        fill[name] = user.login
            coded = page.asks_code()
            if coded:
                form = form or coded
                fill.update({i["name"]: user.code() for i in coded.inputs
                             if i.get("autocomplete") == "one-time-code" or re.search("otp", i.get("name", ""))})
            if not form:
                return page
            page = self.submit(form, fill)
        raise AssertionError(f"cannot log in: {page}")

    def decide(self, url, user, approve=True):
        """Open an authorization request, log in if asked, and decide; the Landing, or the Page on which it ended."""
        page = self.login(self.open(url), user)
        form = isinstance(page, Page) and page.asks_decision()
        if not form:
            return page
        return self.login(self.submit(form, button=form.button(APPROVING if approve else REFUSING)), user)

    def decide_waiting(self, url, user, about, approve=True):
        """Decide a request that waits on the dashboard, found by a text beside the link to it; the Page that follows."""
        page = self.login(self.open(url), user)
        found = [address for address, around in page.links if about in around]
        assert found, f"nothing about {about!r}: {page}"
        page = self.login(self.open(found[0]), user)
        form = page.asks_decision()
        assert form and about in page.text, page
        page = self.login(self.submit(form, button=form.button(APPROVING if approve else REFUSING)), user)
        assert page.status == 200, page
        return page
