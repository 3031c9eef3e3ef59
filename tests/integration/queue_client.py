"""What the tests of queues share: names for the routes, and what a message looks like. No test itself."""
import json
import re

from protocol_suite import done, equal, fresh, operation

RECEIPT = re.compile(r"[A-Za-z0-9_-]{20,200}\Z")


def subscription(client, *, topic=None, name=None, **settings):
    """A new subscription, of a new topic unless a filter or a topic is given: (its name, its topic or None)."""
    name = name or fresh("sub")
    if topic is None and "filter" not in settings:
        topic = fresh("topic")
    if topic is not None:
        settings.setdefault("filter", {"topic": topic})
    done(client.put(f"/v1/subscriptions/{name}", settings), 201)
    return name, topic


def message(topic, key, data=None, **more):
    return operation("publish", topic=topic, key=key, type=more.pop("type", "thing.made"), data=data, **more)


def publish(client, topic, *messages):
    """Pairs (key, data), as one commit; the messages' ids in their order."""
    answer = done(client.commit(*(message(topic, key, data) for key, data in messages), key=fresh("publish")))
    return [result["message"] for result in answer.json["results"]]


def receive(client, name, wanted=10, **more):
    """The messages of one receive; each must look like one."""
    answer = done(client.post(f"/v1/subscriptions/{name}/receive", {"max": wanted, **more}), 200)
    messages = answer.json["messages"]
    assert len(messages) <= wanted, answer
    equal(answer.json["position"] is None, not messages, "a position if and only if something was delivered")
    for each in messages:
        assert RECEIPT.match(each["receipt"]), each
        equal(each["event"]["specversion"], "1.0")
    return messages


def keys_of(messages):
    return [each["event"]["partitionkey"] for each in messages]


def data_of(messages):
    return [each["event"]["data"] for each in messages]


def settle(client, name, verb, receipts, **more):
    """The results, item by item."""
    answer = done(client.post(f"/v1/subscriptions/{name}/{verb}", {"receipts": receipts, **more}), 200)
    equal(len(answer.json["results"]), len(receipts))
    return answer.json["results"]


def receipts_of(messages):
    return [each["receipt"] for each in messages]


def ack(client, name, messages):
    results = settle(client, name, "ack", receipts_of(messages))
    for each, result in zip(messages, results):
        equal(result, {"message": each["event"]["id"], "state": "acked"})


def state_of(client, name, identity):
    return done(client.get(f"/v1/subscriptions/{name}/messages/{identity}"), 200).json


def show(client, name):
    return done(client.get(f"/v1/subscriptions/{name}"), 200).json


def dead(client, name, query=""):
    return done(client.get(f"/v1/subscriptions/{name}/dead{query}"), 200).json["data"]


def in_bytes(value):
    return json.dumps(value, separators=(",", ":")).encode()
