"""Signing in through the organisation's provider: by a verified address at first, then by its own name for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts import two_people
from accounts.acting import Acting, Refused
from accounts.models import RightsChange, Role, User
from accounts.people import give_role
from accounts.second_factor import why_not_fresh
from accounts.sign_in import authentication_of
from tests.support import codes, sealing
from tests.support.cast import SETTING_UP, Cast, file_request, make_cast, make_person, password_proof
from tests.support.forging import forging
from tests.support.forms import said
from tests.support.leaves import entries
from tests.support.provider import CLIENT, SECRET, Provider, providing


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Two of support."""
    return make_cast(only=("support1", "support2"))


@pytest.fixture
def provider(cast: Cast, settings: Any) -> Iterator[Provider]:
    """A provider that says support1 is there."""
    with providing() as made:
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = made.url, CLIENT, SECRET
        made.claims = claims()
        yield made


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "248289761001", "email": "support1@example.test", "email_verified": True, **more}


def begin(client: Client) -> str:
    sent = client.post("/accounts/oidc/", {"next": "/history/"})
    assert sent.status_code == 302, sent.content.decode()
    return sent["Location"]


def sign_in(provider: Provider, client: Client | None = None) -> tuple[Client, Any]:
    """The whole way there and back; the browser, and what it got in the end."""
    client = client or Client()
    return client, client.get(f"/accounts/oidc/callback/?{provider.send_back(begin(client))}")


def signed_in_as(client: Client) -> str | None:
    """The id of who is signed in there."""
    return client.session.get("_auth_user_id")


def test_a_person_who_is_here_is_let_in_by_a_verified_address_and_then_by_the_providers_name_for_them(
    cast: Cast, provider: Provider
) -> None:
    client, answer = sign_in(provider)
    assert (answer.status_code, answer["Location"]) == (302, "/history/")
    assert signed_in_as(client) == str(cast["support1"].pk)
    assert client.get("/queue/").status_code == 200
    linked = [leaf for leaf in entries("person.changed") if leaf["facts"].get("what") == "identity-linked"]
    assert [leaf["subject"]["id"] for leaf in linked] == [str(cast["support1"].pk)]
    provider.claims = claims(email="renamed@example.test", email_verified=False)  # the name for them is what counts now
    assert signed_in_as(sign_in(provider)[0]) == str(cast["support1"].pk)
    assert User.objects.get(pk=cast["support1"].pk).email == "support1@example.test"
    assert len([leaf for leaf in entries("person.changed") if leaf["facts"].get("what") == "identity-linked"]) == 1
    assert provider.problems == []


def test_the_address_matches_in_any_case_and_no_claim_is_kept(cast: Cast, provider: Provider) -> None:
    provider.claims = claims(email="Support1@EXAMPLE.test", name="A name of theirs", picture="https://x.example/me")
    assert signed_in_as(sign_in(provider)[0]) == str(cast["support1"].pk)
    account = SocialAccount.objects.get()
    assert account.extra_data == {}
    assert "248289761001" not in account.uid
    assert User.objects.get(pk=cast["support1"].pk).name == cast["support1"].name


@pytest.mark.parametrize(
    "wrong",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email": "nobody@example.test"},
        {"email": None},
        {"email": ["support1@example.test"]},
    ],
)
def test_an_address_that_is_not_verified_or_not_known_signs_nobody_in_and_nobody_up(
    cast: Cast, provider: Provider, wrong: dict[str, Any]
) -> None:
    people = User.objects.count()
    provider.claims = claims(**wrong)
    client, answer = sign_in(provider)
    assert answer.status_code == 403
    assert signed_in_as(client) is None
    assert (User.objects.count(), SocialAccount.objects.count()) == (people, 0)


def test_who_is_deactivated_stays_out_linked_or_not(cast: Cast, provider: Provider) -> None:
    with forging():
        User.objects.filter(pk=cast["support1"].pk).update(is_active=False)
    assert sign_in(provider)[1].status_code == 403
    with forging():
        User.objects.filter(pk=cast["support1"].pk).update(is_active=True)
    assert sign_in(provider)[1].status_code == 302
    with forging():
        User.objects.filter(pk=cast["support1"].pk).update(is_active=False)
    client, answer = sign_in(provider)
    assert answer.status_code == 403
    assert signed_in_as(client) is None


