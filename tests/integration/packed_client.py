"""Packed records sent and their answers checked, on top of packed.py. No test itself."""
import itertools
import struct

import packed
from packed import ACCOUNTS, ALL_LEFT, CAPTURE, RESULTS, TRANSFERS, VOID, Results

RECORDS_MAX = 8190
REPLAYED, CHAIN = 1, 2
numbers = itertools.count(1)


def fresh_id():
    """16 bytes that no other call gives."""
    return struct.pack(">QQ", 1 << 56, next(numbers))


def record(number, source=bytes(16), target=bytes(16), amount=0, **more):
    return packed.transfer(number, source, target, amount, **more)


def capture(number, hold, amount=ALL_LEFT, flags=0, **more):
    return packed.transfer(number, amount=amount, pending=hold, asset=None, flags=CAPTURE | flags, **more)


def void(number, hold, flags=0, **more):
    return packed.transfer(number, pending=hold, asset=None, flags=VOID | flags, **more)


def post(client, records, *, target="/v1/transfers", media=TRANSFERS, headers=(), key=None):
    """The answer as it came."""
    return client.post(target, b"".join(records) if isinstance(records, list) else records, content_type=media,
                       headers=headers, key=key)


def results(answer):
    """A good answer, checked as far as docs/protocol.md tells of any."""
    assert answer.status == 200 and answer.headers["content-type"] == RESULTS, answer
    got = Results(answer.body)
    assert (got.position == 0) == (got.time_us == 0) == ("holdfast-position" not in answer.headers), answer
    assert got.position == 0 or answer.position == got.position, answer
    indexes = [index for index, _, _ in got.refused]
    assert indexes == sorted(set(indexes)), got
    return got


def transfers(client, records):
    got = results(post(client, records))
    assert got.accepted + got.replayed + len(got.refused) == len(records), got
    return got


def accounts(client, records):
    got = results(post(client, records, target="/v1/accounts", media=ACCOUNTS))
    assert got.accepted + got.replayed + len(got.refused) == len(records), got
    return got
