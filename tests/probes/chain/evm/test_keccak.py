import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.evm import keccak
from probes.chain.evm.keccak import HASH_BYTES, RATE_BYTES, keccak256


# Vectors of the Keccak team (ShortMsgKAT_256.txt) and of https://eips.ethereum.org.
@pytest.mark.parametrize(
    ("data", "digest"),
    [
        pytest.param(
            b"",
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
            id="nothing",
        ),
        pytest.param(
            b"\xcc",
            "eead6dbfc7340a56caedc044696a168870549a6a7f6f56961e84a54bd9970b8a",
            id="one byte",
        ),
        pytest.param(
            b"abc",
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
            id="three bytes",
        ),
        pytest.param(
            b"Transfer(address,address,uint256)",
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
            id="the event everybody knows",
        ),
        pytest.param(
            b"Approval(address,address,uint256)",
            "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925",
            id="another one",
        ),
        pytest.param(
            b"The quick brown fox jumps over the lazy dog",
            "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15",
            id="a sentence",
        ),
    ],
)
def test_known_vectors_hash_as_published(data: bytes, digest: str) -> None:
    assert keccak256(data).hex() == digest


@pytest.mark.parametrize("length", [RATE_BYTES - 1, RATE_BYTES, RATE_BYTES + 1, 2 * RATE_BYTES])
def test_the_padding_is_right_where_a_block_ends(length: int) -> None:
    # SHA3-256 is the same sponge but for its first bit of padding: told to use that one, the
    # permutation must give what the standard library gives.
    data = b"\x5a" * length

    assert _sha3_256(data) == hashlib.sha3_256(data).digest()
    assert keccak256(data) != hashlib.sha3_256(data).digest()


@given(st.binary(max_size=300))
def test_any_bytes_hash_to_32_bytes_and_never_as_sha3(data: bytes) -> None:
    digest = keccak256(data)

    assert len(digest) == HASH_BYTES
    assert digest != hashlib.sha3_256(data).digest()
    assert _sha3_256(data) == hashlib.sha3_256(data).digest()


def _sha3_256(data: bytes) -> bytes:
    """SHA3-256 by our own permutation."""
    padded = bytearray(data) + bytes(RATE_BYTES - len(data) % RATE_BYTES)
    padded[len(data)] ^= 0x06
    padded[-1] ^= 0x80
    state = [0] * 25
    for block in range(0, len(padded), RATE_BYTES):
        for lane in range(RATE_BYTES // 8):
            at = block + 8 * lane
            state[lane] ^= int.from_bytes(padded[at : at + 8], "little")
        keccak._permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])
