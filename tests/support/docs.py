"""Reads the repository's documents: their links, blocks and commands."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import dropwhile, pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from support.cluster import ROOT

_ELSEWHERE = {"node_modules", "build", "dist", "models"}
"""Folders that are not the repository's own; hidden ones are not either."""
_STARTS = {
    "sh": "",
    "console": r"\$ ",
    "": r"(\w+=\S* )*(make|kubectl|python3?|docker|curl|export) ",
}
"""How a command begins in a block, by its language."""
_ASSIGNMENT = re.compile(r"\w+=")
_SEPARATORS = frozenset({"|", "||", "&", "&&", ";", "(", ")"})


@dataclass(frozen=True)
class Block:
    """A block of code, or a piece of code within a line."""

    document: Path
    line: int
    language: str
    text: str
    heading: str = ""
    """The heading of the second level that the block is under."""

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
        bare = (list(dropwhile(_ASSIGNMENT.match, part)) for part in parts)
        return [part for part in bare if part]


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(p[0] == "." or p in _ELSEWHERE for p in path.relative_to(ROOT).parts)
    )


@cache
def _tokens(document: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(document.read_text())


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 0


def blocks(document: Path) -> list[Block]:
    """The blocks of code of a document; an indented one has no language."""
    found = []
    heading = opened = ""
    for token in _tokens(document):
        if token.type in ("fence", "code_block"):
            found.append(Block(document, _line(token), token.info, token.content, heading))
        elif token.type == "inline" and opened == "h2":
            heading = token.content
        opened = token.tag if token.type == "heading_open" else ""
    return found


def _spans(document: Path) -> Iterator[tuple[int, Token]]:
    """The parts of the document's text, each with its line."""
    for token in _tokens(document):
        line = _line(token)
        for part in token.children or ():
            yield line, part
            line += part.type in ("softbreak", "hardbreak")


def inline(document: Path) -> list[Block]:
    """The code within the lines of a document."""
    return [
        Block(document, line, "", part.content)
        for line, part in _spans(document)
        if part.type == "code_inline"
    ]


def links(document: Path) -> Iterator[tuple[int, str]]:
    """Line and target of every link and picture, without those to web sites."""
    for line, part in _spans(document):
        in_html = re.findall(r"(?:src|href)=\"([^\"]+)\"", part.content)
        in_markdown = [str(part.attrs[name]) for name in ("href", "src") if name in part.attrs]
        for target in in_html if part.type == "html_inline" else in_markdown:
            if not re.match(r"(https?|mailto):", target):
                yield line, unquote(target)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    result = set()
    for before, token in pairwise(_tokens(document)):
        if before.type == "heading_open":
            text = "".join(part.content for part in token.children or ()).lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            result.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return result


def commands(document: Path) -> list[Command]:
    """The command lines of shell blocks, and of blocks that do not say what they hold."""
    return [Command(block, line) for block in blocks(document) for line in _lines(block)]


def _lines(block: Block) -> Iterator[str]:
    """The lines of a block that are commands, without their comments."""
    for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
        bare = re.sub(r"(^|\s)#.*$", "", line.removeprefix("$ ")).strip()
        if bare and block.language in _STARTS and re.match(_STARTS[block.language], line):
            yield bare
