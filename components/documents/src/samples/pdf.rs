//! PDFs, written object by object.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use md5::{Digest, Md5};

/// A file of these objects, the first being the catalogue.
pub fn file(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let (mut file, mut offsets) = (b"%PDF-1.4\n".to_vec(), Vec::new());
    for (at, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n", at + 1).bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let (start, count) = (file.len(), objects.len() + 1);
    file.extend(format!("xref\n0 {count}\n0000000000 65535 f \n").bytes());
    for offset in offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    let end =
        format!("trailer\n<< /Size {count} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n");
    file.extend(end.bytes());
    file
}

/// A stream with these entries.
pub fn stream(entries: &str, bytes: &[u8]) -> Vec<u8> {
    let mut object = format!("<< {entries} /Length {} >>\nstream\n", bytes.len()).into_bytes();
    object.extend(bytes);
    object.extend(b"\nendstream");
    object
}

/// zlib.
pub fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const HELVETICA: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>";

/// Pages with these content streams, entries of the page and objects besides; object 3 is their font.
fn pages(contents: &[Vec<u8>], font: &str, entries: &str, more: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let kids: String = (0..contents.len())
        .map(|at| format!("{} 0 R ", 4 + 2 * at))
        .collect();
    let tree = format!(
        "<< /Type /Pages /Kids [{kids}] /Count {} >>",
        contents.len()
    );
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        tree.into_bytes(),
        font.as_bytes().to_vec(),
    ];
    for (at, content) in contents.iter().enumerate() {
        let page = format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {} 0 R {entries} \
             /Resources << /Font << /F1 3 0 R >> /XObject << /X1 {} 0 R >> >> >>",
            5 + 2 * at,
            4 + 2 * contents.len()
        );
        objects.push(page.into_bytes());
        objects.push(content.clone());
    }
    objects.extend(more.iter().cloned());
    objects
}

fn shown(text: &str) -> Vec<u8> {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('(', "\\(")
        .replace(')', "\\)");
    let lines: String = escaped
        .lines()
        .map(|line| format!("({line}) Tj 0 -14 Td\n"))
        .collect();
    format!("BT /F1 11 Tf 60 780 Td\n{lines}ET").into_bytes()
}

/// A page a text.
pub fn text(texts: &[&str]) -> Vec<u8> {
    let contents: Vec<_> = texts.iter().map(|text| stream("", &shown(text))).collect();
    file(&pages(&contents, HELVETICA, "", &[]), "")
}

/// A page a picture, each with this text beside it.
pub fn illustrated(text: &str, pictures: &[Vec<u8>]) -> Vec<u8> {
    let kids: String = (0..pictures.len())
        .map(|at| format!("{} 0 R ", 4 + 3 * at))
        .collect();
    let tree = format!(
        "<< /Type /Pages /Kids [{kids}] /Count {} >>",
        pictures.len()
    );
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        tree.into_bytes(),
        HELVETICA.into(),
    ];
    for (at, picture) in pictures.iter().enumerate() {
        let (content, image) = (5 + 3 * at, 6 + 3 * at);
        let page = format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R \
             /Resources << /Font << /F1 3 0 R >> /XObject << /X1 {image} 0 R >> >> >>"
        );
        let shown = [&b"q 500 0 0 60 40 20 cm /X1 Do Q\n"[..], &shown(text)].concat();
        let entries = format!(
            "/Type /XObject /Subtype /Image /Width {} /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8",
            picture.len()
        );
        objects.push(page.into_bytes());
        objects.push(stream("/Filter /FlateDecode", &deflated(&shown)));
        objects.push(stream(&entries, picture));
    }
    file(&objects, "")
}

/// A page turned by so many degrees, with text that is written so that it reads upright.
pub fn rotated(text: &str, degrees: u32) -> Vec<u8> {
    turned(text, degrees, &format!("/Rotate {degrees}"))
}

/// A page whose text is written for one that is turned by so many degrees, with these entries.
pub fn turned(text: &str, degrees: u32, entries: &str) -> Vec<u8> {
    let matrix = match degrees {
        90 => "0 1 -1 0 100 60 Tm",
        180 => "-1 0 0 -1 500 100 Tm",
        270 => "0 -1 1 0 500 780 Tm",
        _ => "1 0 0 1 60 780 Tm",
    };
    let lines = shown_lines(text.lines());
    let content = format!("BT /F1 11 Tf {matrix}\n{lines}ET");
    file(
        &pages(&[stream("", content.as_bytes())], HELVETICA, entries, &[]),
        "",
    )
}

fn shown_lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines
        .map(|line| format!("({line}) Tj 0 -14 Td\n"))
        .collect()
}

