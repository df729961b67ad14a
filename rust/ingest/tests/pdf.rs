//! PDF files written here byte by byte: what is read, and what is refused.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;

use common::count;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use lorekit_ingest::{BytesReading, ReadOptions, SkipReason, SplitOptions, read_bytes, split};

/// A file of numbered objects, with its cross-reference table. Object 1 must be the catalogue.
fn pdf(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"%PDF-1.5\n".to_vec();
    let mut starts = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        starts.push(out.len());
        writeln!(out, "{} 0 obj", index + 1).unwrap();
        out.extend_from_slice(object);
        out.extend_from_slice(b"\nendobj\n");
    }
    let xref = out.len();
    write!(out, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).unwrap();
    for start in starts {
        writeln!(out, "{start:010} 00000 n ").unwrap();
    }
    write!(out, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{xref}\n%%EOF\n", objects.len() + 1).unwrap();
    out
}

fn stream(entries: &str, content: &[u8]) -> Vec<u8> {
    let mut out = format!("<< {entries} /Length {} >>\nstream\n", content.len()).into_bytes();
    out.extend_from_slice(content);
    out.extend_from_slice(b"\nendstream");
    out
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Catalogue, page tree, a Latin font (object 3), then a page and its content for each of `contents`.
fn pages(contents: &[Vec<u8>], resources: &str) -> Vec<Vec<u8>> {
    let kids: String = (0..contents.len()).map(|i| format!("{} 0 R ", 4 + 2 * i)).collect();
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Kids [{kids}] /Count {} /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> {resources} >> >>", contents.len()).into_bytes(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
    ];
    for (index, content) in contents.iter().enumerate() {
        objects.push(format!("<< /Type /Page /Parent 2 0 R /Contents {} 0 R >>", 5 + 2 * index).into_bytes());
        objects.push(content.clone());
    }
    objects
}

/// Lines of text in Helvetica, 14 points apart.
fn lines(text: &[&str]) -> Vec<u8> {
    let mut content = String::from("BT /F1 12 Tf 72 720 Td 14 TL\n");
    for line in text {
        content.push_str(&format!("({line}) Tj T*\n"));
    }
    content.push_str("ET");
    stream("", content.as_bytes())
}

fn read(bytes: &[u8]) -> BytesReading {
    read_bytes("manual.pdf", bytes, &ReadOptions::default())
}

