"""Measures what the reader of web pages keeps of a page's body, and which furniture it lets through.

The pages are those of Debian's documentation packages, each written by another generator, and any
that were saved by hand: PGRECALL_BENCH_PAGES/KIND/*.html. Next to a page without a selector below,
NAME.txt has the text of its body.
"""
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess

from bs4 import BeautifulSoup

from program import Failed

# The part of the body's words that must be kept.
KEPT = 0.97
# Pages of each kind, spread evenly over their names.
PAGES = 5
# Kind: Debian's package, the pages in it, the elements that are a page's body, those within them
# that are furniture, and the site's name in titles. The rest of a page is furniture too.
DEBIAN = {
    "DocBook (PostgreSQL)": ("postgresql-doc-15", "html/[a-z]*.html", "body", ".navheader, .navfooter, .toc", "PostgreSQL"),
    "DocBook (gtk-doc)": ("libglib2.0-doc", "gtk-doc/html/glib/*.html", "body > div", ".footer, #top, .toc", "GLib 2.0"),
    "Sphinx (Python)": ("python3.11-doc", "html/library/*.html", "div.body", ".headerlink", "Python 3.11.2 documentation"),
    "Sphinx (Flask)": ("python-flask-doc", "html/*.html", "div.body", ".headerlink", "Flask Documentation"),
    "Read the Docs (attrs)": ("python-attr-doc", "html/*.html", "div[itemprop=articleBody]", ".headerlink", "documentation"),
    "AsciiDoc (git)": ("git-doc", "git-*.html", "#header h1, #content", ".toc, #toc", "git-doc"),
    "MkDocs": ("mkdocs-doc", "html/**/index.html", "div[role=main]", ".headerlink", "MkDocs"),
    "Doxygen": ("doxygen-doc", "html/[a-z]*.html", "div.header, div.contents", ".toc, .summary", None),
}
SAVED = {
    "MDN": ("main", ".article-footer, .reference-toc, .prev-next", "MDN"),
    "GitHub": ("article.markdown-body, .markdown-body", ".anchor, .octicon", "GitHub"),
    "Wikipedia": (
        "#mw-content-text",
        ".mw-editsection, .navbox, .printfooter, .noprint, .toc, #toc, .catlinks, .mw-jump-link, .vertical-navbox, .mw-indicators",
        "Wikipedia",
    ),
}
# The elements around a body that usually are furniture, on pages of unknown sites.
AROUND = ", ".join(
    ["nav", "footer", "aside", "form", "[role=navigation]", "[role=banner]", "[role=contentinfo]", "[role=complementary]"]
    + [f"div[{name}*={part} i]" for name in ("class", "id") for part in ("sidebar", "cookie", "breadcrumb", "menu", "newsletter", "footer", "navbar", "social-", "related")]
)
SYMBOLS = {" ¶ ", " § "}
# No reader sees the text of these elements.
UNSEEN = "script, style, template, noscript, svg, math, button, select, textarea, iframe, object, canvas, head, [hidden]"


def measure(options):
    folder = options.folder / "pages"
    return {kind: measure_kind(options, *pages) for kind, *pages in [*debian(folder), *saved()]}


def show(result, table):
    rows, failed = [], []
    for kind, pages in result.items():
        kept = [page["kept"] for page in pages]
        strings, leaked = sum(page["strings"] for page in pages), sum(len(page["leaked"]) for page in pages)
        rows.append((kind, len(pages), f"{sum(kept) / len(kept):.3f}", f"{min(kept):.3f}", strings, leaked))
        failed += [page for page in pages if page["kept"] < KEPT or page["leaked"]]
    heads = ("kind", "pages", "body's words kept, mean", "least", "furniture strings", "of them in the text")
    table.print("Web pages", heads, rows)
    for page in failed:
        print(f"{page['path']}: kept {page['kept']:.3f}, lost {page['lost'][:8]}, furniture {page['leaked'][:8]}")


