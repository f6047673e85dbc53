//! `document.deleted`: what was said of the document goes with it.

use guest::events::{Disposition, Event};
use guest::postgres::{self, Transaction};
use guest::shelf::{self, Deleted};
use guest::{Problem, params};

use super::{history, library};

/// Stands where an answer was that came from the document.
const ANSWER: &str = "The document that this answer came from was deleted.";
/// Stands where a question was about the document: it may have its words.
const QUESTION: &str = "The document that this question was about was deleted.";

/// Forgets the document, its index, the questions about it, the answers that came from it, the titles that
/// were made of them, and what was kept to answer again.
pub(super) async fn deleted(event: &Event) -> Result<(), Disposition> {
    let mut changed = Vec::new();
    shelf::deleted(event, async |tx, gone| {
        library::forget(tx, &gone.document_id).await?;
        changed = redact(tx, gone).await?;
        Ok(())
    })
    .await?;
    for (tenant, user, session) in changed {
        history::forget(&tenant, &user, &session).await;
    }
    Ok(())
}

/// Answers the sessions that changed. An answer from several documents goes whole, as its words do not
/// tell which of them they are of; the other documents' quotes stay.
async fn redact(
    tx: &Transaction,
    gone: &Deleted,
) -> Result<Vec<(String, String, String)>, Problem> {
    let rows = postgres::fetch_in(
        tx,
        "with changed as (update chat_messages m set content = case m.role when 'user' then $3 else $4 end, \
         sources = m.sources - $2::text, grounded = null, omitted = 0, \
         finish = case m.role when 'assistant' then 'deleted' end, citations = \
         coalesce((select jsonb_agg(c) from jsonb_array_elements(m.citations) c \
             where c ->> 'document_id' is distinct from $2), '[]') \
         from chat_sessions s where s.session_id = m.session_id and s.tenant = $1 \
         and (m.sources @> jsonb_build_array($2::text) \
              or m.citations @> jsonb_build_array(jsonb_build_object('document_id', $2::text))) \
         returning m.session_id, m.ordinal) \
         update chat_sessions s set changes = s.changes + 1, title = case when exists (select from changed c \
             where c.session_id = s.session_id and c.ordinal = (select min(f.ordinal) from chat_messages f \
             where f.session_id = s.session_id)) then null else s.title end \
         where s.session_id in (select session_id from changed) returning s.tenant, s.user_id, \
         coalesce(s.name, s.session_id)",
        params![&gone.tenant, &gone.document_id, QUESTION, ANSWER],
    );
    let mut changed = Vec::new();
    for mut row in rows.await? {
        let (tenant, user, session) = (row.text(0), row.text(1), row.text(2));
        postgres::execute_in(
            tx,
            "delete from idempotency where tenant = $1 and user_id = $2 and route = '/chat' \
             and body ->> 'session_id' = $3",
            params![&tenant, &user, &session],
        )
        .await?;
        changed.push((tenant, user, session));
    }
    Ok(changed)
}
