"""Keccak-256 as Ethereum uses it: neither SHA3-256 nor in the standard library.

NIST changed the padding when it made SHA-3 of Keccak; Ethereum kept the older one, so
``hashlib.sha3_256`` gives other hashes. Slow (half a millisecond for 136 bytes): for
signatures and addresses at load, never for data of a run. Standard library only.

Source:
    https://keccak.team/keccak_specs_summary.html
"""

RATE_BYTES = 136
HASH_BYTES = 32
_LANES = 25
_ROUNDS = 24
_MASK = (1 << 64) - 1
# Where lane i goes to, and by how much it is rotated on its way (steps rho and pi).
_PI = (10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1)
_RHO = (1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44)


def keccak256(data: bytes) -> bytes:
    """Return the 32 bytes of the hash of *data*."""
    padded = bytearray(data)
    padded += bytes(RATE_BYTES - len(padded) % RATE_BYTES)
    # the first and the last bit of the padding; they share a byte when only one is free
    padded[len(data)] ^= 0x01
    padded[-1] ^= 0x80
    state = [0] * _LANES
    for block in range(0, len(padded), RATE_BYTES):
        for lane in range(RATE_BYTES // 8):
            at = block + 8 * lane
            state[lane] ^= int.from_bytes(padded[at : at + 8], "little")
        _permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[: HASH_BYTES // 8])


def _rotated(lane: int, bits: int) -> int:
    return (lane << bits | lane >> (64 - bits)) & _MASK


def _permute(state: list[int]) -> None:
    for constant in _CONSTANTS:
        # theta
        parity = [
            state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]
            for x in range(5)
        ]
        for x in range(5):
            change = parity[x - 1] ^ _rotated(parity[(x + 1) % 5], 1)
            for lane in range(x, _LANES, 5):
                state[lane] ^= change
        # rho and pi
        moving = state[1]
        for lane, bits in zip(_PI, _RHO, strict=True):
            state[lane], moving = _rotated(moving, bits), state[lane]
        # chi
        for row in range(0, _LANES, 5):
            old = state[row : row + 5]
            for x in range(5):
                state[row + x] = old[x] ^ ~old[(x + 1) % 5] & old[(x + 2) % 5] & _MASK
        # iota
        state[0] ^= constant


def _round_constants() -> tuple[int, ...]:
    """Return what makes the rounds differ: bits of a shift register."""
    constants, register = [], 1
    for _ in range(_ROUNDS):
        constant = 0
        for bit in range(7):
            if register & 1:
                constant |= 1 << ((1 << bit) - 1)
            register = (register << 1) ^ (0x171 if register >> 7 else 0)
        constants.append(constant)
    return tuple(constants)


_CONSTANTS = _round_constants()
