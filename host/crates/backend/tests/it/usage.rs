//! What users have used, in a real database.

use std::sync::Arc;

use backend::usage::PgUsage;
use capability::usage::{Usage, contract};

use crate::server::Server;

#[tokio::test]
async fn postgres_keeps_the_contract_of_usage() {
    let server = Server::start().await;
    let usage: Arc<dyn Usage> = Arc::new(PgUsage::new(server.platform.clone(), contract::BUDGETS));
    contract::a_budget_is_kept_to_whoever_takes_at_once(&usage).await;
    contract::what_may_come_is_taken_and_corrected(&usage).await;
    contract::what_has_no_budget_is_counted(&usage).await;
    contract::what_is_held_is_given_back(&usage).await;
    drop(usage);
    server.stop().await;
}
