"""Reads the repository's documents: their links, blocks and commands."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from support.cluster import ROOT

_ELSEWHERE = {"node_modules", "build", "dist", "models"}
"""Folders that are not the repository's own; hidden ones are not either."""
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_STARTS = re.compile(r"(\w+=\S* )*(make|kubectl|python3?|docker|curl|export) ")
"""How a command begins in an indented block, which does not say what it holds."""
_SEPARATORS = frozenset({"|", "||", "&", "&&", ";", "(", ")"})


@dataclass(frozen=True)
class Block:
    """A fenced block, or a piece of code within a line."""

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command line of a document."""

    block: Block
    text: str

    def __str__(self) -> str:
        return f"{self.block}: {self.text}"

    def parts(self) -> list[list[str]]:
        """The words of each program that it starts, without redirections."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        parts: list[list[str]] = [[]]
        target = False
        for word in lexer:
            if target:
                target = False
            elif word in _SEPARATORS:
                parts.append([])
            elif set(word) <= {">", "<", "&"}:
                target = True
            else:
                parts[-1].append(word)
        bare = (_without_assignments(part) for part in parts)
        return [part for part in bare if part]


def _without_assignments(words: list[str]) -> list[str]:
    while words and re.match(r"\w+=", words[0]):
        words = words[1:]
    return words


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    found = (path for path in ROOT.rglob("*.md") if _is_own(path.relative_to(ROOT)))
    return sorted(found)


def _is_own(path: Path) -> bool:
    return not any(part.startswith(".") or part in _ELSEWHERE for part in path.parts[:-1])


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document."""
    text = document.read_text()
    return [
        Block(document, text.count("\n", 0, found.start()) + 1, found[2], textwrap.dedent(found[3]))
        for found in _FENCE.finditer(text)
    ]


def inline(document: Path) -> list[Block]:
    """The code within the lines of a document."""
    text = prose(document.read_text())
    return [
        Block(document, text.count("\n", 0, found.start()) + 1, "", found[1])
        for found in _INLINE.finditer(text)
    ]


def prose(text: str) -> str:
    """A document with its blocks left blank, so that lines keep their numbers."""
    return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)


def commands(document: Path) -> list[Command]:
    """The command lines of all ``sh`` and ``console`` blocks, and of indented ones."""
    found = []
    for block in blocks(document):
        if block.language in ("sh", "bash", "shell", "console"):
            found += [Command(block, line) for line in _lines(block)]
    for block in _indented(document):
        found += [Command(block, line) for line in _lines(block) if _STARTS.match(line)]
    return found


def _indented(document: Path) -> Iterator[Block]:
    """Blocks of lines that begin with four spaces, after an empty line."""
    text = prose(document.read_text())
    for found in re.finditer(r"(?<=\n\n)(?: {4}.*\n)+", text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(document, line, "sh", textwrap.dedent(found[0]))


def _lines(block: Block) -> Iterator[str]:
    text = re.sub(r"\\\n\s*", "", block.text)
    for line in text.splitlines():
        if block.language == "console":
            if not line.startswith("$ "):
                continue
            line = line.removeprefix("$ ")
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        if bare:
            yield bare


def links(document: Path) -> Iterator[tuple[int, str]]:
    """Line and target of every link and picture, without those to web sites."""
    text = prose(document.read_text())
    plain = _INLINE.sub(lambda found: "x" * len(found[0]), text)
    # In the text of a link there may be code, which stays as it is in ``text``.
    for found in re.finditer(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", plain):
        target = found[1] or found[2]
        if not re.match(r"(https?|mailto):", target):
            yield text.count("\n", 0, found.start()) + 1, unquote(target)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    result = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(document.read_text()), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        result.add(f"{slug}-{count}" if count else slug)
    return result
