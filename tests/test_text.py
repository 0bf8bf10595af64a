"""Text with two meanings (F24): encodings, separators of tables."""

import codecs

import pytest

from imgtool.errors import ParameterError
from imgtool.text import decode_text, is_wide, is_writable, read_table

WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32")


@pytest.mark.parametrize("encoding", WIDE)
def test_wide_text_is_refused_with_and_without_a_mark(encoding):
    with pytest.raises(ParameterError, match="UTF-16"):
        decode_text("1 0 -1\n2 0 -2\n".encode(encoding))


def test_utf8_is_read_with_and_without_a_mark():
    assert decode_text("ä 1".encode()) == decode_text(codecs.BOM_UTF8 + "ä 1".encode()) == "ä 1"
    assert decode_text(b"") == ""
    with pytest.raises(ParameterError, match="byte 3 is 0xe4"):
        decode_text("1 ä".encode("latin-1"))


def test_zero_bytes_alone_are_no_wide_text():
    assert not is_wide(b"photo.png\0other.png\0")
    assert not is_wide(b"a\0b\0", marked_only=True)
    assert not is_wide(b"\xff\xfe.png\n")  # a name that is no UTF-8


ROWS = [["path", "label"], ["a.png", "cat"], ["b.png", "dog"]]


@pytest.mark.parametrize("separator", [",", ";", "\t", " , ", "; "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_F24_separators_are_found(separator, end, quote):
    quote = quote if separator.strip() == separator.rstrip() or not quote else ""
    text = end.join(separator.join(f"{quote}{cell}{quote}" for cell in row) for row in ROWS)
    assert read_table(text) == ROWS


def test_other_separators_inside_cells_do_no_harm():
    assert read_table("a,1.png;cat\nb.png;dog\n") == [["a,1.png", "cat"], ["b.png", "dog"]]
    assert read_table('"a;1.png",cat\n"b;2.png",dog\n') == [["a;1.png", "cat"], ["b;2.png", "dog"]]
    assert read_table("path;label\na,1.png;cat\n") == [["path", "label"], ["a,1.png", "cat"]]
    assert read_table("one\ntwo\n") == [["one"], ["two"]]
    assert read_table("") == []


def test_two_separators_that_both_fit_are_refused_unless_the_header_decides():
    text = "{}a,1.png;cat\nb,2.png;dog\n"
    with pytest.raises(ParameterError, match="by commas or by semicolons"):
        read_table(text.format(""))
    header = "path;label, of it\n"
    with pytest.raises(ParameterError, match="by commas or by semicolons"):
        read_table(text.format(header))
    assert read_table(text.format(header), header=("Path",))[1] == ["a,1.png", "cat"]


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ParameterError, match="row 3 has 3 cells where the first has 2, divided by commas"):
        read_table("a,b\nc,d\ne,f,g\n")
    with pytest.raises(ParameterError, match="row 2 has 1 cell where the first has 2, divided by commas"):
        read_table("a.png,cat\nb.png;dog\n")


@pytest.mark.parametrize("text", ["", "a", "\x00\n", "日本", "\udcff"])
def test_what_a_file_name_can_hold_is_writable(text):
    assert is_writable(text)


@pytest.mark.parametrize("text", ["\ud800", "a\udc7f", "\udd00b"])
def test_halves_of_characters_are_not_writable(text):
    assert not is_writable(text)
