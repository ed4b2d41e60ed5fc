"""Puts the tool calls of one answer together from the pieces in which servers send them.

The work is linear: pieces are joined once, at the end, and the call that a piece belongs to is
looked up by its number and its id. Only where both leave it open is the text looked at.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agents.runtime.errors import ProviderProtocol
from agents.runtime.events import ToolCall
from agents.runtime.providers.base import MOST_TOOL_CALLS
from agents.runtime.providers.characters import clean, whole_characters

# Of names, ids, arguments and what comes with all calls of an answer, such as signatures.
MAX_CALL_CHARACTERS = 1024 * 1024
# Longer arguments are not parsed: what comes next is appended to them.
MAX_SCANNED = 32 * 1024
_CALL_FIELDS = frozenset({"index", "id", "type", "function"})
_FUNCTION_FIELDS = frozenset({"name", "arguments"})
_BRACKETS_AND_QUOTES = re.compile(r'\\.?|[{}\[\]"]', re.DOTALL)


@dataclass(slots=True)
class _Piece:
    index: int | None
    id: str
    name: str
    arguments: str
    extra: dict[str, Any]

    @property
    def begins_object(self) -> bool:
        return self.arguments.lstrip().startswith("{")


@dataclass(slots=True)
class _Call:
    """A call as far as it is known."""

    id: str = ""
    ids: set[str] = field(default_factory=set)
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    has_arguments: bool = False
    # It may be only the repeated name of the call before it.
    is_doubtful: bool = False
    _scanned: int = 0
    _depth: int = 0
    _in_string: bool = False
    _is_escaped: bool = False

    def take(self, piece: _Piece) -> None:
        if piece.id:
            self.id = self.id or piece.id
            self.ids.add(piece.id)
        if piece.arguments:
            self.pieces.append(piece.arguments)
            self.size += len(piece.arguments)
            self.has_arguments = self.has_arguments or not piece.arguments.isspace()
            self.is_doubtful = self.is_doubtful and not self.has_arguments
        if piece.extra:
            self.extra = _merged(self.extra, piece.extra)

    @property
    def arguments(self) -> str:
        pieces = self.pieces
        # Some gateways begin with an empty object before the arguments come.
        if len(pieces) > 1 and pieces[0].strip() == "{}" and "".join(pieces[1:]).strip():
            pieces = pieces[1:]
        return whole_characters("".join(pieces))

    def is_complete(self) -> bool:
        """Whether the arguments are a whole object; every piece is looked at once."""
        if self.size > MAX_SCANNED:
            return False
        for piece in self.pieces[self._scanned :]:
            self._scan(piece)
        self._scanned = len(self.pieces)
        return self.has_arguments and self._depth <= 0 and not self._in_string

    def may_end_before(self, piece: _Piece) -> bool:
        """Whether a piece begins an object that is not within a text of these arguments."""
        return piece.begins_object and not self._in_string

    def _scan(self, text: str) -> None:
        begin, self._is_escaped = int(self._is_escaped), False
        for sign in _BRACKETS_AND_QUOTES.finditer(text, begin):
            match sign[0]:
                case '"':
                    self._in_string = not self._in_string
                case "\\":
                    self._is_escaped = True
                case "{" | "[" if not self._in_string:
                    self._depth += 1
                case "}" | "]" if not self._in_string:
                    self._depth -= 1


class ToolCallAssembly:
    """Takes the pieces of parallel calls in any order; `names` are those of the tools."""

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = frozenset(names)
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, part: object, *, is_whole: bool = False) -> None:
        """Take one piece, or a call that came whole; raises ProviderProtocol beyond the limits."""
        piece = _read(part)
        if piece is None:
            return
        self._count(piece)
        call = None if is_whole else self._continued(piece)
        if call is None:
            call = self._begin(piece, is_whole=is_whole)
        call.take(piece)
        if piece.index is not None and not is_whole:
            self._by_index[piece.index] = call
        if piece.id:
            self._by_id[piece.id] = call

    def calls(self) -> list[ToolCall]:
        """The whole calls; an id is made up where the server gave none."""
        return [
            ToolCall(
                whole_characters(call.id) or f"call_{place}",
                whole_characters(call.name),
                call.arguments or "{}",
                call.extra,
            )
            for place, call in enumerate(self._calls)
            if not call.is_doubtful
        ]

    def _count(self, piece: _Piece) -> None:
        self._size += len(piece.id) + len(piece.name) + len(piece.arguments)
        if piece.extra:
            self._size += len(msgspec.json.encode(piece.extra))
        if self._size > MAX_CALL_CHARACTERS:
            raise ProviderProtocol("the tool calls of the answer have no end")

    def _begin(self, piece: _Piece, *, is_whole: bool) -> _Call:
        if len(self._calls) >= MOST_TOOL_CALLS:
            raise ProviderProtocol(f"more than {MOST_TOOL_CALLS} tool calls in one answer")
        call = _Call(name=piece.name)
        if self._calls and not (is_whole or piece.id or piece.extra):
            call.is_doubtful = self._calls[-1].name == piece.name
        self._calls.append(call)
        return call

    def _continued(self, piece: _Piece) -> _Call | None:
        """The call that this piece continues; None when it begins one."""
        call = self._candidate(piece)
        if call is None or (piece.name and self._begins_by_name(call, piece)):
            return None
        if not piece.name and _is_next_object(call, piece):
            piece.name = call.name
            return None
        if piece.name and call.name != piece.name:
            call.name += piece.name
        if piece.arguments and _repeats(call, piece):
            piece.arguments = ""
        return call

    def _candidate(self, piece: _Piece) -> _Call | None:
        by_id = self._by_id.get(piece.id) if piece.id else None
        if piece.index is None:
            return by_id or (self._calls[-1] if self._calls else None)
        by_index = self._by_index.get(piece.index)
        if by_index is None:
            if by_id is not None and not piece.name:
                return by_id
            return self._unfinished(piece)
        if not piece.id or piece.id in by_index.ids:
            return by_index
        return by_id or by_index

    def _unfinished(self, piece: _Piece) -> _Call | None:
        """The newest call, where the piece continues it under a number of its own."""
        call = self._calls[-1] if self._calls else None
        if call is None or call.is_complete():
            return None
        if not piece.name:
            return call
        goes_on = call.has_arguments and piece.arguments and not call.may_end_before(piece)
        return call if call.name == piece.name and (piece.id in call.ids or goes_on) else None

    def _begins_by_name(self, call: _Call, piece: _Piece) -> bool:
        if not call.name:
            # Its arguments came before its name.
            return False
        is_same = call.name == piece.name
        has_new_id = bool(piece.id and call.ids) and piece.id not in call.ids
        if not call.has_arguments:
            if is_same:
                return has_new_id and not piece.arguments
            return has_new_id or not self._is_cut_name(call.name, piece.name)
        if not call.is_complete():
            return not is_same or (has_new_id and call.may_end_before(piece))
        return not is_same or has_new_id or _is_another(call, piece)

    def _is_cut_name(self, begin: str, rest: str) -> bool:
        """Whether a tool's name comes in pieces."""
        return begin not in self._names and any(
            name.startswith(begin + rest) for name in self._names
        )


