"""Sources as they come: what is read, and what is refused with its line and field."""

from __future__ import annotations

import io
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from celery_anp.errors import BadSource, LimitExceeded
from worker.site.importing import reading
from worker.site.importing.reading import Format, Manner
from worker.site.importing.records import Layout
from worker.site.importing.rows import BadRow, Row, slugified

GOOD = {"id": 1, "title": "A", "date": "2026-11-21T21:55:00Z"}
WXR = """<?xml version="1.0" encoding="UTF-8"?>{before}
<rss xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:wp="http://wordpress.org/export/1.2/"
 xmlns:excerpt="http://wordpress.org/export/1.2/excerpt/"><channel><title>Site</title>
{items}
</channel></rss>"""
ITEM = """<item><title>{title}</title><content:encoded><![CDATA[<p>text & more</p>]]></content:encoded>
<excerpt:encoded>short</excerpt:encoded><wp:post_id>{id}</wp:post_id><wp:post_date_gmt>{date}</wp:post_date_gmt>
<wp:post_name>{slug}</wp:post_name><wp:status>{status}</wp:status><wp:post_type>{type}</wp:post_type>
<category domain="post_tag" nicename="go">Go</category><category domain="category" nicename="x">X</category>
<wp:comment><wp:comment_id>9</wp:comment_id><title>no title</title></wp:comment></item>"""


def read(text: str | bytes, kind: Format = "ndjson", **manner: Any) -> list[Row | BadRow | None]:
    data = text.encode() if isinstance(text, str) else text
    return [row for _, row in reading.read(io.BytesIO(data), Manner(kind, **manner))]


def ndjson(*rows: dict[str, Any] | str) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def item(**changes: str) -> str:
    values = {"title": "A", "id": "7", "date": "2026-11-21 21:55:00", "slug": "a", "status": "publish", "type": "post"}
    return ITEM.format(**{**values, **changes})


def bad(row: Row | BadRow | None) -> tuple[int, str, str]:
    assert isinstance(row, BadRow), row
    return row.line, row.field, row.reason


def row_of(row: Row | BadRow | None) -> Row:
    assert isinstance(row, Row), row
    return row


def test_a_broken_line_of_ndjson_is_one_bad_row_and_the_next_one_is_read() -> None:
    found = read(ndjson(GOOD, '{"id": 2, "title": ', "[1]", "", b"\xff\xfe".decode("latin-1"), {**GOOD, "id": 3}))
    assert bad(found[1]) == (2, "", "not JSON: Expecting value at column 19")
    assert bad(found[2])[:2] == (3, "")
    assert bad(found[3])[0] == 5
    assert row_of(found[4]).id == "3"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"titel": "x"}, "titel", "unknown. Did you mean 'title'?"),
        ({"date": "2026-11-21T21:55:00"}, "date", "the date has no zone"),
        ({"date": "21.11.2026"}, "date", "a date as ISO 8601 writes it"),
        ({"date": 1795384500}, "date", "a date as ISO 8601 writes it"),
        ({"date": "0001-01-01T00:00:00+14:00"}, "date", "a year from 1001"),
        ({"date": None}, "date", "missing, and only a draft needs none"),
        ({"id": None}, "id", "valid string"),
        ({"id": " 1"}, "id", "match pattern"),
        ({"id": "x" * 192}, "id", "at most 191"),
        ({"title": ""}, "title", "at least 1"),
        ({"title": "\ud800"}, "title", "valid string"),
        ({"slug": "A b"}, "slug", "match pattern"),
        ({"status": "live"}, "status", "'publish'"),
        ({"tags": "go"}, "tags", "valid tuple"),
        ({"tags": ["go", ""]}, "tags.1", "at least 1"),
    ],
)
def test_a_bad_field_is_told_with_its_line_its_name_and_what_is_wrong(
    change: dict[str, Any], field: str, reason: str
) -> None:
    found = read(ndjson({**GOOD, "id": 0}, {**GOOD, **change}))
    line, named, said = bad(found[1])
    assert (line, named) == (2, field)
    assert reason in said


def test_a_hostile_line_is_one_bad_row_with_a_short_report() -> None:
    digits = f'{{"id": {"9" * 5000}, "title": "x"}}'
    found = read(ndjson(digits, "[" * 100_000, json.dumps({**GOOD, "k" * 100_000: 1})), record_limit=200_000)
    assert [bad(row)[:2] for row in found[:2]] == [(1, ""), (2, "")]
    line, field, reason = bad(found[2])
    assert (line, reason, field) == (3, "unknown", "k" * 60)


