"""The contract's bodies and queries: what is accepted, and what is answered, for validation and for the schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from approvals.rules.likeness import ends_unseen

#: A validator of Django's, so that the schema says the pattern too.
ACTION = RegexValidator(
    re.compile(r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\Z", re.ASCII), "A dotted lower-case name, such as refund.create."
)


class Text(serializers.CharField):
    """A JSON string, taken as it is: numbers are not turned into text and nothing is trimmed."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(trim_whitespace=False, **keywords)

    def to_internal_value(self, data: Any) -> str:
        """The string itself."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


#: What the schema can say of `_named`: neither end is white space.
_SEEN_ENDS = r"^\S(?:[\s\S]*\S)?$"


@extend_schema_field({"type": "string", "maxLength": 500, "pattern": _SEEN_ENDS})
class Resource(Text):
    """What an action is done to."""


@extend_schema_field({"type": "string", "maxLength": 200, "pattern": _SEEN_ENDS})
class Summary(Text):
    """One line that says what is asked for."""


class Whole(serializers.IntegerField):
    """A JSON integer: neither a string of digits nor a boolean."""

    def to_internal_value(self, data: Any) -> int:
        """The integer itself; 1.0 is the integer 1."""
        if isinstance(data, bool) or not isinstance(data, (int, float)):
            self.fail("invalid")
        if isinstance(data, float) and not data.is_integer():
            self.fail("invalid")
        return int(super().to_internal_value(int(data)))


class Anything(serializers.JSONField):
    """Any JSON value."""


class Members(serializers.DictField):
    """A JSON object with any members."""

    child = Anything(allow_null=True)


def _one_line(value: str) -> str:
    if len(f"{value}.".splitlines()) > 1:  # with a character after it, a line's end at the very end counts too
        raise serializers.ValidationError("This must be one line.")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise serializers.ValidationError("This must not be blank.")
    return value


def _present(fields: Mapping[str, serializers.Field[Any, Any, Any, Any]], data: Any) -> Any:
    """The members that were sent: `null` for an optional one means that it is absent."""
    if not isinstance(data, dict):
        return data
    return {
        name: value for name, value in data.items() if value is not None or name not in fields or fields[name].required
    }


def _named(value: str) -> str:
    """What names a thing: something, and nothing unseen at its ends. The first that is wrong is said."""
    _not_blank(value)
    if ends_unseen(value):
        raise serializers.ValidationError("This must not begin or end with white space or an invisible character.")
    return value


def _headline(value: str) -> str:
    return _named(_one_line(value))


class Kept(serializers.Serializer[dict[str, Any]]):
    """An object whose known members are checked and all of whose members are kept: it is evidence."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The object as it came."""
        super().to_internal_value(_present(self.fields, data))
        return dict(data)


class SourceInput(Kept):
    """A source the agent read."""

    uri = Text(required=False, allow_null=True, max_length=2_000)
    digest = Text(required=False, allow_null=True, max_length=200)


class ToolCallInput(Kept):
    """A tool the agent called."""

    tool = Text(required=False, allow_null=True, max_length=200)
    parameters = Anything(required=False, allow_null=True)
    status = Whole(required=False, allow_null=True)


class ContextInput(Kept):
    """What surrounds the request; every field is optional and unknown ones are kept."""

    session = Text(required=False, allow_null=True, max_length=200)
    run = Text(required=False, allow_null=True, max_length=200)
    prompt_digest = Text(required=False, allow_null=True, max_length=200)
    sources = SourceInput(many=True, required=False, allow_null=True)
    tool_calls = ToolCallInput(many=True, required=False, allow_null=True)


class Closed(serializers.Serializer[dict[str, Any]]):
    """A body with no other members than the declared: a misspelt field is an error, not a silence."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """As DRF, and unknown members are errors beside the others."""
        names = data if isinstance(data, dict) else ()
        unknown: dict[str, Any] = {name: ["This field is not known."] for name in names if name not in self.fields}
        try:
            fields = dict(super().to_internal_value(_present(self.fields, data)))
        except serializers.ValidationError as error:
            if not isinstance(error.detail, dict):
                raise
            raise serializers.ValidationError({**unknown, **error.detail}) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return fields


class ParametersField(Members):
    """`parameters`: an object with one meaning, within the contract's limits."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The object as it came."""
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        return dict(data)


class RequestInput(Closed):
    """A filing."""

    action = Text(max_length=100, validators=[ACTION])
    resource = Resource(max_length=500, validators=[_named])
    parameters = ParametersField()
    summary = Summary(max_length=200, validators=[_headline])
    rationale = Text(max_length=8_000, validators=[_not_blank])
    timeout_seconds = Whole(required=False, allow_null=True, min_value=1, max_value=604_800)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """The declared fields, and `context`, a name that DRF keeps for itself on the class."""
        return {**super().get_fields(), "context": ContextInput(required=False, allow_null=True)}


