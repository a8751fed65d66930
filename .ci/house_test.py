"""Controls of `.ci/house`: small crates with one planted fault each, which must be found and nothing else, and clean twins.

A twin differs in as little as possible, and hides the same words where they do not count: a rule that reads comments, strings
or tests fails there, and one that went blind fails at the fault.
"""

import tempfile
from pathlib import Path

import house_rust as rust


def body(lines):
    """Statements, with comments and blank lines that must not count."""
    return "\n    // a comment\n\n".join("    let _ = 1;" for _ in range(lines))


def function(name, lines):
    """A function of so many lines of code."""
    return f"fn {name}() {{\n{body(lines - 2)}\n}}\n"


def plain(lines):
    """So many lines of code in short functions."""
    count, rest = divmod(lines, 10)
    short = "fn f() {\n" + "let _ = 1;\n" * 8 + "}\n"
    return short * (count - 1) + "fn g() {\n" + "let _ = 1;\n" * (8 + rest) + "}\n"


FOR_TESTS = "#[cfg(test)]\n{\n1;\n}\n#[cfg(test)]\nlet x =\n1;\n"
LONG_TEST = "#[cfg(test)]\nmod tests {\n" + function("f", 90) + "}\n"

# 302 lines of `impl X`, and what is of another type of that name or for tests.
X = "mod a;\npub struct X<T>(T);\nimpl<T: Fn(u8) -> bool> X<T> {\n" + plain(300) + "}\n"
NOT_X = "mod b { struct X; impl X {\n" + plain(100) + "} }\nimpl<X> From<X> for Y {\n" + plain(100) + "}\n"
NOT_X += "impl crate::X {\n#[cfg(test)]\n" + plain(10) + "#[test]\n" + plain(10) + "\n}\n"
NOT_X += "#[cfg(test)]\nimpl crate::X {\n" + plain(100) + "}\n"

# Where the path `crate::a::A` does not count, and what a careless reader of Rust trips over.
DECOYS = r"""
// crate::a::A
/* crate::a::A /* nested */ crate::a::A */
/// See [`crate::a::A`].
fn decoy<'a>(text: &'a str) -> &'a str {
    let _ = ("crate::a::A", r#"crate::a::A " crate::a::A"#, b"\" crate::a::A", '"', '\'', b'"', "//", 'a');
    text
}
#[cfg(test)]
use crate::a::A;
#[cfg(all(test, feature = "x"))]
fn only_for_tests() { crate::a::A; }
pub struct Fields {
    #[cfg(test)]
    field: crate::a::A,
    other: u8,
}
#[cfg(test)]
mod tests {
    use crate::a::A;
    mod below;
}
#[cfg(test)]
mod helpers;
"""
USES_A = "use crate::a::A;\n"
A = {"lib.rs": "mod a;\nmod b;\n", "a.rs": "use crate::b::B;\npub struct A;\n"}
ROOM = {"lib.rs": "mod room;\n", "room/mod.rs": "mod x;\nmod y;\nuse x::X;\nuse self::y::Y;\npub struct Room;\n"}
ONE_FILE = "mod p { use super::q::Q; pub struct P; }\nmod q { use super::p::P; pub struct Q; }\n"

