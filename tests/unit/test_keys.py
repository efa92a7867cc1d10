"""The format of API keys: what they look like, what is stored of them, and which texts are none."""

from __future__ import annotations

import hashlib
import re
import zlib

from hypothesis import given
from hypothesis import strategies as st

from agents import keys

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_a_key_is_its_mark_its_public_id_its_secret_and_a_checksum() -> None:
    for _ in range(50):
        key = keys.new()
        assert re.fullmatch(r"csk_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}", str(key))
        assert keys.parse(str(key)) == key
        assert (len(key.public_id), len(key.secret)) == (8, 43)


def test_two_keys_share_nothing() -> None:
    made = [keys.new() for _ in range(200)]
    assert len({key.public_id for key in made}) == len({key.secret for key in made}) == 200


def test_a_secret_holds_256_random_bits() -> None:
    values = [sum(ALPHABET.index(c) * 62**n for n, c in enumerate(reversed(keys.new().secret))) for _ in range(200)]
    assert max(value.bit_length() for value in values) == 256
    assert min(value.bit_length() for value in values) > 230


def test_the_checksum_is_crc32_over_what_stands_before_it_in_base_62() -> None:
    key = keys.Key("AbCd1234", "z" * 43)
    number = zlib.crc32(b"csk_AbCd1234_" + b"z" * 43)
    digits = [ALPHABET[number // 62**place % 62] for place in range(5, -1, -1)]
    assert str(key) == f"csk_AbCd1234_{'z' * 43}{''.join(digits)}"


def test_only_the_sha256_of_the_secret_is_kept_and_it_is_compared_whole() -> None:
    key, other = keys.new(), keys.new()
    assert key.digest == hashlib.sha256(key.secret.encode()).digest()
    assert key.matches(key.digest)
    assert not key.matches(other.digest)
    assert not key.matches(key.digest[:-1])
    assert not key.matches(bytes(32))


def test_one_changed_character_anywhere_is_no_key() -> None:
    text = str(keys.new())
    for place, character in enumerate(text):
        changed = text[:place] + ("0" if character != "0" else "1") + text[place + 1 :]
        assert keys.parse(changed) is None, place


def test_what_is_nearly_a_key_is_none() -> None:
    text = str(keys.new())
    for wrong in (
        "",
        text + "\n",
        " " + text,
        text[:-1],
        text + "0",
        text.replace("csk_", "CSK_"),
        text.replace("_", "-"),
    ):
        assert keys.parse(wrong) is None
    assert keys.parse(text.replace(text[4], "Ａ")) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser(text: str) -> None:
    assert keys.parse(text) is None


@given(st.integers(min_value=0, max_value=62**6 - 1))
def test_base_62_keeps_its_length_and_its_order(number: int) -> None:
    text = keys.base62(number, 6)
    assert len(text) == 6
    assert sum(ALPHABET.index(c) * 62**n for n, c in enumerate(reversed(text))) == number
