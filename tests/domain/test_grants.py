"""Grants by themselves: which key signs when, what a grant says at each moment, and what is none of ours."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import override_settings
from joserfc import jws
from joserfc.jwk import OKPKey

from approvals import grants, queries
from approvals.grants import CannotSign, InvalidGrant
from approvals.models import Grant, Request, SigningKey
from approvals.rules import Ruling
from audit.canonical import timestamp
from audit.entries import Party
from audit.types import EntryType
from tests.support import services
from tests.support.cast import Cast, file_request, make_cast
from tests.support.leaves import entries

BY = Party("user", "7")
ISSUER = "http://localhost:8000"
HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)
INSTANT = timedelta(microseconds=1)
ANY = jws.JWSRegistry(algorithms=["EdDSA", "HS256"], strict_check_header=False)


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """helpdesk, one of support."""
    return make_cast(only=("support1",))


@pytest.fixture
def granted(cast: Cast) -> Request:
    """A request that policy allowed, with its grant."""
    return queries.requests().get(pk=file_request(cast, "docs.read").pk)


@pytest.fixture
def folder(transactional_db: None, tmp_path: Path) -> Iterator[Path]:
    """A folder of grant keys, empty, in place of the one key."""
    with override_settings(GRANT_KEY_PATH=str(tmp_path)):
        yield tmp_path


def put_key(place: Path, private: Any = None, encryption: KeySerializationEncryption | None = None) -> str:
    """Write a key to the file; its kid, where it is an Ed25519 key."""
    private = private or Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    place.write_bytes(pem)
    if not isinstance(private, Ed25519PrivateKey) or encryption:
        return ""
    return str(OKPKey.import_key(pem).thumbprint())


def dated(**published: datetime) -> None:
    """Let the keys have been published then, as the owner, past the guard."""
    with services.connection("owner") as owner:
        owner.execute("SET session_replication_role = replica")
        for kid, at in published.items():
            owner.execute("UPDATE approvals_signingkey SET published_at = %s WHERE kid = %s", [at, kid])


def retired(kid: str, at: datetime) -> None:
    """Let the key have been retired then, as the owner, past the guard."""
    with services.connection("owner") as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE approvals_signingkey SET retired_at = %s WHERE kid = %s", [at, kid])


def a_grant(request: Request, at: datetime, **more: Any) -> Grant:
    """A grant of the request as of that moment, not saved."""
    given: dict[str, Any] = {"audience": ISSUER, "valid_until": at + HOUR, "level": "low", "fork": 0, **more}
    return Grant(request=request, issued_at=at, **given)


def read(token: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unverified."""
    assert token is not None
    header, claims, _ = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    return json.loads(header), json.loads(claims)


def signer(request: Request, at: datetime) -> str:
    """The kid of the key that signs a grant at that moment."""
    return str(read(grants.token(a_grant(request, at), request, at))[0]["kid"])