# (what is tried, files below transport/src of the faulty one, findings, files of the clean twin)
CASES = [
    (
        "a circle of two rooms, and where a path does not count",
        A | {"b/mod.rs": "mod c;\npub struct B;\n", "b/c.rs": DECOYS + "fn f() { let _ = crate::a::A; }\n"},
        ["circle transport: a b"],
        A
        | {
            "b/mod.rs": "mod c;\npub struct B;\nmod tests;\nmod more_tests;\nmod testing;\n",
            "b/c.rs": DECOYS,
            "b/c/helpers.rs": USES_A,
            "b/c/tests/below.rs": USES_A,
            "b/tests.rs": USES_A,
            "b/more_tests.rs": USES_A,
            "b/testing.rs": USES_A,
        },
    ),
    (
        "a circle through what the root hands on",
        {"lib.rs": "mod a;\nmod b;\nmod c;\npub use b::B;\n", "a.rs": "use crate::B;\npub struct A;\n"}
        | {"b.rs": USES_A + "pub struct B;\n", "c.rs": "pub struct B;\n"},
        ["circle transport: a b"],
        {"lib.rs": "mod a;\nmod b;\nmod c;\npub use c::B;\n", "a.rs": "use crate::B;\npub struct A;\n"}
        | {"b.rs": USES_A + "pub struct B;\n", "c.rs": "pub struct B;\n"},
    ),
    (
        "a circle of three by nested braces, a star and a name of a module",
        {"lib.rs": "mod a;\nmod b;\nmod c;\n", "a.rs": "use {std::fmt, crate::{b::{self as bee, B}}};\nfn f() { bee::g(); }\n"}
        | {"b.rs": "pub use super::c::*;\npub struct B;\n", "c.rs": "use crate::a;\npub struct C;\nfn f() { a::f() }\n"},
        ["circle transport: a b c"],
        {"lib.rs": "mod a;\nmod b;\nmod c;\n", "a.rs": "use {std::fmt, crate::{b::{self as bee, B}}};\nfn f() { bee::g(); }\n"}
        | {"b.rs": "pub use super::c::*;\npub struct B;\n", "c.rs": "use other::a;\npub struct C;\nfn f() { a::f() }\n"},
    ),
    (
        "a circle of neighbours in one room; a room with its own files is none, nor are modules of one file",
        ROOM | {"room/x.rs": "use super::{Room, Y};\npub struct X;\n", "room/y.rs": "use super::x::X;\npub struct Y;\n"},
        ["circle transport::room: x y"],
        ROOM | {"room/x.rs": "use super::{Room, Y};\npub struct X;\n", "room/y.rs": "use super::Room;\npub struct Y;\n" + ONE_FILE},
    ),
    (
        "a circle through a star in the root",
        {"lib.rs": "mod a;\nmod b;\npub use b::*;\n", "a.rs": "use crate::B;\npub struct A;\n", "b.rs": USES_A + "pub struct B;\n"},
        ["circle transport: a b"],
        {"lib.rs": "mod a;\nmod b;\npub use b::*;\n", "a.rs": "use crate::C;\npub struct A;\n", "b.rs": USES_A + "pub struct B;\n"},
    ),
    (
        "a circle of two rooms of a binary, one of them written within the root",
        {"main.rs": "mod a { pub(crate) mod inner; use crate::b::B; }\nmod b;\n", "a/inner.rs": "pub struct A;\n"}
        | {"b.rs": "use crate::a::inner::A;\npub struct B;\n"},
        ["circle transport: a b"],
        {"main.rs": "mod a { pub(crate) mod inner; use crate::b::B; }\nmod b;\n", "a/inner.rs": "pub struct A;\n"}
        | {"b.rs": "pub struct B;\n"},
    ),
    (
        "a long file",
        {"lib.rs": "mod a;\n", "a.rs": "//\n" * 601},
        ["file transport/src/a.rs"],
        {"lib.rs": "mod a;\n", "a.rs": "//\n" * 600},
    ),
    (
        "a long file of tests",
        {"lib.rs": "#[cfg(test)]\nmod tests;\n", "tests.rs": "\n" * 601},
        ["file transport/src/tests.rs"],
        {"lib.rs": "#[cfg(test)]\nmod tests;\n", "tests.rs": "\n" * 600},
    ),
    (
        "a long function",
        {"lib.rs": "struct X;\nimpl X {\n    pub " + function("long", 61) + "}\n"},
        ["function transport/src/lib.rs X::long"],
        {"lib.rs": "struct X;\nimpl X {\n    pub " + function("long", 60)[:-2] + FOR_TESTS + "}\n}\n" + LONG_TEST},
    ),
    (
        "a type with much code, in several files and kinds of `impl`",
        {"lib.rs": X, "a.rs": "impl<'a, T> From<&'a T> for crate::X<T> where T: Into<u8> {\n" + plain(197) + "}\n"},
        ["impl transport X"],
        {"lib.rs": X, "a.rs": "impl<'a, T> From<&'a T> for crate::X<T> where T: Into<u8> {\n" + plain(194) + "}\n" + NOT_X},
    ),
    (
        "a file under another path",
        {"lib.rs": '#[cfg(test)]\n#[path = "a_tests.rs"]\nmod tests;\n', "a_tests.rs": "use crate::a;\n"},
        ["path transport/src/lib.rs a_tests.rs"],
        {"lib.rs": '// #[path = "a_tests.rs"]\n#[doc = "path"]\nconst X: &str = "#[path = \\"a_tests.rs\\"]";\n'},
    ),
    (
        "a crate that names itself",
        {"lib.rs": "extern crate self as transport;\n"},
        ["extern-crate-self transport/src/lib.rs"],
        {"lib.rs": "// extern crate self as transport;\nextern crate alloc;\n"},
    ),
]

