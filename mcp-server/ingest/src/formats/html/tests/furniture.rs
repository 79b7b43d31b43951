//! Tests of leaving out furniture: pages of known generators, and neighbors that must stay.

use proptest::prelude::*;

use super::page;

/// The markup of a generator or a kind of site: its name, a page, the text and the title.
const PAGES: [(&str, &str, &str, &str); 10] = [
    (
        "DocBook",
        r##"<title>7.2. Table Expressions</title><body><div class="navheader"><table><tr><th colspan="5">Table Expressions</th></tr>
           <tr><td><a accesskey="p" href="a.html">Prev</a> </td><td><a href="b.html">Up</a></td><th>Chapter 7. Queries</th>
           <td><a href="../index.html">Home</a></td><td> <a href="c.html">Next</a></td></tr></table><hr></div>
           <div class="sect1" id="QUERIES-TABLE-EXPRESSIONS"><div class="titlepage"><h2>7.2. Table Expressions</h2></div>
           <div class="toc"><dl><dt><a href="#FROM">7.2.1. The FROM Clause</a></dt></dl></div><p>A table expression computes a table.</p>
           <div class="sect2" id="FOOTER-NAV"><h3>7.2.1. The FROM Clause</h3><p>It derives a table.</p></div></div>
           <div class="navfooter"><hr><table><tr><td><a href="a.html">Prev</a></td><td><a href="c.html">Next</a></td></tr></table></div>"##,
        "## 7.2. Table Expressions\n\nA table expression computes a table.\n\n### 7.2.1. The FROM Clause\n\nIt derives a table.",
        "7.2. Table Expressions",
    ),
    (
        "Sphinx",
        r##"<title>heapq — Heap queue algorithm &#8212; Python 3.11.2 documentation</title><div class="mobile-nav"><nav><a href="i">Python</a></nav></div>
           <div class="related" role="navigation"><h3>Navigation</h3><ul><li class="right"><a href="g">index</a></li><li><a href="p">Data Types</a> &#187;</li></ul></div>
           <div class="document"><div class="body" role="main"><section id="search"><h1>heapq — Heap queue algorithm<a class="headerlink" href="#m">¶</a></h1>
           <p>Heaps are binary trees.</p><dl><dt class="sig">heapq.heappush(heap)<a class="headerlink" href="#heapq.heappush">¶</a></dt><dd><p>Push an item.</p></dd></dl></section></div>
           <div class="sphinxsidebar" role="navigation"><h3><a href="x">Table of Contents</a></h3><ul class="this-page-menu"><li><a href="r">Report a Bug</a></li></ul></div></div>
           <div class="footer">&copy; Copyright 2001-2023. Created using Sphinx.</div>"##,
        "# heapq — Heap queue algorithm\n\nHeaps are binary trees.\n\nheapq.heappush(heap)\n\nPush an item.",
        "heapq — Heap queue algorithm",
    ),
    (
        "Read the Docs",
        r##"<title>Slots - attrs 22.2.0 documentation</title><div class="wy-grid-for-nav"><nav class="wy-nav-side"><div class="wy-side-nav-search"><a href="i">attrs</a></div></nav>
           <section class="wy-nav-content-wrap"><div class="wy-nav-content"><div class="rst-content"><div role="navigation" aria-label="Page navigation"><ul class="wy-breadcrumbs">
           <li><a href="i">Home</a> &raquo;</li><li class="wy-breadcrumbs-aside"><a href="s">View page source</a></li></ul></div><div role="main" class="document"><div itemprop="articleBody">
           <h1>Slots<a class="headerlink" href="#s" title="Permalink"></a></h1><div class="admonition note"><p class="admonition-title">Note</p><p>Slots save memory.</p></div>
           <aside class="sidebar"><p class="sidebar-title">Why?</p><p>No dict.</p></aside></div></div>
           <footer><div class="rst-footer-buttons"><a rel="prev" href="p">Previous</a></div><p>Built with Sphinx.</p></footer></div></div></section></div>"##,
        "# Slots\n\nNote\n\nSlots save memory.\n\nWhy?\n\nNo dict.",
        "Slots",
    ),
    (
        "MkDocs",
        r##"<title>Plugins - MkDocs</title><meta name="application-name" content="MkDocs"><div class="navbar fixed-top"><a class="navbar-brand" href="..">MkDocs</a><ul class="nav navbar-nav"><li><a href="x">User Guide</a></li></ul></div>
           <div class="container"><div class="col-md-3"><div class="navbar-light bs-sidebar"><ul><li><a href="#use">Using plugins</a></li></ul></div></div>
           <div class="col-md-9" role="main"><h1 id="plugins">Plugins</h1><p>A guide to plugins.</p><h2 id="use">Using plugins<a class="headerlink" href="#use">#</a></h2><p>List them.</p></div></div>
           <footer class="col-md-12"><hr><p>Documentation built with MkDocs.</p></footer><div class="modal" role="dialog"><h4>Search</h4></div>"##,
        "# Plugins\n\nA guide to plugins.\n\n## Using plugins\n\nList them.",
        "Plugins",
    ),
    (
        "MDN",
        r##"<title>Array.prototype.map() - JavaScript | MDN</title><ul class="a11y-menu"><li><a href="#content">Skip to main content</a></li></ul>
           <div class="page-layout__banner"><header class="page-layout__header"><nav>Log in</nav></header></div>
           <div class="page-layout__main"><div class="layout__2-sidebars-inline"><div class="layout__header"><h1>Array.prototype.map()</h1></div>
           <aside class="layout__right-sidebar"><h2>In this article</h2><ul><li><a href="#syntax">Syntax</a></li></ul></aside>
           <main id="content" class="layout__content"><p>Makes a new array.</p><h2 id="syntax"><a class="heading-anchor" href="#syntax">Syntax</a></h2><pre><code>map(f)</code></pre>
           <aside class="callout"><p>Mind the holes.</p></aside>
           <section class="content-section article-footer"><h2>Help improve MDN</h2><p>This page was last modified today.</p></section></main></div></div><footer class="footer">Terms</footer>"##,
        "Makes a new array.\n\n## Syntax\n\n```\nmap(f)\n```\n\nMind the holes.",
        "Array.prototype.map()",
    ),
    (
        "GitHub",
        r##"<title>GitHub - golem/yapapi: Python API for Golem</title><meta property="og:site_name" content="GitHub"><a class="px-2 show-on-focus js-skip-to-content" href="#start">Skip to content</a>
           <header class="Header js-details-container"><nav><a href="f">Features</a></nav></header><main id="js-repo-pjax-container"><div class="pagehead"><ul class="pagehead-actions"><li>Watch 12</li></ul></div>
           <div class="Box"><table><tr><td><a href="t">docs</a></td><td>Fix the build, 2 days ago</td></tr></table></div><div id="readme"><article class="markdown-body entry-content">
           <h1><a id="user-content-x" class="anchor" aria-hidden="true" href="#x"><svg></svg></a>Golem API</h1><p>The API runs tasks on providers.</p></article></div></main><div class="footer">Terms Privacy</div>"##,
        "# Golem API\n\nThe API runs tasks on providers.",
        "golem/yapapi: Python API for Golem",
    ),
    (
        "news",
        r##"<title>Assembly Elects New Speaker | The Cayman Post</title><meta property="og:title" content="Assembly Elects New Speaker"><div id="cookie-consent" class="cookie-banner"><p>We use cookies.</p><button>Accept</button></div>
           <div class="top-nav"><ul><li><a href="w">World</a><li><a href="s">Sport</a></ul></div><ol class="breadcrumb"><li><a href="/">Home</a><li><a href="p">Politics</a></ol>
           <article><h1>Assembly Elects New Speaker</h1><div class="social-share"><a href="f">Facebook</a><a href="t">Twitter</a></div><p>The members voted on Monday.</p>
           <div class="ad">Advertisement</div><p>She took the chair at once.</p><div class="newsletter-signup"><p>Get it in your inbox.</p></div></article>
           <aside class="related-stories"><h3>Most read</h3><a href="1">Weather</a></aside><div class="site-footer"><p>All rights reserved</p></div>"##,
        "# Assembly Elects New Speaker\n\nThe members voted on Monday.\n\nShe took the chair at once.",
        "Assembly Elects New Speaker",
    ),
    (
        "WordPress",
        r##"<title>Parsing fast – A Blog</title><a class="skip-link screen-reader-text" href="#content">Skip to content</a><header id="masthead" class="site-header"><div class="site-branding"><p>A Blog</p></div></header>
           <div id="content" class="site-content"><main id="main"><article class="post"><header class="entry-header"><h1 class="entry-title">Parsing fast</h1></header><div class="entry-content"><p>We parse JSON.</p></div>
           <footer class="entry-footer">Posted in news</footer></article><nav class="navigation post-navigation"><a rel="prev" href="p">Older</a></nav>
           <div id="respond" class="comment-respond"><h3>Leave a Reply</h3><form class="comment-form"><p>Your email address will not be published.</p></form></div></main></div>
           <div id="secondary" class="widget-area sidebar"><h2>Recent Posts</h2><ul><li><a href="1">One</a></ul></div>"##,
        "# Parsing fast\n\nWe parse JSON.",
        "Parsing fast",
    ),
    (
        "MediaWiki",
        r##"<title>Kernel trick - Wikipedia</title><div id="content" class="mw-body" role="main"><div class="mw-indicators"><img alt="Good article"></div><h1 id="firstHeading">Kernel trick</h1><div id="bodyContent">
           <div id="siteSub" class="noprint">From Wikipedia, the free encyclopedia</div><a class="mw-jump-link" href="#mw-head">Jump to navigation</a><div id="mw-content-text"><p>Kernels map points<sup class="noprint">[<i>citation needed</i>]</sup> into a space.<sup class="reference"><a href="#n1">[1]</a></sup></p>
           <div id="toc" class="toc"><h2>Contents</h2><ul><li><a href="#Use">1 Use</a></li></ul></div><h2><span id="Use">Use</span><span class="mw-editsection">[<a href="e">edit</a>]</span></h2><p>Many.</p>
           <div role="navigation" class="navbox"><a href="a">Machine learning</a></div></div><div id="catlinks" class="catlinks"><a href="c">Categories</a>: <ul><li><a href="k">Kernels</a></ul></div></div></div>
           <div id="mw-navigation"><h2>Navigation menu</h2></div>"##,
        "# Kernel trick\n\nKernels map points into a space.[1]\n\n## Use\n\nMany.",
        "Kernel trick",
    ),
    (
        "a page without classes",
        r##"<title>Notes</title><p><a href="/">Home</a> | <a href="a.html">Next part</a></p><hr><h1>Notes</h1><p>Read <a href="b.html">the manual</a> and <a href="c.html">the list</a>. And also:</p>
           <ul><li><a href="http://x">The paper</a></li><li><a href="http://y">The code</a></li></ul>"##,
        "# Notes\n\nRead the manual and the list. And also:\n\n- The paper\n- The code",
        "Notes",
    ),
];

