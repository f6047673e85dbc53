//! Two users by every route by {own, the other's, absent}, as a table of statuses.

use host::token::Role;
use reqwest::Method;

use super::{Body, Caller, Hers, Told, host, routes};

/// What is nobody's.
impl Hers {
    fn absent() -> Self {
        let absent = || "absent".to_owned();
        Self {
            document: absent(),
            batched_document: absent(),
            session: absent(),
            quiz: absent(),
            submission: absent(),
            card: absent(),
            job: absent(),
            batched_job: absent(),
            audio: absent(),
            batch: absent(),
        }
    }
}

/// The answers' statuses, and whether they are what they must be.
struct Row {
    route: String,
    own: Vec<u16>,
    other: Vec<u16>,
    absent: Vec<u16>,
    told: Vec<Told>,
}

impl Row {
    fn is_right(&self) -> bool {
        // Marks are given by an administrator alone.
        let is_refused = self.route.ends_with("/marks");
        let own = |status: &u16| (200..300).contains(status) || is_refused && *status == 403;
        let fits = |(status, told): (&u16, &Told)| match told {
            Told::NotThere => matches!(status, 403 | 404),
            Told::Nothing => (200..300).contains(status),
        };
        self.own.iter().all(own)
            && self.other.iter().zip(&self.told).all(fits)
            && self.absent.iter().zip(&self.told).all(fits)
    }
}

/// `GET /document/{id}` of both users: their own, the other's, and one that is not there.
async fn row(route: &str, callers: [(&Caller<'_>, &Hers, &Hers); 2]) -> Row {
    let (method, _) = route.split_once(' ').unwrap();
    let method: Method = method.parse().unwrap();
    let absent = Hers::absent();
    let mut row = Row {
        route: route.to_owned(),
        own: vec![],
        other: vec![],
        absent: vec![],
        told: vec![],
    };
    for (caller, _, other) in callers {
        // Before one's own: what is deleted then is there no more.
        for (path, body, told) in other.asked(route) {
            row.other.push(caller.plainly(&method, &path, body).await);
            row.told.push(told);
        }
        for (path, body, _) in absent.asked(route) {
            row.absent.push(caller.plainly(&method, &path, body).await);
        }
    }
    for (caller, own, _) in callers {
        for (path, body, _) in own.asked(route) {
            row.own.push(caller.plainly(&method, &path, body).await);
        }
    }
    row
}

impl Caller<'_> {
    /// The status alone, without a key.
    async fn plainly(&self, method: &Method, path: &str, body: Body) -> u16 {
        let request = self.request(method.clone(), path, &body);
        self.host.send(request).await.status
    }
}

#[tokio::test]
async fn each_of_two_users_has_their_own_and_no_other() {
    let engine = tempfile::tempdir().unwrap();
    let host = host(engine.path()).await;
    let caller = |user| Caller::new(&host, user, Some("school"), Role::User);
    let (alice, bob) = (caller("alice"), caller("bob"));
    let (hers, his) = (Hers::make(&alice).await, Hers::make(&bob).await);
    let mut routes = routes(&host);
    // What a route takes away, the ones before it still want.
    let last = ["DELETE /document", "DELETE ", "POST /process"];
    routes.sort_by_key(|route| last.map(|last| route.starts_with(last)));
    let (mut rows, mut wrong) = (String::new(), Vec::new());
    for route in routes {
        let row = row(&route, [(&alice, &hers, &his), (&bob, &his, &hers)]).await;
        let Row {
            own, other, absent, ..
        } = &row;
        rows.push_str(&format!(
            "{route:44} own {own:?} other's {other:?} absent {absent:?}\n"
        ));
        if !row.is_right() {
            wrong.push(route);
        }
    }
    println!("{rows}");
    assert!(wrong.is_empty(), "{wrong:?}\n{rows}");
    host.stop().await;
}
