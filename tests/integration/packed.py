"""Packed records and their answers, by the offsets of docs/protocol.md."""
import hashlib
import struct
import uuid

TRANSFERS = "application/vnd.holdfast.transfers"
ACCOUNTS = "application/vnd.holdfast.accounts"
RESULTS = "application/vnd.holdfast.results"
LINKED, HOLD, CAPTURE, VOID, FINAL = 1, 2, 4, 8, 16
NO_FLOOR, CEILING = 1, 2
ALL_LEFT = 2**128 - 1
CODES = {120: "account_not_found", 122: "hold_not_found", 140: "account_exists", 141: "transfer_exists", 142: "hold_exists",
         145: "hold_not_open", 146: "account_closed", 151: "id_collision", 163: "hold_owned_by_saga",
         170: "insufficient_funds", 171: "limit_exceeded", 172: "asset_mismatch", 173: "amount_invalid",
         180: "account_frozen"}


def id_of(name):
    """The 16 bytes of a name: of a UUID its own, else the first ones of its SHA-256."""
    if isinstance(name, bytes):
        return name
    if len(name) == 36 and name.count("-") == 4:
        return uuid.UUID(name).bytes
    return hashlib.sha256(name.encode()).digest()[:16]


def number_id(number, kind=7):
    return struct.pack(">QQ", kind, number)


def text_of(identity):
    return str(uuid.UUID(bytes=identity))


def transfer(identity, source=b"\0" * 16, target=b"\0" * 16, amount=0, *, pending=b"\0" * 16, user_data=b"\0" * 16,
             effective_us=0, asset="USD/2", timeout_ms=0, code=0, flags=0):
    asset_hash = hashlib.sha256(asset.encode()).digest()[:8] if asset else b"\0" * 8
    record = (id_of(identity) + id_of(source) + id_of(target) + amount.to_bytes(16, "little") + id_of(pending) +
              user_data + struct.pack("<Q", effective_us) + asset_hash + struct.pack("<QII", timeout_ms, code, flags))
    assert len(record) == 128
    return record


def capture(identity, hold, amount=ALL_LEFT, flags=0):
    return transfer(identity, amount=amount, pending=hold, asset=None, flags=CAPTURE | flags)


def void(identity, hold, flags=0):
    return transfer(identity, pending=hold, asset=None, flags=VOID | flags)


def account(identity, asset="USD/2", floor=0, ceiling=None):
    flags = (NO_FLOOR if floor is None else 0) | (0 if ceiling is None else CEILING)
    record = (id_of(identity) + (floor or 0).to_bytes(16, "little", signed=True) +
              (ceiling or 0).to_bytes(16, "little", signed=True) + asset.encode().ljust(24, b"\0") +
              struct.pack("<I", flags))
    return record.ljust(128, b"\0")


class Results:
    """An answer of 32 bytes and 8 for each record that was not accepted."""

    def __init__(self, body):
        self.position, self.time_us, self.accepted, self.replayed, refused, zero = struct.unpack_from("<QQIIII", body)
        assert zero == 0 and len(body) == 32 + 8 * refused, body
        self.refused = []
        for i in range(refused):
            index, code, flags = struct.unpack_from("<IHH", body, 32 + 8 * i)
            self.refused.append((index, CODES[code], flags))

    def __repr__(self):
        return f"{self.position}: {self.accepted} accepted, {self.replayed} replayed, {self.refused}"