#[test]
fn furniture_of_common_generators_is_left_out() {
    for (kind, html, text, title) in PAGES {
        let page = page(html);
        assert_eq!(page.text, text, "{kind}");
        assert_eq!(page.title.as_deref(), Some(title), "{kind}");
    }
}

/// Text that resembles furniture and is none.
#[test]
fn text_that_resembles_furniture_stays() {
    let long = "A sentence that a person wrote and wants to find again. ".repeat(6);
    let nested = format!("<div class='newsletter'><h2>Issue 7</h2><p>{long}</p></div>");
    for (html, kept) in [
        // Names of sections are made of their headings.
        ("<main><section id='footer'><h2>Footers</h2><p>stays</p></section></main>", "stays"),
        ("<section id='navigation'><h2>Navigation</h2><p>stays</p></section>", "stays"),
        ("<div class='sect1' id='search'><h2>Searching</h2><p>stays</p></div>", "stays"),
        // Notes beside the text are part of it, and so are an article's header and what a form holds.
        ("<article><p>x</p><aside class='note'>stays</aside></article>", "stays"),
        ("<main><p>x</p><aside class='sidebar'><p>Why?</p><p>stays</p></aside></main>", "stays"),
        ("<article><header><h1>stays</h1></header><p>x</p></article>", "stays"),
        ("<form><h2>Terms</h2><p>stays</p></form>", "stays"),
        // Links with words, and lists of links with descriptions.
        ("<p>See <a href='#x'>stays</a>.</p>", "stays"),
        ("<h2><a class='anchor' href='#x'>stays</a></h2><p>x</p>", "stays"),
        ("<p>Text.</p><h2>See also</h2><ul><li><a href='a'>stays</a></li><li><a href='b'>b</a></li></ul>", "stays"),
        ("<h1>Index</h1><ul><li><a href='a'>stays</a></li><li><a href='b'>b</a></li></ul>", "stays"),
        ("<ul><li><a href='a'>stays</a></li><li><a href='b'>b</a></li></ul>", "stays"),
        // Code is not read as page.
        ("<p>x</p><pre>&lt;nav&gt;stays&lt;/nav&gt; <a href='#1'>#</a></pre>", "stays"),
        ("<p>x</p><pre>x <span class='nav'>stays</span></pre>", "stays"),
        // Elements that hold the content, whatever their class says, and elements that never end.
        ("<div class='sidebar-layout nav-open'><main><p>stays</p></main></div>", "stays"),
        ("<div class='banner'><h1>stays</h1></div><p>x</p>", "stays"),
        ("<p>x</p><div class='share'><p>stays", "stays"),
        ("<pre>stays<div class='share'>é¶</pre><pre>é¶¶¶¶</div>x</pre>", "stays"),
        ("<pre>a¶<a href='#1'></pre>stays<pre>é</a></pre>", "stays"),
        (nested.as_str(), long.trim()),
    ] {
        assert!(page(html).text.contains(kept), "{html}: {}", page(html).text);
    }
}

