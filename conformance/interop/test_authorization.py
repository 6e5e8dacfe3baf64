"""Who may pass is asked of a gRPC server that implements Envoy's `ext_authz`, by the messages of the library `xds-protos`."""

from clients import curl


def test_who_is_allowed_passes_with_what_the_authority_adds():
    answer = curl("http://authorized.test/room?a=b", "--header", "X-Word: please")
    assert (answer.status, answer.asked("x-guest")) == (200, "GET /room?a=b")


def test_who_is_not_gets_the_authoritys_own_answer():
    answer = curl("http://authorized.test/room", "--header", "X-Guest: me")
    assert (answer.status, answer.text, answer.field("x-hint")) == (403, "say please", "please")
