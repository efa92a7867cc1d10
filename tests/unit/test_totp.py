"""Codes of authenticator apps, held to the vectors of RFC 6238 (appendix B, their last six digits)."""

from __future__ import annotations

import base64

import pytest

from accounts import totp

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_a_code_is_what_the_rfc_says(seconds: int, code: str) -> None:
    assert totp.code_at(SECRET, totp.step_of(seconds)) == code


def test_a_secret_is_read_in_small_letters_and_without_padding_too() -> None:
    short = base64.b32encode(b"0123456789").decode()
    assert totp.code_at(short.lower(), 1) == totp.code_at(short, 1)
    odd = base64.b32encode(b"012345678").decode()
    assert odd.endswith("=")
    assert totp.code_at(odd.rstrip("="), 1) == totp.code_at(odd, 1)


@pytest.mark.parametrize(
    "code",
    ["123456", "123 456", "123\u00a0456", "１２３４５６", "١٢٣٤٥٦", "१२३४५६", " 123-456 ", "123\u200b456", "123–456"],
)
def test_typed_of_a_code_in_any_digits_is_ascii(code: str) -> None:
    assert totp.typed(code) == "123456"


@pytest.mark.parametrize("code", ["", "12345x", "½23456", "123.456", "十二三四五六"])
def test_typed_of_anything_else_is_no_code(code: str) -> None:
    assert not (totp.typed(code).isdecimal() and len(totp.typed(code)) == 6)
