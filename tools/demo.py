#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make the demo coach's documents: the handbook's Markdown as it is, one chapter as DOCX and one as PDF, and the manifest.

Uses nothing but the standard library and writes the same bytes every time, so that an unchanged document is recognised.
It understands just the Markdown that demo/ uses: front matter, headings, paragraphs, numbered lists, **bold**.
"""
import json
import os
import re
import sys
import zipfile
from xml.sax.saxutils import escape

AS_DOCX = "04-recovery.md"
AS_PDF = "05-pain-and-when-to-stop.md"
CONTENT_TYPES = {
    "02-twelve-week-plan.md": "workout",
    "03-nutrition-basics.md": "nutrition",
    "06-mindset.md": "goal",
    "08-technique.md": "workout",
}
TOPICS = {
    "01": "method", "02": "plan", "03": "nutrition", "04": "recovery", "05": "pain", "06": "mindset",
    "07": "guide", "08": "technique", "09": "questions",
}
COACH = {
    "id": "coach",
    "name": "Elena Marín",
    "description": "Strength for people who thought that training was for somebody else.",
    "language": "en",
    "expertise": "strength training for beginners",
    "method": "Steady Strength: three sessions a week, two repetitions in reserve, one thing added at a time, "
              "daily walking, and sleep before effort.",
    "style": "Warm, plain and short. Speaks to one person. Gives the number and the reason, never shames, "
             "and says clearly when something belongs to a doctor.",
    "questions": {
        "en": ["How many days a week should I train?", "My knee hurts on stairs. Can I still squat?",
               "How much protein do I need?", "When should I add weight?"],
        "es": ["¿Cuántos días por semana debo entrenar?", "Me duele la rodilla en las escaleras, ¿qué hago?",
               "¿Cuánta proteína necesito?", "¿Puedo entrenar con un resfriado?"],
    },
}


def read(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    front, body = re.match(r"---\n(.*?)\n---\n(.*)", text, re.S).groups()
    meta = dict(line.split(": ", 1) for line in front.splitlines())
    return meta, body


def blocks(body):
    """(kind, text) pairs: h1, h2, h3, item, p."""
    for part in re.split(r"\n\s*\n", body.strip()):
        m = re.match(r"(#{1,3}) (.*)", part)
        if m:
            yield "h%d" % len(m.group(1)), m.group(2)
        elif re.match(r"\d+\. ", part):
            for line in part.splitlines():
                yield "item", line
        else:
            yield "p", part.replace("\n", " ")


def docx(path, meta, body):
    def runs(text):
        out = []
        for i, piece in enumerate(re.split(r"\*\*", text)):
            bold = "<w:rPr><w:b/></w:rPr>" if i % 2 else ""
            out.append('<w:r>%s<w:t xml:space="preserve">%s</w:t></w:r>' % (bold, escape(piece)))
        return "".join(out)

    style = {"h1": "Heading1", "h2": "Heading2", "h3": "Heading3", "item": "ListParagraph"}
    paragraphs = []
    for kind, text in blocks(body):
        ppr = '<w:pPr><w:pStyle w:val="%s"/></w:pPr>' % style[kind] if kind in style else ""
        paragraphs.append("<w:p>%s%s</w:p>" % (ppr, runs(text)))
    ns = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    styles = "".join(
        '<w:style w:type="paragraph" w:styleId="%s"><w:name w:val="%s"/></w:style>' % (i, n)
        for i, n in (("Heading1", "heading 1"), ("Heading2", "heading 2"), ("Heading3", "heading 3"),
                     ("ListParagraph", "List Paragraph")))
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    parts = {
        "[Content_Types].xml":
            head + '<Types xmlns="%s/content-types"><Default Extension="rels" ContentType='
            '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
            'ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="%s.document.main+xml"/>'
            '<Override PartName="/word/styles.xml" ContentType="%s.styles+xml"/><Override PartName="/docProps/core.xml" '
            'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>' % (package, word, word),
        "_rels/.rels":
            head + '<Relationships xmlns="%s/relationships"><Relationship Id="r1" Type="%s/officeDocument" '
            'Target="word/document.xml"/><Relationship Id="r2" Type="%s/relationships/metadata/core-properties" '
            'Target="docProps/core.xml"/></Relationships>' % (package, office, package),
        "word/_rels/document.xml.rels":
            head + '<Relationships xmlns="%s/relationships"><Relationship Id="r1" Type="%s/styles" '
            'Target="styles.xml"/></Relationships>' % (package, office),
        "word/document.xml": head + "<w:document %s><w:body>%s</w:body></w:document>" % (ns, "".join(paragraphs)),
        "word/styles.xml": head + "<w:styles %s>%s</w:styles>" % (ns, styles),
        "docProps/core.xml":
            head + '<cp:coreProperties xmlns:cp="%s/metadata/core-properties" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>%s</dc:title><dc:language>%s</dc:language>'
            "</cp:coreProperties>" % (package, escape(meta["title"]), meta["language"]),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in parts.items():
            z.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)


# Widths of Helvetica's printable ASCII in thousandths of the size; other letters count as 556.
HELVETICA = [278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278] + [556] * 10 + [
    278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556,
    278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584]


def width(text, size):
    return sum(HELVETICA[ord(c) - 32] if 32 <= ord(c) < 127 else 556 for c in text) * size / 1000


def wrap(text, size, most):
    line = ""
    for word in text.split():
        longer = (line + " " + word).strip()
        if line and width(longer, size) > most:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line


def pdf(path, meta, body):
    left, top, bottom, most = 72, 770, 80, 451
    pages, y = [[]], top
    sizes = {"h1": 20, "h2": 14, "h3": 12}
    for kind, text in blocks(body):
        size = sizes.get(kind, 11)
        font = "F2" if kind in sizes else "F1"
        lines = list(wrap(text.replace("**", ""), size, most * (0.93 if font == "F2" else 1)))
        need = len(lines) * size * 1.4 + (60 if font == "F2" else 0)
        if y - min(need, 300) < bottom:
            pages.append([])
            y = top
        if font == "F2" and pages[-1]:
            y -= size * 0.6
        for line in lines:
            if y < bottom:
                pages.append([])
                y = top
            pages[-1].append((font, size, left, y, line))
            y -= size * 1.4
        y -= 6
    objects = []

    def add(data):
        objects.append(data if isinstance(data, bytes) else data.encode("latin-1"))
        return len(objects)

    def literal(text):
        raw = text.encode("cp1252", "replace")
        return b"(" + re.sub(rb"([\\()])", rb"\\\1", raw) + b")"

    kids = " ".join("%d 0 R" % (6 + 2 * i) for i in range(len(pages)))
    add("<</Type/Catalog/Pages 2 0 R/Lang(%s)>>" % meta["language"])
    add("<</Type/Pages/Count %d/Kids[%s]>>" % (len(pages), kids))
    add("<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>")
    add("<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Bold/Encoding/WinAnsiEncoding>>")
    add(b"<</Title" + literal(meta["title"]) + b"/Author" + literal(COACH["name"]) + b">>")
    for number, page in enumerate(pages, 1):
        stream = b"".join(
            b"BT /%s %d Tf %.1f %.1f Td %s Tj ET\n" % (f.encode(), s, x, yy, literal(t)) for f, s, x, yy, t in page)
        stream += b"BT /F1 9 Tf 72 48 Td %s Tj ET\n" % literal("%s, page %d" % (meta["title"], number))
        add("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>/Contents %d 0 R>>"
            % (len(objects) + 2))
        add(b"<</Length %d>>stream\n%sendstream" % (len(stream), stream))
    out, offsets = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for i, data in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (i, data)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % o for o in offsets)
    out += b"trailer<</Size %d/Root 1 0 R/Info 5 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    with open(path, "wb") as f:
        f.write(out)


def main(to):
    source = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "demo")
    os.makedirs(to, exist_ok=True)
    for old in os.listdir(to):
        os.remove(os.path.join(to, old))
    documents = []
    for name in sorted(os.listdir(source)):
        if not name.endswith(".md"):
            continue
        meta, body = read(os.path.join(source, name))
        file = name
        if name == AS_DOCX:
            file = name[:-3] + ".docx"
            docx(os.path.join(to, file), meta, body)
        elif name == AS_PDF:
            file = name[:-3] + ".pdf"
            pdf(os.path.join(to, file), meta, body)
        else:
            with open(os.path.join(source, name), "rb") as f, open(os.path.join(to, file), "wb") as g:
                g.write(f.read())
        documents.append({"file": file, "title": meta["title"], "language": meta["language"],
                          "content_type": CONTENT_TYPES.get(name, "document"),
                          "metadata": {"topic": TOPICS[name[:2]], "source": "handbook"}})
    with open(os.path.join(to, "manifest.json"), "w", encoding="utf-8") as f:
        json.dump({"coach": COACH, "documents": documents}, f, ensure_ascii=False, indent=1)
        f.write("\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: demo.py FOLDER")
    main(sys.argv[1])
