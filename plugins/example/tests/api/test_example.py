"""Example over the wire: a real gateway, a partner's token, the plugin as it is shipped."""

from harness.client import assert_problem


def test_a_partner_gets_its_answer(api):
    answer = api.get("/example/v1/ping")
    assert answer.status_code == 200 and answer.json() == {"pong": True}


def test_nobody_else_does(anyone):
    assert_problem(anyone.get("/example/v1/ping"), 401, "token_missing")