def test_an_address_that_was_given_to_somebody_else_there_is_not_them_here(cast: Cast, provider: Provider) -> None:
    assert sign_in(provider)[1].status_code == 302
    provider.claims = claims(sub="another person")
    client, answer = sign_in(provider)
    assert answer.status_code == 403
    assert signed_in_as(client) is None


def test_another_issuers_person_of_the_same_name_is_somebody_else(
    cast: Cast, provider: Provider, settings: Any
) -> None:
    assert sign_in(provider)[1].status_code == 302
    with providing() as other:
        other.claims = claims(email="support2@example.test")
        settings.OIDC_ISSUER = other.url
        assert signed_in_as(sign_in(other)[0]) == str(cast["support2"].pk)


@pytest.mark.parametrize(
    "wrong",
    [
        {"foreign_key": True},
        {"algorithm": "none"},
        {"algorithm": "HS256"},
        {"published_secret": True},
        {"audience": "another client"},
        {"expires_in": -60},
        {"without_id_token": True},
        {"told": {"sub": "another person", "email": "support2@example.test", "email_verified": True}},
        {"told": {}, "claims": {"email": "support1@example.test", "email_verified": True}},
    ],
    ids=lambda wrong: next(iter(wrong)) + str(next(iter(wrong.values())))[:10],
)
def test_what_a_provider_does_not_properly_sign_signs_nobody_in(
    cast: Cast, provider: Provider, wrong: dict[str, Any]
) -> None:
    for name, value in wrong.items():
        setattr(provider, name, value)
    client, answer = sign_in(provider)
    assert answer.status_code == 403
    assert signed_in_as(client) is None
    assert not SocialAccount.objects.exists()


def test_a_provider_that_names_another_issuer_is_not_gone_to(cast: Cast, provider: Provider) -> None:
    provider.issuer = "https://elsewhere.example"
    assert Client().post("/accounts/oidc/").status_code == 403


def test_a_provider_that_is_away_is_said_and_not_a_fault(cast: Cast, settings: Any) -> None:
    with providing() as gone:
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = gone.url, CLIENT
    assert Client().post("/accounts/oidc/").status_code == 403


def test_the_answer_of_another_browser_or_of_none_signs_nobody_in(cast: Cast, provider: Provider) -> None:
    query = provider.send_back(begin(Client()))
    other = Client()
    begin(other)
    assert other.get(f"/accounts/oidc/callback/?{query}").status_code == 403
    assert signed_in_as(other) is None
    assert Client().get("/accounts/oidc/callback/").status_code == 403
    assert Client().get("/accounts/oidc/callback/?error=access_denied&state=x").status_code == 403
    client, answer = sign_in(provider)
    assert answer.status_code == 302
    assert client.get(f"/accounts/oidc/callback/?{query}").status_code == 403  # a state is good once


def test_nobody_links_an_identity_to_the_account_they_sit_in(cast: Cast, provider: Provider) -> None:
    client = Client()
    client.force_login(cast["support2"])
    sent = client.post("/accounts/oidc/?process=connect", {"process": "connect", "next": "//evil.example/"})
    answer = client.get(f"/accounts/oidc/callback/?{provider.send_back(sent['Location'])}")
    assert answer["Location"] == "/queue/"  # never another house
    assert signed_in_as(client) == str(cast["support1"].pk)  # whose identity it is, and nobody else's
    assert not SocialAccount.objects.filter(user=cast["support2"]).exists()


def test_where_no_provider_is_set_there_is_nothing(cast: Cast) -> None:
    assert Client().post("/accounts/oidc/").status_code == 404
    assert Client().get("/accounts/oidc/callback/").status_code == 404
    page = Client().get("/accounts/login/")
    assert "/accounts/oidc/" not in page.content.decode()
    assert "form-action 'self';" in page["Content-Security-Policy"] + ";"


