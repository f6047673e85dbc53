//! What a learner knows, by document, topic, kind, difficulty and day. Answers that wait for a person
//! say nothing yet.

use guest::identity::User;
use guest::postgres::{self, Row};
use guest::{Problem, params};
use serde_json::{Value, json};

/// Entries of one list.
const MOST: usize = 100;
/// Weak topics that are named.
const WEAKEST: usize = 5;
/// Fewer answers say nothing of a topic.
const TELLING: i64 = 2;

/// One group of answers.
struct Group {
    name: String,
    answered: i64,
    /// Hundredths of a point on average.
    percent: i64,
}

impl Group {
    fn body(&self, name: &str) -> Value {
        json!({ name: self.name, "answered": self.answered, "accuracy": self.accuracy() })
    }

    /// Points of an answer on average, 0 to 1.
    fn accuracy(&self) -> f64 {
        self.percent as f64 / 100.0
    }
}

/// Of the user's answers, or of those about one document.
pub(super) async fn of(user: &User, document_id: Option<&str>) -> Result<Value, Problem> {
    // The sets are told apart by which columns they group by.
    let rows = postgres::fetch(
        "with answers as (select document_id, topic, question_type, difficulty, points, needs_review, \
         (answered_at at time zone 'UTC')::date::text as day from quiz_answers \
         where tenant = $1 and user_id = $2 and ($3::text is null or document_id = $3)) \
         select grouping(document_id, topic, question_type, difficulty, day)::bigint, \
         coalesce(document_id, topic, question_type, difficulty, day, ''), \
         count(*) filter (where not needs_review), \
         coalesce(round(100 * avg(points) filter (where not needs_review)), 0)::bigint, \
         count(*) filter (where needs_review) from answers \
         group by grouping sets ((), (document_id), (topic), (question_type), (difficulty), (day)) \
         order by 3 desc, 2 limit 5000",
        params![&user.tenant, &user.id, document_id.map(ToOwned::to_owned)],
    )
    .await?;
    let mut groups: [Vec<Group>; 6] = Default::default();
    let mut waiting = 0;
    for mut row in rows {
        let Some(at) = place(&row) else { continue };
        if at == 5 {
            waiting = row.int(4);
        }
        let group = Group {
            name: row.text(1),
            answered: row.int(2),
            percent: row.int(3),
        };
        groups[at].push(group);
    }
    let [documents, mut topics, types, difficulties, mut days, all] = groups;
    topics.retain(|group| !group.name.is_empty());
    days.sort_by(|a, b| a.name.cmp(&b.name));
    let all = all.first();
    Ok(json!({
        "answered": all.map_or(0, |all| all.answered),
        "accuracy": all.map_or(0.0, Group::accuracy),
        "needs_review": waiting,
        "by_document": listed(&documents, "document_id"),
        "by_topic": listed(&topics, "topic"),
        "by_type": listed(&types, "type"),
        "by_difficulty": listed(&difficulties, "difficulty"),
        "weakest_topics": weakest(topics),
        "over_time": listed(&days[days.len().saturating_sub(MOST)..], "date"),
    }))
}

/// Which set a row is of: `grouping` has a bit for each column that it does not group by.
fn place(row: &Row) -> Option<usize> {
    let columns = [0b0_1111, 0b1_0111, 0b1_1011, 0b1_1101, 0b1_1110, 0b1_1111];
    columns.iter().position(|column| *column == row.int(0))
}

fn listed(groups: &[Group], name: &str) -> Vec<Value> {
    let told = groups.iter().filter(|group| group.answered > 0).take(MOST);
    told.map(|group| group.body(name)).collect()
}

/// Those that are known least, among those with answers enough.
fn weakest(mut topics: Vec<Group>) -> Vec<Value> {
    topics.retain(|group| group.answered >= TELLING && group.percent < 100);
    topics.sort_by_key(|group| (group.percent, -group.answered));
    topics.truncate(WEAKEST);
    listed(&topics, "topic")
}