fn refused(bytes: &[u8]) -> &'static str {
    let reading = read(bytes);
    assert!(reading.documents.is_empty());
    match reading.skipped.as_slice() {
        [SkipReason::Pdf { what }] => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn text_is_read_by_page_and_split_along_its_articles() {
    let bytes = pdf(&pages(
        &[
            lines(&[
                "Loan Rules",
                "",
                "Article 1. The library lends cameras to every member who asks",
                "for one in writing.",
                "Article 2. A loan lasts ten days.",
            ]),
            lines(&["Article 3. Nothing else is lent."]),
        ],
        "",
    ));
    let reading = read(&bytes);
    assert_eq!(reading.skipped, []);
    let document = &reading.documents[0];
    assert_eq!((document.title.as_str(), document.source_bytes), ("Loan Rules", bytes.len() as u64));
    let passages = split(document, &SplitOptions::default(), &count);
    let found: Vec<_> = passages.iter().map(|p| (p.place.as_str(), p.text.as_str(), p.page)).collect();
    assert_eq!(
        found,
        [
            ("manual#1", "The library lends cameras to every member who asks for one in writing.", Some(1)),
            ("manual#2", "A loan lasts ten days.", Some(1)),
            ("manual#3", "Nothing else is lent.", Some(2)),
        ]
    );
}

#[test]
fn han_text_is_read_through_its_unicode_map() {
    let map = "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CMapName /X def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n4 beginbfchar\n<0001> <7B2C>\n<0002> <4E00>\n<0003> <6761>\n<0004> <7532>\nendbfchar\nendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend";
    let mut objects =
        pages(&[stream("", b"BT /F2 12 Tf 72 720 Td <000100020003> Tj 48 0 Td <0004000400040004> Tj ET")], "");
    objects[1] =
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 /MediaBox [0 0 612 792] /Resources << /Font << /F2 6 0 R >> >> >>"
            .to_vec();
    objects.push(b"<< /Type /Font /Subtype /Type0 /BaseFont /Song /Encoding /Identity-H /DescendantFonts [7 0 R] /ToUnicode 8 0 R >>".to_vec());
    objects.push(b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Song /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /DW 1000 /FontDescriptor 9 0 R >>".to_vec());
    objects.push(stream("", map.as_bytes()));
    objects.push(b"<< /Type /FontDescriptor /FontName /Song /Flags 4 /FontBBox [0 0 1000 1000] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >>".to_vec());
    let reading = read(&pdf(&objects));
    assert_eq!(reading.skipped, []);
    assert_eq!(reading.documents[0].text.as_str(), "第一条 甲甲甲甲");
}

#[test]
fn a_broken_page_is_listed_and_the_others_are_read() {
    let bytes =
        pdf(&pages(&[lines(&["First page."]), stream("", b"BT /Nope 12 Tf (x) Tj ET"), lines(&["Third page."])], ""));
    let reading = read(&bytes);
    assert_eq!(reading.skipped, [SkipReason::PdfPages { pages: vec![2] }]);
    assert!(reading.documents[0].text.as_str().contains("Third page."));
}

#[test]
fn a_scan_without_text_is_listed_as_empty() {
    let reading = read(&pdf(&pages(&[stream("", b"0 0 m 10 10 l S")], "")));
    assert_eq!(reading.skipped, [SkipReason::Empty]);
}

#[test]
fn a_stream_that_unpacks_without_end_is_refused() {
    let bomb = stream("/Filter /FlateDecode", &packed(&vec![b' '; 40 << 20]));
    let bytes = pdf(&pages(&[bomb], ""));
    let options = ReadOptions { max_pdf_unpacked_bytes: 8 << 20, ..ReadOptions::default() };
    assert_eq!(
        read_bytes("x.pdf", &bytes, &options).skipped,
        [SkipReason::Pdf { what: "it unpacks to more than the limit" }]
    );
    assert_eq!(refused(&bytes), "the content of a page is too large");
    let twice = stream("/Filter [/FlateDecode /FlateDecode]", &packed(&packed(b"x")));
    assert_eq!(refused(&pdf(&pages(&[twice], ""))), "streams are packed twice");
}

#[test]
fn forms_that_draw_themselves_are_refused() {
    let form =
        |resources: &str| stream(&format!("/Type /XObject /Subtype /Form /BBox [0 0 9 9] {resources}"), b"/X Do /X Do");
    let page = || pages(&[stream("", b"/X Do")], "/XObject << /X 6 0 R >>");
    let mut itself = page();
    itself.push(form("/Resources << /XObject << /X 6 0 R >> >>"));
    assert_eq!(refused(&pdf(&itself)), "a form draws itself");
    let mut inherited = page();
    inherited.push(form(""));
    assert_eq!(refused(&pdf(&inherited)), "a form draws without resources");
    let mut doubling = page();
    for next in 7..30 {
        doubling.push(form(&format!("/Resources << /XObject << /X {next} 0 R >> >>")));
    }
    doubling.push(stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9]", b""));
    assert_eq!(refused(&pdf(&doubling)), "a page draws too many forms");
}

#[test]
fn a_page_tree_that_goes_in_circles_is_survived() {
    let mut objects = pages(&[lines(&["Text."])], "");
    objects[1] = b"<< /Type /Pages /Kids [4 0 R 2 0 R] /Count 1 /Parent 2 0 R >>".to_vec();
    let reading = read(&pdf(&objects));
    assert!(!reading.skipped.is_empty());
}

#[test]
fn encrypted_files_and_other_files_are_refused() {
    let mut bytes = pdf(&pages(&[lines(&["Text."])], ""));
    assert_eq!(refused(b"PK\x03\x04 not this"), "not a pdf");
    let at = bytes.windows(5).rposition(|w| w == b"/Root").unwrap();
    bytes.splice(at..at, b"/Encrypt << /Filter /Standard >> ".iter().copied());
    assert_eq!(refused(&bytes), "the file is encrypted");
}

#[test]
fn every_cut_of_a_good_file_is_safe() {
    let bytes = pdf(&pages(&[lines(&["First page."]), lines(&["Second page."])], ""));
    for end in (0..bytes.len()).step_by(7) {
        let reading = read(&bytes[..end]);
        assert!(!reading.documents.is_empty() || !reading.skipped.is_empty());
    }
    for at in (0..bytes.len()).step_by(5) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x15;
        let _ = read(&changed);
    }
}
