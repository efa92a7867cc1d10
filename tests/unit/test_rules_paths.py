"""Which resources mean what they seem to mean, and what an allowance's star may stand for."""

from __future__ import annotations

import pytest

from approvals.rules import paths

PLAIN = [
    "order/1187", "stripe:charge/ch_3P9", "/handbook/refunds.md", "straße/Ñandú", "注文/1187", "заказ/17", "a b",
    "v1.2",
]  # fmt: skip
HOSTILE = [
    "../../payout/x", "a/../../payout/x", "a/..", "..", "%2e%2e/payout", "a%2fb", "a\\..\\b", "．．／payout",
    "․․/payout", "a\u200bb", "a\u202eb", "a\u00a0b", "a\u00adb", "a\u3164b", "p\u0430yout", "p\u0430yout/x",
    "ｐayout", "a\u2028b", "４2",
]  # fmt: skip


@pytest.mark.parametrize("resource", PLAIN)
def test_a_plain_resource_is_understood_and_may_stand_for_a_star(resource: str) -> None:
    assert paths.is_understood(resource)
    assert paths.may_stand_for_star(resource)


@pytest.mark.parametrize("resource", HOSTILE)
def test_a_resource_that_leads_elsewhere_is_neither(resource: str) -> None:
    assert not paths.is_understood(f"order/{resource}")
    assert not paths.may_stand_for_star(resource)


@pytest.mark.parametrize("rest", ["a?extra=1", "a#b", "a//b", "a..b", "//evil", "?"])
def test_a_star_stands_for_no_query_fragment_or_host(rest: str) -> None:
    assert not paths.may_stand_for_star(rest)


@pytest.mark.parametrize("resource", ["https://api.example/x", "v1..2", "a..b/c", "x?y=1"])
def test_an_address_is_understood_by_policy(resource: str) -> None:
    assert paths.is_understood(resource)
