//! Blocks: a `PAGE`, its `LINE`s and their `WORD`s, each naming its children.

use serde_json::{Value, json};

/// Of a line, as a part of the page.
const HEIGHT: f64 = 0.02;

struct Place {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Place {
    fn json(&self) -> Value {
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        json!({
            "BoundingBox": {
                "Left": self.left, "Top": self.top, "Width": self.width, "Height": self.height,
            },
            "Polygon": [
                {"X": self.left, "Y": self.top},
                {"X": right, "Y": self.top},
                {"X": right, "Y": bottom},
                {"X": self.left, "Y": bottom},
            ],
        })
    }
}

fn block(kind: &str, page: u32, place: &Place, children: &[String]) -> (String, Value) {
    let id = uuid::Uuid::new_v4().to_string();
    let mut block = json!({
        "BlockType": kind,
        "Id": id,
        "Page": page,
        "Geometry": place.json(),
    });
    if !children.is_empty() {
        block["Relationships"] = json!([{"Type": "CHILD", "Ids": children}]);
    }
    (id, block)
}

/// A text's own: what it says, and from 0 to 100 how surely.
fn spoken(block: &mut Value, text: &str) {
    block["Text"] = json!(text);
    block["Confidence"] = json!(99.5);
}

/// A page's blocks, the page first.
pub(super) fn page(number: u32, lines: &[String]) -> Vec<Value> {
    let (mut ids, mut lower) = (vec![], vec![]);
    for (at, text) in lines.iter().enumerate() {
        let top = (at as f64 * HEIGHT * 1.5).min(1.0 - HEIGHT);
        let (id, blocks) = line(number, text, top);
        ids.push(id);
        lower.extend(blocks);
    }
    let whole = Place {
        left: 0.0,
        top: 0.0,
        width: 1.0,
        height: 1.0,
    };
    let (_, page) = block("PAGE", number, &whole, &ids);
    let mut blocks = vec![page];
    blocks.extend(lower);
    blocks
}

fn line(page: u32, text: &str, top: f64) -> (String, Vec<Value>) {
    let (mut ids, mut words) = (vec![], vec![]);
    for (at, word) in text.split_whitespace().enumerate() {
        let place = Place {
            left: 0.1 + 0.05 * (at % 16) as f64,
            top,
            width: 0.045,
            height: HEIGHT,
        };
        let (id, mut block) = block("WORD", page, &place, &[]);
        spoken(&mut block, word);
        block["TextType"] = json!("PRINTED");
        ids.push(id);
        words.push(block);
    }
    let place = Place {
        left: 0.1,
        top,
        width: 0.8,
        height: HEIGHT,
    };
    let (id, mut block) = block("LINE", page, &place, &ids);
    spoken(&mut block, text);
    let mut blocks = vec![block];
    blocks.extend(words);
    (id, blocks)
}
