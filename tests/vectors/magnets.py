#!/usr/bin/env python3
"""What magnet links mean: to libtorrent, which most BitTorrent clients read them with, and to deut.

magnets.json has a row for each form:
  form        the link, as people paste it
  what        what it is, for docs/magnets.md
  libtorrent  its hashes (v1, v2), or its error
  deut        what `deut get` looks for (v1, v2; key; record and salt), or its error; node/cli/src/work/target/tests.rs checks it
  differs     why, where the two do not mean the same

  magnets.py                      prints docs/magnets.md
  magnets.py --write              asks libtorrent, writes its column and docs/magnets.md
  magnets.py --check [--optional] exit code 0 if both are as they would be written; without libtorrent (pip install
                                  libtorrent) that column is not checked, which is right only with --optional
"""
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE / "magnets.json"
DOCUMENT = HERE.parent.parent / "docs" / "magnets.md"

HEAD = """# Magnet links

What `deut get` and `deut announce` make of links as they are found on the web, in mails and in chats, beside what libtorrent
makes of them. Written by `tests/vectors/magnets.py --write` from `tests/vectors/magnets.json`; tests hold both columns to it.

- A torrent is named by `xt=urn:btih:` (version 1, 40 hex or 32 base32 digits), by `xt=urn:btmh:1220` and 64 hex digits
  (version 2), or by both (hybrid). Of a hybrid both are asked and both are announced.
- Everything that names no torrent is passed over, whatever is wrong with it. What is wrong in a hash is never guessed.
- Long numbers are shortened here: `HEX` is a hash of version 1, `BASE32` the same in base32, `SHA256` one of version 2,
  `PUBLIC` a public key, `OTHER` another number of that length. `⏎` is a line end, `␣` a blank or something invisible.

"""


def libtorrent():
    try:
        import libtorrent as module
    except ImportError:
        return None
    return module


def ask(module, form):
    try:
        hashes = module.parse_magnet_uri(form).info_hashes
    except RuntimeError as error:
        return {"error": re.sub(r" \[.*\]$", "", str(error))}
    found = {}
    if hashes.has_v1():
        found["v1"] = str(hashes.v1)
    if hashes.has_v2():
        found["v2"] = str(hashes.v2)
    return found or {"error": "no hash"}


def means(column):
    return "error" if "error" in column else column


def faults(rows):
    """The rules that every row keeps."""
    seen = set()
    for row in rows:
        form = row["form"]
        if form in seen:
            yield f"{form!r} stands there twice"
        seen.add(form)
        if not row["what"]:
            yield f"{form!r}: what is it?"
        differ = means(row["libtorrent"]) != means(row["deut"])
        if differ and not row.get("differs"):
            yield f"{form!r}: libtorrent and deut differ, and nobody says why"
        if not differ and "differs" in row:
            yield f"{form!r}: nothing differs, but a reason is given"


NAMES = [
    ("HEX", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
    ("BASE32", "vl2mmho4yxukfwv63yhtwsbm3gxksq2n"),
    ("SHA256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    ("PUBLIC", "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e"),
    ("OTHER", "0123456789abcdef0123456789abcdef01234567"),
]


def shown(form):
    for name, number in NAMES:
        form = re.sub(number, name, form, flags=re.IGNORECASE)
    form = form.replace("\n", "⏎").replace("|", "\\|")
    return "`" + re.sub(r"[\s\u200b\ufeff\u2060\u200e]", "␣", form) + "`"


def told(column):
    if "error" in column:
        return "refused: " + column["error"].replace("|", "\\|")
    if "key" in column:
        return "the value with this key"
    if "record" in column:
        return "the torrent that a mutable record names"
    name = {("v1",): "version 1", ("v2",): "version 2", ("v1", "v2"): "hybrid"}[tuple(sorted(column))]
    known = {number for _, number in NAMES[:3]}
    return name if set(column.values()) <= known else f"{name}, another hash"


def document(rows):
    lines = ["| link | what it is | libtorrent | deut | why they differ |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [shown(row["form"]), row["what"], told(row["libtorrent"]), told(row["deut"]), row.get("differs", "")]
        lines.append("| " + " | ".join(cells) + " |")
    return HEAD + "\n".join(lines) + "\n"


def written(rows):
    return "[\n" + ",\n".join(" " + json.dumps(row) for row in rows) + "\n]\n"


def check(rows, module, optional):
    wrong = list(faults(rows))
    if TABLE.read_text() != written(rows):
        wrong.append("magnets.json is not laid out as --write does it")
    if not DOCUMENT.exists() or DOCUMENT.read_text() != document(rows):
        wrong.append("docs/magnets.md is not what --write would write")
    if module is None:
        print("skipped: libtorrent is not installed")
    for row in rows if module else []:
        is_now = ask(module, row["form"])
        if is_now != row["libtorrent"]:
            wrong.append(f"{row['form']!r}: libtorrent {module.__version__} says {is_now}, not {row['libtorrent']}")
    for line in wrong:
        print(line)
    return 1 if wrong or (module is None and not optional) else 0


def main(arguments):
    rows = json.loads(TABLE.read_text())
    module = libtorrent()
    if "--check" in arguments:
        return check(rows, module, "--optional" in arguments)
    if "--write" in arguments:
        if module is None:
            print("libtorrent is not installed: pip install libtorrent", file=sys.stderr)
            return 1
        for row in rows:
            row["libtorrent"] = ask(module, row["form"])
        wrong = list(faults(rows))
        print("\n".join(wrong), file=sys.stderr)
        TABLE.write_text(written(rows))
        DOCUMENT.write_text(document(rows))
        return 1 if wrong else 0
    sys.stdout.write(document(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
