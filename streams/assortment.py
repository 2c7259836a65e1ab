"""What can be recommended: the items that are listed, what they say, and what the model makes of that."""

from collections.abc import Container, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE, Rows
from models.catalog import Catalog
from models.content import Content, Description
from models.content.description import attributes_of, shared_of
from models.counts import Counts
from models.graph import Relations
from models.interest import hashed
from models.learner import Learner
from models.ranking import Ranker
from models.rooms import of_room, with_rooms
from models.text import HASH_BYTES, Found, text_of
from models.text.projection import TextVectors
from streams.encoding import TextEncoding
from streams.events import ItemListed

_RELATIONS, _WORDS = "relations", "words"  # rooms of a snapshot
TITLE_CHARACTERS = 200  # a list is a message, and a catalogue is held in memory


class Assortment:
    """Takes in what the catalogue lists and removes. Every call belongs to the model's thread."""

    def __init__(
        self, catalog: Catalog, counts: Counts, ranker: Ranker, learner: Learner, is_on: bool
    ) -> None:
        """`is_on`: the model learns from what items say; otherwise they have titles, and that is all."""
        self.content: Content | None = None  # None until something is listed
        self.relations = Relations()
        self._words: TextVectors | None = None  # of texts, for the interest model
        self._catalog = catalog
        self._counts = counts
        self._ranker = ranker
        self._learner = learner
        self._is_on = is_on
        self._texts: TextEncoding | None = None

    def prepare(self) -> None:
        """Load, before events come, what else the first listed item would have them wait for."""
        interest = self._learner.interest
        if self._is_on and interest is not None and interest.settings.graph != "off":
            import models.graph.encoder  # noqa: F401 - seconds, which nobody should spend in the stream

    def read_texts(self, encoding: TextEncoding) -> None:
        """Have texts encoded from now on, and take in which are near to which."""
        self._texts = encoding
        encoding.on_found = self._take_neighbours

    def enlist(self, item: ItemListed, is_candidate: bool = True) -> None:
        """Take in what the catalogue says of an item.

        `is_candidate`: it may be recommended before its first event, too.
        """
        row = self._catalog.admit(item.item_id)
        self._catalog.enlist(row, item.title[:TITLE_CHARACTERS])
        if not self._is_on:
            return
        content, described = self._open(), _described(item)
        content.enlist(row, described, self._counts.has_occurred(row), is_candidate=is_candidate)
        self._relate(row, item.item_id, described)
        if self._texts is not None:
            text = text_of(item.title, item.text, item.categories, item.brand)
            self._let_go(content.put_text(row, self._texts.submit(text)))

    def remove(self, item_id: str) -> None:
        """Recommend an item no longer: the catalogue removed it."""
        row = self._catalog.admit(item_id)
        self._catalog.remove(row)
        if self.content is not None:
            self._let_go(self.content.remove(row))
            self.relations.remove(row)

    def keep_only(self, item_ids: Container[str]) -> int:
        """Remove every listed item that is not among these; return how many those were."""
        listed = [self._catalog.item_id(row) for row in self._catalog.listed]
        gone = [item_id for item_id in listed if item_id is not None and item_id not in item_ids]
        for item_id in gone:
            self.remove(item_id)
        return len(gone)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what is known of the listed; empty if nothing ever was."""
        if self.content is None:
            return {}
        texts = {}
        if self._texts is not None:
            name = np.frombuffer(self._texts.encoder_name.encode(), np.uint8)
            texts = {"text_hashes": self._texts.groups.hashes(), "text_encoder": name}
        rooms = {_RELATIONS: self.relations.snapshot()}
        if self._words is not None:
            rooms[_WORDS] = self._words.snapshot()
        return {**self.content.snapshot(), **texts, **with_rooms(rooms)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; where the model is not to learn from it, forget it."""
        for row in arrays.get("listed", np.zeros(0, np.int64)).tolist():
            self._catalog.enlist(row, None)  # of a checkpoint whose catalogue does not have them itself
        if not (self._is_on and arrays):
            return
        content = self._open()
        content.restore(arrays)
        content.take_occurred(self._counts.tables)  # which was not always kept up
        self.relations.restore(of_room(_RELATIONS, arrays))
        if self._texts is None or not self._resume(self._texts, content, arrays):
            content.forget_texts()  # whose numbers would mean others
        elif self._words is not None and (of_words := of_room(_WORDS, arrays)):
            self._words.restore(of_words)

    def _resume(self, texts: TextEncoding, content: Content, arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Let texts have the groups and the neighbours that they had."""
        hashes = arrays.get("text_hashes", np.zeros((0, HASH_BYTES), np.uint8))
        encoder = arrays.get("text_encoder", np.zeros(0, np.uint8))  # which was not kept at first
        near, nearness = content.tables.near[: len(hashes)], content.tables.nearness[: len(hashes)]
        if not texts.resume(hashes, near, nearness, encoder.tobytes().decode()):
            return False
        self._let_go(*(text for text in texts.groups.numbers().tolist() if not content.has_item(text)))
        return True

    def _let_go(self, *texts: int) -> None:
        """Let texts that no listed item has be nobody's neighbours; -1 is none."""
        for text in texts:
            if text != NONE and self._texts is not None and self.content is not None:
                self._texts.let_go(text, self.content.is_held(text))

    def _open(self) -> Content:
        """Return what is known of the listed, which the model looks at from the first call on."""
        if self.content is None:
            self.content = Content()
            self.content.take_occurred(self._counts.tables)
            self._ranker.use_content(self.content, self.relations)
            self._learner.use_columns(self._ranker.features)
            self._show_relations(self.content)
        return self.content

    def _show_relations(self, content: Content) -> None:
        """Let the interest model see what items have in common."""
        interest = self._learner.interest
        if interest is None:
            return
        graph = None
        if interest.settings.graph != "off":
            # It takes seconds to load, and who has no catalogue, or no interest model, does without it.
            from models.graph.encoder import GraphEncoder, Neighbourhoods

            neighbourhoods = Neighbourhoods(self.relations, self._counts, content)
            kind, dimensions = interest.settings.graph, interest.settings.dimensions
            graph = GraphEncoder(kind, dimensions, neighbourhoods, interest.device, interest.seed)
        self._words = TextVectors(content)
        interest.use_catalog(self.relations, self._words, graph)

    def _relate(self, row: int, item_id: str, item: Description) -> None:
        """Take in what an item shares with others."""
        is_new = self.relations.write(row, item_id, shared_of(item), item.relations)
        interest = self._learner.interest
        if interest is not None:
            attributes = attributes_of(item)
            said = hashed(
                (f"{name}={value}" for name, value in attributes.items() if name != "title"),
                interest.settings.text_dimensions,
            )
            interest.describe(np.array([row], np.int32), said[None])
            if is_new and interest.graph is not None:
                interest.graph.change(row)

    def _take_neighbours(self, found: Found) -> None:
        content = self._open()
        content.put_neighbours(found.changed, found.neighbours, found.similarities)
        if self._words is not None:
            self._words.put(found.groups, found.vectors)
        # The item of some has another by now.
        self._let_go(*(text for text in found.groups.tolist() if not content.has_item(text)))
        self._give_back(found.forgotten, found.vectors.shape[1], content)

    def _give_back(self, texts: Rows, dimensions: int, content: Content) -> None:
        """Let numbers of texts that no item has be those of others; `dimensions` of their vectors."""
        if self._texts is None or not len(texts):
            return
        given = [text for text in texts.tolist() if not content.is_held(text) and self._texts.give_back(text)]
        free = np.array(given, np.int32)
        content.clear_texts(free)
        if self._words is not None:
            self._words.put(free, np.zeros((len(free), dimensions), np.float32))


def _described(item: ItemListed) -> Description:
    return Description(
        title=item.title,
        text=item.text,
        categories=item.categories,
        brand=item.brand,
        attributes=item.attributes,
        relations=item.relations,
    )
