#!/usr/bin/env python3
"""Independent vectors for docs/protocol.md: prints walk.json.

Written from docs/protocol.md alone, without the Rust sources. Only the Python
standard library is used; ristretto255, Ed25519, X25519, AES and GCM are here,
and selfcheck() compares each with published vectors before a byte is printed.

    python3 walk.py > walk.json       write
    python3 walk.py --check           compare walk.json with a fresh run
"""
import hashlib, hmac, json, os, sys

# ------------------------------------------------------------------ field, curve
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def le(b):
    return int.from_bytes(b, "little")


def b32(n):
    return n.to_bytes(32, "little")


def neg(n):  # RFC 9496 4.1: the low bit of the canonical form
    return n % P & 1


def absolute(n):
    return (P - n) % P if neg(n) else n % P


def sqrt_ratio(u, v):  # RFC 9496 4.2
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    correct, flipped = check == u % P, check == -u % P
    flipped_i = check == -u * SQRT_M1 % P
    if flipped or flipped_i:
        r = r * SQRT_M1 % P
    return correct or flipped, absolute(r)


INVSQRT_A_MINUS_D = sqrt_ratio(1, (-1 - D) % P)[1]
ZERO = (0, 1, 1, 0)


def add(p, q):  # extended coordinates, a = -1, complete
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def mul(n, p):
    r = ZERO
    while n:
        if n & 1:
            r = add(r, p)
        p, n = add(p, p), n >> 1
    return r


BY = 4 * pow(5, P - 2, P) % P
BX = absolute(sqrt_ratio(BY * BY - 1, D * BY * BY + 1)[1])  # even x
BASE = (BX, BY, 1, BX * BY % P)


def r_encode(p):  # RFC 9496 4.3.2
    x0, y0, z0, t0 = p
    u1, u2 = (z0 + y0) * (z0 - y0) % P, x0 * y0 % P
    _, inv = sqrt_ratio(1, u1 * u2 * u2 % P)
    den1, den2 = inv * u1 % P, inv * u2 % P
    z_inv = den1 * den2 * t0 % P
    rotate = neg(t0 * z_inv)
    x, y, den = x0, y0, den2
    if rotate:
        x, y, den = y0 * SQRT_M1 % P, x0 * SQRT_M1 % P, den1 * INVSQRT_A_MINUS_D % P
    if neg(x * z_inv):
        y = -y % P
    return b32(absolute(den * (z0 - y)))


def r_decode(data):  # RFC 9496 4.3.1; None if refused
    s = le(data)
    if len(data) != 32 or s >= P or neg(s):
        return None
    ss = s * s % P
    u1, u2 = (1 - ss) % P, (1 + ss) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, inv = sqrt_ratio(1, v * u2 * u2 % P)
    dx = inv * u2 % P
    dy = inv * dx * v % P
    x, y = absolute(2 * s * dx), u1 * dy % P
    t = x * y % P
    return None if not square or neg(t) or y == 0 else (x, y, 1, t)


def ed_encode(p):
    zi = pow(p[2], P - 2, P)
    x, y = p[0] * zi % P, p[1] * zi % P
    return b32(y | (x & 1) << 255)


def ed_expand(seed):
    h = hashlib.sha512(seed).digest()
    return le(h[:32]) & ((1 << 254) - 8) | 1 << 254, h[32:]


def ed_public(seed):
    return ed_encode(mul(ed_expand(seed)[0], BASE))


def ed_sign(seed, message):
    a, prefix = ed_expand(seed)
    h = lambda *parts: le(hashlib.sha512(b"".join(parts)).digest()) % L
    r = h(prefix, message)
    big_r = ed_encode(mul(r, BASE))
    return big_r + b32((r + h(big_r, ed_public(seed), message) * a) % L)


def x25519(secret, u=9):  # Montgomery form of the Edwards multiple
    k = le(secret) & ((1 << 254) - 8) | 1 << 254
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return b32(x2 * pow(z2, P - 2, P) % P)


# ------------------------------------------------------------------ AES, CTR, GCM
def xtime(a):
    return (a << 1 ^ (0x1B if a & 0x80 else 0)) & 0xFF


def gmul(a, b):
    r = 0
    while b:
        r, a, b = r ^ (a if b & 1 else 0), xtime(a), b >> 1
    return r