# Each uses the room `a` right behind something that is for tests only, or where a careless reader would take it for that.
STILL_USES_A = [
    "struct F { #[cfg(test)] x: u8, y: crate::a::A }",
    "fn f() { match 1 { #[cfg(test)] 1 => {} _ => crate::a::f() } }",
    "fn f() { g(#[cfg(test)] 1, crate::a::f()) }",
    "#[cfg(test)] use std::{fmt, io}; use crate::a::A;",
    "#[cfg(test)] pub(crate) const fn t() -> [u8; 3] {} use crate::a::A;",
    "#[cfg(test)] const X: F = F { x: 1 }; use crate::a::A;",
    "#[cfg(test)] proptest! { fn t() {} } use crate::a::A;",
    "#[cfg(test)] mod t; use crate::a::A;",
    "#[cfg(not(test))] use crate::a::A;",
    '#[cfg(any(test, feature = "x"))] use crate::a::A;',
    "#[cfg(any(all(test, unix), all(x, y)))] use crate::a::A;",
    "impl<T: Into<u8>> crate::a::A<T> for X<T> {}",
    "macro_rules! m { () => { $crate::a::f() } }",
    "fn f<'a>(x: &'a u8) { /* ' */ 'l: loop { crate::a::f() } }",
    "fn f() { \"//\"; r#\"\"#; crate::a::f() }",
]

TRICKY = r"""a'b' 'c '\'' '\u{7f}' b'"' "\\" r"\" r##"x"#"## /* " */ r#fn 1..2 0.5 x.0.1 <'d,'e> :: -> // ' """
TRICKY_TOKENS = r"""a|'b'|'c|'\''|'\u{7f}'|b'"'|"\\"|r"\"|r##"x"#"##|fn|1|.|.|2|0.5|x|.|0.1|<|'d|,|'e|>|::|->"""


def plant(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def run(house):
    failed = []

    def expect(what, wanted, got):
        if wanted != got:
            failed.append(f"{what}: expected {wanted}, got {got}")

    expect("tokens", [text.strip() for text in TRICKY_TOKENS.split("|")], [token.text for token in rust.tokens_of(TRICKY)])
    for what, faulty, findings, clean in CASES:
        for files, wanted, which in ((faulty, findings, "fault"), (clean, [], "twin")):
            with tempfile.TemporaryDirectory() as folder:
                plant(Path(folder), {f"transport/src/{name}": text for name, text in files.items()})
                expect(f"{what} ({which})", wanted, list(house.findings(Path(folder))))
    for line in STILL_USES_A:
        with tempfile.TemporaryDirectory() as folder:
            plant(Path(folder), {f"transport/src/{name}": text for name, text in (A | {"b.rs": line}).items()})
            expect(line, ["circle transport: a b"], list(house.findings(Path(folder))))
    lists(house, expect)
    for line in failed:
        print(f"house: self-test FAILED: {line}")
    print(f"house: self-test: {len(CASES)} faults and their twins, {len(STILL_USES_A)} references, two lists: {len(failed)} failures")
    return 1 if failed else 0


def lists(house, expect):
    """A finding passes when it is listed, and a line fails when it is not needed or has no reason."""
    circle, gone = "circle transport: a b", "file transport/src/a.rs"
    larger = "circle transport: a b c"
    record = "docs/adr/0001-circle.md"
    files = {f"transport/src/{name}": text for name, text in CASES[1][1].items()} | {record: "because\n"}
    cases = [
        ("nothing listed", "", "", ["new: " + circle]),
        ("in house-todo", f"# why\n{circle}\n", "", []),
        ("allowed", "", f"{circle} -- {record}\n", []),
        ("allowed without a reason", "", f"{circle}\n", [f"house-allowed: {circle}: needs"]),
        ("allowed for a reason that is not there", "", f"{circle} -- docs/adr/0002-no.md\n", [f"house-allowed: {circle}: needs"]),
        ("listed twice", f"{circle}\n", f"{circle} -- {record}\n", [f"house-todo: {circle}: is listed twice"]),
        ("gone from the code", f"{circle}\n{gone}\n", "", [f"house-todo: {gone}: is gone"]),
        ("allowed and gone", f"{circle}\n", f"{gone} -- {record}\n", [f"house-allowed: {gone}: is not so any more"]),
        ("a smaller circle", f"{larger}\n", "", [f"house-todo: {larger}: is gone", f"{circle}: what is left"]),
    ]
    for what, todo, allowed, wanted in cases:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            plant(root, files | {".ci/house-todo": todo, ".ci/house-allowed": allowed})
            wrong = house.judge(root, house.findings(root))
            matched = len(wrong) == len(wanted) and all(line.startswith(start) for line, start in zip(wrong, wanted))
            expect(f"lists, {what}", True, matched or wrong)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plant(root, files | {".ci/house-todo": f"# why\n{larger}\n{gone}\n"})
        found = house.findings(root)
        house.shrink(root, found)
        expect("shrink", f"# why\n{circle}\n", (root / ".ci/house-todo").read_text(encoding="utf-8"))
        expect("shrink, then check", [], house.judge(root, found))
        plant(root, {".ci/house-todo": "# why\n"})
        house.shrink(root, found)
        expect("shrink adds nothing", "# why\n", (root / ".ci/house-todo").read_text(encoding="utf-8"))