def test_the_sign_in_page_may_lead_to_the_issuer_and_no_other_page_may(cast: Cast, provider: Provider) -> None:
    client = Client()
    page = client.get("/accounts/login/")
    assert 'action="/accounts/oidc/"' in page.content.decode()
    assert f"form-action 'self' {provider.url}" in page["Content-Security-Policy"]
    client.force_login(cast["support1"])
    assert provider.url not in client.get("/queue/")["Content-Security-Policy"]
    asked = parse_qs(urlsplit(begin(Client())).query)
    assert asked["redirect_uri"] == ["http://localhost:8000/accounts/oidc/callback/"]
    assert (asked["code_challenge_method"], asked["response_type"]) == (["S256"], ["code"])
    assert Client().get("/accounts/oidc/").status_code == 405


def test_it_is_evidence_as_oidc_and_never_counts_as_a_second_factor(cast: Cast, provider: Provider) -> None:
    provider.claims = claims(amr=["mfa", "hwk"], acr="phr")
    client, _ = sign_in(provider)
    with sealing.running():
        request = file_request(cast)
        page = client.get(f"/requests/{request.pk}/")
    assert page.status_code == 200
    auth = authentication_of(page.wsgi_request)
    assert auth.method == "oidc"
    assert why_not_fresh(auth, at=auth.at) != ""


def test_who_has_a_second_factor_here_is_asked_for_it_all_the_same(cast: Cast, provider: Provider) -> None:
    apps = codes.equip(cast["support1"])
    client, answer = sign_in(provider)
    assert answer["Location"].startswith("/accounts/2fa/authenticate/")
    assert signed_in_as(client) is None
    assert client.post("/accounts/2fa/authenticate/", {"code": apps["support1"].code()}).status_code == 302
    assert signed_in_as(client) == str(cast["support1"].pk)


def test_an_invited_person_may_come_this_way_without_a_password(cast: Cast, provider: Provider) -> None:
    person = make_person("newcomer")
    provider.claims = claims(email=person.email)
    assert signed_in_as(sign_in(provider)[0]) == str(person.pk)


@pytest.mark.parametrize(
    "address", ["ſupport1@example.test", "support1@example.teſt", "ｓupport1@example.test", "support1＠example.test"]
)
def test_an_address_that_only_folds_to_a_colleagues_lets_nobody_in(
    cast: Cast, provider: Provider, address: str
) -> None:
    provider.claims = claims(email=address)
    client, answer = sign_in(provider)
    assert answer.status_code == 403
    assert signed_in_as(client) is None
    assert not SocialAccount.objects.exists()


def test_the_first_link_of_an_administrator_waits_for_another(cast: Cast, provider: Provider) -> None:
    for name in ("support1", "support2"):
        give_role(by=SETTING_UP, user=cast[name], role=Role.ADMINISTRATOR)
    client, answer = sign_in(provider)
    assert (answer.status_code, signed_in_as(client)) == (403, None)
    assert "waits for an administrator to confirm it" in said(answer)
    assert not SocialAccount.objects.exists()
    change = RightsChange.objects.get()
    assert change.reason == f"Sign-in through {provider.url} as 248289761001"
    provider.claims = claims(sub="somebody-else")  # another of the provider's users cannot take its place
    assert sign_in(provider)[1].status_code == 403
    assert RightsChange.objects.get().identity == {"issuer": provider.url, "sub": "248289761001"}
    proof = password_proof()
    with pytest.raises(Refused):
        two_people.confirm(by=Acting(cast["support1"], proof), change_id=change.pk)
    two_people.confirm(by=Acting(cast["support2"], proof), change_id=change.pk)
    assert sign_in(provider)[1].status_code == 403  # that one is nobody still
    provider.claims = claims()
    assert signed_in_as(sign_in(provider)[0]) == str(cast["support1"].pk)
    linked = [leaf for leaf in entries("person.changed") if leaf["facts"].get("what") == "identity-linked"]
    assert [leaf["actor"]["id"] for leaf in linked] == [str(cast["support2"].pk)]


