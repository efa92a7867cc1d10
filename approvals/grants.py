"""Signs an approval into its grant and reads one back; which keys may sign, and since when. Spending is `redemption`'s.

A grant is a compact JWS (EdDSA over Ed25519, `typ` grant+jwt). Reads renew it in steps of 5 minutes from the
approval, with the same `jti`; Ed25519 is deterministic, so reads within a step are equal to the byte.
"""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OKPKey
from joserfc.util import to_bytes

from agents.problems import Problem
from approvals.models import Grant, Request, SigningKey
from approvals.rules.ruling import Ruling
from audit.canonical import timestamp
from audit.entries import Draft, Party, Personal, record
from audit.health import fork_number
from audit.types import EntryType

# RFC 9864 renames the algorithm by its curve; every verifier in the field knows it as EdDSA, and so does our contract.
warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)

STEP = timedelta(minutes=5)
LIFETIME = timedelta(minutes=10)
LEEWAY = timedelta(seconds=30)
PUBLISH_AHEAD = timedelta(hours=24)
#: For who asks whether anything can be signed from now on: a key that is retired stays so, no clock need be asked.
LATER = datetime.max.replace(tzinfo=UTC)
KEEP_RETIRED = timedelta(hours=25)  # a yes holds 24 h at most
TYPE = "grant+jwt"
ALGORITHM = "EdDSA"
log = structlog.get_logger(__name__)
_REGISTRY = jws.JWSRegistry(algorithms=[ALGORITHM], strict_check_header=False)


class CannotSign(Problem):
    """503: no grant key can be read or used; nothing is approved, and what was approved cannot be shown just now."""

    def __init__(self, why: str) -> None:
        super().__init__("busy", "Grants cannot be signed just now; try again.", headers={"Retry-After": "5"})
        self.why = why


class InvalidGrant(Exception):
    """Not a grant of ours: signature, key, audience, algorithm or type."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified grant says, as far as redeeming needs it."""

    grant_id: UUID
    request_id: str
    audience: str
    expires_at: int  # Unix seconds