/// Two columns on a page whose content is turned as a whole, and shown upright.
pub fn columns(left: &[String], right: &[String], degrees: u32) -> Vec<u8> {
    let matrix = match degrees {
        90 => "0 1 -1 0 595 0 cm",
        180 => "-1 0 0 -1 595 842 cm",
        270 => "0 -1 1 0 0 842 cm",
        _ => "1 0 0 1 0 0 cm",
    };
    let column = |x: u32, lines: &[String]| {
        let lines = shown_lines(lines.iter().map(String::as_str));
        format!("BT /F1 10 Tf {x} 500 Td\n{lines}ET\n")
    };
    let content = format!("{matrix}\n{}{}", column(60, left), column(330, right));
    let entries = format!("/Rotate {degrees}");
    file(
        &pages(&[stream("", content.as_bytes())], HELVETICA, &entries, &[]),
        "",
    )
}

/// Text in a font of two-byte codes, drawn in the order given, with what the codes mean where that is
/// told.
pub fn composite(text: &str, meaning: impl Fn(char) -> Option<char>) -> Vec<u8> {
    let codes: String = text
        .encode_utf16()
        .map(|unit| format!("{unit:04X}"))
        .collect();
    let content = format!("BT /F1 11 Tf 60 780 Td <{codes}> Tj ET");
    let pairs = text.chars().filter_map(|c| Some((c, meaning(c)?)));
    let pairs: Vec<String> = pairs
        .map(|(code, c)| format!("<{:04X}> <{:04X}>", u32::from(code), u32::from(c)))
        .collect();
    let map = format!(
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n\
         1 begincodespacerange <0000> <FFFF> endcodespacerange\n{} beginbfchar\n{}\nendbfchar\nendcmap end end",
        pairs.len(),
        pairs.join("\n")
    );
    let unicode = if pairs.is_empty() {
        ""
    } else {
        "/ToUnicode 6 0 R"
    };
    let font = format!(
        "<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+Some /Encoding /Identity-H {unicode} \
         /DescendantFonts [<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+Some /DW 1000 \
         /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>] >>"
    );
    file(
        &pages(
            &[stream("", content.as_bytes())],
            &font,
            "",
            &[stream("", map.as_bytes())],
        ),
        "",
    )
}

/// A picture on each page, and nothing else.
pub fn scanned(count: usize, jpeg: &[u8], width: u32, height: u32) -> Vec<u8> {
    let picture = format!(
        "/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceRGB \
         /BitsPerComponent 8 /Filter /DCTDecode"
    );
    let content = stream("", b"500 0 0 150 40 600 cm /X1 Do");
    file(
        &pages(
            &vec![content; count],
            HELVETICA,
            "",
            &[stream(&picture, jpeg)],
        ),
        "",
    )
}

/// One page with text, and one that is a picture.
pub fn half_scanned(text: &str, jpeg: &[u8], width: u32, height: u32) -> Vec<u8> {
    let picture = format!(
        "/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceRGB \
         /BitsPerComponent 8 /Filter /DCTDecode"
    );
    let contents = [
        stream("", &shown(text)),
        stream("", b"500 0 0 150 40 600 cm /X1 Do"),
    ];
    file(
        &pages(&contents, HELVETICA, "", &[stream(&picture, jpeg)]),
        "",
    )
}

/// ISO 32000-1, 7.6.3.3.
const PAD: [u8; 32] = [
    0x28, 0xBF, 0x4E, 0x5E, 0x4E, 0x75, 0x8A, 0x41, 0x64, 0x00, 0x4E, 0x56, 0xFF, 0xFA, 0x01, 0x08,
    0x2E, 0x2E, 0x00, 0xB6, 0xD0, 0x68, 0x3E, 0x80, 0x2F, 0x0C, 0xA9, 0xFE, 0x64, 0x53, 0x69, 0x7A,
];

fn padded(password: &str) -> [u8; 32] {
    let mut padded = PAD;
    let bytes = password.as_bytes();
    padded[..bytes.len()].copy_from_slice(bytes);
    padded[bytes.len()..].copy_from_slice(&PAD[..32 - bytes.len()]);
    padded
}

