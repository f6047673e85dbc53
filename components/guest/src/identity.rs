//! Who is calling. The gateway says so in headers that no client can set.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::Problem;

/// The user, from the token's subject; absent in development mode.
pub const USER_HEADER: &str = "x-lectern-user";
/// `user` or `admin`.
pub const ROLE_HEADER: &str = "x-lectern-role";
/// The request's id.
pub const REQUEST_HEADER: &str = "x-request-id";
/// W3C trace context; the gateway sets it where the client has none.
pub const TRACE_HEADER: &str = "traceparent";
/// Whoever names no user in development mode.
pub const ANONYMOUS: &str = "anonymous";

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `None` in development mode: the request's own `user_id` is taken as given.
    pub user: Option<String>,
    /// May act for others.
    pub admin: bool,
}

/// Whose things a request may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// That user's.
    User(String),
    /// Anybody's: an administrator, or development mode without a `user_id`.
    Anybody,
}

impl Owner {
    /// For `($n::text is null or user_id = $n)`.
    pub fn filter(&self) -> Option<String> {
        match self {
            Self::User(user) => Some(user.clone()),
            Self::Anybody => None,
        }
    }
}

impl Caller {
    /// The user that a request creates things for, where the body or query names `claimed`.
    pub fn acts_as(&self, claimed: Option<&str>) -> Result<String, Problem> {
        let claimed = checked(claimed)?;
        match (&self.user, claimed) {
            (None, claimed) => Ok(claimed.unwrap_or(ANONYMOUS).to_owned()),
            (Some(user), None) => Ok(user.clone()),
            (Some(user), Some(claimed)) if user == claimed || self.admin => Ok(claimed.to_owned()),
            (Some(_), Some(_)) => Err(Problem::forbidden("`user_id` is not the token's subject")),
        }
    }

    /// Whose things a request may see, where the query names `claimed`.
    pub fn sees(&self, claimed: Option<&str>) -> Result<Owner, Problem> {
        if claimed.is_none() && (self.admin || self.user.is_none()) {
            return Ok(Owner::Anybody);
        }
        self.acts_as(claimed).map(Owner::User)
    }
}

/// 1 to 255 bytes, as the tables hold, and nothing that could forge a log line.
fn checked(claimed: Option<&str>) -> Result<Option<&str>, Problem> {
    match claimed {
        Some(user) if user.is_empty() || user.len() > 255 || user.chars().any(char::is_control) => {
            Err(Problem::validation(
                "`user_id` has 1 to 255 bytes without control characters",
            ))
        }
        claimed => Ok(claimed),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let header = |name| {
            parts
                .headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Ok(Self {
            user: header(USER_HEADER),
            admin: header(ROLE_HEADER).as_deref() == Some("admin"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(user: Option<&str>, admin: bool) -> Caller {
        Caller {
            user: user.map(ToOwned::to_owned),
            admin,
        }
    }

    #[test]
    fn the_token_s_subject_is_the_user() {
        let alice = caller(Some("alice"), false);
        assert_eq!(alice.acts_as(None).unwrap(), "alice");
        assert_eq!(alice.acts_as(Some("alice")).unwrap(), "alice");
        assert_eq!(alice.acts_as(Some("bob")).unwrap_err().status(), 403);
        assert_eq!(alice.sees(None).unwrap(), Owner::User("alice".into()));
        assert!(alice.sees(Some("bob")).is_err());
    }

    #[test]
    fn an_administrator_may_act_for_others() {
        let root = caller(Some("root"), true);
        assert_eq!(root.acts_as(Some("bob")).unwrap(), "bob");
        assert_eq!(root.sees(None).unwrap(), Owner::Anybody);
    }

    #[test]
    fn without_tokens_the_request_is_believed() {
        let nobody = caller(None, false);
        assert_eq!(nobody.acts_as(None).unwrap(), ANONYMOUS);
        assert_eq!(nobody.acts_as(Some("bob")).unwrap(), "bob");
        assert_eq!(nobody.sees(None).unwrap(), Owner::Anybody);
        assert!(nobody.acts_as(Some("a\nb")).is_err());
        assert!(nobody.acts_as(Some("")).is_err());
    }
}
