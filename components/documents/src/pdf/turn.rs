//! Pages whose text runs up, down or upside down: read as if they had been turned until it runs from left
//! to right. Only then have their lines, columns and words an order.

use std::collections::BTreeMap;

use unpdf::parser::LayoutAnalyzer;
use unpdf::parser::backend::{
    BackendFontInfo, ContentOp, DecodedRun, DecodedText, GlyphAdvance, PageBox, PageContent,
    PageId, PaintedXObject, PdfBackend, PdfMetadataRaw, RawBackend, RawOutlineItem, RawXObject,
    ResourceScope,
};
use unpdf::{Error, Result};

/// As a unit vector, as the page's content has it.
type Direction = [f32; 2];

const LEFT_TO_RIGHT: Direction = [1.0, 0.0];
/// Directions whose cosine is more are the same: text on a page that was scanned a little askew.
const SAME: f32 = 0.996;

/// The texts of these pages, each turned by the way most of its text runs; a page whose text runs as usual,
/// or cannot be read, is left out.
pub(super) fn read(
    bytes: &[u8],
    password: Option<&str>,
    pages: &[u32],
) -> Result<Vec<(u32, String)>> {
    let raw = RawBackend::load_bytes_with_password(bytes, password)?;
    let turned = pages.iter().filter_map(|&page| {
        let direction = direction(&raw, page).ok().flatten()?;
        Some((page, text(&raw, page, direction).ok()?))
    });
    Ok(turned.collect())
}

/// The way that most of a page's characters run, where it is not the usual one.
fn direction(raw: &RawBackend, page: u32) -> Result<Option<Direction>> {
    let mut found: Vec<(Direction, usize)> = Vec::new();
    for span in LayoutAnalyzer::new(raw).extract_page_spans(page)? {
        let runs = span.direction;
        let same = |other: &Direction| other[0] * runs[0] + other[1] * runs[1] > SAME;
        let length = span.text.chars().filter(|c| !c.is_whitespace()).count();
        match found.iter_mut().find(|(other, _)| same(other)) {
            Some((_, characters)) => *characters += length,
            None => found.push((runs, length)),
        }
    }
    let most = found.into_iter().max_by_key(|(_, characters)| *characters);
    Ok(most
        .map(|(direction, _)| direction)
        .filter(|direction| *direction != LEFT_TO_RIGHT))
}

fn text(raw: &RawBackend, page: u32, direction: Direction) -> Result<String> {
    let id = raw.pages().get(&page).copied();
    let turned = Turned {
        raw,
        page: id.ok_or_else(|| Error::PdfParse(format!("there is no page {page}")))?,
        direction,
    };
    let blocks = LayoutAnalyzer::new(&turned).extract_page_blocks(page)?;
    let texts: Vec<String> = blocks
        .iter()
        .filter(|block| !block.is_empty())
        .map(|block| block.text())
        .collect();
    Ok(texts.join("\n\n"))
}

/// The document with one page's content turned, and its box with it.
struct Turned<'a> {
    raw: &'a RawBackend,
    page: PageId,
    direction: Direction,
}

impl Turned<'_> {
    /// `cm`'s operands: what turns the direction to [`LEFT_TO_RIGHT`] (ISO 32000-1, 8.3.3).
    fn matrix(&self) -> [f32; 4] {
        let [x, y] = self.direction;
        [x, -y, y, x]
    }

    fn turn(&self, page: PageId, of: PageBox) -> PageBox {
        if page != self.page {
            return of;
        }
        let [a, b, c, d] = self.matrix();
        let corners = [
            (of.llx, of.lly),
            (of.urx, of.lly),
            (of.llx, of.ury),
            (of.urx, of.ury),
        ];
        let corners = corners.map(|(x, y)| (a * x + c * y, b * x + d * y));
        let [first, rest @ ..] = corners;
        let mut turned = PageBox {
            llx: first.0,
            lly: first.1,
            urx: first.0,
            ury: first.1,
        };
        for (x, y) in rest {
            turned.llx = turned.llx.min(x);
            turned.lly = turned.lly.min(y);
            turned.urx = turned.urx.max(x);
            turned.ury = turned.ury.max(y);
        }
        turned
    }
}

impl PdfBackend for Turned<'_> {
    fn pages(&self) -> BTreeMap<u32, PageId> {
        self.raw.pages()
    }

    fn page_fonts(&self, scope: ResourceScope) -> Result<Vec<BackendFontInfo>> {
        self.raw.page_fonts(scope)
    }

    fn page_content(&self, page: PageId) -> Result<Vec<u8>> {
        self.page_content_with_losses(page)
            .map(|content| content.data)
    }

    fn page_content_with_losses(&self, page: PageId) -> Result<PageContent> {
        let mut content = self.raw.page_content_with_losses(page)?;
        if page == self.page {
            let [a, b, c, d] = self.matrix();
            let turn = format!("{a:.6} {b:.6} {c:.6} {d:.6} 0 0 cm\n");
            content.data.splice(..0, turn.into_bytes());
        }
        Ok(content)
    }

    fn decode_content(&self, data: &[u8]) -> Result<Vec<ContentOp>> {
        self.raw.decode_content(data)
    }

    fn decode_text(&self, scope: ResourceScope, font_name: &[u8], bytes: &[u8]) -> DecodedText {
        self.raw.decode_text(scope, font_name, bytes)
    }

    fn decode_run(&self, scope: ResourceScope, font_name: &[u8], bytes: &[u8]) -> DecodedRun {
        self.raw.decode_run(scope, font_name, bytes)
    }

    fn glyph_advances(
        &self,
        scope: ResourceScope,
        font_name: &[u8],
        bytes: &[u8],
    ) -> Option<Vec<GlyphAdvance>> {
        self.raw.glyph_advances(scope, font_name, bytes)
    }

    fn is_vertical_font(&self, scope: ResourceScope, font_name: &[u8]) -> bool {
        self.raw.is_vertical_font(scope, font_name)
    }

    fn metadata(&self) -> PdfMetadataRaw {
        self.raw.metadata()
    }

    fn page_box(&self, page: PageId) -> PageBox {
        self.turn(page, self.raw.page_box(page))
    }

    fn crop_box(&self, page: PageId) -> PageBox {
        self.turn(page, self.raw.crop_box(page))
    }

    fn outline(&self) -> Result<Vec<RawOutlineItem>> {
        self.raw.outline()
    }

    fn page_xobjects(&self, page: PageId) -> Result<Vec<RawXObject>> {
        self.raw.page_xobjects(page)
    }

    fn xobject(&self, scope: ResourceScope, name: &[u8]) -> Option<PaintedXObject> {
        self.raw.xobject(scope, name)
    }
}
