#!/usr/bin/env python3
"""The odds of docs/threat-model.md, computed: python3 standard library only.

    python3 odds.py                  print the tables
    python3 odds.py --check FILE     exit code 0 if FILE holds these tables

A fraction c of all relays belongs to one attacker. A walk goes to relays drawn uniformly; each honest one goes on with
probability 2/3, else it is the endpoint. The first relay of the attacker on a walk captures it (it can play the endpoint
or forward to its own) and writes down its predecessor. The attacker guesses the relay that it wrote down most often over
the tunnels that it knows to belong together, and draws among equals.

Closed forms hold for a large network. The same story is also told by drawing walks in a network of 1,000 relays, with
a fixed seed, and the two must agree.
"""
import math
import random
import sys

P_F = 2 / 3
FRACTIONS = (0.01, 0.05, 0.10, 0.20, 0.30)
REQUESTS = 12  # of one lookup
CLOSEST = 8  # nodes around a key that a lookup asks
PERSONA = 4  # tunnels that a persona holds, each for about ten minutes
RELAYS, RUNS, SEED = 1_000, 20_000, 2026


def captured(c):
    """A walk meets the attacker: its endpoint is the attacker's."""
    return 1 - (1 - c) * (1 - P_F) / (1 - P_F * (1 - c))


def master_before(c):
    """The relay before the attacker is the master, given a captured walk."""
    return 1 - P_F * (1 - c)


def binomial(n, k, p):
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def guessed(c, linked):
    """The attacker's best guess over `linked` tunnels is the master. Relays other than the master are hardly drawn twice."""
    total = 0.0
    for caught in range(1, linked + 1):
        right = 0.0
        for hits in range(1, caught + 1):
            right += binomial(caught, hits, master_before(c)) * (1 if hits > 1 else 1 / caught)
        total += binomial(linked, caught, captured(c)) * right
    return total


def guessed_with_requests(c, reply=2):
    """As above; each request that went to a node of the attacker links its send tunnel too."""
    return sum(binomial(REQUESTS, told, c) * guessed(c, reply + told) for told in range(REQUESTS + 1))


def drawn(c, linked, rng):
    """One lookup in a network of RELAYS; relay 0 is the master, the last c * RELAYS belong to the attacker."""
    first_bad = RELAYS - round(c * RELAYS)
    notes = {}
    for _ in range(linked):
        at, before = 0, 0
        while True:
            following = rng.randrange(RELAYS)
            if following in (at, before):
                continue
            before, at = at, following
            if at >= first_bad:
                notes[before] = notes.get(before, 0) + 1
                break
            if rng.random() >= P_F:
                break
    if not notes:
        return False
    most = max(notes.values())
    return rng.choice(sorted(who for who, times in notes.items() if times == most)) == 0


def simulated(c, linked):
    rng = random.Random(f"{SEED} {c} {linked}")
    return sum(drawn(c, linked, rng) for _ in range(RUNS)) / RUNS


def agree():
    """Closed forms against drawn walks: within 4 standard errors and 1 % for the finite network."""
    for c in FRACTIONS:
        for linked in (1, 2, 8, 10):
            exact, seen = guessed(c, linked), simulated(c, linked)
            allowed = 4 * math.sqrt(exact * (1 - exact) / RUNS) + 0.01
            if abs(exact - seen) > allowed:
                sys.exit(f"c = {c}, {linked} tunnels: closed form {exact:.4f}, drawn {seen:.4f}")
    # One tunnel: the master is exposed exactly when the first hop is the attacker's.
    for c in FRACTIONS:
        if abs(captured(c) * master_before(c) - c) > 1e-12 or abs(guessed(c, 1) - c) > 1e-12:
            sys.exit("the closed form of one tunnel is wrong")


def percent(p):
    if p > 0.9995:
        return "almost certain"
    digits = 2 if p < 0.005 else 1 if p < 0.0995 or p > 0.995 else 0
    return f"{100 * p:.{digits}f} %"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def tables():
    tunnel = table(
        ("c", "endpoint is the attacker's", "then the relay before it is the master", "both: tunnel exposes its master",
         "tunnels until one of them is exposed, even odds", "endpoint chosen by the master instead (onion): exposed"),
        [(percent(c), percent(captured(c)), percent(master_before(c)), percent(c), f"{math.log(0.5) / math.log(1 - c):.1f}",
          percent(c * c)) for c in FRACTIONS])
    lookup = table(
        ("c", "1 tunnel", "2 reply tunnels", f"2 reply tunnels, and the send tunnels of requests that reached the attacker, {REQUESTS} requests",
         f"2 reply tunnels and {CLOSEST} send tunnels: the attacker sits on the key", "8 reply tunnels (not built so)"),
        [(percent(c), percent(guessed(c, 1)), percent(guessed(c, 2)), percent(guessed_with_requests(c)),
          percent(guessed(c, 2 + CLOSEST)), percent(guessed(c, 8))) for c in FRACTIONS])
    spans = ((PERSONA, "at once"), (6 * PERSONA, "an hour"), (24 * 6 * PERSONA, "a day"))
    persona = table(
        ("c", *(f"{name}: {linked} tunnels" for linked, name in spans)),
        [(percent(c), *(percent(guessed(c, linked)) for linked, _ in spans)) for c in FRACTIONS])
    return tunnel, lookup, persona


def main():
    agree()
    parts = tables()
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        with open(sys.argv[2], encoding="utf-8") as file:
            text = file.read()
        missing = [part for part in parts if part not in text]
        sys.exit(f"{sys.argv[2]} does not hold this table:\n{missing[0]}" if missing else 0)
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    print(*parts, sep="\n\n")


if __name__ == "__main__":
    main()
