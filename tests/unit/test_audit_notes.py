"""Signed notes against the example of the specification's own implementation, and every way to be no note."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.notes import BadNote, Checkpoint, Signer, Verifier, parse_checkpoint

# The example in the documentation of golang.org/x/mod/sumdb/note, from which C2SP signed-note was written.
GO_SIGNER = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ"
    "SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

SIGNER = Signer("example.test/audit/1f2e3d4c", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
CHECKPOINT = Checkpoint(SIGNER.name, 42, bytes(range(32)))


def test_the_example_of_the_go_implementation_signs_and_verifies_the_same() -> None:
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(GO_SIGNER)[1:])
    signer = Signer("PeterNeumann", key)
    assert str(signer.verifier) == GO_VERIFIER
    text = Verifier.parse(GO_VERIFIER).open(GO_NOTE)
    assert signer.sign(text) == GO_NOTE


def test_a_checkpoint_is_three_lines_a_blank_one_and_a_signature() -> None:
    note = SIGNER.sign(CHECKPOINT.text())
    lines = note.split("\n")
    assert lines[:4] == [SIGNER.name, "42", base64.b64encode(bytes(range(32))).decode(), ""]
    assert lines[4].startswith(f"— {SIGNER.name} ")
    assert len(base64.b64decode(lines[4].split(" ")[2])) == 4 + 64
    assert lines[5:] == [""]
    assert SIGNER.verifier.checkpoint(note) == CHECKPOINT


def test_a_witness_may_add_its_line_and_extensions_may_follow_the_root() -> None:
    witness = Signer("witness.test/w", Ed25519PrivateKey.generate())
    text = CHECKPOINT.text() + "an extension\n"
    note = SIGNER.sign(text)
    cosigned = note + witness.sign(text).rpartition("\n\n")[2]
    assert SIGNER.verifier.checkpoint(cosigned) == CHECKPOINT
    assert witness.verifier.open(cosigned) == text


@given(st.integers(0, 400), st.integers(0, 7))
def test_no_flipped_bit_verifies(at: int, bit: int) -> None:
    note = bytearray(SIGNER.sign(CHECKPOINT.text()).encode())
    at %= len(note)
    note[at] ^= 1 << bit
    try:
        changed = note.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises(BadNote):
        SIGNER.verifier.checkpoint(changed)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        "text without a signature\n",
        CHECKPOINT.text(),
        CHECKPOINT.text() + "\n",
        CHECKPOINT.text() + "\n— \n",
        CHECKPOINT.text() + f"\n— {SIGNER.name} !!!!\n",
        CHECKPOINT.text() + f"\n- {SIGNER.name} AAAAAAAA\n",
        SIGNER.sign(CHECKPOINT.text())[:-1],
        "x" * 20_000,
    ],
)
def test_what_is_no_signed_note_is_refused(note: str) -> None:
    with pytest.raises(BadNote):
        SIGNER.verifier.checkpoint(note)


def test_the_note_of_another_key_or_another_log_is_refused() -> None:
    other = Signer(SIGNER.name, Ed25519PrivateKey.generate())
    with pytest.raises(BadNote, match="no signature of"):
        SIGNER.verifier.checkpoint(other.sign(CHECKPOINT.text()))
    foreign = SIGNER.sign(Checkpoint("other.test/audit/1", 42, bytes(32)).text())
    with pytest.raises(BadNote, match=r"a checkpoint of other\.test"):
        SIGNER.verifier.checkpoint(foreign)


@pytest.mark.parametrize(
    "text",
    [
        "origin\n42\n",
        "origin\n042\nAAAA\n",
        "origin\n-1\nAAAA\n",
        "\n42\nAAAA\n",
        "origin\n42\nAAAA\n",
        "origin\n42\n?\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(BadNote):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name+12345678",
        GO_VERIFIER.replace("c74f20a3", "c74f20a4"),
        GO_VERIFIER.replace("Peter", "peter"),
        GO_VERIFIER[:-4],
        "PeterNeumann+c74f20a3+AhpC",
    ],
)
def test_a_verifier_key_that_does_not_fit_together_is_refused(text: str) -> None:
    with pytest.raises(BadNote):
        Verifier.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_a_name_that_would_be_ambiguous_is_no_name(name: str) -> None:
    with pytest.raises(BadNote):
        Signer(name, SIGNER.key)


def test_a_text_without_its_newline_is_not_signed() -> None:
    with pytest.raises(BadNote):
        SIGNER.sign("no newline")
