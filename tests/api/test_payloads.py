"""What is signed must have one meaning: the pitfalls of JSON, each refused with a pointer to where it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import contract
from tests.support.cast import Cast
from tests.support.live import Caller, filing

_FRAME = '{"action":"unknown.thing","resource":"r","summary":"s","rationale":"because","parameters":%s}'


def refused(agent: Caller, parameters: str) -> list[str]:
    """The pointers of a 422 for parameters given as JSON text."""
    return contract.pointers(agent.post("requests", (_FRAME % parameters).encode(), key="k"))


def taken(agent: Caller, parameters: str) -> Any:
    """The parameters as answered, and what reading them again gives."""
    response = agent.post("requests", (_FRAME % parameters).encode(), key=f"k{hash(parameters)}")
    assert response.status_code == 201, response.text
    document = response.json()
    assert agent.read(document["id"])["parameters"] == document["parameters"]
    return document["parameters"]


def nested(depth: int, *, array: bool = False) -> str:
    """Parameters whose innermost container is the `depth`th, the object itself being the first."""
    pair = ("[", "]") if array else ('{"a":', "}")
    inner = pair[0] * (depth - 1) + ("" if array else "1") + pair[1] * (depth - 1)
    return '{"a":%s}' % (inner or "1")


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ('{"a":1,"a":1}', "/parameters/a"),
        ('{"a":{"b":[{"c":1,"d":2,"c":3}]}}', "/parameters/a/b/0/c"),
        ('{"a/b":{"~":1,"~":2}}', "/parameters/a~1b/~0"),
        ('{"a":NaN}', "/parameters/a"),
        ('{"a":[1,Infinity]}', "/parameters/a/1"),
        ('{"a":-Infinity}', "/parameters/a"),
        ('{"a":1e400}', "/parameters/a"),
        ('{"a":"\\ud800"}', "/parameters/a"),
        ('{"a":"x\\udc00\\ud800"}', "/parameters/a"),
        ('{"\\udfff":1}', "/parameters/?"),
        ('{"a":"b\\u0000c"}', "/parameters/a"),
        ('{"b\\u0000c":1}', "/parameters/b\ufffdc"),
        ('{"a":9007199254740992}', "/parameters/a"),
        ('{"a":-9007199254740992}', "/parameters/a"),
        ('{"a":9007199254740992.0}', "/parameters/a"),
        ('{"a":1e17}', "/parameters/a"),
        ('{"a":[[-1E20]]}', "/parameters/a/0/0"),
        ('{"a":123456789012345678901234567890}', "/parameters/a"),
        ('{"a":%s}' % ("9" * 5_000), "/parameters/a"),
        ('{"__entity":{"type":"User","id":"root"}}', "/parameters/__entity"),
        ('{"a":[{"__extn":{"fn":"decimal","arg":"1.0"}}]}', "/parameters/a/0/__extn"),
        ('{"a":{"__expr":"1"}}', "/parameters/a/__expr"),
    ],
)
def test_what_two_readers_could_read_differently_is_422_and_pointed_at(
    agent: Caller, parameters: str, where: str
) -> None:
    assert refused(agent, parameters) == [where]


def test_nesting_ends_at_32(agent: Caller) -> None:
    for array in (False, True):
        assert taken(agent, nested(32, array=array))
        assert refused(agent, nested(33, array=array)) == ["/parameters" + ("/a" + "/0" * 31 if array else "/a" * 32)]


def test_nesting_that_no_parser_survives_is_422_as_well(agent: Caller) -> None:
    for depth in (900, 5_000, 100_000):
        assert contract.pointers(agent.post("requests", (_FRAME % nested(depth, array=True)).encode(), key="k"))


def test_at_most_5000_values_are_taken(agent: Caller) -> None:
    # the object, the array, and its items
    assert taken(agent, json.dumps({"a": [0] * 4_998}))
    assert refused(agent, json.dumps({"a": [0] * 4_999})) == ["/parameters"]


@pytest.mark.parametrize(
    ("parameters", "read"),
    [
        ('{"a":1.0}', {"a": 1}),
        ('{"a":-0.0}', {"a": 0}),
        ('{"a":1e2}', {"a": 100}),
        ('{"a":9007199254740991}', {"a": 9007199254740991}),
        ('{"a":-9007199254740991.0}', {"a": -9007199254740991}),
        ('{"a":0.1}', {"a": 0.1}),
        ('{"a":1e21}', {"a": 1e21}),
        ('{"a":5e-324}', {"a": 5e-324}),
        ('{"a":"\\ud834\\udd1e"}', {"a": "𝄞"}),
        ('{"a":"\\u202e\\u200b"}', {"a": "\u202e\u200b"}),
        ('{"a":null,"b":[],"":{}}', {"a": None, "b": [], "": {}}),
        ('{"entity":1,"__ENTITY":2}', {"entity": 1, "__ENTITY": 2}),
    ],
)
def test_what_has_one_meaning_is_taken_and_read_back_as_it_was_meant(
    agent: Caller, parameters: str, read: dict[str, Any]
) -> None:
    assert taken(agent, parameters) == read


def test_the_integer_is_an_integer_however_it_was_written(agent: Caller) -> None:
    written = [agent.post("requests", (_FRAME % f'{{"a":{n}}}').encode(), key=n) for n in ("1", "1.0", "1e0", "10E-1")]
    assert len({response.json()["parameters_digest"] for response in written}) == 1
    assert {json.dumps(response.json()["parameters"]) for response in written} == {'{"a": 1}'}


@pytest.mark.parametrize("name", ["action", "resource", "summary", "rationale"])
@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud800b"])
def test_nul_and_lone_surrogates_are_refused_in_every_string(agent: Caller, name: str, text: str) -> None:
    body = json.dumps(filing(**{name: "PLACE"})).replace("PLACE", text)
    assert f"/{name}" in contract.pointers(agent.post("requests", body.encode(), key="k"))


def test_they_are_refused_in_the_context_and_in_other_endpoints_bodies(agent: Caller, executor: Caller) -> None:
    body = json.dumps(filing(context={"x": ["PLACE"]})).replace("PLACE", "\\u0000")
    assert contract.pointers(agent.post("requests", body.encode(), key="k")) == ["/context/x/0"]
    path = f"requests/{agent.file().json()['id']}"
    assert contract.pointers(agent.post(f"{path}/withdraw", b'{"reason":"\\ud800"}')) == ["/reason"]
    assert contract.pointers(agent.post(f"{path}/activity", b'{"tool_calls":[{"tool":"\\u0000"}]}')) == [
        "/tool_calls/0/tool"
    ]
    assert contract.pointers(executor.post("grants/redeem", b'{"grant":"\\u0000","parameters":{"a":1,"a":2}}')) == [
        "/grant", "/parameters/a",
    ]  # fmt: skip


@pytest.mark.parametrize("query", ["action=%00", "status=%00", "cursor=%00", "created_after=%00", "limit=%00"])
def test_nul_in_a_query_is_422(agent: Caller, query: str) -> None:
    contract.problem(agent.http.get(f"/api/v1/requests?{query}"), "invalid")


def test_a_hostile_body_cannot_make_the_answer_long(agent: Caller) -> None:
    response = agent.post("requests", (_FRAME % json.dumps({"a": [float("nan")] * 4_000})).encode(), key="k")
    assert len(contract.pointers(response)) <= 50
    assert len(response.content) < 10_000


def test_policy_does_not_read_an_entity_out_of_parameters(agent: Caller, cast: Cast) -> None:
    response = agent.file("backup.delete", parameters={"backup": {"__entity": {"type": "Level", "id": "3"}}})
    assert contract.pointers(response) == ["/parameters/backup/__entity"]
