r"""A node's name in its three forms: TeX for formulas, Unicode for pictures, an identifier for code.

`W^{[0]}` is written `W⁽⁰⁾` in a picture and `W0` in Python. Only names of a strict pattern are accepted, so
that no name can become code or markup further down.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_uppercase

from graphgrad.graph.errors import NamingError

GREEK = dict(
    zip(
        (
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
            "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell"
        ).split(),
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩℓ",
        strict=True,
    )
)
_GREEK_LETTER = {letter: word for word, letter in GREEK.items()}
_ACCENTS = {"vec": "\u20d7", "hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307"}
_FONTS = ("mathbf", "mathrm", "mathit", "boldsymbol", "mathcal")

_SUPERSCRIPT = str.maketrans(
    "0123456789+-=()[]abcdefghijklmnoprstuvwxyzT'*",
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ′*",
)
_SUBSCRIPT = str.maketrans("0123456789+-=()[]aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_SUBSCRIPT_DIGITS = "₀₁₂₃₄₅₆₇₈₉"

LONGEST = 64

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SCRIPT = r"(?:[A-Za-z0-9]|\{(?:\\mathrm\{[A-Za-z0-9 ]{1,24}\}|[A-Za-z0-9\[\]()+\-=,*' ]{1,24})\})"
_GREEK_TEX = "|".join(sorted(GREEK, key=len, reverse=True))
_ATOM = rf"(?:[A-Za-z][A-Za-z0-9]*|\\(?:{_GREEK_TEX}))"
_TEX = re.compile(
    rf"(?:\\(?P<mark>{'|'.join((*_ACCENTS, *_FONTS))})\{{(?P<marked>{_ATOM})\}}|(?P<plain>{_ATOM}))"
    rf"(?P<scripts>(?:_{_SCRIPT}(?:\^{_SCRIPT})?|\^{_SCRIPT}(?:_{_SCRIPT})?)?)"
)


@dataclass(frozen=True, slots=True)
class Name:
    r"""A name in three forms.

    >>> name("W^{[0]}")
    Name(tex='W^{[0]}', text='W⁽⁰⁾', ident='W0')
    """

    tex: str
    text: str
    ident: str

    def __str__(self) -> str:
        return self.tex


def script(mark: str, content: str) -> str:
    """A superscript or subscript as Unicode, spelled out where Unicode has no such letter."""
    table = _SUPERSCRIPT if mark == "^" else _SUBSCRIPT
    if all(ord(c) in table for c in content):
        return content.translate(table)
    return f"{mark}{content}"


def _plain(atom: str) -> tuple[str, str]:
    """An atom of a TeX name as (Unicode, identifier): `\\alpha` is (`α`, `alpha`)."""
    word = atom.removeprefix("\\")
    return (GREEK[word], word) if atom.startswith("\\") else (word, word)


def _safe(identifier: str) -> str:
    return identifier + "_" if keyword.iskeyword(identifier) else identifier


def _from_identifier(identifier: str, parameter: bool) -> Name:
    """The lecture's typography for a plain identifier: `W0` is W^{[0]} as a parameter, x_{1} elsewhere."""
    head, _, tail = identifier.partition("_")
    digits = re.fullmatch(r"([A-Za-z]+?)([0-9]+)", head)
    stem, number = digits.groups() if digits else (head, "")
    if stem in GREEK:
        tex, text = f"\\{stem}", GREEK[stem]
    elif len(stem) == 1:
        tex, text = stem, stem
    else:
        tex, text = rf"\mathrm{{{stem}}}", stem
    if number:
        layer = parameter and len(stem) == 1
        tex += f"^{{[{number}]}}" if layer else f"_{{{number}}}"
        text += script("^", f"[{number}]") if layer else script("_", number)
    if tail.strip("_"):
        tail = tail.replace("_", " ").strip()
        subscript = tail if len(tail) == 1 or tail.isdigit() else rf"\mathrm{{{tail}}}"
        if number and not (parameter and len(stem) == 1):
            tex = tex.replace(f"_{{{number}}}", rf"_{{{number},{subscript}}}")
        else:
            tex += f"_{{{subscript}}}"
        text += script("_", tail) if text[-1] not in _SUBSCRIPT_DIGITS else "," + script("_", tail).removeprefix("_")
    return Name(tex, text, _safe(identifier))


def _from_tex(match: re.Match[str]) -> Name:
    mark, atom = match["mark"], match["marked"] or match["plain"]
    text, identifier = _plain(atom)
    if mark in _ACCENTS:
        text += _ACCENTS[mark]
        if mark != "vec":
            identifier += f"_{mark}"
    for sign, braced, bare in re.findall(r"([_^])(?:\{((?:\\mathrm\{[^}]*\}|[^}])*)\}|(.))", match["scripts"]):
        content = re.sub(r"\\mathrm\{([^}]*)\}", r"\1", braced or bare)
        text += script(sign, content)
        letters = re.sub(r"[^A-Za-z0-9]+", "_", content).strip("_")
        identifier += f"_{letters}" if sign == "_" else letters
    return Name(match[0], text, _safe(identifier))


def name(written: str, *, parameter: bool = False) -> Name:
    r"""Read a name as the user wrote it: an identifier (`W0`), a Greek letter (`α`) or TeX (`W^{[0]}`, `\hat{y}`).

    Raises NamingError for anything else: quotes, spaces, newlines, dunders, longer than 64 characters.

    >>> name("W0", parameter=True).tex, name("x1").tex, name("alpha").text
    ('W^{[0]}', 'x_{1}', 'α')
    >>> name(r"\hat{y}").ident
    'y_hat'
    """
    if isinstance(written, str) and (label := _read(written, parameter)) is not None:
        return label
    shown = repr(written)
    raise NamingError(
        f"{shown if len(shown) <= 42 else shown[:41] + '...'} cannot name a node: a name is a letter or word such as "
        f"A, W0 or loss, a Greek letter, or TeX with one subscript and superscript such as W^{{[0]}}, of at most "
        f"{LONGEST} characters"
    )


@lru_cache(maxsize=32768)
def _read(written: str, parameter: bool) -> Name | None:
    written = _GREEK_LETTER.get(written, written)
    if len(written) > LONGEST or "__" in written:
        return None
    if _IDENTIFIER.fullmatch(written):
        return _from_identifier(written, parameter)
    match = _TEX.fullmatch(written)
    return _from_tex(match) if match else None


def letter(position: int) -> Name:
    """The name of an unnamed step by its place among them: A, B, ..., Z, A_1, A_2, ...

    >>> letter(0).tex, letter(26).tex
    ('A', 'A_{1}')
    """
    return name(ascii_uppercase[position] if position < 26 else f"A_{position - 25}")


def gradient_name(of: Name, wrt: Name) -> Name:
    r"""The name of a gradient node, derived from what it is the gradient of: ∂l/∂W⁽⁰⁾."""
    return Name(
        rf"\frac{{\partial {of.tex}}}{{\partial {wrt.tex}}}",
        f"∂{_group(of.text)}/∂{wrt.text}",
        f"d{of.ident}_d{wrt.ident}",
    )


def _group(text: str) -> str:
    return f"({text})" if "/" in text else text
