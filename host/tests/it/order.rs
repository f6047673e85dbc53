//! What a service knows of a document does not depend on the order in which it heard it: of different
//! topics, events have none.

use std::time::Duration;

use corpus::samples::BIOLOGY;

use crate::harness::{PATIENCE, TestHost};

/// Publishes, of documents named by the orders of their events, each one's event of that number, all
/// with the text of the one document that there is.
fn publish(number: usize) -> &'static str {
    let statement = format!(
        "insert into lectern.outbox (component, topic, key, payload) \
         select 'lectern', case substr(named, {number}, 1) when 'u' then 'document.uploaded' \
         when 'p' then 'document.processed' else 'notes.generated' end, named, jsonb_build_object( \
         'document_id', named, 'user_id', 'alice', 'filename', 'a.txt', 'status', 'completed', \
         'text_key', 'text/' || document_id || '/1.json', 'terms', jsonb_build_array('osmosis')) \
         from documents.documents, unnest(array['npu', 'nup', 'pnu', 'pun', 'unp', 'upn']) as named returning topic"
    );
    statement.leak()
}

async fn handled(host: &TestHost) {
    let waiting = "select ((select count(*) from lectern.outbox) + (select count(*) from lectern.inbox))::text";
    let handled = async {
        while host.sql(waiting).await != ["0"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let handled = tokio::time::timeout(PATIENCE, handled).await;
    handled.expect("every event is handled");
}

#[tokio::test]
async fn events_of_a_document_may_come_in_any_order() {
    let host = TestHost::start().await;
    host.processed("alice", "a.txt", BIOLOGY).await;
    for number in 1..=3 {
        assert_eq!(host.sql(publish(number)).await.len(), 6);
        handled(&host).await;
    }
    let known = "select concat_ws(' ', user_id, filename, status, terms) from quiz.shelf s \
                 where length(document_id) = 3 and exists (select from quiz.passages p where p.document_id = s.document_id)";
    let complete = r#"alice a.txt completed ["osmosis"]"#;
    assert_eq!(host.sql(known).await, [complete; 6]);
    let known = "select concat_ws(' ', user_id, filename, status) from chat.shelf where length(document_id) = 3";
    assert_eq!(host.sql(known).await, ["alice a.txt completed"; 6]);
    host.stop().await;
}

#[tokio::test]
async fn notes_that_come_after_their_document_was_deleted_are_not_kept() {
    let host = TestHost::start().await;
    let gone = "insert into lectern.outbox (component, topic, key, payload) \
                values ('lectern', 'document.deleted', 'd', '{\"document_id\": \"d\", \"user_id\": \"alice\"}') returning topic";
    let late = "insert into lectern.outbox (component, topic, key, payload) values ('lectern', 'notes.generated', 'd', \
                '{\"document_id\": \"d\", \"user_id\": \"alice\", \"terms\": [\"osmosis\"]}') returning topic";
    for statement in [gone, late] {
        host.sql(statement).await;
        handled(&host).await;
    }
    let known = "select concat_ws(' ', status, terms) from quiz.shelf";
    assert_eq!(host.sql(known).await, ["deleted []"]);
    host.stop().await;
}