#[test]
fn a_title_loses_the_name_of_its_site_only() {
    for (head, heading, title) in [
        (
            "<title>json — JSON encoder — Python 3.11 documentation</title>",
            "json — JSON encoder",
            "json — JSON encoder",
        ),
        ("<title>Install - Acme</title><meta property='og:site_name' content='Acme'>", "Other", "Install"),
        ("<title>Acme | Install</title><meta property='og:site_name' content='Acme'>", "Other", "Install"),
        ("<title>PostgreSQL: Documentation: 15: SELECT</title>", "SELECT", "SELECT"),
        ("<title>Rust: a history</title>", "Rust", "Rust: a history"),
        ("<title>War - and peace</title>", "Chapter 1", "War - and peace"),
        ("<title>Acme</title><meta property='og:site_name' content='Acme'>", "Acme", "Acme"),
        ("<title> - docs</title>", "x", "- docs"),
        ("", "Heading", "Heading"),
    ] {
        assert_eq!(page(&format!("{head}<h1>{heading}</h1><p>x</p>")).title.as_deref(), Some(title), "{head}");
    }
}

/// Furniture around and between the blocks of a text. Its words begin with `furn`.
const FURNITURE: [&str; 14] = [
    "<nav>furna <a href='x'>furnb</a></nav>",
    "<div class='breadcrumbs'><a href='/'>furnc</a> / furnd</div>",
    "<div id='cookie-banner' class='cookie-consent'><p>furne furnf</p></div>",
    "<div role='navigation'><ul><li><a href='x'>furng</a></ul></div>",
    "<aside class='sidebar'><h3>furnh</h3><p>furni</p></aside>",
    "<div class='navheader'><table><tr><td><a href='p'>furnj</a></td></tr></table></div>",
    "<div hidden>furnk</div>",
    "<div class='pagination'><a href='p'>furnl</a> <a href='n'>furnm</a></div>",
    "<span class='sr-only'>furnn</span>",
    "<a class='headerlink' href='#x'>¶</a>",
    "<a href='#top'>Back to top</a>",
    "<div class='share-buttons'><a href='f'>furno</a></div>",
    "<footer><p>furnp</p></footer>",
    "<script>furnq</script>",
];
const WRAPPERS: [(&str, &str); 6] = [
    ("", ""),
    ("<main>", "</main>"),
    ("<article>", "</article>"),
    ("<div id='content'>", "</div>"),
    ("<div>", ""),
    ("<table><tr><td>", "</table>"),
];

