"""Money as people write it, by each currency's own decimal places."""

from __future__ import annotations

import pytest

from approvals.display.money import money, places_of


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (4200, "usd", "$42.00"),
        (5, "USD", "$0.05"),
        (123456789, "usd", "$1,234,567.89"),
        (-4200, "eur", "−€42.00"),
        (4200, "jpy", "¥4,200"),
        (4200, "krw", "4,200 KRW"),
        (4200, "kwd", "4.200 KWD"),
        (42000, "clf", "4.2000 CLF"),
        (4200, "chf", "42.00 CHF"),
        (4200, "cad", "CA$42.00"),
        (0, "gbp", "£0.00"),
        (4200, "xyz", "4,200 smallest units of XYZ (unknown currency)"),
    ],
)
def test_smallest_units_are_written_out(amount: int, currency: str, written: str) -> None:
    assert money(amount, currency) == written


def test_only_one_dollar_has_the_bare_sign() -> None:
    assert {code for code in ("USD", "CAD", "AUD", "NZD", "HKD", "SGD") if money(1, code).startswith("$")} == {"USD"}


@pytest.mark.parametrize(("currency", "places"), [("usd", 2), ("jpy", 0), ("tnd", 3), ("uyw", 4), ("zzz", None)])
def test_places_follow_iso_4217(currency: str, places: int | None) -> None:
    assert places_of(currency) == places