class AnswerInput(Closed):
    """An answer to a reviewer's question."""

    question = Text(max_length=100)
    text = Text(max_length=8_000, validators=[_not_blank])


class WithdrawInput(Closed):
    """Why a request is taken back."""

    reason = Text(required=False, allow_null=True, allow_blank=True, max_length=8_000)


class RedeemInput(Closed):
    """A grant and what is about to be done."""

    grant = Text(max_length=20_000)
    parameters = ParametersField()
    action = Text(required=False, allow_null=True, max_length=100)
    resource = Text(required=False, allow_null=True, max_length=500)


class OutcomeInput(Closed):
    """What came of it."""

    result = serializers.ChoiceField(choices=["succeeded", "failed"])
    response_code = Whole(required=False, allow_null=True, min_value=-(2**31), max_value=2**31 - 1)
    detail = Members(required=False, allow_null=True)


class ActivityInput(Closed):
    """What the agent did around a request."""

    tool_calls = serializers.ListField(child=ToolCallInput(), min_length=1, max_length=1_000)


class ReadQuery(serializers.Serializer[dict[str, Any]]):
    """`?wait=` of a read."""

    wait = serializers.IntegerField(required=False, min_value=0, max_value=60)


class ListQuery(serializers.Serializer[dict[str, Any]]):
    """The filters of a list."""

    status = serializers.ChoiceField(
        choices=["pending", "approved", "rejected", "expired", "blocked", "withdrawn"], required=False
    )
    action = serializers.CharField(required=False, max_length=100)
    created_after = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=100, default=50)
    cursor = serializers.CharField(required=False, max_length=100)


class QuestionOutput(serializers.Serializer[Any]):
    """A reviewer's question."""

    class Answer(serializers.Serializer[Any]):
        """Its answer."""

        text = serializers.CharField()
        at = serializers.DateTimeField()

        class Meta:
            ref_name = "QuestionAnswer"

    id = serializers.CharField()
    text = serializers.CharField()
    asked_at = serializers.DateTimeField()
    answer = Answer(allow_null=True)


class DecisionOutput(serializers.Serializer[Any]):
    """How a request ended."""

    outcome = serializers.ChoiceField(choices=["approved", "rejected", "expired", "blocked", "withdrawn"])
    decided_at = serializers.DateTimeField()
    reason = serializers.CharField()
    retry = serializers.ChoiceField(choices=["never", "changed", "later"], allow_null=True)
    stop = serializers.BooleanField()
    parameters = Members(allow_null=True)
    amended = serializers.BooleanField()
    valid_until = serializers.DateTimeField(allow_null=True)


class OutcomeOutput(serializers.Serializer[Any]):
    """What the executor reported; `unknown` where nothing was reported in time after the redemption."""

    result = serializers.ChoiceField(choices=["succeeded", "failed", "unknown"])
    response_code = serializers.IntegerField(allow_null=True)
    detail = Members(allow_null=True)
    reported_at = serializers.DateTimeField(allow_null=True)


class RequestOutput(serializers.Serializer[Any]):
    """A request as its agent reads it."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["pending", "approved", "rejected", "expired", "blocked", "withdrawn"])
    action = serializers.CharField()
    resource = serializers.CharField()
    parameters = Members()
    parameters_digest = serializers.CharField()
    summary = serializers.CharField()
    rationale = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    question = QuestionOutput(allow_null=True)
    decision = DecisionOutput(allow_null=True)
    grant = serializers.CharField(allow_null=True)
    outcome = OutcomeOutput(allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """The declared fields, and `context`, a name that DRF keeps for itself on the class."""
        return {**super().get_fields(), "context": Members()}


class RequestListOutput(serializers.Serializer[Any]):
    """A page of requests."""

    results = RequestOutput(many=True)
    next = serializers.CharField(allow_null=True)


class RedeemedOutput(serializers.Serializer[Any]):
    """A redemption."""

    request = serializers.UUIDField()
    action = serializers.CharField()
    resource = serializers.CharField()
    redeemed_at = serializers.DateTimeField()


class ProblemErrorOutput(serializers.Serializer[Any]):
    """One thing wrong with the input."""

    pointer = serializers.CharField()
    detail = serializers.CharField()


class ProblemOutput(serializers.Serializer[Any]):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """The declared fields, and `errors`, a name that DRF keeps for itself on the class."""
        return {**super().get_fields(), "errors": ProblemErrorOutput(many=True, required=False)}