def _is_next_object(call: _Call, piece: _Piece) -> bool:
    """Whether a piece without a name begins another call of the same tool.

    No object is followed by a second one. An empty first object does not count: see `arguments`.
    """
    if not piece.begins_object or piece.id in call.ids or call.size <= len("{}"):
        return False
    return call.is_complete()


def _is_another(call: _Call, piece: _Piece) -> bool:
    """Whether the repeated name of a complete call begins another call of the same tool."""
    if piece.arguments.strip():
        return piece.begins_object and not _repeats(call, piece)
    return piece.id not in call.ids


def _repeats(call: _Call, piece: _Piece) -> bool:
    """Whether the piece repeats a whole call, as some servers do at the end."""
    return (
        piece.id in call.ids
        and len(piece.arguments) == call.size
        and piece.begins_object
        and "".join(call.pieces) == piece.arguments
    )


def _read(part: object) -> _Piece | None:
    """Read a piece, whatever types its fields have; None when it is empty."""
    if not isinstance(part, dict):
        return None
    function = part.get("function")
    # Some servers leave out the object around name and arguments.
    own = function if isinstance(function, dict) else part
    name = own.get("name")
    piece = _Piece(
        _number(part.get("index")),
        _id(part.get("id")),
        name if isinstance(name, str) else "",
        _arguments(own.get("arguments")),
        _extra(part, own),
    )
    return piece if piece.id or piece.name or piece.arguments or piece.extra else None


def _extra(part: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a call beside the known ones: they go back as they came."""
    known = _CALL_FIELDS if own is not part else _CALL_FIELDS | _FUNCTION_FIELDS
    extra: dict[str, Any] = {}
    if not part.keys() <= known:
        extra = {key: value for key, value in part.items() if key not in known}
    if own is not part and not own.keys() <= _FUNCTION_FIELDS:
        more = {key: value for key, value in own.items() if key not in _FUNCTION_FIELDS}
        extra["function"] = {key: value for key, value in more.items() if value is not None}
    extra = {key: value for key, value in extra.items() if value not in (None, {})}
    return clean(extra) if extra else extra


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            value = _merged(before, value)  # noqa: PLW2901 - it is what is kept
        merged[key] = value
    return merged


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:  # noqa: PLR2004
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _id(value: object) -> str:
    """Some servers number their calls where an id belongs."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _arguments(value: object) -> str:
    """The arguments as text; some servers send the object instead of its JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None or value == {} else msgspec.json.encode(clean(value)).decode()
