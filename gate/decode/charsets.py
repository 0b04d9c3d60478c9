"""Decode text by its declared charset, with the labels and encodings of the WHATWG Encoding Standard.

Python's own registry is larger than what clients understand: it has transformations (`zlib`), encodings that take
quadratic time (`punycode`), and some that no browser decodes (`utf-7`).
"""

from __future__ import annotations

import codecs
import re
from functools import cache

# Python's name of each encoding, and its labels. Encodings without a decoder in the standard are left out.
_LABELS = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e "
    "iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
    "iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 "
    "iso_8859-8 iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 "
    "iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 "
    "windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk gb18030",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc-jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022-jp": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 "
    "windows-949",
    "utf-16-be": "unicodefffe utf-16be",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
}
# Labels that browsers refuse: their text would pass for another one if its bytes were taken for ASCII.
_SEVEN_BIT = {"utf-7", "utf7", "unicode-1-1-utf-7", "csunicode11utf7", "hz-gb-2312", "hz", "iso-2022-kr",
              "csiso2022kr", "iso-2022-cn", "iso-2022-cn-ext", "replacement"}  # fmt: skip
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le"))
_PARAMETER = re.compile(r';[ \t]*([^\s;=,"]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;,"]*))')

_XML_ENCODING = re.compile(rb"""<\?xml[ \t\r\n][^>]{0,200}?encoding[ \t\r\n]*=[ \t\r\n]*["']([A-Za-z][\w.-]{0,40})""")
# Python's text encodings that are not charsets. `punycode` takes quadratic time.
_NO_CHARSETS = {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}


def charset_of(content_type: str) -> str:
    """Return the charset parameter of a Content-Type, "" if it has none."""
    for name, quoted, plain in _PARAMETER.findall(content_type):
        if name.lower() == "charset":
            return re.sub(r"\\(.)", r"\1", quoted) if quoted else plain.strip().strip("'")
    return ""


def decode(body: bytes, charset: str) -> str | None:
    """Decode a body; invalid bytes become U+FFFD. Return None if no decoder for its charset is known.

    A byte order mark wins over the charset. UTF-8 is the default, also for an unknown charset if the body is valid
    UTF-8: most servers that send one mean UTF-8.
    """
    label = charset.strip(" \t\r\n\f").lower().replace("_", "-") if charset else "utf-8"
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return _valid(body[len(mark) :].decode(encoding, "replace"))
    if label in _SEVEN_BIT:
        return None
    codec = _encodings().get(label)
    if codec is not None:
        return _valid(body.decode(codec, "replace"))
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _valid(text: str) -> str:
    """Return the text without lone surrogates, which some of Python's decoders let through."""
    return text.encode("utf-8", "replace").decode()


@cache
def _encodings() -> dict[str, str]:
    return {label: encoding for encoding, labels in _LABELS.items() for label in labels.replace("_", "-").split()}


def readable(body: bytes, charset: str) -> str:
    """Decode a body for a person to read: also by encodings that browsers refuse, and without any charset by its looks.

    What a service hides in an encoding that nobody expects would otherwise be kept as it came, secrets included.
    """
    if body.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):  # the first one begins like UTF-16
        return _valid(body.decode("utf-32", "replace"))
    label = charset or _looks_like(body)
    text = decode(body, label)
    if text is None and _is_text_encoding(label):
        text = _valid(body.decode(label, "replace"))
    return body.decode("utf-8", "replace") if text is None else text


def _looks_like(body: bytes) -> str:
    """Return the encoding that a body without a charset shows: in its XML declaration, or by zeros between letters."""
    head = body[:256]
    if head.startswith(b"\x4c\x6f\xa7\x94"):  # `<?xm` in EBCDIC (XML 1.0, appendix F.1)
        declared = _XML_ENCODING.match(head.decode("cp037").encode("ascii", "replace"))
        return declared[1].decode() if declared else "cp037"
    if declared := _XML_ENCODING.match(head):
        return declared[1].decode()
    zeros = [head[start::2].count(0) * 4 >= len(head) for start in (0, 1)]
    return "utf-16-be" if zeros == [True, False] else "utf-16-le" if zeros == [False, True] else ""


def _is_text_encoding(label: str) -> bool:
    """Return whether Python has a text encoding of this name that decodes in linear time."""
    try:
        codec = codecs.lookup(label)
    except (LookupError, ValueError):
        return False
    return codec._is_text_encoding and codec.name not in _NO_CHARSETS
