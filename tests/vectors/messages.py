#!/usr/bin/env python3
"""Independent vectors for sections 4.2 and 8.1 of docs/protocol.md: prints messages.json.

Written from docs/protocol.md, RFC 9180 and the Noise specification (revision 34) alone, without the Rust sources. Only
the Python standard library and walk.py, its neighbour, are used. selfcheck() compares ChaCha20-Poly1305 and HPKE with
published vectors before a byte is printed.

    python3 messages.py > messages.json   write
    python3 messages.py --check           compare messages.json with a fresh run
"""
import json, os, struct, sys

import walk
from walk import ed_expand, ed_public, expand, gcm_seal, hkdf, ip4, le, mac, rule, sha256, u, x25519

b = bytes.fromhex


# ------------------------------------------------------------------ ChaCha20-Poly1305, RFC 8439
def chacha_block(key, counter, nonce):
    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    s = start[:]

    def quarter(a, c, d, e):
        for x, y, z, turn in ((a, c, e, 16), (d, e, c, 12), (a, c, e, 8), (d, e, c, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            v = s[z] ^ s[x]
            s[z] = (v << turn | v >> 32 - turn) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *((x + y) & 0xFFFFFFFF for x, y in zip(s, start)))


def chacha_seal(key, nonce, plain, ad):
    stream = b"".join(chacha_block(key, 1 + i, nonce) for i in range((len(plain) + 63) // 64))
    sealed = bytes(x ^ y for x, y in zip(plain, stream))
    one_time = chacha_block(key, 0, nonce)
    r, s = le(one_time[:16]) & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF, le(one_time[16:32])
    pad = lambda data: data + bytes(-len(data) % 16)
    data, total = pad(ad) + pad(sealed) + struct.pack("<QQ", len(ad), len(sealed)), 0
    for i in range(0, len(data), 16):
        total = (total + le(data[i:i + 16]) + (1 << 128)) * r % ((1 << 130) - 5)
    return sealed + ((total + s) % (1 << 128)).to_bytes(16, "little")


# ------------------------------------------------------------------ HPKE base mode, RFC 9180
KEM, SUITE = b"KEM" + u(0x20, 2), b"HPKE" + u(0x20, 2) + u(1, 2) + u(3, 2)


def labeled_extract(suite, salt, label, ikm):
    return mac(salt or bytes(32), b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, size):
    return expand(prk, u(size, 2) + b"HPKE-v1" + suite + label + info, size)


class Context:
    """One message with sequence number 0."""

    def __init__(self, dh, enc, recipient, info):
        prk = labeled_extract(KEM, b"", b"eae_prk", dh)
        shared = labeled_expand(KEM, prk, b"shared_secret", enc + recipient, 32)
        context = b"\0" + labeled_extract(SUITE, b"", b"psk_id_hash", b"") + labeled_extract(SUITE, b"", b"info_hash", info)
        secret = labeled_extract(SUITE, shared, b"secret", b"")
        self.key = labeled_expand(SUITE, secret, b"key", context, 32)
        self.nonce = labeled_expand(SUITE, secret, b"base_nonce", context, 12)
        self.exporter = labeled_expand(SUITE, secret, b"exp", context, 32)

    def seal(self, plain, ad):
        return chacha_seal(self.key, self.nonce, plain, ad)

    def export(self, info, size):
        return labeled_expand(SUITE, self.exporter, b"sec", info, size)


# ------------------------------------------------------------------ Noise IK, first message
class Handshake:
    def __init__(self, prologue, responder):
        name = b"Noise_IK_25519_AESGCM_SHA256"
        self.h = self.chain = name + bytes(32 - len(name))
        self.key, self.count = None, 0
        self.mix(prologue)
        self.mix(responder)

    def mix(self, data):
        self.h = sha256(self.h, data)

    def mix_key(self, dh):
        both = hkdf(self.chain, dh, b"", 64)
        self.chain, self.key, self.count = both[:32], both[32:], 0

    def seal(self, plain):
        sealed = gcm_seal(self.key, bytes(4) + u(self.count, 8), plain, self.h)
        self.count += 1
        self.mix(sealed)
        return sealed


def first_message(prologue, static, ephemeral, responder, payload):
    state = Handshake(prologue, responder)
    e = x25519(ephemeral)
    state.mix(e)
    state.mix_key(x25519(ephemeral, le(responder)))
    s = state.seal(x25519(static))
    state.mix_key(x25519(static, le(responder)))
    return e + s + state.seal(payload)


# ------------------------------------------------------------------
def selfcheck():
    walk.selfcheck()
    # RFC 8439, 2.8.2
    text = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
            b"sunscreen would be it.")
    sealed = chacha_seal(bytes(range(0x80, 0xa0)), b("070000004041424344454647"), text, b("50515253c0c1c2c3c4c5c6c7"))
    assert sealed[:16] == b("d31a8d34648e60db7b86afbc53ef7ec2") and sealed[-16:] == b("1ae10b594f09e26a7e902ecbd0600691")
    # RFC 9180, A.2.1
    secret = b("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")
    enc = b("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
    context = Context(x25519(secret, le(enc)), enc, x25519(secret), b("4f6465206f6e2061204772656369616e2055726e"))
    assert context.seal(b"Beauty is truth, truth beauty", b"Count-0") == b(
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28")
    assert context.export(b"", 32) == b("4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e")


def request():  # 8.1, 8.2
    seed, ephemeral = rule(32, 71, 14), rule(32, 73, 15)
    scalar, recipient = ed_expand(seed)[0], ed_public(seed)
    montgomery = x25519(walk.b32(scalar))
    enc = x25519(ephemeral)
    to_gate = sha256(b"deut gate v1", recipient, ip4("203.0.113.9"), u(5004, 2))[:8]
    body = rule(100, 79, 16)
    header = rule(16, 83, 17) + ip4("198.51.100.7") + u(5003, 2) + rule(8, 89, 18) + u(1, 2) + bytes(2) + u(len(body), 2)
    assert len(header) == 48
    plain = header + body + bytes(1016 - len(body))
    context = Context(x25519(ephemeral, le(montgomery)), enc, montgomery, b"deut message v1")
    datagram = to_gate + enc + context.seal(plain, to_gate)
    assert len(datagram) == 1120
    return {"persona_seed": seed.hex(), "persona": recipient.hex(), "to": "203.0.113.9:5004", "body": body.hex(),
            "header": header.hex(), "datagram": datagram.hex(),
            "message_id": context.export(b"deut message id v1", 16).hex(),
            "secret": context.export(b"deut response v1", 32).hex()}


def initiation(with_descriptor):  # 4.2
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "walk.json")) as f:
        known = json.load(f)
    of = lambda seed, label: hkdf(b"", seed, label, 32)
    ours, theirs = b(known["relay_keys"]["seed"]), rule(32, 97, 19)
    network, link = b(known["network"]["production"]), x25519(of(theirs, b"deut relay link v1"))
    time = 1_740_000_000_123_456
    shown = b"\1" + b(known["descriptor"]) if with_descriptor else bytes(197)
    payload = shown + u(time, 8)
    payload += bytes(1096 - len(payload))
    prologue = b"deut link v1" + network + ed_public(of(theirs, b"deut relay identity v1"))
    message = first_message(prologue, of(ours, b"deut relay link v1"), rule(32, 101, 20), link, payload)
    datagram = b"\1" + bytes(3) + b("a1a2a3a4") + message
    assert len(datagram) == 1200
    datagram += mac(sha256(b"deut mac1 v1", link), datagram)[:16] + rule(16, 103, 21)
    return {"initiator_seed": ours.hex(), "responder_seed": theirs.hex(), "network": network.hex(), "time": time,
            "payload": payload[:205].hex(), "datagram": datagram.hex()}


def main():
    out = {"request": request(), "initiation": initiation(True), "initiation_of_a_client": initiation(False)}
    return json.dumps(out, indent=1) + "\n"


if __name__ == "__main__":
    selfcheck()
    text = main()
    if sys.argv[1:] == ["--check"]:
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "messages.json")) as f:
            sys.exit(0 if f.read() == text else "messages.json differs from a fresh run")
    sys.stdout.write(text)
