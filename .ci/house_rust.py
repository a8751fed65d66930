"""Reads Rust as far as `.ci/house` needs it: tokens, modules, paths, functions and `impl` blocks.

Patterns over raw lines go wrong at strings, comments and lifetimes, so this is a tokenizer with a small item reader on top.
It does not expand macros and knows no types: a method call is no reference, a path is one.
"""

import re
from pathlib import Path

# Order matters: a raw string looks like an identifier at first, a character like a lifetime.
TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>//[^\n]*)
    |(?P<block>/\*)
    |(?P<raw>(?:b|c)?r(?P<hashes>\#*)")
    |(?P<string>(?:b|c)?"(?:[^"\\]|\\.)*")
    |(?P<char>b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])')
    |(?P<lifetime>'[^\W\d]\w*)
    |(?P<ident>(?:r\#)?[^\W\d]\w*)
    |(?P<number>\d\w*(?:\.\d\w*)?)
    |(?P<punct>::|->|=>|.)""",
    re.VERBOSE | re.DOTALL,
)
BLOCK = re.compile(r"/\*|\*/")
OPEN, CLOSE = {"(", "[", "{"}, {")", "]", "}"}


class Token:
    """One token. `line` and `last` are where it begins and ends: a string may be long."""

    __slots__ = ("kind", "text", "line", "last")

    def __init__(self, kind, text, line, last):
        self.kind, self.text, self.line, self.last = kind, text, line, last


def tokens_of(source):
    """The tokens of a source text, without comments."""
    tokens, at, line = [], 0, 1
    while at < len(source):
        found = TOKEN.match(source, at)
        kind, end = found.lastgroup, found.end()
        if kind == "hashes":
            kind = "raw"
        if kind == "block":
            # Block comments nest in Rust.
            depth = 1
            while depth:
                mark = BLOCK.search(source, end)
                if mark is None:
                    raise ValueError(f"line {line}: a comment without an end")
                depth += 1 if mark.group() == "/*" else -1
                end = mark.end()
        elif kind == "raw":
            close = source.find('"' + found.group("hashes"), end)
            if close < 0:
                raise ValueError(f"line {line}: a raw string without an end")
            end = close + 1 + len(found.group("hashes"))
        text = source[at:end]
        last = line + text.count("\n")
        if kind not in ("space", "comment", "block"):
            if kind in ("raw", "string", "char"):
                kind = "literal"
            elif kind == "ident":
                text = text.removeprefix("r#")
            tokens.append(Token(kind, text, line, last))
        at, line = end, last
    return tokens


class Region:
    """What one pair of braces (or one file) is: it says in whose body we are."""

    def __init__(self, kind, name=None, start=0, module=None):
        self.kind, self.name, self.start, self.module = kind, name, start, module


class RawModule:
    """What the text of one module says, before anything is resolved."""

    def __init__(self):
        self.children = []  # (name, inline RawModule or None, value of #[path] or None, whether it is for tests only)
        self.items = set()
        self.imports = {}  # name -> path
        self.globs = []  # paths
        self.paths = []  # (path, line): every reference
        self.impls = []  # (path of the type, lines, first line)


class SourceFile:
    """One file: its facts, and the module that its text makes."""

    def __init__(self, path):
        self.path = path
        source = path.read_text(encoding="utf-8")
        self.lines = source.count("\n") + (not source.endswith("\n") and source != "")
        self.functions = []  # (name with its type, lines)
        self.path_attributes = []
        self.names_itself = False
        try:
            self.tokens = tokens_of(source)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        self.in_test = bytearray(len(self.tokens))
        self.pairs = pairs_of(self.tokens, path)
        self.top = RawModule()
        self.attributes()
        self.code = self.lines_between(0, len(self.tokens) - 1)
        self.read()
        # Not needed any more, and large.
        del self.tokens, self.pairs, self.in_test

    def text(self, at):
        return self.tokens[at].text if 0 <= at < len(self.tokens) else ""

    def lines_between(self, first, last):
        """How many lines from one token to another hold code that is not for tests."""
        lines = set()
        for at in range(first, last + 1):
            if not self.in_test[at]:
                token = self.tokens[at]
                lines.update(range(token.line, token.last + 1))
        return len(lines)

    # Attributes, and which items are for tests only.

    def attributes(self):
        self.path_at = {}  # index of the token after the attributes -> value of #[path]
        at = 0
        while at < len(self.tokens):
            inner = self.text(at + 1) == "!"
            bracket = at + 1 + inner
            if self.text(at) != "#" or self.text(bracket) != "[":
                at += 1
                continue
            close = self.pairs[bracket]
            body = [token.text for token in self.tokens[bracket + 1 : close]]
            item = close + 1
            while self.text(item) == "#" and self.text(item + 1) == "[":
                item = self.pairs[item + 1] + 1
            for place, word in enumerate(body[:-2]):
                # Also within `cfg_attr(…, path = "…")`.
                if word == "path" and body[place + 1] == "=" and body[0] in ("path", "cfg_attr"):
                    target = body[place + 2].strip('"')
                    self.path_attributes.append(target)
                    self.path_at[item] = target
            if is_for_tests(body):
                if inner:
                    first, last = self.around(at)
                else:
                    first, last = at, self.end_of_item(item)
                self.in_test[first : last + 1] = b"\1" * (last + 1 - first)
            at = close + 1

    def around(self, at):
        """The innermost braces around a token, else the whole file."""
        best = (0, len(self.tokens) - 1)
        for first, last in self.pairs.items():
            if first < at < last and self.text(first) == "{" and first >= best[0]:
                best = (first, last)
        return best

    def end_of_item(self, at):
        """The last token of the item, field, arm or statement that begins here."""
        start = at
        while self.text(at) in ("pub", "default", "unsafe", "async", "extern", "const") or (
            self.text(at) == "(" and self.text(at - 1) == "pub"
        ):
            if self.text(at) == "const" and self.text(at + 1) not in ("fn", "unsafe", "async", "extern"):
                break
            if self.text(at) == "extern" and self.text(at + 1) == "crate":
                break
            at = self.pairs[at] + 1 if self.text(at) == "(" else at + 1
            if self.tokens[at].kind == "literal":
                at += 1  # extern "C"
        word = self.text(at)
        ends_at_semicolon = word in ("use", "static", "const", "type", "let", "extern")
        ends_at_braces = word in ("fn", "mod", "impl", "struct", "enum", "trait", "union", "macro_rules") or word == "{"
        ends_at_braces |= self.text(at + 1) == "!" and self.text(at + 2) == "{"
        is_block = word in ("if", "match", "for", "while", "loop", "unsafe")
        at, arm = start, False
        while at < len(self.tokens):
            text = self.text(at)
            if text in OPEN:
                close = self.pairs[at]
                at = close
                if text == "{" and not ends_at_semicolon:
                    after = self.text(close + 1)
                    if ends_at_braces or (is_block and after != "else"):
                        return close
                    if arm:
                        return close + (after == ",")
            elif text in CLOSE:
                return at - 1
            elif text == ";" or (text == "," and not ends_at_semicolon and not ends_at_braces):
                return at
            elif text == "=>":
                arm = True
            at += 1
        return len(self.tokens) - 1

    # Items.

    def read(self):
        self.stack = [Region("file", module=self.top)]
        self.opening = {}  # index of a `{` -> the Region that it opens
        at = 0
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.text == "{":
                self.stack.append(self.opening.get(at) or Region("other", module=self.stack[-1].module))
                at += 1
            elif token.text == "}":
                self.leave(at)
                at += 1
            elif token.text == "#" and self.text(at + 1) == "[":
                at = self.pairs[at + 1] + 1
            elif token.kind == "ident":
                at = self.word(at)
            else:
                at += 1

    def leave(self, at):
        region = self.stack.pop()
        if self.in_test[region.start] or region.kind not in ("fn", "impl"):
            return
        lines = self.lines_between(region.start, at)
        if region.kind == "fn":
            self.functions.append((region.name, lines))
        elif region.name:
            region.module.impls.append((region.name, lines, self.tokens[region.start].line))

    def word(self, at):
        """Reads on from an identifier or keyword; says where to go on."""
        text, before, after = self.text(at), self.text(at - 1), self.text(at + 1)
        module = self.stack[-1].module
        if text == "use" and after != "<" and before not in (".", "::"):
            return self.use(at, module)
        if text == "mod" and self.text(at + 2) in (";", "{"):
            return self.mod(at, module)
        if text == "fn" and self.tokens[at + 1].kind == "ident":
            self.function(at, module)
        elif text == "impl" and before in ("", "}", ";", "{", "]", "unsafe"):
            self.implementation(at, module)
        elif text == "extern" and after == "crate":
            self.names_itself |= self.text(at + 2) == "self"
            return at + 3
        elif text in ("struct", "enum", "union", "trait", "type", "static", "const", "macro_rules"):
            self.definition(at, module)
        elif after == "::" and before not in ("::", "."):
            return self.inline_path(at, module)
        return at + 1

    def at_module_level(self):
        return not any(region.kind in ("fn", "impl", "trait") for region in self.stack)

    def define(self, name, at, module):
        if self.at_module_level() and not self.in_test[at]:
            module.items.add(name)

    def definition(self, at, module):
        name = at + 1
        while self.text(name) in ("mut", "!"):
            name += 1
        if self.tokens[name].kind != "ident" or (self.text(at) == "const" and self.text(name) in ("fn", "unsafe", "async")):
            return
        if self.text(at) in ("union", "macro_rules") and self.text(at + 1) == "=":
            return
        self.define(self.text(name), at, module)
        if self.text(at) == "trait":
            self.open(name, "trait", None, at, module)

    def open(self, at, kind, name, start, module):
        """Remembers what the next `{` opens, unless a `;` comes first."""
        angle = 0
        while at < len(self.tokens):
            text = self.text(at)
            if text == "<":
                angle += 1
            elif text == ">":
                angle -= 1
            elif text == "{" and angle <= 0:
                self.opening[at] = Region(kind, name, start, module)
                return
            elif text in OPEN:
                at = self.pairs[at]
            elif text == ";" or text in CLOSE:
                return
            at += 1

    def function(self, at, module):
        name = self.text(at + 1)
        self.define(name, at, module)
        owner = next((region for region in reversed(self.stack) if region.kind in ("impl", "fn")), None)
        if owner is not None and owner.kind == "impl" and owner.name:
            name = f"{owner.name[-1]}::{name}"
        self.open(at + 2, "fn", name, at, module)

    def implementation(self, at, module):
        """`impl<…> Trait for Type<…> where …`: whose it is."""
        place, angle, path = at + 1, 0, []
        if self.text(place) == "<":
            angle, place = 1, place + 1
        while place < len(self.tokens):
            text, kind = self.text(place), self.tokens[place].kind
            if text == "<":
                angle += 1
            elif text == ">":
                angle -= 1
            elif text == "{" and angle == 0:
                break
            elif text in ("(", "[", "{"):
                place = self.pairs[place]
            elif angle == 0:
                if text == "where":
                    break
                if text == "for" and self.text(place + 1) != "<":
                    path = []
                elif kind == "ident" and text not in ("dyn", "mut", "const", "for") and self.text(place - 1) != "$":
                    path = path + [text] if self.text(place - 1) == "::" else [text]
            place += 1
        self.open(place, "impl", tuple(path), at, module)

    def mod(self, at, module):
        name, start = self.text(at + 1), at
        while start > 0 and self.text(start - 1) in ("pub", ")"):
            # `pub(crate) mod x`: attributes stand before the visibility.
            start = start - 1 if self.text(start - 1) == "pub" else self.opener(start - 1)
        path, test = self.path_at.get(start), bool(self.in_test[at])
        if self.text(at + 2) == ";":
            module.children.append((name, None, path, test))
        else:
            inline = RawModule()
            module.children.append((name, inline, path, test))
            self.opening[at + 2] = Region("mod", name, at, inline)
        return at + 2

    def opener(self, close):
        return next(first for first, last in self.pairs.items() if last == close)

    def use(self, at, module):
        end = at
        while self.text(end) != ";":
            end += 1
        if not self.in_test[at]:
            self.tree(at + 1, end, (), module)
        return end

    def tree(self, at, end, prefix, module):
        """One branch of `use a::{b, c::d as e, f::*};` from `at` on; says where it ended."""
        path = prefix
        while at < end:
            text = self.text(at)
            if text == "{":
                close = self.pairs[at]
                at += 1
                while at < close:
                    at = self.tree(at, close, path, module) + 1
                return close + 1
            if text == "*":
                module.globs.append(path)
                module.paths.append((path, self.tokens[at].line))
                return at + 1
            if text == ",":
                break
            if text == "as":
                self.bring(self.text(at + 1), path, at, module)
                return at + 2
            if text == "self" and path:
                pass  # `a::{self}` is `a`.
            elif text not in ("::", "$"):
                path += (text,)
            at += 1
        if path != prefix or self.text(at - 1) == "self":
            self.bring(path[-1], path, at - 1, module)
        return at

    def bring(self, name, path, at, module):
        if name != "_":
            module.imports[name] = path
        module.paths.append((path, self.tokens[at].line))

    def inline_path(self, at, module):
        line, path = self.tokens[at].line, [self.text(at)]
        test = self.in_test[at]
        while self.text(at + 1) == "::" and at + 2 < len(self.tokens) and self.tokens[at + 2].kind == "ident":
            at += 2
            path.append(self.text(at))
        if len(path) > 1 and not test:
            module.paths.append((tuple(path), line))
        return at + 1


def pairs_of(tokens, path):
    """Index of each opening bracket -> index of its closing one."""
    pairs, stack = {}, []
    for at, token in enumerate(tokens):
        if token.kind != "punct":
            continue
        if token.text in OPEN:
            stack.append(at)
        elif token.text in CLOSE:
            if not stack:
                raise ValueError(f"{path}:{token.line}: a bracket too many")
            pairs[stack.pop()] = at
    if stack:
        raise ValueError(f"{path}:{tokens[stack[-1]].line}: a bracket without an end")
    return pairs


def is_for_tests(body):
    """Whether an attribute makes its item one for tests: `cfg(test)`, `cfg(all(test, …))`, `test`, `tokio::test`."""
    if body[0] == "cfg":
        return needs_test(body[2:-1])
    return body[0] == "test" or (len(body) >= 3 and body[1] == "::" and body[2] == "test")


def needs_test(words):
    if words == ["test"]:
        return True
    if not words or words[0] not in ("all", "any") or words[1] != "(":
        return False
    parts, depth = [[]], 0
    for word in words[2:-1]:
        depth += (word == "(") - (word == ")")
        if word == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(word)
    answers = [needs_test(part) for part in parts if part]
    return any(answers) if words[0] == "all" else all(answers)


def named_as_test(path):
    """Tests live in files and folders with such names; what helps them is in `testing.rs`."""
    return (
        path.name in ("tests.rs", "testing.rs")
        or path.name.endswith("_tests.rs")
        or any(part == "tests" or part.endswith("_tests") for part in path.parent.parts)
    )


class Module:
    """A module of the tree of one root (a library or a binary)."""

    def __init__(self, path, file, raw, parent):
        self.path, self.file, self.raw, self.parent = path, file, raw, parent
        self.children = {}
        # A module within a file belongs to that file. In the root file each stands for a room of its own.
        is_file = parent is None or file is not parent.file
        self.node = path if is_file or parent.parent is None else parent.node


class Crate:
    """The files of one crate and its modules."""

    def __init__(self, root, folder):
        self.folder, self.source = folder, root / folder / "src"
        self.files = {}  # path from the root of the repository -> SourceFile
        self.root = root
        for path in sorted(self.source.rglob("*.rs")):
            self.files[path.relative_to(root)] = SourceFile(path)
        self.modules, self.reached = [], {}
        for file in self.roots():
            self.walk(Module((), file, file.top, None), file.path.parent, None)
        self.tests = {
            path
            for path, file in self.files.items()
            if named_as_test(path.relative_to(folder)) or self.reached.get(file) is False
        }

    def roots(self):
        for path, file in self.files.items():
            inside = path.relative_to(Path(self.folder) / "src")
            is_binary = inside.parts[0] == "bin" and (len(inside.parts) == 2 or inside.parts[2:] == ("main.rs",))
            if is_binary or inside.parts in (("lib.rs",), ("main.rs",)):
                yield file

    def walk(self, module, folder, inherited):
        """Follows `mod` from here on. `folder` is where the children's files are."""
        test = bool(inherited)
        self.reached[module.file] = self.reached.get(module.file, False) or not test
        if not test:
            self.modules.append(module)
        for name, inline, attribute, for_tests in module.raw.children:
            below = test or for_tests
            if inline is not None:
                child = Module(module.path + (name,), module.file, inline, module)
                if not below:
                    module.children[name] = child
                self.walk(child, folder / name, below)
                continue
            base = folder if module.parent is None or module.raw is not module.file.top else module.file.path.parent
            found = [base / attribute] if attribute else [folder / f"{name}.rs", folder / name / "mod.rs"]
            for path in found:
                file = self.files.get(normal(path, self.root))
                if file is None:
                    continue
                child = Module(module.path + (name,), file, file.top, module)
                if not below and not named_as_test(normal(path, self.root).relative_to(self.folder)):
                    module.children[name] = child
                else:
                    below = True
                owns_folder = attribute or path.name == "mod.rs"
                self.walk(child, path.parent if owns_folder else path.parent / name, below)

    def product(self):
        return {path: file for path, file in self.files.items() if path not in self.tests}

    def edges(self):
        """(module, module) -> what refers: {(file, line, path as written)}. Modules are those with a file of their own."""
        edges = {}
        for module in self.modules:
            for path, line in module.raw.paths:
                found = resolve(module, path)
                if found is None or found[0].node == module.node:
                    continue
                where = (str(module.file.path.relative_to(self.root)), line, "::".join(path))
                edges.setdefault((module.node, found[0].node), set()).add(where)
        return edges

    def impls(self):
        """(module, type) -> lines of all its `impl` blocks."""
        sums, seen = {}, set()
        for module in self.modules:
            for path, lines, line in module.raw.impls:
                if (module.file, line) in seen:
                    continue
                seen.add((module.file, line))
                found = resolve(module, path)
                key = (found[0].node if found else None, path[-1])
                sums[key] = sums.get(key, 0) + lines
        return sums


def normal(path, root):
    """`a/../b` as `b`, from the root of the repository."""
    parts = []
    for part in path.relative_to(root).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)


def resolve(module, path, seen=frozenset()):
    """The module that a path names, and the item in it if it names one; None outside of the crate.

    Follows `use` wherever it leads, so that what a module hands on counts as its owner's.
    """
    first, rest = path[0], path[1:]
    if first == "crate":
        while module.parent is not None:
            module = module.parent
    elif first == "super":
        if module.parent is None:
            return None
        module = module.parent
        while rest and rest[0] == "super" and module.parent is not None:
            module, rest = module.parent, rest[1:]
    elif first != "self":
        found = look_up(module, first, seen)
        if found is None or found[1] is not None:
            return found
        module = found[0]
    for name in rest:
        found = look_up(module, name, seen)
        if found is None:
            # Something that a macro defines, perhaps: the longest prefix that is a module counts.
            return None if name in module.raw.imports else (module, name)
        if found[1] is not None:
            return found
        module = found[0]
    return module, None


def look_up(module, name, seen):
    """What a name means within a module."""
    if (id(module), name) in seen:
        return None
    seen = seen | {(id(module), name)}
    if name in module.children:
        return module.children[name], None
    if name in module.raw.items:
        return module, name
    if name in module.raw.imports:
        return resolve(module, module.raw.imports[name], seen)
    for glob in module.raw.globs:
        found = resolve(module, glob, seen)
        if found is not None and found[1] is None and found[0] is not module:
            inside = look_up(found[0], name, seen)
            if inside is not None:
                return inside
    return None