def make_sbox():
    box = []
    for n in range(256):
        inv = next((m for m in range(256) if gmul(n, m) == 1), 0)
        box.append(0x63)
        for k in range(5):
            box[n] ^= (inv << k | inv >> 8 - k) & 0xFF
    return box


SBOX = make_sbox()
UNBOX = [SBOX.index(n) for n in range(256)]


def schedule(key):
    nk = len(key) // 4
    words, rcon = [list(key[4 * i:4 * i + 4]) for i in range(nk)], 1
    for i in range(nk, 4 * (nk + 7)):
        w = words[-1]
        if i % nk == 0:
            w = [SBOX[b] for b in w[1:] + w[:1]]
            w[0] ^= rcon
            rcon = xtime(rcon)
        elif nk > 6 and i % nk == 4:
            w = [SBOX[b] for b in w]
        words.append([a ^ b for a, b in zip(words[i - nk], w)])
    return [sum(words[i:i + 4], []) for i in range(0, len(words), 4)]


def mix(s, m):
    return [gmul(s[c], m[-r % 4]) ^ gmul(s[c + 1], m[(1 - r) % 4]) ^ gmul(s[c + 2], m[(2 - r) % 4])
            ^ gmul(s[c + 3], m[(3 - r) % 4]) for c in (0, 4, 8, 12) for r in range(4)]


