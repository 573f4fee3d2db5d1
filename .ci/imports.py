#!/usr/bin/env python3
"""Finds circles of imports: between the files of a crate, and between crates.

A file imports another if it names something that is defined there, by `use` or in place. What a
module hands on with `pub use` is looked up where it is defined, and handing on is no import. Tests
may import what they like. Dependencies for tests count between crates: a circle through them builds,
but shows that something stands in the wrong place.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATH = re.compile(r"\b(?:crate|self|super)(?:::\w+)+")
USE = re.compile(r"(?:^|[;{}\]])\s*(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);")


def without_comments_and_texts(source):
    source = re.sub(r"pub\s*\(in [^)]*\)", "pub", source)
    pattern = r'//[^\n]*|/\*.*?\*/|r(#*)"(?:.|\n)*?"\1|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\''
    return re.sub(pattern, lambda found: '""' if '"' in found[0] else " ", source, flags=re.S)


def without_tests(source):
    """Drops inline test modules, and names the test modules that have files of their own."""
    apart = set()
    while found := re.search(r"#\[cfg\((?:test|any\(test[^\]]*)\)\][^{;]*?mod\s+(\w+)\s*([{;])", source):
        end = found.end()
        if found[2] == ";":
            apart.add(found[1])
        else:
            depth = 1
            while depth and end < len(source):
                depth += {"{": 1, "}": -1}.get(source[end], 0)
                end += 1
        source = source[: found.start()] + source[end:]
    return source, apart


def flattened(tree, prefix=()):
    """The paths of a use tree, with the name that each is known by."""
    tree = tree.strip()
    if "{" in tree:
        head, rest = tree.split("{", 1)
        prefix += tuple(part for part in head.strip().split("::") if part)
        depth, item = 0, ""
        for letter in rest.rsplit("}", 1)[0] + ",":
            depth += {"{": 1, "}": -1}.get(letter, 0)
            if letter == "," and depth == 0:
                if item.strip():
                    yield from flattened(item, prefix)
                item = ""
            else:
                item += letter
        return
    name = None
    if " as " in tree:
        tree, name = (part.strip() for part in tree.split(" as "))
    path = prefix + tuple(part.strip() for part in tree.split("::") if part.strip())
    if path and path[-1] == "self" and len(path) > 1:
        path = path[:-1]
    if path:
        yield path, name or path[-1]


class Module:
    """One file: its place in the crate, what it declares, hands on and names."""

    def __init__(self, path, file):
        self.path, self.file = path, file
        source, self.test_modules = without_tests(without_comments_and_texts(file.read_text()))
        self.children = set(re.findall(r"\bmod\s+(\w+)\s*;", source))
        self.handed_on, self.uses = {}, []
        for public, tree in USE.findall(source):
            for path, name in flattened(tree):
                if public:
                    self.handed_on.setdefault(name, path)
                self.uses.append((path, bool(public)))
        inline = USE.sub(";", source)
        self.uses += [(tuple(path.split("::")), False) for path in PATH.findall(inline)]


class Crate:
    def __init__(self, root):
        self.modules = {}
        self.read((), root)

    def read(self, path, file):
        module = self.modules[path] = Module(path, file)
        folder = file.parent if file.name in ("lib.rs", "main.rs", "mod.rs") else file.with_suffix("")
        for child in module.children:
            for place in (folder / f"{child}.rs", folder / child / "mod.rs"):
                if place.exists():
                    self.read(path + (child,), place)

    def defined_in(self, here, path, seen=()):
        """The module that defines what a path in module `here` names; none for other crates."""
        head, rest = path[0], list(path[1:])
        if head == "crate":
            at = ()
        elif head == "self":
            at = here
        elif head == "super":
            at = here[:-1]
            while rest and rest[0] == "super":
                at, rest = at[:-1], rest[1:]
        elif here + (head,) in self.modules:
            at, rest = here, list(path)
        else:
            return None
        while rest:
            name = rest[0]
            if at + (name,) in self.modules:
                at, rest = at + (name,), rest[1:]
                continue
            handed = self.modules[at].handed_on
            if name in handed and (at, name) not in seen:
                return self.defined_in(at, handed[name], seen + ((at, name),)) or None
            break
        return at

    def imports(self):
        edges = {}
        for here, module in self.modules.items():
            for path, public in module.uses:
                there = self.defined_in(here, path)
                if there is None or there == here or public and there[: len(here)] == here:
                    continue
                edges.setdefault(str(module.file), set()).add(str(self.modules[there].file))
        return edges


def circles(edges):
    """Strongly connected parts of more than one node (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = []
            while not part or part[-1] != node:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(sorted(part))

    for node in list(edges):
        if node not in index:
            visit(node)
    return found


def main():
    sys.setrecursionlimit(10_000)
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    folders = [folder for member in workspace["members"] for folder in sorted(ROOT.glob(member))]
    manifests = {
        manifest["package"]["name"]: (folder, manifest)
        for folder in folders
        for manifest in [tomllib.loads((folder / "Cargo.toml").read_text())]
    }
    problems, files = [], 0
    between = {}
    for name, (folder, manifest) in manifests.items():
        wanted = set(manifest.get("dependencies", {})) | set(manifest.get("dev-dependencies", {}))
        between[name] = {other for other in wanted if other in manifests and other != name}
        roots = [folder / manifest.get("lib", {}).get("path", "src/lib.rs"), folder / "src/main.rs"]
        for root in roots:
            if root.exists():
                crate = Crate(root)
                files += len(crate.modules)
                edges = crate.imports()
                for circle in circles(edges):
                    ties = [
                        f"  {Path(a).relative_to(ROOT)} -> {Path(b).relative_to(ROOT)}"
                        for a in circle
                        for b in sorted(edges.get(a, ()))
                        if b in circle
                    ]
                    problems.append("\n".join([f"{name}: a circle of {len(circle)} files", *ties]))
    for circle in circles(between):
        problems.append("a circle of crates: " + ", ".join(circle))
    for problem in problems:
        print(problem)
    print(f"{len(manifests)} crates, {files} files, {len(problems)} circles of imports")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