fn rc4(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut state: Vec<u8> = (0..=255).collect();
    let mut j = 0_u8;
    for i in 0..256 {
        j = j.wrapping_add(state[i]).wrapping_add(key[i % key.len()]);
        state.swap(i, j.into());
    }
    let (mut i, mut j) = (0_u8, 0_u8);
    let mut next = |byte: &u8| {
        i = i.wrapping_add(1);
        j = j.wrapping_add(state[usize::from(i)]);
        state.swap(i.into(), j.into());
        let at = state[usize::from(i)].wrapping_add(state[usize::from(j)]);
        byte ^ state[usize::from(at)]
    };
    bytes.iter().map(&mut next).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// One page that opens with this password; of the standard handler's first version (RC4, 40 bits).
pub fn encrypted(text: &str, password: &str) -> Vec<u8> {
    let (id, permissions) = ([7_u8; 16], -4_i32);
    let owner = rc4(&Md5::digest(padded("owner"))[..5], &padded(password));
    let all = [
        &padded(password)[..],
        &owner,
        &permissions.to_le_bytes(),
        &id,
    ]
    .concat();
    let key = &Md5::digest(all)[..5];
    let user = rc4(key, &PAD);
    let content = {
        let of_object = Md5::digest([key, &[5, 0, 0, 0, 0]].concat());
        rc4(&of_object[..10], &shown(text))
    };
    let trailer = format!(
        "/ID [<{0}> <{0}>] /Encrypt << /Filter /Standard /V 1 /R 2 /O <{1}> /U <{2}> /P {permissions} >>",
        hex(&id),
        hex(&owner),
        hex(&user)
    );
    file(
        &pages(&[stream("", &content)], HELVETICA, "", &[]),
        &trailer,
    )
}

/// A text whose table of objects points to nowhere.
pub fn broken_xref(text: &str) -> Vec<u8> {
    let file = String::from_utf8(self::text(&[text])).unwrap();
    let (objects, xref) = file.split_once("xref\n0").unwrap();
    let xref = xref.replace("00000000", "00009999");
    format!("{objects}xref\n0{xref}").into_bytes()
}

/// Pages whose parents are their children.
pub fn cyclic_tree() -> Vec<u8> {
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 1000000 >>".to_vec(),
        b"<< /Type /Pages /Kids [2 0 R] /Count -1 >>".to_vec(),
    ];
    file(&objects, "")
}

/// A form that draws itself.
pub fn cyclic_form() -> Vec<u8> {
    let form =
        "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X1 6 0 R >> >>";
    let content = stream("", b"/X1 Do");
    let more = [stream(form, b"/X1 Do /X1 Do")];
    file(&pages(&[content], HELVETICA, "", &more), "")
}

/// A page whose content is a picture of 100,000 by 100,000 dots in a few bytes.
pub fn jbig2_bomb() -> Vec<u8> {
    let mut segment = vec![0, 0, 0, 0, 0x30, 0, 1, 0, 0, 0, 19];
    segment.extend(100_000_u32.to_be_bytes());
    segment.extend(100_000_u32.to_be_bytes());
    segment.extend([0; 11]);
    let picture = "/Type /XObject /Subtype /Image /Width 100000 /Height 100000 /ColorSpace /DeviceGray \
                   /BitsPerComponent 1 /Filter /JBIG2Decode";
    let contents = [
        stream("/Filter /JBIG2Decode", &segment),
        stream("", b"/X1 Do"),
    ];
    file(
        &pages(&contents, HELVETICA, "", &[stream(picture, &segment)]),
        "",
    )
}

/// A page whose content unpacks to so many MiB of spaces, as often packed.
pub fn flate_bomb(mebibytes: usize, times: usize) -> Vec<u8> {
    let mut packed = vec![b' '; mebibytes << 20];
    for _ in 0..times {
        packed = deflated(&packed);
    }
    let filters = vec!["/FlateDecode"; times].join(" ");
    let content = stream(&format!("/Filter [{filters}]"), &packed);
    file(&pages(&[content], HELVETICA, "", &[]), "")
}

/// Arrays in arrays, so many deep.
pub fn nested(depth: usize) -> Vec<u8> {
    let content = [b"BT /F1 11 Tf ", &vec![b'['; depth][..], b" Tj ET"].concat();
    let page = format!("<< /Deep {}{} >>", "[".repeat(depth), "]".repeat(depth));
    let contents = [stream("", &content)];
    file(&pages(&contents, HELVETICA, "", &[page.into_bytes()]), "")
}

/// A table of objects that continues in itself.
pub fn cyclic_xref() -> Vec<u8> {
    let mut file = self::text(&["A text."]);
    let text = String::from_utf8_lossy(&file).into_owned();
    let start = text.rfind("xref\n0").unwrap_or_default();
    let cut = text.find("trailer").unwrap();
    file.truncate(cut);
    let end =
        format!("trailer\n<< /Size 6 /Root 1 0 R /Prev {start} >>\nstartxref\n{start}\n%%EOF\n");
    file.extend(end.bytes());
    file
}