def test_the_only_administrators_link_is_confirmed_by_the_operator(cast: Cast, provider: Provider) -> None:
    give_role(by=SETTING_UP, user=cast["support1"], role=Role.ADMINISTRATOR)
    with pytest.raises(CommandError, match="waits for this person"):
        call_command("setup", email="support1@example.test", confirm_link=True)
    assert sign_in(provider)[1].status_code == 403
    call_command("setup", email="support1@example.test", confirm_link=True)
    assert signed_in_as(sign_in(provider)[0]) == str(cast["support1"].pk)
    (entry,) = [leaf for leaf in entries("person.changed") if leaf["facts"].get("what") == "identity-linked"]
    assert entry["facts"]["bootstrap"] is True
    give_role(by=SETTING_UP, user=cast["support2"], role=Role.ADMINISTRATOR)
    with pytest.raises(CommandError, match="one active administrator"):
        call_command("setup", email="support2@example.test", confirm_link=True)


# ---- confirming without a password or a factor
GUARDED = ["mfa_activate_totp", "mfa_add_webauthn", "mfa_generate_recovery_codes"]


def confirm_again(provider: Provider, client: Client, **more: Any) -> Any:
    """Press the button that has the provider ask again; what the browser gets in the end."""
    sent = client.post("/accounts/oidc/", {"next": "/accounts/2fa/totp/activate/", "again": "1"})
    asked = parse_qs(urlsplit(sent["Location"]).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    provider.claims = claims(**more)
    return client.get(f"/accounts/oidc/callback/?{provider.send_back(sent['Location'])}")


def without_password(person: User) -> None:
    with forging():
        User.objects.filter(pk=person.pk).update(password="!none")


@pytest.mark.parametrize("page", GUARDED)
def test_a_session_alone_adds_no_factor(cast: Cast, provider: Provider, page: str) -> None:
    without_password(cast["support1"])
    client, _ = sign_in(provider)
    for answer in (client.get(reverse(page)), client.post(reverse(page), {"code": "123456"})):
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/accounts/oidc/confirm/")
    assert not Authenticator.objects.exists()
    assert "Confirm with" in said(client.get("/accounts/oidc/confirm/?next=/accounts/2fa/totp/activate/"))


@pytest.mark.parametrize(
    "more",
    [{}, {"auth_time": int(time.time()) - 400}, {"auth_time": True}, {"auth_time": "1"}, {"auth_time": 2**40}],
    ids=["none", "old", "true", "text", "future"],
)
def test_a_provider_without_fresh_auth_time_confirms_nothing(
    cast: Cast, provider: Provider, more: dict[str, Any]
) -> None:
    without_password(cast["support1"])
    client, _ = sign_in(provider)
    assert confirm_again(provider, client, **more).status_code == 403
    assert client.get(reverse("mfa_activate_totp")).status_code == 302


def test_a_fresh_proof_of_the_provider_lets_a_factor_be_added(cast: Cast, provider: Provider) -> None:
    without_password(cast["support1"])
    client, _ = sign_in(provider)
    assert confirm_again(provider, client, auth_time=int(time.time())).status_code == 302
    assert client.get(reverse("mfa_activate_totp")).status_code == 200
    app = codes.App(client.session[SECRET_SESSION_KEY])
    assert client.post(reverse("mfa_activate_totp"), {"code": app.code()}).status_code == 302
    assert [letter.subject for letter in mail.outbox][:1] == ["Your second factor has changed"]
    assert "An authenticator app was added" in mail.outbox[0].body


def test_a_proof_of_somebody_else_confirms_nothing(cast: Cast, provider: Provider) -> None:
    without_password(cast["support1"])
    client, _ = sign_in(provider)
    answer = confirm_again(provider, client, sub="other", email="support2@example.test", auth_time=int(time.time()))
    assert answer.status_code == 403
    assert client.get(reverse("mfa_activate_totp")).status_code in (302, 403)
    assert not Authenticator.objects.exists()


def test_a_role_of_two_adds_no_factor_by_the_provider_alone(cast: Cast, provider: Provider) -> None:
    without_password(cast["support1"])
    client, _ = sign_in(provider)
    give_role(by=SETTING_UP, user=cast["support1"], role=Role.POLICY_ACTIVATOR)
    assert confirm_again(provider, client, auth_time=int(time.time())).status_code == 302
    refused = client.get(reverse("mfa_activate_totp"))
    assert refused.status_code == 403
    assert "Ask two administrators for a new sign-in" in said(refused)
