"""A document as LaTeX for pdflatex, with packages that every installation has; pictures lie beside it as PDF files."""

from __future__ import annotations

import re
import unicodedata

from graphgrad.drawing.documents.document import Block, Code, Document, Figure, Formula, Formulas, Prose, Table

_HEAD = r"""\documentclass[a4paper,11pt]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{amsmath,amssymb,array,graphicx,longtable}
\usepackage[margin=22mm]{geometry}
\setlength{\parindent}{0pt}
\setlength{\parskip}{5pt}
\newsavebox{\formula}
% A formula that is wider than the line is made smaller, and no page is left in the middle of it.
\newcommand{\fitted}[2][\linewidth]{\sbox{\formula}{$\displaystyle #2$}%
  \ifdim\wd\formula>#1 \resizebox{#1}{!}{\usebox{\formula}}\else\usebox{\formula}\fi}
% A formula with a remark: beside it where both have room, else below it.
\newcommand{\remarked}[2]{\sbox{\formula}{$\displaystyle #1$}%
  \ifdim\wd\formula>0.68\linewidth \fitted{#1}\par\hfill{\small #2}\par
  \else\usebox{\formula}\hfill\parbox{0.3\linewidth}{\raggedleft\small #2}\par\fi}
% Rows of a table keep apart, however high their formulas are.
\newcommand{\cell}[2]{\raisebox{0pt}[\dimexpr\height+3pt][\dimexpr\depth+3pt]{\fitted[#1]{#2}}}
"""

_SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": r"$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "‖": r"$\|$",
    "∂": r"$\partial$",
    "∞": r"$\infty$",
    "⊗": r"$\otimes$",
    "★": r"$\star$",
    "⋆": r"$\star$",
    "√": r"$\surd$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≠": r"$\ne$",
    "→": r"$\to$",
    "⊙": r"$\odot$",
    "ᵀ": r"$^{\top}$",
    "’": "'",
    "…": r"\dots{}",
}


def print_tex(document: Document, stem: str) -> str:
    """The whole file; its pictures are `stem-NAME.pdf`."""
    sections = "\n".join(
        f"\\section*{{{_escaped(section.title)}}}\n{''.join(_block(block, stem) for block in section.blocks)}"
        for section in document.sections
    )
    return (
        f"{_HEAD}\\begin{{document}}\n{{\\LARGE\\bfseries {_escaped(document.title)}\\par}}\n"
        f"{sections}\n\\end{{document}}\n"
    )


def _block(block: Block, stem: str) -> str:
    match block:
        case Prose(text):
            return f"{_escaped(text)}\n\n"
        case Formulas(lines):
            return "".join(map(_line, lines))
        case Table(head, rows):
            last = f"{0.92 - 0.14 * (len(head) - 1):.2f}\\linewidth"
            columns = "l" * (len(head) - 1) + f">{{\\raggedright\\arraybackslash}}p{{{last}}}"
            shares = ["0.2\\linewidth"] * (len(head) - 1) + [last]
            titles = " & ".join(f"\\small {_escaped(title)}" for title in head)
            body = "".join(" & ".join(map(_cell, row, shares)) + " \\\\\n" for row in rows)
            return f"\\begin{{longtable}}{{@{{}}{columns}@{{}}}}\n{titles} \\\\ \\hline\n{body}\\end{{longtable}}\n"
        case Figure(name, caption, _, pdf):
            if pdf is None:
                return ""
            return (
                f"\\begin{{center}}\\includegraphics[width=\\linewidth,height=0.8\\textheight,keepaspectratio]"
                f"{{{stem}-{name}.pdf}}\\\\{{\\small {_escaped(caption)}}}\\end{{center}}\n"
            )
        case Code():
            return ""


def _line(line: Formula) -> str:
    """A formula in a line of its own, with its remark at the end of the line."""
    if not line.remark:
        return f"\\fitted{{{line.latex}}}\\par\n"
    return f"\\remarked{{{line.latex}}}{{{_escaped(line.remark)}}}\n"


def _cell(cell: str | Formula, share: str) -> str:
    return f"\\cell{{{share}}}{{{cell.latex}}}" if isinstance(cell, Formula) else f"\\small {_escaped(cell)}"


def _escaped(text: str) -> str:
    """Text for TeX: what has another meaning there is escaped, what its fonts lack is a question mark."""
    return _SCRIPTS.sub(_script, "".join(map(_sign, text)))


_LATIN = frozenset(chr(code) for code in range(0xA1, 0x100))
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
_SCRIPTS = re.compile(f"[{_RAISED}]+|[{_LOWERED}]+")


def _sign(sign: str) -> str:
    if sign in _SIGNS:
        return _SIGNS[sign]
    if sign.isascii() or sign in _LATIN - set(_RAISED) or sign in _RAISED or sign in _LOWERED:
        return sign
    kind, _, letter = unicodedata.name(sign, "").partition(" LETTER ")
    if kind in ("GREEK SMALL", "GREEK CAPITAL") and letter.isalpha() and letter != "OMICRON":
        word = letter.lower().replace("lamda", "lambda")
        same = unicodedata.normalize("NFKD", sign)
        named = "\\" + (word if kind.endswith("SMALL") else word.capitalize())
        return f"${_GREEK.get(same, named)}$"
    return "?"


_GREEK = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
"""The Greek letters that look like Latin ones, which TeX has no names for."""


def _script(run: re.Match[str]) -> str:
    """Raised or lowered signs, set as TeX sets them."""
    mark = "^" if run[0][0] in _RAISED else "_"
    return f"${mark}{{{unicodedata.normalize('NFKD', run[0]).replace('−', '-')}}}$"