def aes(key, block):
    rk = schedule(key)
    s = [a ^ b for a, b in zip(block, rk[0])]
    for n, k in enumerate(rk[1:], 1):
        s = [SBOX[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        s = [a ^ b for a, b in zip(s if n == len(rk) - 1 else mix(s, (2, 3, 1, 1)), k)]
    return bytes(s)


def aes_inverse(key, block):
    rk = schedule(key)
    s = list(block)
    for n in range(len(rk) - 1, 0, -1):
        s = [a ^ b for a, b in zip(s, rk[n])]
        s = s if n == len(rk) - 1 else mix(s, (14, 11, 13, 9))
        s = [UNBOX[s[(i - 4 * (i % 4)) % 16]] for i in range(16)]
    return bytes(a ^ b for a, b in zip(s, rk[0]))


def ctr(key, nonce, data):  # 128-bit big-endian counter block
    n, out = int.from_bytes(nonce, "big"), b""
    while len(out) < len(data):
        out += aes(key, (n % 2**128).to_bytes(16, "big"))
        n += 1
    return bytes(a ^ b for a, b in zip(data, out))


def gcm_seal(key, nonce, plain, ad=b""):  # 12-byte nonce
    def ghash(data):
        h, y = int.from_bytes(aes(key, bytes(16)), "big"), 0
        for i in range(0, len(data), 16):
            y ^= int.from_bytes(data[i:i + 16], "big")
            z, v = 0, h
            for bit in range(127, -1, -1):
                z ^= v if y >> bit & 1 else 0
                v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
            y = z
        return y.to_bytes(16, "big")
    pad = lambda b: b + bytes(-len(b) % 16)
    sealed = ctr(key, nonce + b"\0\0\0\2", plain)
    sizes = (8 * len(ad)).to_bytes(8, "big") + (8 * len(plain)).to_bytes(8, "big")
    return sealed + ctr(key, nonce + b"\0\0\0\1", ghash(pad(ad) + pad(sealed) + sizes))


# ------------------------------------------------------------------ hashes
def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def expand(prk, info, size):
    out, t, n = b"", b"", 1
    while len(out) < size:
        t = mac(prk, t + info + bytes([n]))
        out, n = out + t, n + 1
    return out[:size]


def hkdf(salt, ikm, info, size):
    return expand(mac(salt or bytes(32), ikm), info, size)


def u(n, size):
    return n.to_bytes(size, "big")


def rule(size, a, b):  # the stated rule of every filler: byte i = (a*i + b) mod 256
    return bytes((a * i + b) % 256 for i in range(size))


def ip4(text):
    return bytes(10) + b"\xff\xff" + bytes(int(n) for n in text.split("."))


# ------------------------------------------------------------------ published vectors
MULTIPLES = """0000000000000000000000000000000000000000000000000000000000000000
e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76
6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919
94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259
da80862773358b466ffadfe0b3293ab3d9fd53c5ea6c955358f568322daf6a57
e882b131016b52c1d3337080187cf768423efccbb517bb495ab812c4160ff44e
f64746d3c92b13050ed8d80236a7f0007c3b3f962f5ba793d19a601ebb1df403
44f53520926ec81fbd5a387845beb7df85a96a24ece18738bdcfa6a7822a176d
903293d8f2287ebe10e2374dc1a53e0bc887e592699f02d077d5263cdd55601c
02622ace8f7303a31cafc63f8fc48fdc16e1c8c8d234b2f0d6685282a9076031
20706fd788b2720a1ed2a5dad4952b01f413bcf0e7564de8cdc816689e2db95f
bce83f8ba5dd2fa572864c24ba1810f9522bc6004afe95877ac73241cafdab42
e4549ee16b9aa03099ca208c67adafcafa4c3f3e4e5303de6026e3ca8ff84460
aa52e000df2e16f55fb1032fc33bc42742dad6bd5a8fc0be0167436c5948501f
46376b80f409b29dc2b5f6f0c52591990896e5716f41477cd30085ab7f10301e
e0c418f7c8d9c4cdd7395b93ea124f3ad99021bb681dfc3302a9d99a2e53e64e""".split()  # RFC 9496 A.1
REFUSED = ["00" * 32,                # identity: valid in RFC 9496, refused by protocol.md section 2
           "00" + "ff" * 31,         # not below 2^255
           "ff" * 31 + "7f",         # not below p
           "ed" + "ff" * 30 + "7f",  # p, a second form of 0
           "ec" + "ff" * 30 + "7f",  # p - 1: canonical, not negative, t or y fails
           "01" + "00" * 31,         # negative
           b32(P - 2).hex(),         # negative
           ]


def selfcheck():
    fail = lambda what: sys.exit("walk.py: self-check failed: " + what)
    for n, want in enumerate(MULTIPLES):
        if r_encode(mul(n, BASE)).hex() != want:
            fail("ristretto255 multiple %d" % n)
        point = r_decode(bytes.fromhex(want))
        if point is None or r_encode(point).hex() != want:
            fail("ristretto255 decoding %d" % n)
        if r_encode(add(mul(n + L, BASE), ZERO)).hex() != want:
            fail("group order")
    if any(r_decode(bytes.fromhex(t)) is not None for t in REFUSED[1:]):
        fail("ristretto255 refusals")
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032 7.1
    if (ed_public(seed).hex() != "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" or
            ed_sign(seed, b"").hex() != "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"):
        fail("Ed25519")
    data = bytes.fromhex("00112233445566778899aabbccddeeff")  # FIPS 197 C.1 and C.3
    for size, want in ((16, "69c4e0d86a7b0430d8cdb78070b4c55a"), (32, "8ea2b7ca516745bfeafc49904b496089")):
        key = bytes(range(size))
        if aes(key, data).hex() != want or aes_inverse(key, bytes.fromhex(want)) != data:
            fail("AES")
    if gcm_seal(bytes(32), bytes(12), bytes(16)).hex() != \
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919":  # GCM spec, case 14
        fail("AES-256-GCM")
    okm = hkdf(bytes(range(13)), b"\x0b" * 22, bytes(range(0xF0, 0xFA)), 42)  # RFC 5869 A.1
    if okm.hex() != "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865":
        fail("HKDF")
    if x25519(b"\x09" + bytes(31)).hex() != \
            "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079":  # RFC 7748 5.2, one iteration
        fail("X25519")


# ------------------------------------------------------------------ the protocol
HOPS, SLOTS = 4, 12
NAME = b"example"


def scalar(text):  # the rule of every fixed scalar
    return le(hashlib.sha512(text.encode()).digest()) % L


def blind(e, s):  # 6.1; the 64 bytes are read little-endian, as ristretto255 scalars are
    return le(hashlib.sha512(b"deut walk blind v1" + e + s).digest()) % L


def step(hop, back, nonce, body):  # 7.1, what a hop does with a cell
    stream, turn = (hop[32:48], hop[48:64]) if back else (hop[:16], hop[16:32])
    return aes(turn, nonce), ctr(stream, nonce, body)


def main():
    out = {"about": "made by walk.py from docs/protocol.md; see README.md for the rules of the fields"}
    out["ristretto"] = {"multiples": MULTIPLES, "refused": REFUSED}

    # 6.1, 6.2: each hop on its side, then the master on its own; both must agree
    x, y = scalar("deut vector x1"), [scalar("deut vector y%d" % i) for i in range(1, HOPS + 1)]
    walk = {"x1": b32(x).hex(), "y": [b32(n).hex() for n in y], "E": [], "Y": [], "s": [], "b": []}
    e, hops = mul(x, BASE), []
    for n in y:
        big_e, big_y, s = r_encode(e), r_encode(mul(n, BASE)), r_encode(mul(n, e))
        b = blind(big_e, s)
        assert s == r_encode(mul(x, r_decode(big_y))) and big_e == r_encode(mul(x, BASE))
        for key, value in (("E", big_e), ("Y", big_y), ("s", s), ("b", b32(b))):
            walk[key].append(value.hex())
        prk = mac(b"deut walk v1", s)
        hops.append((big_e, big_y, s, prk, expand(prk, b"deut walk hop v1" + big_e + big_y, 80)))
        e, x = mul(b, r_decode(big_e)), b * x % L
    out["walk"] = walk
    out["hop_keys"] = [h[4].hex() for h in hops]
    big_e, big_y, s, prk, _ = hops[-1]
    ends = expand(prk, b"deut walk endpoint v1" + big_e + big_y, 96)
    out["endpoint_keys"] = ends.hex()

    # 7.1
    two, nonce, body = [h[4][:64] for h in hops[:2]], rule(16, 5, 1), rule(1179, 7, 3)
    cell = lambda n, b: {"nonce": n.hex(), "body_sha256": sha256(b).hex()}
    layer = {"hops": [k.hex() for k in two], "start": cell(nonce, body), "forward": [], "back": []}
    for name, order in (("forward", two), ("back", two[::-1])):
        n, b = nonce, body
        for keys in order:
            n, b = step(keys, name == "back", n, b)
            layer[name].append(cell(n, b))
    counter = 0x0102030405060708
    plain_nonce = u(counter, 8) + bytes(8)
    n, b = plain_nonce, body
    for keys in two[::-1]:
        n = aes_inverse(keys[16:32], n)
        b = ctr(keys[:16], n, b)
    layer["master_forward"] = {"counter": counter, "first": cell(n, b)}
    for keys in two:
        n, b = step(keys, False, n, b)
    assert (n, b) == (plain_nonce, body)
    for keys in two[::-1]:
        n, b = step(keys, True, n, b)
    layer["master_back"] = {"counter": counter, "arrives": cell(n, b)}
    for keys in two:
        n = aes_inverse(keys[48:64], n)
        b = ctr(keys[32:48], n, b)
    assert (n, b) == (plain_nonce, body)
    out["layer"] = layer

    # 3: one relay
    seed = rule(32, 3, 9)
    own = lambda label: hkdf(b"", seed, label, 32)
    identity, link, onion = own(b"deut relay identity v1"), own(b"deut relay link v1"), own(b"deut relay onion v1")
    link_public, relay_id = x25519(link), sha256(ed_public(identity))[:20]
    mac1_key, datagram = sha256(b"deut mac1 v1", link_public), rule(1232, 3, 1)
    out["relay_keys"] = {
        "seed": seed.hex(), "identity_secret": identity.hex(), "link_secret": link.hex(), "onion_secret": onion.hex(),
        "identity": ed_public(identity).hex(), "link": link_public.hex(), "onion": x25519(onion).hex(),
        "relay_id": relay_id.hex(), "mac1_key": mac1_key.hex(), "mac1": mac(mac1_key, datagram[:1200])[:16].hex()}

    # 3: networks; 3.1, 4.1: descriptor and WhoAreYou answer
    network = lambda profile: sha256(b"deut network v1", u(len(NAME), 1), NAME, b"\2\3", u(profile, 1), u(1, 2))[:4]
    out["network"] = {"name": NAME.decode(), "production": network(0).hex(), "test": network(1).hex()}
    epoch = 29_000_000
    descriptor = (network(0) + ip4("198.51.100.7") + u(4433, 2) + u(5000, 2) + u(5127, 2) + ed_public(identity)
                  + link_public + x25519(onion) + u(3, 2) + u(epoch, 4) + u(epoch + 1440, 4))
    assert len(descriptor) == 132
    descriptor += ed_sign(identity, b"deut descriptor v1" + descriptor)
    out["descriptor"] = descriptor.hex()
    asker, echo = ip4("203.0.113.9") + u(40000, 2), rule(16, 9, 2)
    out["who_are_you"] = {"nonce": echo.hex(), "asker": asker.hex(),
                          "signature": ed_sign(identity, b"deut who are you v1" + echo + asker + descriptor).hex()}

    # 6.3: layering of the answer with rule-made content, and the endpoint's real content
    block, sealed = rule(32 * SLOTS, 11, 5), rule(800, 13, 7)
    wraps, state = [], block + sealed
    for h in hops[::-1]:
        rest = state[:32 * (SLOTS - 1)] + state[32 * SLOTS:]
        state = h[1] + ctr(h[4][64:80], bytes(16), rest)
        wraps.append(sha256(state).hex())
    final = state
    for i, h in enumerate(hops, 1):  # the master peels
        assert state[:32] == h[1]
        rest = ctr(h[4][64:80], bytes(16), state[32:])
        state = rest[:352] + bytes(32) + rest[352:]
        assert (state[-800:] == sealed) == (i == HOPS)
    out["answer"] = {"start_sha256": sha256(block, sealed).hex(), "after_wrap_sha256": wraps,
                     "final_first_64": final[:64].hex(), "final_last_32": final[-32:].hex()}
    spki_e, spki_m = rule(294, 17, 1), rule(294, 19, 2)
    content = descriptor + spki_e + ip4("198.51.100.7") + u(5003, 2) + u(1, 1) + u(1_740_000_800, 4)
    content += ed_sign(identity, b"deut walk answer v1" + content + big_e + big_y) + bytes(207)
    assert len(content) == 784
    sealed = gcm_seal(ends[:32], bytes(12), content)
    out["sealed"] = {"content_sha256": sha256(content).hex(), "signature": content[513:577].hex(),
                     "sealed_sha256": sha256(sealed).hex(), "tag": sealed[-16:].hex()}

    # 7.2, 7.3
    oaep_m, oaep_e, seed_m, seed_e = rule(256, 23, 3), rule(256, 29, 4), rule(32, 31, 5), rule(32, 37, 6)
    t = sha256(b"deut exchange v1", big_e, big_y, spki_e, spki_m, oaep_m, oaep_e)
    session = hkdf(t, s + seed_m + seed_e, b"deut session v1", 96)
    out["session"] = {"transcript": t.hex(), "keys": session.hex()}
    data = rule(25, 41, 7)
    plain = u(7, 1) + u(len(data), 2) + data
    body = gcm_seal(session[:32], bytes(4) + u(counter, 8), plain + bytes(1163 - len(plain)))
    out["body"] = {"counter": counter, "type": 7, "data": data.hex(),
                   "body_sha256": sha256(body).hex(), "tag": body[-16:].hex()}

    # 7.4
    gate_x = rule(32, 43, 8)
    six = bytes.fromhex("20010db8000000000000000000000042")
    out["gate"] = [{"x": gate_x.hex(), "ip": ip.hex(), "port": port,
                    "gate": sha256(b"deut gate v1", gate_x, ip, u(port, 2))[:8].hex()}
                   for ip, port in ((ip4("198.51.100.7"), 5003), (six, 65535))]

    # 8.2
    secret, enc, nonce, message_id = rule(32, 47, 9), rule(32, 53, 10), rule(32, 59, 11), rule(16, 61, 12)
    prk = mac(enc + nonce, secret)
    key, iv = expand(prk, b"deut response key v1", 32), expand(prk, b"deut response nonce v1", 12)
    data = rule(100, 67, 13)
    cipher = gcm_seal(key, iv, u(len(data), 2) + data + bytes(1046 - len(data)), message_id)
    out["response"] = {"secret": secret.hex(), "enc": enc.hex(), "nonce": nonce.hex(), "key": key.hex(),
                       "aead_nonce": iv.hex(), "message_id": message_id.hex(), "body": data.hex(),
                       "ciphertext_sha256": sha256(cipher).hex(), "tag": cipher[-16:].hex()}
    assert len(cipher) == 1064
    return json.dumps(out, indent=1) + "\n"


if __name__ == "__main__":
    selfcheck()
    text = main()
    if sys.argv[1:] == ["--check"]:
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "walk.json")) as f:
            sys.exit(0 if f.read() == text else "walk.json differs from a fresh run")
    sys.stdout.write(text)
