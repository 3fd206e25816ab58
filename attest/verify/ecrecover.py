"""secp256k1 public-key recovery (SEC 1, section 4.1.6), for the seals of block headers. Standard library only.

Everything here is public data, so timing does not matter; one recovery takes a few milliseconds.
"""

from __future__ import annotations

_P = 2**256 - 2**32 - 977
_N = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_G = (
    0x79BE667E_F9DCBBAC_55A06295_CE870B07_029BFCDB_2DCE28D9_59F2815B_16F81798,
    0x483ADA77_26A3C465_5DA4FBFC_0E1108A8_FD17B448_A6855419_9C47D08F_FB10D4B8,
    1,
)
#: Points in Jacobian coordinates: (X, Y, Z) is (X/Z^2, Y/Z^3); Z = 0 is the point at infinity.
_Point = tuple[int, int, int]
_INFINITY: _Point = (0, 1, 0)


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """The 64-byte public key (x || y) that made ``signature`` (r || s || v, v 0 or 1) over the 32-byte ``digest``; None
    if there is none."""
    if len(digest) != 32 or len(signature) != 65 or signature[64] > 1:
        return None
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if not (0 < r < _N and 0 < s < _N):
        return None
    y_squared = (pow(r, 3, _P) + 7) % _P
    y = pow(y_squared, (_P + 1) // 4, _P)
    if y * y % _P != y_squared:
        return None
    if y % 2 != signature[64]:
        y = _P - y
    inverse = pow(r, -1, _N)
    z = int.from_bytes(digest, "big")
    point = _combine(s * inverse % _N, (r, y, 1), -z * inverse % _N, _G)
    if point[2] == 0:
        return None
    scale = pow(point[2], -1, _P)
    x, y = point[0] * scale**2 % _P, point[1] * scale**3 % _P
    return x.to_bytes(32, "big") + y.to_bytes(32, "big")


def _double(point: _Point) -> _Point:
    x, y, z = point
    yy = y * y % _P
    s = 4 * x * yy % _P
    m = 3 * x * x % _P
    x2 = (m * m - 2 * s) % _P
    return x2, (m * (s - x2) - 8 * yy * yy) % _P, 2 * y * z % _P


def _add(one: _Point, other: _Point) -> _Point:
    if one[2] == 0:
        return other
    if other[2] == 0:
        return one
    z1, z2 = one[2] * one[2] % _P, other[2] * other[2] % _P
    u1, u2 = one[0] * z2 % _P, other[0] * z1 % _P
    s1, s2 = one[1] * z2 * other[2] % _P, other[1] * z1 * one[2] % _P
    if u1 == u2:
        return _double(one) if s1 == s2 else _INFINITY
    h, r = u2 - u1, s2 - s1
    hh = h * h % _P
    hhh, v = h * hh % _P, u1 * hh % _P
    x = (r * r - hhh - 2 * v) % _P
    return x, (r * (v - x) - s1 * hhh) % _P, h * one[2] * other[2] % _P


def _combine(a: int, one: _Point, b: int, other: _Point) -> _Point:
    """``a * one + b * other``, with one doubling a bit for both."""
    addends = (_INFINITY, one, other, _add(one, other))
    result = _INFINITY
    for bit in reversed(range(max(a.bit_length(), b.bit_length()))):
        result = _add(_double(result), addends[a >> bit & 1 | (b >> bit & 1) << 1])
    return result
