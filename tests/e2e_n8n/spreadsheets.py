"""
Files as people hand them in: a table of chats and texts.
"""

from __future__ import annotations

import io
import zipfile
from xml.sax.saxutils import escape


def csv(rows: list[tuple[str, str]]) -> bytes:
    """
    Return a CSV file as spreadsheet programs write it, with a byte order mark.
    """
    lines = ["chat_id,text,note", *(f'{chat},"{text}",x' for chat, text in rows)]
    return ("\ufeff" + "\r\n".join(lines)).encode()


def xlsx(rows: list[tuple[str, str]]) -> bytes:
    """
    Return the least that is an XLSX file.
    """
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in row) + "</row>"
        for row in [("chat_id", "text"), *rows]
    )
    space = "http://schemas.openxmlformats.org"
    sheet = f'<worksheet xmlns="{space}/spreadsheetml/2006/main"><sheetData>{cells}</sheetData></worksheet>'
    book = (
        f'<workbook xmlns="{space}/spreadsheetml/2006/main" xmlns:r="{space}/officeDocument/2006/relationships">'
        '<sheets><sheet name="s" sheetId="1" r:id="r1"/></sheets></workbook>'
    )
    target = f"{space}/officeDocument/2006/relationships"

    def link(kind: str, to: str) -> str:
        row = f'<Relationship Id="r1" Type="{target}/{kind}" Target="{to}"/>'
        return f'<Relationships xmlns="{space}/package/2006/relationships">{row}</Relationships>'

    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    types = (
        f'<Types xmlns="{space}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/s.xml" ContentType="{kind}.worksheet+xml"/></Types>'
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("[Content_Types].xml", types)
        archive.writestr("_rels/.rels", link("officeDocument", "xl/workbook.xml"))
        archive.writestr("xl/workbook.xml", book)
        archive.writestr("xl/_rels/workbook.xml.rels", link("worksheet", "s.xml"))
        archive.writestr("xl/s.xml", sheet)
    return packed.getvalue()