proptest! {
    #[test]
    fn a_text_survives_whatever_furniture_stands_around_it(
        parts in prop::collection::vec((0..FURNITURE.len(), 1_usize..12), 1..12),
        wrapper in 0..WRAPPERS.len(),
        closes in any::<bool>(),
    ) {
        let end = if closes { "</p>" } else { "" };
        let (mut html, mut words) = (format!("{}<h1>Subject</h1>", WRAPPERS[wrapper].0), vec!["Subject".to_owned()]);
        for (at, (furniture, count)) in parts.iter().enumerate() {
            let text: Vec<String> = (0..*count).map(|word| format!("word{at}x{word}")).collect();
            html += &format!("<p>{}{end}{}", text.join(" "), FURNITURE[*furniture]);
            words.extend(text);
        }
        html += WRAPPERS[wrapper].1;
        let text = page(&html).text;
        let given: Vec<&str> = text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        prop_assert_eq!(given, words, "{}", html);
        prop_assert!(!text.contains('¶'));
    }

    #[test]
    fn no_tags_in_any_order_are_too_much(tags in prop::collection::vec("</?(a href='#'|a rel=next|p|div class=share|div id=toc|main|article|ul|li|td|table|h1|pre|form|nav|footer|span class=noprint)>( ?[a-z¶|]{0,9})", 0..60)) {
        let _ = page(&tags.concat());
    }
}