def test_a_date_without_a_zone_is_taken_where_the_import_names_one() -> None:
    found = read(ndjson({**GOOD, "date": "2026-07-01T12:00:00"}), zone=ZoneInfo("Europe/Berlin"))
    assert str(row_of(found[0]).date) == "2026-07-01 10:00:00"


def test_an_id_that_comes_twice_is_bad_and_says_where_it_was() -> None:
    found = read(ndjson(GOOD, {**GOOD, "id": "1"}))
    assert bad(found[1]) == (2, "id", "was on line 1 already")


def test_limits_of_rows_and_of_one_row() -> None:
    with pytest.raises(LimitExceeded, match="Line 3: the source has too many rows"):
        read(ndjson(*({**GOOD, "id": n} for n in range(5))), row_limit=2)
    for kind, text in (("ndjson", ndjson(GOOD, {**GOOD, "title": "x" * 999})), ("csv", f"id,title\n1,{'x' * 999}\n")):
        with pytest.raises(LimitExceeded, match="Line 2: the record is too large"):
            read(text, kind, record_limit=200)  # type: ignore[arg-type]
    with pytest.raises(LimitExceeded, match="Line 5: the record is too large"):
        read(WXR.format(before="", items="\n" + item(title="x" * 300_000)), "wxr", record_limit=1000)


def test_csv_names_its_columns_and_a_cell_may_have_lines() -> None:
    text = '\ufeffid,title,Body,date,tags,rubbish\n7,"A\nB",<p>,2026-11-21T21:55:00Z,go | redis,x\n8,C\n'
    found = read(text, "csv", layout=Layout({"Body": "content", "rubbish": ""}))
    row = row_of(found[0])
    assert (row.id, row.title, row.content, row.tags) == ("7", "A\nB", "<p>", ("go", "redis"))
    assert bad(found[1]) == (4, "", "2 cells where the first line has 6")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,titel\n1,x\n", "Line 1: the column 'titel' is unknown. Did you mean 'title'?"),
        ("id,title,id\n1,x,2\n", "Line 1: two columns are 'id'"),
        ('id,title\n1,"x\n2,y\n', "Line 2: not CSV"),
        (b"id,title\n1,x\n2,\xff\n", "Line 3: the file is not UTF-8"),
    ],
)
def test_csv_that_cannot_be_read_is_refused_as_a_whole(text: str | bytes, said: str) -> None:
    with pytest.raises(BadSource, match=said.replace("?", r"\?")):
        read(text, "csv")


def test_an_export_of_wordpress_is_read_and_what_is_no_post_is_passed_over() -> None:
    items = (
        item()
        + item(id="8", type="attachment", status="inherit")
        + item(id="9", status="draft", date="0000-00-00 00:00:00")
    )
    found = read(WXR.format(before="", items=items), "wxr")
    row = row_of(found[0])
    assert (row.id, row.title, row.slug, row.content) == ("7", "A", "a", "<p>text & more</p>")
    assert (row.excerpt, row.tags, str(row.date)) == ("short", ("Go",), "2026-11-21 21:55:00")
    assert found[1] is None
    assert row_of(found[2]).date is None


@pytest.mark.parametrize(
    "before",
    [
        '<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE rss SYSTEM "http://127.0.0.1/evil.dtd">',
    ],
)
def test_an_export_with_entities_or_references_out_of_it_is_refused(before: str) -> None:
    with pytest.raises(BadSource, match="Line 1: the export has a DOCTYPE, an entity or a reference out of it"):
        read(WXR.format(before=before, items=item()), "wxr")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WXR.format(before="", items=item() + "\n<item><title>cut"), "not XML"),
        (WXR.format(before="", items=item() + "<b>&nbsp;</b>"), "not XML|entity"),
        ("<html><body/></html>", "no WordPress export"),
    ],
)
def test_an_export_that_is_broken_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadSource, match=said):
        read(text, "wxr")


def test_slugs_are_made_as_wordpress_makes_them() -> None:
    assert slugified("Über uns & Köln!") == "uber-uns-koln"
    assert slugified("日本") == "%e6%97%a5%e6%9c%ac"
    assert slugified("!!!") != ""