class TestKeysOnDisk:
    def test_one_file_is_one_key_by_its_thumbprint(self, tmp_path: Path, transactional_db: None) -> None:
        kid = put_key(tmp_path / "grant.pem")
        with override_settings(GRANT_KEY_PATH=str(tmp_path / "grant.pem")):
            assert set(grants.private_keys()) == {kid}

    def test_a_folder_holds_a_key_a_file_and_other_files_are_none(self, folder: Path) -> None:
        kids = {put_key(folder / name) for name in ("a.pem", "b.pem")}
        put_key(folder / "c.bak")
        assert set(grants.private_keys()) == kids

    @pytest.mark.parametrize("place", ["", "."])
    def test_without_a_key_nothing_is_signed(self, folder: Path, place: str) -> None:
        path = str(folder / place) if place else ""
        with override_settings(GRANT_KEY_PATH=path), pytest.raises(CannotSign) as refused:
            grants.private_keys()
        assert refused.value.why == "There is no grant key."

    def test_no_place_is_not_the_place_where_the_process_runs(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_key(folder / "a.pem")
        monkeypatch.chdir(folder)
        with override_settings(GRANT_KEY_PATH=""), pytest.raises(CannotSign):
            grants.private_keys()

    @pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----"])
    def test_what_is_no_key_signs_nothing(self, folder: Path, content: bytes) -> None:
        put_key(folder / "a.pem")
        (folder / "b.pem").write_bytes(content)
        with pytest.raises(CannotSign) as refused:
            grants.private_keys()
        assert refused.value.why == "The grant key b.pem is not an Ed25519 key in PEM, without a password."

    def test_an_encrypted_key_and_one_that_is_gone_sign_nothing(self, folder: Path) -> None:
        put_key(folder / "a.pem", encryption=BestAvailableEncryption(b"secret"))
        for path, why in (
            (folder, "The grant key a.pem is not an Ed25519 key in PEM, without a password."),
            (folder / "gone.pem", "The grant key gone.pem cannot be read: No such file or directory."),
        ):
            with override_settings(GRANT_KEY_PATH=str(path)), pytest.raises(CannotSign) as refused:
                grants.private_keys()
            assert refused.value.why == why

    def test_a_key_of_another_kind_signs_nothing(self, folder: Path) -> None:
        put_key(folder / "a.pem", ec.generate_private_key(ec.SECP256R1()))
        with pytest.raises(CannotSign) as refused:
            grants.private_keys()
        assert refused.value.why == "The grant key a.pem is not an Ed25519 key in PEM, without a password."

    def test_that_nothing_can_be_signed_is_503_without_the_reason(self, folder: Path) -> None:
        with pytest.raises(CannotSign) as refused:
            grants.assert_can_sign(queries.clock())
        problem = refused.value
        assert (problem.status, problem.slug) == (503, "busy")
        assert problem.detail == "Grants cannot be signed just now; try again."
        assert problem.headers == {"Retry-After": "5"}


class TestPublishing:
    def test_each_key_is_published_once_with_an_entry(self, folder: Path) -> None:
        kids = {put_key(folder / name) for name in ("a.pem", "b.pem")}
        for _ in range(2):
            assert {key.kid for key in grants.publish_keys()} == kids
        found = {entry["subject"]["id"]: entry for entry in entries(EntryType.KEY_CREATED)}
        assert set(found) == kids
        assert len(entries(EntryType.KEY_CREATED)) == 2
        for key in SigningKey.objects.all():
            entry = found[key.kid]
            assert entry["actor"] == {"kind": "system", "id": "countersign"}
            assert entry["subject"] == {"kind": "key", "id": key.kid}
            assert entry["facts"] == {"kid": key.kid, "x": key.x, "use": "grants"}

    def test_a_key_that_came_is_published_beside_one_that_was_known(self, folder: Path) -> None:
        first = put_key(folder / "b.pem")
        grants.publish_keys()
        second = put_key(folder / "a.pem")
        assert [key.kid for key in grants.publish_keys()] == [first, second]
        third = put_key(folder / "0.pem")
        assert [key["kid"] for key in grants.jwks()["keys"]] == [first, second, third]

    def test_the_published_half_is_the_public_one(self, folder: Path) -> None:
        private = Ed25519PrivateKey.generate()
        kid = put_key(folder / "a.pem", private)
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        assert grants.jwks() == {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig"}]}

    def test_keys_that_verify_are_published_while_none_can_sign(self, folder: Path) -> None:
        kid = put_key(folder / "a.pem")
        grants.publish_keys()
        (folder / "a.pem").unlink()
        assert [key["kid"] for key in grants.jwks()["keys"]] == [kid]

    def test_a_retired_key_stays_published_for_25_hours(self, folder: Path) -> None:
        kid = put_key(folder / "a.pem")
        grants.publish_keys()
        (folder / "a.pem").unlink()
        for ago, published in ((timedelta(0), [kid]), (timedelta(hours=24.9), [kid]), (timedelta(hours=25.1), [])):
            retired(kid, queries.clock() - ago)
            assert [key["kid"] for key in grants.jwks()["keys"]] == published

    def test_keys_stand_in_the_order_they_were_published(self, folder: Path) -> None:
        now = queries.clock()
        kids = sorted(put_key(folder / name) for name in ("a.pem", "b.pem", "c.pem"))
        grants.publish_keys()
        dated(**{kids[2]: now - DAY, kids[1]: now - DAY, kids[0]: now})
        assert [key.kid for key in grants.published_keys()] == [kids[1], kids[2], kids[0]]


class TestRetiring:
    def test_a_key_is_retired_once_with_an_entry(self, folder: Path) -> None:
        kid, other = put_key(folder / "a.pem"), put_key(folder / "b.pem")
        grants.publish_keys()
        assert grants.retire(kid, by=BY) is True
        key = SigningKey.objects.get(pk=kid)
        assert key.retired_at is not None
        assert grants.retire(kid, by=BY) is False
        assert SigningKey.objects.get(pk=kid).retired_at == key.retired_at
        assert SigningKey.objects.get(pk=other).retired_at is None
        (entry,) = entries(EntryType.CONFIGURATION_CHANGED)
        assert (entry["actor"], entry["subject"]) == ({"kind": "user", "id": "7"}, {"kind": "key", "id": kid})
        assert entry["facts"] == {"kid": kid, "use": "grants", "retired": True}

    def test_a_key_that_is_not_known_is_not_retired(self, folder: Path) -> None:
        assert grants.retire("unheard-of", by=BY) is False
        assert entries(EntryType.CONFIGURATION_CHANGED) == []

    def test_the_command_says_when_nothing_is_left_that_signs(self, folder: Path) -> None:
        first, second = (put_key(folder / name) for name in ("a.pem", "b.pem"))
        grants.publish_keys()
        said = []
        for kid in (first, second):
            warning = io.StringIO()
            call_command("retire_grant_key", kid, stdout=io.StringIO(), stderr=warning)
            said.append(warning.getvalue())
        assert said[0] == ""
        assert said[1].startswith("NOTHING CAN BE APPROVED NOW: Every grant key on disk was retired.")

    def test_where_every_key_was_retired_nothing_is_signed(self, granted: Request) -> None:
        now = queries.clock()
        grants.assert_can_sign(now)
        grants.retire(SigningKey.objects.get().kid, by=BY)
        with pytest.raises(CannotSign) as refused:
            grants.assert_can_sign(now + HOUR)
        assert refused.value.why == "Every grant key on disk was retired."

    def test_what_was_approved_before_reads_the_same_after(self, granted: Request) -> None:
        before = grants.token(granted.grant, granted, granted.grant.issued_at)
        grants.retire(SigningKey.objects.get().kid, by=BY)
        assert grants.token(granted.grant, granted, granted.grant.issued_at) == before


class TestWhichKeySigns:
    def test_a_new_key_signs_from_24_hours_after_it_was_published(self, granted: Request, folder: Path) -> None:
        now = queries.clock()
        old, new = put_key(folder / "b.pem"), put_key(folder / "a.pem")
        grants.publish_keys()
        dated(**{old: now - 30 * DAY, new: now})
        assert signer(granted, now) == old
        assert signer(granted, now + DAY - INSTANT) == old
        assert signer(granted, now + DAY) == new

    def test_of_several_that_are_due_the_newest_signs(self, granted: Request, folder: Path) -> None:
        now = queries.clock()
        kids = [put_key(folder / name) for name in ("a.pem", "b.pem", "c.pem")]
        grants.publish_keys()
        dated(**{kids[0]: now - 2 * DAY, kids[1]: now - 3 * DAY, kids[2]: now - HOUR})
        assert signer(granted, now) == kids[0]

    def test_of_two_published_at_once_the_last_by_its_kid_signs(self, granted: Request, folder: Path) -> None:
        now = queries.clock()
        kids = sorted(put_key(folder / name) for name in ("a.pem", "b.pem"))
        grants.publish_keys()
        for order in (kids, kids[::-1]):
            dated(**dict.fromkeys(order, now - 2 * DAY))
            assert signer(granted, now) == kids[1]

    def test_where_none_is_due_yet_the_oldest_signs(self, granted: Request, folder: Path) -> None:
        now = queries.clock()
        kids = [put_key(folder / name) for name in ("a.pem", "b.pem")]
        grants.publish_keys()
        dated(**{kids[0]: now - HOUR, kids[1]: now - 2 * HOUR})
        assert signer(granted, now) == kids[1]

    def test_a_key_signs_up_to_the_moment_it_was_retired(self, granted: Request, folder: Path) -> None:
        now = queries.clock()
        old, new = put_key(folder / "a.pem"), put_key(folder / "b.pem")
        grants.publish_keys()
        dated(**{old: now - 3 * DAY, new: now - 2 * DAY})
        retired(new, now)
        assert signer(granted, now - INSTANT) == new
        assert signer(granted, now) == old

    def test_only_what_is_on_disk_signs(self, granted: Request, folder: Path) -> None:
        now = queries.clock()
        old, new = put_key(folder / "a.pem"), put_key(folder / "b.pem")
        grants.publish_keys()
        dated(**{old: now - 3 * DAY, new: now - 2 * DAY})
        (folder / "b.pem").unlink()
        assert signer(granted, now) == old

    def test_a_key_that_nobody_published_is_published_before_it_signs(self, granted: Request, folder: Path) -> None:
        kid = put_key(folder / "a.pem")
        assert signer(granted, queries.clock()) == kid
        assert SigningKey.objects.filter(pk=kid).exists()


class TestIssuing:
    def test_a_grant_is_of_the_request_its_ruling_and_its_moment_and_leaves_an_entry(self, granted: Request) -> None:
        grant = granted.grant
        assert grant.issued_at == granted.decided_at
        assert grant.valid_until == granted.valid_until
        assert (grant.audience, grant.level, grant.fork) == (ISSUER, "low", 0)
        assert (grant.redeemed_at, grant.redeemed_by, grant.voided_at) == (None, None, None)
        (entry,) = entries(EntryType.GRANT_ISSUED)
        assert entry["actor"] == {"kind": "system", "id": "countersign"}
        assert entry["subject"] == {"kind": "request", "id": str(granted.pk)}
        facts = {"grant": str(grant.pk), "executor": None, "risk": "low", "valid_until": timestamp(grant.valid_until)}
        assert entry["facts"] == facts
        assert granted.parameters_digest not in str(entry)
        assert "parameters_digest" in str(entry)

    def test_a_yes_that_cannot_be_signed_leaves_no_grant(self, granted: Request, folder: Path) -> None:
        with pytest.raises(CannotSign), transaction.atomic():
            grants.issue(granted, Ruling.from_json(granted.ruling), at=queries.clock(), by=BY)
        assert Grant.objects.count() == 1

    def test_a_grant_is_for_the_executor_and_the_time_that_the_ruling_names(self, cast: Cast) -> None:
        request, at = file_request(cast), queries.clock()
        ruling = replace(Ruling.from_json(request.ruling), executor="pay", valid_seconds=60, risk="high")
        with transaction.atomic():
            grant = grants.issue(request, ruling, at=at, by=BY)
            assert (grant.audience, grant.level) == (f"{ISSUER}/executors/pay", "high")
            assert grant.valid_until == at + timedelta(minutes=1)
            (entry,) = entries(EntryType.GRANT_ISSUED)
            assert (entry["facts"]["executor"], entry["facts"]["risk"]) == ("pay", "high")
            assert entry["actor"] == {"kind": "user", "id": "7"}
            transaction.set_rollback(True)  # the database asks for the approval at the commit

    def test_a_request_has_one_grant(self, granted: Request) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            grants.issue(granted, Ruling.from_json(granted.ruling), at=queries.clock(), by=BY)
        assert len(entries(EntryType.GRANT_ISSUED)) == 1

    def test_who_may_redeem_is_whom_policy_names(self, granted: Request) -> None:
        assert grants.audience_for("payments") == f"{ISSUER}/executors/payments"
        assert grants.audience_for(None) == grants.audience_for("") == grants.issuer() == ISSUER


class TestReading:
    def test_it_is_renewed_each_five_minutes_until_its_approval_ends(self, granted: Request) -> None:
        grant = granted.grant
        for later, step in (
            (timedelta(0), 0), (-HOUR, 0), (timedelta(minutes=5) - INSTANT, 0), (timedelta(minutes=5), 1),
            (timedelta(minutes=10), 2), (HOUR - INSTANT, 11), (HOUR, None), (2 * HOUR, None),
        ):  # fmt: skip
            assert grants.step_at(grant, grant.issued_at + later) == step
            assert (grants.token(grant, granted, grant.issued_at + later) is None) == (step is None)

    @pytest.mark.parametrize("spent", ["redeemed_at", "voided_at"])
    def test_once_redeemed_or_voided_there_is_none(self, granted: Request, spent: str) -> None:
        grant = granted.grant
        setattr(grant, spent, grant.issued_at)
        assert grants.step_at(grant, grant.issued_at) is None
        assert grants.token(grant, granted, grant.issued_at) is None

    def test_it_says_what_was_approved_and_for_ten_minutes(self, granted: Request) -> None:
        at = queries.clock()
        grant = a_grant(granted, at, audience=f"{ISSUER}/executors/x", level="high")
        header, claims = read(grants.token(grant, granted, at + timedelta(minutes=7)))
        issued = int((at + timedelta(minutes=5)).timestamp())
        assert header == {"alg": "EdDSA", "typ": "grant+jwt", "kid": SigningKey.objects.get().kid}
        assert claims == {
            "iss": ISSUER, "sub": str(granted.agent_id), "aud": f"{ISSUER}/executors/x", "jti": str(grant.pk),
            "iat": issued, "nbf": issued - 30, "exp": issued + 600, "req": str(granted.pk),
            "act": "docs.read", "rsc": granted.resource, "pdg": granted.effective_digest, "lvl": "high",
        }  # fmt: skip

    def test_it_says_no_longer_than_the_approval_holds(self, granted: Request) -> None:
        at = queries.clock()
        ends = at + timedelta(minutes=3)
        _, claims = read(grants.token(a_grant(granted, at, valid_until=ends), granted, at))
        assert claims["exp"] == int(ends.timestamp())

    def test_words_stand_in_it_as_they_are_and_without_a_space_between(self, cast: Cast) -> None:
        request = queries.requests().get(pk=file_request(cast, "docs.read", resource="docs/żółć").pk)
        token = grants.token(request.grant, request, request.grant.issued_at)
        assert token is not None
        payload = base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()
        assert '"rsc":"docs/żółć","pdg"' in payload


class TestVerifying:
    def signed(self, request: Request, *, key: OKPKey | None = None, payload: Any = None, **header: Any) -> str:
        """The request's grant with some of it said otherwise, by the real key or another."""
        own, claims = read(grants.token(request.grant, request, request.grant.issued_at))
        key = key or grants.private_keys()[own["kid"]]
        if isinstance(payload, dict):
            claims = {name: value for name, value in {**claims, **payload}.items() if value is not ...}
        elif payload is not None:
            claims = payload
        said = {name: value for name, value in {**own, **header}.items() if value is not ...}
        return jws.serialize_compact(said, json.dumps(claims).encode(), key, registry=ANY)

    def test_what_we_signed_is_read_back_whatever_the_time(self, granted: Request) -> None:
        grant = granted.grant
        expected = int(grant.issued_at.timestamp()) + 600
        for text in (grants.token(grant, granted, grant.issued_at), self.signed(granted)):
            assert text is not None
            claims = grants.verify(text)
            assert (claims.grant_id, claims.request_id) == (UUID(str(grant.pk)), str(granted.pk))
            assert (claims.audience, claims.expires_at) == (ISSUER, expected)
        assert grants.verify(self.signed(granted, payload={"exp": 5})).expires_at == 5

    def with_header(self, request: Request, header: dict[str, Any]) -> str:
        """The request's grant under another header, its signature by the real key over just that."""
        own, _ = read(text := self.signed(request))
        said = {name: value for name, value in {**own, **header}.items() if value is not ...}
        signing = f"{_encoded(said)}.{text.split('.')[1]}"
        key = grants.private_keys()[own["kid"]].private_key
        assert isinstance(key, Ed25519PrivateKey)
        return f"{signing}.{_text(key.sign(signing.encode()))}"

    def test_a_header_that_is_not_ours_is_refused_though_the_signature_holds(self, granted: Request) -> None:
        assert grants.verify(self.with_header(granted, {}))
        wrongs: list[dict[str, Any]] = [
            {"typ": "JWT"}, {"typ": "receipt+jwt"}, {"typ": ...},
            {"kid": "another"}, {"kid": ...}, {"kid": None}, {"kid": 5}, {"kid": ["x"]},
            {"alg": "none"}, {"alg": "HS256"}, {"alg": "Ed25519"}, {"alg": None}, {"alg": ...},
        ]  # fmt: skip
        for wrong in wrongs:
            with pytest.raises(InvalidGrant):
                grants.verify(self.with_header(granted, wrong))

    def test_another_key_under_our_kid_is_refused(self, granted: Request) -> None:
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(InvalidGrant):
            grants.verify(self.signed(granted, key=OKPKey.import_key(pem)))

    def test_claims_that_say_no_grant_are_refused_though_we_signed_them(self, granted: Request) -> None:
        wrongs: list[Any] = [
            {"jti": "no id"}, {"jti": 5}, {"jti": None}, {"jti": ...}, {"exp": "soon"}, {"exp": None}, {"exp": ...},
            {"req": ...}, {"aud": ...}, [], "text", 5,
        ]  # fmt: skip
        for wrong in wrongs:
            with pytest.raises(InvalidGrant):
                grants.verify(self.signed(granted, payload=wrong))

    def test_what_is_no_jws_is_refused(self, granted: Request) -> None:
        for text in ("", "x", "..", "é.é.é", "e30.e30.", "bnVsbA.bnVsbA.bnVsbA", "W10.W10.W10"):
            with pytest.raises(InvalidGrant):
                grants.verify(text)

    def test_a_key_that_is_published_no_more_verifies_nothing(self, granted: Request) -> None:
        text = self.signed(granted)
        kid = SigningKey.objects.get().kid
        retired(kid, queries.clock() - timedelta(hours=24))
        assert grants.verify(text)
        retired(kid, queries.clock() - timedelta(hours=26))
        with pytest.raises(InvalidGrant):
            grants.verify(text)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _encoded(header: Any) -> str:
    return _text(json.dumps(header).encode())
