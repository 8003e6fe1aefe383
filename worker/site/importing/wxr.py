"""WXR, WordPress' export file: read as it comes, without a tree; a DOCTYPE, an entity or a reference out is refused.

Posts and pages are imported; attachments, menus and revisions are passed over and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from celery_anp.errors import BadSource
from worker.site.importing.records import Layout, Record, too_long

BLOCK = 64 * 1024
KINDS = ("post", "page")
NO_DATE = "0000-00-00 00:00:00"
#: Our field by the element's name without its namespace's address, which carries WordPress' version.
FIELDS = {
    "title": "title", "post_id": "id", "post_name": "slug", "status": "status", "post_type": "type",
    "content:encoded": "content", "excerpt:encoded": "excerpt",
    "post_date_gmt": "date", "post_modified_gmt": "modified",
}  # fmt: skip
DATES = ("date", "modified")


def records(file: IO[bytes], layout: Layout, limit: int) -> Iterator[Record]:
    """The items of an export file.

    Args:
        file: at its beginning.
        layout: names of the fields, where others are wanted than ours.
        limit: characters of one item.

    Raises:
        BadSource: it is not XML or no export, or has what is refused.
        LimitExceeded: an item is too large.
    """
    items = _Items(layout, limit)
    parser = DefusedXMLParser(target=items, forbid_dtd=True)
    items.expat = parser.parser
    try:
        while block := file.read(BLOCK):
            parser.feed(block)
            while items.done:
                yield items.done.popleft()
        parser.close()
    except DefusedXmlException as error:
        raise BadSource(
            f"Line {parser.parser.CurrentLineNumber}: the export has a DOCTYPE, an entity or a reference out of it",
            expected="XML without any of them, as WordPress writes it",
            given=type(error).__name__,
        ) from None
    except ParseError as error:
        raise BadSource(f"Line {error.position[0]}: not XML", given=str(error)) from None
    yield from items.done
    if not items.seen_channel:
        raise BadSource("The file is no WordPress export", expected="<rss> with a <channel>")


class _Items:
    """What expat calls: collects one item at a time."""

    def __init__(self, layout: Layout, limit: int) -> None:
        self.layout, self.limit = layout, limit
        self.expat: Any = None
        self.done: deque[Record] = deque()
        self.seen_channel = False
        self._item: dict[str, Any] | None = None
        self._line = 0
        self._size = 0
        self._depth = 0
        self._text: list[str] | None = None
        self._tag = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        local = _local(name)
        if self._item is None:
            self.seen_channel |= local == "channel"
            if local == "item":
                self._item, self._line, self._size, self._depth = {"tags": []}, self.expat.CurrentLineNumber, 0, 0
            return
        self._depth += 1
        self._tag = local == "category" and attributes.get("domain") == "post_tag"
        if self._depth == 1 and (local in FIELDS or self._tag):
            self._text = []

    def data(self, text: str) -> None:
        """Characters, perhaps not all of them."""
        if self._item is None:
            return
        self._size += len(text)
        if self._size > self.limit:
            raise too_long(self._line, self.limit)
        if self._text is not None:
            self._text.append(text)

    def end(self, name: str) -> None:
        """An element ends."""
        if self._item is None:
            return
        if self._depth == 0:
            self.done.append(self._record(self._item))
            self._item = None
            return
        if self._depth == 1 and self._text is not None:
            text = "".join(self._text)
            if self._tag:
                self._item["tags"].append(text.strip())
            else:
                self._item[FIELDS[_local(name)]] = text
            self._text = None
        self._depth -= 1

    def close(self) -> None:
        """The document ended."""

    def _record(self, item: dict[str, Any]) -> Record:
        if item.get("type", "post") not in KINDS:
            return Record(self._line, None)
        if item.get("status") in ("trash", "auto-draft", "inherit"):
            return Record(self._line, None)
        for name in DATES:  # GMT by their name, so they need no zone
            given = item.pop(name, "").strip()
            if given and given != NO_DATE:
                item[name] = f"{given}+00:00"
        fields = {name: value for name, value in item.items() if value != "" or name in ("content", "excerpt")}
        return Record(self._line, self.layout.renamed(fields))


def _local(name: str) -> str:
    """`{http://…/export/1.2/}post_id` is `post_id`; the two `encoded` keep apart by the namespace's last word."""
    if not name.startswith("{"):
        return name
    space, _, local = name[1:].partition("}")
    if local != "encoded":
        return local
    return "excerpt:encoded" if "/excerpt" in space else "content:encoded"
