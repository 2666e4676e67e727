"""The keys that say how the body of an HTTP answer is read, and the limits made of them.

Knows no expectation: whether anybody looks at the body is told by the kind.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo

from probes.errors import CheckFailed
from probes.result import Reason
from probes.settings import Settings, Word, is_blackbox
from probes.units import Size, format_size, short
from probes.wire.http.decode import MAX_DECODED_BYTES, Decoding
from probes.wire.http.message import MAX_HEAD_BYTES, MAX_WIRE_BYTES, Limits, Response

# blackbox.md 4.2: a body that is judged where no limit is set; upstream keeps all of it.
MAX_JUDGED_BYTES = 4 * 1024 * 1024
ENCODINGS: Mapping[str, Decoding] = {
    "gzip": "gzip",
    "deflate": "deflate",
    "br": "br",
    "identity": "off",
}
"""What a body can be said to be, and how it is then decoded."""


def _judge_encoding(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and value not in ENCODINGS and not is_blackbox(info):
        raise ValueError(f"want one of {', '.join(ENCODINGS)}, got {short(value)}")
    return value


Encoding = Annotated[
    str,
    BeforeValidator(
        _judge_encoding, json_schema_input_type=Literal["gzip", "deflate", "br", "identity"]
    ),
    Word("`gzip` | `deflate` | `br` | `identity`"),
]
BodyLimit = Annotated[
    Size | None,
    BeforeValidator(
        lambda value: None if value == "none" else value,
        json_schema_input_type=Size | Literal["none"],
    ),
    PlainSerializer(lambda size: "none" if size is None else format_size(size), when_used="json"),
    Word("size or `none`", default="1MiB"),
]
"""Bytes; ``none``: no limit."""


class BodyKeys(Settings):
    """How the body of an answer is read."""

    max_body: BodyLimit = MAX_DECODED_BYTES
    """Size of the decoded body at most; more is a failure. ``none``: it is counted to its end, and
    at most 4 MiB of it are judged."""
    decompress: bool = True
    """Decode a body that comes encoded, asked for or not."""
    decode: Encoding | None = None
    """Encoding that the body must have, whatever its head says: gzip, deflate, br or identity."""

    def limits(self, *, keep: bool) -> Limits:
        """Return what an answer may cost.

        Args:
            keep: somebody looks at the body; else it is counted and not kept.
        """
        limit = MAX_JUDGED_BYTES if self.max_body is None and keep else self.max_body
        decoding: Decoding = "auto" if self.decompress else "off"
        if self.decode is not None:
            decoding = ENCODINGS.get(self.decode, "off")
        return Limits(
            max_body=limit,
            max_wire=None if limit is None else max(MAX_WIRE_BYTES, limit + MAX_HEAD_BYTES),
            keep_body=keep,
            decoding=decoding,
        )

    def undecodable(self, response: Response) -> CheckFailed | None:
        """Return why a body cannot even begin to be decoded.

        blackbox_exporter sees it before it looks for anything: no such encoding, no body, no head
        of gzip.
        """
        if self.decode is None or self.decode == "identity":
            return None
        if self.decode not in ENCODINGS:
            message = f"want decode to be one of {', '.join(ENCODINGS)}, got {short(self.decode)}"
        elif not response.body.wire_size:
            message = f"want a body in {self.decode}, got an empty one"
        else:
            failure = response.failure
            is_alien = failure is not None and failure.reason is Reason.PROTOCOL
            return (
                failure if is_alien and self.decode == "gzip" and not response.body.size else None
            )
        return CheckFailed(Reason.PROTOCOL, message, phase="transfer")