def debian(folder):
    for kind, (package, pattern, *marks) in DEBIAN.items():
        root = folder / package
        if not root.exists():
            fetch(package, root)
        shown = [path for share in ("doc/*", ".") for path in root.glob(f"usr/share/{share}/{pattern}")]
        found = sorted({path for path in shown if path.is_file() and path.stat().st_size < 200_000})
        yield kind, found[len(found) // (2 * PAGES) :: max(1, len(found) // PAGES)][:PAGES], *marks


def fetch(package, root):
    root.mkdir(parents=True)
    try:
        subprocess.run(["apt-get", "download", "-q", package], cwd=root, check=True)
        subprocess.run(["dpkg-deb", "-x", *map(str, root.glob("*.deb")), "."], cwd=root, check=True)
    except (OSError, subprocess.CalledProcessError) as why:
        shutil.rmtree(root)
        raise Failed(f"cannot fetch Debian's package {package}: {why}") from why


def saved():
    if root := os.environ.get("PGRECALL_BENCH_PAGES"):
        for folder in sorted(pathlib.Path(root).iterdir()):
            yield folder.name, sorted(folder.glob("*.html")), *SAVED.get(folder.name, (None, None, None))


def measure_kind(options, paths, *marks):
    if not paths:
        raise Failed(f"no pages with the marks {marks}: the package has changed")
    read = subprocess.run([options.release / "examples/read_html", *paths], capture_output=True, check=True, text=True)
    pages = [json.loads(line) for line in read.stdout.splitlines()]
    return [compare(pathlib.Path(page["path"]), page, *marks) for page in pages]


def compare(path, page, body, furniture, site):
    wanted, strings = by_selectors(path, body, furniture) if body else by_hand(path)
    # The title is indexed with the text.
    title, text = words(page["title"] or ""), words(page["text"])
    wanted_words = collections.Counter(words(wanted))
    lost = wanted_words - collections.Counter(title + text)
    body_text, given = f" {' '.join(words(wanted))} ", f" {' '.join(text)} "
    normal = {f" {' '.join(words(string)) or string.strip()} " for string in strings}
    listed = {string for string in normal if string.strip() and string not in body_text}
    leaked = [string for string in listed if string in given or string in SYMBOLS and string.strip() in page["text"]]
    if site and words(site) != title and f" {' '.join(words(site))} " in f" {' '.join(title)} ":
        leaked.append(f"{site} in the title")
    kept = 1 - lost.total() / max(1, wanted_words.total())
    return {"path": str(path), "kept": kept, "lost": list(lost), "strings": len(listed), "leaked": sorted(leaked)}


def by_hand(path):
    """The body of a saved page by hand, and the strings that stand only where furniture usually does."""
    page = parse(path)
    strings = [text for part in page.select(AROUND) for text in part.stripped_strings]
    for part in page.select(AROUND):
        part.extract()
    elsewhere = f" {' '.join(words(page.get_text()))} "
    return path.with_suffix(".txt").read_text(), [text for text in strings if f" {' '.join(words(text))} " not in elsewhere]


def by_selectors(path, body, furniture):
    page = parse(path)
    strings = []
    for element in page.select(furniture):
        strings += element.stripped_strings
        element.extract()
    bodies = [element for element in page.select(body) if not any(outer in page.select(body) for outer in element.parents)]
    texts = [element.extract().get_text() for element in bodies]
    return "\n".join(texts), strings + list(page.stripped_strings)


def parse(path):
    page = BeautifulSoup(path.read_bytes(), "lxml")
    for element in page.select(UNSEEN):
        element.extract()
    for image in page.select("img[alt]"):
        image.replace_with(f" {image['alt']} ")
    # Words of two blocks are two words, also where no space is between their tags.
    for block in page.select("p, div, section, li, dt, dd, td, th, br, pre, h1, h2, h3, h4, h5, h6"):
        block.insert_before("\n")
        block.insert_after("\n")
    return page


def words(text):
    return re.findall(r"\w+", text.casefold())
