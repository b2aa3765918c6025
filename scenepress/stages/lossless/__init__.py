"""Lossless stage: every bit of every attribute of up to 65,536 splats, in their order.

Columns of float32 bits become tokens, coded by rANS with contexts from columns coded before, and raw bits.
The bitstream is docs/spec/lossless.md; words.py holds its maps, model.py its header, choose.py what the
encoder decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import require
from scenepress.errors import BitstreamError
from scenepress.kernels import lossless as kernels
from scenepress.stages import entropy
from scenepress.stages.lossless import choose
from scenepress.stages.lossless import words as maps
from scenepress.stages.lossless.model import Alphabet, Group, View, read_group, write_group
from scenepress.stages.lossless.words import QUAT, Map, Words
from scenepress.varint import read_varint, write_varint

STAGE_ID = 0x1F
"""Names this stage in a chunk. Never reused: a changed code gets a new id."""
MAX_COUNT = 1 << 16
"""Splats per chunk."""
PLAIN = 14
"""Columns before the SH: x y z, w x y z, three scales, opacity, r g b."""
SH_COUNTS = (0, 3, 8, 15)

COMPLETED = 0x01
"""Flag: rotations are stored as selector, three components, residual."""

CONTEXTS = 32
ENERGY_TOP = 28

Tokens = NDArray[np.uint8]


def encode(bits: NDArray[np.uint32]) -> bytes:
    """Encode the columns of a tile.

    Args:
        bits: uint32 [C, N], the float32 bits of each column: 14 and 3 per SH coefficient, colour fastest.
            1 <= N <= 65,536; C is 14, 23, 38 or 59.

    Returns:
        The payload of a chunk whose count is N.

    Raises:
        ValueError: wrong dtype or shape.
    """
    require("bits", bits, "uint32", (None, None))
    coefficients, rest = divmod(len(bits) - PLAIN, 3)
    count = bits.shape[1]
    if rest or coefficients not in SH_COUNTS or not 1 <= count <= MAX_COUNT:
        raise ValueError(f"bits must be [14 + 3 K, N], N in 1..{MAX_COUNT}, got {list(bits.shape)}")
    columns = [np.ascontiguousarray(column) for column in bits]
    split = maps.split_rotations(columns[QUAT])
    completed = choose.completes_rotations(split)
    if completed:
        columns[QUAT] = split
    writer = _Writer(columns, _groups(coefficients, completed), completed)
    return bytes([COMPLETED if completed else 0, coefficients]) + writer.payload()


def decode(payload: bytes | memoryview, count: int) -> NDArray[np.uint32]:
    """Decode a tile. Safe on untrusted bytes.

    Args:
        payload: of the chunk.
        count: elements that the chunk's index entry claims.

    Returns:
        uint32 [C, count] as given to encode().

    Raises:
        BitstreamError: the payload breaks a rule of docs/spec/lossless.md.
    """
    data = bytes(payload)
    if not 1 <= count <= MAX_COUNT:
        raise BitstreamError(f"lossless: {count} splats in a chunk; 1 to {MAX_COUNT} are allowed")
    if len(data) < 2 or data[0] & ~COMPLETED or data[1] not in SH_COUNTS:
        raise BitstreamError(f"lossless: payload starts with {data[:2].hex(' ') or 'nothing'}")
    completed = bool(data[0] & COMPLETED)
    layout = _groups(data[1], completed)
    groups, at = [], 2
    for numbers in layout:
        group, at = read_group(data, at, numbers, len(layout), count)
        groups.append(group)
    columns = _Reader(data, at, groups, layout).columns(count)
    if completed:
        rotation = columns[QUAT.start : QUAT.stop + 1]
        if (rotation[0] > 7).any():
            raise BitstreamError(f"lossless: rotation selector {rotation[0].max()} exceeds 7")
        columns[QUAT.start : QUAT.stop + 1] = maps.join_rotations(rotation)
    return np.stack(columns)


def _groups(coefficients: int, completed: bool) -> list[list[int]]:
    """Column numbers of each group: one each up to the SH, then all of red, of green, of blue."""
    plain = PLAIN + completed
    singles = [[k] for k in range(plain)]
    if not coefficients:
        return singles
    return singles + [[plain + 3 * k + colour for k in range(coefficients)] for colour in range(3)]


class _Writer:
    """Chooses and codes; one use."""

    def __init__(self, columns: list[Words], layout: list[list[int]], completed: bool) -> None:
        self.layout, self.completed = layout, completed
        self.count = len(columns[0])
        integers = {QUAT.start, QUAT.start + 4} if completed else set()
        self.mapped = [
            choose.map_columns([columns[k] for k in numbers], numbers[0] not in integers)
            for numbers in layout
        ]
        self.tokens: dict[int, Tokens] = {}
        self.words: dict[int, Words] = {}
        self.alphabets = []
        for numbers, mapped in zip(layout, self.mapped, strict=True):
            alphabet = choose.choose_alphabet(np.concatenate(mapped.columns))
            self.alphabets.append(alphabet)
            for number, words in zip(numbers, mapped.columns, strict=True):
                self.words[number] = words
                self.tokens[number] = choose.assign(words, alphabet)
        self.planes: dict[int, entropy.Plane] = {}
        self.bucket_views: dict[int, list[View]] = {}
        self.raw: list[tuple[Words, NDArray[np.uint8]]] = []

    def payload(self) -> bytes:
        """Everything after the first two bytes."""
        groups = [self._group(g) for g in range(len(self.layout))]
        tables = [self._dictionary_plane(g, group) for g, group in enumerate(groups)]
        for number in sorted(self.tokens):
            alphabet = self.alphabets[self._group_of(number)]
            self._add_raw(self.tokens[number], self.words[number], alphabet)
        planes = [plane for plane in tables if plane] + [self.planes[k] for k in sorted(self.planes)]
        coded = entropy.encode_planes(planes)
        raw_values = np.concatenate([values for values, _ in self.raw])
        raw_lengths = np.concatenate([lengths for _, lengths in self.raw])
        raw = kernels.select().pack_bits(raw_values, raw_lengths).tobytes()
        header = b"".join(map(write_group, groups))
        return header + write_varint(len(coded)) + coded + raw

    def _group_of(self, number: int) -> int:
        plain = PLAIN + self.completed
        return number if number < plain else plain + (number - plain) % 3

    def _add_raw(self, tokens: Tokens, words: Words, alphabet: Alphabet) -> None:
        self.raw.append((words - alphabet.bases[tokens], alphabet.lengths[tokens]))

    def _group(self, g: int) -> Group:
        numbers, mapped, alphabet = self.layout[g], self.mapped[g], self.alphabets[g]
        views, references = self._views(g)
        sums = [_sum_views(views, refs, self.tokens, self.count) for refs in references]
        squash = None
        if len(views) > 1:
            squash = choose.squash_lut(np.concatenate(sums), CONTEXTS)
            sums = [squash[s] for s in sums]
        contexts = 1 + max(int(s.max()) for s in sums)
        counts = sum(
            entropy.histogram(self.tokens[k], s, contexts) for k, s in zip(numbers, sums, strict=True)
        )
        tables = entropy.fit(np.asarray(counts))
        for number, s in zip(numbers, sums, strict=True):
            self.planes[number] = entropy.Plane(self.tokens[number], s, tables)
        dictionary = mapped.dictionary
        return Group(
            mapped.map, mapped.differences, mapped.shift,
            None if dictionary is None else _dictionary_group(dictionary)[0],
            0 if dictionary is None else len(dictionary),
            alphabet, tuple(views), squash, tuple(map(tuple, references)), tables,
        )  # fmt: skip

    def _dictionary_plane(self, g: int, group: Group) -> entropy.Plane | None:
        dictionary = self.mapped[g].dictionary
        if dictionary is None or group.dictionary is None:
            return None
        _, tokens, words = _dictionary_group(dictionary)
        self._add_raw(tokens, words, group.dictionary.alphabet)
        return entropy.Plane(tokens, np.zeros(len(tokens), np.uint8), group.dictionary.tables)

    def _views(self, g: int) -> tuple[list[View], list[list[tuple[int, int]]]]:
        """Where the contexts of a group come from."""
        numbers, plain = self.layout[g], PLAIN + self.completed
        none: list[list[tuple[int, int]]] = [[] for _ in numbers]
        if g < plain:
            column = self._best_reference(g)
            return ([], none) if column is None else (self._bucket_view(column), [[(0, column)]])
        colour = g - plain
        if colour:
            view = self._bucket_view(g - 1)
            return view, [[(0, number - 1)] for number in numbers] if view else none
        top = ENERGY_TOP
        if self.count * len(numbers) < 4096 or len(numbers) == 1:
            return [], none
        views = [
            View(plain + c, choose.magnitude_lut(self.alphabets[plain + c], self.mapped[plain + c], top))
            for c in range(3)
        ]
        return views, [_energy_references(number, plain) for number in numbers]

    def _best_reference(self, g: int) -> int | None:
        """The earlier column that says most about column g, or None if contexts cost more than they save."""
        tokens = self.tokens[g]
        alone = entropy.histogram(tokens, np.zeros(self.count, np.uint8), 1)
        costs: dict[int | None, float] = {None: choose.table_cost(alone)}
        for column in range(g):
            for view in self._bucket_view(column):
                contexts = view.lut[self.tokens[column]]
                costs[column] = choose.table_cost(entropy.histogram(tokens, contexts, CONTEXTS))
        return min(costs, key=lambda column: costs[column])

    def _bucket_view(self, g: int) -> list[View]:
        """A view of group g that tells its tokens apart as far as there are enough of them; else none."""
        if g not in self.bucket_views:
            tokens = np.concatenate([self.tokens[k] for k in self.layout[g]])
            buckets = min(CONTEXTS, len(tokens) // 512)
            counts = np.bincount(tokens, minlength=256)
            lut = choose.bucket_lut(self.alphabets[g], counts, max(buckets, 1))
            self.bucket_views[g] = [View(g, lut)] if buckets > 1 else []
        return self.bucket_views[g]


class _Reader:
    """Decodes the columns that groups describe; one use."""

    def __init__(self, data: bytes, at: int, groups: list[Group], layout: list[list[int]]) -> None:
        length, at = read_varint(data, at)
        if length > len(data) - at:
            raise BitstreamError(f"lossless: {length} coded bytes, but {len(data) - at} are left")
        self.decoder = entropy.PlaneDecoder(data[at : at + length])
        self.raw = np.frombuffer(data, np.uint8, offset=at + length)
        self.bit = 0
        self.groups, self.layout = groups, layout
        self.tokens: dict[int, Tokens] = {}

    def columns(self, count: int) -> list[Words]:
        """Float bits of every column, in order."""
        dictionaries = [self._dictionary(group) for group in self.groups]
        places = sorted((k, g, i) for g, ks in enumerate(self.layout) for i, k in enumerate(ks))
        columns = []
        for number, g, i in places:
            group = self.groups[g]
            sums = _sum_views(group.views, group.references[i], self.tokens, count)
            if group.squash is not None:
                sums = group.squash[sums]
            tokens, words = self._words(group, sums)
            self.tokens[number] = tokens
            columns.append(_from_words(words, group, dictionaries[g]))
        self.decoder.finish()
        if 8 * len(self.raw) - self.bit >= 8 or (len(self.raw) and self.raw[-1] >> (self.bit - 1) % 8 + 1):
            raise BitstreamError(f"lossless: {8 * len(self.raw)} raw bits for a need of {self.bit}")
        return columns

    def _words(self, group: Group, contexts: Tokens) -> tuple[Tokens, Words]:
        """The next column."""
        if contexts.max() >= len(group.tables.context_map):
            raise BitstreamError(f"lossless: context {contexts.max()} of {len(group.tables.context_map)}")
        tokens = self.decoder.plane(group.tables, contexts)
        if tokens.max() >= len(group.alphabet):
            raise BitstreamError(f"lossless: token {tokens.max()} of {len(group.alphabet)}")
        bases, lengths = np.zeros(256, np.uint32), np.zeros(256, np.uint8)
        bases[: len(group.alphabet)] = group.alphabet.bases
        lengths[: len(group.alphabet)] = group.alphabet.lengths
        try:
            words, self.bit = kernels.select().expand(tokens, bases, lengths, self.raw, self.bit)
        except ValueError as error:
            raise BitstreamError(f"lossless: {error}") from None
        return tokens, words

    def _dictionary(self, group: Group) -> Words | None:
        if group.dictionary is None:
            return None
        contexts = np.zeros(group.dictionary_size, np.uint8)
        return _from_words(self._words(group.dictionary, contexts)[1], group.dictionary, None)


def _dictionary_group(dictionary: Words) -> tuple[Group, Tokens, Words]:
    """How a dictionary is coded: differences of its increasing entries."""
    words = maps.to_differences(dictionary)
    alphabet = choose.choose_alphabet(words)
    tokens = choose.assign(words, alphabet)
    tables = entropy.fit(entropy.histogram(tokens, np.zeros(len(tokens), np.uint8), 1))
    return Group(Map.BITS, True, 0, None, 0, alphabet, (), None, ((),), tables), tokens, words


def _energy_references(number: int, plain: int) -> list[tuple[int, int]]:
    """Nine references to the three coefficients before, all colours; nearer ones repeated near the start."""
    coefficient = (number - plain) // 3
    if coefficient == 0:
        return []
    back = {1: (1, 1, 1), 2: (1, 1, 2)}.get(coefficient, (1, 2, 3))
    return [(colour, number + colour - 3 * steps) for steps in back for colour in range(3)]


def _sum_views(
    views: tuple[View, ...] | list[View],
    references: tuple[tuple[int, int], ...] | list[tuple[int, int]],
    tokens: dict[int, Tokens],
    count: int,
) -> Tokens:
    """uint8 [count]: what the views add up to, modulo 256."""
    total = np.zeros(count, np.uint8)
    for view, column in references:
        total += views[view].lut[tokens[column]]
    return total


def _from_words(words: Words, group: Group, dictionary: Words | None) -> Words:
    """Float bits of a column's words."""
    if group.differences:
        words = maps.from_differences(words)
    if dictionary is not None:
        if words.max() >= len(dictionary):
            raise BitstreamError(f"lossless: entry {words.max()} of a dictionary of {len(dictionary)}")
        words = dictionary[words]
    if group.map == Map.LATTICE:
        return maps.from_lattice(words, group.shift)
    return words if group.map == Map.BITS else maps.from_ordered(words)

