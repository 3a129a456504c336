"""What could be read in two ways is refused, by client's side and engine's side alike."""

from __future__ import annotations

import random

import pytest
from gateway_framing import ANSWER, HEAD, cut, disagreement, our_answer, our_requests

CHUNKED = b"Transfer-Encoding: chunked\r\n"
#: Head lines after which the body's end is open to argument, and the body.
TWO_WAYS = [
    (b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n"),
    (CHUNKED + b"Content-Length: 4\r\n", b"0\r\n\r\n"),
    (b"Content-Length: 4\r\nContent-Length: 5\r\n", b"abcde"),
    (b"Content-Length: 4\r\nContent-Length: 4\r\n", b"abcd"),
    (b"Content-Length: 4, 4\r\n", b"abcd"),
    (b"Content-Length: +4\r\n", b"abcd"),
    (b"Content-Length: -4\r\n", b"abcd"),
    (b"Content-Length: 0x4\r\n", b"abcd"),
    (b"Content-Length: 4 4\r\n", b"abcd"),
    (b"Content-Length:\r\n", b"abcd"),
    (b"Content-Length: 99999999999999999999\r\n", b"abcd"),
    (b"Content-Length : 4\r\n", b"abcd"),
    (b"Content-Length: 4\rX: y\r\n", b"abcd"),
    (b"X: y\r\n Content-Length: 4\r\n" + CHUNKED + b" x\r\n", b"0\r\n\r\n"),
    (b"X: a\0b\r\nContent-Length: 4\r\n", b"abcd"),
    (b"X\0: b\r\nContent-Length: 4\r\n", b"abcd"),
    (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: identity\r\n" + CHUNKED, b"0\r\n\r\n"),
    (CHUNKED + CHUNKED, b"0\r\n\r\n"),
    (b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    (b"Transfer_Encoding : chunked\r\n", b"0\r\n\r\n"),
    (CHUNKED, b"-1\r\n\r\n"),
    (CHUNKED, b"0x1\r\na\r\n0\r\n\r\n"),
    (CHUNKED, b"1 \r\na\r\n0\r\n\r\n"),
    (CHUNKED, b"1\na\n0\n\n"),
    (CHUNKED, b"1\r\nab\r\n0\r\n\r\n"),
    (CHUNKED, b"fffffffffffffffff\r\na\r\n0\r\n\r\n"),
    (CHUNKED, b"1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n"),
]


@pytest.mark.parametrize(("lines", "body"), TWO_WAYS)
def test_a_message_that_could_end_in_two_places_has_no_place(lines: bytes, body: bytes) -> None:
    for seed in range(5):
        dice = random.Random(seed)
        found, why = our_requests(cut(HEAD + lines + b"\r\n" + body, dice))
        assert (found, bool(why)) == ([], True)
        answer, why = our_answer(cut(ANSWER + lines + b"\r\n" + body, dice))
        assert answer is None
        assert why


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"Host: y\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\n{}",
        HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 2\n\n{}",
        HEAD.replace(b" HTTP/1.1", b" HTTP/3.1") + b"Content-Length: 2\r\n\r\n{}",
        HEAD.replace(b" HTTP/1.1", b" http/1.1") + b"Content-Length: 2\r\n\r\n{}",
    ],
)
def test_a_request_that_means_something_else_to_others_is_refused(request_: bytes) -> None:
    found, why = our_requests([request_])
    assert (found, bool(why)) == ([], True)


def test_nothing_is_read_after_a_connection_was_said_to_close() -> None:
    one = HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
    found, why = our_requests([one + HEAD + b"Content-Length: 3\r\n\r\n[1]"])
    assert [body for _, _, body in found] == [b"{}"]
    assert why


def test_an_answer_ends_where_h11_says() -> None:
    """Fixed seeds here; `python tests/gateway_framing.py --seconds 3600` for a night."""
    dice = random.Random(20261122)
    told = [found for _ in range(3000) if (found := disagreement(dice))]
    assert told == []
