//! Who is calling. The gateway says so in headers that no client can set.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::Problem;

/// The user, from the token's subject; absent in development mode.
pub const USER_HEADER: &str = "x-lectern-user";
/// The tenant, from the token; absent where it names none.
pub const TENANT_HEADER: &str = "x-lectern-tenant";
/// `user` or `admin`.
pub const ROLE_HEADER: &str = "x-lectern-role";
/// The request's id.
pub const REQUEST_HEADER: &str = "x-request-id";
/// W3C trace context; the gateway sets it where the client has none.
pub const TRACE_HEADER: &str = "traceparent";
/// The trace's id, where a collector has it: of `00-<trace>-<span>-<flags>` the last bit.
pub fn recorded(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-').skip(1);
    let (trace, flags) = (parts.next()?, parts.nth(1)?);
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (flags & 1 == 1).then_some(trace)
}

/// Whoever names no user in development mode.
pub const ANONYMOUS: &str = "anonymous";

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Empty where the token names none. Nothing is ever seen across tenants.
    pub tenant: String,
    /// `None` in development mode: the request's own `user_id` is taken as given.
    pub user: Option<String>,
    /// May act for others of the tenant.
    pub admin: bool,
}

/// Whom a request creates things for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Empty where the token names none.
    pub tenant: String,
    /// Unique within the tenant.
    pub id: String,
}

/// Whose things a request may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Empty where the token names none.
    pub tenant: String,
    /// For `tenant = $m and ($n::text is null or user_id = $n)`. `None` is anybody of the tenant: for an
    /// administrator, or in development mode without a `user_id`.
    pub user: Option<String>,
}

impl From<User> for Owner {
    fn from(user: User) -> Self {
        Self {
            tenant: user.tenant,
            user: Some(user.id),
        }
    }
}

impl From<&User> for Owner {
    fn from(user: &User) -> Self {
        user.clone().into()
    }
}

impl Caller {
    /// The user that a request creates things for, where the body or query names `claimed`.
    pub fn acts_as(&self, claimed: Option<&str>) -> Result<User, Problem> {
        let claimed = checked(claimed)?;
        let id = match (&self.user, claimed) {
            (None, claimed) => claimed.unwrap_or(ANONYMOUS),
            (Some(user), None) => user,
            (Some(user), Some(claimed)) if user == claimed || self.admin => claimed,
            (Some(_), Some(_)) => {
                return Err(Problem::forbidden("`user_id` is not the token's subject"));
            }
        };
        Ok(User {
            tenant: self.tenant.clone(),
            id: id.to_owned(),
        })
    }

    /// Whose things a request may see, where the query names `claimed`.
    pub fn sees(&self, claimed: Option<&str>) -> Result<Owner, Problem> {
        if claimed.is_none() && (self.admin || self.user.is_none()) {
            return Ok(Owner {
                tenant: self.tenant.clone(),
                user: None,
            });
        }
        self.acts_as(claimed).map(Owner::from)
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
            tenant: header(TENANT_HEADER).unwrap_or_default(),
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
            tenant: "school".into(),
            user: user.map(ToOwned::to_owned),
            admin,
        }
    }

    fn owner(user: Option<&str>) -> Owner {
        Owner {
            tenant: "school".into(),
            user: user.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn a_trace_is_named_where_somebody_can_look_it_up() {
        assert_eq!(recorded("00-ab-cd-01"), Some("ab"));
        assert_eq!(recorded("00-ab-cd-00"), None);
        assert_eq!(recorded("nothing"), None);
    }

    #[test]
    fn the_token_s_subject_is_the_user() {
        let alice = caller(Some("alice"), false);
        assert_eq!(alice.acts_as(None).unwrap().id, "alice");
        assert_eq!(alice.acts_as(Some("alice")).unwrap().id, "alice");
        assert_eq!(alice.acts_as(Some("bob")).unwrap_err().status(), 403);
        assert_eq!(alice.sees(None).unwrap(), owner(Some("alice")));
        assert!(alice.sees(Some("bob")).is_err());
    }

    #[test]
    fn an_administrator_may_act_for_others_of_the_tenant() {
        let root = caller(Some("root"), true);
        let bob = root.acts_as(Some("bob")).unwrap();
        assert_eq!((bob.tenant.as_str(), bob.id.as_str()), ("school", "bob"));
        assert_eq!(root.sees(None).unwrap(), owner(None));
    }

    #[test]
    fn without_tokens_the_request_is_believed() {
        let nobody = caller(None, false);
        assert_eq!(nobody.acts_as(None).unwrap().id, ANONYMOUS);
        assert_eq!(nobody.acts_as(Some("bob")).unwrap().id, "bob");
        assert_eq!(nobody.sees(None).unwrap(), owner(None));
        assert!(nobody.acts_as(Some("a\nb")).is_err());
        assert!(nobody.acts_as(Some("")).is_err());
    }
}
