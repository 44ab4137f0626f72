"""A product that declares a type of consent: core asks, shows, narrows, enforces and lists it, and no file outside the product knows it.
"""

import json
import os
import shutil

import pytest

from harness import Sandbox
from harness.browser import Browser
from harness.customer import CONSENTS, refused
from harness.fapi import FapiClient, Server, granted
from harness.sandbox import ROOT, copy_plugins

SCOPE = "openid vault:read accounts:read consents:read consents:write"
DOCUMENTS = "/vault/v1/documents"
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Access to documents", "type": "object",
    "properties": {"type": {"const": "document_access"}, "folder": {"type": "string", "minLength": 1, "maxLength": 40},
                   "fee": {"$ref": "../common/money.json#/$defs/positive"}, "kept_until": {"type": "string", "format": "date-time"},
                   "frequency_per_day": {"type": "integer", "minimum": 1, "maximum": 100}},
    "required": ["type", "folder"], "additionalProperties": False}
TAX = {"type": "document_access", "folder": "tax <2026>", "fee": {"amount": 1234500, "currency": "CNY"},
       "kept_until": "2031-01-01T00:00:00Z", "frequency_per_day": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = copy_plugins(tmp_path_factory.mktemp("vault"), "plugins/e_payment.so", "fixtures/plugins/vault.so")
    shutil.copytree(os.path.join(ROOT, "schemas"), folder / "schemas")
    (folder / "schemas" / "vault").mkdir()
    (folder / "schemas" / "vault" / "document_access.json").write_text(json.dumps(SCHEMA))
    return folder


@pytest.fixture(scope="module")
def vault(folder):
    settings = {"TB_WORKERS": "1", "TB_PLUGINS_DIRECTORY": str(folder), "TB_PLUGINS_LOAD": "e_payment,vault",
                "TB_SCHEMAS_DIRECTORY": str(folder / "schemas")}
    with Sandbox(settings=settings) as sandbox:
        server = Server(sandbox)
        yield server
        server.close()


@pytest.fixture(scope="module")
def shop(vault):
    return FapiClient.register(vault, scope=SCOPE)


def consented(shop, detail):
    return shop.tokens({"scope": "openid", "authorization_details": [detail]})


def test_the_metadata_and_registration_know_it(vault):
    assert set(vault.metadata["authorization_details_types_supported"]) == {"account_information", "payment", "mandate", "document_access"}
    assert "vault:read" in vault.metadata["scopes_supported"]
    bound = FapiClient.register(vault, scope=SCOPE, authorization_details_types=["document_access"])
    assert bound.metadata["authorization_details_types"] == ["document_access"]


def test_the_schema_and_the_product_refuse_what_is_wrong(shop):
    for wrong, says in (({"type": "document_access"}, "/0/folder is missing"), ({**TAX, "shelf": 1}, "/0/shelf is not a member"),
                        ({**TAX, "folder": "board"}, "/0/folder is opened to nobody"),
                        ({**TAX, "type": "paper_access"}, "/0/type must be one of account_information, payment, mandate, document_access")):
        answer = shop.push({"scope": "openid", "authorization_details": [wrong]}).answer
        assert answer.status_code == 400 and answer.json()["error"] == "invalid_authorization_details"
        assert answer.json()["error_description"].startswith(says), answer.text


@pytest.mark.parametrize("language,words", [
    ("en", ("You are about to open a folder to the app.", "Folder", "tax &lt;2026&gt;", "Fee", "CNY 12,345.00", "Kept until", "2031-01-01",
            "Look into the folder that you open")),
    ("zh-CN", ("您将允许该应用查看一个文件夹。", "文件夹", "费用", "保管至", "查看您打开的文件夹"))])
def test_the_page_asks_in_the_words_of_the_product_and_for_no_account(vault, shop, language, words):
    with Browser(vault) as browser:
        page = browser.login(browser.open(shop.push({"scope": "openid", "authorization_details": [TAX], "ui_locales": language}).url()), shop.users[0])
        for word in words:
            assert word in page.answer.text
        assert "acc_" not in page.answer.text and 'id="accounts"' not in page.answer.text


def test_a_consent_opens_the_routes_that_name_it_and_no_others(shop):
    token = consented(shop, TAX)["access_token"]
    answer = shop.fetch(token, DOCUMENTS)
    assert answer.status_code == 200 and answer.json() == {"folder": TAX["folder"]}
    refused(shop.fetch(token, "/accounts/v1/accounts"), 403, "insufficient_scope")
    wide = shop.tokens({"scope": "openid accounts:read", "authorization_details": [TAX]})["access_token"]
    refused(shop.fetch(wide, "/accounts/v1/accounts"), 403, "consent_mismatch")
    reading = {"type": "account_information", "permissions": ["balances"]}
    wide = shop.tokens({"scope": "openid vault:read", "authorization_details": [reading]})["access_token"]
    refused(shop.fetch(wide, DOCUMENTS), 403, "consent_mismatch")


def test_the_platforms_terms_hold_for_it_and_its_own_cannot_be_narrowed(shop):
    tokens = consented(shop, TAX)
    once = json.dumps([{**TAX, "frequency_per_day": 1}])
    narrowed = granted(shop.refresh(tokens["refresh_token"], {"authorization_details": once}))
    assert narrowed["authorization_details"] == json.loads(once)
    assert shop.fetch(narrowed["access_token"], DOCUMENTS).status_code == 200
    refused(shop.fetch(narrowed["access_token"], DOCUMENTS), 403, "consent_limit_exceeded")
    other = shop.refresh(tokens["refresh_token"], {"authorization_details": json.dumps([{**TAX, "folder": "wages"}])})
    assert other.status_code == 400 and other.json()["error"] == "invalid_authorization_details"


def test_the_partner_finds_and_ends_it(shop):
    token = consented(shop, TAX)["access_token"]
    own = granted(shop.client_credentials(SCOPE.removeprefix("openid ")))["access_token"]
    listed = shop.fetch(own, f"{CONSENTS}?type=document_access").json()["data"]
    assert listed and {c["type"] for c in listed} == {"document_access"}
    assert shop.fetch(own, f"{CONSENTS}?type=mandate").json()["data"] == []
    unknown = shop.fetch(own, f"{CONSENTS}?type=paper_access")
    refused(unknown, 400, "bad_parameter")
    assert "account_information|payment|mandate|document_access|identity" in unknown.text
    assert shop.fetch(own, f"{CONSENTS}/{listed[0]['id']}", "DELETE").status_code == 204
    refused(shop.fetch(token, DOCUMENTS), 403, "consent_revoked")


def test_the_customers_page_lists_it_by_its_title(vault, shop):
    consented(shop, TAX)
    with Browser(vault) as browser:
        page = browser.login(browser.open(f"{vault.url}/oauth/dashboard?lang=en"), shop.users[0])
        assert "Access to documents" in page.answer.text and "Look into the folder that you open" in page.answer.text