def _read(file: Path) -> OKPKey:
    try:
        return _private_key(file.read_bytes())
    except OSError as error:
        raise CannotSign(f"The grant key {file.name} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise CannotSign(f"The grant key {file.name} is not an Ed25519 key in PEM, without a password.") from error


@lru_cache(maxsize=16)
def _private_key(pem: bytes) -> OKPKey:
    private = load_pem_private_key(pem, password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("another kind of key")
    key = OKPKey.import_key(pem)
    key.ensure_kid()
    return key


def private_keys() -> dict[str, OKPKey]:
    """The grant keys on disk by kid: one PEM file, or a folder of them while rotating. Raises `CannotSign`, also where
    one of several is no key: that may be the one that was meant to sign.

    Read anew each time, so that a key taken away signs nothing more.
    """
    place = Path(settings.GRANT_KEY_PATH)
    try:
        files = sorted(place.glob("*.pem")) if place.is_dir() else [place]
        keys = [_read(file) for file in files] if settings.GRANT_KEY_PATH else []
    except OSError as error:
        raise CannotSign(f"No grant key can be read at {place}: {error.strerror}.") from error
    if not keys:
        raise CannotSign("There is no grant key.")
    return {str(key.kid): key for key in keys}


@transaction.atomic
def publish_keys() -> list[SigningKey]:
    """Make the keys on disk known, with an entry each; all keys that are published.

    A key that is gone from this node's disk is not retired for it: while keys are rotated, nodes differ. `retire` is.
    """
    keys = private_keys()
    known = {key.kid: key for key in SigningKey.objects.select_for_update()}
    for kid, key in keys.items():
        if kid in known:
            continue
        public: Any = key.as_dict(private=False)
        _, made = SigningKey.objects.get_or_create(kid=kid, defaults={"x": public["x"]})
        if made:
            record(
                Draft(
                    type=EntryType.KEY_CREATED,
                    actor=Party("system", "countersign"),
                    subject=Party("key", kid),
                    facts={"kid": kid, "x": public["x"], "use": "grants"},
                )
            )
    return published_keys()


@transaction.atomic
def retire(kid: str, *, by: Party) -> bool:
    """Sign with this key no more; it stays published until its last grant has lapsed. False where it is not known."""
    changed = SigningKey.objects.filter(pk=kid, retired_at__isnull=True).update(retired_at=Now())
    if changed:
        record(
            Draft(
                EntryType.CONFIGURATION_CHANGED, by, Party("key", kid), {"kid": kid, "use": "grants", "retired": True}
            )
        )
    return bool(changed)


def published_keys() -> list[SigningKey]:
    """Keys that verifiers should know: those in use or to come, and those whose last grant may still hold."""
    return list(
        SigningKey.objects.filter(Q(retired_at__isnull=True) | Q(retired_at__gt=Now() - KEEP_RETIRED)).order_by(
            "published_at", "kid"
        )
    )


def jwks() -> dict[str, Any]:
    """The published keys as a JWK Set: `kty`, `crv`, `x`, `kid`, `use`, no `alg`."""
    keys = published_keys()
    with suppress(CannotSign):  # those that verify what was signed are served all the same
        if not private_keys().keys() <= {key.kid for key in keys}:
            keys = publish_keys()
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": key.x, "kid": key.kid, "use": "sig"} for key in keys]}


def _key_at(moment: datetime) -> OKPKey:
    """The key that signs at this moment. Raises `CannotSign`, whose cause is for the log alone."""
    try:
        return _chosen(moment)
    except CannotSign as error:
        log.error("grants.cannot_sign", why=error.why)
        raise


def _chosen(moment: datetime) -> OKPKey:
    """The newest one published 24 h before, else the oldest there is."""
    private = private_keys()
    known = _known_keys()
    if not private.keys() <= {key.kid for key in known}:
        publish_keys()
        known = _known_keys()
    usable = [key for key in known if key.kid in private and (key.retired_at is None or key.retired_at > moment)]
    if not usable:
        raise CannotSign("Every grant key on disk was retired.")
    ripe = [key for key in usable if key.published_at <= moment - PUBLISH_AHEAD]
    return private[(ripe[-1] if ripe else usable[0]).kid]


def _known_keys() -> list[SigningKey]:
    return list(SigningKey.objects.order_by("published_at", "kid"))


def issuer() -> str:
    """Who signs: the address this installation is known by."""
    return str(settings.BASE_URL)


def audience_for(executor: str | None) -> str:
    """Who may redeem: the issuer, or the one executor that policy names."""
    return f"{issuer()}/executors/{executor}" if executor else issuer()


def issue(request: Request, ruling: Ruling, *, at: datetime, by: Party) -> Grant:
    """Make the grant of a request that is being approved under `ruling`, with its entry. Signs once, so that an
    approval that cannot be signed fails here: raises `CannotSign`."""
    grant = Grant(
        request=request,
        audience=audience_for(ruling.executor),
        issued_at=at,
        valid_until=at + timedelta(seconds=ruling.valid_seconds),
        level=ruling.risk,
        fork=fork_number(),
        epoch=request.epoch,
    )
    _sign(grant, request, at)
    grant.save(force_insert=True)
    record(
        Draft(
            type=EntryType.GRANT_ISSUED,
            actor=by,
            subject=Party("request", str(request.pk)),
            facts={
                "grant": str(grant.pk),
                "executor": ruling.executor,
                "risk": grant.level,
                "valid_until": timestamp(grant.valid_until),
            },
            personal={"parameters_digest": Personal(request.effective_digest, bytes(request.digest_salt))},
        )
    )
    return grant


def assert_can_sign(at: datetime) -> None:
    """Pass where an approval at this moment could be signed; raises `CannotSign`."""
    _key_at(at)


def step_at(grant: Grant, now: datetime) -> int | None:
    """How many whole renewals lie behind this moment; None once the grant is redeemed, voided or lapsed."""
    if grant.redeemed_at is not None or grant.voided_at is not None or now >= grant.valid_until:
        return None
    return max(0, (now - grant.issued_at) // STEP)


def token(grant: Grant, request: Request, now: datetime) -> str | None:
    """The grant as a reader gets it now; None once it is redeemed, voided or lapsed."""
    step = step_at(grant, now)
    return None if step is None else _sign(grant, request, grant.issued_at + step * STEP)


def _sign(grant: Grant, request: Request, at: datetime) -> str:
    issued = int(at.timestamp())
    claims = {
        "iss": issuer(),
        "sub": str(request.agent_id),
        "aud": grant.audience,
        "jti": str(grant.pk),
        "iat": issued,
        "nbf": issued - int(LEEWAY.total_seconds()),
        "exp": min(issued + int(LIFETIME.total_seconds()), int(grant.valid_until.timestamp())),
        "req": str(request.pk),
        "act": request.action,
        "rsc": request.resource,
        "pdg": request.effective_digest,
        "lvl": grant.level,
    }
    key = _key_at(at)
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.kid}
    payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode()
    return jws.serialize_compact(header, payload, key, registry=_REGISTRY)


def verify(text: str) -> Claims:
    """The claims of a grant that one of our published keys signed; raises `InvalidGrant` for anything else.

    Time is not judged here: `redemption` does, by the database's clock.
    """
    known = {key.kid: key for key in published_keys()}
    try:
        header = jws.extract_compact(to_bytes(text)).protected
        if header.get("alg") != ALGORITHM or header.get("typ") != TYPE or header.get("kid") not in known:
            raise InvalidGrant
        key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": known[str(header["kid"])].x})
        signed = jws.deserialize_compact(text, key, registry=_REGISTRY)
        claims = json.loads(signed.payload)
        return Claims(UUID(claims["jti"]), str(claims["req"]), str(claims["aud"]), int(claims["exp"]))
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidGrant from error
