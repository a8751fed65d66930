#!/usr/bin/env python3
"""Test vectors for blinded peer entries and contacts, from the text of docs/protocol.md alone.

Python's standard library only: Ed25519 (RFC 8032), HKDF (RFC 5869), AES-256-GCM (FIPS 197, SP 800-38D)
are written out here, slowly and plainly, so that nothing is shared with the Rust code. Run it without
arguments; kademlia/src/records/entry/tests.rs and contact/tests.rs hold what it prints.
"""
import hashlib
import hmac

# --- Ed25519 ---------------------------------------------------------------------------------------
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BY = 4 * pow(5, P - 2, P) % P


def recover_x(y, sign):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x & 1 != sign else x


BASE = (recover_x(BY, 0), BY)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P)
    return x % P, y % P


def multiply(n, point):
    result = (0, 1)
    while n:
        if n & 1:
            result = add(result, point)
        point = add(point, point)
        n >>= 1
    return result


def compress(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def expand(seed):
    h = hashlib.sha512(seed).digest()
    a = int.from_bytes(h[:32], "little")
    return a & (2**254 - 8) | 2**254, h[32:]


def public_key(seed):
    return compress(multiply(expand(seed)[0], BASE))


def sign(seed, message):
    a, prefix = expand(seed)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    point = compress(multiply(r, BASE))
    k = int.from_bytes(hashlib.sha512(point + public_key(seed) + message).digest(), "little") % L
    return point + ((r + k * a) % L).to_bytes(32, "little")


# --- HKDF-SHA256 -----------------------------------------------------------------------------------
def hkdf(salt, secret, info, length):
    key = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    out, block, n = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([n]), hashlib.sha256).digest()
        out, n = out + block, n + 1
    return out[:length]


# --- AES-256-GCM -----------------------------------------------------------------------------------
def times(a, b):
    result = 0
    while b:
        if b & 1:
            result ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return result


def sbox(x):
    inverse = next((y for y in range(256) if times(x, y) == 1), 0)
    out = 0x63
    for shift in range(5):
        out ^= (inverse << shift | inverse >> (8 - shift)) & 255
    return out


SBOX = [sbox(x) for x in range(256)]


def aes256(key, block):
    words, rcon = [key[i : i + 4] for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        w = words[-1]
        if i % 8 == 0:
            w = bytes(SBOX[b] for b in w[1:] + w[:1])
            w, rcon = bytes([w[0] ^ rcon]) + w[1:], times(rcon, 2)
        elif i % 8 == 4:
            w = bytes(SBOX[b] for b in w)
        words.append(bytes(a ^ b for a, b in zip(words[i - 8], w)))
    keys = [b"".join(words[i : i + 4]) for i in range(0, 60, 4)]
    state = bytes(a ^ b for a, b in zip(block, keys[0]))
    for number in range(1, 15):
        state = bytes(SBOX[b] for b in state)
        state = bytes(state[(i + 4 * (i % 4)) % 16] for i in range(16))
        if number < 14:
            mixed = []
            for c in range(0, 16, 4):
                col = state[c : c + 4]
                for r in range(4):
                    mixed.append(
                        times(col[r], 2) ^ times(col[(r + 1) % 4], 3) ^ col[(r + 2) % 4] ^ col[(r + 3) % 4]
                    )
            state = bytes(mixed)
        state = bytes(a ^ b for a, b in zip(state, keys[number]))
    return state


def ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i : i + 16], "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")


def seal(key, nonce, associated, plain):
    def stream(n):
        return aes256(key, nonce + n.to_bytes(4, "big"))

    def padded(data):
        return data + bytes(-len(data) % 16)

    cipher = b""
    for i in range(0, len(plain), 16):
        cipher += bytes(a ^ b for a, b in zip(plain[i : i + 16], stream(2 + i // 16)))
    lengths = (8 * len(associated)).to_bytes(8, "big") + (8 * len(cipher)).to_bytes(8, "big")
    h = int.from_bytes(aes256(key, bytes(16)), "big")
    tag = ghash(h, padded(associated) + padded(cipher) + lengths)
    return cipher + bytes(a ^ b for a, b in zip(tag, stream(1)))


def check_primitives():
    """One published example each, so that a slip here is not taken for one there."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert public_key(seed).hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert sign(seed, b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065")
    okm = hkdf(bytes(range(13)), b"\x0b" * 22, bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex().startswith("3cb25f25faacd57a90434f64d0362f2a")
    block = aes256(bytes(range(32)), bytes.fromhex("00112233445566778899aabbccddeeff"))
    assert block.hex() == "8ea2b7ca516745bfeafc49904b496089"
    sealed = seal(bytes(32), bytes(12), b"", bytes(16))
    assert sealed.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"


# --- The formats -----------------------------------------------------------------------------------
def peer_entry(infohash, writer, salt, content):
    assert len(infohash) == 20 and len(writer) == 8 and len(salt) == 16 and len(content) == 33
    seed = hkdf(None, infohash, b"deut kademlia peers blinded key v1", 32)
    blinded = public_key(seed)
    derived = hkdf(salt, infohash, b"deut kademlia peers entry seal v1", 44)
    sealed = seal(derived[:32], derived[32:], blinded + writer, content)
    signed = b"deut kademlia peers entry signature v1" + blinded + writer + salt + sealed
    print("infohash   ", infohash.hex())
    print("blinded    ", blinded.hex())
    print("dht key    ", hashlib.sha1(blinded).hexdigest())
    print("seal key   ", derived[:32].hex())
    print("seal nonce ", derived[32:].hex())
    print("entry      ", (writer + salt + sealed + sign(seed, signed)).hex())
    print()


def contact(seed, expiry_minutes, nonce, kinds, addresses):
    body = public_key(seed) + expiry_minutes.to_bytes(4, "big") + nonce.to_bytes(4, "big") + bytes([kinds])
    body += addresses
    print("contact    ", (body + sign(seed, b"deut kademlia contact signature v1" + body)).hex())
    work = hashlib.sha256(b"deut kademlia contact work v1" + body[:32] + body[36:40]).hexdigest()
    print("work hash  ", work)
    print("node id    ", hashlib.sha1(body[:32]).hexdigest())
    print()


if __name__ == "__main__":
    check_primitives()
    persona = b"\x01" + public_key(bytes([7] * 32))
    address = b"\x02" + bytes.fromhex("00000000000000000000ffffc0000201") + (6881).to_bytes(2, "big") + bytes(14)
    peer_entry(hashlib.sha1(b"hello").digest(), bytes(range(8)), bytes(range(16)), persona)
    peer_entry(bytes(20), bytes([0xAA] * 8), bytes([0xBB] * 16), address)
    two_v4 = bytes([198, 51, 100, 7, 0x1F, 0x90]) + bytes([203, 0, 113, 9, 0x9C, 0x40])
    contact(bytes([7] * 32), 29_000_000, 0x0102_0304, 0x02, two_v4)
    both = bytes([198, 51, 100, 7, 0x1F, 0x90]) + bytes.fromhex("20010db8000000000000000000000001") + b"\x1f\x91"
    contact(bytes([7] * 32), 29_000_000, 5, 0x11, both)
