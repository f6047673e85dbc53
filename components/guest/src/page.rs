//! Lists a page at a time: `limit` and an opaque `cursor` in, `next_cursor` and `Link: …; rel="next"`
//! out (RFC 8288).

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderValue, Uri, header};
use serde_json::{Value, json};

use crate::Problem;

const DEFAULT: u32 = 50;
const MOST: u32 = 200;
/// A longer cursor is none of ours.
const MAX_CURSOR: usize = 1_024;
/// The last microsecond of the year 9999: what comes later, a database or a clock may not hold.
const LATEST: i64 = 253_402_300_799_999_999;

/// Where a page ends: what lists are ordered by, and the id that decides between equals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Microseconds since the Unix epoch, or another number that only grows; from 0 to the end of the year 9999.
    pub at: i64,
    /// Of the last item.
    pub id: String,
}

/// Which page is asked for.
#[derive(Debug)]
pub struct Page {
    /// Items, 1 to 200.
    limit: u32,
    /// Items behind this one; from the first without.
    pub after: Option<Cursor>,
    uri: Uri,
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(parts.uri.clone())
    }
}

impl Page {
    fn of(uri: Uri) -> Result<Self, Problem> {
        let (mut limit, mut after) = (DEFAULT, None);
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "limit" => {
                    let parsed = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MOST).contains(limit));
                    let why = || Problem::validation(format!("`limit` is 1 to {MOST}"));
                    limit = parsed.ok_or_else(why)?;
                }
                "cursor" => {
                    let why = || Problem::validation("`cursor` is none of this list's");
                    after = Some(Cursor::decode(&value).ok_or_else(why)?);
                }
                _ => {}
            }
        }
        Ok(Self { limit, after, uri })
    }

    /// How many rows to ask for: one more than the page has tells whether there is another.
    pub fn rows(&self) -> u32 {
        self.limit + 1
    }

    /// The list under its name: what [`Page::rows`] rows became, in their order.
    pub fn answer(&self, name: &str, items: Vec<(Cursor, Value)>) -> Response {
        self.answer_with(json!({}), name, items)
    }

    /// The same among other members.
    pub fn answer_with(
        &self,
        mut body: Value,
        name: &str,
        mut items: Vec<(Cursor, Value)>,
    ) -> Response {
        let more = items.len() > self.limit as usize;
        items.truncate(self.limit as usize);
        let next = items.last().filter(|_| more).map(|(last, _)| last.encode());
        body[name] = items.into_iter().map(|(_, item)| item).collect();
        body["next_cursor"] = json!(next);
        let mut response = Json(body).into_response();
        let link = next.map(|next| HeaderValue::from_str(&self.link(&next)));
        if let Some(Ok(link)) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }

    /// The same request for the next page.
    fn link(&self, next: &str) -> String {
        let query = self.uri.query().unwrap_or_default().as_bytes();
        let others = form_urlencoded::parse(query).filter(|(name, _)| name != "cursor");
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("cursor", next)
            .finish();
        format!("<{}?{query}>; rel=\"next\"", self.uri.path())
    }
}

impl Cursor {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.at, self.id))
    }

    fn decode(cursor: &str) -> Option<Self> {
        if cursor.len() > MAX_CURSOR {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (at, id) = text.split_once(':')?;
        let at: i64 = at.parse().ok()?;
        // What a database could not hold was never handed out.
        let is_held = (0..=LATEST).contains(&at) && !id.contains('\0');
        is_held.then(|| Self {
            at,
            id: id.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<Page, Problem> {
        Page::of(format!("/documents?{query}").parse().unwrap())
    }

    fn items(count: usize) -> Vec<(Cursor, Value)> {
        let item = |at: usize| {
            let id = format!("d{at}");
            (
                Cursor {
                    at: 5,
                    id: id.clone(),
                },
                json!(id),
            )
        };
        (0..count).map(item).collect()
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        for id in ["", "a:b", "ünï", "7"] {
            for at in [0, LATEST] {
                let id = id.to_owned();
                let cursor = Cursor { at, id };
                assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
            }
        }
    }

    #[test]
    fn a_time_that_no_list_has_is_refused() {
        for at in [i64::MIN, -1, LATEST + 1, i64::MAX] {
            let id = "a".to_owned();
            let made = Cursor { at, id }.encode();
            let refused = page(&format!("cursor={made}")).unwrap_err();
            assert_eq!(refused.code(), "VALIDATION_ERROR", "{at}");
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let nul = URL_SAFE_NO_PAD.encode("7:\0");
        for query in [
            "limit=0",
            "limit=201",
            "limit=x",
            "limit=-1",
            "cursor=",
            "cursor=%00",
        ] {
            assert!(page(query).is_err(), "{query}");
        }
        assert!(page(&format!("cursor={nul}")).is_err());
        assert!(page(&format!("cursor={}", "A".repeat(2_000))).is_err());
        assert_eq!(page("").unwrap().rows(), 51);
    }

    #[test]
    fn another_page_is_named_only_where_there_is_one() {
        let page = page("user_id=a%26b&limit=2&cursor=Nzpk").unwrap();
        assert_eq!(
            page.after,
            Some(Cursor {
                at: 7,
                id: "d".into()
            })
        );
        assert!(
            !page
                .answer("documents", items(2))
                .headers()
                .contains_key(header::LINK)
        );
        let response = page.answer("documents", items(3));
        assert_eq!(
            response.headers()[header::LINK],
            "</documents?user_id=a%26b&limit=2&cursor=NTpkMQ>; rel=\"next\""
        );
    }
}
